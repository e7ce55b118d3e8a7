package crush

import "math/bits"

// ln is 2^44*log2(u+1) for u in [0, 0xffff] (crush_ln).
func ln(u uint32) int64 {
	x := u + 1
	exp := uint64(15)
	if x&0x18000 == 0 { // bring the leading one to bit 15
		shift := bits.LeadingZeros32(x) - 16
		x <<= shift
		exp -= uint64(shift)
	}
	i := x>>8 - 128
	low := uint64(x) * lnRecip[i] >> 48 & 0xff
	return int64(exp<<44 + (lnHigh[i]+lnLow[low])>>4)
}
