package osd

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/mgrmap"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/internal/perf"
	"glue/osd/peering"
	"glue/wire/message"
)

// A reporter keeps the connection to the active manager and what the shards want to tell it.
type reporter struct {
	mu     sync.Mutex
	stats  map[ceph.PGID]pgstat.PG // changed since the last report
	urgent bool

	// of the control goroutine:
	conn  Link
	addrs ceph.AddrVec
	last  time.Time
	retry time.Time // when to connect again
	seq   uint64
	// The store's latencies have been reported up to here.
	commit, apply perf.Mark

	minClean  atomicEpoch
	configDue atomic.Bool // the manager has not heard of the options in force
}

type atomicEpoch struct{ v atomic.Uint32 }

func (a *atomicEpoch) Load() ceph.Epoch   { return ceph.Epoch(a.v.Load()) }
func (a *atomicEpoch) Store(e ceph.Epoch) { a.v.Store(uint32(e)) }

// told is what of a PG the manager acts on, so that it hears of it at once: its state, and in which
// interval, as one may have been over before anybody looked.
type told struct {
	state pgstat.State
	since ceph.Epoch
}

// reportSoon is how long after a change of state the manager is told.
const reportSoon = 250 * time.Millisecond

// report hands the shard's changed statistics to the reporter.
func (s *shard) report() {
	out := map[ceph.PGID]pgstat.PG{}
	urgent, every := false, s.d.config.Load().reportEvery
	for _, p := range s.sorted() {
		if !p.primary || !p.dirty && s.now.Sub(p.since.Active()) < every {
			continue
		}
		st := p.statistics()
		out[p.id.PGID] = st
		said := told{st.State, st.MappingEpoch}
		urgent = urgent || said != p.told
		p.told = said
		p.dirty = false
	}
	if s.d.reporter.take(out, urgent) {
		s.d.post(func() { s.d.reportTick(s.d.now()) })
	}
}

// take keeps what a shard has to tell; it says whether that is the first thing to be told at once.
func (r *reporter) take(out map[ceph.PGID]pgstat.PG, urgent bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stats == nil {
		r.stats = map[ceph.PGID]pgstat.PG{}
	}
	maps.Copy(r.stats, out)
	first := urgent && !r.urgent
	r.urgent = r.urgent || urgent
	return first
}

// poolSections is what each pool takes here, encoded.
func (d *Daemon) poolSections() map[int64]message.Section {
	pools, err := d.store.PoolUsage()
	if err != nil {
		d.log.Warn("usage of pools is not known", "err", err)
	}
	out := make(map[int64]message.Section, len(pools))
	for pool, u := range pools {
		f := pgstat.Statfs{Allocated: int64(u.Allocated), DataStored: int64(u.Stored),
			OmapAllocated: int64(u.Omap)}
		out[pool] = denc.Marshal(&f, ceph.FeaturesAll)
	}
	return out
}

// state is the PG's state in words that operators know.
func (p *pg) state() pgstat.State {
	var s pgstat.State
	acting, _ := p.m.Acting()
	up, _ := p.m.Up()
	switch p.m.State() {
	case peering.ActiveState:
		s = pgstat.Peered
		switch {
		case p.pool.MergePending(p.id.PGID):
			s |= pgstat.Premerge
		case p.waits:
			s |= pgstat.Wait
		case p.writeable:
			s = pgstat.Active
			if !p.readable() {
				s |= pgstat.Laggy
			}
		}
	case peering.Activating:
		s = pgstat.Activating
	case peering.Down:
		s = pgstat.Down
	case peering.Incomplete:
		s = pgstat.Incomplete
	default:
		s = pgstat.Peering
	}
	members := 0
	for _, o := range acting {
		if o >= 0 && o != osdmapNone {
			members++
		}
	}
	if members < int(p.pool.Size) {
		s |= pgstat.Undersized
	}
	if !slices.Equal(acting, up) {
		s |= pgstat.Remapped
	}
	if p.active {
		s |= p.activeState()
	}
	return s | p.scrub.State() | p.trim.State()
}

const osdmapNone = 0x7fffffff

