package mon

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"glue/ceph"
	"glue/wire/message"
)

// A council is several monitors that pass the log's messages by hand.
type council struct {
	t     *testing.T
	ws    map[string]*world
	mail  []func()
	cut   string // the monitor that nobody hears and that hears nobody
	given map[uint64]string
	ring  string
	start time.Time
	clock time.Duration // of everybody, since start
}

// port is where a monitor of one letter listens.
func port(name string) uint16 { return 3300 + uint16(name[0]-'a') }

func newCouncil(t *testing.T, names ...string) *council {
	t.Helper()
	k := &council{t: t, ws: map[string]*world{}, given: map[uint64]string{},
		start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	members := map[string]ceph.AddrVec{}
	for _, n := range names {
		members[n] = testAddr(port(n), 0)
	}
	k.ring = testRing(t, k.start)
	for _, n := range names {
		dir := filepath.Join(t.TempDir(), "mon")
		must(t, Mkfs(dir, Bootstrap{FSID: testFSID, Name: n, Members: members,
			Keyring: []byte(k.ring), Now: k.start}))
		k.open(n, dir)
	}
	return k
}

// open starts a monitor on a store.
func (k *council) open(n, dir string) *world {
	k.t.Helper()
	w := &world{t: k.t, dir: dir, gid: 5000, time: k.start.Add(k.clock)}
	c, err := newCore(Options{Dir: dir, Name: n, Log: discard(), Hostname: "host-" + n,
		Listen:    testAddr(port(n), 0),
		monotonic: func() time.Duration { return w.time.Sub(k.start) }})
	must(k.t, err)
	w.close = sync.OnceValue(c.node.Close)
	k.t.Cleanup(func() { w.close() })
	w.c, k.ws[n] = c, w
	c.now = func() time.Time { return w.time }
	c.flow.timer = time.NewTimer(time.Hour)
	c.carry = func(to ceph.AddrVec, b message.Body) {
		other := string(rune('a' + to[0].AddrPort.Port() - 3300))
		k.mail = append(k.mail, func() {
			if n != k.cut && other != k.cut && k.ws[other] != nil && k.ws[n] != nil {
				k.ws[other].c.handle(event{s: k.peer(other, n), m: message.New(b)})
			}
		})
	}
	return w
}

// peer is the session of a monitor at another one.
func (k *council) peer(at, name string) *session {
	s, l := k.ws[at].session("mon."+name, "")
	delete(k.ws[at].c.sessions, s)
	s.peer.AllowAll = true
	s.conn = answering{l, func(m *message.Message) {
		k.mail = append(k.mail, func() {
			if at != k.cut && name != k.cut && k.ws[name] != nil && k.ws[at] != nil {
				k.ws[name].c.handle(event{s: k.peer(name, at), m: m})
			}
		})
	}}
	return s
}

// An answering link passes on what is sent.
type answering struct {
	*fakeLink
	send func(*message.Message)
}

func (l answering) Send(m *message.Message) { l.send(m) }

// step lets a tick go by everywhere.
func (k *council) step() {
	k.clock += tickEvery
	names := slices.Sorted(maps.Keys(k.ws))
	for _, n := range names {
		w := k.ws[n]
		w.time = k.start.Add(k.clock)
		must(k.t, w.c.tick())
		w.settle()
	}
	for range 10 {
		mail := k.mail
		k.mail = nil
		for _, deliver := range mail {
			deliver()
		}
		for _, n := range names {
			k.ws[n].settle()
		}
	}
}

// until lets time go by until f is true.
func (k *council) until(what string, f func() bool) {
	k.t.Helper()
	for range 600 {
		if f() {
			return
		}
		k.step()
	}
	k.t.Fatalf("never: %s", what)
}

// leader waits until a monitor serves, and checks that it is the only one that can be heard.
func (k *council) leader() *world {
	k.t.Helper()
	for range 800 {
		k.step()
		var found *world
		for n, w := range k.ws {
			if n != k.cut && w.c.node.Leads() && w.c.gate.lead.Load() &&
				w.c.gate.left() > 0 {
				found = w
			}
		}
		if found != nil {
			return found
		}
	}
	k.t.Fatal("no leader")
	return nil
}

// ids takes global ids from a monitor: none may ever come twice.
func (k *council) ids(w *world, n int) {
	k.t.Helper()
	for range n {
		id, ok := w.c.gate.newGlobalID()
		if !ok {
			return
		}
		if who, dup := k.given[id]; dup {
			k.t.Fatalf("global id %d given by %s and by %s", id, who, w.c.opt.Name)
		}
		k.given[id] = w.c.opt.Name
	}
}

// command runs a command on a monitor and lets the others hear of it.
func (k *council) command(w *world, json string) (int32, bool) {
	k.t.Helper()
	s, l := w.session("client.admin", "allow *")
	m := message.New(&message.MMonCommand{FSID: testFSID, Cmd: []string{json}})
	w.c.handle(event{s: s, m: m})
	for range 60 {
		if acks := take[*message.MMonCommandAck](l); len(acks) > 0 {
			return acks[0].Result, true
		}
		k.step()
	}
	return 0, false
}

// TestLeaderIsLost cuts the leader off in the middle of work: what was answered stays, the old
// leader answers nothing any more and ends its sessions, and all states are the same in the end.
func TestLeaderIsLost(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	pools := 0
	for round := range 3 {
		w := k.leader()
		k.ids(w, 300)
		for range 5 {
			if r, ok := k.command(w, fmt.Sprintf(
				`{"prefix":"osd pool create","pool":"p%d","pg_num":4}`, pools)); !ok || r != 0 {
				t.Fatalf("round %d: answered %v, result %d", round, ok, r)
			}
			pools++
		}
		client, _ := w.session("client.admin", "allow *")
		k.cut = w.c.opt.Name
		if _, ok := k.command(w, `{"prefix":"osd pool create","pool":"lost","pg_num":4}`); ok {
			t.Fatal("a leader without a majority answered a change")
		}
		next := k.leader()
		if w.c.node.Leading() || next == w {
			t.Fatal("two monitors lead")
		}
		if _, ok := k.command(w, `{"prefix":"osd stat"}`); ok {
			t.Fatal("the cut off leader answered a question")
		}
		for range 200 {
			k.step()
		}
		if w.c.gate.lead.Load() || !client.closed {
			t.Fatalf("the cut off leader still leads %v, its client is there %v",
				w.c.gate.lead.Load(), !client.closed)
		}
		if len(next.c.osd.Map().Pools) < pools {
			t.Fatalf("%d pools, %d were made", len(next.c.osd.Map().Pools), pools)
		}
		k.ids(next, 300)
		if text := next.c.statusText(next.time); !contains(text, "out of quorum: "+k.cut) {
			t.Errorf("status does not tell of the lost monitor:\n%s", text)
		}
		k.cut = ""
		for range 200 {
			k.step()
		}
	}
	k.leader()
	for range 200 {
		k.step()
	}
	for _, n := range []string{"a", "b", "c"} {
		if host := k.ws["a"].c.mon.Metadata(n)["hostname"]; host != "host-"+n {
			t.Errorf("mon.%s is said to run on %q", n, host)
		}
	}
	want := dump(t, k.ws["a"].c.node.View())
	for n, w := range k.ws {
		got := dump(t, w.c.node.View())
		for key := range want {
			if got[key] != want[key] {
				t.Errorf("mon.%s differs in %s", n, key)
			}
		}
	}
}

// TestFarBehind cuts a follower off for so long that the log it lacks is gone: it must take the
// whole state over, and then lead with it.
func TestFarBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("makes hundreds of durable entries")
	}
	k := newCouncil(t, "a", "b", "c")
	w := k.leader()
	for n, other := range k.ws {
		if other != w {
			k.cut = n
		}
	}
	behind := k.ws[k.cut]
	if r, ok := k.command(w, `{"prefix":"osd pool create","pool":"p","pg_num":4}`); !ok || r != 0 {
		t.Fatal("no pool")
	}
	for i := range 800 {
		w.c.clusterLog(1, fmt.Sprint("line ", i))
		w.c.flow.urgent = true
		w.settle()
		for len(k.mail) > 0 {
			mail := k.mail
			k.mail = nil
			for _, deliver := range mail {
				deliver()
			}
			for n, x := range k.ws {
				if n != k.cut {
					x.settle()
				}
			}
		}
		if i%10 == 0 {
			k.step()
		}
	}
	if behind.c.node.Applied()+500 > w.c.node.Applied() {
		t.Fatalf("only %d entries behind", w.c.node.Applied()-behind.c.node.Applied())
	}
	k.cut = ""
	for range 200 {
		k.step()
	}
	if _, ok := behind.c.osd.Map().PoolByName("p"); !ok ||
		behind.c.osd.Map().Epoch != w.c.osd.Map().Epoch {
		t.Fatalf("the member that was behind has epoch %d, the leader %d",
			behind.c.osd.Map().Epoch, w.c.osd.Map().Epoch)
	}
	want, got := dump(t, w.c.node.View()), dump(t, behind.c.node.View())
	if !maps.Equal(got, want) {
		t.Error("its state differs from the leader's")
	}
	k.cut = w.c.opt.Name
	k.leader()
}
