package ops

import (
	"math/bits"

	"glue/ceph"
	"glue/internal/crc32c"
	"glue/wire/message"
)

// A sum is one kind of checksum (CEPH_OSD_CHECKSUM_OP_TYPE_*): the size of its seed and value in
// bytes, and the function.
type sum struct {
	size int
	of   func(seed uint64, data []byte) uint64
}

var sums = map[uint8]sum{
	0: {4, func(seed uint64, b []byte) uint64 { return uint64(xxhash32(uint32(seed), b)) }},
	1: {8, xxhash64},
	2: {4, func(seed uint64, b []byte) uint64 { return uint64(crc32c.Update(uint32(seed), b)) }},
}

// opChecksum answers with a count and one checksum per chunk of an extent.
func opChecksum(x *exec, op *message.OSDOp) int32 {
	x.reads++
	off, length, chunk, kind := op.Checksum()
	if chunk > 0 && (length == 0 || length%uint64(chunk) != 0) {
		return ceph.EINVAL.Result()
	}
	size := x.info.Size
	switch {
	case off == 0 && length == 0:
		length = size
	case off >= size:
		return 0
	case end(off, length) > size:
		if length = size - off; chunk > 0 && length%uint64(chunk) != 0 {
			return ceph.EINVAL.Result()
		}
	}
	s, ok := sums[kind]
	if !ok || len(op.In) < s.size {
		return ceph.EINVAL.Result()
	}
	op.SetExtent(off, length)
	var data []byte
	if length > 0 {
		x.reads++
		var r int32
		if data, r = x.read(&message.OSDOp{}, off, length); r < 0 {
			return r
		}
		if uint64(len(data)) != length {
			return ceph.EINVAL.Result()
		}
	}
	op.Out = s.all(op.In, data, int(chunk))
	return 0
}

// all is the count and the checksums of data's chunks; chunk 0 is one for all.
func (s sum) all(seed, data []byte, chunk int) []byte {
	if chunk == 0 {
		chunk = len(data)
	}
	n := 0
	if chunk > 0 {
		n = len(data) / chunk
	}
	out := make([]byte, 0, 4+n*s.size)
	out = le.AppendUint32(out, uint32(n))
	for i := range n {
		part := data[i*chunk : (i+1)*chunk]
		if s.size == 8 {
			out = le.AppendUint64(out, s.of(le.Uint64(seed), part))
		} else {
			out = le.AppendUint32(out, uint32(s.of(uint64(le.Uint32(seed)), part)))
		}
	}
	return out
}

const (
	xx32a uint32 = 2654435761
	xx32b uint32 = 2246822519
	xx32c uint32 = 3266489917
	xx32d uint32 = 668265263
	xx32e uint32 = 374761393
)

// xxhash32 is XXH32.
func xxhash32(seed uint32, b []byte) uint32 {
	n := len(b)
	h := seed + xx32e
	if n >= 16 {
		v := [4]uint32{seed, seed, seed, seed}
		v[0] += xx32a
		v[0] += xx32b
		v[1] += xx32b
		v[3] -= xx32a
		for ; len(b) >= 16; b = b[16:] {
			for i := range v {
				v[i] = bits.RotateLeft32(v[i]+le.Uint32(b[4*i:])*xx32b, 13) * xx32a
			}
		}
		h = bits.RotateLeft32(v[0], 1) + bits.RotateLeft32(v[1], 7) +
			bits.RotateLeft32(v[2], 12) + bits.RotateLeft32(v[3], 18)
	}
	h += uint32(n)
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+le.Uint32(b)*xx32c, 17) * xx32d
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*xx32e, 11) * xx32a
	}
	h = (h ^ h>>15) * xx32b
	h = (h ^ h>>13) * xx32c
	return h ^ h>>16
}

const (
	xx64a uint64 = 11400714785074694791
	xx64b uint64 = 14029467366897019727
	xx64c uint64 = 1609587929392839161
	xx64d uint64 = 9650029242287828579
	xx64e uint64 = 2870177450012600261
)

func xx64round(acc, in uint64) uint64 {
	return bits.RotateLeft64(acc+in*xx64b, 31) * xx64a
}

// xxhash64 is XXH64.
func xxhash64(seed uint64, b []byte) uint64 {
	n := len(b)
	h := seed + xx64e
	if n >= 32 {
		v := [4]uint64{seed, seed, seed, seed}
		v[0] += xx64a
		v[0] += xx64b
		v[1] += xx64b
		v[3] -= xx64a
		for ; len(b) >= 32; b = b[32:] {
			for i := range v {
				v[i] = xx64round(v[i], le.Uint64(b[8*i:]))
			}
		}
		h = bits.RotateLeft64(v[0], 1) + bits.RotateLeft64(v[1], 7) +
			bits.RotateLeft64(v[2], 12) + bits.RotateLeft64(v[3], 18)
		for i := range v {
			h = (h^xx64round(0, v[i]))*xx64a + xx64d
		}
	}
	h += uint64(n)
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^xx64round(0, le.Uint64(b)), 27)*xx64a + xx64d
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(le.Uint32(b))*xx64a, 23)*xx64b + xx64c
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*xx64e, 11) * xx64a
	}
	h = (h ^ h>>33) * xx64b
	h = (h ^ h>>29) * xx64c
	return h ^ h>>32
}
