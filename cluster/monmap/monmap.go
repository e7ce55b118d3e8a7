// Package monmap is the map of the monitors: who they are, where they listen and which features
// the quorum has.
//
// A Map is a value that is never changed once it has been handed out; any goroutine may read it.
// The format is mon/MonMap.cc's of Ceph 16.2.
package monmap

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
)

// Features that a quorum keeps for ever once all its members had them (mon_feature_t).
const (
	FeatureKraken uint64 = 1 << iota
	FeatureLuminous
	FeatureMimic
	FeatureOSDMapPrune
	FeatureNautilus
	FeatureOctopus
	FeaturePacific
	FeaturePinging

	FeaturesPacific uint64 = 0xff
)

// StrategyClassic is the election strategy of every new cluster.
const StrategyClassic = 1

// A Map is one epoch of the monitors (MonMap).
type Map struct {
	FSID               ceph.UUID
	Epoch              ceph.Epoch
	LastChanged        ceph.Time
	Created            ceph.Time
	PersistentFeatures uint64
	OptionalFeatures   uint64
	Mons               map[string]Mon
	Ranks              []string // names by rank
	MinMonRelease      uint8
	RemovedRanks       map[uint32]struct{}
	Strategy           uint8
	DisallowedLeaders  map[string]struct{}
	StretchMode        bool
	Tiebreaker         string
	StretchMarkedDown  map[string]struct{}
}

// A Mon is one monitor (mon_info_t).
type Mon struct {
	Name     string
	Addrs    ceph.AddrVec
	Priority uint16
	Weight   uint16
	CrushLoc map[string]string
}

// Denc is MonMap version 9; versions from 6, nautilus, on are read.
func (m *Map) Denc(c *denc.Coder) {
	s := c.Begin(9, 6)
	if c.Err() == nil && s.V < 6 {
		c.Invalid("monmap of version %d, from before nautilus", s.V)
	}
	m.FSID.Denc(c)
	m.Epoch.Denc(c)
	m.LastChanged.Denc(c)
	m.Created.Denc(c)
	features(c, &m.PersistentFeatures)
	features(c, &m.OptionalFeatures)
	denc.Map(c, &m.Mons, (*denc.Coder).Str)
	denc.ListFunc(c, &m.Ranks, (*denc.Coder).Str)
	if s.V >= 7 {
		c.U8(&m.MinMonRelease)
	}
	if s.V >= 8 {
		denc.SetFunc(c, &m.RemovedRanks, (*denc.Coder).U32)
		c.U8(&m.Strategy)
		denc.SetFunc(c, &m.DisallowedLeaders, (*denc.Coder).Str)
	}
	if s.V >= 9 {
		c.Bool(&m.StretchMode)
		c.Str(&m.Tiebreaker)
		denc.SetFunc(c, &m.StretchMarkedDown, (*denc.Coder).Str)
	}
	s.End()
	if !c.Encoding() {
		m.validate(c)
	}
}

// validate refuses a map with ranks that name nobody.
func (m *Map) validate(c *denc.Coder) {
	for _, name := range m.Ranks {
		if _, ok := m.Mons[name]; !ok {
			c.Invalid("monmap: rank of mon.%s, which is not in the map", name)
		}
	}
}

func features(c *denc.Coder, p *uint64) {
	s := c.Begin(1, 1)
	c.U64(p)
	s.End()
}

// Denc is mon_info_t version 5.
func (m *Mon) Denc(c *denc.Coder) {
	s := c.Begin(5, 1)
	c.Str(&m.Name)
	m.Addrs.Denc(c)
	if s.V >= 2 {
		c.U16(&m.Priority)
	}
	if s.V >= 4 {
		c.U16(&m.Weight)
	}
	if s.V >= 5 {
		denc.MapFunc(c, &m.CrushLoc, (*denc.Coder).Str, (*denc.Coder).Str)
	}
	s.End()
}

// New is the first epoch of a cluster's map, without monitors.
func New(fsid ceph.UUID, now ceph.Time) *Map {
	return &Map{
		FSID: fsid, Epoch: 1, LastChanged: now, Created: now,
		PersistentFeatures: FeaturesPacific, Mons: map[string]Mon{}, MinMonRelease: 16,
		Strategy: StrategyClassic,
	}
}

// Clone is a copy to be edited.
func (m *Map) Clone() *Map {
	n := *m
	n.Mons = maps.Clone(m.Mons)
	n.Ranks = slices.Clone(m.Ranks)
	n.RemovedRanks = maps.Clone(m.RemovedRanks)
	n.DisallowedLeaders = maps.Clone(m.DisallowedLeaders)
	n.StretchMarkedDown = maps.Clone(m.StretchMarkedDown)
	return &n
}

// Add puts a monitor at the last rank, or replaces the one of that name. The map must not have
// been handed out.
func (m *Map) Add(mon Mon) {
	if m.Mons == nil {
		m.Mons = map[string]Mon{}
	}
	if _, ok := m.Mons[mon.Name]; !ok {
		m.Ranks = append(m.Ranks, mon.Name)
	}
	m.Mons[mon.Name] = mon
}

// Remove takes a monitor out and remembers its rank as removed.
func (m *Map) Remove(name string) {
	rank := m.Rank(name)
	if rank < 0 {
		return
	}
	delete(m.Mons, name)
	m.Ranks = slices.Delete(m.Ranks, rank, rank+1)
	if m.RemovedRanks == nil {
		m.RemovedRanks = map[uint32]struct{}{}
	}
	m.RemovedRanks[uint32(rank)] = struct{}{}
}

// Rank is a monitor's rank, or -1.
func (m *Map) Rank(name string) int { return slices.Index(m.Ranks, name) }

// At is the monitor of a rank.
func (m *Map) At(rank int) (Mon, bool) {
	if rank < 0 || rank >= len(m.Ranks) {
		return Mon{}, false
	}
	return m.Mons[m.Ranks[rank]], true
}

// Addrs are the addresses of a rank, nil when there is none.
func (m *Map) Addrs(rank int) ceph.AddrVec {
	mon, _ := m.At(rank)
	return mon.Addrs
}
