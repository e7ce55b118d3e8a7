package mgr

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/pgstat"
	"glue/internal/cephjson"
)

// handlers is what runs for each command. Commands of the tables in cluster/commands that are not
// here belong to features that do not exist yet, and say so.
var handlers = func() map[string]handler {
	out := maps.Clone(moduleHandlers)
	maps.Copy(out, ownHandlers)
	maps.Copy(out, balancerHandlers)
	maps.Copy(out, keptHandlers)
	maps.Copy(out, rbdHandlers)
	return out
}()

var ownHandlers = map[string]handler{
	"config show":               configShow,
	"config show-with-defaults": configShowAll,

	"pg stat":                          pgStat,
	"pg dump":                          pgDump,
	"pg dump_json":                     pgDump,
	"pg dump_pools_json":               pgDumpPools,
	"pg getmap":                        pgGetMap,
	"pg ls":                            pgList,
	"pg ls-by-pool":                    pgList,
	"pg ls-by-primary":                 pgList,
	"pg ls-by-osd":                     pgList,
	"pg dump_stuck":                    pgStuck,
	"osd perf":                         osdPerf,
	"osd df":                           osdDF,
	"osd blocked-by":                   osdBlockedBy,
	"osd pool stats":                   poolStats,
	"pg debug":                         pgDebug,
	"pg force-recovery":                pgForce,
	"pg force-backfill":                pgForce,
	"pg cancel-force-recovery":         pgForce,
	"pg cancel-force-backfill":         pgForce,
	"osd pool force-recovery":          poolForce,
	"osd pool force-backfill":          poolForce,
	"osd pool cancel-force-recovery":   poolForce,
	"osd pool cancel-force-backfill":   poolForce,
	"pg scrub":                         pgScrub,
	"pg deep-scrub":                    pgScrub,
	"pg repair":                        pgScrub,
	"osd scrub":                        osdScrub,
	"osd deep-scrub":                   osdScrub,
	"osd repair":                       osdScrub,
	"osd pool scrub":                   poolScrub,
	"osd pool deep-scrub":              poolScrub,
	"osd pool repair":                  poolScrub,
	"osd ok-to-stop":                   osdOKToStop,
	"osd safe-to-destroy":              osdSafeToDestroy,
	"osd destroy":                      osdDestroy,
	"osd purge":                        osdDestroy,
	"osd reweight-by-utilization":      osdReweight,
	"osd test-reweight-by-utilization": osdReweight,
	"osd reweight-by-pg":               osdReweight,
	"osd test-reweight-by-pg":          osdReweight,
}

func pgStat(s *state, c *commands.Command) result {
	return printed(c, s.pgs.Stat, s.pgs.StatText)
}

func pgDump(s *state, c *commands.Command) result {
	what := c.Strs("dumpcontents")
	for _, w := range what {
		if !slices.Contains(pgstat.DumpParts, w) {
			return refuse(ceph.EINVAL, "%s is not one of %s", w,
				strings.Join(pgstat.DumpParts, ", "))
		}
	}
	var r result
	if c.Prefix == "pg dump_json" { // on one line, whatever the format
		r.out = cephjson.Marshal(s.pgs.Dump(what), false)
	} else {
		r = printed(c, func() any { return s.pgs.Dump(what) },
			func() string { return s.pgs.DumpText(what) })
	}
	if len(what) == 0 {
		what = []string{"all"}
	}
	r.status = "dumped " + strings.Join(slices.Sorted(slices.Values(what)), ",")
	return r
}

func pgDumpPools(s *state, _ *commands.Command) result {
	return result{out: cephjson.Marshal(s.pgs.Dump([]string{"pools"}), false),
		status: "dumped pools"}
}

func pgGetMap(s *state, _ *commands.Command) result {
	return result{out: s.pgs.Encode(),
		status: fmt.Sprintf("got pgmap version %d", s.pgs.Version)}
}

