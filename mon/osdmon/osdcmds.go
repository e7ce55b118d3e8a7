package osdmon

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/mon/service"
)

func (s *Service) osdCommands() []service.Row {
	return []service.Row{
		{Prefix: "osd in", Run: s.cmdIn},
		{Prefix: "osd out", Run: s.cmdOut},
		{Prefix: "osd down", Run: s.cmdDown},
		{Prefix: "osd stop", Run: s.cmdStop},
		{Prefix: "osd rm", Run: s.cmdRemove},
		{Prefix: "osd new", Run: s.cmdNew},
		{Prefix: "osd create", Run: s.cmdNew},
		{Prefix: "osd lost", Run: s.cmdLost},
		{Prefix: "osd destroy-actual", Run: s.cmdDestroy},
		{Prefix: "osd purge-actual", Run: s.cmdPurge},
		{Prefix: "osd purge-new", Run: s.cmdPurgeNew},
		{Prefix: "osd reweight", Run: s.cmdReweight},
		{Prefix: "osd reweightn", Run: s.cmdReweightN},
		{Prefix: "osd primary-affinity", Run: s.cmdAffinity},
		{Prefix: "osd set", Run: s.cmdSetFlag},
		{Prefix: "osd unset", Run: s.cmdUnsetFlag},
		{Prefix: "osd pause", Run: s.cmdPause},
		{Prefix: "osd unpause", Run: s.cmdUnpause},
		{Prefix: "osd set-group", Run: s.cmdSetGroup},
		{Prefix: "osd unset-group", Run: s.cmdUnsetGroup},
		{Prefix: "osd setmaxosd", Run: s.cmdSetMaxOSD},
		{Prefix: "osd set-full-ratio", Run: s.ratio("full")},
		{Prefix: "osd set-backfillfull-ratio", Run: s.ratio("backfillfull")},
		{Prefix: "osd set-nearfull-ratio", Run: s.ratio("nearfull")},
		{Prefix: "osd require-osd-release", Run: s.cmdRequireRelease},
		{Prefix: "osd set-require-min-compat-client", Run: s.cmdRequireClient},
		{Prefix: "osd blocklist", Run: s.cmdBlocklist},
		{Prefix: "osd blacklist", Run: s.cmdBlocklist},
		{Prefix: "osd blocklist clear", Run: s.cmdBlocklistClear},
		{Prefix: "osd blacklist clear", Run: s.cmdBlocklistClear},
		{Prefix: "osd erasure-code-profile set", Run: s.cmdProfileSet},
		{Prefix: "osd erasure-code-profile rm", Run: s.cmdProfileRemove},
		{Prefix: "osd pg-temp", Run: s.cmdPGTemp},
		{Prefix: "osd primary-temp", Run: s.cmdPrimaryTemp},
		{Prefix: "osd pg-upmap", Run: s.cmdUpmap},
		{Prefix: "osd rm-pg-upmap", Run: s.cmdRemoveUpmap},
		{Prefix: "osd pg-upmap-items", Run: s.cmdUpmapItems},
		{Prefix: "osd rm-pg-upmap-items", Run: s.cmdRemoveUpmapItems},
		{Prefix: "pg repeer", Run: s.cmdRepeer},
		{Prefix: "osd pool mksnap", Run: s.cmdMakeSnap},
		{Prefix: "osd pool rmsnap", Run: s.cmdRemoveSnap},
	}
}

// each runs f for every OSD that "ids" names; "all" or "any" or "*" are those that match says. f
// says what it did, and whether it did something.
func (s *Service) each(r *service.Request, match func(id int32) bool,
	f func(id int32) (string, bool),
) service.Answer {
	var ids []int32
	words := r.Strs("ids")
	quiet := false
	if len(words) == 1 && slices.Contains([]string{"all", "any", "*"}, words[0]) {
		quiet = true
		for _, id := range s.m.OSDs() {
			if match(id) {
				ids = append(ids, id)
			}
		}
	}
	if !quiet {
		for _, w := range words {
			id, err := commands.ParseOSD(w)
			if err != nil {
				return service.Fail(ceph.EINVAL, "Expected option value to be integer, got '%s'"+
					"invalid osd id-1", w)
			}
			ids = append(ids, id)
		}
	}
	var said strings.Builder
	for _, id := range ids {
		if !s.m.Exists(id) {
			fmt.Fprintf(&said, "osd.%d does not exist. ", id)
			continue
		}
		text, did := f(id)
		if !quiet || did {
			said.WriteString(text)
		}
	}
	return service.OK("%s", said.String())
}

