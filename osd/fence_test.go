package osd

import (
	"net/netip"
	"testing"
	"time"

	"glue/auth/caps"
	"glue/ceph"
	"glue/osd/ops"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A wireLog is a connection of a client that notes what comes.
type wireLog struct {
	maps     []*message.MOSDMap
	replies  []*message.MOSDOpReply
	notifies int
}

func (l *wireLog) Send(m *message.Message) {
	switch b := m.Body.(type) {
	case *message.MOSDMap:
		l.maps = append(l.maps, b)
	case *message.MWatchNotify:
		l.notifies++
	case *message.MOSDOpReply:
		r := *b
		l.replies = append(l.replies, &r)
	}
}

var clientAddr = ceph.Addr{Type: ceph.AddrMsgr2, Nonce: 99,
	AddrPort: netip.MustParseAddrPort("127.0.0.9:1")}

// asked sends a write of object 0 to its primary, as a client that knows the present map.
func (s *sim) asked(l *wireLog, tid uint64) (*simNode, *pg) {
	n, p := s.pgOf(0)
	op := simOp{tid: 4, value: "fenced"}
	s.sent(l, tid, n.d.osdmap.Load().Epoch, op.ops())
	return n, p
}

// sent sends a request about object 0 to its primary, as a client that knows the map of an epoch.
func (s *sim) sent(l *wireLog, tid uint64, epoch ceph.Epoch, ops []message.OSDOp) {
	n, p := s.pgOf(0)
	raw, _ := s.m.ObjectPG(simPool, "obj0", "", "")
	m := &message.MOSDOp{PG: p.id, Hash: raw.Seed, Epoch: epoch,
		Flags: message.FlagWrite, Object: "obj0", Snap: ceph.NoSnap,
		Locator: ceph.Locator{Pool: simPool, Hash: -1}, MTime: ceph.TimeOf(s.clock), Ops: ops}
	all, _ := caps.ParseOSD("allow *")
	msg := message.New(m)
	msg.TID = tid
	n.d.route(m.PG, event{kind: evOp, msg: msg, sess: &session{conn: l, caps: all, all: true,
		peer: msgr.Peer{Name: ceph.EntityName{Type: ceph.TypeClient, Num: 77},
			Addrs: ceph.AddrVec{clientAddr}, Features: ceph.FeaturesAll}}})
}

// watches sends what a client does about its watch of object 0 to the primary, as one that knows
// the present map.
func (s *sim) watches(l *wireLog, tid uint64, action uint8, seconds uint32) {
	o := message.OSDOp{Code: message.OpWatch}
	o.SetWatch(message.WatchArgs{Cookie: watchKey.Cookie, Action: action, TimeoutSec: seconds})
	s.sent(l, tid, s.m.Epoch, []message.OSDOp{o})
}

// watchKey is the watch that watches is about.
var watchKey = ops.WatchKey{Cookie: 7, Name: ceph.EntityName{Type: ceph.TypeClient, Num: 77}}

// stuck is a calm cluster in which writes of object 0 do not end, as its copies are cut off.
func stuck(t *testing.T) (*sim, *pg, []*simNode) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	n, p := s.pgOf(0)
	return s, p, s.cutOff(n)
}

// cutOff has nobody but one OSD hear of anything.
func (s *sim) cutOff(n *simNode) (others []*simNode) {
	for _, o := range s.nodes {
		if o != n {
			o.apart = s.clock.Add(time.Hour)
			others = append(others, o)
		}
	}
	return others
}

// fence blocklists the client of wireLogs, and waits until a PG knows.
func (s *sim) fence(p *pg) {
	inc := s.change()
	who := clientAddr
	who.Type = ceph.AddrAny
	inc.NewBlocklist = map[ceph.Addr]ceph.Time{who: ceph.TimeOf(s.clock.Add(time.Hour))}
	s.commit(inc)
	s.until("the map", func() bool { return p.s.osdmap.Epoch == s.m.Epoch })
}

// TestLostRoleSharesMap: a client whose request is given up, as its OSD is no primary any more,
// gets the map that says so at once.
func TestLostRoleSharesMap(t *testing.T) {
	s, p, _ := stuck(t)
	var l wireLog
	n, _ := s.asked(&l, 1)
	s.until("the write is under way", func() bool { return p.window.Len() > 0 })
	if len(l.maps) > 0 {
		t.Fatal("a map before there is a new one")
	}
	inc := s.change()
	inc.NewWeight = map[int32]uint32{n.id: 0}
	s.commit(inc)
	s.until("another primary", func() bool { return !p.primary })
	if len(l.maps) != 1 || l.maps[0].Newest != s.m.Epoch || len(l.replies) != 0 {
		t.Fatalf("got %d maps and %d replies", len(l.maps), len(l.replies))
	}
}

