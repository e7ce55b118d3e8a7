package pgstat

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
)

// smoothIntervals is over how many reports rates are averaged (mon_stat_smooth_intervals).
const smoothIntervals = 6

// minInterval keeps reports in quick succession from making rates out of noise.
const minInterval = time.Second

// A PGMap is all statistics of PGs and OSDs, and their sums (PGMap). It belongs to one goroutine.
type PGMap struct {
	Digest
	PGs         map[ceph.PGID]*PG
	OSDs        map[int32]*OSD
	PoolStatfs  map[PoolOSD]Statfs
	Version     uint64
	Stamp       ceph.Time
	OSDMapEpoch ceph.Epoch
	BlockedBy   map[int32]int32 // OSD -> PGs that wait for it

	stale      bool // the sums are older than the statistics
	deltas     []Delta
	poolDeltas map[int64][]Delta
	lastSum    Sum
	lastPools  map[int64]Sum

	last *osdmap.Map
	// due is from when on a PG's report has what the numbers of PGs have done to it, words from
	// when on its word about snapshots is of all its objects.
	due, words horizon
}

// PoolOSD is one pool on one OSD.
type PoolOSD struct {
	Pool int64
	OSD  int32
}

// NewPGMap is a map without statistics.
func NewPGMap() *PGMap {
	return &PGMap{
		PGs: map[ceph.PGID]*PG{}, OSDs: map[int32]*OSD{}, PoolStatfs: map[PoolOSD]Statfs{},
		poolDeltas: map[int64][]Delta{}, lastPools: map[int64]Sum{},
		due: newHorizon(), words: newHorizon(),
	}
}

// TakeMap follows the OSD map: statistics of what is gone are dropped, new PGs are unknown until
// someone reports them, and PGs whose primary is down become stale.
func (p *PGMap) TakeMap(m *osdmap.Map, now ceph.Time) {
	p.OSDMapEpoch = m.Epoch
	p.stale = true
	for osd, stat := range p.OSDs {
		switch {
		case !m.Exists(osd):
			p.dropOSD(osd)
		case m.IsOut(osd) && stat.Statfs.Total != 0:
			p.OSDs[osd] = stat.out()
		case m.IsDown(osd) && len(stat.OpQueueAgeHist) > 0:
			s := *stat
			s.OpQueueAgeHist = nil
			p.OSDs[osd] = &s
		}
	}
	p.follow(m)
	gone := func(id ceph.PGID) bool {
		pool := m.Pools[id.Pool]
		return pool == nil || id.Seed >= pool.PGNum
	}
	maps.DeleteFunc(p.PGs, func(id ceph.PGID, _ *PG) bool { return gone(id) })
	p.due.drop(gone)
	p.words.drop(gone)
	for id, pool := range m.Pools {
		for seed := range pool.PGNum {
			pg := ceph.PGID{Pool: id, Seed: seed}
			if p.PGs[pg] == nil {
				p.PGs[pg] = unknownPG(m.Modified)
			}
		}
	}
	for k := range p.PoolStatfs {
		if m.Pools[k.Pool] == nil {
			delete(p.PoolStatfs, k)
		}
	}
	p.markStale(m, now)
}

// out is what counts of an OSD that is out: not its space, but the PGs that it still has, so that
// nobody destroys it too early.
func (o *OSD) out() *OSD { return &OSD{UpFrom: o.UpFrom, Seq: o.Seq, NumPGs: o.NumPGs} }

func (p *PGMap) dropOSD(osd int32) {
	delete(p.OSDs, osd)
	for k := range p.PoolStatfs {
		if k.OSD == osd {
			delete(p.PoolStatfs, k)
		}
	}
}

// unknownPG is a PG that nobody has reported yet.
func unknownPG(t ceph.Time) *PG {
	return &PG{
		LastFresh: t, LastChange: t, LastActive: t, LastPeered: t, LastClean: t, LastUnstale: t,
		LastUndegraded: t, LastFullsized: t, LastScrubStamp: t, LastDeepScrubStamp: t,
		LastCleanScrubStamp: t, UpPrimary: -1, ActingPrimary: -1,
	}
}

// markStale marks the PGs that nobody can report any more.
func (p *PGMap) markStale(m *osdmap.Map, now ceph.Time) {
	for id, pg := range p.PGs {
		if pg.State.Has(Stale) || pg.State == 0 || pg.ActingPrimary < 0 ||
			m.IsUp(pg.ActingPrimary) {
			continue
		}
		s := *pg
		s.State |= Stale
		s.LastUnstale = now
		p.PGs[id] = &s
	}
}

// TakeReport takes an OSD's statistics and those of PGs that it is primary of. Older reports of a
// PG than the one that is there, and PGs that the map doesn't have, are passed over.
func (p *PGMap) TakeReport(
	osd int32, stat *OSD, pgs map[ceph.PGID]*PG, m *osdmap.Map, now ceph.Time,
) {
	p.stale = true
	if m.Exists(osd) {
		s := *stat
		if m.IsOut(osd) {
			s = *stat.out()
		}
		p.OSDs[osd] = &s
	}
	for id, pg := range pgs {
		pool := m.Pools[id.Pool]
		if pool == nil || id.Seed >= pool.PGNum {
			continue
		}
		if old := p.PGs[id]; old != nil && old.Newer(pg) {
			continue
		}
		p.keepPurged(id, pg, m)
		p.PGs[id] = pg
	}
	p.markStale(m, now)
}

