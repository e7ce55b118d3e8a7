// Package copies fetches, for one shard of an OSD, the objects that requests want to copy: each
// from its primary, piece by piece, a few at a time since their contents are in memory.
//
// Invariants: nothing is asked for twice at a time for one copy; an answer counts only if its id is
// that of the piece asked for last; all pieces of a copy are of one version of its source. One
// goroutine, the shard's, calls everything.
package copies

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/osd/ops"
	"glue/wire/message"
)

const (
	most      = 4  // copies at a time
	mostTries = 10 // of one copy, when its source keeps changing
)

// A Copy is one object on its way to a request.
type Copy struct {
	Source ops.CopySource
	// Got is what has been fetched; complete, or with the reason why not, when Done is called.
	Got *ops.Copied
	// Alive says whether the request still waits.
	Alive func() bool
	// Allowed says whether whoever sent the request may read an object.
	Allowed func(pool *osdmap.Pool, o ceph.HObject) bool
	// Done runs the request again.
	Done func()

	tries int
}

// A Host is what the copies need of their shard.
type Host interface {
	Map() *osdmap.Map
	// Ask sends a request for a piece to the OSD that is the primary; its ID, OSD and Epoch are the
	// host's to set.
	Ask(primary int32, id uint64, b *message.MOSDCopyGet)
	// Limit is the largest object, in bytes.
	Limit() uint64
}

// Copies are those of one shard.
type Copies struct {
	host  Host
	asked map[uint64]*Copy // by the id of the piece
	queue []*Copy
	last  uint64
}

// New makes none.
func New(h Host) *Copies { return &Copies{host: h, asked: map[uint64]*Copy{}} }

// Start begins a copy when there is room for it. Done may be called before it returns.
func (s *Copies) Start(c *Copy) {
	c.Got = &ops.Copied{}
	s.queue = append(s.queue, c)
	s.next()
}

func (s *Copies) next() {
	for len(s.queue) > 0 && len(s.asked) < most {
		c := s.queue[0]
		s.queue = s.queue[1:]
		if c.Alive() {
			s.ask(c)
		}
	}
}

// ask asks for the next piece.
func (s *Copies) ask(c *Copy) {
	src, m := &c.Source, s.host.Map()
	pool := m.Pools[src.Locator.Pool]
	if pool == nil {
		c.end(ceph.ENOENT.Result())
		return
	}
	o := object(pool, src)
	if !c.Allowed(pool, o) {
		c.end(ceph.EPERM.Result())
		return
	}
	s.last++
	s.asked[s.last] = c
	pg := ceph.PGID{Pool: o.Pool, Seed: pool.FoldSeed(o.Hash)}
	_, _, _, primary := m.PGToUpActing(pg)
	if primary < 0 {
		return // a newer map will say
	}
	version := c.Got.Version
	if version == 0 {
		version = src.Version
	}
	get := ops.NewCopyGet(c.Got.First.Cursor)
	s.host.Ask(primary, s.last, &message.MOSDCopyGet{PG: ceph.SPG{PGID: pg, Shard: ceph.NoShard},
		Object: o, Version: version, Get: get.In})
}

func (c *Copy) end(result int32) {
	c.Got.Result = result
	c.Done()
}

// object is the full name of what is to be copied.
func object(pool *osdmap.Pool, src *ops.CopySource) ceph.HObject {
	l := src.Locator
	o := ceph.HObject{Pool: l.Pool, Namespace: l.Namespace, Key: l.Key, Name: src.Name,
		Snap: src.Snap}
	if o.Key == o.Name {
		o.Key = ""
	}
	key := o.Name
	if o.Key != "" {
		key = o.Key
	}
	if o.Hash = pool.HashKey(key, o.Namespace); l.Hash >= 0 {
		o.Hash = uint32(l.Hash)
	}
	return o
}

// Piece takes an answer. One that nobody waits for any more is late: its piece was asked for again
// under another id.
func (s *Copies) Piece(id uint64, b *message.MOSDCopyPiece) {
	c := s.asked[id]
	if c == nil {
		return
	}
	delete(s.asked, id)
	if c.Alive() {
		s.take(c, b)
	}
	s.next()
}

func (s *Copies) take(c *Copy, b *message.MOSDCopyPiece) {
	r := b.Result
	changed := r == ceph.ERANGE.Result() || r == ceph.EOVERFLOW.Result()
	if changed && c.Got.Version != 0 && c.tries < mostTries {
		c.Got, c.tries = &ops.Copied{}, c.tries+1
		s.ask(c)
		return
	}
	if r < 0 {
		c.end(r)
		return
	}
	var p ops.CopyPiece
	err := denc.Unmarshal(b.Piece, &p, ceph.FeaturesAll)
	if err == nil {
		err = c.Got.Add(&p, s.host.Limit())
	}
	if err != nil {
		c.end(ceph.ResultOf(err))
		return
	}
	c.Got.Version, c.Got.First.Cursor = b.Version, p.Cursor
	if p.Cursor.Done() {
		c.end(0)
		return
	}
	s.ask(c)
}

// MapChanged asks again for all pieces: who has been asked may not be the primary any more, or has
// dropped the request as too old.
func (s *Copies) MapChanged() {
	for _, id := range slices.Sorted(maps.Keys(s.asked)) {
		c := s.asked[id]
		delete(s.asked, id)
		if c.Alive() {
			s.ask(c)
		}
	}
	s.next()
}

// Request is what the primary does for a piece.
func Request(b *message.MOSDCopyGet) *message.MOSDOp {
	o := b.Object
	m := &message.MOSDOp{PG: b.PG, Hash: o.Hash, Epoch: b.Epoch, Object: o.Name, Snap: o.Snap,
		Locator: ceph.Locator{Pool: o.Pool, Key: o.Key, Namespace: o.Namespace, Hash: -1},
		Flags:   message.FlagRead | message.FlagIgnoreOverlay}
	if b.Version != 0 {
		check := message.OSDOp{Code: message.OpAssertVer}
		check.SetAssertVersion(b.Version)
		m.Ops = append(m.Ops, check)
	}
	m.Ops = append(m.Ops, message.OSDOp{Code: message.OpCopyGet, In: b.Get})
	return m
}

// Answer is what it says then.
func Answer(id uint64, r *message.MOSDOpReply) *message.MOSDCopyPiece {
	p := &message.MOSDCopyPiece{ID: id, Result: r.Result, Version: r.UserVersion}
	if n := len(r.Ops); n > 0 {
		p.Piece = r.Ops[n-1].Out
	}
	return p
}
