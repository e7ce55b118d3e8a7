package osdmon

import (
	"fmt"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/mon/service"
	"glue/wire/message"
)

// "pg_num" and "pgp_num" say what an operator wants. The manager, which knows the PGs' states, goes
// there in steps by "pg_num_actual" and "pgp_num_actual". More PGs are there with the next map. One
// PG less is first announced, by pg_num_pending: the last PG and the one that it is merged into
// stop writing, and when all their copies are complete and their primary says so, pg_num follows.

// pgNumber reads a value of one of the four, of a pool whose numbers may be changed.
func (x *poolSetting) pgNumber(what string) (int64, *service.Answer) {
	if x.p.Flags.Has(osdmap.PoolNoPGChange) {
		return 0, x.fail(ceph.EPERM, "pool %s change is disabled; you must unset nopgchange flag "+
			"for the pool first", what)
	}
	return x.number()
}

// withinPool refuses a number of PGs that no pool may have.
func (s *Service) withinPool(x *poolSetting, n int64) *service.Answer {
	if limit := s.opt.Options().Int("mon_max_pool_pg_num"); n <= 0 || n > limit {
		return x.fail(ceph.ERANGE, "'pg_num' must be greater than 0 and less than or equal to %d "+
			"(you may adjust 'mon max pool pg num' for higher values)", limit)
	}
	return nil
}

func (s *Service) setPGNum(x *poolSetting) *service.Answer {
	n, bad := x.pgNumber("pg_num")
	if bad == nil {
		bad = s.withinPool(x, n)
	}
	if bad == nil && n > int64(x.p.PGNumTarget) {
		bad = s.checkPGsPerOSD(x.id, n, int64(x.p.Size))
	}
	if bad != nil {
		return bad
	}
	if v := x.p.Opts[osdmap.OptPGNumMin].Int; v != 0 && n < v {
		return x.fail(ceph.EINVAL, "specified pg_num %d < pg_num_min %d", n, v)
	}
	if v := x.p.Opts[osdmap.OptPGNumMax].Int; v != 0 && n > v {
		return x.fail(ceph.EINVAL, "specified pg_num %d > pg_num_max %d", n, v)
	}
	if n == int64(x.p.PGNumTarget) {
		x.said = "unchanged"
		return nil
	}
	if n < int64(x.p.PGNum) {
		return x.fail(ceph.EOPNOTSUPP, "fewer PGs (%d now) are not available in this release of "+
			"Glue", x.p.PGNum)
	}
	// pgp_num goes along, unless it was set apart.
	if x.p.PGPNumTarget == x.p.PGNumTarget || int64(x.p.PGPNumTarget) > n {
		x.p.PGPNumTarget = uint32(n)
	}
	x.p.PGNumTarget = uint32(n)
	return nil
}

func (s *Service) setPGPNum(x *poolSetting) *service.Answer {
	n, bad := x.pgNumber("pgp_num")
	switch {
	case bad != nil:
		return bad
	case n <= 0:
		return x.fail(ceph.EINVAL, "specified pgp_num must > 0, but you set to %d", n)
	case n > int64(x.p.PGNumTarget):
		return x.fail(ceph.EINVAL, "specified pgp_num %d > pg_num %d", n, x.p.PGNumTarget)
	}
	x.p.PGPNumTarget = uint32(n)
	return nil
}

// setPGNumActual splits PGs, or announces that the last one is to be merged.
func (s *Service) setPGNumActual(x *poolSetting) *service.Answer {
	n, bad := x.pgNumber("pg_num")
	if bad == nil {
		bad = s.withinPool(x, n)
	}
	switch {
	case bad != nil:
		return bad
	case n == int64(x.p.PGNum):
		x.said = "unchanged"
		return nil
	case n > int64(x.p.PGNum):
		x.p.PGNum, x.p.PGNumPending = uint32(n), uint32(n)
	case n < int64(x.p.PGPNum):
		return x.fail(ceph.EINVAL, "specified pg_num %d < pgp_num %d", n, x.p.PGPNum)
	case n < int64(x.p.PGNum)-1:
		return x.fail(ceph.EINVAL, "specified pg_num %d < pg_num (%d) - 1; only single pg "+
			"decrease is currently supported", n, x.p.PGNum)
	default:
		x.p.PGNumPending = uint32(n)
	}
	// Clients of before luminous and nautilus don't see that these changes end an interval.
	x.p.LastForceResendPreluminous = s.m.Epoch + 1
	x.p.LastForceResendPrenautilus = s.m.Epoch + 1
	return nil
}

