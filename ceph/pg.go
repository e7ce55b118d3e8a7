package ceph

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"glue/ceph/denc"
)

// A PGID names a placement group (pg_t): the pool and the seed, 0 to pg_num-1.
type PGID struct {
	Pool int64
	Seed uint32
}

// Denc is u8 1, u64 pool, u32 seed and the obsolete preferred OSD, -1.
func (p *PGID) Denc(c *denc.Coder) {
	c.U8Const(1)
	c.I64(&p.Pool)
	c.U32(&p.Seed)
	c.U32Const(^uint32(0))
}

// Compare orders by pool, then by seed.
func (p PGID) Compare(q PGID) int {
	return cmp.Or(cmp.Compare(p.Pool, q.Pool), cmp.Compare(p.Seed, q.Seed))
}

// String is POOL.SEED, the seed in hexadecimal.
func (p PGID) String() string { return fmt.Sprintf("%d.%x", p.Pool, p.Seed) }

// ParsePGID reads POOL.SEED.
func ParsePGID(s string) (PGID, error) {
	pool, seed, ok := strings.Cut(s, ".")
	p, err1 := strconv.ParseInt(pool, 10, 64)
	n, err2 := strconv.ParseUint(seed, 16, 32)
	if !ok || err1 != nil || err2 != nil || p < 0 {
		return PGID{}, fmt.Errorf("%q is not a placement group of the form POOL.HEX", s)
	}
	return PGID{Pool: p, Seed: uint32(n)}, nil
}

// A Shard is the position of a copy in an erasure-coded PG (shard_id_t).
type Shard int8

// NoShard marks a replicated PG's copy.
const NoShard Shard = -1

// An SPG is one copy of a placement group (spg_t): for replicated pools the shard is NoShard.
type SPG struct {
	PGID
	Shard Shard
}

// Denc is a section of the PG and the shard.
func (p *SPG) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	p.PGID.Denc(c)
	c.I8((*int8)(&p.Shard))
	s.End()
}

// Compare orders by PG, then by shard.
func (p SPG) Compare(q SPG) int {
	return cmp.Or(p.PGID.Compare(q.PGID), cmp.Compare(p.Shard, q.Shard))
}

// String is the PG, with "sN" after it for a shard.
func (p SPG) String() string {
	if p.Shard == NoShard {
		return p.PGID.String()
	}
	return fmt.Sprintf("%vs%d", p.PGID, p.Shard)
}

// A PGShard is one OSD in its role for a PG (pg_shard_t).
type PGShard struct {
	OSD   int32
	Shard Shard
}

// Denc is a section of the OSD and the shard.
func (p *PGShard) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.I32(&p.OSD)
	c.I8((*int8)(&p.Shard))
	s.End()
}

// Compare orders by OSD, then by shard.
func (p PGShard) Compare(q PGShard) int {
	return cmp.Or(cmp.Compare(p.OSD, q.OSD), cmp.Compare(p.Shard, q.Shard))
}

// String is the OSD with "(shard)" after it for an erasure-coded PG.
func (p PGShard) String() string {
	if p.Shard == NoShard {
		return strconv.Itoa(int(p.OSD))
	}
	return fmt.Sprintf("%d(%d)", p.OSD, p.Shard)
}
