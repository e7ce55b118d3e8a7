package snaps

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
)

// A plain is an object as a fool would keep it: a whole copy for every snapshot.
type plain struct {
	head  []byte // nil: not there
	at    map[ceph.SnapID][]byte
	snaps Context
}

// A kept is the same by the rules: a head, clones, and the set.
type kept struct {
	head   []byte
	set    *Set
	clones map[ceph.SnapID][]byte
}

func (k *kept) write(t *testing.T, c Context, data []byte, changed []pginfo.Range) {
	next, made, n := Write(k.set, c, Head{k.head != nil, uint64(len(k.head))}, changed)
	if made {
		k.clones[next.Clones[len(next.Clones)-1].ID] = k.head
	}
	if got := AllBytes(next) - AllBytes(k.set); !made && got != n {
		t.Fatalf("%d bytes are said to be more, it is %d", n, got)
	}
	k.set, k.head = next, data
	if data == nil && !HasClones(next) {
		k.set = nil
	}
}

func (k *kept) read(at ceph.SnapID) []byte {
	id, ok := Find(k.set, at)
	switch {
	case !ok:
		return nil
	case id == ceph.NoSnap:
		return k.head
	}
	return k.clones[id]
}

// check looks at the invariants of a set, and at the overlaps by the data.
func (k *kept) check(t *testing.T, seed uint64) {
	t.Helper()
	if k.set == nil {
		return
	}
	seen := map[ceph.SnapID]bool{}
	last := ceph.SnapID(0)
	for i := range k.set.Clones {
		n := &k.set.Clones[i]
		next := k.head
		if i+1 < len(k.set.Clones) {
			next = k.clones[k.set.Clones[i+1].ID]
		}
		if n.ID <= last || n.ID > k.set.Seq || len(n.Snaps) == 0 ||
			n.Size != uint64(len(k.clones[n.ID])) {
			t.Fatalf("seed %d: clone %+v in %+v", seed, n, k.set)
		}
		last = n.ID
		for _, s := range n.Snaps {
			if seen[s] || s > n.ID {
				t.Fatalf("seed %d: snapshot %d in %+v", seed, s, k.set)
			}
			seen[s] = true
		}
		for _, r := range n.Overlap {
			if r.End > n.Size || r.End > uint64(len(next)) ||
				!bytes.Equal(k.clones[n.ID][r.Begin:r.End], next[r.Begin:r.End]) {
				t.Fatalf("seed %d: clone %+v has nothing in common at %v", seed, n, r)
			}
		}
	}
}

// TestAgainstPlainCopies: whatever is written, rolled back, snapshotted and removed, a reader at
// any snapshot that there is sees what was there when it was made.
func TestAgainstPlainCopies(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		p := plain{at: map[ceph.SnapID][]byte{}}
		k := kept{clones: map[ceph.SnapID][]byte{}}
		var old Context // of a writer who has not heard of the newest
		for range 40 {
			switch r := rng.IntN(10); {
			case r < 2:
				old = p.snaps
				p.snaps.Seq++
				p.snaps.Snaps = slices.Insert(slices.Clone(p.snaps.Snaps), 0, p.snaps.Seq)
				p.at[p.snaps.Seq] = p.head
			case r == 2 && len(p.snaps.Snaps) > 0:
				i := rng.IntN(len(p.snaps.Snaps))
				gone := p.snaps.Snaps[i]
				p.snaps.Snaps = slices.Delete(slices.Clone(p.snaps.Snaps), i, i+1)
				old = p.snaps
				delete(p.at, gone)
				trim(t, &k, gone)
			case r == 3:
				p.head = nil
				k.write(t, p.snaps, nil, []pginfo.Range{{Begin: 0, End: 1 << 60}})
			case r == 4 && len(p.snaps.Snaps) > 0:
				at := p.snaps.Snaps[rng.IntN(len(p.snaps.Snaps))]
				p.head = p.at[at]
				rollback(t, &k, p.snaps, at)
			case r == 5 && k.set != nil && old.Seq < k.set.Seq:
				// A late writer: the object has been kept already, so nothing is lost.
				p.head, _ = change(t, rng, &k, old, p.head)
			default:
				p.head, _ = change(t, rng, &k, p.snaps, p.head)
			}
			if k.check(t, seed); !bytes.Equal(p.head, k.head) {
				t.Fatalf("seed %d: head %q, want %q", seed, k.head, p.head)
			}
			for at, want := range p.at {
				if got := k.read(at); !bytes.Equal(got, want) || (got == nil) != (want == nil) {
					t.Fatalf("seed %d: at %d %q, want %q; %+v", seed, at, got, want, k.set)
				}
			}
		}
	}
}