func (s *Service) cmdIn(r *service.Request) service.Answer {
	return s.each(r, s.m.IsOut, func(id int32) (string, bool) {
		if s.m.IsIn(id) {
			return fmt.Sprintf("osd.%d is already in. ", id), false
		}
		if s.m.Flags.Has(osdmap.FlagNoIn) || s.m.NodeFlag(id, osdmap.OSDNoIn) {
			return fmt.Sprintf("cannot mark osd.%d in: the noin flag is set. ", id), false
		}
		inc := s.inc(r.Now)
		w := s.m.XInfo[id].OldWeight
		if w == 0 {
			w = osdmap.WeightIn
		} else {
			x := s.m.XInfo[id]
			x.OldWeight = 0
			put(&inc.NewXInfo, id, x)
		}
		put(&inc.NewWeight, id, w)
		return fmt.Sprintf("marked in osd.%d. ", id), true
	})
}

func (s *Service) cmdOut(r *service.Request) service.Answer {
	return s.each(r, s.m.IsIn, func(id int32) (string, bool) {
		if s.m.IsOut(id) {
			return fmt.Sprintf("osd.%d is already out. ", id), false
		}
		inc := s.inc(r.Now)
		put(&inc.NewWeight, id, 0)
		if w := s.m.Weight[id]; w != osdmap.WeightIn {
			x := s.m.XInfo[id]
			x.OldWeight = w
			put(&inc.NewXInfo, id, x)
		}
		return fmt.Sprintf("marked out osd.%d. ", id), true
	})
}

func (s *Service) cmdDown(r *service.Request) service.Answer {
	dead := r.Bool("definitely_dead")
	return s.each(r, s.m.IsUp, func(id int32) (string, bool) {
		if s.m.IsDown(id) && !dead {
			return fmt.Sprintf("osd.%d is already down. ", id), false
		}
		inc := s.inc(r.Now)
		text := ""
		if s.m.IsUp(id) {
			put(&inc.NewState, id, osdmap.OSDUp)
			text = fmt.Sprintf("marked down osd.%d. ", id)
		}
		if dead {
			x := s.m.XInfo[id]
			x.DeadEpoch = s.m.Epoch + 1
			put(&inc.NewXInfo, id, x)
			text += fmt.Sprintf("marked dead osd.%d. ", id)
		}
		return text, true
	})
}

func (s *Service) cmdStop(r *service.Request) service.Answer {
	return s.each(r, s.m.IsUp, func(id int32) (string, bool) {
		if s.m.State[id].Has(osdmap.OSDStop) {
			return fmt.Sprintf("osd.%d is already stopped. ", id), false
		}
		if s.m.IsDown(id) {
			return fmt.Sprintf("osd.%d is already down. ", id), false
		}
		put(&s.inc(r.Now).NewState, id, osdmap.OSDUp|osdmap.OSDStop)
		return fmt.Sprintf("stop down osd.%d. ", id), true
	})
}

func (s *Service) cmdRemove(r *service.Request) service.Answer {
	var removed []string
	busy := ""
	a := s.each(r, func(id int32) bool { return true }, func(id int32) (string, bool) {
		if s.m.IsUp(id) {
			busy = fmt.Sprintf("osd.%d is still up; must be down before removal. ", id)
			return "", false
		}
		put(&s.inc(r.Now).NewState, id, s.m.State[id])
		removed = append(removed, fmt.Sprintf("osd.%d", id))
		return "", true
	})
	if busy != "" {
		return service.Fail(ceph.EBUSY, "%s", busy)
	}
	if len(removed) > 0 && a.Err == 0 {
		a.Text += "removed " + strings.Join(removed, ", ")
	}
	return a
}

func (s *Service) cmdLost(r *service.Request) service.Answer {
	if !r.Bool("yes_i_really_mean_it") {
		return service.Fail(ceph.EPERM, "are you SURE?  this might mean real, permanent data "+
			"loss.  "+
			"pass --yes-i-really-mean-it if you really do.")
	}
	id := r.OSD("id")
	if !s.m.Exists(id) {
		return service.Fail(ceph.ENOENT, "osd.%d does not exist", id)
	}
	if s.m.IsUp(id) {
		return service.Fail(ceph.EBUSY, "osd.%d is not down", id)
	}
	e := s.m.Info[id].DownAt
	put(&s.inc(r.Now).NewLost, id, e)
	return service.OK("marked osd lost in epoch %d", e)
}