// statistics is the PG's report (pg_stat_t).
func (p *pg) statistics() pgstat.PG {
	i := p.m.Info()
	now := p.s.now
	st := p.state()
	up, upPrimary := p.m.Up()
	acting, primary := p.m.Acting()
	p.reported++
	h := &i.History
	out := pgstat.PG{
		Version: i.LastUpdate, ReportedSeq: p.reported, ReportedEpoch: p.s.osdmap.Epoch,
		State: st, LastFresh: ceph.TimeOf(now), LastChange: ceph.TimeOf(p.changed),
		LogStart: i.LogTail, OndiskLogStart: i.LogTail,
		LogSize: int64(p.m.Log().Len()), OndiskLogSize: int64(p.m.Log().Len()),
		Created: h.EpochCreated, LastEpochClean: h.LastEpochClean,
		LastScrub: h.LastScrub, LastScrubStamp: h.LastScrubStamp,
		LastDeepScrub: h.LastDeepScrub, LastDeepScrubStamp: h.LastDeepScrubStamp,
		LastCleanScrubStamp: h.LastCleanScrubStamp,
		Up:                  up, Acting: acting, UpPrimary: upPrimary, ActingPrimary: primary,
		BlockedBy: p.m.BlockedBy(), MappingEpoch: h.SameIntervalSince,
		AvailNoMissing: p.whole(), SnapTrimQueueLen: p.trim.Len(),
		PurgedSnaps: p.trim.Purged(),
	}
	p.since.Update(&out, now)
	p.countObjects(&out.Stats.Sum)
	return out
}

// whole are the copies of the acting set that miss nothing.
func (p *pg) whole() []ceph.PGShard {
	if !p.active {
		return nil
	}
	var out []ceph.PGShard
	acting, _ := p.m.Acting()
	for _, o := range acting {
		missing, incomplete := p.m.Missing(), p.m.Info().IsIncomplete()
		if o != p.s.d.opt.ID {
			peer := p.m.Peer(o)
			if peer == nil {
				continue
			}
			missing, incomplete = peer.Missing, peer.Info.IsIncomplete()
		}
		if missing != nil && missing.Len() == 0 && !incomplete {
			out = append(out, ceph.PGShard{OSD: o, Shard: ceph.NoShard})
		}
	}
	return out
}

// countObjects fills the counts, with what is missing where.
func (p *pg) countObjects(s *pgstat.Sum) {
	st := &p.stats
	s.Objects, s.Bytes, s.ObjectsOmap = st.Objects, st.Bytes, st.ObjectsOmap
	s.ObjectsDirty, s.ObjectClones, s.Whiteouts = st.ObjectsDirty, st.ObjectsClone, st.Whiteouts
	s.Reads, s.ReadKB, s.Writes, s.WriteKB = st.Reads, st.ReadKiB, st.Writes, st.WrittenKiB
	s.ObjectsRecovered, s.BytesRecovered = st.Recovered, st.RecoveredBytes
	s.KeysRecovered = st.RecoveredKeys
	s.ScrubErrors, s.ShallowScrubErrors = st.Scrub.Errors(), st.Scrub.Shallow
	s.DeepScrubErrors, s.LargeOmapObjects = st.Scrub.Deep, st.Scrub.LargeOmap
	s.ObjectsRepaired, s.OmapBytes, s.OmapKeys = st.Scrub.Repaired, st.OmapBytes, st.OmapKeys
	s.ObjectCopies = st.Objects * int64(p.pool.Size)
	if !p.active {
		return
	}
	missing := int64(p.m.Missing().Len())
	s.ObjectsMissingOnPrimary, s.ObjectsMissing = missing, missing
	s.ObjectsUnfound = int64(len(p.recovery.unfound))
	s.ObjectsDegraded, s.ObjectsMisplaced = p.lacking()
}

// handleMgrMap follows the active manager.
func (d *Daemon) handleMgrMap(b *message.MMgrMap) {
	m := new(mgrmap.Map)
	if err := denc.Unmarshal(b.Map, m, ceph.FeaturesAll); err != nil {
		d.log.Error("mgrmap does not decode", "err", err)
		return
	}
	d.mon.Got("mgrmap", uint64(m.Epoch))
	r := &d.reporter
	if r.conn != nil && r.addrs.Equal(m.ActiveAddrs) {
		return
	}
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
	if m.ActiveGID == 0 || len(m.ActiveAddrs) == 0 || m.ActiveAddrs[0].IsBlank() {
		return
	}
	r.addrs = m.ActiveAddrs
	d.openMgr()
}

