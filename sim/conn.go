package sim

import (
	"errors"
	"time"

	"glue/ceph"
	"glue/mon"
	"glue/wire/message"
	"glue/wire/msgr"
)

// breakSeen is how long it may take until an end sees that a connection is broken.
const breakSeen = 5 * time.Second

// A conn is a client's session with a host, as both ends see it.
type conn struct {
	w      *world
	c      *caller
	h      *host
	life   int // the host's, in which it was made
	s      *mon.Session
	open   bool // the host has not ended it
	broken bool // nothing gets through any more
	peer   msgr.Peer
	asked  *op // the newest command
}

// accept lets a client in, or not.
func (h *host) accept(c *caller, then func(*conn)) {
	back := h.w.net.Links[h.id][c.end]
	if h.m == nil {
		back.Send(0, func() { then(nil) }, nil)
		return
	}
	h.do(func(m *mon.Member) error {
		if !m.Ready() {
			back.Send(h.lag, func() { then(nil) }, nil)
			return nil
		}
		id, ok := m.GlobalID()
		if !ok {
			back.Send(h.lag, func() { then(nil) }, nil)
			return nil
		}
		h.w.check.globalID(h, id)
		k := &conn{w: h.w, c: c, h: h, life: h.life, open: true, peer: c.peer}
		if k.peer.GlobalID == 0 { // else it has one from before
			k.peer.GlobalID = id
		}
		if k.peer.Name.Type == ceph.TypeClient && k.peer.Name.Num == 0 {
			k.peer.Name.Num = int64(id)
		}
		var err error
		if k.s, err = m.Accept(k); err != nil {
			return err
		}
		back.Send(h.lag, func() { then(k) }, k.snap)
		return nil
	})
}

// Send sends from the host to the client: mon.Link.
func (k *conn) Send(m *message.Message) {
	if !k.open || k.h.disk.IsOff() {
		return
	}
	k.w.check.sent(k.h, m)
	k.toClient(func() { k.c.heard(k, m) })
}

// Close ends the session from the host's side.
func (k *conn) Close() {
	if k.open && !k.h.disk.IsOff() {
		k.open = false
		k.toClient(func() { k.c.lost(k) })
	}
}

// Peer is the client.
func (k *conn) Peer() msgr.Peer { return k.peer }

func (k *conn) toClient(deliver func()) {
	k.w.net.Links[k.h.id][k.c.end].Send(k.h.lag, func() {
		if !k.broken {
			deliver()
		}
	}, k.snap)
}

// toHost has the host do something with the session, if it still has it.
func (k *conn) toHost(do func(m *mon.Member) error) {
	k.w.net.Links[k.c.end][k.h.id].Send(0, func() { k.onHost(do) }, k.snap)
}

func (k *conn) onHost(do func(m *mon.Member) error) {
	if k.h.life != k.life && k.h.m != nil && k.w.cluster != nil { // the machine says so
		k.w.net.Links[k.h.id][k.c.end].Send(0, func() { k.c.lost(k) }, nil)
	}
	if k.h.life != k.life || k.broken {
		return
	}
	k.h.do(func(m *mon.Member) error {
		if !k.open {
			return nil
		}
		return do(m)
	})
}

// snap breaks the connection, as when something sent on it is lost. Each end learns of it some time
// later.
func (k *conn) snap() {
	if k.broken {
		return
	}
	k.broken = true
	k.w.after(k.c.wait(breakSeen), func() { k.c.lost(k) })
	k.w.after(k.c.wait(breakSeen), func() {
		if k.h.life == k.life {
			k.h.do(k.end)
		}
	})
}

func (k *conn) end(m *mon.Member) error {
	if !k.open {
		return nil
	}
	k.open = false
	return m.End(k.s)
}

// submit sends from the client to the host.
func (k *conn) submit(m *message.Message) {
	k.toHost(func(x *mon.Member) error { return x.Deliver(k.s, m) })
}

// leave ends the session from the client's side.
func (k *conn) leave() { k.toHost(k.end) }

// A probe is a session that keeps the last answer.
type probe struct {
	conn
	last *message.Message
}

func (p *probe) Send(m *message.Message) { p.last = m }
func (p *probe) Close()                  {}

// ask has a leader answer a question at once.
func (h *host) ask(text string) (int32, []byte) {
	p := &probe{conn: conn{peer: msgr.Peer{AuthName: admin, Caps: "allow *",
		Features: ceph.FeaturesAll}}}
	var ack *message.MMonCommandAck
	h.do(func(m *mon.Member) error {
		s, err := m.Accept(p)
		if err != nil {
			return err
		}
		err = m.Deliver(s, message.New(&message.MMonCommand{FSID: h.w.fsid,
			Cmd: []string{text}}))
		return errors.Join(err, m.End(s))
	})
	if p.last != nil {
		ack, _ = p.last.Body.(*message.MMonCommandAck)
	}
	if ack == nil {
		h.w.fail("mon.%s leads and does not answer %s", h.name, text)
		return -1, nil
	}
	return ack.Result, p.last.Data
}