// plainNumber is a number as a C++ stream prints it.
func plainNumber(f float64) string { return cephjson.FormatFloat(f, 6) }

func (s *Service) cmdReweight(r *service.Request) service.Answer {
	w := r.NeedFloat("weight")
	id := r.OSD("id")
	ww := int64(math.Trunc(osdmap.WeightIn * w))
	if ww < 0 || ww > math.MaxUint32 {
		return service.Fail(ceph.EINVAL, "weight must be >= 0")
	}
	if !s.m.Exists(id) {
		return service.Fail(ceph.ENOENT, "osd.%d does not exist", id)
	}
	put(&s.inc(r.Now).NewWeight, id, uint32(ww))
	return service.OK("reweighted osd.%d to %s (%x)", id, plainNumber(w), ww)
}

func (s *Service) cmdAffinity(r *service.Request) service.Answer {
	w := r.NeedFloat("weight")
	id := r.OSD("id")
	if w < 0 || w > 1 {
		return service.Fail(ceph.EINVAL, "weight must be in the range [0..1]")
	}
	if !s.m.Exists(id) {
		return service.Fail(ceph.ENOENT, "osd.%d does not exist", id)
	}
	ww := uint32(math.Trunc(osdmap.WeightIn * w))
	put(&s.inc(r.Now).NewPrimaryAffinity, id, ww)
	// Stock prints two stray format flags, 8 and 2, around the number.
	return service.OK("set osd.%d primary-affinity to %s (8%d2)", id, plainNumber(w), ww)
}

// maxOSDs bounds "osd setmaxosd" (mon_max_osd).
const maxOSDs = 10000

func (s *Service) cmdSetMaxOSD(r *service.Request) service.Answer {
	n := r.NeedInt("newmax")
	if n < 0 || n > maxOSDNumber+1 {
		return service.Fail(ceph.EINVAL, "max_osd must be between 0 and %d", maxOSDNumber+1)
	}
	if n > maxOSDs {
		return service.Fail(ceph.ERANGE, "cannot set max_osd to %d which is > conf.mon_max_osd "+
			"(%d)", n, maxOSDs)
	}
	for id := int32(n); id < s.m.MaxOSD; id++ {
		if s.m.Exists(id) {
			return service.Fail(ceph.EBUSY, "cannot shrink max_osd to %d because osd.%d "+
				"(and possibly others) still in use", n, id)
		}
	}
	s.inc(r.Now).NewMaxOSD = int32(n)
	return service.OK("set new max_osd = %d", n)
}

func (s *Service) ratio(which string) func(*service.Request) service.Answer {
	return func(r *service.Request) service.Answer {
		v := r.NeedFloat("ratio")
		if v < 0 || v > 1 {
			return service.Fail(ceph.EINVAL, "ratio must be between 0 and 1")
		}
		inc := s.inc(r.Now)
		switch which {
		case "full":
			inc.NewFullRatio = float32(v)
		case "backfillfull":
			inc.NewBackfillfullRatio = float32(v)
		default:
			inc.NewNearfullRatio = float32(v)
		}
		return service.OK("osd set-%s-ratio %s", which, plainNumber(v))
	}
}

func (s *Service) cmdRequireRelease(r *service.Request) service.Answer {
	rel, ok := osdmap.ParseRelease(r.Need("release"))
	switch {
	case !ok || rel > osdmap.Pacific:
		return service.Fail(ceph.EINVAL, "unrecognized release %s", r.Str("release"))
	case rel == s.m.RequireOSDRelease:
		return service.OK("")
	case rel < s.m.RequireOSDRelease:
		return service.Fail(ceph.EPERM, "require_osd_release cannot be lowered once it has been "+
			"set")
	case rel != osdmap.Pacific:
		return service.Fail(ceph.EPERM, "not supported for this release")
	}
	s.inc(r.Now).NewRequireOSDRelease = rel
	return service.OK("")
}

func (s *Service) cmdRequireClient(r *service.Request) service.Answer {
	rel, ok := osdmap.ParseRelease(r.Need("version"))
	if !ok || rel > osdmap.Pacific {
		return service.Fail(ceph.EINVAL, "version %s is not recognized", r.Str("version"))
	}
	if need := s.m.MinCompatClient(); rel < need {
		return service.Fail(ceph.EPERM, "osdmap current utilizes features that require %v; cannot "+
			"set require_min_compat_client below that to %v", need, rel)
	}
	s.inc(r.Now).NewRequireMinCompatClient = rel
	return service.OK("set require_min_compat_client to %v", rel)
}
