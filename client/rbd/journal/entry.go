package journal

import (
	"encoding/binary"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/crc32c"
)

// An entry is one record of a data object (journal::Entry). The entries of a tag are numbered from
// 0; the number says in which of the objects of a set an entry is.
type entry struct {
	tid, tag uint64
	data     []byte
}

// What begins an entry, what is around its data, and how padding is aligned.
const (
	preamble     = 0x3141592653589793
	entryVersion = 1
	headerBytes  = 25 // preamble, version, entry, tag
	fixedBytes   = headerBytes + 8
	padUnit      = 8
)

// append adds the entry to b.
func (e *entry) append(b []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, preamble)
	b = append(b, entryVersion)
	b = binary.LittleEndian.AppendUint64(b, e.tid)
	b = binary.LittleEndian.AppendUint64(b, e.tag)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.data)))
	b = append(b, e.data...)
	return binary.LittleEndian.AppendUint32(b, crc32c.Update(0, b[start:]))
}

// errCorrupt is what is no entry and no padding where there should be one.
var errCorrupt = fmt.Errorf("not an entry of a journal: %w", ceph.EBADMSG)

// parse reads the entry that b begins with and returns what comes after it. The data are those of
// b.
func (e *entry) parse(b []byte) (rest []byte, err error) {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	start, version := c.U64Const(0), c.U8Const(0)
	c.U64(&e.tid)
	c.U64(&e.tag)
	c.Blob(&e.data)
	end := c.Offset()
	sum := c.U32Const(0)
	if c.Err() != nil || start != preamble || version != entryVersion ||
		sum != crc32c.Update(0, b[:end]) {
		return nil, errCorrupt
	}
	return b[c.Offset():], nil
}

// entries reads what a data object holds. Between entries there may be zeros up to the next 8
// bytes, any number of times. What was written again is the later one, where the first was.
func entries(b []byte) ([]entry, error) {
	type key struct{ tag, tid uint64 }
	var out []entry
	at := map[key]int{}
	for size := len(b); len(b) > 0; {
		off := size - len(b)
		if pad := padUnit - off%padUnit; isPad(b, pad) {
			b = b[pad:]
			continue
		}
		var e entry
		rest, err := e.parse(b)
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", off, err)
		}
		b = rest
		if n, ok := at[key{e.tag, e.tid}]; ok {
			out[n] = e
			continue
		}
		at[key{e.tag, e.tid}] = len(out)
		out = append(out, e)
	}
	return out, nil
}

func isPad(b []byte, n int) bool {
	if len(b) < n {
		return false
	}
	for _, c := range b[:n] {
		if c != 0 {
			return false
		}
	}
	return true
}
