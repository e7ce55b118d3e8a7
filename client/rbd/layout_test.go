package rbd

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"glue/ceph/denc"
	"glue/client/rbd/blocks"
)

func TestRunsLeavesZerosOut(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		p := make([]byte, r.IntN(1<<20)+1)
		for range r.IntN(6) {
			at := r.IntN(len(p))
			for i := at; i < min(at+r.IntN(100_000), len(p)); i++ {
				p[i] = byte(r.Uint32() | 1)
			}
		}
		out := make([]byte, len(p))
		var last uint64
		for _, e := range blocks.Data(p) {
			if e.Len == 0 || e.Off < last {
				t.Fatalf("run %+v after %d", e, last)
			}
			last = e.Off + e.Len
			copy(out[e.Off:last], p[e.Off:last])
		}
		if !bytes.Equal(out, p) {
			t.Fatal("a run is missing")
		}
	}
	if got := blocks.Data(make([]byte, 1<<20)); len(got) != 0 {
		t.Errorf("zeros give runs %+v", got)
	}
}

func TestFeatures(t *testing.T) {
	f, err := ParseFeatures("layering,exclusive-lock, 32")
	if err != nil || f != Layering|ExclusiveLock|DeepFlatten {
		t.Errorf("%v, %v", f, err)
	}
	if DefaultFeatures != 61 {
		t.Errorf("default features are %d, not 61", DefaultFeatures)
	}
	if _, err := ParseFeatures("nonsense"); err == nil {
		t.Error("an unknown feature is taken")
	}
	for _, bad := range []Features{ObjectMap, FastDiff | ExclusiveLock, Journaling} {
		if bad.check() == nil {
			t.Errorf("features %v are taken", bad)
		}
	}
}

func TestNoticeRoundTrip(t *testing.T) {
	for _, n := range []notice{
		{op: opAcquiredLock, client: clientID{4100, 7}},
		{op: opRequestLock, client: clientID{4100, 7}, force: true},
		{op: opHeaderUpdate},
	} {
		var got notice
		if err := denc.Unmarshal(n.encode(), &got, 0); err != nil || got != n {
			t.Errorf("got %+v, %v, want %+v", got, err, n)
		}
	}
	if r, ok := parseResponse(response(-95)); !ok || r != -95 {
		t.Errorf("response %d, %v", r, ok)
	}
	if _, ok := parseResponse(nil); ok {
		t.Error("no answer is taken for one")
	}
}
