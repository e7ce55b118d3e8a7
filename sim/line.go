package sim

import (
	"errors"
	"slices"
	"time"

	"glue/ceph"
	"glue/osd"
	"glue/wire/message"
)

// A line is the session between two OSDs as they are at their present addresses. It is lossless:
// what a broken connection has lost is sent again, in order, until one of them closes the session
// or is another incarnation.
type line struct {
	c    *cluster
	n    int // the order of lines
	ends [2]*osdHost
	inc  [2]int
	gen  int
	dir  [2]stream // by sender
}

type lineKey [4]int // ends and incarnations

// A stream is one direction.
type stream struct {
	sent, got uint64
	unsent    []packet // were lost, by number
	retrying  bool
}

type packet struct {
	seq uint64
	m   message.Wrapped
}

// A lineEnd is a line as one of the two sees it.
type lineEnd struct {
	l    *line
	from int
}

// connect gives a connection: osd.Edges.
func (o *osdHost) connect(t ceph.EntityType, to ceph.AddrVec) osd.Link {
	if t == ceph.TypeMgr && o.c.manager != nil {
		return &mgrLink{o: o, life: o.life}
	}
	if t != ceph.TypeOSD {
		return noLink{}
	}
	other, inc := o.c.osdAt(to)
	return o.c.line(o, other, inc)
}

type noLink struct{}

func (noLink) Send(*message.Message) {}
func (noLink) Close()                {}

// line finds the line from an OSD to another one at an address.
func (c *cluster) line(o, t *osdHost, inc int) lineEnd {
	a, b, from := [2]int{o.end, o.inc}, [2]int{t.end, inc}, 0
	ends := [2]*osdHost{o, t}
	if a[0] > b[0] {
		a, b, from = b, a, 1
		ends[0], ends[1] = t, o
	}
	k := lineKey{a[0], a[1], b[0], b[1]}
	l := c.lines[k]
	if l == nil {
		c.count++
		l = &line{c: c, n: c.count, ends: ends, inc: [2]int{a[1], b[1]}}
		c.lines[k] = l
	}
	return lineEnd{l, from}
}

// hangUp ends all sessions of an OSD that stops being who it was.
func (c *cluster) hangUp(o *osdHost) {
	for k, l := range c.lines {
		if l.ends[0] == o || l.ends[1] == o {
			l.gen++
			delete(c.lines, k)
		}
	}
}

// Send sends: osd.Link.
func (e lineEnd) Send(m *message.Message) {
	s := &e.l.dir[e.from]
	s.sent++
	p := packet{s.sent, message.Wrap(m, ceph.FeaturesAll)}
	if len(s.unsent) > 0 {
		s.unsent = append(s.unsent, p)
		return
	}
	e.put(p)
}

// Close loses what either has sent: osd.Link.
func (e lineEnd) Close() {
	e.l.gen++
	e.l.dir = [2]stream{}
}

func (e lineEnd) put(p packet) {
	l, gen := e.l, e.l.gen
	a, b := l.ends[e.from], l.ends[1-e.from]
	l.c.w.net.Links[a.end][b.end].Send(0, func() {
		switch s := &l.dir[e.from]; {
		case gen != l.gen:
		case p.seq != s.got+1:
			e.lose(p)
		default:
			s.got++
			e.deliver(p)
		}
	}, func() {
		if gen == l.gen {
			e.lose(p)
		}
	})
}

// lose keeps what was lost, to be sent again.
func (e lineEnd) lose(p packet) {
	s := &e.l.dir[e.from]
	i, _ := slices.BinarySearchFunc(s.unsent, p.seq,
		func(q packet, seq uint64) int { return int(int64(q.seq) - int64(seq)) })
	s.unsent = slices.Insert(s.unsent, i, p)
	if s.retrying {
		return
	}
	s.retrying = true
	gen, w := e.l.gen, e.l.c.w
	w.after(20*time.Millisecond+time.Duration(e.l.ends[e.from].rng.Int64N(int64(time.Second))),
		func() {
			if gen != e.l.gen || w.over() {
				return
			}
			list := s.unsent
			s.unsent, s.retrying = nil, false
			for _, p := range list {
				e.put(p)
			}
		})
}

func (e lineEnd) deliver(p packet) {
	from, to := e.l.ends[e.from], e.l.ends[1-e.from]
	if to.inc != e.l.inc[1-e.from] {
		return
	}
	m, err := p.m.Unwrap(ceph.FeaturesAll)
	if err != nil {
		to.w.fail("osd.%d sends what can't be read: %v", from.id, err)
		return
	}
	to.w.trace("message", "from", from.id, "to", to.id, "body", m.Body)
	if t := to.c.tamper; t != nil && t(from, to, m.Body) {
		return
	}
	back := lineEnd{e.l, 1 - e.from}
	peer, gen := from.peer(), e.l.gen
	to.do(func(x *osd.Member) {
		if gen == e.l.gen {
			x.Deliver(back, peer, nil, m)
		}
	})
}

