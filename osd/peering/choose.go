package peering

import (
	"slices"

	"glue/ceph"
	"glue/cluster/pginfo"
)

type infoT = pginfo.Info

// findBest is whose log is authoritative: of those that took part in the newest interval that
// went active, the newest last_update, then the longest log (find_best_info).
func findBest(infos map[int32]*infoT, self int32) (int32, bool) {
	var started ceph.Epoch
	for _, i := range infos {
		started = max(started, i.History.LastEpochStarted)
		if !i.IsIncomplete() {
			started = max(started, i.LastEpochStarted)
		}
	}
	lowest, any := ceph.Eversion{}, false
	for _, i := range infos {
		if i.LastEpochStarted >= started && (!any || i.LastUpdate.Less(lowest)) {
			lowest, any = i.LastUpdate, true
		}
	}
	if !any {
		return None, false
	}
	best := None
	for _, o := range sorted(infos) {
		i := infos[o]
		if i.LastUpdate.Less(lowest) || i.LastEpochStarted < started || i.IsIncomplete() {
			continue
		}
		if best == None || better(i, infos[best], o == self) {
			best = o
		}
	}
	return best, best != None
}

func better(i, best *infoT, self bool) bool {
	if c := i.LastUpdate.Compare(best.LastUpdate); c != 0 {
		return c > 0
	}
	if c := i.LogTail.Compare(best.LogTail); c != 0 {
		return c < 0
	}
	if i.HasMissing() != best.HasMissing() {
		return !i.HasMissing()
	}
	return self
}

// chooseActing decides who should act: the primary, the members whose logs overlap, and whom to
// backfill. ok is false when another acting set has been asked for (wantActing), or when the PG
// is incomplete (choose_acting).
func (ma *Machine) chooseActing() (source int32, ok bool) {
	infos := map[int32]*infoT{ma.self: &ma.info}
	for o, p := range ma.peers {
		infos[o] = &p.Info
	}
	source, ok = findBest(infos, ma.self)
	ma.wantActing = nil
	if !ok {
		if !slices.Equal(ma.up, ma.acting) {
			ma.wantActing = ma.up
			ma.emit(WantPGTemp{})
		}
		return None, false
	}
	want, members, backfill := ma.replicatedActing(source, infos)
	if !slices.Equal(want, ma.acting) {
		ma.wantActing = want
		if slices.Equal(want, ma.up) {
			ma.emit(WantPGTemp{})
		} else {
			ma.emit(WantPGTemp{want})
		}
		return None, false
	}
	ma.members, ma.backfill = members, backfill
	return source, true
}

// replicatedActing is who can act with the given authoritative log (select_replicated_primary,
// calc_replicated_acting).
func (ma *Machine) replicatedActing(source int32, infos map[int32]*infoT,
) (want, members, backfill []int32) {
	auth := infos[source]
	primary := source
	if i := infos[ma.upPrimary]; i != nil && !i.IsIncomplete() &&
		!i.LastUpdate.Less(auth.LogTail) {
		primary = ma.upPrimary
	}
	oldest := auth.LogTail
	if infos[primary].LogTail.Less(oldest) {
		oldest = infos[primary].LogTail
	}
	want, members = []int32{primary}, []int32{primary}
	usable := func(o int32) bool {
		i := infos[o]
		return i != nil && !i.IsIncomplete() && !i.LastUpdate.Less(oldest)
	}
	for _, o := range ma.up {
		if o == primary || o < 0 || o == osdmapNone || infos[o] == nil {
			continue
		}
		members = append(members, o)
		if usable(o) {
			want = append(want, o)
		} else {
			backfill = append(backfill, o)
		}
	}
	var rest []int32
	for _, o := range sorted(infos) {
		if o != primary && !ma.isUp(o) && usable(o) {
			rest = append(rest, o)
		}
	}
	slices.SortStableFunc(rest, func(a, b int32) int {
		if x, y := ma.isActing(a), ma.isActing(b); x != y {
			return map[bool]int{true: -1, false: 1}[x]
		}
		return infos[b].LastUpdate.Compare(infos[a].LastUpdate)
	})
	for _, o := range rest {
		if len(want) >= int(ma.pool.Size) {
			break
		}
		want, members = append(want, o), append(members, o)
	}
	if n := int(ma.pool.Size); len(want) > n {
		want = want[:n]
	}
	return want, members, backfill
}
