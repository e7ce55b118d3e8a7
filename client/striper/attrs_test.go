package striper

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"glue/ceph"
)

// attributes are those of a first object; of a field without a value there is none.
func attributes(object, unit, count, size string) map[string][]byte {
	m := map[string][]byte{"user": []byte("x")}
	for attr, v := range map[string]string{objectSizeAttr: object, stripeUnitAttr: unit,
		stripeCountAttr: count, sizeAttr: size} {
		if v != "" {
			m[attr] = []byte(v)
		}
	}
	return m
}

func TestParse(t *testing.T) {
	a, err := parse(attributes("4194304", "65536", "7", "9223372036854775807"))
	want := Layout{ObjectBytes: 4194304, StripeUnit: 65536, StripeCount: 7}
	if err != nil || a.layout != want || a.size != 1<<63-1 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, c := range []struct{ attr, object, unit, count, size string }{
		{objectSizeAttr, "", "65536", "1", "0"},
		{objectSizeAttr, "2147483648", "65536", "1", "0"},
		{objectSizeAttr, "65537", "65536", "1", "0"},
		{objectSizeAttr, "0", "65536", "1", "0"},
		{stripeUnitAttr, "65536", "", "1", "0"},
		{stripeUnitAttr, "65536", "1", "1", "0"},
		{stripeUnitAttr, "65536", "131072", "1", "0"},
		{stripeCountAttr, "65536", "65536", "0", "0"},
		{stripeCountAttr, "65536", "65536", "-1", "0"},
		{stripeCountAttr, "65536", "65536", "0x1", "0"},
		{sizeAttr, "65536", "65536", "1", ""},
		{sizeAttr, "65536", "65536", "1", "9223372036854775808"},
		{sizeAttr, "65536", "65536", "1", "1 "},
		{sizeAttr, "65536", "65536", "1", "\x00"},
	} {
		_, err := parse(attributes(c.object, c.unit, c.count, c.size))
		bad := (*LayoutError)(nil)
		if !errors.As(err, &bad) || bad.Attr != c.attr || !errors.Is(err, ceph.EINVAL) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	_, err = parse(map[string][]byte{stripeUnitAttr: {}})
	if err == nil || !strings.Contains(err.Error(), "makes no sense") {
		t.Errorf("an empty attribute: %v", err)
	}
}

// FuzzParse: attributes come from the cluster. What is taken can be computed with, and written
// again.
func FuzzParse(f *testing.F) {
	f.Add("4194304", "4194304", "1", "10", uint64(5))
	f.Add("131072", "65536", "3", "9223372036854775807", uint64(1)<<62)
	f.Add("65536", "131072", "0", "-1", uint64(0))
	f.Fuzz(func(t *testing.T, object, unit, count, size string, off uint64) {
		a, err := parse(attributes(object, unit, count, size))
		if err != nil {
			if bad := (*LayoutError)(nil); !errors.As(err, &bad) {
				t.Errorf("%v is no LayoutError", err)
			}
			return
		}
		off %= a.size + 1
		n := min(a.size-off, 100<<20)
		var sum uint64
		for _, e := range extents(a.layout, off, n) {
			if e.off+e.len > a.layout.Part(e.object, off+n) ||
				e.object >= a.layout.Objects(a.size) {
				t.Fatalf("%+v: %d bytes at %d: %+v", a, n, off, e)
			}
			sum += e.len
		}
		if sum != n {
			t.Errorf("%+v: %d of %d bytes at %d", a, sum, n, off)
		}
		b, err := parse(attributes(string(number(a.layout.ObjectBytes)),
			string(number(a.layout.StripeUnit)), string(number(a.layout.StripeCount)),
			string(number(a.size))))
		if err != nil || a.layout != b.layout || a.size != b.size {
			t.Errorf("%+v is written as %+v, %v", a, b, err)
		}
	})
}

// Extents of one object are no larger than a request, and hold every byte once.
func TestExtents(t *testing.T) {
	for i, unit := range []uint64{64 << 20, 64 << 10, 32 << 20} {
		l := Layout{ObjectBytes: 64 << 20, StripeUnit: unit, StripeCount: uint64(i + 1)}
		const off, n = 3<<20 + 5, 40<<20 + 9
		data, again := make([]byte, n), make([]byte, n)
		for i := range data {
			data[i] = byte(i ^ i>>8 ^ i>>16)
		}
		for _, e := range extents(l, off, n) {
			if e.len > requestBytes {
				t.Errorf("%+v: %d bytes", l, e.len)
			}
			e.scatter(again, e.gather(data))
			for _, p := range e.places[:1] {
				if at := l.Locate(off + p.at); at.Object != e.object || at.Off != e.off {
					t.Errorf("%+v: byte %d at %+v, want %+v", l, p.at, *e, at)
				}
			}
		}
		if !bytes.Equal(again, data) {
			t.Errorf("%+v: other bytes come back", l)
		}
	}
}
