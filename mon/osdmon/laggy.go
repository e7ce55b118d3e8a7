package osdmon

import (
	"math"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// An OSD that boots anew though its process never ended was slow, not dead. The map has how likely
// that is of each (LaggyProbability) and for how long it usually is away (LaggyInterval), as moving
// averages of mon_osd_laggy_weight; what was learnt gives it more time the next time.

// afterBoot is what an OSD's boot adds. again: the process was up before.
func (s *Service) afterBoot(x osdmap.OSDXInfo, again bool, now time.Time) osdmap.OSDXInfo {
	set := s.opt.Options()
	weight := set.Float("mon_osd_laggy_weight")
	likely, away := float64(x.LaggyProbability)*(1-weight), float64(x.LaggyInterval)*(1-weight)
	if again && x.DownStamp != (ceph.Time{}) {
		likely += weight
		span := max(now.Unix()-x.DownStamp.Go().Unix(), 0)
		if most := set.Duration("mon_osd_laggy_max_interval"); most > 0 {
			span = min(span, int64(most/time.Second))
		}
		away += float64(span) * weight
	}
	x.LaggyProbability = float32(likely)
	x.LaggyInterval = uint32(min(away, math.MaxInt32))
	return x
}

// keptHalves is after how many half-lives without going down an OSD is forgiven.
const keptHalves = 48

// forgive forgets how slow an OSD was that goes down for the first time in two days or so.
func (s *Service) forgive(inc *osdmap.Incremental, id int32) {
	x, ok := inc.NewXInfo[id]
	if !ok {
		x = s.m.XInfo[id]
	}
	last := s.m.XInfo[id].DownStamp
	if x.LaggyProbability == 0 && x.LaggyInterval == 0 || last == (ceph.Time{}) ||
		inc.Modified.Go().Sub(last.Go()) <= keptHalves*s.halfLife() {
		return
	}
	x.LaggyProbability, x.LaggyInterval, x.DownStamp = 0, 0, inc.Modified
	put(&inc.NewXInfo, id, x)
}

func (s *Service) halfLife() time.Duration {
	return s.opt.Options().Duration("mon_osd_laggy_halflife")
}

// slack is how much more time than others an OSD gets, of what was learnt an age ago.
func slack(x osdmap.OSDXInfo, age, half time.Duration) time.Duration {
	if half <= 0 {
		return 0
	}
	decay := math.Exp2(-float64(max(age, 0)) / float64(half))
	return time.Duration(decay * float64(x.LaggyInterval) * float64(x.LaggyProbability) *
		float64(time.Second))
}

// grace is how long an OSD must have been missed to be marked down. Reporters that were slow
// themselves lengthen it, by their mean: they may be behind the same bad switch.
func (s *Service) grace(now time.Time, id int32, r reports) time.Duration {
	set := s.opt.Options()
	grace := set.Duration("osd_heartbeat_grace")
	if !set.Bool("mon_osd_adjust_heartbeat_grace") {
		return grace
	}
	half := s.halfLife()
	var others time.Duration
	for rep := range r {
		x := s.m.XInfo[rep]
		others += slack(x, now.Sub(x.DownStamp.Go()), half) / time.Duration(len(r))
	}
	return grace + slack(s.m.XInfo[id], now.Sub(r.since()), half) + others
}

// patience is how long an OSD stays in that has been down for a time.
func (s *Service) patience(id int32, down time.Duration) time.Duration {
	set := s.opt.Options()
	limit := set.Duration("mon_osd_down_out_interval")
	if set.Bool("mon_osd_adjust_down_out_interval") {
		limit += slack(s.m.XInfo[id], down, s.halfLife())
	}
	return limit
}
