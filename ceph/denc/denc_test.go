package denc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
)

type inner struct {
	A uint16
	S string
}

func (v *inner) Denc(c *Coder) {
	s := c.Begin(2, 1)
	c.U16(&v.A)
	if s.V >= 2 {
		c.Str(&v.S)
	}
	s.End()
}

// everything has a field of each kind.
type everything struct {
	U8    uint8
	U16   uint16
	U32   uint32
	U64   uint64
	I8    int8
	I16   int16
	I32   int32
	I64   int64
	F32   float32
	F64   float64
	B     bool
	S     string
	Blob  []byte
	Raw   [5]byte
	List  []inner
	Nums  []int32
	Map   map[int64]inner
	Strs  map[string]string
	Set   map[uint32]struct{}
	Opt   *uint64
	Inner inner
	Rest  []byte
}

func (e *everything) Denc(c *Coder) {
	s := c.Begin(7, 3)
	c.U8(&e.U8)
	c.U16(&e.U16)
	c.U32(&e.U32)
	c.U64(&e.U64)
	c.I8(&e.I8)
	c.I16(&e.I16)
	c.I32(&e.I32)
	c.I64(&e.I64)
	c.F32(&e.F32)
	c.F64(&e.F64)
	c.Bool(&e.B)
	c.Str(&e.S)
	c.Blob(&e.Blob)
	c.Raw(e.Raw[:])
	c.Skip(3)
	List(c, &e.List)
	ListFunc(c, &e.Nums, (*Coder).I32)
	Map(c, &e.Map, (*Coder).I64)
	MapFunc(c, &e.Strs, (*Coder).Str, (*Coder).Str)
	SetFunc(c, &e.Set, (*Coder).U32)
	OptionalFunc(c, &e.Opt, (*Coder).U64)
	Nested(c, &e.Inner)
	c.Rest(&e.Rest)
	s.End()
}

func randomEverything(r *rand.Rand) *everything {
	str := func() string {
		b := make([]byte, r.IntN(9))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	e := &everything{
		U8: uint8(r.Uint32()), U16: uint16(r.Uint32()), U32: r.Uint32(), U64: r.Uint64(),
		I8: int8(r.Uint32()), I16: int16(r.Uint32()), I32: int32(r.Uint32()),
		I64: int64(r.Uint64()), F32: r.Float32(), F64: -r.Float64(), B: r.IntN(2) == 0, S: str(),
		Raw: [5]byte{byte(r.Uint32())}, Inner: inner{uint16(r.Uint32()), str()},
	}
	for range r.IntN(4) {
		e.List = append(e.List, inner{uint16(r.Uint32()), str()})
		e.Nums = append(e.Nums, int32(r.Uint32()))
		e.Blob = append(e.Blob, byte(r.Uint32()))
		e.Rest = append(e.Rest, byte(r.Uint32()))
		if e.Map == nil {
			e.Map, e.Strs = map[int64]inner{}, map[string]string{}
			e.Set = map[uint32]struct{}{}
		}
		e.Map[int64(r.Uint64())] = inner{1, str()}
		e.Strs[str()] = str()
		e.Set[r.Uint32()] = struct{}{}
	}
	if r.IntN(2) == 0 {
		v := r.Uint64()
		e.Opt = &v
	}
	return e
}

// same compares values in which an empty container may have become nil.
func same(t *testing.T, a, b *everything) bool {
	t.Helper()
	x, y := *a, *b
	for _, e := range []*everything{&x, &y} {
		if len(e.Blob) == 0 {
			e.Blob = nil
		}
		if len(e.Rest) == 0 {
			e.Rest = nil
		}
	}
	return reflect.DeepEqual(x, y)
}

func TestRandomFill(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		want := randomEverything(r)
		b := Marshal(want, 0)
		got := &everything{}
		if err := Unmarshal(b, got, 0); err != nil {
			t.Fatalf("value %d: %v", i, err)
		}
		if !same(t, got, want) {
			t.Fatalf("value %d:\n got %+v\nwant %+v", i, got, want)
		}
		if !bytes.Equal(Marshal(got, 0), b) {
			t.Fatalf("value %d encodes to other bytes the second time", i)
		}
	}
}

func TestCutAtEveryByte(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		e := randomEverything(r)
		e.Rest = nil // any number of bytes is a legal rest
		b := Marshal(e, 0)
		for n := range len(b) {
			if err := Unmarshal(b[:n], &everything{}, 0); !errors.Is(err, ErrShort) {
				t.Fatalf("the first %d of %d bytes: %v", n, len(b), err)
			}
			if n < 6 {
				continue
			}
			cut := bytes.Clone(b[:n])
			binary.LittleEndian.PutUint32(cut[2:], uint32(n-6))
			if err := Unmarshal(cut, &everything{}, 0); err == nil {
				t.Fatalf("the first %d of %d bytes decode when they say so", n, len(b))
			}
		}
	}
}