// A monEdge is an OSD's client of the monitors, in one life of the daemon: osd.Monitors.
type monEdge struct {
	o      *osdHost
	life   int
	caller caller
	subs   map[string]message.SubscribeItem
	asks   map[uint64]func(uint64, error)
	tid    uint64
}

func newMonEdge(o *osdHost) *monEdge {
	e := &monEdge{o: o, life: o.life, caller: newCaller(o.w, o.end, o.rng),
		subs: map[string]message.SubscribeItem{}, asks: map[uint64]func(uint64, error){}}
	e.caller.peer = o.peer()
	e.caller.opened, e.caller.heard, e.caller.ended = e.opened, e.heard, func() {}
	o.c.keepAlive(&e.caller)
	return e
}

// gone ends the session with the daemon.
func (e *monEdge) gone() {
	e.caller.off = true
	if k := e.caller.conn; k != nil {
		k.snap()
	}
}

// Send sends to the monitor of the session, if there is one.
func (e *monEdge) Send(b message.Body) {
	if m, ok := b.(*message.MLog); ok {
		e.o.logged(m)
	}
	if k := e.caller.conn; k != nil {
		e.o.w.trace("to monitor", "osd", e.o.id, "body", b)
		k.submit(message.New(b))
	}
}

// Subscribe asks for a kind of map from a version on.
func (e *monEdge) Subscribe(what string, start uint64, once bool) {
	item := message.SubscribeItem{Start: start}
	if once {
		item.Flags = message.SubscribeOnce
	}
	if was, ok := e.subs[what]; ok && was.Start >= start {
		return
	}
	e.subs[what] = item
	e.Send(&message.MMonSubscribe{What: map[string]message.SubscribeItem{what: item}})
}

// Got notes that a version has come.
func (e *monEdge) Got(what string, have uint64) {
	if s, ok := e.subs[what]; ok && s.Start <= have {
		s.Start = have + 1
		e.subs[what] = s
	}
}

// AskVersion asks for the newest version of a kind of map.
func (e *monEdge) AskVersion(what string, done func(uint64, error)) {
	e.tid++
	tid := e.tid
	e.asks[tid] = done
	e.Send(&message.MMonGetVersion{Handle: tid, What: what})
	e.o.w.after(5*time.Second, func() { e.answer(tid, 0, errors.New("no answer")) })
}

func (e *monEdge) answer(tid, version uint64, err error) {
	done := e.asks[tid]
	delete(e.asks, tid)
	if done != nil && e.o.life == e.life {
		e.o.do(func(*osd.Member) { done(version, err) })
	}
}

func (e *monEdge) opened(k *conn) {
	k.submit(message.New(&message.MMonSubscribe{What: cloneSubs(e.subs)}))
	e.o.do((*osd.Member).MonSession)
}

func cloneSubs(m map[string]message.SubscribeItem) map[string]message.SubscribeItem {
	out := make(map[string]message.SubscribeItem, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (e *monEdge) heard(k *conn, m *message.Message) {
	if e.caller.conn != k || e.o.life != e.life {
		return
	}
	m = e.o.w.carried(m)
	if r, ok := m.Body.(*message.MMonGetVersionReply); ok {
		e.answer(r.Handle, r.Version, nil)
		return
	}
	peer := peerOf(k.h)
	e.o.do(func(x *osd.Member) { x.Deliver(noLink{}, peer, nil, m) })
}

// keepAlive ends sessions on which nothing comes back for long (mon_client_ping_timeout).
func (c *cluster) keepAlive(x *caller) {
	const every, patience = 5 * time.Second, 15 * time.Second
	var k *conn
	var asked, answered time.Duration
	heard := x.heard
	x.heard = func(k *conn, m *message.Message) {
		answered = c.w.now
		heard(k, m)
	}
	var look func()
	look = func() {
		if x.off || c.w.over() {
			return
		}
		if x.conn != k {
			k, asked, answered = x.conn, c.w.now, c.w.now
		}
		if k != nil {
			if asked > answered+patience {
				x.drop()
			} else {
				asked = c.w.now
				k.submit(message.New(&message.MMonGetVersion{Handle: 1 << 62, What: "osdmap"}))
			}
		}
		c.w.after(every, look)
	}
	c.w.after(every, look)
}
