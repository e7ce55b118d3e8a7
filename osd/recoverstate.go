package osd

import (
	"glue/cluster/pginfo"
	"glue/cluster/pgstat"
	"glue/osd/pgquery"
	"glue/osd/reserve"
)

// activeState is what an active PG is besides.
func (p *pg) activeState() pgstat.State {
	s := p.recoveryState()
	if p.degraded() {
		s |= pgstat.Degraded
	}
	acting, _ := p.m.Acting()
	if p.m.IsClean() && len(acting) >= int(p.pool.Size) {
		s |= pgstat.Clean
	}
	return s
}

// recoveryState is how far the PG's recovery or backfill is.
func (p *pg) recoveryState() pgstat.State {
	held := p.claim.State() == reserve.Held
	switch {
	case p.m.NeedsRecovery():
		s := p.forced & pgstat.ForcedRecovery
		switch {
		case p.stuck():
			return s | pgstat.RecoveryUnfound
		case p.recovery.full:
			return s | pgstat.RecoveryToofull
		case held && p.claim.Kind() == reserve.Recovery:
			return s | pgstat.Recovering
		}
		return s | pgstat.RecoveryWait
	case p.m.NeedsBackfill():
		s := p.forced & (pgstat.ForcedBackfill | pgstat.ForcedRecovery)
		switch {
		case p.claim.State() == reserve.TooFull:
			return s | pgstat.BackfillToofull
		case held && p.claim.Kind() == reserve.Backfill:
			return s | pgstat.Backfilling
		}
		return s | pgstat.BackfillWait
	}
	return 0
}

// degraded says whether any object has too few copies.
func (p *pg) degraded() bool {
	n, _ := p.lacking()
	return n > 0
}

// lacking counts the copies that there should be and are not, and those that are not where they
// should be. A backfill target stands for a copy that acting lacks, if it lacks one; what it does
// not have yet is degraded then, and otherwise misplaced.
func (p *pg) lacking() (degraded, misplaced int64) {
	acting, _ := p.m.Acting()
	holes := int(p.pool.Size) - len(acting)
	degraded = int64(p.m.Missing().Len())
	for _, o := range p.members {
		peer := p.m.Peer(o)
		if peer == nil {
			continue
		}
		if peer.Missing != nil {
			degraded += int64(peer.Missing.Len())
		}
		if !peer.Info.IsIncomplete() {
			continue
		}
		have, ok := p.recovery.copied[o]
		if !ok {
			have = int64(p.backfilledShare(o) * float64(p.stats.Objects))
		}
		left := max(0, p.stats.Objects-have)
		if holes > 0 {
			holes--
			degraded += left
		} else {
			misplaced += left
		}
	}
	return degraded + int64(max(0, holes))*p.stats.Objects, misplaced
}

// moves is what is under way, for "pg query".
func (p *pg) moves() pgquery.Recovery {
	r := pgquery.Recovery{Sources: []pginfo.UnfoundSource{}, Targets: p.recovery.targets}
	if p.m.Missing().Len() > 0 {
		r.Sources = p.sources()
	}
	for o, pl := range p.recovery.pulls {
		r.Pulls = append(r.Pulls, pgquery.Move{Object: o, Version: pl.need, OSD: pl.from,
			Progress: pl.progress})
	}
	for o, ps := range p.recovery.pushes {
		for osd, progress := range ps.to {
			r.Pushes = append(r.Pushes, pgquery.Move{Object: o, Version: ps.version, OSD: osd,
				Progress: progress})
		}
	}
	return r
}
