package mon

import (
	"fmt"
	"runtime/debug"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/mon/service"
	"glue/wire/message"
)

// command answers one administrator's command.
func (c *core) command(e event, b *message.MMonCommand) {
	if b.FSID != c.fsid && !b.FSID.IsZero() {
		c.answer(e, b, service.Fail(ceph.EPERM, "wrong fsid"))
		return
	}
	cmd, err := commands.Parse(b.Cmd)
	if err != nil {
		c.answer(e, b, service.Fail(ceph.EINVAL, "%s", err))
		return
	}
	if cmd.Prefix == "get_command_descriptions" {
		c.answer(e, b, service.Answer{Data: descriptions})
		return
	}
	d := c.index[cmd.Prefix]
	if d == nil {
		c.answer(e, b, service.Fail(ceph.EINVAL, "command not known"))
		return
	}
	if !e.s.allowedCommand(d, cmd) {
		c.audit(e.s, cmd, "access denied")
		c.answer(e, b, service.Fail(ceph.EACCES, "access denied"))
		return
	}
	c.dispatch(e, b, d, cmd)
}

// descriptions is the answer to get_command_descriptions.
var descriptions = commands.Describe(commands.Manager, commands.Modules, commands.Monitor,
	commands.OSDMap)

func (c *core) dispatch(e event, b *message.MMonCommand, d *commands.Descriptor,
	cmd *commands.Command,
) {
	run := c.handler[cmd.Prefix]
	switch {
	case d.Flags&commands.FlagMgr != 0 && !c.node.Leading():
		c.block(e)
		return
	case d.Flags&commands.FlagMgr != 0:
		c.proxy(e, b)
		return
	case d.Flags&commands.FlagTell == commands.FlagTell && cmd.Prefix != "version":
		c.answer(e, b, service.Fail(ceph.EINVAL, "unrecognized command: it asks one monitor, "+
			"use 'ceph tell mon.ID %s'", cmd.Prefix))
		return
	case d.Flags&commands.FlagObsolete != 0 && run == nil:
		c.answer(e, b, service.Fail(ceph.EOPNOTSUPP, "command is obsolete; please check usage "+
			"and/or man page"))
		return
	case run == nil:
		c.answer(e, b, service.Fail(ceph.EOPNOTSUPP, "%s", commands.Unavailable[cmd.Prefix]))
		return
	}
	writes := perms(d.Perm)&perms("w") != 0
	if !c.node.Leading() || writes && c.flow.inflight {
		c.block(e)
		return
	}
	if writes && c.conflicting() {
		c.flow.urgent = true
		c.propose()
		c.block(e)
		return
	}
	a := c.run(run, &service.Request{
		Command: cmd, Now: c.now(), Input: e.m.Data, Caller: e.s.caller(),
		Waited: c.now().Sub(e.at),
	})
	if a.Again {
		c.block(e)
		return
	}
	if !writes {
		c.answer(e, b, a)
		return
	}
	c.audit(e.s, cmd, "dispatch")
	c.seal(e, func() { c.answer(e, b, a) }, func(err error) {
		c.answer(e, b, service.Fail(ceph.EINVAL, "%s", err))
	})
}

// run calls a handler. A handler that panics is a bug, but one that must not take the cluster's
// monitor down: what it prepared is dropped.
func (c *core) run(f func(*service.Request) service.Answer, r *service.Request) (a service.Answer) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("bug in a command", "command", r.Prefix, "panic", p,
				"stack", string(debug.Stack()))
			c.dropPrepared()
			a = service.Fail(ceph.EIO, "internal error in '%s'; see the monitor's log", r.Prefix)
		}
	}()
	a = f(r)
	if err := r.Err(); err != nil {
		c.dropPrepared()
		return service.Fail(ceph.EINVAL, "%s", err)
	}
	if a.Err != 0 || a.Again {
		c.dropPrepared()
	}
	return a
}

// dropPrepared forgets what a failed command has prepared. Nothing else was, since commands are
// prepared alone.
func (c *core) dropPrepared() {
	for _, s := range c.all {
		if d, ok := s.(interface{ Drop() }); ok {
			d.Drop()
		} else if s != service.Service(c.logs) && s.Dirty() {
			s.Discard()
		}
	}
}

// answer sends a command's answer.
func (c *core) answer(e event, b *message.MMonCommand, a service.Answer) {
	text := a.Text
	if text == "" && a.Err != 0 && !a.Bare {
		text = errnoText(a.Err)
	}
	m := e.m.Reply(&message.MMonCommandAck{Result: a.Err.Result(), Status: text, Cmd: b.Cmd})
	m.Data = a.Data
	e.s.conn.Send(m)
}

// errnoText is the C library's text with the number, as stock answers when nothing else was said.
func errnoText(e ceph.Errno) string {
	s := e.Error()
	if i := strings.Index(s, ") "); i >= 0 && i+2 < len(s) {
		s = s[:i+2] + strings.ToUpper(s[i+2:i+3]) + s[i+3:]
	}
	return s
}

// audit writes a command to the audit channel.
func (c *core) audit(s *session, cmd *commands.Command, what string) {
	c.logTo(message.LogInfo, "audit", fmt.Sprintf("from='%v %v' entity='%v' cmd=%s: %s",
		s.peer.Name, s.peer.Addrs, s.peer.AuthName, cmd.Text(), what))
}