// filter reads the arguments of "pg ls" and its kin.
func (s *state) filter(c *commands.Command) (pgstat.Filter, *result) {
	f := pgstat.Filter{All: true, Pool: c.Int("pool", -1), OSD: -1}
	bad := func(err ceph.Errno, format string, args ...any) *result {
		r := refuse(err, format, args...)
		return &r
	}
	if name := c.Str("poolstr"); name != "" {
		id, ok := s.osdmap.PoolByName(name)
		if !ok {
			r := refuse(ceph.ENOENT, "pool %s does not exist", name)
			return f, &r
		}
		f.Pool = id
	}
	if c.Has("osd") {
		f.OSD = c.OSD("osd")
		f.Primary = strings.HasSuffix(c.Prefix, "primary")
		if c.Err() == nil && !s.osdmap.IsUp(f.OSD) {
			return f, bad(ceph.EAGAIN, "osd %d is not up", f.OSD)
		}
	}
	if f.Pool >= 0 && s.osdmap.Pools[f.Pool] == nil {
		return f, bad(ceph.ENOENT, "pool %d does not exist", f.Pool)
	}
	for _, word := range c.Strs("states") {
		if word == "all" {
			f.All = true
			break
		}
		state, ok := pgstat.ParseState(word)
		if !ok {
			return f, bad(ceph.EINVAL, "'%s' is not a valid pg state", word)
		}
		f.All = false
		f.States |= state
	}
	return f, nil
}

func pgList(s *state, c *commands.Command) result {
	f, bad := s.filter(c)
	if bad != nil {
		return *bad
	}
	return printed(c, func() any { return s.pgs.Ls(f) },
		func() string { return s.pgs.LsText(f, ceph.TimeOf(time.Now())) })
}

const stuckSeconds = 60 // mon_pg_stuck_threshold

func pgStuck(s *state, c *commands.Command) result {
	words := c.Strs("stuckops")
	if len(words) == 0 {
		words = []string{"unclean"}
	}
	threshold := time.Duration(c.Int("threshold", stuckSeconds)) * time.Second
	pgs, ok := s.pgs.Stuck(words, threshold, ceph.TimeOf(time.Now()))
	if !ok {
		return refuse(ceph.EINVAL, "unknown state in %s", strings.Join(words, " "))
	}
	r := printed(c, func() any { return s.pgs.DumpStuck(pgs) },
		func() string { return s.pgs.DumpStuckText(pgs) })
	r.status = "ok"
	return r
}

func osdPerf(s *state, c *commands.Command) result {
	return printed(c, func() any { return s.pgs.OSDPerf() }, s.pgs.OSDPerfText)
}

func osdBlockedBy(s *state, c *commands.Command) result {
	return printed(c, func() any { return s.pgs.OSDBlockedBy() }, s.pgs.OSDBlockedByText)
}

func osdDF(s *state, c *commands.Command) result {
	filter := c.Str("filter")
	if by := c.Str("filter_by"); by != "" && filter == "" {
		return refuse(ceph.EINVAL, "invalid filter: say which %s", by)
	}
	if filter != "" && !s.nameable(filter) {
		return refuse(ceph.EINVAL, "'%s' not a pool, crush node or device class name", filter)
	}
	d := s.pgs.NewOSDDF(s.osdmap, c.Str("output_method") == "tree", filter)
	return printed(c, func() any { return d.Dump() }, d.Text)
}

// nameable says whether "osd df" can be asked about a name.
func (s *state) nameable(name string) bool {
	_, pool := s.osdmap.PoolByName(name)
	_, item := s.osdmap.Crush.ItemID(name)
	_, class := s.osdmap.Crush.ClassID(name)
	return pool || item || class
}

func poolStats(s *state, c *commands.Command) result {
	var pools []int64
	if name := c.Str("pool_name"); name != "" {
		id, ok := s.osdmap.PoolByName(name)
		if !ok {
			return refuse(ceph.ENOENT, "unrecognized pool '%s'", name)
		}
		pools = []int64{id}
	} else {
		for id := range s.osdmap.Pools {
			pools = append(pools, id)
		}
		slices.Sort(pools)
		if len(pools) == 0 && c.Format() == commands.Plain {
			return text("there are no pools!\n")
		}
	}
	return printed(c, func() any { return s.pgs.PoolStats(s.osdmap, pools) },
		func() string { return s.pgs.PoolStatsText(s.osdmap, pools) })
}
