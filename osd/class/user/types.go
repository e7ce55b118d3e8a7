package user

import (
	"strconv"

	"glue/ceph"
	"glue/ceph/denc"
)

// A bucket names a bucket of the object gateway (cls_user_bucket).
type bucket struct {
	name, marker, id, placement    string
	dataPool, indexPool, extraPool string
}

// Denc is version 7, which old gateways read, for a bucket without a placement, else 9. It reads
// all versions from 3.
func (b *bucket) Denc(c *denc.Coder) {
	if c.Encoding() && b.placement == "" {
		b.fields7(c)
		return
	}
	s := c.Begin(9, 8)
	c.Str(&b.name)
	if s.V < 8 {
		b.older(c, s.V)
	} else {
		c.Str(&b.marker)
		c.Str(&b.id)
		c.Str(&b.placement)
		if s.V == 8 && b.placement == "" {
			c.Str(&b.dataPool)
			c.Str(&b.indexPool)
			c.Str(&b.extraPool)
		}
	}
	s.End()
}

func (b *bucket) fields7(c *denc.Coder) {
	s := c.Begin(7, 3)
	c.Str(&b.name)
	c.Str(&b.dataPool)
	c.Str(&b.marker)
	c.Str(&b.id)
	c.Str(&b.indexPool)
	c.Str(&b.extraPool)
	s.End()
}

// older reads what follows the name in versions before 8.
func (b *bucket) older(c *denc.Coder, version uint8) {
	c.Str(&b.dataPool)
	switch {
	case version >= 4:
		c.Str(&b.marker)
		c.Str(&b.id)
	case version >= 2:
		c.Str(&b.marker)
		b.id = strconv.FormatUint(c.U64Const(0), 10)
	}
	b.indexPool = b.dataPool
	if version >= 5 {
		c.Str(&b.indexPool)
	}
	if version >= 7 {
		c.Str(&b.extraPool)
	}
}

// An entry is a bucket of a user with its size (cls_user_bucket_entry).
type entry struct {
	bucket        bucket
	bytes         uint64
	bytesRounded  uint64
	created       ceph.Time
	objects       uint64
	countedInUser bool // in the user's sums
}

// Denc is version 9.
func (e *entry) Denc(c *denc.Coder) {
	s := c.Begin(9, 5)
	var unused string
	c.Str(&unused)
	c.U64(&e.bytes)
	sec := c.U32Const(e.created.Sec)
	c.U64(&e.objects)
	e.bucket.Denc(c)
	c.U64(&e.bytesRounded)
	if s.V >= 6 {
		c.Bool(&e.countedInUser)
	}
	if s.V >= 7 {
		e.created.Denc(c)
	} else if !c.Encoding() {
		e.created = ceph.Time{Sec: sec}
	}
	s.End()
}

// stats are sums over buckets (cls_user_stats).
type stats struct{ objects, bytes, bytesRounded uint64 }

// Denc is version 1.
func (t *stats) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&t.objects)
	c.U64(&t.bytes)
	c.U64(&t.bytesRounded)
	s.End()
}

func (t *stats) add(e *entry) {
	t.objects += e.objects
	t.bytes += e.bytes
	t.bytesRounded += e.bytesRounded
}

func (t *stats) subtract(e *entry) {
	t.objects -= e.objects
	t.bytes -= e.bytes
	t.bytesRounded -= e.bytesRounded
}

// A header is a user's sums and when they were made (cls_user_header).
type header struct {
	stats           stats
	synced, updated ceph.Time
}

// Denc is version 1.
func (h *header) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	h.stats.Denc(c)
	h.synced.Denc(c)
	h.updated.Denc(c)
	s.End()
}
