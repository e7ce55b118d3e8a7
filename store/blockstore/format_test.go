package blockstore

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
	"glue/store/disk"
	"glue/store/objectstore"
)

func randomString(rng *rand.Rand) string {
	b := make([]byte, rng.IntN(6))
	for i := range b {
		b[i] = []byte{0, 1, 2, 0xfe, 0xff, 'a', 'b'}[rng.IntN(7)]
	}
	return string(b)
}

func randomObject(rng *rand.Rand) ceph.HObject {
	o := ceph.HObject{
		Pool: []int64{0, 1, -1, math.MinInt64, math.MaxInt64}[rng.IntN(5)],
		Hash: uint32(rng.IntN(3)) << (30 * rng.IntN(2)), Namespace: randomString(rng),
		Name: randomString(rng), Key: randomString(rng),
		Snap: ceph.SnapID([]uint64{0, 1, math.MaxUint64 - 1}[rng.IntN(3)]),
	}
	if o.Key == o.Name { // a key that is the name is no key
		o.Key = ""
	}
	return o
}

// Keys order as objects do, come back as they went in, and none is a prefix of another.
func TestObjectKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		a, b := randomObject(rng), randomObject(rng)
		ka, kb := appendObject(nil, 7, &a), appendObject(nil, 7, &b)
		if got, want := bytes.Compare(ka, kb), a.Compare(b); got != want {
			t.Fatalf("%+v and %+v compare as %d, their keys as %d", a, b, want, got)
		}
		cid, back, err := decodeObject(ka)
		if err != nil || cid != 7 || back != a {
			t.Fatalf("%+v came back as %+v, %v", a, back, err)
		}
		if a != b && bytes.HasPrefix(kb, ka) {
			t.Fatalf("the key of %+v begins that of %+v", a, b)
		}
		if n := objectKeyLen(append(ka, 0, 'x')); n != len(ka) {
			t.Fatalf("the key of %+v is taken to have %d bytes, not %d", a, n, len(ka))
		}
	}
}

// The omap range of an object holds all of its keys and none of another object's.
func TestOmapKeys(t *testing.T) {
	for _, user := range []string{"", "\x00", "\xff\xff", strings.Repeat("\xff", 100)} {
		k := omapKey(nil, "object", user)
		first := omapKey(nil, "object", "")
		if bytes.Compare(k, first) < 0 || bytes.Compare(k, omapEnd("object")) >= 0 {
			t.Errorf("user key %q is outside", user)
		}
	}
}

// stored is every type with a stored form: a way to fill it at random, encode and decode it.
var stored = []struct {
	name   string
	random func(*rand.Rand) []byte
	decode func([]byte) ([]byte, error) // decodes and encodes again
}{
	{"onode", func(rng *rand.Rand) []byte {
		o := onodeBody{size: rng.Uint64(), hasOmap: rng.IntN(2) == 0}
		if o.hasOmap {
			o.omap = rng.Int64N(1 << 40)
		}
		for i := range rng.IntN(4) {
			o.attrs = append(o.attrs, attr{string(rune('a' + i)), []byte(randomString(rng))})
		}
		return o.encode(nil)
	}, func(b []byte) ([]byte, error) {
		var o onodeBody
		_, err := o.decode(b)
		return o.encode(nil), err
	}},
	{"extents", func(rng *rand.Rand) []byte {
		var s shard
		for i := range s.blocks {
			if rng.IntN(3) > 0 {
				s.blocks[i] = mapped(rng.Uint64N(20)+uint64(i), rng.Uint32())
				s.blocks[i].phys |= uint64(rng.IntN(2)) << 63
			}
		}
		return s.encode(nil)
	}, func(b []byte) ([]byte, error) {
		var s shard
		err := s.decode(b, 1000)
		return s.encode(nil), err
	}},
	{"reference counts", func(rng *rand.Rand) []byte {
		var r refChunk
		for range rng.IntN(9) {
			r.counts[rng.IntN(refBlocks)] = rng.Uint32N(300)
		}
		return r.encode(nil)
	}, func(b []byte) ([]byte, error) {
		var r refChunk
		err := r.decode(b)
		return r.encode(nil), err
	}},
	{"collection", func(rng *rand.Rand) []byte {
		c := collection{cid: rng.Uint64(), parts: []segment{{0, 1}}}
		for i := range rng.Uint64N(4) {
			c.parts = append(c.parts, segment{i*1000 + 1, rng.Uint64()})
		}
		return c.encode()
	}, func(b []byte) ([]byte, error) {
		c, err := decodeCollection(ceph.SPG{}, b)
		if err != nil {
			return nil, err
		}
		return c.encode(), nil
	}},
	{"log chunk", func(rng *rand.Rand) []byte {
		var list []objectstore.LogEntry
		for i := range 1 + rng.Uint64N(4) {
			list = append(list, objectstore.LogEntry{
				Version: ceph.Eversion{Epoch: 1, Version: i}, Data: []byte(randomString(rng))})
		}
		return encodeChunk(list)
	}, func(b []byte) ([]byte, error) {
		list, err := decodeChunk(b)
		return encodeChunk(list), err
	}},
	{"superblock", func(rng *rand.Rand) []byte {
		s := newSuperblock(rng.Int64(), rng.Int64(), randomString(rng))
		s.Tail = position{rng.Uint64(), rng.Uint64(), rng.Uint32()}
		return s.encode()
	}, func(b []byte) ([]byte, error) {
		whole := append(slices.Clone(b), make([]byte, blockBytes)...)[:blockBytes]
		s, err := decodeSuperblock(whole)
		if err != nil {
			return nil, err
		}
		return s.encode(), nil
	}},
}

