package objectmap

import "glue/ceph/denc"

// A Vector is the state of each object, two bits for each, the first object in the highest bits of
// the first byte.
type Vector struct {
	n    uint64
	bits []byte
}

// Len is the number of objects.
func (v *Vector) Len() uint64 { return v.n }

// Get is an object's state; one beyond the end does not exist.
func (v *Vector) Get(i uint64) uint8 {
	if i >= v.n {
		return Nonexistent
	}
	return v.bits[i/4] >> (6 - 2*(i%4)) & 3
}

// Set changes an object's state, unless it is beyond the end.
func (v *Vector) Set(i uint64, state uint8) {
	if i < v.n {
		shift := 6 - 2*(i%4)
		v.bits[i/4] = v.bits[i/4]&^(3<<shift) | state<<shift
	}
}

// Resize changes the number of objects; new ones do not exist.
func (v *Vector) Resize(n uint64) {
	bits := make([]byte, (n+3)/4)
	copy(bits, v.bits)
	for i := n; i < v.n && i < uint64(len(bits))*4; i++ {
		shift := 6 - 2*(i%4)
		bits[i/4] &^= 3 << shift
	}
	v.n, v.bits = n, bits
}

// Denc is BitVector<2>: a blob with the header, the bits, and a blob with the checksums, which
// is empty in answers.
func (v *Vector) Denc(c *denc.Coder) {
	denc.NestedFunc(c, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.U64(&v.n)
		s.End()
	})
	if c.Encoding() {
		c.Raw(v.bits)
	} else {
		if v.n > uint64(c.Remaining())*4 {
			c.Invalid("object map of %d objects in %d bytes", v.n, c.Remaining())
			return
		}
		v.bits = make([]byte, (v.n+3)/4)
		c.Raw(v.bits)
	}
	var footer []byte
	c.Blob(&footer)
}
