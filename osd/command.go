package osd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/internal/admin"
	"glue/internal/cephjson"
	"glue/internal/options"
	"glue/internal/version"
	"glue/wire/message"
	"glue/wire/msgr"
)

func (d *Daemon) idText() string { return fmt.Sprint(d.opt.ID) }

// AdminCommands is the table of commands of the admin socket and of "ceph tell".
func (d *Daemon) AdminCommands() []admin.Command {
	return []admin.Command{
		{Prefix: "version", Help: "report version of OSD", Run: d.cmdVersion},
		{Prefix: "status", Help: "high-level status of OSD", Run: d.cmdStatus},
		{Prefix: "config show", Help: "dump current config settings", Run: d.cmdConfigShow},
		{Prefix: "config get", Signature: "name=var,type=CephString",
			Help: "config get <field>: get the config value", Run: d.cmdConfigGet},
		{Prefix: "config set", Signature: "name=var,type=CephString name=val,type=CephString,n=N",
			Help: "config set <field> <val> [<val> ...]: set a config variable",
			Run:  d.cmdConfigSet},
		{Prefix: "config diff", Help: "dump diff of current config and default config",
			Run: d.cmdConfigDiff},
		{Prefix: "perf dump", Signature: "name=logger,type=CephString,req=false " +
			"name=counter,type=CephString,req=false", Help: "dump perfcounters value",
			Run: func(map[string]any) (any, error) { return d.counters.registry.Dump(), nil }},
		{Prefix: "perf schema", Help: "dump perfcounters schema",
			Run: func(map[string]any) (any, error) { return d.counters.registry.Schema(), nil }},
		{Prefix: "dump_ops_in_flight", Help: "show the ops currently in flight",
			Run: func(map[string]any) (any, error) { return d.ops.dump(), nil }},
		{Prefix: "ops", Help: "show the ops currently in flight",
			Run: func(map[string]any) (any, error) { return d.ops.dump(), nil }},
		{Prefix: "dump_watchers", Help: "show clients which have active watches",
			Run: d.cmdWatchers},
		{Prefix: "pg", Signature: "name=pgid,type=CephPgid name=cmd,type=CephChoices,strings=query",
			Help: "show details of a specific pg", Run: d.cmdQuery},
		{Prefix: "query", Signature: "name=pgid,type=CephPgid",
			Help: "show details of a specific pg", Run: d.cmdQuery},
		{Prefix: "bench", Signature: "name=count,type=CephInt,req=false " +
			"name=size,type=CephInt,req=false", Run: d.cmdBench,
			Help: "OSD benchmark: write <count> <size>-byte objects" +
				"(with <obj_size> <obj_num>), (default count=1G default size=4MB). " +
				"Results in log."},
	}
}

func (d *Daemon) cmdVersion(map[string]any) (any, error) {
	return struct {
		Version string `json:"version"`
		Release string `json:"release"`
		Type    string `json:"release_type"`
	}{version.Ceph, version.Release, "stable"}, nil
}

func (d *Daemon) cmdStatus(map[string]any) (any, error) {
	pgs := int64(0)
	for _, s := range d.shards {
		pgs += s.count.Load()
	}
	state := "booting"
	if d.booted.Load() {
		state = "active"
	}
	m := d.osdmap.Load()
	out := struct {
		Cluster string     `json:"cluster_fsid"`
		OSD     string     `json:"osd_fsid"`
		Whoami  int32      `json:"whoami"`
		State   string     `json:"state"`
		Oldest  ceph.Epoch `json:"oldest_map"`
		Newest  ceph.Epoch `json:"newest_map"`
		PGs     int64      `json:"num_pgs"`
	}{Cluster: d.opt.FSID.String(), Whoami: d.opt.ID, State: state, PGs: pgs}
	if m != nil {
		out.Newest = m.Epoch
		if m.Exists(d.opt.ID) {
			out.OSD = m.UUIDs[d.opt.ID].String()
		}
	}
	return out, nil
}

func (d *Daemon) cmdConfigShow(map[string]any) (any, error) {
	set := d.config.Load().set
	out := map[string]string{}
	for _, o := range options.All() {
		out[o.Name] = set.Get(o.Name)
	}
	return out, nil
}