// What was stored decodes to the same; cut at any byte it is an error or something shorter.
func TestStoredForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, c := range stored {
		for range 300 {
			b := c.random(rng)
			got, err := c.decode(b)
			if err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%s %x: came back as %x, %v", c.name, b, got, err)
			}
			for n := range min(len(b), 200) {
				if got, err := c.decode(b[:n]); err == nil && bytes.Equal(got, b) {
					t.Fatalf("%s %x: cut at %d and nothing noticed", c.name, b, n)
				}
			}
		}
	}
}

func fillRecord(rng *rand.Rand) *recordBuffer {
	r := new(recordBuffer)
	r.reset()
	for range rng.IntN(5) {
		r.batch([]byte(randomString(rng)))
		r.logChange(&logChange{kind: logAppend, cid: 3, data: []byte(randomString(rng))})
		r.image(newDataRun(run{9, 1}, disk.Aligned(blockBytes), false))
		r.run(newDataRun(run{4, 2}, disk.Aligned(2*blockBytes), false))
	}
	return r
}

// A journal record survives only whole, at its place, in its lap and its store.
func TestRecord(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	uuid := [16]byte{1, 2, 3}
	const ringLen = 1 << 20
	for range 50 {
		r := fillRecord(rng)
		want := recordInfo{off: ringLen*3 + 8192, firstLSN: 5, count: 2, durable: 4,
			length: uint32(len(r.b) - recordHeader), prevCRC: 77, kind: recordGroup}
		want.crc = finishRecord(r.b, uuid, want)
		got, ok := parseHeader(r.b, uuid, want.off, ringLen)
		if !ok || !reflect.DeepEqual(got, want) || recordCRC(r.b, got.length) != got.crc {
			t.Fatalf("want %+v, got %+v, %v", want, got, ok)
		}
		if _, ok := parseHeader(r.b, uuid, want.off+ringLen, ringLen); ok {
			t.Fatal("a record of another lap passed")
		}
		if _, ok := parseHeader(r.b, [16]byte{}, want.off, ringLen); ok {
			t.Fatal("a record of another store passed")
		}
		bit := rng.IntN(len(r.b) * 8)
		r.b[bit/8] ^= 1 << (bit % 8)
		got, ok = parseHeader(r.b, uuid, want.off, ringLen)
		if ok && int(got.length) <= len(r.b)-recordHeader && recordCRC(r.b, got.length) == got.crc {
			t.Fatalf("bit %d flipped and nothing noticed", bit)
		}
	}
}

var ignore = itemVisitor{
	batch: func([]byte) error { return nil },
	log:   func(logChange) error { return nil },
	image: func(uint64, []byte) error { return nil },
	run:   func(uint64, []byte) error { return nil },
}

func FuzzStored(f *testing.F) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, c := range stored {
		f.Add(c.random(rng))
	}
	f.Add(fillRecord(rng).b[recordHeader:])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range stored {
			if _, err := c.decode(b); err != nil && !errors.Is(err, objectstore.ErrCorrupt) &&
				!errors.Is(err, ErrForeign) {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		visitItems(b, ignore)
		decodeObject(b)
		objectKeyLen(b)
		parseHeader(append(b, make([]byte, recordHeader)...), [16]byte{}, 0, 1<<20)
	})
}

// The allocator never gives a block twice, and all of them before it gives up.
func TestAllocator(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, total := range []uint64{1, 63, 64, 65, 1000, 32768, 70000} {
		a := newAllocator(total, 1+rng.Uint64N(100))
		var mine []run
		for range 3000 {
			if rng.IntN(3) > 0 || len(mine) == 0 {
				n := 1 + rng.Uint64N(40)
				free := a.free
				got, ok := a.alloc(n, nil)
				if ok != (n <= free) {
					t.Fatalf("%d of %d free blocks: %v", n, free, ok)
				}
				sum := uint64(0)
				for _, r := range got {
					sum += r.n
				}
				if ok && (sum != n || a.free != free-n) {
					t.Fatalf("asked for %d, got %v", n, got)
				}
				mine = append(mine, got...)
				continue
			}
			i := rng.IntN(len(mine))
			a.release(mine[i])
			mine = slices.Delete(mine, i, i+1)
		}
		for _, r := range mine {
			a.release(r)
		}
		if a.free != total || a.live() != 0 {
			t.Fatalf("%d of %d free at the end", a.free, total)
		}
	}
}
