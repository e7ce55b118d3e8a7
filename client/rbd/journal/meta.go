package journal

import "glue/ceph/denc"

// Kinds of a journal's clients (ClientMetaType).
const imageClient = 0

// A clientMeta is what a client of a journal says of itself (ClientData). Only the image's own
// (ImageClientMeta) is read.
type clientMeta struct {
	kind   uint32
	class  uint64 // of its tags
	resync bool   // its copy is to be made anew
}

// Denc is version 2.
func (m *clientMeta) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	if c.U32(&m.kind); m.kind == imageClient {
		c.U64(&m.class)
		c.Bool(&m.resync)
	}
	s.End()
}

// Who wrote the entries of a tag, other than a peer of its UUID: this cluster's primary image, or
// nobody since it was demoted.
const (
	localUUID  = ""
	orphanUUID = "<orphan>"
)

// A tagData is what a tag says (TagData): who writes, and where that continues.
type tagData struct {
	writer      string
	before      string // who wrote until then
	valid       bool   // the writer before had committed up to these:
	tag, commit uint64
}

// Denc is without a version.
func (t *tagData) Denc(c *denc.Coder) {
	c.Str(&t.writer)
	c.Str(&t.before)
	c.Bool(&t.valid)
	c.U64(&t.tag)
	c.U64(&t.commit)
}
