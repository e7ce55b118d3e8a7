package pglog

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"glue/ceph"
	"glue/cluster/pginfo"
)

func ev(epoch, version uint64) ceph.Eversion {
	return ceph.Eversion{Version: version, Epoch: ceph.Epoch(epoch)}
}

func obj(name string) ceph.HObject { return ceph.HObject{Pool: 1, Name: name, Snap: ceph.NoSnap} }

func entry(v ceph.Eversion, name string, prior ceph.Eversion) Entry {
	return Entry{Op: pginfo.LogModify, Object: obj(name), Version: v, PriorVersion: prior,
		ReqID: ceph.ReqID{Name: ceph.EntityName{Type: ceph.TypeClient, Num: 4}, TID: v.Version}}
}

func TestTrimKeepsRequests(t *testing.T) {
	l := New(ceph.Eversion{})
	for v := uint64(1); v <= 10; v++ {
		l.Append(entry(ev(1, v), "o", ev(1, v-1)))
	}
	l.Trim(ev(1, 6))
	if l.Len() != 4 || l.Tail() != ev(1, 6) || len(l.Dups()) != 6 {
		t.Fatalf("%d entries, tail %v, %d dups", l.Len(), l.Tail(), len(l.Dups()))
	}
	if a, ok := l.Find(entry(ev(1, 2), "o", ceph.Eversion{}).ReqID); !ok || a.Version != ev(1, 2) {
		t.Errorf("a trimmed request is answered %v %v", a, ok)
	}
	upTo, ok := l.TrimDups(2)
	if !ok || upTo != ev(1, 4) || len(l.Dups()) != 2 {
		t.Errorf("dups are trimmed to %v %v, %d left", upTo, ok, len(l.Dups()))
	}
	if _, ok := l.Find(entry(ev(1, 2), "o", ceph.Eversion{}).ReqID); ok {
		t.Error("a forgotten request is still known")
	}
}

// TestChanged: what changed since a version that a copy has; of a clone since a version of the head
// that it was made of. What the log does not tell for certain is the whole object.
func TestChanged(t *testing.T) {
	l := New(ev(1, 1))
	add := func(v, prior uint64, o ceph.HObject, op pginfo.LogOp, begin uint64) {
		e := entry(ev(1, v), o.Name, ev(1, prior))
		e.Object, e.Op = o, op
		e.Changes = pginfo.Changes{Known: begin > 0}
		e.Changes.Add(begin, 10)
		l.Append(e)
	}
	head, clone, lone := obj("o"), obj("o"), obj("l")
	clone.Snap, lone.Snap = 5, 5
	add(2, 1, head, pginfo.LogModify, 100)
	add(3, 2, head, pginfo.LogModify, 200)
	add(4, 3, clone, pginfo.LogClone, 0)
	add(5, 3, head, pginfo.LogModify, 300)
	add(6, 2, lone, pginfo.LogClone, 0) // without its head's entry
	add(7, 5, head, pginfo.LogModify, 350)
	add(8, 7, head, pginfo.LogModify, 0)
	add(9, 8, head, pginfo.LogModify, 400)
	for _, c := range []struct {
		o     ceph.HObject
		since ceph.Eversion
		want  []uint64
		ok    bool
	}{
		{head, ev(1, 8), []uint64{400}, true},
		{head, ev(1, 9), nil, true},
		{head, ev(1, 7), nil, false}, // 8 says nothing
		{head, ev(1, 6), nil, false}, // never was its version
		{head, ceph.Eversion{}, nil, false},
		{clone, ev(1, 1), []uint64{100, 200}, true},
		{clone, ev(1, 2), []uint64{200}, true},
		{clone, ev(1, 3), nil, true},
		{lone, ev(1, 5), nil, false},
		{lone, ev(1, 2), nil, false},
		{obj("other"), ev(1, 2), nil, false},
	} {
		x, ok := l.Changed(c.o, c.since)
		var got []uint64
		for _, r := range x.Ranges {
			got = append(got, r.Begin)
		}
		if ok != c.ok || ok && !slices.Equal(got, c.want) {
			t.Errorf("%v since %v: %v %v, want %v %v", c.o, c.since, got, ok, c.want, c.ok)
		}
	}
}

func TestMissingOldest(t *testing.T) {
	m := NewMissing()
	m.Set(obj("b"), Item{Need: ev(1, 5)})
	m.Set(obj("a"), Item{Need: ev(1, 3)})
	m.Set(obj("a"), Item{Need: ev(2, 9), Have: ev(1, 3)})
	if v, ok := m.Oldest(); !ok || v != ev(1, 5) {
		t.Errorf("oldest %v %v", v, ok)
	}
	if got := m.InOrder(); len(got) != 2 || got[0] != obj("b") || got[1] != obj("a") {
		t.Errorf("in order %v", got)
	}
	m.Remove(obj("b"))
	if v, ok := m.Oldest(); !ok || v != ev(2, 9) {
		t.Errorf("oldest %v %v", v, ok)
	}
	if d := m.TakeDirty(); len(d) != 2 {
		t.Errorf("dirty %v", d)
	}
}

// A disk is a copy with the versions of its objects, to hold the merge's decisions against.
type disk struct {
	Copy
	objects map[string]ceph.Eversion
}

func newDisk() *disk {
	return &disk{Copy: Copy{Log: New(ceph.Eversion{}), Missing: NewMissing(),
		LastBackfill: ceph.MaxHObject()}, objects: map[string]ceph.Eversion{}}
}

