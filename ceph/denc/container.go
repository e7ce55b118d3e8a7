package denc

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
)

// ptr is the constraint "*T has a Denc method".
type ptr[T any] interface {
	*T
	Value
}

// preallocate bounds what a decoded count may allocate before its elements have been seen.
const preallocate = 1024

// List is a u32 count and the elements' encodings. An empty decoded list is nil.
func List[T any, P ptr[T]](c *Coder, p *[]T) {
	ListFunc(c, p, func(c *Coder, v *T) { P(v).Denc(c) })
}

// ListFunc is List with the element's format given as a function, for example (*Coder).U32.
func ListFunc[T any](c *Coder, p *[]T, elem func(*Coder, *T)) {
	n := c.Count(len(*p), 1)
	if c.encoding {
		for i := range *p {
			elem(c, &(*p)[i])
		}
		return
	}
	var out []T
	if n > 0 {
		out = make([]T, 0, min(n, preallocate))
	}
	for range n {
		var v T
		if elem(c, &v); c.err != nil {
			return
		}
		out = append(out, v)
	}
	if c.err == nil {
		*p = out
	}
}

// MapFunc is a u32 count and key-value pairs, written in ascending key order. An empty decoded
// map is nil.
func MapFunc[K cmp.Ordered, V any](
	c *Coder, p *map[K]V, key func(*Coder, *K), val func(*Coder, *V),
) {
	MapCmp(c, p, cmp.Compare[K], key, val)
}

// MapCmp is MapFunc for keys with an order of their own.
func MapCmp[K comparable, V any](
	c *Coder, p *map[K]V, order func(a, b K) int, key func(*Coder, *K), val func(*Coder, *V),
) {
	n := c.Count(len(*p), 1)
	if c.encoding {
		if n == 0 {
			return // the usual case costs nothing
		}
		for _, k := range slices.SortedFunc(maps.Keys(*p), order) {
			v := (*p)[k]
			key(c, &k)
			val(c, &v)
		}
		return
	}
	var out map[K]V
	if n > 0 {
		out = make(map[K]V, min(n, preallocate))
	}
	for range n {
		var k K
		var v V
		key(c, &k)
		if val(c, &v); c.err != nil {
			return
		}
		out[k] = v
	}
	if c.err == nil {
		*p = out
	}
}

// Map is MapFunc for values with a Denc method.
func Map[K cmp.Ordered, V any, P ptr[V]](c *Coder, p *map[K]V, key func(*Coder, *K)) {
	MapFunc(c, p, key, func(c *Coder, v *V) { P(v).Denc(c) })
}

// SetFunc is a u32 count and the members in ascending order.
func SetFunc[K cmp.Ordered](c *Coder, p *map[K]struct{}, key func(*Coder, *K)) {
	MapFunc(c, p, key, func(*Coder, *struct{}) {})
}

// OptionalFunc is a u8 presence flag and the value if it is there.
func OptionalFunc[T any](c *Coder, p **T, elem func(*Coder, *T)) {
	present := *p != nil
	c.Bool(&present)
	if c.err != nil {
		return
	}
	if c.encoding {
		if present {
			elem(c, *p)
		}
		return
	}
	*p = nil
	if present {
		v := new(T)
		if elem(c, v); c.err == nil {
			*p = v
		}
	}
}

// Nested is a value inside a blob of its own: a u32 length and the encoding.
func Nested(c *Coder, v Value) {
	NestedFunc(c, v.Denc)
}

// NestedFunc is Nested for a format given as a function.
func NestedFunc(c *Coder, f func(*Coder)) {
	if c.encoding {
		start := len(c.buf)
		c.U32Const(0)
		f(c)
		binary.LittleEndian.PutUint32(c.buf[start:], uint32(len(c.buf)-start-4))
		return
	}
	var b []byte
	if c.Blob(&b); c.err != nil {
		return
	}
	sub := NewDecoder(b, c.features)
	f(sub)
	c.Fail(sub.err)
}

// Marshal encodes v for a peer with the given features.
func Marshal(v Value, features uint64) []byte {
	c := NewEncoder(nil, features)
	v.Denc(c)
	return c.buf
}

// Unmarshal decodes all of b into v. Bytes left over are not an error, as newer writers append.
func Unmarshal(b []byte, v Value, features uint64) error {
	c := NewDecoder(b, features)
	v.Denc(c)
	return c.err
}
