package osdmon

import (
	"fmt"
	"slices"
	"time"

	"glue/cluster/osdmap"
	"glue/wire/message"
)

// tickOut puts OSDs out that have been down for mon_osd_down_out_interval.
func (s *Service) tickOut(now time.Time) {
	set := s.opt.Options()
	if set.Duration("mon_osd_down_out_interval") <= 0 {
		return
	}
	exist, _, in := s.m.Counts()
	for _, id := range s.m.OSDs() {
		if s.m.IsUp(id) || s.m.IsOut(id) || s.held(id, osdmap.OSDNoOut) || s.touched[id] {
			continue
		}
		if s.allDown(id) {
			s.spared[id] = now // when others are back it gets the full interval to come back too
			continue
		}
		since := s.m.XInfo[id].DownStamp.Go()
		for _, t := range []time.Time{s.since, s.spared[id]} { // so too after a restart of all
			if since.Before(t) {
				since = t
			}
		}
		if down := now.Sub(since); down < s.patience(id, down) {
			continue
		}
		if float64(in-1)/float64(exist) < set.Float("mon_osd_min_in_ratio") {
			return
		}
		in--
		s.markOut(now, id, now.Sub(since))
	}
}

// markOut puts an OSD out in a way that its boot takes back.
func (s *Service) markOut(now time.Time, id int32, down time.Duration) {
	_ = s.touch(id) // nobody has it: tickOut has looked
	inc := s.inc(now)
	put(&inc.NewWeight, id, 0)
	put(&inc.NewState, id, osdmap.OSDAutoOut)
	x := s.m.XInfo[id]
	x.OldWeight = s.m.Weight[id]
	put(&inc.NewXInfo, id, x)
	s.opt.ClusterLog(message.LogInfo, fmt.Sprintf(
		"Marking osd.%d out (has been down for %d seconds)", id, int(down.Seconds())))
}

// allDown says whether everything in the OSD's bucket of mon_osd_down_out_subtree_limit is down:
// then something that they share is broken, and its repair is better than moving all their data.
func (s *Service) allDown(id int32) bool {
	typ, ok := s.m.Crush.TypeID(s.opt.Options().Str("mon_osd_down_out_subtree_limit"))
	if !ok {
		return false
	}
	bucket, ok := s.m.Crush.ParentOfType(id, typ, -1)
	return ok && !slices.ContainsFunc(s.m.Crush.Leaves(bucket), s.m.IsUp)
}
