package mon

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/daemonstate"
	"glue/internal/admin"
	"glue/internal/cephjson"
	"glue/internal/daemon"
	"glue/internal/options"
	"glue/mon/service"
	"glue/wire/message"
)

// localTable is the commands to this monitor alone, by "ceph tell mon.X" and the admin socket. Its
// handlers run on the loop.
func (c *core) localTable() *admin.Table {
	rows := []admin.Command{
		{Prefix: "mon_status", Help: "report status of monitors",
			Run: func(admin.Args) (any, error) { return c.monStatus(), nil }},
		{Prefix: "quorum_status", Help: "who is in the quorum",
			Run: func(admin.Args) (any, error) { return c.quorumStatus(c.now()), nil }},
		{Prefix: "sessions", Help: "list existing sessions",
			Run: func(admin.Args) (any, error) { return c.sessionList(), nil }},
		{Prefix: "ops", Help: "show the ops currently in flight", Run: c.cmdOps},
	}
	return admin.NewTable(rows, c.delegated(), absentRows(),
		daemon.Commands(c.conf, c.opt.LogFile, nil))
}

// delegated are rows that the monitor's own handlers answer too.
func (c *core) delegated() []admin.Command {
	var out []admin.Command
	for _, d := range commands.Monitor {
		prefix := d.Prefix()
		run := c.handler[prefix]
		if d.Flags&commands.FlagTell != commands.FlagTell || run == nil || builtIn[prefix] {
			continue
		}
		out = append(out, admin.Command{Prefix: prefix, Signature: d.Arguments(), Help: d.Help,
			Run: func(args admin.Args) (any, error) {
				text, err := json.Marshal(args)
				if err != nil {
					return nil, fmt.Errorf("arguments: %w", err)
				}
				cmd, err := commands.Parse([]string{string(text)})
				if err != nil {
					return nil, admin.Refuse(syscall.EINVAL, "%v", err)
				}
				a := c.run(run, &service.Request{Command: cmd, Now: c.now()})
				if a.Err != 0 {
					return nil, admin.Refuse(syscall.Errno(a.Err), "%s", a.Text)
				}
				return admin.Noted{Value: a.Data, Text: a.Text}, nil
			}})
	}
	return out
}

// builtIn are commands of the table that every daemon has.
var builtIn = map[string]bool{"version": true, "injectargs": true, "heap": true,
	"mon_status": true, "sessions": true, "ops": true}

// absentRows are the hidden commands of parts that do not exist.
func absentRows() []admin.Command {
	var out []admin.Command
	for _, d := range commands.Monitor {
		why, ok := commands.Unavailable[d.Prefix()]
		if d.Flags&commands.FlagTell != commands.FlagTell || !ok || builtIn[d.Prefix()] {
			continue
		}
		out = append(out, admin.Command{Prefix: d.Prefix(), Signature: d.Arguments(),
			Help: d.Help, Run: func(admin.Args) (any, error) {
				return nil, admin.Refuse(syscall.EOPNOTSUPP, "%s", why)
			}})
	}
	return out
}

// tell answers a command to this monitor alone. Any member answers, whether there is a quorum or
// not; only who may do everything is answered, as the commands are about the daemon itself.
func (c *core) tell(e event, b *message.MCommand) {
	r := &message.MCommandReply{}
	var out []byte
	switch {
	case b.FSID != c.fsid && !b.FSID.IsZero():
		r.Result, r.Status = ceph.EPERM.Result(), "wrong fsid"
	case !e.s.peer.AllowAll && !e.s.caps.AllowAll():
		r.Result, r.Status = ceph.EACCES.Result(), "access denied"
	default:
		out, r.Status, r.Result = c.local(strings.Join(b.Cmd, ""))
	}
	m := e.m.Reply(r)
	m.Data = out
	e.s.conn.Send(m)
}