func change(t *testing.T, rng *rand.Rand, k *kept, c Context, head []byte) ([]byte, uint64) {
	data := bytes.Clone(head)
	if data == nil {
		data = []byte{}
	}
	off, n := rng.IntN(20), 1+rng.IntN(10)
	if rng.IntN(4) == 0 && len(data) > 0 {
		off = rng.IntN(len(data))
		k.write(t, c, data[:off:off], []pginfo.Range{{Begin: uint64(off), End: 1 << 60}})
		return data[:off:off], 0
	}
	for len(data) < off+n {
		data = append(data, 0)
	}
	for i := off; i < off+n; i++ {
		data[i] = byte(rng.Uint32())
	}
	k.write(t, c, data, []pginfo.Range{{Begin: uint64(off), End: uint64(off + n)}})
	return data, 0
}

func rollback(t *testing.T, k *kept, c Context, at ceph.SnapID) {
	id, ok := Find(k.set, at)
	switch {
	case !ok || id == ceph.NoSnap && k.head == nil:
		if k.head != nil {
			k.write(t, c, nil, []pginfo.Range{{Begin: 0, End: 1 << 60}})
		}
	case id != ceph.NoSnap:
		k.write(t, c, k.clones[id], Outside(uint64(len(k.head)), Since(k.set, id)))
	}
}

func trim(t *testing.T, k *kept, gone ceph.SnapID) {
	id, ok := Find(k.set, gone)
	if !ok || id == ceph.NoSnap {
		return
	}
	next, left, n, ok := Trim(k.set, id, func(s ceph.SnapID) bool { return s == gone })
	if !ok {
		t.Fatalf("%d is not trimmed from %+v", gone, k.set)
	}
	if got := AllBytes(next) - AllBytes(k.set); got != n {
		t.Fatalf("%d bytes are said to be more, it is %d", n, got)
	}
	if len(left) == 0 {
		delete(k.clones, id)
	}
	k.set = next
	if k.head == nil && !HasClones(next) {
		k.set = nil
	}
	if _, _, _, ok := Trim(next, id, func(s ceph.SnapID) bool { return s == gone }); ok {
		t.Fatal("trimmed twice")
	}
}

func TestFindNothing(t *testing.T) {
	if id, ok := Find(nil, 0); ok {
		t.Errorf("snapshot 0 is that of %v", id)
	}
	if id, ok := Find(nil, 7); !ok || id != ceph.NoSnap {
		t.Errorf("without clones a snapshot is that of %v", id)
	}
}

func TestContext(t *testing.T) {
	for _, c := range []struct {
		c  Context
		ok bool
	}{
		{Context{}, true},
		{Context{5, []ceph.SnapID{5, 3}}, true},
		{Context{9, []ceph.SnapID{5, 3}}, true},
		{Context{4, []ceph.SnapID{5}}, false},
		{Context{5, []ceph.SnapID{3, 5}}, false},
		{Context{5, []ceph.SnapID{3, 3}}, false},
		{Context{5, []ceph.SnapID{0}}, false},
	} {
		if c.c.Valid() != c.ok {
			t.Errorf("%+v: valid %v", c.c, !c.ok)
		}
	}
	c := Context{9, []ceph.SnapID{9, 5, 3}}
	got := c.Without([]osdmap.SnapRange{{Start: 4, Len: 2}})
	if !slices.Equal(got.Snaps, []ceph.SnapID{9, 3}) || len(c.Snaps) != 3 || c.Snaps[1] != 5 {
		t.Errorf("without 4 and 5: %+v, of %+v", got, c)
	}
}

// TestRefit: whatever clones are lost, and whether the head goes back to an older version or is
// gone, the set that is made for it has those that there are, and claims nothing that is not so.
func TestRefit(t *testing.T) {
	known := 0
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 6))
		k := kept{clones: map[ceph.SnapID][]byte{}}
		var c Context
		var older kept
		var head []byte
		stop := rng.IntN(30)
		for i := range 30 {
			if rng.IntN(4) == 0 {
				c.Seq++
				c.Snaps = slices.Insert(slices.Clone(c.Snaps), 0, c.Seq)
			}
			head, _ = change(t, rng, &k, c, head)
			if i == stop {
				older = kept{head: bytes.Clone(head), set: k.set}
			}
		}
		var there []Clone
		if k.set != nil {
			for _, n := range k.set.Clones {
				if rng.IntN(3) > 0 {
					there = append(there, Clone{ID: n.ID, Snaps: n.Snaps, Size: n.Size})
				}
			}
		}
		gone := rng.IntN(3) == 0
		next := kept{head: older.head, set: Refit(older.set, there, gone), clones: k.clones}
		if gone {
			next.head = nil
		}
		if next.check(t, seed); next.set == nil && len(there) == 0 {
			continue
		}
		if len(next.set.Clones) != len(there) || next.set.Seq < Seq(older.set) {
			t.Fatalf("seed %d: %+v for %+v", seed, next.set, there)
		}
		for i, n := range next.set.Clones {
			if n.ID != there[i].ID || !slices.Equal(FromAttr(Attr(n.Snaps)), there[i].Snaps) {
				t.Fatalf("seed %d: %+v for %+v", seed, next.set, there)
			}
			known += len(n.Overlap)
		}
	}
	if known == 0 {
		t.Error("no set says what clones have in common")
	}
}
