package mon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/wire/message"
)

// TestPoolSnapshots: those that the pool has itself, by commands and by what client libraries ask.
func TestPoolSnapshots(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	w.boot(0, 1)
	run := func(c, want string, result int32) {
		t.Helper()
		if r, text, _ := w.command(s, l, c, nil); r != result || text != want {
			t.Errorf("%s: %d %q, want %d %q", c, r, text, result, want)
		}
	}
	for _, name := range []string{"p", "q"} {
		run(`{"prefix":"osd pool create","pool":"`+name+`","pg_num":4}`,
			"pool '"+name+"' created", 0)
	}
	id, _ := w.c.osd.Map().PoolByName("p")
	pool := func() *osdmap.Pool { return w.c.osd.Map().Pools[id] }
	op := func(kind uint32, name string, snap ceph.SnapID) int32 {
		t.Helper()
		w.send(s, &message.MPoolOp{FSID: testFSID, Pool: uint32(id), Op: kind, Name: name,
			SnapID: snap})
		return take[*message.MPoolOpReply](l)[0].Result
	}
	run(`{"prefix":"osd pool mksnap","pool":"p","snap":"a"}`, "created pool p snap a", 0)
	run(`{"prefix":"osd pool mksnap","pool":"p","snap":"a"}`, "pool p snap a already exists", 0)
	run(`{"prefix":"osd pool mksnap","pool":"none","snap":"a"}`, "unrecognized pool 'none'",
		ceph.ENOENT.Result())
	if r := op(message.PoolCreateSnap, "b", 0); r != 0 {
		t.Errorf("create b: %d", r)
	}
	if p := pool(); p.SnapSeq != 2 || p.Snaps[1].Name != "a" || p.Snaps[2].Name != "b" ||
		!p.Flags.Has(osdmap.PoolPoolSnaps) || p.SnapEpoch != w.c.osd.Map().Epoch {
		t.Errorf("pool %+v", p)
	}
	if r := op(message.PoolCreateOwnSnap, "", 0); r != ceph.EINVAL.Result() {
		t.Errorf("a client's own beside the pool's: %d", r)
	}
	if r := op(message.PoolDeleteOwnSnap, "", 1); r != ceph.EINVAL.Result() {
		t.Errorf("removing one as a client's own: %d", r)
	}
	run(`{"prefix":"osd pool rmsnap","pool":"p","snap":"a"}`, "removed pool p snap a", 0)
	run(`{"prefix":"osd pool rmsnap","pool":"p","snap":"a"}`, "pool p snap a does not exist", 0)
	if r := op(message.PoolDeleteSnap, "b", 0); r != 0 {
		t.Errorf("delete b: %d", r)
	}
	if p := pool(); p.SnapSeq != 4 || len(p.Snaps) != 0 {
		t.Errorf("pool %+v", p)
	}
	w.queued(id, osdmap.SnapRange{Start: 1, Len: 2})

	id, _ = w.c.osd.Map().PoolByName("q")
	if r := op(message.PoolDeleteOwnSnap, "", 1); r != ceph.EOPNOTSUPP.Result() {
		t.Errorf("removing a client's own where there is none: %d", r)
	}
	if r := op(message.PoolCreateOwnSnap, "", 0); r != 0 {
		t.Errorf("a client's own: %d", r)
	}
	const mode = "pool q is in unmanaged snaps mode"
	run(`{"prefix":"osd pool mksnap","pool":"q","snap":"a"}`, mode, ceph.EINVAL.Result())
	run(`{"prefix":"osd pool rmsnap","pool":"q","snap":"a"}`, mode, ceph.EINVAL.Result())
}

// TestPoolOfRule: what a client library's new pool has for a rule.
func TestPoolOfRule(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	w.boot(0, 1)
	for _, c := range []string{`"osd crush rule create-simple","name":"flat","root":"default",` +
		`"type":"osd"`, `"osd crush rule create-erasure","name":"coded"`} {
		if r, text, _ := w.command(s, l, `{"prefix":`+c+`}`, nil); r != 0 {
			t.Fatal(text)
		}
	}
	w.pass(time.Minute)
	flat, _ := w.c.osd.Map().Crush.RuleID("flat")
	coded, ok := w.c.osd.Map().Crush.RuleID("coded")
	if flat != 1 || !ok {
		t.Fatalf("rules %v", w.c.osd.Map().Crush.RuleNames)
	}
	for i, c := range []struct {
		rule int
		want ceph.Errno
		has  int
	}{{-1, 0, 0}, {0, 0, 0}, {flat, 0, flat}, {coded, ceph.EINVAL, 0}, {99, ceph.ENOENT, 0}} {
		name := fmt.Sprint("by-library-", i)
		w.send(s, &message.MPoolOp{FSID: testFSID, Op: message.PoolCreate, Name: name,
			Rule: int16(c.rule)})
		if r := take[*message.MPoolOpReply](l)[0].Result; r != c.want.Result() {
			t.Errorf("rule %d: %d, want %v", c.rule, r, c.want)
		}
		id, ok := w.c.osd.Map().PoolByName(name)
		if ok != (c.want == 0) || ok && int(w.c.osd.Map().Pools[id].CrushRule) != c.has {
			t.Errorf("rule %d: pool %v %+v", c.rule, ok, w.c.osd.Map().Pools[id])
		}
	}
}