func (d *disk) write(e Entry) {
	d.Log.Append(e)
	if e.IsDelete() {
		delete(d.objects, e.Object.Name)
	} else {
		d.objects[e.Object.Name] = e.Version
	}
}

// settle does what a merge has decided: removes objects, and recovers what is missing.
func (d *disk) settle(truth map[string]ceph.Eversion) {
	for _, o := range d.Removed {
		delete(d.objects, o.Name)
	}
	d.Removed = nil
	for _, o := range d.Missing.InOrder() {
		it, _ := d.Missing.Get(o)
		if truth[o.Name] == it.Need {
			d.objects[o.Name] = it.Need
			d.Missing.Remove(o)
		}
	}
}

// TestMergeRandom lets two copies share a history, diverge, and merges the one into the other:
// after
// recovery it has exactly the other's objects and log, whatever was divergent.
func TestMergeRandom(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		auth, old := newDisk(), newDisk()
		v := uint64(0)
		write := func(epoch uint64, to ...*disk) {
			v++
			name := string(rune('a' + rng.IntN(5)))
			e := entry(ev(epoch, v), name, to[0].objects[name])
			if rng.IntN(4) == 0 && !e.PriorVersion.IsZero() {
				e.Op = pginfo.LogDelete
			}
			for _, d := range to {
				d.write(e)
			}
		}
		for range rng.IntN(12) {
			write(1, auth, old)
		}
		shared := v
		for range rng.IntN(5) {
			write(1, old)
		}
		v = shared
		for range rng.IntN(8) {
			write(2, auth)
		}
		if rng.IntN(2) == 0 && shared > 0 {
			auth.Log.Trim(ev(1, 1+rng.Uint64N(shared)))
		}
		l := auth.Log
		old.Merge(l.Tail(), l.Head(), l.Entries(), l.Dups())
		old.settle(auth.objects)
		if old.Log.Head() != l.Head() || old.Missing.Len() != 0 {
			t.Fatalf("seed %d: head %v, want %v; missing %v", seed, old.Log.Head(), l.Head(),
				old.Missing.InOrder())
		}
		if len(old.objects) != len(auth.objects) {
			t.Fatalf("seed %d: objects %v, want %v", seed, old.objects, auth.objects)
		}
		for name, want := range auth.objects {
			if old.objects[name] != want {
				t.Fatalf("seed %d: %s is %v, want %v", seed, name, old.objects[name], want)
			}
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	e := entry(ev(3, 8), "o", ev(2, 7))
	s := pginfo.Stats{Objects: 4, Bytes: 99}
	b := EncodeEntry(&e, ev(1, 2), &s)
	r, err := DecodeRecord(b)
	if err != nil || r.Entry == nil || r.Entry.Version != e.Version || r.Tail != ev(1, 2) ||
		r.Stats != s {
		t.Fatalf("%+v %v", r, err)
	}
	for n := range b {
		if _, err := DecodeRecord(b[:n]); err == nil {
			t.Fatalf("a record cut at %d decodes", n)
		}
	}
}

// TestDupRecords: the records of requests have ascending versions, none twice, and all requests.
func TestDupRecords(t *testing.T) {
	var dups []Dup
	for i := range 1000 {
		dups = append(dups, Dup{ReqID: ceph.ReqID{TID: uint64(i + 1)}, Version: ev(1, uint64(i/3)),
			ReturnCode: int32(i)})
	}
	var got []Dup
	last := ceph.Eversion{}
	EachDups(dups, func(v ceph.Eversion, b []byte) {
		r, err := DecodeRecord(b)
		if err != nil || r.Entry != nil || !last.Less(v) || r.Dups[len(r.Dups)-1].Version != v {
			t.Fatalf("%v after %v: %v", v, last, err)
		}
		last = v
		got = append(got, r.Dups...)
	})
	if !reflect.DeepEqual(got, dups) {
		t.Fatal("not the same requests")
	}
	// What the store forgets of whole versions, the log forgets too.
	l := New(ev(2, 0))
	for _, d := range dups {
		l.AddDup(d)
	}
	if upTo, ok := l.TrimDups(500); !ok || l.Dups()[0].Version == upTo || len(l.Dups()) > 502 {
		t.Fatalf("%d left, from %v", len(l.Dups()), l.Dups()[0].Version)
	}
}

func FuzzRecord(f *testing.F) {
	e := entry(ev(3, 8), "o", ev(2, 7))
	f.Add(EncodeEntry(&e, ev(1, 2), &pginfo.Stats{}))
	EachDups([]Dup{{Version: e.Version}}, func(_ ceph.Eversion, b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = DecodeRecord(b) })
}

// TestRequests: what a copy that gets only the newest entries is told of all others.
func TestRequests(t *testing.T) {
	l := New(ev(1, 0))
	for i := uint64(1); i <= 10; i++ {
		e := entry(ev(1, i), "o", ev(1, i-1))
		e.ReqID = ceph.ReqID{TID: i}
		l.Append(e)
	}
	l.Trim(ev(1, 3))
	far := New(ev(1, 7))
	for _, d := range l.Requests(4) {
		far.AddDup(d)
	}
	for i := uint64(1); i <= 10; i++ {
		want, _ := l.Find(ceph.ReqID{TID: i})
		got, ok := far.Find(ceph.ReqID{TID: i})
		if ok != (i <= 7) || ok && got.Version != want.Version {
			t.Errorf("request %d: %v %+v, want %+v", i, ok, got, want)
		}
	}
}
