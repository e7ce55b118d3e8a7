package osdmon

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

// reports are of OSDs that miss another one: since when each has no answer.
type reports map[int32]time.Time

// since is when the last of them began to miss it.
func (r reports) since() time.Time {
	return slices.MaxFunc(slices.Collect(maps.Values(r)), time.Time.Compare)
}

// Failure takes an OSD's report about another.
func (s *Service) Failure(now time.Time, f *message.MOSDFailure) {
	if !s.m.IsUp(f.Target) || !s.m.IsUp(f.Reporter) || !s.m.Addrs(f.Target).Equal(f.Addrs) {
		return
	}
	r := s.failures[f.Target]
	_, known := r[f.Reporter]
	if f.Flags&message.FailureFailed == 0 {
		if known {
			s.opt.ClusterLog(message.LogDebug, fmt.Sprintf(
				"osd.%d failure report canceled by osd.%d", f.Target, f.Reporter))
		}
		if delete(r, f.Reporter); len(r) == 0 {
			delete(s.failures, f.Target)
		}
		return
	}
	if !s.canMarkDown(f.Target) {
		return
	}
	if f.Flags&message.FailureImmediate != 0 {
		if s.markDown(now, f.Target) {
			s.markDead(now, f.Target)
			s.opt.ClusterLog(message.LogInfo, fmt.Sprintf(
				"osd.%d failed (%s) (connection refused reported by osd.%d)", f.Target,
				s.m.Location(f.Target), f.Reporter))
		}
		return
	}
	if r == nil {
		r = reports{}
		s.failures[f.Target] = r
	}
	if !known { // OSDs repeat their reports
		r[f.Reporter] = now.Add(-time.Duration(f.FailedFor) * time.Second)
		s.opt.ClusterLog(message.LogDebug, fmt.Sprintf("osd.%d reported failed by osd.%d",
			f.Target, f.Reporter))
	}
	s.judge(now, f.Target)
}

// tickFailures looks at the reports again: reporters and the grace change. A report that should
// have led to something long ago was probably taken back, and the message lost.
func (s *Service) tickFailures(now time.Time) {
	set := s.opt.Options()
	stale := set.Duration("osd_heartbeat_grace") + set.Duration("osd_heartbeat_stale")
	for _, id := range slices.Sorted(maps.Keys(s.failures)) {
		s.judge(now, id)
		if r := s.failures[id]; len(r) > 0 && now.Sub(r.since()) >= stale {
			delete(s.failures, id)
		}
	}
}

// held says whether a flag of OSDs (OSDNoUp, OSDNoDown, OSDNoIn, OSDNoOut) holds for one: set for
// all, for a node of the CRUSH map or a device class that it belongs to, or for itself.
func (s *Service) held(id int32, flag osdmap.State) bool {
	return s.m.Flags.Has(everywhere[flag]) || s.m.NodeFlag(id, flag)
}

// everywhere are the flags that set for all what a flag of OSDs sets for one.
var everywhere = map[osdmap.State]osdmap.Flags{
	osdmap.OSDNoUp: osdmap.FlagNoUp, osdmap.OSDNoDown: osdmap.FlagNoDown,
	osdmap.OSDNoIn: osdmap.FlagNoIn, osdmap.OSDNoOut: osdmap.FlagNoOut,
}

// canMarkDown says whether the flags and the share of OSDs that are up allow another to go down.
func (s *Service) canMarkDown(id int32) bool {
	if s.held(id, osdmap.OSDNoDown) {
		return false
	}
	exist, up, _ := s.m.Counts()
	if s.pending != nil {
		for id, x := range s.pending.NewState {
			if s.m.IsUp(id) && x.Has(osdmap.OSDUp) {
				up--
			}
		}
	}
	least := s.opt.Options().Float("mon_osd_min_up_ratio")
	return exist > 0 && float64(up-1)/float64(exist) >= least
}

// markDown says whether the OSD will be down; not when something else of it is being changed.
func (s *Service) markDown(now time.Time, id int32) bool {
	if s.touch(id) != nil {
		return false
	}
	put(&s.inc(now).NewState, id, osdmap.OSDUp)
	delete(s.failures, id)
	return true
}

// markDead notes with an OSD that goes down that its process is gone: nobody has to wait for leases
// that it may hold. What the map would note by itself comes before this and is replaced by it.
func (s *Service) markDead(now time.Time, id int32) {
	x := s.m.XInfo[id]
	x.DeadEpoch, x.DownStamp = s.m.Epoch, ceph.TimeOf(now)
	put(&s.inc(now).NewXInfo, id, x)
}

// judge marks an OSD down when enough reporters in different places have missed it for long enough.
func (s *Service) judge(now time.Time, id int32) {
	r := s.failures[id]
	maps.DeleteFunc(r, func(rep int32, _ time.Time) bool { return !s.m.IsUp(rep) })
	if len(r) == 0 {
		delete(s.failures, id)
		return
	}
	set := s.opt.Options()
	level := set.Str("mon_osd_reporter_subtree_level")
	places := s.places(level, slices.Sorted(maps.Keys(r)))
	missed, grace := now.Sub(r.since()), s.grace(now, id, r)
	if missed < grace || places < int(set.Int("mon_osd_min_down_reporters")) ||
		!s.canMarkDown(id) || !s.markDown(now, id) {
		return
	}
	s.opt.ClusterLog(message.LogInfo, fmt.Sprintf(
		"osd.%d failed (%s) (%d reporters from different %s after %f >= grace %f)", id,
		s.m.Location(id), places, level, missed.Seconds(), grace.Seconds()))
}

// places counts reporters in different buckets of a type of CRUSH (mon_osd_reporter_subtree_level).
// One that is in none is a place of its own. Where all OSDs are in one such bucket, the OSDs
// themselves count.
func (s *Service) places(level string, reporters []int32) int {
	typ, ok := s.m.Crush.TypeID(level)
	if !ok || typ == 0 {
		return len(reporters)
	}
	all, hit := map[int32]bool{}, map[int32]bool{}
	for _, id := range s.m.OSDs() {
		if b, ok := s.m.Crush.ParentOfType(id, typ, -1); ok {
			all[b] = true
		}
	}
	if len(all) <= 1 {
		return len(reporters)
	}
	for _, id := range reporters {
		if b, ok := s.m.Crush.ParentOfType(id, typ, -1); ok {
			id = b
		}
		hit[id] = true
	}
	return len(hit)
}
