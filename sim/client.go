package sim

import (
	"math/rand/v2"
	"time"

	"glue/wire/message"
)

const (
	clientCount = 4
	askFor      = 8 * time.Second // how long a client waits for an answer
	tryFor      = time.Second     // and for a connection
)

// A client runs one command after the other on a session with some monitor.
type client struct {
	caller
	tid   uint64
	op    *op    // not answered yet
	maps  uint64 // epoch of the newest OSD map that it was sent
	seen  uint64 // the newest epoch that an answer told of
	hurry time.Duration
	again bool // op is to be said again on the next session
	quiet bool // begins nothing
}

func newClient(w *world, end int) *client {
	c := &client{caller: newCaller(w, end,
		rand.New(rand.NewPCG(w.opt.Seed, uint64(500+end))))}
	c.opened, c.heard, c.ended = c.connected, c.receive, c.over
	return c
}

func (c *client) begin() {
	c.seek()
	c.think()
}

func (c *client) connected(k *conn) {
	c.w.trace("connected", "client", c.end, "mon", k.h.name)
	k.submit(message.New(&message.MMonSubscribe{What: map[string]message.SubscribeItem{
		"osdmap": {Start: c.maps + 1}}}))
	if c.again {
		c.again = false
		c.resend()
	}
}

// resend says a command again on a new session, as clients do. It may be carried out twice then, so
// it counts as two: one without an answer, and one that begins now.
func (c *client) resend() {
	o := *c.op
	c.w.result.Resent++
	c.w.history.unknown(c, c.op)
	o.call, o.floor = c.w.now, c.w.check.epochSeen
	c.op = &o
	c.submit(&o)
}

// over goes on when a session is over.
func (c *client) over() {
	if o := c.op; o != nil && o.removes == nil && c.w.now < o.until && c.rng.IntN(4) > 0 {
		c.again = true
	} else {
		c.unanswered()
	}
}

// think waits, then runs a command.
func (c *client) think() {
	d := 100*time.Millisecond + c.wait(6*time.Second)
	if c.w.now < c.hurry {
		d = time.Millisecond + c.wait(3*time.Millisecond)
	}
	c.w.after(d, c.act)
}

func (c *client) act() {
	switch {
	case c.w.over():
	case c.quiet || c.conn == nil || c.op != nil:
		c.w.after(50*time.Millisecond+c.wait(50*time.Millisecond), c.act)
	default:
		c.invoke(c.w.newOp(c))
	}
}

func (c *client) invoke(o *op) {
	c.tid++
	o.call, o.tid, o.floor = c.w.now, c.tid, c.w.check.epochSeen
	c.op = o
	c.w.result.Commands++
	o.until = c.w.now + askFor
	c.submit(o)
	c.w.after(askFor, func() {
		if c.op != nil && c.op.tid == o.tid {
			c.giveUp()
		}
	})
}

// giveUp ends a command that takes too long, and the session with it.
func (c *client) giveUp() {
	if c.conn != nil {
		c.drop()
		return
	}
	c.again = false
	c.unanswered()
}

func (c *client) submit(o *op) {
	c.w.trace("command", "client", c.end, "mon", c.conn.h.name, "tid", o.tid, "cmd", o.text)
	c.conn.asked = o
	m := message.New(&message.MMonCommand{FSID: c.w.fsid, Cmd: []string{o.text}})
	m.TID = o.tid
	c.conn.submit(m)
}

// unanswered gives the command under way up: it may have been done or not, or be done later.
func (c *client) unanswered() {
	if o := c.op; o != nil {
		c.op = nil
		c.w.result.Unanswered++
		c.w.history.unknown(c, o)
		c.think()
	}
}

func (c *client) receive(k *conn, m *message.Message) {
	if c.conn != k {
		return
	}
	m = c.w.carried(m)
	switch b := m.Body.(type) {
	case *message.MMonCommandAck:
		if a := k.asked; a == nil || a.tid != m.TID || len(b.Cmd) != 1 || b.Cmd[0] != a.text {
			c.w.fail("client %d is given the answer to another one's %v", c.end, b.Cmd)
			return
		}
		if o := c.op; o != nil && o.tid == m.TID {
			c.op = nil
			c.w.mix(uint64(c.w.now), uint64(c.end), o.tid, uint64(uint32(b.Result)))
			c.w.trace("answer", "client", c.end, "tid", o.tid, "result", b.Result, "text",
				b.Status, "data", short(m.Data))
			c.w.answered(c, o, b.Result, m.Data)
			c.think()
		}
	case *message.MOSDMap:
		c.w.check.pushed(c, b)
	}
}

func short(b []byte) string { return string(b[:min(len(b), 40)]) }
