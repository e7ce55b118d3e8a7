package difffile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"glue/ceph"
	"glue/client/rbd/blocks"
	"glue/wire/message"
)

// diffOf writes how one state of an image becomes another, block by block, some of what did not
// change included.
func diffOf(r *rand.Rand, from, to string, a, b []byte, v2 bool) []byte {
	const block = 16
	var out bytes.Buffer
	d := Writer{&out, v2}
	_ = d.Head(Head{From: from, To: to, Protected: true, Size: uint64(len(b))})
	for at := 0; at < len(b); {
		end := min(at+block*(1+r.IntN(3)), len(b))
		old := make([]byte, end-at)
		if at < len(a) {
			copy(old, a[at:])
		}
		e := message.Extent{Off: uint64(at), Len: uint64(end - at)}
		switch {
		case bytes.Equal(old, b[at:end]) && r.IntN(4) > 0:
		case blocks.IsZero(b[at:end]):
			_ = d.Extent(Zero, e)
		default:
			_ = d.Extent(Write, e)
			out.Write(b[at:end])
		}
		at = end
	}
	_ = d.Record(End, nil, 0)
	return out.Bytes()
}

// applied is an image after differences.
func applied(t *testing.T, image, file []byte) ([]byte, Head) {
	t.Helper()
	d, err := NewReader(bufio.NewReader(bytes.NewReader(file)))
	high := uint64(0)
	for err == nil && d.Tag != End {
		if d.At.Off < high {
			t.Fatalf("%d after %d", d.At.Off, high)
		}
		high = d.At.Off + d.At.Len
		image = append(image, make([]byte, max(0, int(d.Head.Size)-len(image)))...)
		p := image[d.At.Off:high]
		if clear(p); d.Tag == Write {
			err = d.Take(p)
		}
		if err == nil {
			err = d.Next()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, d.Head.Size)
	copy(out, image)
	return out, d.Head
}

func someImage(r *rand.Rand, was []byte) []byte {
	out := make([]byte, 64*r.IntN(8))
	copy(out, was)
	for range 6 {
		if len(out) == 0 {
			break
		}
		at, fill := r.IntN(len(out)), byte(r.IntN(3))
		for n := at; n < min(at+r.IntN(100), len(out)); n++ {
			out[n] = fill
		}
	}
	return out
}

// TestMerge: two files of differences and what they are merged to make the same image, whatever
// its sizes were and whatever the formats are.
func TestMerge(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		first := someImage(r, nil)
		second := someImage(r, first)
		third := someImage(r, second)
		v2 := [2]bool{r.IntN(2) == 0, r.IntN(2) == 0}
		a := diffOf(r, "one", "two", first, second, v2[0])
		b := diffOf(r, "two", "three", second, third, v2[1])
		var merged bytes.Buffer
		if err := Merge(&merged, bytes.NewReader(a), bytes.NewReader(b)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got, head := applied(t, bytes.Clone(first), merged.Bytes())
		if !bytes.Equal(got, third) {
			t.Fatalf("seed %d: merged they make\n%v, want\n%v", seed, got, third)
		}
		want := Head{"one", "three", v2[1] && (v2[0] || v2[1]), uint64(len(third)), true}
		if head != want {
			t.Fatalf("seed %d: %+v, want %+v", seed, head, want)
		}
	}
}

// TestMergeRefuses: files that do not follow each other, that are cut anywhere, or that make no
// sense, are an error.
func TestMergeRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	one, two := bytes.Repeat([]byte{1}, 200), bytes.Repeat([]byte{2}, 300)
	for _, v2 := range []bool{false, true} {
		a, b := diffOf(r, "", "x", nil, one, v2), diffOf(r, "x", "y", one, two, v2)
		merge := func(a, b []byte) error {
			return Merge(io.Discard, bytes.NewReader(a), bytes.NewReader(b))
		}
		if err := merge(a, b); err != nil {
			t.Fatal(err)
		}
		for n := range a {
			if merge(a[:n], b) == nil {
				t.Errorf("the first cut at %d is taken for whole", n)
			}
		}
		for n := range b {
			if merge(a, b[:n]) == nil {
				t.Errorf("the second cut at %d is taken for whole", n)
			}
		}
		for _, pair := range [][2][]byte{{a, a}, {b, a}, {diffOf(r, "", "", nil, one, v2),
			diffOf(r, "", "y", one, two, v2)}, {diffOf(r, "", "z", nil, one, v2), b}} {
			if err := merge(pair[0], pair[1]); !errors.Is(err, ceph.EINVAL) {
				t.Errorf("files that do not follow each other: %v", err)
			}
		}
		for n := range b { // whatever it says, it ends
			c := bytes.Clone(b)
			c[n] ^= byte(1 + r.IntN(255))
			_ = merge(a, c)
		}
	}
	descending := Writer{new(bytes.Buffer), false}
	_ = descending.Head(Head{From: "x", Size: 100})
	for _, at := range []uint64{50, 0} {
		_ = descending.Extent(Zero, message.Extent{Off: at, Len: 10})
	}
	_ = descending.Record(End, nil, 0)
	err := Merge(io.Discard, bytes.NewReader(diffOf(r, "", "x", nil, one, false)),
		descending.W.(*bytes.Buffer))
	if !errors.Is(err, ceph.EINVAL) {
		t.Errorf("descending: %v", err)
	}
}
