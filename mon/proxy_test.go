package mon

import (
	"testing"
	"time"

	"glue/ceph"
	"glue/wire/message"
)

// manager lets a manager come and say that it can serve.
func (w *world) manager(name string) (*session, *fakeLink) {
	s, l := w.session("mgr."+name, "allow profile mgr")
	w.send(s, &message.MMonSubscribe{What: map[string]message.SubscribeItem{"mgrdigest": {}}})
	for range 2 {
		w.send(s, &message.MMgrBeacon{FSID: testFSID, Name: name, GID: s.peer.GlobalID,
			Addrs: testAddr(6800, uint32(s.peer.GlobalID)), Available: true,
			Features: ceph.FeaturesAll})
	}
	w.pass(10 * time.Second)
	return s, l
}

// ask sends a command for the manager.
func (w *world) ask(s *session) {
	m := message.New(&message.MMonCommand{FSID: testFSID, Cmd: []string{`{"prefix":"pg stat"}`}})
	m.TID, m.Data = 7, []byte("in")
	w.c.handle(event{s: s, m: m})
	w.settle()
}

// asked is the command that a manager was sent.
func (l *fakeLink) asked(t *testing.T) *message.Message {
	t.Helper()
	for _, m := range l.sent {
		if _, ok := m.Body.(*message.MMgrCommand); ok && string(m.Data) == "in" {
			return m
		}
	}
	t.Fatalf("the manager was not asked: %v", l.sent)
	return nil
}

// TestProxy: a command for the manager waits for one, goes to the active one, to the next one if
// that is gone without an answer; and only the manager that was asked can answer.
func TestProxy(t *testing.T) {
	w := newWorld(t)
	client, l := w.session("client.a", "allow r")
	w.ask(client)
	if len(l.sent) != 0 || len(w.c.proxying.waiting) != 1 {
		t.Fatalf("sent %v, waiting %d", l.sent, len(w.c.proxying.waiting))
	}
	x, xl := w.manager("x")
	_, standby := w.manager("y")
	first := xl.asked(t)
	w.c.end(x)
	w.pass(30 * time.Second)
	y, yl := w.manager("y")
	if len(take[*message.MMgrCommand](standby)) > 0 {
		t.Error("a standby was asked")
	}
	again := yl.asked(t)
	if again.TID != first.TID {
		t.Errorf("number %d became %d", first.TID, again.TID)
	}
	reply := func(s *session) {
		m := message.New(&message.MMgrCommandReply{Result: -2, Status: "no such thing"})
		m.TID, m.Data = again.TID, []byte("out")
		w.c.handle(event{s: s, m: m})
	}
	reply(x)
	reply(client)
	if len(take[*message.MMonCommandAck](l)) != 0 {
		t.Fatal("an answer of somebody else was taken")
	}
	reply(y)
	if len(l.sent) != 1 || l.sent[0].TID != 7 || string(l.sent[0].Data) != "out" {
		t.Fatalf("answered %v", l.sent)
	}
	a := l.sent[0].Body.(*message.MMonCommandAck)
	if a.Result != -2 || a.Status != "no such thing" || len(w.c.proxying.waiting) != 0 {
		t.Errorf("answered %+v, left %+v", a, w.c.proxying)
	}
}

// TestProxyLimits: caps are looked at before, who is gone is forgotten, and what waits is bounded.
func TestProxyLimits(t *testing.T) {
	w := newWorld(t)
	poor, l := w.session("client.p", "allow service osd r")
	w.ask(poor)
	if a := take[*message.MMonCommandAck](l); len(a) != 1 || a[0].Result != ceph.EACCES.Result() {
		t.Errorf("without caps: %v", a)
	}
	client, l := w.session("client.a", "allow r")
	for range maxBlocked {
		w.ask(client)
	}
	if len(l.sent) > 0 {
		t.Fatalf("answered %v", l.sent[0].Body)
	}
	w.ask(client)
	if a := take[*message.MMonCommandAck](l); len(a) != 1 || a[0].Result != ceph.EAGAIN.Result() ||
		a[0].Status != "hit limit on proxied mgr commands" {
		t.Errorf("too many: %v", a)
	}
	w.c.end(client)
	w.c.proxySend()
	if p := w.c.proxying; len(p.waiting) != 0 || p.bytes != 0 {
		t.Errorf("a client that is gone has %+v", p)
	}
}
