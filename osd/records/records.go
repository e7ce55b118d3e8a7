// Package records is what an OSD's daemon keeps in its store's own table, besides maps, and what it
// tells of its leases.
//
// Invariants: pure data; a stored form is never changed, only given a newer version of its section.
package records

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
)

// A Superblock is what a store says of the OSD that it belongs to (OSDSuperblock).
type Superblock struct {
	FSID      ceph.UUID
	UUID      ceph.UUID
	Whoami    int32
	Oldest    ceph.Epoch // maps kept; zero for none
	Newest    ceph.Epoch
	CleanThru ceph.Epoch // the newest map at a clean shutdown
	// Pools are the pools of which all maps have been seen.
	Pools map[int64]PoolLife
}

// A PoolLife is what later maps do not say of a pool.
type PoolLife struct {
	Created ceph.Epoch // when the pool appeared
	// Fewest is the smallest pg_num so far: PGs above it come from others, by splitting.
	Fewest uint32
}

// Denc is a section of our own.
func (s *Superblock) Denc(c *denc.Coder) {
	sec := c.Begin(2, 1)
	s.FSID.Denc(c)
	s.UUID.Denc(c)
	c.I32(&s.Whoami)
	s.Oldest.Denc(c)
	s.Newest.Denc(c)
	s.CleanThru.Denc(c)
	denc.MapFunc(c, &s.Pools, (*denc.Coder).I64,
		func(c *denc.Coder, l *PoolLife) { l.Created.Denc(c) })
	if sec.V >= 2 {
		s.fewest(c)
	}
	sec.End()
}

// fewest is that part of the pools' lives, which came with version 2.
func (s *Superblock) fewest(c *denc.Coder) {
	counts := map[int64]uint32{}
	for id, l := range s.Pools {
		counts[id] = l.Fewest
	}
	denc.MapFunc(c, &counts, (*denc.Coder).I64, (*denc.Coder).U32)
	if c.Encoding() {
		return
	}
	for id, l := range s.Pools {
		s.Pools[id] = PoolLife{l.Created, counts[id]}
	}
}

// A PG is what the store keeps of a PG copy besides its log and missing set.
type PG struct {
	Info  pginfo.Info
	Past  pginfo.PastIntervals
	Epoch ceph.Epoch // of the map that the copy had got to
}

// Denc is a section of our own.
func (s *PG) Denc(c *denc.Coder) {
	sec := c.Begin(1, 1)
	s.Info.Denc(c)
	s.Past.Denc(c)
	s.Epoch.Denc(c)
	sec.End()
}

// A Promise is a promise on the wire: the time that is left.
type Promise struct {
	OSD    int32
	UpFrom ceph.Epoch
	LeftNS int64
}

// Denc is the fields.
func (r *Promise) Denc(c *denc.Coder) {
	c.I32(&r.OSD)
	r.UpFrom.Denc(c)
	c.I64(&r.LeftNS)
}

// Promises are those of one copy.
type Promises []Promise

// Denc is a section of our own.
func (r *Promises) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.List(c, (*[]Promise)(r))
	s.End()
}
