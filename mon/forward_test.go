package mon

import (
	"fmt"
	"strings"
	"testing"

	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A cable is a connection that one monitor of a council has made to another.
type cable struct {
	k        *council
	from, to string
	there    *session // of the one that was connected to
	here     *session
	cut      bool
}

// cables lets the council's followers connect to their leader.
func (k *council) cables() {
	for n, w := range k.ws {
		w.c.dial = func(to ceph.AddrVec) link {
			c := &cable{k: k, from: n, to: string(rune('a' + to[0].AddrPort.Port() - 3300))}
			c.there = k.peer(c.to, n)
			c.there.conn = back{c}
			c.here = &session{conn: c, peer: msgr.Peer{AuthName: monName, AllowAll: true}}
			return c
		}
	}
}

func (c *cable) carry(to string, s *session, m *message.Message) {
	c.k.mail = append(c.k.mail, func() {
		if !c.cut && c.from != c.k.cut && c.to != c.k.cut {
			c.k.ws[to].c.handle(event{s: s, m: m})
		}
	})
}

func (c *cable) Send(m *message.Message) { c.carry(c.to, c.there, m) }
func (c *cable) Close()                  {}
func (c *cable) Peer() msgr.Peer         { return c.here.peer }

// break_ ends the connection, which both ends notice.
func (c *cable) break_() {
	c.cut = true
	c.k.ws[c.to].c.end(c.there)
	c.k.ws[c.from].c.lost(c)
}

// back is the other end of a cable.
type back struct{ *cable }

func (b back) Send(m *message.Message) { b.carry(b.from, b.here, m) }

// follower is a monitor that follows and serves.
func (k *council) follower() *world {
	k.t.Helper()
	var w *world
	k.until("a follower serves", func() bool {
		for n, x := range k.ws {
			if n != k.cut && x.c.following.leader != 0 && x.c.gate.left() > 0 {
				w = x
			}
		}
		return w != nil && k.leader() != w
	})
	return w
}

// TestFollowerServes runs commands and subscriptions through a follower.
func TestFollowerServes(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	k.cables()
	lead, w := k.leader(), k.follower()
	if r, ok := k.command(w, `{"prefix":"osd pool create","pool":"p","pg_num":4}`); !ok || r != 0 {
		t.Fatalf("answered %v, %d", ok, r)
	}
	s, l := w.session("client.admin", "allow *")
	w.c.handle(event{s: s, m: message.New(&message.MMonSubscribe{
		What: map[string]message.SubscribeItem{"osdmap": {}}})})
	maps := 0
	k.until("the follower's client gets the OSD map", func() bool {
		maps += len(take[*message.MOSDMap](l))
		return maps > 0
	})
	r, ok := k.command(lead, `{"prefix":"osd pool create","pool":"q","pg_num":4}`)
	if !ok || r != 0 {
		t.Fatalf("answered %v, %d", ok, r)
	}
	k.until("it hears of the change", func() bool {
		maps += len(take[*message.MOSDMap](l))
		return maps > 1
	})
	// What is about the monitor itself is not passed on.
	w.c.handle(event{s: s, m: message.New(&message.MCommand{FSID: testFSID,
		Cmd: []string{`{"prefix":"mon_status"}`}})})
	for _, m := range l.sent {
		if b, ok := m.Body.(*message.MCommandReply); ok && (b.Result != 0 ||
			!strings.Contains(string(m.Data), `"state": "peon"`) &&
				!strings.Contains(string(m.Data), `"state":"peon"`)) {
			t.Errorf("mon_status: %d %s", b.Result, m.Data)
		}
	}
	if n := len(lead.c.sessions); n == 0 {
		t.Fatal("the leader has no session for the follower's client")
	}
	w.c.end(s)
	for range 5 {
		k.step()
	}
	for x := range lead.c.sessions {
		if x.via != nil && x.peer.GlobalID == s.peer.GlobalID {
			t.Error("the session of a client that went away is kept")
		}
	}
}

// TestForwardedCaps lets a follower claim what a client may do: the leader looks for itself.
func TestForwardedCaps(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	k.cables()
	k.leader()
	w := k.follower()
	if r := k.ask(`{"prefix":"auth add","entity":"client.x","caps":["mon","allow r"]}`); r != 0 {
		t.Fatal(r)
	}
	for name, want := range map[string]int32{"client.x": -13, "client.nobody": 0} {
		s, l := w.session(name, "allow *")
		w.c.handle(event{s: s, m: message.New(&message.MMonCommand{FSID: testFSID,
			Cmd: []string{`{"prefix":"osd pool create","pool":"no"}`}})})
		for range 20 {
			k.step()
		}
		if want == 0 {
			if !l.closed {
				t.Errorf("%s is served", name)
			}
			continue
		}
		text := ""
		for _, ack := range take[*message.MMonCommandAck](l) {
			text = ack.Status
		}
		if !strings.Contains(text, "access denied") {
			t.Errorf("%s: %q", name, text)
		}
	}
	if _, ok := k.leader().c.osd.Map().PoolByName("no"); ok {
		t.Error("the pool was made")
	}
	// Only another monitor may speak for clients.
	lead := k.leader()
	s, l := lead.session("client.admin", "allow *")
	lead.c.handle(event{s: s, m: message.New(&message.MForward{Session: 1,
		Open: &message.ForwardedPeer{Auth: s.peer.AuthName, Socket: "127.0.0.1:1"},
		Inner: message.Wrap(message.New(&message.MMonCommand{FSID: testFSID,
			Cmd: []string{`{"prefix":"osd pool create","pool":"no"}`}}), ceph.FeaturesAll)})})
	lead.settle()
	if len(l.sent) > 0 || len(s.carries) > 0 {
		t.Error("a client spoke for another one")
	}
}

// TestFollowerLosesLeader ends a follower's sessions when the leader changes and when the
// connection to it breaks, and never gives a global id twice.
func TestFollowerLosesLeader(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	k.cables()
	for round := range 3 {
		lead, w := k.leader(), k.follower()
		for _, x := range k.ws {
			k.ids(x, 200)
		}
		s, l := w.session("client.admin", "allow *")
		send := func(s *session) {
			w.c.handle(event{s: s, m: message.New(&message.MMonCommand{FSID: testFSID,
				Cmd: []string{fmt.Sprintf(`{"prefix":"osd pool create","pool":"p%d"}`, round)}})})
		}
		send(s)
		for range 10 {
			k.step()
		}
		if len(l.sent) == 0 {
			t.Fatal("no answer")
		}
		w.c.following.conn.(*cable).break_()
		if !l.closed || len(w.c.following.sessions) != 0 {
			t.Fatal("a client was kept although what it asked may be lost")
		}
		s, l = w.session("client.admin", "allow *")
		send(s)
		k.cut = lead.c.opt.Name
		k.until("the client is sent away", func() bool { return l.closed })
		k.leader()
		k.cut = ""
		for range 100 {
			k.step()
		}
		for _, x := range k.ws {
			k.ids(x, 5000)
		}
	}
}

// TestLetInWithoutLeader: a client that got in just before its monitor lost the leader, and asks
// while there is none, is answered or sent away when there is one again, but not left waiting.
func TestLetInWithoutLeader(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	k.cables()
	for followed := 0; followed < 3; {
		lead, w := k.leader(), k.follower()
		k.cut = lead.c.opt.Name
		old := w.c.following.leader
		k.until("the follower misses its leader", func() bool {
			return w.c.following.leader != old
		})
		early := w.c.following.leader == 0
		s, l := w.session("client.admin", "allow *")
		w.c.handle(event{s: s, m: message.New(&message.MMonCommand{FSID: testFSID,
			Cmd: []string{`{"prefix":"osd set","key":"noout"}`}})})
		k.until("the client hears something", func() bool {
			return s.closed || len(take[*message.MMonCommandAck](l)) > 0
		})
		if early && w.c.following.leader != 0 {
			followed++
		}
		k.cut = ""
		for range 100 {
			k.step()
		}
	}
}

// TestSessionNumbersGoOn: a follower of the same leader in another term gives no number twice: an
// answer to a session of the old term may still come on the connection between the two.
func TestSessionNumbersGoOn(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	k.cables()
	k.leader()
	w := k.follower()
	open := func() uint64 {
		s, _ := w.session("client.admin", "allow *")
		w.c.handle(event{s: s, m: message.New(&message.MMonGetMap{})})
		return s.number
	}
	first := open()
	w.c.following.term-- // it follows anew
	w.c.follow()
	if again := open(); first == 0 || again <= first {
		t.Errorf("sessions %d and, in another term, %d", first, again)
	}
}
