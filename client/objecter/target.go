package objecter

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

const noOSD int32 = -1

// An interval is what must stay the same for a PG's requests not to be resent
// (PastIntervals::is_new_interval).
type interval struct {
	mapping       osdmap.Mapping
	size, minSize uint8
	pgNum         uint32
	pgNumPending  uint32
	flags         osdmap.Flags
	peeringBucket [3]uint32
}

func (i *interval) same(j *interval) bool {
	return i == j || i.size == j.size && i.minSize == j.minSize && i.pgNum == j.pgNum &&
		i.pgNumPending == j.pgNumPending && i.flags == j.flags &&
		i.peeringBucket == j.peeringBucket &&
		i.mapping.UpPrimary == j.mapping.UpPrimary &&
		i.mapping.ActingPrimary == j.mapping.ActingPrimary &&
		slices.Equal(i.mapping.Up, j.mapping.Up) &&
		slices.Equal(i.mapping.Acting, j.mapping.Acting)
}

// A placement is where a PG's requests go under one map.
type placement struct {
	spg      ceph.SPG
	osd      int32 // the primary's
	interval *interval
	once     sync.Once
	nearest  int32 // of the acting OSDs, once that has been asked for
}

// A mapState is one osdmap with the placements computed so far.
type mapState struct {
	m     *osdmap.Map
	here  func() []crush.Coordinate
	mu    sync.Mutex
	pools map[int64][]atomic.Pointer[placement]
}

func newMapState(m *osdmap.Map, here func() []crush.Coordinate) *mapState {
	s := &mapState{m: m, here: here,
		pools: make(map[int64][]atomic.Pointer[placement], len(m.Pools))}
	for id, p := range m.Pools {
		s.pools[id] = make([]atomic.Pointer[placement], p.PGNum)
	}
	return s
}

// place is where a folded PG's requests go.
func (s *mapState) place(p *osdmap.Pool, pg ceph.PGID) *placement {
	slot := &s.pools[pg.Pool][pg.Seed]
	if pl := slot.Load(); pl != nil {
		return pl
	}
	spg, osd := s.m.PrimaryShard(pg)
	pl := &placement{spg: spg, osd: osd, interval: &interval{
		mapping: s.m.PGMapping(pg), size: p.Size, minSize: p.MinSize, pgNum: p.PGNum,
		pgNumPending: p.PGNumPending,
		flags:        s.m.Flags & (osdmap.FlagSortBitwise | osdmap.FlagRecoveryDeletes),
		peeringBucket: [3]uint32{p.PeeringBucketCount, p.PeeringBucketTarget,
			p.PeeringBucketBarrier},
	}}
	if osd < 0 {
		pl.osd = noOSD
	}
	slot.Store(pl)
	return pl
}

// A target is where a request goes under the map it was last looked at with.
type target struct {
	hash   uint32
	pl     *placement
	osd    int32 // of pl's acting ones, or noOSD
	paused bool
	lost   bool // the pool does not exist
	resend ceph.Epoch
}

// aim computes a request's target. It reports whether the request has to be sent (again): the
// interval is another one, a pause has ended, or the map forces it.
func (s *mapState) aim(op *Op) (changed bool) {
	t, pool := &op.target, op.effectivePool(s.m)
	p := s.m.Pools[pool]
	if p == nil {
		t.lost, t.pl = true, nil
		return false
	}
	t.lost = false
	raw := ceph.PGID{Pool: pool}
	switch {
	case op.PG != nil:
		raw.Seed = op.PG.Seed
	case op.redirect != nil && op.redirect.Locator.Hash >= 0:
		raw.Seed = uint32(op.redirect.Locator.Hash)
	default:
		raw.Seed = p.HashKey(op.hashKey(), op.namespace())
	}
	t.hash = raw.Seed
	pl := s.place(p, ceph.PGID{Pool: pool, Seed: p.FoldSeed(raw.Seed)})
	paused := s.paused(p, op)
	changed = t.pl == nil || t.pl.spg.PGID != pl.spg.PGID || !t.pl.interval.same(pl.interval) ||
		t.paused && !paused
	if p.LastForceResend == s.m.Epoch && t.resend < s.m.Epoch {
		t.resend, changed = s.m.Epoch, true
	}
	t.pl, t.paused = pl, paused
	if changed {
		t.osd = s.copyOf(op, p, pl)
	}
	return changed
}

// copyOf is the OSD that a request goes to: that of the primary, but a read of any copy goes to one
// of the acting OSDs by chance (balanced), or to the nearest (localized).
func (s *mapState) copyOf(op *Op, p *osdmap.Pool, pl *placement) int32 {
	acting := pl.interval.mapping.Acting
	switch {
	case pl.osd == noOSD || op.Flags&message.FlagWrite != 0 || p.Type != osdmap.Replicated:
	case op.Flags&message.FlagBalanceReads != 0:
		if osd := acting[rand.IntN(len(acting))]; s.m.IsUp(osd) {
			return osd
		}
	case op.Flags&message.FlagLocalizeReads != 0:
		pl.once.Do(func() { pl.nearest = s.nearest(pl.osd, acting) })
		return pl.nearest
	}
	return pl.osd
}

// nearest is the OSD that is nearest to where we are; the primary if no other is nearer.
func (s *mapState) nearest(primary int32, acting []int32) int32 {
	here := s.here()
	best, least := primary, int32(-1)
	if d, ok := s.m.Crush.Distance(primary, here); ok {
		least = d
	}
	for _, osd := range acting {
		d, ok := s.m.Crush.Distance(osd, here)
		if ok && (least < 0 || d < least) && s.m.IsUp(osd) {
			best, least = osd, d
		}
	}
	return best
}

// paused says whether the map's flags hold a request back.
func (s *mapState) paused(p *osdmap.Pool, op *Op) bool {
	f := s.m.Flags
	if op.Flags&message.FlagRead != 0 && f.Has(osdmap.FlagPauseRD) {
		return true
	}
	if op.Flags&message.FlagWrite == 0 {
		return false
	}
	full := f.Has(osdmap.FlagFull) || p.Flags.Has(osdmap.PoolFull)
	return f.Has(osdmap.FlagPauseWR) ||
		full && op.Flags&(message.FlagFullTry|message.FlagFullForce) == 0
}

// effectivePool applies redirects and cache tiers.
func (op *Op) effectivePool(m *osdmap.Map) int64 {
	pool := op.Pool
	if op.redirect != nil {
		return op.redirect.Locator.Pool
	}
	p := m.Pools[pool]
	if p == nil || op.Flags&message.FlagIgnoreOverlay != 0 {
		return pool
	}
	if op.Flags&message.FlagRead != 0 && p.ReadTier >= 0 {
		pool = p.ReadTier
	}
	if op.Flags&message.FlagWrite != 0 && p.WriteTier >= 0 {
		pool = p.WriteTier
	}
	return pool
}

func (op *Op) hashKey() string {
	if r := op.redirect; r != nil {
		if r.Locator.Key != "" {
			return r.Locator.Key
		}
		if r.Object != "" {
			return r.Object
		}
	}
	if op.Key != "" {
		return op.Key
	}
	return op.Object
}

func (op *Op) namespace() string {
	if op.redirect != nil {
		return op.redirect.Locator.Namespace
	}
	return op.Namespace
}

// hobject is the request's object in the order of the PG.
func (op *Op) hobject() ceph.HObject {
	key := op.Key
	if key == op.Object {
		key = ""
	}
	return ceph.HObject{Pool: op.Pool, Namespace: op.namespace(), Key: key, Name: op.Object,
		Snap: op.snap(), Hash: op.target.hash}
}
