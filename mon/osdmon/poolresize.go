package osdmon

import (
	"fmt"
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

// ReadyToMerge takes the word of an OSD about the merge that a pool has announced.
func (s *Service) ReadyToMerge(now time.Time, b *message.MOSDPGReadyToMerge) {
	p := s.m.Pools[b.Source.Pool]
	if p == nil || p.PGNumPending >= p.PGNum || b.Source.Seed != p.PGNumPending ||
		s.pending != nil && s.pending.NewPools[b.Source.Pool] != nil {
		return // it says so again if it matters
	}
	target := osdmap.MergeTarget(b.Source, p.PGNumPending)
	if !b.Ready {
		if s.m.PGMapping(b.Source).ActingPrimary != b.OSD &&
			s.m.PGMapping(target).ActingPrimary != b.OSD {
			return
		}
		s.opt.ClusterLog(message.LogInfo, fmt.Sprintf("pool '%s': pg %v does not get ready to "+
			"be merged; pg_num stays %d for now", s.m.PoolName(b.Source.Pool), b.Source, p.PGNum))
		q := p.Clone()
		q.PGNumPending = q.PGNum
		q.LastForceResendPrenautilus = s.m.Epoch + 1
		put(&s.inc(now).NewPools, b.Source.Pool, q)
		return
	}
	r := pginfo.Readiness{Source: b.Source, Primary: b.OSD,
		SourceSince: b.SourceSince, TargetSince: b.TargetSince,
		SourceVersion: b.SourceVersion, TargetVersion: b.TargetVersion,
		LastEpochStarted: b.LastEpochStarted, LastEpochClean: b.LastEpochClean}
	if q := r.Merged(s.m, s.At); q != nil {
		put(&s.inc(now).NewPools, b.Source.Pool, q)
	}
}
