package inconsistent_test

import (
	"reflect"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/inconsistent"
)

func values() (from, to []denc.Value) {
	omap, data := uint32(7), uint32(0)
	name := inconsistent.NameOf(ceph.HObject{Name: "o", Namespace: "n", Key: "k", Snap: 4})
	return []denc.Value{
			&inconsistent.Object{Object: name, Errors: inconsistent.DataMismatch, Version: 9,
				ShardErrors: inconsistent.ShardMissing | inconsistent.ShardReadError,
				Shards: []inconsistent.Shard{
					{OSD: 1, Errors: inconsistent.ShardMissing, Primary: true},
					{OSD: 2, Attrs: map[string][]byte{"_x": {1}}, Size: 5, Omap: &omap,
						Data: &data, Selected: true},
					{OSD: 3, Errors: inconsistent.ShardReadError, Size: 6,
						Attrs: map[string][]byte{"_": {}}}}},
			&inconsistent.Snapset{Object: name, Errors: inconsistent.ExtraClones,
				Clones: []ceph.SnapID{1, 2}, Missing: []ceph.SnapID{3}, Raw: []byte("set")},
			&inconsistent.Request{Interval: 3, Snapsets: 1, Max: 100,
				After: inconsistent.Name{Name: "o", Namespace: "n", Snap: ceph.NoSnap}},
			&inconsistent.Answer{Interval: 3, Records: [][]byte{{1}, {}}},
		}, []denc.Value{new(inconsistent.Object), new(inconsistent.Snapset),
			new(inconsistent.Request), new(inconsistent.Answer)}
}

// TestRoundTrip: what an OSD encodes a client reads.
func TestRoundTrip(t *testing.T) {
	from, to := values()
	for i, v := range from {
		if err := denc.Unmarshal(denc.Marshal(v, ceph.FeaturesAll), to[i], 0); err != nil {
			t.Errorf("%T: %v", v, err)
		}
		if !reflect.DeepEqual(to[i], v) {
			t.Errorf("got %+v, want %+v", to[i], v)
		}
	}
}

// FuzzDecode: whatever comes is refused, or encodes again.
func FuzzDecode(f *testing.F) {
	from, _ := values()
	for i, v := range from {
		f.Add(byte(i), denc.Marshal(v, ceph.FeaturesAll))
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		_, to := values()
		v := to[int(kind)%len(to)]
		if denc.Unmarshal(b, v, ceph.FeaturesAll) != nil {
			return
		}
		_, again := values()
		other := again[int(kind)%len(to)]
		if err := denc.Unmarshal(denc.Marshal(v, ceph.FeaturesAll), other, 0); err != nil {
			t.Fatalf("%+v does not decode again: %v", v, err)
		}
	})
}
