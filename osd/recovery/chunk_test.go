package recovery

import (
	"slices"
	"testing"

	"glue/ceph"
)

func named(name string, snap ceph.SnapID) ceph.HObject {
	return ceph.HObject{Pool: 1, Name: name, Snap: snap}
}

// TestChunkAndClones: a target gets a write of an object and its clone only if it has both as they
// were; if not, both are still to be copied afterwards.
func TestChunkAndClones(t *testing.T) {
	head, old, made := named("a", ceph.NoSnap), named("a", 2), named("a", 5)
	v := func(n uint64) ceph.Eversion { return ceph.Eversion{Epoch: 1, Version: n} }
	scanned := func(theirs map[ceph.HObject]ceph.Eversion) *Chunk {
		c := NewChunk(ceph.HObject{}, ceph.MaxHObject(), map[ceph.HObject]ceph.Eversion{
			head: v(3), old: v(2)})
		var objects []ceph.HObject
		var versions []ceph.Eversion
		for o, w := range theirs {
			objects, versions = append(objects, o), append(versions, w)
		}
		c.Scanned(objects, versions)
		return c
	}
	c := scanned(map[ceph.HObject]ceph.Eversion{head: v(3), old: v(2)})
	if !c.Wrote(head, made) || !c.Wrote(head, ceph.HObject{}) || len(c.Todo()) != 0 {
		t.Errorf("a target that has all does not get the write; todo %v", c.Todo())
	}
	c = scanned(map[ceph.HObject]ceph.Eversion{head: v(1), old: v(2)})
	if c.Wrote(head, made) || !slices.Equal(c.Todo(), []ceph.HObject{made, head}) {
		t.Errorf("with an older head: todo %v", c.Todo())
	}
	c = scanned(map[ceph.HObject]ceph.Eversion{head: v(3)})
	if c.Wrote(head, old) || !slices.Equal(c.Todo(), []ceph.HObject{old, head}) {
		t.Errorf("rolled back to a clone that is not there: todo %v", c.Todo())
	}
	if !c.Begun(old) || c.Wrote(head, old) {
		t.Error("rolled back to a clone that is on its way")
	}
	c = NewChunk(ceph.HObject{}, ceph.MaxHObject(), map[ceph.HObject]ceph.Eversion{head: v(3)})
	if c.Wrote(head, made) {
		t.Error("a write while the target is asked")
	}
	c.Scanned([]ceph.HObject{head}, []ceph.Eversion{v(3)})
	if !slices.Equal(c.Todo(), []ceph.HObject{made, head}) {
		t.Errorf("written while the target was asked: todo %v", c.Todo())
	}
}