// openMgr connects to the manager and reports everything.
func (d *Daemon) openMgr() {
	r := &d.reporter
	r.conn = d.connect(ceph.TypeMgr, r.addrs)
	r.conn.Send(message.New(&message.MMgrOpen{DaemonName: d.idText()}))
	r.last = time.Time{}
	r.configDue.Store(true)
	for _, s := range d.shards {
		s.post(event{kind: evCall, call: func(s *shard) {
			for _, p := range s.pgs {
				p.dirty, p.told = true, told{} // urgent: this manager knows nothing
			}
			s.report()
		}})
	}
}

// mgrReset connects again when the manager's connection has ended.
func (d *Daemon) mgrReset(c Link) {
	r := &d.reporter
	if r.conn == nil || r.conn != c {
		return
	}
	r.conn = nil
	r.retry = d.now().Add(time.Second)
}

// reportTick sends what has changed: at once when a state did, else every few seconds.
func (d *Daemon) reportTick(now time.Time) {
	r := &d.reporter
	if r.conn == nil {
		if len(r.addrs) > 0 && !r.retry.IsZero() && now.After(r.retry) {
			r.retry = time.Time{}
			d.openMgr()
		}
		return
	}
	m := d.osdmap.Load()
	if m == nil || !d.booted.Load() {
		return
	}
	r.mu.Lock()
	due := now.Sub(r.last) >= d.config.Load().reportEvery ||
		(r.configDue.Load() || d.slow.news()) && now.Sub(r.last) >= reportSoon ||
		r.urgent && now.Sub(r.last) >= reportSoon
	if !due {
		r.mu.Unlock()
		return
	}
	stats := r.stats
	r.stats, r.urgent = map[ceph.PGID]pgstat.PG{}, false
	r.mu.Unlock()
	r.last = now
	r.seq++
	r.conn.Send(message.New(d.pgStats(m, stats)))
	r.conn.Send(message.New(d.mgrReport()))
}

// pgStats is the report about PGs and this OSD.
func (d *Daemon) pgStats(m *osdmap.Map, stats map[ceph.PGID]pgstat.PG) *message.MPGStats {
	out := &message.MPGStats{FSID: m.FSID, Epoch: m.Epoch,
		PGs: map[ceph.PGID]message.Section{}, Pools: d.poolSections()}
	for id, st := range stats {
		out.PGs[id] = denc.Marshal(&st, ceph.FeaturesAll)
	}
	o := d.osdStats(m)
	out.OSDStat = denc.Marshal(&o, ceph.FeaturesAll)
	return out
}

// osdStats is the report about this OSD (osd_stat_t).
func (d *Daemon) osdStats(m *osdmap.Map) pgstat.OSD {
	u, err := d.store.Usage()
	if err != nil {
		d.log.Warn("usage of the store is not known", "err", err)
	}
	pgs := 0
	for _, s := range d.shards {
		pgs += int(s.count.Load())
	}
	r, c := &d.reporter, &d.counters
	commit, next := c.Commit.Average(r.commit)
	r.commit = next
	apply, next := c.Apply.Average(r.apply)
	r.apply = next
	return pgstat.OSD{
		CommitLatencyNS: uint64(commit), ApplyLatencyNS: uint64(apply),
		Statfs: pgstat.Statfs{Total: u.Total, Available: u.Available, Allocated: int64(u.Data),
			DataStored: int64(u.Stored), OmapAllocated: int64(u.Omap),
			InternalMetadata: int64(u.Metadata - min(u.Metadata, u.Omap))},
		HBPeers: d.pinger.Names(), UpFrom: m.Info[d.opt.ID].UpFrom, NumPGs: uint32(pgs),
		Seq: uint64(m.Info[d.opt.ID].UpFrom)<<32 | d.reporter.seq, NumOSDs: 1,
		NumPerPoolOSDs: 1, NumPerPoolOmapOSDs: 1,
	}
}
