// Package crc32c is the Castagnoli checksum as Ceph uses it: with a seed, and without the
// inversions before and after. It also moves checksums over data that is known by its own, which
// saves reading the data once more.
//
// A checksum is linear: that of a and then b is Zeros(Update(seed, a), len(b)) ^ Update(0, b).
//
// Everything here is pure and may be used from any goroutine.
package crc32c

import "hash/crc32"

// poly is the polynomial with its bits reversed; x^0 is the highest bit.
const poly = crc32.Castagnoli

var table = crc32.MakeTable(poly)

// Update continues a checksum with b (ceph_crc32c).
func Update(seed uint32, b []byte) uint32 { return ^crc32.Update(^seed, table, b) }

// powers[k] is x^(8*2^k) modulo the polynomial: what 2^k zero bytes do.
var powers = func() (p [32]uint32) {
	x := uint32(1) << 23 // x^8
	for k := range p {
		p[k] = x
		x = multiply(x, x)
	}
	return p
}()

// multiply is a*b modulo the polynomial.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		b = b>>1 ^ poly&-(b&1)
	}
	return product
}

// Zeros continues a checksum with n zero bytes; n is at most 2^32-1.
func Zeros(seed uint32, n int) uint32 {
	for k := 0; n > 0; k++ {
		if n&1 != 0 {
			seed = multiply(powers[k], seed)
		}
		n >>= 1
	}
	return seed
}

// BlockBytes is the length of the blocks that AddBlock takes.
const BlockBytes = 4096

// blockZeros is Zeros(_, BlockBytes) by the bytes of the seed.
var blockZeros = func() (t [4][256]uint32) {
	for i := range t {
		for b := range t[i] {
			t[i][b] = multiply(powers[12], uint32(b)<<(8*i))
		}
	}
	return t
}()

// standardZeros is Update(^0, a block of zeros).
var standardZeros = Zeros(^uint32(0), BlockBytes)

// AddBlock continues a checksum with a block of which the standard checksum, that of hash/crc32, is
// known.
func AddBlock(seed, standard uint32) uint32 {
	return AddZeroBlock(seed) ^ ^standard ^ standardZeros
}

// AddZeroBlock continues a checksum with a block of zeros.
func AddZeroBlock(seed uint32) uint32 {
	return blockZeros[0][seed&0xff] ^ blockZeros[1][seed>>8&0xff] ^
		blockZeros[2][seed>>16&0xff] ^ blockZeros[3][seed>>24]
}