func (d *Daemon) cmdConfigDiff(map[string]any) (any, error) {
	return map[string]any{"diff": d.config.Load().set.Overrides()}, nil
}

func text(args map[string]any, name string) string {
	switch v := args[name].(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = fmt.Sprint(v[i])
		}
		return strings.Join(parts, " ")
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

func (d *Daemon) cmdConfigGet(args map[string]any) (any, error) {
	o, ok := options.Lookup(text(args, "var"))
	if !ok {
		return nil, fmt.Errorf("error getting '%s': %w", text(args, "var"), ceph.ENOENT)
	}
	return map[string]string{o.Name: d.config.Load().set.Get(o.Name)}, nil
}

func (d *Daemon) cmdConfigSet(args map[string]any) (any, error) {
	old := d.config.Load()
	set, err := old.set.With(map[string]string{text(args, "var"): text(args, "val")})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ceph.EINVAL)
	}
	d.config.Store(newConfig(set))
	return map[string]string{"success": ""}, nil
}

func (d *Daemon) cmdWatchers(map[string]any) (any, error) {
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

func (d *Daemon) cmdQuery(args map[string]any) (any, error) {
	id, err := ceph.ParsePGID(text(args, "pgid"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ceph.EINVAL)
	}
	spg := ceph.SPG{PGID: id, Shard: ceph.NoShard}
	var out *pginfo.QueryDump
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
func (p *pg) query() *pginfo.QueryDump {
	st := p.statistics()
	q := &pginfo.QueryDump{SnapTrimQueue: "[]", State: st.State.String(),
		Epoch: p.s.osdmap.Epoch, Up: append([]int32{}, st.Up...),
		Acting: append([]int32{}, st.Acting...), Info: p.m.Info().Dump(&st),
		Peers: []pginfo.InfoDump{}, Members: []string{p.s.d.idText()}}
	for _, o := range p.members {
		q.Members = append(q.Members, fmt.Sprint(o))
	}
	for _, o := range p.m.Peers() {
		peer := ceph.PGShard{OSD: o, Shard: ceph.NoShard}
		q.Peers = append(q.Peers, p.m.Peer(o).Info.DumpPeer(peer))
	}
	since := st.LastChange.String()
	q.RecoveryState = []pginfo.StateDump{
		{Name: p.m.State().String(), EnterTime: since}, {Name: "Started", EnterTime: since},
	}
	return q
}

// handleCommand runs a command of "ceph tell" on a goroutine of its own.
func (d *Daemon) handleCommand(c *msgr.Conn, m *message.Message, b *message.MCommand) {
	sess, _ := c.Context().(*session)
	go func() {
		r := &message.MCommandReply{}
		var out []byte
		if sess == nil || !sess.all {
			r.Result, r.Status = ceph.EACCES.Result(), "access denied"
		} else {
			var err error
			if out, err = d.tell(b.Cmd); err != nil {
				r.Result, r.Status = ceph.ResultOf(err), err.Error()
			}
		}
		reply := m.Reply(r)
		reply.Data = out
		c.Send(reply)
		m.Release()
	}()
}

// tell runs one command of the table.
func (d *Daemon) tell(cmd []string) ([]byte, error) {
	args := map[string]any{}
	if err := json.Unmarshal([]byte(strings.Join(cmd, "")), &args); err != nil {
		return nil, fmt.Errorf("command not understood: %w", ceph.EINVAL)
	}
	table := d.AdminCommands()
	prefix := text(args, "prefix")
	if prefix == "get_command_descriptions" {
		return cephjson.Marshal(admin.Descriptions(table), false), nil
	}
	i := slices.IndexFunc(table, func(c admin.Command) bool { return c.Prefix == prefix })
	if i < 0 {
		return nil, fmt.Errorf("unrecognized command '%s': %w", prefix, ceph.EINVAL)
	}
	v, err := table[i].Run(args)
	if err != nil {
		return nil, err
	}
	if s, ok := v.(string); ok {
		return []byte(s), nil
	}
	return cephjson.Marshal(v, text(args, "format") != "json"), nil
}

type peeringInfo = pginfo.Info
