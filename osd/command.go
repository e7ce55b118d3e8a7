package osd

import (
	"fmt"
	"strings"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/internal/admin"
	"glue/internal/daemon"
	"glue/osd/bench"
	"glue/osd/optrack"
	"glue/osd/pgquery"
	"glue/wire/message"
	"glue/wire/msgr"
)

func (d *Daemon) idText() string { return fmt.Sprint(d.opt.ID) }

// Commands is the table of commands of the admin socket and of "ceph tell".
func (d *Daemon) Commands() *admin.Table { return d.commands }

func (d *Daemon) table() *admin.Table {
	const pgid = "name=pgid,type=CephPgid"
	return admin.NewTable([]admin.Command{
		{Prefix: "status", Help: "high-level status of OSD", Run: d.cmdStatus},
		{Prefix: "dump_watchers", Run: d.cmdWatchers,
			Help: "show clients which have active watches, and on which objects"},
		{Prefix: "pg", Signature: pgid + " name=cmd,type=CephChoices,strings=query",
			Help: "show details of a specific pg", Run: d.cmdQuery},
		{Prefix: "pg", Signature: pgid + " name=cmd,type=CephChoices,strings=list_unfound " +
			"name=offset,type=CephString,req=false", Run: d.cmdListUnfound,
			Help: "list unfound objects on this pg, perhaps starting at an offset given in JSON"},
		{Prefix: "pg", Signature: pgid + " name=cmd,type=CephChoices,strings=mark_unfound_lost " +
			"name=mulcmd,type=CephChoices,strings=revert|delete", Run: d.cmdMarkLost,
			Help: "mark all unfound objects in this pg as lost, either removing or reverting " +
				"to a prior version if one is available"},
		{Prefix: "list_unfound", Signature: pgid +
			",req=false name=offset,type=CephString,req=false",
			Run: d.cmdListUnfound, Help: "list unfound objects on this pg"},
		{Prefix: "mark_unfound_lost", Signature: pgid + ",req=false" +
			" name=mulcmd,type=CephChoices,strings=revert|delete", Run: d.cmdMarkLost,
			Help: "mark all unfound objects in this pg as lost"},
		{Prefix: "query", Signature: pgid + ",req=false", Run: d.cmdQuery,
			Help: "show details of a specific pg"},
		{Prefix: "bench", Signature: "name=count,type=CephInt,req=false " +
			"name=size,type=CephInt,req=false name=object_size,type=CephInt,req=false " +
			"name=object_num,type=CephInt,req=false", Run: d.cmdBench,
			Help: "OSD benchmark: write <count> <size>-byte objects" +
				"(with <obj_size> <obj_num>), (default count=1G default size=4MB). " +
				"Results in log."},
	}, optrack.Commands(tracked{d}), d.dumpCommands(), d.doCommands(), d.scrubCommands(),
		absentCommands(), daemon.Commands(d.conf, d.opt.LogFile, &d.counters.Registry))
}

func (d *Daemon) cmdBench(args admin.Args) (any, error) {
	if !d.benching.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("a bench is running: %w", ceph.EBUSY)
	}
	defer d.benching.Store(false)
	return bench.Run(d.store, args, d.storeDone)
}

func (d *Daemon) cmdStatus(admin.Args) (any, error) {
	pgs := int64(0)
	for _, s := range d.shards {
		pgs += s.count.Load()
	}
	state := "booting"
	if d.booted.Load() {
		state = "active"
	}
	m := d.osdmap.Load()
	var oldest ceph.Epoch
	if err := d.onControl(func() { oldest = d.super.Oldest }); err != nil {
		return nil, err
	}
	out := struct {
		Cluster string     `json:"cluster_fsid"`
		OSD     string     `json:"osd_fsid"`
		Whoami  int32      `json:"whoami"`
		State   string     `json:"state"`
		Oldest  ceph.Epoch `json:"oldest_map"`
		Trim    ceph.Epoch `json:"cluster_osdmap_trim_lower_bound"`
		Newest  ceph.Epoch `json:"newest_map"`
		PGs     int64      `json:"num_pgs"`
	}{Cluster: d.opt.FSID.String(), Whoami: d.opt.ID, State: state, PGs: pgs,
		Oldest: oldest, Trim: oldest}
	if m != nil {
		out.Newest = m.Epoch
		if m.Exists(d.opt.ID) {
			out.OSD = m.UUIDs[d.opt.ID].String()
		}
	}
	return out, nil
}

func (d *Daemon) cmdWatchers(admin.Args) (any, error) {
	type row struct {
		Namespace string `json:"namespace"`
		Object    string `json:"object"`
		Entity    string `json:"entity_name"`
		Cookie    uint64 `json:"cookie"`
		Timeout   uint32 `json:"timeout"`
		Addr      string `json:"entity_addr"`
	}
	out := []row{}
	for _, s := range d.shards {
		s.sync(func(s *shard) {
			for _, p := range s.pgs {
				for o, watches := range p.watches {
					for k, w := range watches {
						out = append(out, row{o.Namespace, o.Name, k.Name.String(), k.Cookie,
							uint32(w.timeout.Seconds()), w.addr.String()})
					}
				}
			}
		})
	}
	return out, nil
}

func (d *Daemon) cmdQuery(args admin.Args) (any, error) {
	id, err := ceph.ParsePGID(args.Str("pgid"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ceph.EINVAL)
	}
	spg := ceph.SPG{PGID: id, Shard: ceph.NoShard}
	var out *pgquery.Query
	d.shardOf(spg).sync(func(s *shard) {
		if p := s.pgs[spg]; p != nil {
			out = p.query()
		}
	})
	if out == nil {
		return nil, fmt.Errorf("i don't have pgid %v: %w", id, ceph.ENOENT)
	}
	return out, nil
}

// query is the answer to "pg query"; it runs on the shard.
func (p *pg) query() *pgquery.Query {
	c := pgquery.Copy{Self: p.s.d.opt.ID, Machine: p.settled(), Map: p.s.osdmap,
		Stats: p.statistics(), TrimQueue: p.trim.Queue(), Recovery: p.moves()}
	if p.primary && !p.active {
		c.Unreadable = p.lease.Left(p.s.d.now(), p.s.d.opt.ID, p.s.osdmap)
	}
	return pgquery.Of(&c)
}

// handleCommand runs a command of "ceph tell" on a goroutine of its own. Only who may do everything
// may use it, as its commands are about the daemon and not about data.
func (d *Daemon) handleCommand(c *msgr.Conn, m *message.Message, b *message.MCommand) {
	sess, _ := c.Context().(*session)
	go func() {
		r := &message.MCommandReply{}
		var out []byte
		if sess == nil || !sess.all {
			r.Result, r.Status = ceph.EACCES.Result(), "access denied"
		} else {
			var err error
			out, r.Status, err = d.commands.Run(strings.Join(b.Cmd, ""))
			r.Result = -int32(admin.Errno(err))
		}
		reply := m.Reply(r)
		reply.Data = out
		c.Send(reply)
		m.Release()
	}()
}

type peeringInfo = pginfo.Info
