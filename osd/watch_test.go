package osd

import (
	"testing"
	"time"

	"glue/ceph"
	"glue/osd/ops"
	"glue/wire/message"
)

// TestWatchOutlivesStall: a watch whose client pings is not ended by requests having to wait for
// longer than its timeout: a ping that waits before its removal counts, answered or not.
func TestWatchOutlivesStall(t *testing.T) {
	for what, busy := range map[string]bool{"a lease": false, "a lease, and a write": true} {
		t.Run(what, func(t *testing.T) {
			s := withClients(t, 5)
			s.put(s.cl[0], 0, "old")
			_, p := s.pgOf(0)
			var l wireLog
			tid := uint64(0)
			watch := func(action uint8) {
				tid++
				s.watches(&l, tid, action, 2)
			}
			watch(message.WatchWatch)
			s.until("the watch", func() bool { return len(l.replies) == 1 })
			k := watchKey
			ob := p.objectOf(t, k)
			for _, o := range s.nodes {
				if o.d != p.s.d {
					o.apart = s.clock.Add(time.Hour)
				}
			}
			if c := s.cl[0]; busy {
				c.tid++
				c.op = &simOp{object: 0, tid: c.tid, value: "new", call: int64(s.steps)}
				s.until("a write is under way", func() bool { return p.window.Len() > 0 })
			}
			s.until("no lease", func() bool { return !p.lease.Readable(s.clock) })
			watch(message.WatchPing)
			s.until("it waits", func() bool { return len(p.waiting) > 0 })
			w := p.watches[ob][k]
			s.until("it is too late", func() bool { return w.removing })
			for _, o := range s.nodes {
				o.apart = time.Time{}
			}
			s.until("an answer", func() bool { return len(l.replies) == 2 })
			s.until("all is done", func() bool {
				return s.settled() && len(p.waiting) == 0 && p.window.Len() == 0
			})
			if r := l.replies[1].Result; r != 0 || p.watches[ob][k] != w {
				t.Errorf("the ping has result %d, the watch is there: %v", r, p.watches[ob][k] == w)
			}
		})
	}
}

// objectOf is the object of a watch.
func (p *pg) objectOf(t *testing.T, k ops.WatchKey) ceph.HObject {
	t.Helper()
	for o, watches := range p.watches {
		if watches[k] != nil {
			return o
		}
	}
	t.Fatal("it is not there")
	return ceph.HObject{}
}

// TestDeadWatchOfFullOSD: the watch of a client that is gone ends although there is no room for
// what clients write.
func TestDeadWatchOfFullOSD(t *testing.T) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	n, p := s.pgOf(0)
	var l wireLog
	s.watches(&l, 1, message.WatchWatch, 1)
	s.until("the watch", func() bool { return len(l.replies) == 1 })
	k := watchKey
	ob := p.objectOf(t, k)
	acting, _ := p.m.Acting()
	s.until("its end", func() bool {
		for _, osd := range acting {
			if osd != n.id {
				n.d.room.Heard(osd, 0)
			}
		}
		return p.watches[ob][k] == nil
	})
}

// TestWatchComesAgain: a watch that is sent again, as its client had no answer when the connection
// broke, is bound to the new connection.
func TestWatchComesAgain(t *testing.T) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	_, p := s.pgOf(0)
	send := func(l *wireLog, tid uint64, action uint8) {
		had := len(l.replies)
		s.watches(l, tid, action, 30)
		s.until("an answer", func() bool { return len(l.replies) > had })
	}
	var broken, next wireLog
	send(&broken, 1, message.WatchWatch)
	p.connGone(&broken)
	send(&next, 1, message.WatchWatch)
	send(&next, 2, message.WatchPing)
	if a, b := next.replies[0].Result, next.replies[1].Result; a != 0 || b != 0 {
		t.Errorf("the watch has result %d, its ping %d", a, b)
	}
}

// TestPingBehindReconnect: a ping that follows the request that connects its watch again is
// answered well although both wait for a write; stock clients end a watch whose ping fails.
func TestPingBehindReconnect(t *testing.T) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	n, p := s.pgOf(0)
	var broken, next wireLog
	s.watches(&broken, 1, message.WatchWatch, 30)
	s.until("the watch", func() bool { return len(broken.replies) == 1 })
	others := s.cutOff(n)
	c := s.cl[0]
	c.tid++
	c.op = &simOp{object: 0, tid: c.tid, value: "new", call: int64(s.steps)}
	s.until("a write is under way", func() bool { return p.window.Len() > 0 })
	p.connGone(&broken)
	s.watches(&next, 2, message.WatchReconnect, 30)
	s.watches(&next, 3, message.WatchPing, 30)
	s.until("all wait", func() bool { return p.window.Len() == 3 })
	for _, o := range others {
		o.apart = time.Time{}
	}
	s.until("answers", func() bool { return len(next.replies) == 2 })
	for i, r := range next.replies {
		if r.Result != 0 {
			t.Errorf("request %d has result %d", 2+i, r.Result)
		}
	}
}

// TestWatchThatHasEndedComesAgain: a watch that was taken away meanwhile is not begun once more by
// the same request, which would be in the log twice.
func TestWatchThatHasEndedComesAgain(t *testing.T) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	_, p := s.pgOf(0)
	var l wireLog
	send := func(tid uint64, action uint8) {
		had := len(l.replies)
		s.watches(&l, tid, action, 30)
		s.until("an answer", func() bool { return len(l.replies) > had })
	}
	send(1, message.WatchWatch)
	send(2, message.WatchUnwatch)
	n := p.m.Log().Len()
	send(1, message.WatchWatch)
	send(2, message.WatchUnwatch)
	if got := p.m.Log().Len(); got != n {
		t.Errorf("%d entries more", got-n)
	}
	if send(3, message.WatchPing); l.replies[4].Result != ceph.ENOTCONN.Result() {
		t.Errorf("a ping of a watch that has ended: %d", l.replies[4].Result)
	}
}
