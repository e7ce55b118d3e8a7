package blockstore

import (
	"encoding/binary"
	"testing"

	"glue/ceph"
	"glue/store/objectstore"
	"glue/store/storetest"
)

// PR 68707: of two indexes of clones by snapshot, one was not written when recovery brought a
// clone, so that it was never trimmed. Here the index follows from an attribute, whoever sets it:
// it is what a look at all objects says, and what fsck wants, after every crash in the middle of
// making clones, trimming, recovery under a temporary name, splits, merges and the end of a
// collection.
func TestKnownSnapshotIndexOfAnotherPath(t *testing.T) {
	tags := func(ids ...uint64) map[string][]byte {
		var b []byte
		for _, id := range ids {
			b = binary.BigEndian.AppendUint64(b, id)
		}
		return map[string][]byte{objectstore.TagAttr: b, "_": []byte("info")}
	}
	obj := storetest.Object
	temp := obj(2)
	temp.Pool = -5
	half := ceph.SPG{PGID: ceph.PGID{Pool: 1, Seed: 1}, Shard: ceph.NoShard}
	st := newStory()
	st.add(putObject(1, 2))
	st.add(func(t *objectstore.Transaction) { // a clone, as a write makes it
		t.Clone(knownColl, obj(1), obj(3))
		t.SetAttrs(knownColl, obj(3), tags(1, 2))
	})
	st.add(func(t *objectstore.Transaction) { // the same, recovered in pieces
		t.Truncate(knownColl, temp, 4096)
		t.SetAttrs(knownColl, temp, tags(2, 3))
	}, func(t *objectstore.Transaction) { t.MoveRename(knownColl, temp, obj(5)) })
	st.add(func(t *objectstore.Transaction) { // a part of it anew
		t.RmAttrs(knownColl, obj(5))
		t.SetAttrs(knownColl, obj(5), tags(3, 4))
	})
	st.add(func(t *objectstore.Transaction) { t.SetAttrs(knownColl, obj(3), tags(2)) })
	st.add(func(t *objectstore.Transaction) { t.Clone(knownColl, obj(3), obj(6)) })
	st.add(func(t *objectstore.Transaction) {
		t.MkColl(half)
		t.SplitColl(knownColl, half, 1)
	})
	for i := 7; i < 20; i++ {
		c := knownColl
		if obj(i).Hash&1 == 1 {
			c = half
		}
		id := uint64(i) % storetest.Tags
		st.add(func(t *objectstore.Transaction) { t.SetAttrs(c, obj(i), tags(id)) })
	}
	st.add(func(t *objectstore.Transaction) { t.MergeColl(half, knownColl, 1) })
	st.add(dropObject(3), dropObject(5))
	st.add(func(t *objectstore.Transaction) { t.RmColl(knownColl) })
	points, err := everyCrash(knownOptions(), *st, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d crashes", points)
}