// TestRuleLimitsSize: a pool can't have more copies than its rule is for, from the start, by a new
// size or by another rule.
func TestRuleLimitsSize(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	w.boot(0, 1)
	w.boot(1, 1)
	run := func(want ceph.Errno, cmd string, input []byte) {
		t.Helper()
		r, text, _ := w.command(s, l, cmd, input)
		if r != want.Result() || want != 0 && !strings.Contains(text, "crush rule max size") {
			t.Errorf("%s: %d %s", cmd, r, text)
		}
		w.pass(time.Minute)
	}
	run(0, `{"prefix":"osd crush rule create-simple","name":"two","root":"default",`+
		`"type":"osd"}`, nil)
	m := w.c.osd.Map().Crush.Clone()
	id, _ := m.RuleID("two")
	m.Rule(id).MaxSize = 2
	run(0, `{"prefix":"osd setcrushmap"}`, denc.Marshal(m, ceph.FeaturesAll))
	run(0, `{"prefix":"osd pool create","pool":"p","pg_num":4,"size":2,"rule":"two"}`, nil)
	run(0, `{"prefix":"osd pool create","pool":"q","pg_num":4,"size":3}`, nil)
	run(ceph.EINVAL,
		`{"prefix":"osd pool create","pool":"r","pg_num":4,"size":3,"rule":"two"}`, nil)
	run(ceph.EINVAL, `{"prefix":"osd pool set","pool":"p","var":"size","val":"3"}`, nil)
	run(ceph.EINVAL, `{"prefix":"osd pool set","pool":"q","var":"crush_rule","val":"two"}`, nil)
}

// TestCrushMapResent sends a CRUSH map again that was taken, as a client does that got no answer.
func TestCrushMapResent(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	w.boot(0, 1)
	version := w.c.osd.Map().CrushVersion
	next := fmt.Sprint(version + 1)
	cmd := fmt.Sprintf(`{"prefix":"osd setcrushmap","prior_version":%d}`, version)
	m := w.c.osd.Map().Crush.Clone()
	m.Names[m.Roots(false)[0]] = "other"
	for range 2 {
		r, text, _ := w.command(s, l, cmd, denc.Marshal(m, ceph.FeaturesAll))
		if r != 0 || text != next {
			t.Errorf("%d %s, want %s", r, text, next)
		}
	}
	m.Names[m.Roots(false)[0]] = "a third"
	r, text, _ := w.command(s, l, cmd, denc.Marshal(m, ceph.FeaturesAll))
	if r != ceph.EPERM.Result() {
		t.Errorf("another map for the same version: %d %s", r, text)
	}
}

// queued lets time pass and checks which snapshots of a pool are queued for removal.
func (w *world) queued(pool int64, want ...osdmap.SnapRange) {
	w.t.Helper()
	w.pass(time.Minute)
	if got := w.c.osd.Map().RemovedSnapsQueue[pool]; !slices.Equal(got, want) {
		w.t.Errorf("queue %v, want %v", got, want)
	}
}

// TestPurge: a removed snapshot stays queued until the manager says that no PG has clones of it.
func TestPurge(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	w.boot(0, 1)
	for _, c := range []string{`"osd pool create","pool":"p","pg_num":4`,
		`"osd pool mksnap","pool":"p","snap":"a"`, `"osd pool mksnap","pool":"p","snap":"b"`,
		`"osd pool rmsnap","pool":"p","snap":"a"`, `"osd pool rmsnap","pool":"p","snap":"b"`} {
		if r, text, _ := w.command(s, l, `{"prefix":`+c+`}`, nil); r != 0 {
			t.Fatal(text)
		}
	}
	id, _ := w.c.osd.Map().PoolByName("p")
	w.queued(id, osdmap.SnapRange{Start: 1, Len: 2})
	w.c.stats.digest = &pgstat.Digest{PurgedSnaps: map[int64][]osdmap.SnapRange{
		id: {{Start: 2, Len: 9}}, 99: {{Start: 1, Len: 1}}}}
	w.queued(id, osdmap.SnapRange{Start: 1, Len: 1})
	epoch := w.c.osd.Map().Epoch
	if w.queued(id, osdmap.SnapRange{Start: 1, Len: 1}); w.c.osd.Map().Epoch != epoch {
		t.Error("what was purged is purged again")
	}
	w.c.stats.digest.PurgedSnaps[id] = []osdmap.SnapRange{{Start: 1, Len: 1}}
	w.queued(id)
}