// TestWaitingRequestIsFenced: a request that waits while its client is blocklisted is not carried
// out, whatever it has waited for.
func TestWaitingRequestIsFenced(t *testing.T) {
	for what, waits := range map[string]func(s *sim, l *wireLog, p *pg){
		"its object": func(s *sim, l *wireLog, p *pg) {
			c := s.cl[0]
			c.tid++
			c.op = &simOp{object: 0, tid: c.tid, value: "first", call: int64(s.steps)}
			s.until("a write is under way", func() bool { return p.window.Len() > 0 })
			// A second one goes through at once; one that is behind a read does not.
			ob := p.object(p.window.All()[0].hobject)
			ob.wanted = true
			s.asked(l, 1)
			s.until("it waits", func() bool { return len(ob.waiting) > 0 })
			ob.wanted = false
		},
		"a lease": func(s *sim, l *wireLog, p *pg) {
			s.until("no lease", func() bool { return !p.lease.Readable(s.clock) })
			s.asked(l, 1)
			s.until("it waits", func() bool { return len(p.waiting) > 0 })
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, p, others := stuck(t)
			var l wireLog
			waits(s, &l, p)
			s.fence(p)
			for _, o := range others {
				o.apart = time.Time{}
			}
			s.until("an answer", func() bool { return len(l.replies) > 0 })
			if r := l.replies[0].Result; r != ceph.EBLOCKLISTED.Result() {
				t.Errorf("result %d", r)
			}
			s.until("all is done", s.settled)
			if got := s.get(s.cl[1], 0); got == "fenced" {
				t.Error("the write of a client that was fenced is there")
			}
		})
	}
}

// TestFencedWatcherHearsNothing: a client that was blocklisted is told of no notify any more, also
// while the removal of its watch has to wait.
func TestFencedWatcherHearsNothing(t *testing.T) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	n, p := s.pgOf(0)
	var l wireLog
	s.watches(&l, 1, message.WatchWatch, 30)
	s.until("the watch", func() bool { return len(l.replies) == 1 })
	k := watchKey
	w := p.watches[p.objectOf(t, k)][k]
	if p.sendNotify(w, &notify{id: 1}); l.notifies != 1 {
		t.Fatal("a watcher hears nothing")
	}
	s.cutOff(n)
	s.fence(p)
	if p.watches[p.objectOf(t, k)][k] != w {
		t.Fatal("the watch has gone, although nothing can be written")
	}
	if p.sendNotify(w, &notify{id: 2}); l.notifies != 1 {
		t.Error("a client that was fenced hears of a notify")
	}
}

// TestOutdatedPing: the ping of a watch of an earlier interval has no answer, which could reach the
// client before the map that tells it to watch again; one that knows the interval is told to.
func TestOutdatedPing(t *testing.T) {
	s := withClients(t, 5)
	s.put(s.cl[0], 0, "old")
	_, p := s.pgOf(0)
	watch := func(l *wireLog, tid uint64, epoch ceph.Epoch, action uint8) {
		o := message.OSDOp{Code: message.OpWatch}
		o.SetWatch(message.WatchArgs{Cookie: 7, Action: action})
		s.sent(l, tid, epoch, []message.OSDOp{o})
	}
	var first, second, third wireLog
	watch(&first, 1, s.m.Epoch, message.WatchWatch)
	s.until("the watch", func() bool { return len(first.replies) > 0 })
	began, before := p.m.Info().History.SameIntervalSince, s.m.Epoch
	for _, o := range s.nodes {
		if _, primary := p.m.Acting(); o.id != primary && p.m.Peer(o.id) != nil {
			inc := s.change()
			inc.NewWeight = map[int32]uint32{o.id: 0}
			s.commit(inc)
			break
		}
	}
	s.until("another interval", func() bool {
		return p.primary && p.active && p.m.Info().History.SameIntervalSince > began
	})
	watch(&second, 2, before, message.WatchPing)
	s.until("the map", func() bool { return len(second.maps) > 0 })
	s.until("all is done", s.settled)
	watch(&third, 3, s.m.Epoch, message.WatchPing)
	s.until("an answer", func() bool { return len(third.replies) > 0 })
	if r := third.replies[0].Result; r != ceph.ETIMEDOUT.Result() || len(second.replies) != 0 {
		t.Errorf("result %d for a client that knows the map, %d answers for one that does not", r,
			len(second.replies))
	}
}
