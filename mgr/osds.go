package mgr

import (
	"fmt"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/pgstat"
	"glue/internal/cephjson"
)

// osdIDs reads the OSDs that a command names; "all", "any" and "*" are all that exist.
func (s *state) osdIDs(c *commands.Command, arg string) ([]int32, *result) {
	var out []int32
	for _, w := range c.Strs(arg) {
		if w == "all" || w == "any" || w == "*" {
			return s.osdmap.OSDs(), nil
		}
		id, err := commands.ParseOSD(w)
		if err != nil {
			r := refuse(ceph.EINVAL, "Expected option value to be integer, got '%s'"+
				"invalid osd id '%s'", w, w)
			return nil, &r
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		r := refuse(ceph.EINVAL, "must specify one or more OSDs")
		return nil, &r
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// line is v in the format asked for, with a newline behind it; plain callers get JSON on one line.
func line(c *commands.Command, v any) []byte {
	out := cephjson.Marshal(v, false)
	if c.Format() != commands.Plain {
		out = c.Print(v)
	}
	return append(out, '\n')
}

func osdOKToStop(s *state, c *commands.Command) result {
	ids, bad := s.osdIDs(c, "ids")
	if bad != nil {
		return *bad
	}
	limit := int(c.Int("max", 1))
	if limit < len(ids) {
		limit = len(ids)
	}
	o := s.pgs.Outage(s.osdmap, ids)
	if limit > len(ids) {
		o = s.pgs.Widen(s.osdmap, o, limit)
	}
	r := result{out: line(c, o.Dump())}
	switch {
	case o.Unknown() > 0:
		r.err = ceph.EAGAIN
		r.status = fmt.Sprintf("%d pgs have unknown state; cannot draw any conclusions",
			o.Unknown())
	case !o.OKToStop():
		r.err = ceph.EBUSY
		r.status = fmt.Sprintf("unsafe to stop osd(s) at this time (%d PGs are or would become "+
			"offline)", o.NotOK)
	}
	return r
}

func commaList(ids []int32) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}

// unsafe says why OSDs can't be destroyed now; 0 when they can.
func unsafe(r *pgstat.Removal) (ceph.Errno, string) {
	if len(r.Active)+len(r.NoStats)+len(r.Stored) == 0 {
		return 0, ""
	}
	text := ""
	if len(r.Safe) > 0 {
		text += fmt.Sprintf("OSD(s) %s are safe to destroy without reducing data durability. ",
			commaList(r.Safe))
	}
	if len(r.Active) > 0 {
		text += fmt.Sprintf("OSD(s) %s have %d pgs currently mapped to them. ",
			commaList(r.Active), r.Affected)
	}
	if len(r.NoStats) > 0 {
		text += fmt.Sprintf("OSD(s) %s have no reported stats, and not all PGs are active+clean; "+
			"we cannot draw any conclusions. ", commaList(r.NoStats))
	}
	if len(r.Stored) > 0 {
		text += fmt.Sprintf("OSD(s) %s last reported they still store some PG data, and not all "+
			"PGs are active+clean; we cannot be sure they aren't still needed.",
			commaList(r.Stored))
	}
	if len(r.Active)+len(r.Stored) > 0 {
		return ceph.EBUSY, text
	}
	return ceph.EAGAIN, text
}

// knowsAll says whether every PG's state is known; without, nothing can be said of what is safe.
func (s *state) knowsAll() bool { return s.pgs.NumPGUnknown == 0 }

const unknownPGs = "%d pgs have unknown state; cannot draw any conclusions"

func osdSafeToDestroy(s *state, c *commands.Command) result {
	ids, bad := s.osdIDs(c, "ids")
	if bad != nil {
		return *bad
	}
	if !s.knowsAll() {
		return refuse(ceph.EAGAIN, unknownPGs, s.pgs.NumPGUnknown)
	}
	rem := s.pgs.Removal(s.osdmap, ids)
	if c.Format() != commands.Plain {
		return result{out: c.Print(rem.Dump())}
	}
	errno, text := unsafe(&rem)
	if errno != 0 {
		return refuse(errno, "%s", text)
	}
	return result{status: fmt.Sprintf("OSD(s) %s are safe to destroy without reducing data "+
		"durability.", commaList(ids))}
}

// osdDestroy has the monitors destroy or purge an OSD, if that loses nothing or is forced.
func osdDestroy(s *state, c *commands.Command) result {
	text := c.Need("id")
	id, err := commands.ParseOSD(text)
	switch {
	case err != nil:
		return refuse(ceph.EINVAL, "invalid osd id '%s'", text)
	case !s.osdmap.Exists(id):
		return result{status: fmt.Sprintf("osd.%d does not exist", id)}
	}
	sure := c.Bool("yes_i_really_mean_it")
	if !c.Bool("force") && !sure {
		if !s.knowsAll() {
			return refuse(ceph.EAGAIN, unknownPGs, s.pgs.NumPGUnknown)
		}
		rem := s.pgs.Removal(s.osdmap, []int32{id})
		if errno, why := unsafe(&rem); errno != 0 {
			return refuse(errno, "%s\nYou can proceed by passing --force, but be warned that "+
				"this will likely mean real, permanent data loss.", why)
		}
	}
	return result{relay: map[string]any{"prefix": c.Prefix + "-actual", "id": id,
		"yes_i_really_mean_it": true}}
}

// osdReweight lowers the weights of OSDs that have too much and raises those of the others; its
// "test-" forms only say what would be done.
func osdReweight(s *state, c *commands.Command) result {
	plan := pgstat.ReweightPlan{ByPG: strings.HasSuffix(c.Prefix, "-pg"),
		Overload:     c.Int("oload", 120),
		MaxChange:    c.Float("max_change", s.set.Float("mon_reweight_max_change")),
		MaxOSDs:      c.Int("max_osds", s.set.Int("mon_reweight_max_osds")),
		NoIncreasing: c.Has("no_increasing") && c.Str("no_increasing") != "false",
		MinPGs:       s.set.Int("mon_reweight_min_pgs_per_osd"),
		MinBytes:     s.set.Int("mon_reweight_min_bytes_per_osd"),
	}
	for _, name := range c.Strs("pools") {
		id, ok := s.osdmap.PoolByName(name)
		if !ok {
			return refuse(ceph.ENOENT, "pool '%s' does not exist", name)
		}
		plan.Pools = append(plan.Pools, id)
	}
	switch {
	case c.Err() != nil:
		return refuse(ceph.EINVAL, "%v", c.Err())
	case plan.MaxChange <= 0:
		return refuse(ceph.EINVAL, "max_change %v must be positive", plan.MaxChange)
	case plan.MaxOSDs <= 0:
		return refuse(ceph.EINVAL, "max_osds %d must be positive", plan.MaxOSDs)
	}
	rw, bad := s.pgs.Reweight(s.osdmap, plan)
	if bad != nil {
		return refuse(bad.Errno, "%sFAILED reweight-by-pg", bad.Text)
	}
	r := printed(c, func() any { return rw.Dump() }, rw.Text)
	if strings.HasPrefix(c.Prefix, "osd test-") || !rw.Changes() {
		r.status = "no change"
		return r
	}
	weights := string(cephjson.Marshal(rw.Weights(), false))
	r.relay = map[string]any{"prefix": "osd reweightn", "weights": weights}
	return r
}

// pgDebug says whether any PG misses objects, in a word that scripts look for.
func pgDebug(s *state, c *commands.Command) result {
	word := map[bool]string{true: "TRUE\n", false: "FALSE\n"}
	switch op := c.Need("debugop"); op {
	case "unfound_objects_exist":
		return text(word[s.pgs.Sum.Stats.Sum.ObjectsUnfound > 0])
	case "degraded_pgs_exist":
		return text(word[s.pgs.Sum.Stats.Sum.ObjectsDegraded > 0])
	default:
		return refuse(ceph.EINVAL, "unrecognized debugop '%s'", op)
	}
}
