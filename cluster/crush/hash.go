package crush

// hashSeed starts every CRUSH hash (crush_hash_seed).
const hashSeed = 1315423911

// The two constants that fill the free inputs of the mixing rounds.
const (
	hashX = 231232
	hashY = 1232
)

// mix is Robert Jenkins' 96-bit mixing function.
func mix(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - b - c) ^ (c >> 13)
	b = (b - c - a) ^ (a << 8)
	c = (c - a - b) ^ (b >> 13)
	a = (a - b - c) ^ (c >> 12)
	b = (b - c - a) ^ (a << 16)
	c = (c - a - b) ^ (b >> 5)
	a = (a - b - c) ^ (c >> 3)
	b = (b - c - a) ^ (a << 10)
	c = (c - a - b) ^ (b >> 15)
	return a, b, c
}

// Hash1 hashes one word (crush_hash32).
func Hash1(a uint32) uint32 {
	h, b, x, y := hashSeed^a, a, uint32(hashX), uint32(hashY)
	_, _, h = mix(b, x, h)
	_, _, h = mix(y, a, h)
	return h
}

// Hash2 hashes two words (crush_hash32_2).
func Hash2(a, b uint32) uint32 {
	h, x, y := hashSeed^a^b, uint32(hashX), uint32(hashY)
	a, b, h = mix(a, b, h)
	_, _, h = mix(x, a, h)
	_, _, h = mix(b, y, h)
	return h
}

// Hash3 hashes three words (crush_hash32_3).
func Hash3(a, b, c uint32) uint32 {
	h, x, y := hashSeed^a^b^c, uint32(hashX), uint32(hashY)
	a, b, h = mix(a, b, h)
	c, x, h = mix(c, x, h)
	y, _, h = mix(y, a, h)
	_, _, h = mix(b, x, h)
	_, _, h = mix(y, c, h)
	return h
}

// Hash4 hashes four words (crush_hash32_4).
func Hash4(a, b, c, d uint32) uint32 {
	h, x, y := hashSeed^a^b^c^d, uint32(hashX), uint32(hashY)
	a, b, h = mix(a, b, h)
	c, d, h = mix(c, d, h)
	_, x, h = mix(a, x, h)
	y, _, h = mix(y, b, h)
	_, _, h = mix(c, x, h)
	_, _, h = mix(y, d, h)
	return h
}

// Hash5 hashes five words (crush_hash32_5).
func Hash5(a, b, c, d, e uint32) uint32 {
	h, x, y := hashSeed^a^b^c^d^e, uint32(hashX), uint32(hashY)
	a, b, h = mix(a, b, h)
	c, d, h = mix(c, d, h)
	e, x, h = mix(e, x, h)
	y, _, h = mix(y, a, h)
	_, x, h = mix(b, x, h)
	y, _, h = mix(y, c, h)
	_, _, h = mix(d, x, h)
	_, _, h = mix(y, e, h)
	return h
}

// String hash functions of pools (CEPH_STR_HASH_*).
const (
	StringHashLinux    = 1
	StringHashRjenkins = 2
)

// HashString is the hash of object names in every pool made since 2011
// (ceph_str_hash_rjenkins).
func HashString(s string) uint32 {
	a, b, c := uint32(0x9e3779b9), uint32(0x9e3779b9), uint32(0)
	n := uint32(len(s))
	for len(s) >= 12 {
		a, b, c = mix(a+word(s[0:4]), b+word(s[4:8]), c+word(s[8:12]))
		s = s[12:]
	}
	c += n
	var tail [12]byte // the last word's lowest byte belongs to the length
	copy(tail[:8], s)
	if len(s) > 8 {
		copy(tail[9:], s[8:])
	}
	_, _, c = mix(a+word(tail[0:4]), b+word(tail[4:8]), c+word(tail[8:12]))
	return c
}

// word is four bytes, little-endian.
func word[T string | []byte](s T) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// HashStringLinux is the name hash of the oldest pools and of directory fragments
// (ceph_str_hash_linux).
func HashStringLinux(s string) uint32 {
	var h uint32
	for i := range len(s) {
		c := uint32(s[i])
		h = (h + c<<4 + c>>4) * 11
	}
	return h
}
