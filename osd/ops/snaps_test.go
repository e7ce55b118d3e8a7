package ops

import (
	"encoding/hex"
	"slices"
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// writeUnder runs a vector under a snapshot context, and applies it.
func (p *pg) writeUnder(c snaps.Context, flags uint32, ops ...message.OSDOp) int32 {
	p.t.Helper()
	r := p.request(head("a"), flags, ops)
	r.SnapSeq, r.Snaps = c.Seq, c.Snaps
	n, err := Inspect(p.env.Classes, flags, ops)
	if err != nil {
		p.t.Fatal(err)
	}
	if r.State, err = LoadState(p.store, testColl, r.Object); err != nil {
		p.t.Fatal(err)
	}
	p.last = Execute(p.env, r, &n)
	if p.apply(); p.last.Clone != nil {
		p.ver++
	}
	return p.last.Result
}

func (p *pg) stateAt(snap ceph.SnapID) *State {
	p.t.Helper()
	o := head("a")
	o.Snap = snap
	st, err := LoadState(p.store, testColl, o)
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

func (p *pg) dataAt(snap ceph.SnapID) string {
	p.t.Helper()
	id, ok := FindSnap(p.env, p.stateAt(ceph.NoSnap).Info.Snaps, snap)
	if !ok {
		return "-"
	}
	o := head("a")
	o.Snap = id
	if !p.stateAt(id).Visible() {
		return "-"
	}
	b, err := p.store.Read(testColl, o, 0, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func under(seq ceph.SnapID, ids ...ceph.SnapID) snaps.Context {
	return snaps.Context{Seq: seq, Snaps: ids}
}

func rollback(to ceph.SnapID) message.OSDOp {
	op := message.OSDOp{Code: message.OpRollback}
	op.SetSnapID(to)
	return op
}

// TestClones: a write keeps what was there for snapshots that are new to the object, once; deleting
// it leaves a whiteout, which writes bring back to life; and rolling back takes it all back.
func TestClones(t *testing.T) {
	p := newPG(t)
	setKey := message.OSDOp{Code: message.OpOmapSetVals,
		In: encodePairs(map[string][]byte{"k": []byte("v")})}
	p.want(p.writeUnder(under(0), 0, write(0, "0123456789"), setXattr("x", "1"), setKey), 0)
	p.want(p.writeUnder(under(4, 4, 2), 0, write(2, "ab"), setXattr("x", "2")), 0)
	want := Stats{Objects: 1, Clones: 1, Bytes: 2, ObjectsDirty: 1, ObjectsOmap: 1, Writes: 2,
		WrittenKiB: 1}
	if p.last.Stats != want {
		t.Errorf("first clone: %+v", p.last.Stats)
	}
	c, e := p.stateAt(4), p.last.Clone
	if !c.Exists || c.Info.Size != 10 || c.Info.Snaps != nil || e.Op != pginfo.LogClone ||
		e.Version != c.Info.Version || !e.Version.Less(p.last.At) ||
		p.stateAt(ceph.NoSnap).Info.Version != p.last.At {
		t.Errorf("clone %+v, entry %+v, at %v", c, e, p.last.At)
	}
	o := head("a")
	o.Snap = 4
	if x, _ := p.store.GetAttr(testColl, o, "_x"); string(x) != "1" {
		t.Errorf("attribute of the clone: %q", x)
	}
	if v, _ := p.store.OmapGet(testColl, o, []string{"k"}); string(v["k"]) != "v" {
		t.Errorf("omap of the clone: %q", v)
	}
	for _, id := range []uint64{2, 4} {
		if l, _ := p.store.Tagged(testColl, id, ceph.HObject{}, 9); len(l) != 1 || l[0] != o {
			t.Errorf("found by %d: %v", id, l)
		}
	}
	p.want(p.writeUnder(under(4, 4, 2), 0, write(8, "yz!")), 0)
	if p.last.Clone != nil || p.last.Stats.Clones != 0 || p.last.Stats.Bytes != 1+2 {
		t.Errorf("second write: %+v", p.last)
	}
	p.want(p.writeUnder(under(5, 5, 4, 2), 0, plain(message.OpDelete)), 0)
	if s := p.last.Stats; s.Objects != 1 || s.Whiteouts != 1 || s.Clones != 1 ||
		p.last.Log != LogModify || p.stateAt(ceph.NoSnap).Visible() || s.ObjectsOmap != 0 {
		t.Errorf("deleted: %+v", p.last)
	}
	p.want(p.writeUnder(under(5, 5, 4, 2), 0, plain(message.OpDelete)), ceph.ENOENT.Result())
	p.want(p.do("a", read(0, 0)), ceph.ENOENT.Result())
	for at, data := range map[ceph.SnapID]string{1: "-", 2: "0123456789", 3: "-",
		4: "0123456789", 5: "01ab4567yz!", 6: "-"} {
		if got := p.dataAt(at); got != data {
			t.Errorf("at %d: %q, want %q", at, got, data)
		}
	}
	p.want(p.writeUnder(under(6, 6, 5, 4, 2), 0, write(0, "new")), 0)
	if s := p.last.Stats; s.Objects != 0 || s.Whiteouts != -1 || p.last.Clone != nil {
		t.Errorf("back to life: %+v", s)
	}
	p.want(p.writeUnder(under(7, 7, 6, 5, 4, 2), 0, rollback(4)), 0)
	if got := p.dataAt(9) + p.dataAt(7); got != "0123456789new" {
		t.Errorf("rolled back: %q", got)
	}
	if a, _ := p.store.GetAttrs(testColl, head("a")); string(a["_x"]) != "1" ||
		a[objectstore.TagAttr] != nil {
		t.Errorf("attributes after rolling back: %q", a)
	}
	p.want(p.writeUnder(under(7, 7, 6, 5, 4, 2), 0, rollback(1)), 0)
	if p.stateAt(ceph.NoSnap).Visible() {
		t.Error("rolled back to when it was not there, it is there")
	}
}

// TestListSnaps holds the answer against its layout, obj_list_snap_response_t version 2.
func TestListSnaps(t *testing.T) {
	p := newPG(t)
	p.want(p.writeUnder(under(0), 0, write(0, "0123456789")), 0)
	p.want(p.writeUnder(under(4, 4, 2), 0, write(2, "ab")), 0)
	r := p.request(head("a"), 0, []message.OSDOp{plain(message.OpListSnaps)})
	r.Object.Snap = ceph.SnapDir
	n, _ := Inspect(p.env.Classes, 0, r.Ops)
	if err := Check(p.env.Limits, &n, r); err != nil {
		t.Fatal(err)
	}
	r.State = p.stateAt(ceph.SnapDir)
	out := Execute(p.env, r, &n)
	const want = "0201" + "78000000" + "02000000" +
		"0101" + "48000000" + "0400000000000000" + "02000000" + "02000000000000000400000000000000" +
		"02000000" + "00000000000000000200000000000000" + "04000000000000000600000000000000" +
		"0a00000000000000" +
		"0101" + "18000000" + "feffffffffffffff" + "00000000" + "00000000" + "0a00000000000000" +
		"0400000000000000"
	if got := hex.EncodeToString(out.Ops[0].Out); got != want {
		t.Errorf("result %d:\n%s\n%s", out.Result, got, want)
	}
}

// TestContexts: which snapshots count for a write.
func TestContexts(t *testing.T) {
	p := newPG(t)
	p.want(p.writeUnder(under(5, 5), 0, write(0, "x")), 0)
	p.want(p.writeUnder(under(4, 4, 2), message.FlagOrderSnap, write(0, "y")),
		ceph.EOLDSNAPC.Result())
	p.want(p.writeUnder(under(4, 4, 2), 0, write(0, "y")), 0)
	p.want(p.writeUnder(under(6, 2, 4), 0, write(0, "y")), ceph.EINVAL.Result())
	p.env.Removed = []osdmap.SnapRange{{Start: 7, Len: 1}}
	p.want(p.writeUnder(under(7, 7), 0, write(0, "z")), 0)
	if p.last.Clone != nil || p.stateAt(ceph.NoSnap).Info.Snaps.Seq != 7 {
		t.Errorf("a clone for a snapshot that is being removed: %+v", p.last.Clone)
	}
	p.env.PoolSnaps = &snaps.Context{Seq: 9, Snaps: []ceph.SnapID{9, 8}}
	p.want(p.writeUnder(under(0), 0, write(0, "pool")), 0)
	if c := p.last.Clone; c == nil || c.Object.Snap != 9 {
		t.Errorf("the pool's snapshots: %+v", c)
	}
}

// TestTrim: a clone goes when its last snapshot does, and a whiteout with its last clone.
func TestTrim(t *testing.T) {
	p := newPG(t)
	p.want(p.writeUnder(under(0), 0, write(0, "0123456789")), 0)
	p.want(p.writeUnder(under(4, 4, 2), 0, write(2, "ab")), 0)
	p.want(p.writeUnder(under(5, 5, 4, 2), 0, plain(message.OpDelete)), 0)
	sum := Stats{}
	trim := func(id ceph.SnapID, removed ...ceph.SnapID) Outcome {
		o := head("a")
		o.Snap = id
		out, ok := Trim(p.env, p.stateAt(ceph.NoSnap), o, ceph.Eversion{Epoch: 9, Version: p.ver},
			func(s ceph.SnapID) bool { return slices.Contains(removed, s) })
		if !ok || out.Failure != nil {
			t.Fatalf("clone %d: %v %v", id, ok, out.Failure)
		}
		p.ver += 2
		p.submit(func(tx *objectstore.Transaction) { tx.Append(out.Transaction) })
		sum.Objects += out.Stats.Objects
		sum.Bytes += out.Stats.Bytes
		sum.Clones += out.Stats.Clones
		sum.Whiteouts += out.Stats.Whiteouts
		sum.ObjectsDirty += out.Stats.ObjectsDirty
		return out
	}
	if out := trim(4, 4); out.Clone.Op != pginfo.LogModify || out.Log != LogModify ||
		p.dataAt(2) != "0123456789" || p.dataAt(4) != "-" {
		t.Errorf("one snapshot of two: %+v", out)
	}
	if out := trim(4, 2); out.Clone.Op != pginfo.LogDelete || out.Log != LogModify {
		t.Errorf("the last snapshot of a clone: %+v", out)
	}
	if out := trim(5, 5); out.Log != LogDelete || p.stateAt(ceph.NoSnap).Exists {
		t.Errorf("the last clone of a whiteout: %+v", out)
	}
	if want := (Stats{Objects: -3, Bytes: -12, Clones: -2, Whiteouts: -1, ObjectsDirty: -3}); sum !=
		want {
		t.Errorf("all that is gone: %+v", sum)
	}
	if l, _, _ := p.store.List(testColl, ceph.HObject{}, 9); len(l) != 0 {
		t.Errorf("left over: %v", l)
	}
}