// TakePoolStatfs takes an OSD's space by pool; pools that it does not name are not on it.
func (p *PGMap) TakePoolStatfs(osd int32, pools map[int64]Statfs, m *osdmap.Map) {
	p.stale = true
	for k := range p.PoolStatfs {
		if _, ok := pools[k.Pool]; !ok && k.OSD == osd {
			delete(p.PoolStatfs, k)
		}
	}
	for pool, s := range pools {
		if m.Pools[pool] != nil && m.Exists(osd) {
			p.PoolStatfs[PoolOSD{pool, osd}] = s
		}
	}
}

// Refresh brings the sums up to date; everything that prints them needs it.
func (p *PGMap) Refresh(m *osdmap.Map) {
	if !p.stale {
		return
	}
	p.stale = false
	p.Digest = Digest{
		Pools: map[int64]Pool{}, PoolPGs: map[int64]int32{}, OSDSumByClass: map[string]OSD{},
		ByState: map[State]int32{}, ByOSD: map[int32]PGCount{}, AvailByRule: map[int32]int64{},
		PurgedSnaps: map[int64][]osdmap.SnapRange{}, Delta: p.Delta, PoolDeltas: p.PoolDeltas,
		LastSeq: map[int32]uint64{},
	}
	for id, stat := range p.OSDs {
		p.LastSeq[id] = stat.Seq
	}
	p.BlockedBy = map[int32]int32{}
	pools := map[int64]*Pool{}
	for id := range m.Pools {
		pools[id] = &Pool{}
	}
	for id, pg := range p.PGs {
		p.addPG(id, pg)
		if pool := pools[id.Pool]; pool != nil {
			pool.addPG(pg)
			p.PoolPGs[id.Pool]++
		}
	}
	for k, s := range p.PoolStatfs {
		if pool := pools[k.Pool]; pool != nil {
			pool.Store.Add(&s)
			pool.NumStoreStats++
		}
	}
	for id, pool := range pools {
		p.Pools[id] = *pool
	}
	p.findPurged(m)
	p.sumOSDs(m)
	p.findRoom(m)
}

// findPurged finds the removed snapshots that no PG of their pool has any more: all have said so.
func (p *PGMap) findPurged(m *osdmap.Map) {
	said := map[int64]uint32{}
	for id, pg := range p.PGs {
		pool := id.Pool
		if pg.State == 0 || len(pg.PurgedSnaps) == 0 || m.Pools[pool] == nil {
			continue
		}
		if said[pool]++; said[pool] == 1 {
			p.PurgedSnaps[pool] = pg.PurgedSnaps
		} else {
			p.PurgedSnaps[pool] = osdmap.IntersectSnaps(p.PurgedSnaps[pool], pg.PurgedSnaps)
		}
	}
	for pool, n := range said {
		if n < m.Pools[pool].PGNum || len(p.PurgedSnaps[pool]) == 0 {
			delete(p.PurgedSnaps, pool)
		}
	}
}

func (p *PGMap) addPG(id ceph.PGID, pg *PG) {
	p.Sum.addPG(pg)
	p.NumPG++
	p.ByState[pg.State]++
	if pg.State.Has(Active) {
		p.NumPGActive++
	}
	if pg.State == 0 {
		p.NumPGUnknown++
	}
	for _, osd := range pg.BlockedBy {
		p.BlockedBy[osd]++
	}
	for _, osd := range pg.Acting {
		p.count(osd, PGCount{Acting: 1})
	}
	for _, osd := range pg.Up {
		if !slices.Contains(pg.Acting, osd) {
			p.count(osd, PGCount{UpNotActing: 1})
		}
	}
	if pg.UpPrimary >= 0 {
		p.count(pg.UpPrimary, PGCount{Primary: 1})
	}
}

func (p *PGMap) count(osd int32, n PGCount) {
	if osd == crush.None {
		return
	}
	c := p.ByOSD[osd]
	c.Primary += n.Primary
	c.Acting += n.Acting
	c.UpNotActing += n.UpNotActing
	p.ByOSD[osd] = c
}

func (p *Pool) addPG(pg *PG) {
	p.Stats.Sum.Add(&pg.Stats.Sum)
	p.LogSize += pg.LogSize
	p.OndiskLogSize += pg.OndiskLogSize
	p.Up += int32(len(pg.Up))
	p.Acting += int32(len(pg.Acting))
}

func (p *PGMap) sumOSDs(m *osdmap.Map) {
	classes := map[string]*OSD{}
	for osd, s := range p.OSDs {
		p.NumOSD++
		p.OSDSum.Add(s)
		if class := m.Crush.ItemClass(osd); class != "" {
			if classes[class] == nil {
				classes[class] = &OSD{}
			}
			classes[class].Add(s)
		}
	}
	for class, s := range classes {
		p.OSDSumByClass[class] = *s
	}
}

