package mgr

import (
	"fmt"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/internal/cephjson"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A result is the answer to a command: Out goes to stdout, Status to stderr.
type result struct {
	out    []byte
	status string
	err    error
}

// A handler answers one command; it runs on the loop.
type handler func(s *state, c *commands.Command) result

// text is a plain answer.
func text(s string) result { return result{out: []byte(s)} }

// refuse is an error and what to tell the user.
func refuse(err ceph.Errno, format string, args ...any) result {
	return result{err: err, status: fmt.Sprintf(format, args...)}
}

// printed answers with v as JSON where the client asks for it, else with plain.
func printed(c *commands.Command, v func() any, plain func() string) result {
	if f := c.Format(); f != commands.Plain || plain == nil {
		return result{out: cephjson.Marshal(v(), f != commands.JSON)}
	}
	return text(plain())
}

// later answers a command of a feature that does not exist yet.
func later(what string) handler {
	return func(*state, *commands.Command) result {
		return refuse(ceph.EOPNOTSUPP, "%s is not there yet in this version of Glue", what)
	}
}

var index = commands.NewIndex(commands.Manager)

// onCommand parses, checks and runs a command, and sends the answer made by reply.
func (m *Manager) onCommand(
	conn *msgr.Conn, msg *message.Message, cmd []string,
	reply func(int32, string) message.Body,
) {
	answer := func(r result) {
		out := msg.Reply(reply(ceph.ResultOf(r.err), r.status))
		out.Data = r.out
		conn.Send(out)
	}
	s, ok := conn.Context().(*session)
	if !ok {
		answer(refuse(ceph.EACCES, "access denied"))
		return
	}
	c, err := commands.Parse(cmd)
	if err != nil {
		answer(refuse(ceph.EINVAL, "%v", err))
		return
	}
	d, known := index[c.Prefix]
	switch {
	case !known:
		answer(refuse(ceph.EINVAL, "command not known"))
		return
	case !s.mayRun(d, c):
		m.log.Info("command refused", "entity", s.name, "command", c.Prefix)
		answer(refuse(ceph.EACCES, "access denied: does your client key have mgr caps? "+
			"See http://docs.ceph.com/en/latest/mgr/administrator/#client-authentication"))
		return
	}
	m.post(func(m *Manager) { answer(m.state.run(c)) })
}

// run answers one command on the loop.
func (s *state) run(c *commands.Command) result {
	h, ok := handlers[c.Prefix]
	if !ok {
		return refuse(ceph.EOPNOTSUPP, "%s", commands.Unavailable[c.Prefix])
	}
	if s.osdmap == nil {
		return refuse(ceph.EAGAIN, "the manager has no OSD map yet; try again in a moment")
	}
	s.pgs.Refresh(s.osdmap)
	r := h(s, c)
	if err := c.Err(); err != nil {
		return refuse(ceph.EINVAL, "%v", err)
	}
	return r
}
