package osdmon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/mon/service"
	"glue/wire/message"
)

// settable are the flags that "osd set" and "osd unset" know, by what the operator types.
var settable = map[string]osdmap.Flags{
	"full": osdmap.FlagFull, "pause": osdmap.FlagPauseRD | osdmap.FlagPauseWR,
	"noup": osdmap.FlagNoUp, "nodown": osdmap.FlagNoDown, "noout": osdmap.FlagNoOut,
	"noin": osdmap.FlagNoIn, "nobackfill": osdmap.FlagNoBackfill,
	"norebalance": osdmap.FlagNoRebalance, "norecover": osdmap.FlagNoRecover,
	"noscrub": osdmap.FlagNoScrub, "nodeep-scrub": osdmap.FlagNoDeepScrub,
	"notieragent": osdmap.FlagNoTierAgent, "nosnaptrim": osdmap.FlagNoSnapTrim,
	"pglog_hardlimit": osdmap.FlagPGLogHardLimit,
}

func (s *Service) flag(r *service.Request, key string, on bool) service.Answer {
	f, ok := settable[key]
	if !ok || !on && key == "pglog_hardlimit" {
		return service.Fail(ceph.EINVAL, "unrecognized flag '%s'", key)
	}
	if key == "full" && on && !r.Bool("yes_i_really_mean_it") {
		return service.Fail(ceph.EPERM, "Are you SURE? This will block all writes; "+
			"pass --yes-i-really-mean-it to proceed anyway")
	}
	next, word, did := s.m.Flags|f, "set", "set"
	if !on {
		next, word, did = s.m.Flags&^f, "unset", "cleared"
	}
	name := key
	if key == "pause" {
		name = "pauserd,pausewr"
	}
	if next != s.m.Flags {
		s.inc(r.Now).NewFlags = int32(next)
		s.opt.ClusterLog(message.LogInfo, fmt.Sprintf("OSD flags %s: %s", did, name))
	}
	return service.OK("%s is %s", name, word)
}

func (s *Service) cmdSetFlag(r *service.Request) service.Answer {
	return s.flag(r, r.Need("key"), true)
}

func (s *Service) cmdUnsetFlag(r *service.Request) service.Answer {
	return s.flag(r, r.Need("key"), false)
}

func (s *Service) cmdPause(r *service.Request) service.Answer { return s.flag(r, "pause", true) }

func (s *Service) cmdUnpause(r *service.Request) service.Answer { return s.flag(r, "pause", false) }

var groupFlags = map[string]osdmap.State{
	"noup": osdmap.OSDNoUp, "nodown": osdmap.OSDNoDown, "noin": osdmap.OSDNoIn,
	"noout": osdmap.OSDNoOut,
}

// group sets flags on OSDs, CRUSH buckets or device classes.
func (s *Service) group(r *service.Request, on bool) service.Answer {
	var f osdmap.State
	for _, word := range strings.FieldsFunc(r.Need("flags"), func(c rune) bool {
		return c == ',' || c == ' '
	}) {
		bit, ok := groupFlags[word]
		if !ok {
			return service.Fail(ceph.EINVAL, "unrecognized flag '%s', must be one of "+
				"{noup,nodown,noin,noout}", word)
		}
		f |= bit
	}
	if f == 0 {
		return service.Fail(ceph.EINVAL, "must specify flag(s) {noup,nodwon,noin,noout} to set")
	}
	apply := func(old uint32) uint32 {
		if on {
			return old | uint32(f)
		}
		return old &^ uint32(f)
	}
	inc := s.inc(r.Now)
	for _, who := range r.Strs("who") {
		if bad := s.groupOne(inc, who, apply); bad != nil {
			return *bad
		}
	}
	return service.OK("")
}

func (s *Service) groupOne(inc *osdmap.Incremental, who string, apply func(uint32) uint32,
) *service.Answer {
	c := s.m.Crush
	if who == "all" || who == "any" || who == "*" {
		for _, id := range s.m.OSDs() {
			s.groupOSD(inc, id, apply)
		}
		return nil
	}
	if id, err := commands.ParseOSD(who); err == nil {
		if !s.m.Exists(id) {
			a := service.Fail(ceph.ENOENT, "osd.%d does not exist", id)
			return &a
		}
		s.groupOSD(inc, id, apply)
		return nil
	}
	if id, ok := c.ItemID(who); ok {
		put(&inc.NewCrushNodeFlags, id, apply(s.m.CrushNodeFlags[id]))
		return nil
	}
	if id, ok := c.ClassID(who); ok {
		put(&inc.NewDeviceClassFlags, id, apply(s.m.DeviceClassFlags[id]))
		return nil
	}
	a := service.Fail(ceph.ENOENT, "crush node or device class '%s' does not exist", who)
	return &a
}

func (s *Service) groupOSD(inc *osdmap.Incremental, id int32, apply func(uint32) uint32) {
	old := uint32(s.m.State[id])
	if change := old ^ apply(old); change != 0 {
		put(&inc.NewState, id, osdmap.State(change))
	}
}

