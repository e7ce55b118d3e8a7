package osdmon

import (
	"errors"
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
	"pause": osdmap.FlagPauseRD | osdmap.FlagPauseWR,
	"noup":  osdmap.FlagNoUp, "nodown": osdmap.FlagNoDown, "noout": osdmap.FlagNoOut,
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

// group sets or clears flags on OSDs, CRUSH buckets or device classes.
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
	return s.flagAll(r, r.Strs("who"), f, on)
}

// flagAll sets or clears flags on each of those named. What is not there is said; when no name
// means anything it is an error.
func (s *Service) flagAll(r *service.Request, who []string, f osdmap.State, on bool,
) service.Answer {
	apply := func(old uint32) uint32 {
		if on {
			return old | uint32(f)
		}
		return old &^ uint32(f)
	}
	inc, text, known := s.inc(r.Now), "", false
	for _, w := range who {
		said, ok := s.flagOne(inc, w, apply)
		text, known = text+said, known || ok
	}
	if !known {
		return service.Fail(ceph.EINVAL, "%s", text)
	}
	return service.OK("%s", text)
}

// flagOne flags one OSD, bucket or class; ok is false for a name that is none of them.
func (s *Service) flagOne(inc *osdmap.Incremental, who string, apply func(uint32) uint32,
) (said string, ok bool) {
	c := s.m.Crush
	if who == "all" || who == "any" || who == "*" {
		for _, id := range s.m.OSDs() {
			s.flagOSD(inc, id, apply)
		}
		return "", true
	}
	if id, err := commands.ParseOSD(who); err == nil {
		if !s.m.Exists(id) {
			return fmt.Sprintf("osd.%d does not exist. ", id), true
		}
		s.flagOSD(inc, id, apply)
		return "", true
	}
	if id, ok := c.ItemID(who); ok {
		put(&inc.NewCrushNodeFlags, id, apply(s.m.CrushNodeFlags[id]))
		return "", true
	}
	if id, ok := c.ClassID(who); ok {
		put(&inc.NewDeviceClassFlags, id, apply(s.m.DeviceClassFlags[id]))
		return "", true
	}
	return fmt.Sprintf("unable to parse osd id or crush node or device class: \"%s\". ", who), false
}

func (s *Service) flagOSD(inc *osdmap.Incremental, id int32, apply func(uint32) uint32) {
	old := uint32(s.m.State[id])
	if change := old ^ apply(old); change != 0 {
		put(&inc.NewState, id, osdmap.State(change))
	}
}

// flagRows are the older commands "osd add-noup" and "osd rm-noup" and their kin.
func (s *Service) flagRows() []service.Row {
	var rows []service.Row
	for _, name := range []string{"noup", "nodown", "noin", "noout"} {
		for verb, on := range map[string]bool{"add": true, "rm": false} {
			rows = append(rows, service.Row{Prefix: "osd " + verb + "-" + name,
				Run: func(r *service.Request) service.Answer {
					return s.flagAll(r, r.Strs("ids"), groupFlags[name], on)
				}})
		}
	}
	return rows
}

func (s *Service) cmdSetGroup(r *service.Request) service.Answer { return s.group(r, true) }

func (s *Service) cmdUnsetGroup(r *service.Request) service.Answer { return s.group(r, false) }

// blocklistFor is how long an entry stays by default (mon_osd_blocklist_default_expire).
const blocklistFor = time.Hour

func (s *Service) cmdBlocklist(r *service.Request) service.Answer {
	text := r.Need("addr")
	ranged := r.Str("range") != ""
	a, err := blocklistAddr(text, ranged)
	if errors.Is(err, errManyBits) {
		return service.Fail(ceph.EINVAL, "Too many bits in range for that protocol!")
	} else if err != nil {
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
	switch {
	case err != nil:
	case !strings.Contains(text, "/"):
		err = fmt.Errorf("%q is not a range of the form IP/BITS", text)
	case int(a.Nonce) > a.AddrPort.Addr().BitLen():
		err = errManyBits
	}
	return a, err
}

var errManyBits = errors.New("the range has more bits than its addresses")

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

// dropFromCrush removes an OSD from the CRUSH map, if it is there.
func (s *Service) dropFromCrush(now time.Time, id int32) error {
	if _, ok := s.m.Crush.Names[id]; !ok {
		return nil
	}
	return s.editCrush(now, func(c *crush.Map) error { return c.ForgetDevice(id) })
}
