package mon

import (
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/internal/cephjson"
	"glue/internal/options"
	"glue/internal/version"
	"glue/mon/service"
	"glue/wire/message"
)

// tellOnly are commands for one monitor that are not in the tables of the quorum's commands.
var tellOnly = []commands.Descriptor{
	{Module: "mon", Perm: "r", Sig: "config show", Help: "the options in force that are not " +
		"defaults"},
	{Module: "mon", Perm: "r", Sig: "config get var:String", Help: "the value of an option here"},
	{Module: "mon", Perm: "rw", Sig: "config set var:String val:String*",
		Help: "set an option of this monitor until it restarts"},
	{Module: "mon", Perm: "r", Sig: "quorum_status", Help: "who is in the quorum"},
}

// tellTable is what "ceph tell mon.X" offers: the hidden rows that have a handler, and tellOnly.
func (c *core) tellTable() []commands.Descriptor {
	var out []commands.Descriptor
	for _, d := range commands.Monitor {
		if d.Flags&commands.FlagHidden != 0 && c.handler[d.Prefix()] != nil {
			d.Flags = 0
			out = append(out, d)
		}
	}
	return append(out, tellOnly...)
}

// tell answers a command to this monitor alone ("ceph tell mon.a ..."). It is answered by any
// member, whether there is a quorum or not.
func (c *core) tell(e event, b *message.MCommand) {
	reply := func(a service.Answer) {
		m := e.m.Reply(&message.MCommandReply{Result: a.Err.Result(), Status: a.Text})
		m.Data = a.Data
		e.s.conn.Send(m)
	}
	if b.FSID != c.fsid && !b.FSID.IsZero() {
		reply(service.Fail(ceph.EPERM, "wrong fsid"))
		return
	}
	cmd, err := commands.Parse(b.Cmd)
	if err != nil {
		reply(service.Fail(ceph.EINVAL, "%s", err))
		return
	}
	table := c.tellTable()
	if cmd.Prefix == "get_command_descriptions" {
		reply(service.Answer{Data: commands.Describe(table)})
		return
	}
	i := slices.IndexFunc(table, func(d commands.Descriptor) bool {
		return d.Prefix() == cmd.Prefix
	})
	switch {
	case i < 0:
		reply(service.Fail(ceph.EINVAL, "command not known"))
	case !e.s.allowedCommand(&table[i], cmd):
		reply(service.Fail(ceph.EACCES, "insufficient caps"))
	default:
		run := c.handler[cmd.Prefix]
		if own := c.tellHandlers()[cmd.Prefix]; own != nil {
			run = own
		}
		reply(c.run(run, &service.Request{Command: cmd, Now: c.now(), Input: e.m.Data,
			Caller: e.s.caller()}))
	}
}

func (c *core) tellHandlers() map[string]func(*service.Request) service.Answer {
	return map[string]func(*service.Request) service.Answer{
		"version": func(r *service.Request) service.Answer {
			return r.JSON(cephjson.Object{{Key: "version", Value: version.Ceph},
				{Key: "release", Value: version.Release}, {Key: "release_type", Value: "stable"}})
		},
		"config show": func(r *service.Request) service.Answer { return r.JSON(c.set.Overrides()) },
		"config get": func(r *service.Request) service.Answer {
			o, ok := options.Lookup(r.Need("var"))
			if !ok {
				return service.Fail(ceph.ENOENT, "error getting '%s': %v", r.Str("var"),
					ceph.ENOENT)
			}
			return r.JSON(cephjson.Object{{Key: o.Name, Value: c.set.Get(o.Name)}})
		},
		"config set": func(r *service.Request) service.Answer {
			set, err := c.set.With(map[string]string{r.Need("var"): strings.Join(r.Strs("val"),
				" ")})
			if err != nil {
				return service.Fail(ceph.EINVAL, "%s", err)
			}
			c.set = set
			return r.JSON(cephjson.Object{{Key: "success", Value: ""}})
		},
	}
}
