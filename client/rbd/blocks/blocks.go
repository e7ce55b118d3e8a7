// Package blocks finds what of some bytes of an image is to be written: blocks that are not zero,
// or that differ from others.
package blocks

import (
	"bytes"

	"glue/wire/message"
)

const (
	// Size is the grain at which bytes are looked at.
	Size = 4096
	// gap is the run of other blocks for which a write is split.
	gap = 64 << 10
)

// Data finds the blocks of p that are not zero; short gaps are part of a run.
func Data(p []byte) []message.Extent {
	write, _ := Differences(nil, p)
	return write
}

// Differences finds the blocks of b that differ from a, those of zeros apart; no a is zeros. A run
// to be written may go over a short gap of others.
func Differences(a, b []byte) (write, zero []message.Extent) {
	for at := 0; at < len(b); at += Size {
		end := min(at+Size, len(b))
		empty := IsZero(b[at:end])
		if a == nil && empty || a != nil && bytes.Equal(a[at:end], b[at:end]) {
			continue
		}
		list, most := &write, uint64(gap)
		if empty {
			list, most = &zero, 1
		}
		if n := len(*list); n > 0 && uint64(at)-((*list)[n-1].Off+(*list)[n-1].Len) < most {
			(*list)[n-1].Len = uint64(end) - (*list)[n-1].Off
			continue
		}
		*list = append(*list, message.Extent{Off: uint64(at), Len: uint64(end - at)})
	}
	return write, zero
}

// IsZero says whether all bytes are 0.
func IsZero(p []byte) bool {
	for len(p) >= 8 {
		if p[0]|p[1]|p[2]|p[3]|p[4]|p[5]|p[6]|p[7] != 0 {
			return false
		}
		p = p[8:]
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
