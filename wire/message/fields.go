package message

import (
	"encoding/binary"

	"glue/ceph"
	"glue/ceph/denc"
)

// Paxos is the prefix of messages to the monitors' services (PaxosServiceMessage): the version of
// the map that the sender has, and two fields nobody uses any more.
type Paxos struct {
	Version uint64
}

// Denc is u64 version, s16 -1, u64 0.
func (p *Paxos) Denc(c *denc.Coder) {
	c.U64(&p.Version)
	mon := int16(-1)
	c.I16(&mon)
	c.U64Const(0)
}

// A Section is the encoding of one versioned value with its header, not looked into: it lets a
// message carry a record without knowing it.
type Section []byte

// Denc copies or takes u8 version, u8 compat, u32 length and the body. An empty value encodes as
// an empty section of version 1.
func (s *Section) Denc(c *denc.Coder) {
	if c.Encoding() {
		b := []byte(*s)
		if len(b) == 0 {
			b = []byte{1, 1, 0, 0, 0, 0}
		}
		c.Raw(b)
		return
	}
	var head [6]byte
	c.Raw(head[:])
	n := binary.LittleEndian.Uint32(head[2:])
	if c.Err() != nil {
		return
	}
	if int64(n) > int64(c.Remaining()) {
		c.Invalid("section of %d in %d bytes", n, c.Remaining())
		return
	}
	b := make([]byte, 6+n)
	copy(b, head[:])
	c.Raw(b[6:])
	*s = b
}

// strs is a counted list of strings.
func strs(c *denc.Coder, p *[]string) { denc.ListFunc(c, p, (*denc.Coder).Str) }

// strMap is a map of strings.
func strMap(c *denc.Coder, p *map[string]string) {
	denc.MapFunc(c, p, (*denc.Coder).Str, (*denc.Coder).Str)
}

// epochBlobs is a map from epoch to blob.
func epochBlobs(c *denc.Coder, p *map[ceph.Epoch][]byte) {
	denc.MapFunc(c, p, func(c *denc.Coder, e *ceph.Epoch) { e.Denc(c) }, (*denc.Coder).Blob)
}

// snaps is a counted list of snap ids.
func snaps(c *denc.Coder, p *[]ceph.SnapID) { denc.List(c, p) }

// ints is a counted list of s32.
func ints(c *denc.Coder, p *[]int32) { denc.ListFunc(c, p, (*denc.Coder).I32) }

// pgid is the body of ceph.PGID as a function, for maps.
func pgid(c *denc.Coder, p *ceph.PGID) { p.Denc(c) }

// trace is the blkin trace of an op: three zero words.
func trace(c *denc.Coder) {
	for range 3 {
		c.U64Const(0)
	}
}

// own opens the section that wraps a body of which the layout is ours, so that fields can be
// added later.
func own(c *denc.Coder, f func(c *denc.Coder)) {
	s := c.Begin(1, 1)
	f(c)
	s.End()
}
