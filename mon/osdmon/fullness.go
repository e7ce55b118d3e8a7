package osdmon

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/wire/message"
)

// fullStates are how full an OSD can be; at most one is set.
const fullStates = osdmap.OSDFull | osdmap.OSDBackfillfull | osdmap.OSDNearfull

// fullFlags are what pools on such OSDs are.
const fullFlags = osdmap.PoolFull | osdmap.PoolBackfillfull | osdmap.PoolNearfull

// Fullness records how full an OSD says that it is.
func (s *Service) Fullness(now time.Time, b *message.MOSDFull) {
	want := osdmap.State(b.State) & fullStates
	if !s.m.IsUp(b.OSD) || !s.m.Addrs(b.OSD).Equal(b.Addrs) ||
		s.m.State[b.OSD]&fullStates == want || s.touch(b.OSD) != nil {
		return // the OSD repeats what the map does not have
	}
	put(&s.inc(now).NewState, b.OSD, s.m.State[b.OSD]&fullStates^want)
	if want.Has(osdmap.OSDFull) {
		s.opt.ClusterLog(message.LogError, fmt.Sprintf("osd.%d is full: its pools take no more "+
			"writes", b.OSD))
	}
}

// fillPools adds to an incremental what the full OSDs of the map that results mean for the pools:
// a pool is as full as the fullest OSD that its rule may use (OSDMap::get_full_pools).
func (s *Service) fillPools(inc *osdmap.Incremental) error {
	if !s.anyFull(inc) {
		return nil
	}
	trial := *inc
	next, _, err := s.m.Commit(&trial)
	if err != nil {
		return err
	}
	flags := map[int64]osdmap.PoolFlags{}
	for _, osd := range next.OSDs() {
		state := next.State[osd] & fullStates
		if state == 0 || !next.IsUp(osd) || !next.IsIn(osd) {
			continue
		}
		rules := next.Crush.RulesOfDevice(osd)
		for id, p := range next.Pools {
			if slices.Contains(rules, int(p.CrushRule)) {
				flags[id] |= fullFlag(state)
			}
		}
	}
	for id, p := range next.Pools {
		want := worst(flags[id])
		if p.Flags.Has(osdmap.PoolFullQuota) {
			want = osdmap.PoolFull
		}
		if p.Flags&fullFlags == want {
			continue
		}
		p = p.Clone()
		p.Flags = p.Flags&^fullFlags | want
		put(&inc.NewPools, id, p)
	}
	return nil
}

// anyFull says whether an OSD or a pool is full in any way, or is about to be.
func (s *Service) anyFull(inc *osdmap.Incremental) bool {
	state := func(x osdmap.State) bool { return x&fullStates != 0 }
	return slices.ContainsFunc(s.m.State, state) ||
		slices.ContainsFunc(slices.Collect(maps.Values(inc.NewState)), state) ||
		slices.ContainsFunc(slices.Collect(maps.Values(s.m.Pools)),
			func(p *osdmap.Pool) bool { return p.Flags&fullFlags != 0 })
}

func fullFlag(s osdmap.State) osdmap.PoolFlags {
	switch {
	case s.Has(osdmap.OSDFull):
		return osdmap.PoolFull
	case s.Has(osdmap.OSDBackfillfull):
		return osdmap.PoolBackfillfull
	}
	return osdmap.PoolNearfull
}

// worst is the one flag that counts.
func worst(f osdmap.PoolFlags) osdmap.PoolFlags {
	for _, bit := range []osdmap.PoolFlags{osdmap.PoolFull, osdmap.PoolBackfillfull,
		osdmap.PoolNearfull} {
		if f.Has(bit) {
			return bit
		}
	}
	return 0
}

// tickQuotas marks pools full that hold as much as they may, and takes the mark away when there is
// room again. Pools of which nothing is known stay as they are.
func (s *Service) tickQuotas(now time.Time) {
	for _, id := range s.m.PoolIDs() {
		p := s.m.Pool(id)
		objects, bytes, known := s.opt.Usage(id)
		overObjects := p.QuotaMaxObjects > 0 && uint64(objects) >= p.QuotaMaxObjects
		overBytes := p.QuotaMaxBytes > 0 && uint64(bytes) >= p.QuotaMaxBytes
		over := overObjects || overBytes
		if !known || over == p.Flags.Has(osdmap.PoolFullQuota) || s.pendingPool(id) {
			continue
		}
		s.change(now, id, func(p *osdmap.Pool) {
			if over {
				p.Flags |= osdmap.PoolFullQuota | osdmap.PoolFull
			} else {
				p.Flags &^= osdmap.PoolFullQuota | osdmap.PoolFull
			}
		})
		name := s.m.PoolName(id)
		if overBytes {
			s.opt.ClusterLog(message.LogWarn, fmt.Sprintf("pool '%s' is full (reached quota's "+
				"max_bytes: %s)", name, pgstat.FormatBytes(p.QuotaMaxBytes)))
		}
		if overObjects {
			s.opt.ClusterLog(message.LogWarn, fmt.Sprintf("pool '%s' is full (reached quota's "+
				"max_objects: %d)", name, p.QuotaMaxObjects))
		}
		if !over {
			s.opt.ClusterLog(message.LogInfo, fmt.Sprintf("pool '%s' no longer out of quota; "+
				"removing NO_QUOTA flag", name))
		}
	}
}

// pendingPool says whether a change of a pool is being prepared.
func (s *Service) pendingPool(id int64) bool {
	return s.pending != nil && s.pending.NewPools[id] != nil
}