// A count is believed only as far as the bytes behind it go.
func TestCountsDontAllocate(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}
	decoders := map[string]func(c *Coder){
		"string":  func(c *Coder) { var s string; c.Str(&s) },
		"blob":    func(c *Coder) { var b []byte; c.Blob(&b) },
		"list":    func(c *Coder) { var l []inner; List(c, &l) },
		"numbers": func(c *Coder) { var l []uint64; ListFunc(c, &l, (*Coder).U64) },
		"map":     func(c *Coder) { var m map[int64]inner; Map(c, &m, (*Coder).I64) },
		"set":     func(c *Coder) { var m map[uint32]struct{}; SetFunc(c, &m, (*Coder).U32) },
		"nested":  func(c *Coder) { var v inner; Nested(c, &v) },
		"section": func(c *Coder) { s := c.Begin(1, 1); s.End() },
		"skip":    func(c *Coder) { c.Skip(1 << 30) },
	}
	for name, decode := range decoders {
		c := NewDecoder(huge, 0)
		got := testing.AllocsPerRun(1, func() {
			c = NewDecoder(huge, 0)
			decode(c)
		})
		if c.Err() == nil || got > 12 {
			t.Errorf("%s: %v after %v allocations", name, c.Err(), got)
		}
	}
}

func TestFirstErrorSticks(t *testing.T) {
	c := NewDecoder([]byte{1, 2}, 0)
	var u uint32 = 7
	c.U32(&u)
	first := c.Err()
	c.Invalid("later")
	c.Fail(nil)
	var b uint8 = 9
	c.U8(&b)
	if !errors.Is(first, ErrShort) || c.Err() != first || u != 7 || b != 9 || c.Offset() != 0 {
		t.Errorf("%v, then %v; values %d, %d at %d", first, c.Err(), u, b, c.Offset())
	}
}

func TestSections(t *testing.T) {
	newer := func(v, compat uint8, body ...byte) []byte {
		b := append([]byte{v, compat, 0, 0, 0, 0}, body...)
		binary.LittleEndian.PutUint32(b[2:], uint32(len(body)))
		return append(b, 0xee)
	}
	read := func(b []byte) (v inner, after uint8, err error) {
		c := NewDecoder(b, 0)
		v.Denc(c)
		c.U8(&after)
		return v, after, c.Err()
	}
	v, after, err := read(newer(9, 1, 5, 0, 1, 0, 0, 0, 'x', 99, 98))
	if err != nil || v != (inner{5, "x"}) || after != 0xee {
		t.Errorf("a newer section: %+v, then %x, %v", v, after, err)
	}
	v, after, err = read(newer(1, 1, 5, 0))
	if err != nil || v != (inner{A: 5}) || after != 0xee {
		t.Errorf("an older section: %+v, then %x, %v", v, after, err)
	}
	if _, _, err = read(newer(9, 3, 5, 0)); !errors.Is(err, ErrVersion) {
		t.Errorf("a section that needs a newer reader: %v", err)
	}
	if _, _, err = read(newer(2, 1, 5, 0, 9, 0, 0, 0, 'x')); !errors.Is(err, ErrShort) {
		t.Errorf("a string that reaches beyond its section: %v", err)
	}
	c := NewDecoder(newer(3, 1, 1, 2, 3), 0)
	s := c.Begin(3, 1)
	c.Skip(2)
	if left := s.Left(); !left || c.Remaining() != 1 {
		t.Errorf("bytes left in the section: %v, %d", left, c.Remaining())
	}
}

func TestKnownBytes(t *testing.T) {
	c := NewEncoder([]byte{0xaa}, 0)
	c.U32Const(1)
	c.I16(ref(int16(-2)))
	c.Bool(ref(true))
	c.F64(ref(math.Inf(1)))
	MapFunc(c, ref(map[int8]uint8{-1: 1, 2: 2}), (*Coder).I8, (*Coder).U8)
	want := []byte{0xaa, 1, 0, 0, 0, 0xfe, 0xff, 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f,
		2, 0, 0, 0, 0xff, 1, 2, 2}
	if !bytes.Equal(c.Bytes(), want) {
		t.Errorf("% x, want % x", c.Bytes(), want)
	}
}

func ref[T any](v T) *T { return &v }

// A decoded blob can't be appended to into what follows it.
func TestBlobsHaveNoRoom(t *testing.T) {
	src := []byte{2, 0, 0, 0, 1, 2, 3}
	var b []byte
	NewDecoder(src, 0).Blob(&b)
	if _ = append(b, 9); src[6] != 3 {
		t.Error("appending to a blob changes the message")
	}
}

func TestEncodingIsReadOnly(t *testing.T) {
	e := randomEverything(rand.New(rand.NewPCG(5, 6)))
	want := Marshal(e, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 200 {
				if !bytes.Equal(Marshal(e, 0), want) {
					t.Error("encodings differ")
				}
			}
		}()
	}
	wg.Wait()
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 5 {
		f.Add(Marshal(randomEverything(r), 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &everything{}
		if Unmarshal(b, e, 0) != nil {
			return
		}
		again := &everything{}
		if err := Unmarshal(Marshal(e, 0), again, 0); err != nil {
			t.Fatalf("what was decoded encodes to what does not decode: %v", err)
		}
	})
}
