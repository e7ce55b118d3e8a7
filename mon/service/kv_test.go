package service

import (
	"bytes"
	"maps"
	"math/rand"
	"reflect"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
)

func randomEdit(r *rand.Rand) Edit {
	var e Edit
	for range r.Intn(5) {
		key := string(rune('a' + r.Intn(26)))
		if r.Intn(3) == 0 {
			e.Remove(key)
			continue
		}
		b := make([]byte, r.Intn(9))
		r.Read(b)
		e.Put(key, b)
	}
	return e
}

func TestEditRoundTrip(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 500 {
		e := randomEdit(r)
		b := e.Encode()
		got, err := DecodeEdit(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Set) != len(e.Set) || len(e.Set) > 0 && !reflect.DeepEqual(got.Set, e.Set) {
			t.Fatalf("got %v, want %v", got.Set, e.Set)
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Fatal("the encoding is not canonical")
		}
		for n := range b {
			if _, err := DecodeEdit(b[:n]); err == nil {
				t.Fatalf("cut at %d of %d decodes", n, len(b))
			}
		}
	}
}

func TestProposalRoundTrip(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for range 200 {
		p := Proposal{ID: r.Uint64(), Changes: map[string][]byte{}}
		for range 1 + r.Intn(4) {
			e := randomEdit(r)
			p.Changes[string(rune('a'+r.Intn(26)))] = e.Encode()
		}
		b := denc.Marshal(&p, ceph.FeaturesAll)
		var got Proposal
		if err := denc.Unmarshal(b, &got, ceph.FeaturesAll); err != nil {
			t.Fatal(err)
		}
		if got.ID != p.ID || !maps.EqualFunc(got.Changes, p.Changes, bytes.Equal) {
			t.Fatalf("got %v, want %v", got, p)
		}
		for n := range b {
			if denc.Unmarshal(b[:n], &Proposal{}, ceph.FeaturesAll) == nil {
				t.Fatalf("cut at %d of %d decodes", n, len(b))
			}
		}
	}
}

// mapWriter keeps what is written.
type mapWriter map[string]string

func (m mapWriter) Set(k string, v []byte)     { m[k] = string(v) }
func (m mapWriter) Delete(k string)            { delete(m, k) }
func (m mapWriter) DeletePrefix(prefix string) {}

func TestEditWrite(t *testing.T) {
	m := mapWriter{"p/a": "old", "p/b": "old", "q/a": "other"}
	var e Edit
	e.Put("a", []byte("new"))
	e.Put("c", nil)
	e.Remove("b")
	e.Write(m, "p/")
	if want := (mapWriter{"p/a": "new", "p/c": "", "q/a": "other"}); !maps.Equal(m, want) {
		t.Errorf("got %v, want %v", m, want)
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewSource(3))
	e := randomEdit(r)
	f.Add(e.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := DecodeEdit(b); err == nil {
			e.Encode()
		}
		var p Proposal
		_ = denc.Unmarshal(b, &p, ceph.FeaturesAll)
	})
}