// Add adds what can be summed.
func (o *OSD) Add(b *OSD) {
	o.Statfs.Add(&b.Statfs)
	o.SnapTrimQueueLen += b.SnapTrimQueueLen
	o.NumSnapTrimming += b.NumSnapTrimming
	o.NumShardsRepaired += b.NumShardsRepaired
	for len(o.OpQueueAgeHist) < len(b.OpQueueAgeHist) {
		o.OpQueueAgeHist = append(o.OpQueueAgeHist, 0)
	}
	for i, n := range b.OpQueueAgeHist {
		o.OpQueueAgeHist[i] += n
	}
	o.CommitLatencyNS += b.CommitLatencyNS
	o.ApplyLatencyNS += b.ApplyLatencyNS
	o.NumPGs += b.NumPGs
	o.NumOSDs += b.NumOSDs
	o.NumPerPoolOSDs += b.NumPerPoolOSDs
	o.NumPerPoolOmapOSDs += b.NumPerPoolOmapOSDs
	for osd, alerts := range b.Alerts {
		if o.Alerts == nil {
			o.Alerts = map[int32]map[string]string{}
		}
		all := maps.Clone(alerts)
		maps.Copy(all, o.Alerts[osd])
		o.Alerts[osd] = all
	}
}

// findRoom computes for each rule in use how much can be written until its first OSD is full.
func (p *PGMap) findRoom(m *osdmap.Map) {
	for _, pool := range m.Pools {
		r := m.Crush.FindRule(int(pool.CrushRule), int(pool.Type), int(pool.Size))
		if _, ok := p.AvailByRule[int32(r)]; !ok {
			p.AvailByRule[int32(r)] = p.ruleAvail(m, r)
		}
	}
}

func (p *PGMap) ruleAvail(m *osdmap.Map, rule int) int64 {
	if rule < 0 {
		return -1
	}
	least := int64(-1)
	for osd, share := range m.Crush.RuleWeights(rule) {
		s := p.OSDs[osd]
		if s == nil || s.Statfs.Total == 0 || share == 0 {
			continue
		}
		unusable := float64(s.Statfs.Total>>10) * (1 - float64(m.FullRatio))
		avail := max(0, float64(s.Statfs.Available>>10)-unusable) * 1024
		if room := int64(avail / float64(share)); least < 0 || room < least {
			least = room
		}
	}
	return least
}

// RawUsedRate is how many bytes on disks one byte of a pool takes (pool_raw_used_rate).
func RawUsedRate(m *osdmap.Map, p *osdmap.Pool) float32 {
	if !p.IsErasure() {
		return float32(p.Size)
	}
	profile := m.ECProfiles[p.ECProfile]
	k, err1 := strconv.Atoi(profile["k"])
	n, err2 := strconv.Atoi(profile["m"])
	if err1 != nil || err2 != nil || k == 0 {
		return 0
	}
	return float32(k+n) / float32(k)
}

// Roll ends an interval of the rates: what the sums changed by since the last one joins the
// average. Call it once per report to the monitors.
func (p *PGMap) Roll(m *osdmap.Map, now ceph.Time) {
	p.Refresh(m)
	span := now.Go().Sub(p.Stamp.Go())
	if p.Stamp != (ceph.Time{}) && span < minInterval {
		return
	}
	p.Version++
	if p.Stamp != (ceph.Time{}) && !p.lastSum.IsZero() {
		p.deltas = pushDelta(p.deltas, &p.Sum.Stats.Sum, &p.lastSum, span)
		p.Delta = sumDeltas(p.deltas)
	}
	p.PoolDeltas = map[int64]Delta{}
	for id, pool := range p.Pools {
		if last, ok := p.lastPools[id]; ok && p.Stamp != (ceph.Time{}) && !last.IsZero() {
			p.poolDeltas[id] = pushDelta(p.poolDeltas[id], &pool.Stats.Sum, &last, span)
			p.PoolDeltas[id] = sumDeltas(p.poolDeltas[id])
		}
	}
	p.Stamp, p.lastSum = now, p.Sum.Stats.Sum
	clear(p.lastPools)
	for id, pool := range p.Pools {
		p.lastPools[id] = pool.Stats.Sum
	}
	for id := range p.poolDeltas {
		if _, ok := p.Pools[id]; !ok {
			delete(p.poolDeltas, id)
		}
	}
}

func pushDelta(list []Delta, now, last *Sum, span time.Duration) []Delta {
	d := Delta{Sum: *now, Span: span}
	d.Sum.Sub(last)
	list = append(slices.Clone(list), d)
	return list[max(0, len(list)-smoothIntervals):]
}

func sumDeltas(list []Delta) Delta {
	var out Delta
	for i := range list {
		out.Sum.Add(&list[i].Sum)
		out.Span += list[i].Span
	}
	return out
}
