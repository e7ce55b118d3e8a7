package mgr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/client/monc"
	"glue/cluster/commands"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A result is the answer to a command: Out goes to stdout, Status to stderr.
type result struct {
	out    []byte
	status string
	err    error
	// relay is a command for the monitors that has to be carried out first, or a list of them
	// ([]any). Its answer is this one's, unless there is out: then only its error counts.
	relay any
	quiet bool // only the error of the relayed commands counts
	// later makes the answer on a goroutine of its own.
	later func() result
	// undo runs on the loop if the relayed commands have failed.
	undo func(*state)
}

// A handler answers one command; it runs on the loop.
type handler func(s *state, c *commands.Command) result

// text is a plain answer.
func text(s string) result { return result{out: []byte(s)} }

// refuse is an error and what to tell the user.
func refuse(err ceph.Errno, format string, args ...any) result {
	return result{err: err, status: fmt.Sprintf(format, args...)}
}

// printed answers with v in the format that the client asks for, else with plain. What stock
// managers answer by a module is text or JSON only.
func printed(c *commands.Command, v func() any, plain func() string) result {
	if c.WantsJSON() || c.Format() != commands.Plain && modules[c.Prefix] == "" {
		return result{out: c.Print(v())}
	}
	return text(plain())
}

var index = commands.NewIndex(commands.Manager, commands.Modules)

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
	if conn.PeerType() == ceph.TypeMon { // they have checked who asks
		s, ok = &session{name: conn.Peer().AuthName, all: true}, true
	}
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
	c.Input = msg.Data
	c.Allowed = func(args map[string]string) bool { return s.mayTouch(d, args) }
	m.post(func(m *Manager) { m.onLoop(c, answer, time.Now().Add(loadPatience)) })
}

// loadPatience is how long a command waits for a manager that has just become active to read what
// it needs.
const loadPatience = 10 * time.Second

// onLoop runs a command, when what it needs is there.
func (m *Manager) onLoop(c *commands.Command, answer func(result), until time.Time) {
	if m.state.mustWait(c.Prefix) && time.Now().Before(until) && m.relayed.Load() < maxRelayed {
		m.relayed.Add(1)
		time.AfterFunc(100*time.Millisecond, func() {
			m.relayed.Add(-1)
			m.post(func(m *Manager) { m.onLoop(c, answer, until) })
		})
		return
	}
	switch r := m.state.run(c); {
	case r.later != nil:
		m.later(r, answer)
	case r.relay != nil:
		m.relay(r, answer)
	default:
		answer(r)
	}
}

const (
	maxRelayed   = 64 // commands at the monitors at a time
	relayTimeout = time.Minute
)

// later answers with what is made outside the loop.
func (m *Manager) later(r result, answer func(result)) {
	if m.relayed.Add(1) > maxRelayed {
		m.relayed.Add(-1)
		answer(refuse(ceph.EAGAIN, "too many commands are under way; try again"))
		return
	}
	m.wg.Go(func() {
		defer m.relayed.Add(-1)
		answer(r.later())
	})
}

// relay has the monitors carry out what a command has decided, and answers then.
func (m *Manager) relay(r result, answer func(result)) {
	if m.relayed.Add(1) > maxRelayed {
		m.relayed.Add(-1)
		answer(refuse(ceph.EAGAIN, "too many commands wait for the monitors; try again"))
		return
	}
	m.wg.Go(func() {
		defer m.relayed.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
		defer cancel()
		cmds, list := r.relay.([]any)
		if !list {
			cmds = []any{r.relay}
		}
		var reply monc.Reply
		var err error
		for i := 0; i < len(cmds) && err == nil; i++ {
			reply, err = m.client.Command(ctx, cmds[i], nil)
		}
		if len(r.out) == 0 && !r.quiet || err != nil {
			r.out, r.status, r.err = reply.Output, reply.Status, err
		}
		var refused *monc.CommandError
		if err != nil && !errors.As(err, &refused) {
			r.err, r.status = ceph.EIO, fmt.Sprintf("the monitors did not answer: %v", err)
		}
		if err != nil && r.undo != nil {
			m.post(func(m *Manager) { r.undo(&m.state) })
		}
		answer(r)
	})
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
