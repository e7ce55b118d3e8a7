package journal

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
)

var examples = []Event{
	{Kind: Discard, Off: 123, Len: 345, Granularity: 4096, Time: ceph.Time{Sec: 1, Nsec: 1}},
	{Kind: Write, Off: 123, Len: 4, Data: []byte("1111")},
	{Kind: Flush},
	{Kind: OpFinish, Op: 123, Result: -1},
	{Kind: SnapCreate, Op: 234, Name: "snap"},
	{Kind: SnapRemove, Op: 345, Name: "snap", Space: rbdspec.SnapSpace{Kind: rbdspec.SnapGroup,
		Group: rbdspec.Group{Pool: 3, ID: "g"}, GroupSnapID: "s"}},
	{Kind: SnapRename, Op: 456, SnapID: 1, Name: "dest", OldName: "src"},
	{Kind: SnapProtect, Op: 567, Name: "snap"},
	{Kind: SnapUnprotect, Op: 678, Name: "snap"},
	{Kind: SnapRollback, Op: 789, Name: "snap"},
	{Kind: Rename, Op: 890, Name: "image name"},
	{Kind: Resize, Op: 901, Number: 1234},
	{Kind: Flatten, Op: 123},
	{Kind: DemotePromote},
	{Kind: SnapLimit, Op: 9, Number: 5},
	{Kind: UpdateFeatures, Op: 123, Number: 127, Switched: true},
	{Kind: MetadataSet, Op: 123, Name: "key", Value: "value"},
	{Kind: MetadataRemove, Op: 123, Name: "key"},
	{Kind: WriteSame, Off: 5, Len: 8, Data: []byte("ab")},
	{Kind: CompareAndWrite, Off: 5, Len: 2, Compare: []byte("ab"), Data: []byte("cd")},
	{Kind: 77},
}

func TestEvents(t *testing.T) {
	for _, e := range examples {
		b := denc.Marshal(&e, ceph.FeaturesAll)
		var got Event
		if err := denc.Unmarshal(b, &got, ceph.FeaturesAll); err != nil {
			t.Errorf("%v: %v", e.Kind, err)
		}
		if !reflect.DeepEqual(got, e) && !bytes.Equal(denc.Marshal(&got, ceph.FeaturesAll), b) {
			t.Errorf("%v: %+v, want %+v", e.Kind, got, e)
		}
		for n := range b {
			if denc.Unmarshal(b[:n], new(Event), ceph.FeaturesAll) == nil {
				t.Errorf("%v: %d of %d bytes are enough", e.Kind, n, len(b))
			}
		}
	}
}

// Older writers leave out what came later.
func TestOldEvents(t *testing.T) {
	for _, c := range []struct {
		hex  string
		want Event
	}{
		{"0301" + "14000000" + "00000000" + "0100000000000000" + "0200000000000000",
			Event{Kind: Discard, Off: 1, Len: 2}},
		{"0401" + "15000000" + "00000000" + "0100000000000000" + "0200000000000000" + "01" +
			"0101" + "08000000" + "0100000002000000",
			Event{Kind: Discard, Off: 1, Len: 2, Granularity: 1<<32 - 1,
				Time: ceph.Time{Sec: 1, Nsec: 2}}},
		{"0101" + "18000000" + "06000000" + "0100000000000000" + "00000000" + "0300000000000000",
			Event{Kind: SnapRename, Op: 1, SnapID: 3}},
		{"0301" + "11000000" + "05000000" + "0100000000000000" + "01000000" + "73",
			Event{Kind: SnapRemove, Op: 1, Name: "s"}},
		{"0301" + "1b000000" + "04000000" + "0100000000000000" + "01000000" + "73" +
			"0101" + "04000000" + "00000000", Event{Kind: SnapCreate, Op: 1, Name: "s"}},
	} {
		b, err := hex.DecodeString(c.hex)
		var got Event
		if err == nil {
			err = denc.Unmarshal(b, &got, ceph.FeaturesAll)
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v %v, want %+v", c.hex, got, err, c.want)
		}
	}
}

func FuzzEvent(f *testing.F) {
	for _, e := range examples {
		f.Add(denc.Marshal(&e, ceph.FeaturesAll))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again Event
		if denc.Unmarshal(b, &e, ceph.FeaturesAll) != nil {
			return
		}
		first := denc.Marshal(&e, ceph.FeaturesAll)
		if err := denc.Unmarshal(first, &again, ceph.FeaturesAll); err != nil {
			t.Fatal(err)
		}
		if second := denc.Marshal(&again, ceph.FeaturesAll); !bytes.Equal(first, second) {
			t.Fatalf("%x, then %x", first, second)
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add(denc.Marshal(&clientMeta{class: 4, resync: true}, ceph.FeaturesAll))
	f.Add(denc.Marshal(&tagData{writer: "w", before: orphanUUID, valid: true, tag: 4, commit: 5},
		ceph.FeaturesAll))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = denc.Unmarshal(b, new(clientMeta), ceph.FeaturesAll)
		_ = denc.Unmarshal(b, new(tagData), ceph.FeaturesAll)
	})
}
