package osd

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"glue/ceph"
	"glue/internal/admin"
	"glue/wire/message"
)

// dumpCommands are the rows that show something of the daemon.
func (d *Daemon) dumpCommands() []admin.Command {
	return []admin.Command{
		{Prefix: "get_mapped_pools", Run: d.cmdPools,
			Help: "dump pools whose PG(s) are mapped to this OSD."},
		{Prefix: "dump_blocklist", Run: d.cmdBlocklist,
			Help: "dump blocklisted clients and times"},
		{Prefix: "dump_recovery_reservations", Run: d.cmdReservations,
			Help: "show recovery reservations"},
	}
}

// doCommands are the rows that make the daemon do something now.
func (d *Daemon) doCommands() []admin.Command {
	return []admin.Command{
		{Prefix: "flush_pg_stats", Help: "flush pg stats", Run: d.cmdFlushStats},
		{Prefix: "send_beacon", Help: "send OSD beacon to mon immediately",
			Run: func(admin.Args) (any, error) {
				d.post(func() { d.boot.beacon = time.Time{} })
				return nil, nil
			}},
		{Prefix: "injectfull", Signature: "name=type,type=CephString,req=false " +
			"name=count,type=CephInt,req=false",
			Help: "Inject a full disk (optional count times)", Run: d.cmdInjectFull},
		{Prefix: "get_latest_osdmap", Run: d.cmdLatestMap,
			Help: "force osd to update the latest map from the mon"},
		{Prefix: "cluster_log", Signature: "name=level,type=CephChoices,strings=error|warning|" +
			"info|debug name=message,type=CephString,n=N",
			Help: "log a message to the cluster log", Run: d.cmdClusterLog},
	}
}

// absent are commands of stock daemons about parts that Glue does not have, and what to say.
var absent = []struct{ prefix, help, why string }{
	{"cache drop", "Drop all OSD caches", "the caches are part of the Go heap: see 'heap release'"},
	{"cache status", "Get OSD caches statistics", "the caches are part of the Go heap: see " +
		"'heap stats'"},
	{"compact", "Commpact object store's omap.", "the store compacts itself"},
	{"cpu_profiler", "run cpu profiling on daemon", "there is no profiler in this build"},
	{"dump_objectstore_kv_stats", "print statistics of kvdb", "its database is not RocksDB"},
	{"dump_op_pq_state", "dump op priority queue state", "requests are served in turn; see " +
		"'dump_ops_in_flight'"},
	{"dump_osd_network", "Dump osd heartbeat network ping times", "heartbeats are not timed; " +
		"peers that are silent are reported"},
	{"dump_pgstate_history", "show recent state history", "PGs do not keep it; see " +
		"'pg PGID query'"},
	{"dump_pg_recovery_stats", "dump pg recovery statistics", "PGs do not keep " +
		"them; see 'pg PGID query'"},
	{"flush_journal", "flush the journal to permanent store", "the journal is written back by " +
		"itself"},
	{"get_heap_property", "get malloc extension heap property", "this is about tcmalloc; see " +
		"'heap stats'"},
	{"set_heap_property", "update malloc extension heap property", "this is about tcmalloc"},
	{"list_devices", "list OSD devices.", "see 'ceph osd metadata'"},
	{"smart", "probe OSD devices for SMART data.", "watch the disks with smartctl"},
}

func absentCommands() []admin.Command {
	var out []admin.Command
	for _, a := range absent {
		out = append(out, admin.Command{Prefix: a.prefix, Help: a.help,
			Run: func(admin.Args) (any, error) {
				return nil, admin.Refuse(syscall.EOPNOTSUPP, "not in Glue: %s", a.why)
			}})
	}
	return out
}

func (d *Daemon) cmdPools(admin.Args) (any, error) {
	out := []int64{}
	d.eachPG(func(p *pg) { out = append(out, p.id.Pool) })
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (d *Daemon) cmdBlocklist(admin.Args) (any, error) {
	m := d.osdmap.Load()
	if m == nil {
		return nil, admin.Refuse(syscall.EAGAIN, "there is no OSD map yet; try again in a moment")
	}
	dump := m.Dump()
	return []any{dump.Blocklist, dump.RangeBlocklist}, nil
}

// control runs f on the control goroutine and waits for it.
func (d *Daemon) onControl(f func()) error {
	done := make(chan struct{})
	d.post(func() {
		f()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-d.stop:
		return admin.Refuse(syscall.ESHUTDOWN, "the OSD stops")
	}
}

// cmdFlushStats sends a report of all PGs now and answers with its number, for which "osd
// last-stat-seq" can be watched.
func (d *Daemon) cmdFlushStats(admin.Args) (any, error) {
	for _, s := range d.shards {
		s.sync(func(s *shard) {
			for _, p := range s.pgs {
				p.dirty = true
			}
			s.report()
		})
	}
	var seq uint64
	var failed error
	err := d.onControl(func() {
		m := d.osdmap.Load()
		if d.reporter.conn == nil || m == nil || !d.booted.Load() {
			failed = admin.Refuse(syscall.EAGAIN, "there is no manager to report to, or this OSD "+
				"is not up yet")
			return
		}
		d.reporter.last = time.Time{}
		d.reportTick(time.Now())
		seq = uint64(m.Info[d.opt.ID].UpFrom)<<32 | d.reporter.seq
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return fmt.Sprint(seq), nil
}

func (d *Daemon) cmdLatestMap(admin.Args) (any, error) {
	return nil, d.onControl(func() {
		have := uint64(0)
		if m := d.osdmap.Load(); m != nil {
			have = uint64(m.Epoch)
		}
		d.mon.Subscribe("osdmap", have+1, false)
	})
}

func (d *Daemon) cmdClusterLog(args admin.Args) (any, error) {
	levels := map[string]uint16{"error": message.LogError, "warning": message.LogWarn,
		"info": message.LogInfo, "debug": message.LogDebug}
	level, ok := levels[args.Str("level")]
	if !ok {
		return nil, admin.Refuse(syscall.EINVAL, "unknown level '%s'", args.Str("level"))
	}
	return nil, d.onControl(func() { d.clusterLog(level, args.Str("message")) })
}

// clusterLog writes a line to the cluster log; of the control goroutine.
func (d *Daemon) clusterLog(level uint16, text string) {
	d.logSeq++
	d.mon.Send(&message.MLog{FSID: d.opt.FSID, Entries: []message.LogEntry{{
		Name: ceph.AuthName{Type: ceph.TypeOSD, ID: d.idText()},
		Rank: ceph.EntityName{Type: ceph.TypeOSD, Num: int64(d.opt.ID)}, Addrs: d.addrs.Public,
		Stamp: ceph.TimeOf(d.now()), Seq: d.logSeq, Priority: level, Message: text,
		Channel: "cluster"}}})
}