func (s *Service) setPGPNumActual(x *poolSetting) *service.Answer {
	n, bad := x.pgNumber("pgp_num")
	switch {
	case bad != nil:
		return bad
	case n <= 0:
		return x.fail(ceph.EINVAL, "specified pgp_num must > 0, but you set to %d", n)
	case n > int64(x.p.PGNum):
		return x.fail(ceph.EINVAL, "specified pgp_num %d > pg_num %d", n, x.p.PGNum)
	case n > int64(x.p.PGNumPending):
		return x.fail(ceph.EINVAL, "specified pgp_num %d > pg_num_pending %d", n,
			x.p.PGNumPending)
	}
	x.p.PGPNum = uint32(n)
	return nil
}

// ReadyToMerge takes the word of the primary of a pool's last PG and of the one it is merged into
// that all copies of both are complete and write no more, or that they can't be merged.
func (s *Service) ReadyToMerge(now time.Time, r *message.MOSDPGReadyToMerge) {
	p := s.m.Pools[r.Source.Pool]
	if p == nil || p.PGNumPending != p.PGNum-1 || r.Source.Seed != p.PGNumPending ||
		s.pending != nil && s.pending.NewPools[r.Source.Pool] != nil {
		return
	}
	from, target := r.OSD, osdmap.MergeTarget(r.Source, p.PGNumPending)
	if !s.unmoved(r.Source, from, ceph.Epoch(r.Version)) ||
		!s.unmoved(target, from, ceph.Epoch(r.Version)) {
		return // it will say so again, or somebody else will
	}
	q := p.Clone()
	inc := s.inc(now)
	q.LastChange = inc.Epoch
	q.LastForceResendPrenautilus = inc.Epoch
	put(&inc.NewPools, r.Source.Pool, q)
	if !r.Ready || !s.together(r.Source, target) {
		s.opt.ClusterLog(message.LogInfo, fmt.Sprintf("osd.%d pool %s: pg %v is not ready to "+
			"merge; reset pg_num_pending", from, s.m.PoolName(r.Source.Pool), r.Source))
		q.PGNumPending = q.PGNum
		return
	}
	q.PGNum = q.PGNumPending
	q.LastPGMerge = osdmap.PGMerge{Source: r.Source, ReadyEpoch: inc.Epoch - 1,
		LastEpochStarted: r.LastEpochStarted, LastEpochClean: r.LastEpochClean,
		SourceVersion: r.SourceVersion, TargetVersion: r.TargetVersion}
	for _, temp := range []ceph.PGID{r.Source, target} {
		if _, ok := s.m.PGTemp[temp]; ok {
			put(&inc.NewPGTemp, temp, nil)
		}
	}
}

// unmoved says whether an OSD has been the primary of a PG since an epoch, without a new interval.
func (s *Service) unmoved(pg ceph.PGID, primary int32, since ceph.Epoch) bool {
	is := pginfo.Place(s.m, pg)
	if is.Mapping.ActingPrimary != primary || since > s.m.Epoch || since < s.first {
		return false
	}
	for e := s.m.Epoch - 1; e >= since; e-- {
		m, err := s.At(e)
		if err != nil {
			return false
		}
		was := pginfo.Place(m, pg)
		if pginfo.IsNewInterval(pg, was, is) {
			return false
		}
		is = was
	}
	return true
}

// together says whether two PGs have the same copies, as many as they should.
func (s *Service) together(a, b ceph.PGID) bool {
	x, y := s.m.PGMapping(a), s.m.PGMapping(b)
	size := int(s.m.Pools[a.Pool].Size)
	return slices.Equal(x.Acting, y.Acting) && x.ActingPrimary == y.ActingPrimary &&
		slices.Equal(x.Up, x.Acting) && slices.Equal(y.Up, y.Acting) && len(x.Acting) == size &&
		!slices.ContainsFunc(x.Acting, func(o int32) bool { return !s.m.IsUp(o) })
}
