package osd

import (
	"fmt"
	"slices"

	"glue/cluster/pginfo"
	"glue/cluster/pgstat"
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

func (p *pg) progress() any {
	if !p.active {
		return nil
	}
	out := pginfo.ProgressDump{Unfound: p.sources()}
	pr := &out.Progress
	pr.Targets, pr.Pulling, pr.Pushing = []string{}, []string{}, []string{}
	pr.Last, pr.Copied = map[string]string{}, map[string]int64{}
	for _, o := range p.m.BackfillTargets() {
		name := fmt.Sprint(o)
		pr.Targets = append(pr.Targets, name)
		pr.Last[name] = p.m.Peer(o).Info.LastBackfill.String()
		pr.Copied[name] = p.recovery.copied[o]
	}
	for o := range p.recovery.pulls {
		pr.Pulling = append(pr.Pulling, o.String())
	}
	for o := range p.recovery.pushes {
		pr.Pushing = append(pr.Pushing, o.String())
	}
	slices.Sort(pr.Pulling)
	slices.Sort(pr.Pushing)
	pr.Left = len(p.recovery.todo)
	pr.Claim, pr.Prio = p.claim.State().String(), p.claim.Priority()
	return out
}
