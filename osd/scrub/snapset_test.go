package scrub

import (
	"glue/cluster/inconsistent"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/ops"
	"glue/osd/snaps"
	"glue/store/objectstore"
)

// put adds an object to a map: a clone for some snapshots, or a head with a set.
func put(m *Map, name string, snap ceph.SnapID, size uint64, ids []ceph.SnapID, set *snaps.Set) {
	o := ceph.HObject{Pool: 1, Name: name, Snap: snap}
	info := pginfo.ObjectInfo{Object: o, Version: ceph.Eversion{Epoch: 1, Version: 1}, Size: size,
		Snaps: set}
	attrs := map[string][]byte{ops.InfoAttr: denc.Marshal(&info, ceph.FeaturesAll)}
	if snap != ceph.NoSnap {
		attrs[objectstore.TagAttr] = snaps.Attr(ids)
	}
	m.Names = append(m.Names, o)
	m.Objects = append(m.Objects, Object{Size: size, Attrs: attrs})
}

// TestSnapsets: heads and clones that fit together are counted, and what does not is found.
func TestSnapsets(t *testing.T) {
	set := &snaps.Set{Seq: 6, Clones: []snaps.Clone{
		{ID: 2, Size: 10, Snaps: []ceph.SnapID{2, 1}, Overlap: []pginfo.Range{{Begin: 0, End: 6}}},
		{ID: 4, Size: 10, Snaps: []ceph.SnapID{4}},
	}}
	ids := func(list ...ceph.SnapID) []ceph.SnapID { return list }
	for name, c := range map[string]struct {
		fill func(m *Map)
		want map[ceph.SnapID]uint64 // errors by object
		said string
	}{
		"fit": {func(m *Map) {
			put(m, "a", 2, 10, ids(2, 1), nil)
			put(m, "a", 4, 10, ids(4), nil)
			put(m, "a", ceph.NoSnap, 7, nil, set)
		}, nil, ""},
		"missing": {func(m *Map) {
			put(m, "a", 4, 10, ids(4), nil)
			put(m, "a", ceph.NoSnap, 7, nil, set)
		}, map[ceph.SnapID]uint64{ceph.NoSnap: inconsistent.CloneMissing}, "expected clone"},
		"unexpected": {func(m *Map) {
			put(m, "a", 2, 10, ids(2, 1), nil)
			put(m, "a", 3, 10, ids(3), nil)
			put(m, "a", 4, 10, ids(4), nil)
			put(m, "a", ceph.NoSnap, 7, nil, set)
		}, map[ceph.SnapID]uint64{ceph.NoSnap: inconsistent.ExtraClones,
			3: inconsistent.HeadlessClone}, "is an unexpected clone"},
		"headless": {func(m *Map) { put(m, "a", 2, 10, ids(2), nil) },
			map[ceph.SnapID]uint64{2: inconsistent.HeadlessClone}, "is an unexpected clone"},
		"another size": {func(m *Map) {
			put(m, "a", 2, 10, ids(2, 1), nil)
			put(m, "a", 4, 9, ids(4), nil)
			put(m, "a", ceph.NoSnap, 7, nil, set)
		}, map[ceph.SnapID]uint64{4: inconsistent.CloneSizeError, ceph.NoSnap: 0}, "size 9 !="},
		"other snapshots": {func(m *Map) {
			put(m, "a", 2, 10, ids(2), nil)
			put(m, "a", 4, 10, ids(4), nil)
			put(m, "a", ceph.NoSnap, 7, nil, set)
		}, map[ceph.SnapID]uint64{2: inconsistent.SnapsetError, ceph.NoSnap: 0},
			"not those that its head knows"},
	} {
		m := &Map{End: ceph.MaxHObject()}
		put(m, "0", ceph.NoSnap, 5, nil, nil) // another object before and after
		c.fill(m)
		put(m, "z", ceph.NoSnap, 5, nil, nil)
		cmp := &Comparer{Hint: func(ceph.HObject) Hint { return Hint{} }, LargeKeys: 1 << 30,
			LargeBytes: 1 << 30}
		out := cmp.Compare([]Copy{{0, m}, {1, m}}, ceph.MaxHObject())
		got := map[ceph.SnapID]uint64{}
		for _, r := range out.Snapsets {
			got[r.Object.Snap] = r.Errors
		}
		if len(got) != len(c.want) || (len(c.want) > 0) != (out.Counts.Shallow > 0) {
			t.Errorf("%s: %v, %d errors; want %v", name, got, out.Counts.Shallow, c.want)
		}
		for id, e := range c.want {
			if got[id] != e {
				t.Errorf("%s: %v has errors %#x, want %#x", name, id, got[id], e)
			}
		}
		if c.said != "" && !slices.ContainsFunc(out.Lines,
			func(l string) bool { return strings.Contains(l, c.said) }) {
			t.Errorf("%s: said %v", name, out.Lines)
		}
		if name == "fit" && (out.Counts.Objects != 5 || out.Counts.Clones != 2 ||
			out.Counts.Bytes != 5+5+7+10+4) {
			t.Errorf("counts %+v", out.Counts)
		}
	}
}