func (s *Service) cmdSetGroup(r *service.Request) service.Answer { return s.group(r, true) }

func (s *Service) cmdUnsetGroup(r *service.Request) service.Answer { return s.group(r, false) }

// blocklistFor is how long an entry stays by default (mon_osd_blocklist_default_expire).
const blocklistFor = time.Hour

func (s *Service) cmdBlocklist(r *service.Request) service.Answer {
	text := r.Need("addr")
	ranged := r.Str("range") != ""
	a, err := blocklistAddr(text, ranged)
	if err != nil {
		return service.Fail(ceph.EINVAL, "unable to parse address %s", text)
	}
	op := r.Str("blocklistop")
	if r.Has("blacklistop") {
		op = r.Str("blacklistop")
	}
	list := s.m.Blocklist
	if ranged {
		list = s.m.RangeBlocklist
	}
	_, listed := list[a]
	switch op {
	case "add":
		span := time.Duration(r.Float("expire", blocklistFor.Seconds()) * float64(time.Second))
		until := ceph.TimeOf(r.Now.Add(span))
		inc := s.inc(r.Now)
		if ranged {
			put(&inc.NewRangeBlocklist, a, until)
		} else {
			put(&inc.NewBlocklist, a, until)
		}
		return service.OK("blocklisting %s until %v (%s sec)", blocklistText(a), until,
			plainNumber(span.Seconds()))
	case "rm":
		if !listed {
			return service.OK("%s isn't blocklisted", blocklistText(a))
		}
		inc := s.inc(r.Now)
		if ranged {
			inc.OldRangeBlocklist = append(inc.OldRangeBlocklist, a)
		} else {
			inc.OldBlocklist = append(inc.OldBlocklist, a)
		}
		return service.OK("un-blocklisting %s", blocklistText(a))
	}
	return service.Fail(ceph.EINVAL, "unrecognized operation '%s'", op)
}

// blocklistAddr reads an address; without a protocol it is of any. A range is IP/BITS.
func blocklistAddr(text string, ranged bool) (ceph.Addr, error) {
	if !ranged {
		return ceph.ParseAddr(text, ceph.AddrAny)
	}
	a, err := ceph.ParseAddr(strings.TrimPrefix(text, "cidr:"), ceph.AddrCIDR)
	if err == nil && (!strings.Contains(text, "/") || int(a.Nonce) > a.AddrPort.Addr().BitLen()) {
		err = fmt.Errorf("%q is not a range of the form IP/BITS", text)
	}
	return a, err
}

func (s *Service) cmdBlocklistClear(r *service.Request) service.Answer {
	inc := s.inc(r.Now)
	for a := range s.m.Blocklist {
		inc.OldBlocklist = append(inc.OldBlocklist, a)
	}
	for a := range s.m.RangeBlocklist {
		inc.OldRangeBlocklist = append(inc.OldRangeBlocklist, a)
	}
	slices.SortFunc(inc.OldBlocklist, ceph.Addr.Compare)
	slices.SortFunc(inc.OldRangeBlocklist, ceph.Addr.Compare)
	return service.OK(" removed all blocklist entries")
}

func (s *Service) cmdProfileSet(r *service.Request) service.Answer {
	name := r.Need("name")
	p := map[string]string{"plugin": "jerasure", "technique": "reed_sol_van"}
	for _, w := range r.Strs("profile") {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return service.Fail(ceph.EINVAL, "'%s' is not of the form key=value", w)
		}
		p[k] = v
	}
	if have, ok := s.m.ECProfiles[name]; ok {
		if fmt.Sprint(have) == fmt.Sprint(p) {
			return service.OK("")
		}
		if !r.Bool("force") {
			return service.Fail(ceph.EPERM, "will not override erasure code profile %s "+
				"because the "+
				"existing profile %v is different from the proposed profile %v", name, have, p)
		}
	}
	put(&s.inc(r.Now).NewECProfiles, name, p)
	return service.OK("")
}

func (s *Service) cmdProfileRemove(r *service.Request) service.Answer {
	name := r.Need("name")
	for id, p := range s.m.Pools {
		if p.ECProfile == name {
			return service.Fail(ceph.EBUSY, "pool(s) %s are using the erasure code profile '%s'",
				s.m.PoolName(id), name)
		}
	}
	if _, ok := s.m.ECProfiles[name]; !ok {
		return service.OK("erasure-code-profile %s does not exist", name)
	}
	inc := s.inc(r.Now)
	inc.OldECProfiles = append(inc.OldECProfiles, name)
	return service.OK("")
}

// dropFromCrush removes an OSD from the CRUSH map, if it is there.
func (s *Service) dropFromCrush(now time.Time, id int32) error {
	if !s.m.Crush.Holds(id) {
		return nil
	}
	return s.editCrush(now, func(c *crush.Map) error { return c.RemoveItem(id, false) })
}