func (c *core) local(request string) ([]byte, string, int32) {
	out, text, err := c.table.Run(request)
	if !c.node.Leads() && c.conflicting() { // a change can be made through the quorum only
		c.dropPrepared()
		return nil, "not the leader", ceph.EAGAIN.Result()
	}
	return out, text, -int32(admin.Errno(err))
}

// localRow is a row of the quorum's table that the local table answers.
func (c *core) localRow(prefix string, names ...string) service.Row {
	return service.Row{Prefix: prefix, Run: func(r *service.Request) service.Answer {
		args := map[string]string{"prefix": prefix, "format": r.Str("format")}
		for _, n := range names {
			args[n] = strings.Join(r.Strs(n), " ")
		}
		out, text, result := c.local(string(cephjson.Marshal(args, false)))
		return service.Answer{Err: ceph.Errno(-result), Data: out, Text: text}
	}}
}

// takeConfig puts options into force; on the loop.
func (c *core) takeConfig(set options.Set) {
	c.set = set
	c.gate.conf.Store(&gateConf{
		authTTL:         set.Duration("auth_mon_ticket_ttl"),
		serviceTTL:      set.Duration("auth_service_ticket_ttl"),
		insecureReclaim: set.Bool("auth_allow_insecure_global_id_reclaim"),
		option:          set.Str,
	})
}

// configReport is what this monitor has in force, for the manager.
func (c *core) configReport() *message.MMgrReport {
	status := c.condition(c.now()).text()
	return &message.MMgrReport{DaemonName: c.opt.Name, Service: "mon", Status: &status,
		Health: c.slowMetric(), Config: daemonstate.EncodeConfig(c.conf.Report())}
}

// memberReport keeps what another monitor has in force, for the manager.
func (c *core) memberReport(e event, b *message.MMgrReport) {
	if e.s.isMon() && e.s.peer.AuthName.ID == b.DaemonName &&
		c.mon.Map().Rank(b.DaemonName) >= 0 {
		c.reports[b.DaemonName] = b
	}
}

// An opDump is a request that has not been answered, in the shape of the stock dumps.
type opDump struct {
	Description string         `json:"description"`
	Initiated   string         `json:"initiated_at"`
	Age         cephjson.Float `json:"age"`
	Duration    cephjson.Float `json:"duration"`
	Data        struct {
		Events []any `json:"events"`
	} `json:"type_data"`
}

// flying are the requests that wait: for a commit or for a quorum.
func (c *core) flying() []event {
	var out []event
	for _, w := range append(c.flow.waiting, c.flow.next...) {
		if w.ev.m != nil {
			out = append(out, w.ev)
		}
	}
	for _, e := range c.flow.blocked {
		if e.m != nil && (e.s == nil || !e.s.closed) {
			out = append(out, e)
		}
	}
	return out
}

func (c *core) cmdOps(admin.Args) (any, error) {
	ops, now := []opDump{}, c.now()
	for _, e := range c.flying() {
		age := cephjson.Float(now.Sub(e.at).Seconds())
		d := opDump{Description: describe(e), Initiated: ceph.TimeOf(e.at).String(), Age: age,
			Duration: age}
		d.Data.Events = []any{}
		ops = append(ops, d)
	}
	return cephjson.Object{{Key: "ops", Value: ops}, {Key: "num_ops", Value: len(ops)}}, nil
}

// describe is a request in one line.
func describe(e event) string {
	what := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", e.m.Body), "*message.M"))
	if b, ok := e.m.Body.(*message.MMonCommand); ok {
		if cmd, err := commands.Parse(b.Cmd); err == nil {
			what = fmt.Sprintf("mon_command(%s)", cmd.Text())
		}
	}
	return fmt.Sprintf("%s from %v", what, e.s.peer.Name)
}

// slow counts the requests that wait for too long, and the age of the oldest.
func (c *core) slow(now time.Time) (n int, oldest time.Duration) {
	limit := c.set.Duration("mon_op_complaint_time")
	for _, e := range c.flying() {
		if age := now.Sub(e.at); age >= limit {
			n++
			oldest = max(oldest, age)
		}
	}
	return n, oldest
}
