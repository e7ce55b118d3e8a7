package mon

import (
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

func (w *world) failure(reporter, target int32, flags uint8, seconds int32) {
	w.t.Helper()
	s, _ := w.session("osd."+string(rune('0'+reporter)), "allow profile osd")
	w.send(s, &message.MOSDFailure{FSID: testFSID, Reporter: reporter, Target: target,
		Addrs: w.c.osd.Map().Addrs(target), Flags: flags, FailedFor: seconds})
	w.time = w.time.Add(2 * gatherFor)
	w.settle()
}

func up(m *osdmap.Map) []bool { return []bool{m.IsUp(0), m.IsUp(1), m.IsUp(2)} }

// TestFailureReports: one reporter is not enough, a withdrawn report does not count, and two mark
// down after the grace.
func TestFailureReports(t *testing.T) {
	w := newWorld(t)
	for id := range int32(3) {
		w.boot(id, 1)
	}
	w.failure(0, 2, message.FailureFailed, 100)
	if !w.c.osd.Map().IsUp(2) {
		t.Fatal("one reporter was enough")
	}
	w.failure(0, 2, message.FailureAlive, 0)
	w.failure(1, 2, message.FailureFailed, 100)
	if !w.c.osd.Map().IsUp(2) {
		t.Fatal("a withdrawn report counted")
	}
	w.failure(0, 2, message.FailureFailed, 1)
	if !w.c.osd.Map().IsUp(2) {
		t.Fatal("one of the two has missed it for a second")
	}
	w.pass(20 * time.Second)
	if w.c.osd.Map().IsUp(2) {
		t.Fatal("two reporters were not enough")
	}
	w.failure(0, 1, message.FailureFailed|message.FailureImmediate, 0)
	if w.c.osd.Map().IsUp(1) {
		t.Error("a refused connection did not mark down")
	}
	m := w.c.osd.Map()
	if x := m.XInfo[1]; x.DeadEpoch < m.Info[1].UpFrom || x.DownStamp == (ceph.Time{}) {
		t.Errorf("a refused connection did not mark dead: %+v", x)
	}
	if x := m.XInfo[2]; x.DeadEpoch != 0 {
		t.Errorf("silence marked dead: %+v", x)
	}
	w.failure(1, 0, message.FailureFailed|message.FailureImmediate, 0)
	if !w.c.osd.Map().IsUp(0) {
		t.Error("an OSD that is down was believed, or the last one went down")
	}
}

// TestDownOut: an OSD that stays down goes out after the interval, comes back with the weight it
// had, and not at all while noout is set.
func TestDownOut(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	for id := range int32(3) {
		w.boot(id, 1)
	}
	w.command(s, l, `{"prefix":"config set","who":"mon","name":"mon_osd_min_in_ratio",`+
		`"value":"0.3"}`, nil)
	w.command(s, l, `{"prefix":"osd reweight","id":2,"weight":0.5}`, nil)
	w.command(s, l, `{"prefix":"osd set","key":"noout"}`, nil)
	w.command(s, l, `{"prefix":"osd down","ids":["2"]}`, nil)
	w.pass(time.Hour)
	if w.c.osd.Map().IsOut(2) {
		t.Fatal("out in spite of noout")
	}
	w.command(s, l, `{"prefix":"osd unset","key":"noout"}`, nil)
	w.pass(time.Second)
	m := w.c.osd.Map()
	if m.IsIn(2) || !m.State[2].Has(osdmap.OSDAutoOut) {
		t.Fatalf("not out after an hour: weight %x state %v", m.Weight[2], m.State[2])
	}
	w.boot(2, 2)
	if m = w.c.osd.Map(); m.Weight[2] != osdmap.WeightIn/2 || !m.IsUp(2) {
		t.Errorf("back with weight %x, up %v", m.Weight[2], m.IsUp(2))
	}
}

// TestRestartedOSD: a boot under other addresses while the map says up makes it down and up again,
// so that peers see a new interval.
func TestRestartedOSD(t *testing.T) {
	w := newWorld(t)
	w.boot(0, 1)
	first := w.c.osd.Map().Epoch
	w.boot(0, 2)
	m := w.c.osd.Map()
	if !m.IsUp(0) || m.Addrs(0)[0].Nonce != 2 || m.Epoch != first+2 || m.Info[0].DownAt != first+1 {
		t.Errorf("epoch %d after %d, up %v at %v", m.Epoch, first, m.IsUp(0), m.Addrs(0))
	}
	s, _ := w.session("osd.0", "allow profile osd")
	w.send(s, &message.MOSDBoot{FSID: testFSID, OSD: 0, UUID: ceph.UUID{1}, // another disk
		Public: testAddr(6800, 3), Features: ceph.FeaturesAll})
	w.pass(time.Second)
	if m := w.c.osd.Map(); m.Addrs(0)[0].Nonce != 2 {
		t.Error("another disk took the OSD's number")
	}
}

// TestCommandAndBoot: a boot that arrives together with a command about the same OSD does not get
// into the same change, in which one would undo the other.
func TestCommandAndBoot(t *testing.T) {
	w := newWorld(t)
	w.boot(0, 1)
	s, l := w.session("client.admin", "allow *")
	o, _ := w.session("osd.0", "allow profile osd")
	w.c.handle(event{s: s, m: message.New(&message.MMonCommand{FSID: testFSID,
		Cmd: []string{`{"prefix":"osd down","ids":["0"]}`}})})
	w.c.handle(event{s: o, m: message.New(&message.MOSDBoot{FSID: testFSID, OSD: 0,
		UUID: ceph.UUID{9, 0}, Public: testAddr(6800, 7), Features: ceph.FeaturesAll})})
	before := w.c.osd.Map().Epoch
	w.settle()
	if len(take[*message.MMonCommandAck](l)) != 1 {
		t.Fatal("no answer to the command")
	}
	w.pass(time.Second)
	m := w.c.osd.Map()
	if !m.IsUp(0) || m.Addrs(0)[0].Nonce != 7 || m.Info[0].DownAt != before+1 ||
		m.Info[0].UpFrom <= m.Info[0].DownAt {
		t.Errorf("up %v at %v, down at %d, up from %d, began at %d", m.IsUp(0), m.Addrs(0),
			m.Info[0].DownAt, m.Info[0].UpFrom, before)
	}
}

// TestMarkMeDown answers once the map says down.
func TestMarkMeDown(t *testing.T) {
	w := newWorld(t)
	w.boot(0, 1)
	s, l := w.session("osd.0", "allow profile osd")
	w.send(s, &message.MOSDMarkMeDown{FSID: testFSID, OSD: 0, Addrs: testAddr(6800, 1),
		RequestAck: true})
	w.time = w.time.Add(time.Second)
	w.settle()
	acks := take[*message.MOSDMarkMeDown](l)
	if len(acks) != 1 || acks[0].RequestAck || w.c.osd.Map().IsUp(0) {
		t.Fatalf("acks %v, up %v", acks, w.c.osd.Map().IsUp(0))
	}
}

// TestManagers: the first becomes active, says when it serves, is replaced when silent; reports
// of others are not taken.
func TestManagers(t *testing.T) {
	w := newWorld(t)
	beacon := func(name string, available bool) uint64 {
		s, _ := w.session("mgr."+name, "allow profile mgr")
		w.send(s, &message.MMgrBeacon{FSID: testFSID, Name: name, GID: s.peer.GlobalID,
			Addrs: testAddr(6800, uint32(s.peer.GlobalID)), Available: available,
			Features: ceph.FeaturesAll})
		return s.peer.GlobalID
	}
	x := beacon("x", false)
	if m := w.c.mgr.Map(); m.ActiveGID != x || m.Available {
		t.Fatalf("active %d available %v", m.ActiveGID, m.Available)
	}
	y := beacon("y", false)
	if m := w.c.mgr.Map(); len(m.Standbys) != 1 || m.Standbys[y].Name != "y" {
		t.Fatalf("standbys %v", m.Standbys)
	}
	w.pass(20 * time.Second)
	y2 := beacon("y", false) // restarted
	w.pass(20 * time.Second)
	m := w.c.mgr.Map()
	if m.ActiveGID != y2 || m.ActiveName != "y" || len(m.Standbys) != 0 {
		t.Errorf("active %d (%s), standbys %v: the silent one was not replaced", m.ActiveGID,
			m.ActiveName, m.Standbys)
	}
	if len(w.c.osd.Map().Blocklist) == 0 {
		t.Error("the failed manager is not blocklisted")
	}
}

// TestSnapshots of pools and of clients that manage them: what rbd does first in a pool.
func TestSnapshots(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	w.command(s, l, `{"prefix":"osd pool create","pool":"rbd","pg_num":4}`, nil)
	op := func(s *session, l *fakeLink, kind uint32, snap ceph.SnapID) *message.MPoolOpReply {
		w.send(s, &message.MPoolOp{FSID: testFSID, Pool: 1, Op: kind, SnapID: snap})
		list := take[*message.MPoolOpReply](l)
		if len(list) != 1 {
			t.Fatalf("%d replies", len(list))
		}
		return list[0]
	}
	r := op(s, l, message.PoolCreateOwnSnap, 0)
	if r.Result != 0 || len(r.Data) != 8 || r.Data[0] != 2 || r.Epoch != w.c.osd.Map().Epoch {
		t.Fatalf("create: %+v", r)
	}
	if r := op(s, l, message.PoolCreateOwnSnap, 0); r.Data[0] != 3 {
		t.Errorf("second snapshot id %d", r.Data[0])
	}
	if r := op(s, l, message.PoolDeleteOwnSnap, 2); r.Result != 0 {
		t.Errorf("delete: %+v", r)
	}
	if !osdmap.ContainsSnap(w.c.osd.Map().RemovedSnapsQueue[1], 2) {
		t.Error("the deleted snapshot is not queued for removal")
	}
	epoch := w.c.osd.Map().Epoch
	if r := op(s, l, message.PoolDeleteOwnSnap, 2); r.Result != 0 || r.Epoch != epoch {
		t.Errorf("delete again: %+v", r)
	}
	if p := w.c.osd.Map().Pools[1]; p.SnapSeq != 4 || p.SnapEpoch != epoch {
		t.Errorf("sequence %d of epoch %d", p.SnapSeq, p.SnapEpoch)
	}
	if r := op(s, l, message.PoolDeleteOwnSnap, 9); r.Result != ceph.ENOENT.Result() {
		t.Errorf("delete of nothing: %+v", r)
	}
	if r := op(s, l, message.PoolCreateSnap, 0); r.Result != ceph.EINVAL.Result() {
		t.Errorf("pool snapshot beside a client's own: %+v", r)
	}
	n, nl := w.session("client.n", "allow r")
	if r := op(n, nl, message.PoolCreateOwnSnap, 0); r.Result != ceph.EPERM.Result() {
		t.Errorf("without caps: %+v", r)
	}
	w.command(s, l, `{"prefix":"auth get-or-create","entity":"client.r",`+
		`"caps":["mon","profile rbd","osd","profile rbd pool=rbd"]}`, nil)
	rbd, rl := w.session("client.r", "profile rbd")
	if r := op(rbd, rl, message.PoolCreateOwnSnap, 0); r.Result != 0 {
		t.Errorf("with profile rbd: %+v", r)
	}
}
