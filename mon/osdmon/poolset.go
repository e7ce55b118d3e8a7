package osdmon

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/mon/service"
)

// parseWeights reads {"OSD": WEIGHT, ...}.
func parseWeights(text string) (map[int32]uint32, error) {
	var in map[string]uint32
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, err
	}
	out := map[int32]uint32{}
	for k, w := range in {
		id, err := strconv.ParseUint(k, 10, 31)
		if err != nil {
			return nil, err
		}
		out[int32(id)] = w
	}
	return out, nil
}

// A poolVar is one row of the table of what "osd pool get" and "osd pool set" know. get gives the
// value for JSON and for text; nil get means it can't be read, nil set that it can't be set.
type poolVar struct {
	name string
	get  func(s *Service, p *osdmap.Pool) (any, string)
	set  func(s *Service, x *poolSetting) *service.Answer
	tier bool // only of cache tiers
}

// A poolSetting is a change of one variable.
type poolSetting struct {
	r     *service.Request
	id    int64
	p     *osdmap.Pool // the edited copy
	value string
	said  string // overrides the usual answer
}

func (x *poolSetting) fail(e ceph.Errno, format string, args ...any) *service.Answer {
	a := service.Fail(e, format, args...)
	return &a
}

// number reads the value as a whole number.
func (x *poolSetting) number() (int64, *service.Answer) {
	n, err := strconv.ParseInt(x.value, 10, 64)
	if err != nil {
		return 0, x.fail(ceph.EINVAL, "error parsing integer value '%s': Expected option "+
			"value to be "+
			"integer, got '%s'", x.value, x.value)
	}
	return n, nil
}

// boolean reads the value as a switch.
func (x *poolSetting) boolean() (bool, *service.Answer) {
	switch x.value {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, x.fail(ceph.EINVAL, "expecting value 'true', 'false', '0', or '1'")
}

func intVar(f func(p *osdmap.Pool) int64) func(*Service, *osdmap.Pool) (any, string) {
	return func(_ *Service, p *osdmap.Pool) (any, string) { return f(p), fmt.Sprint(f(p)) }
}

// flagVar is a row for one of the pool's flags.
func flagVar(name string) poolVar {
	bit, _ := osdmap.ParsePoolFlag(name)
	return poolVar{name: name,
		get: func(_ *Service, p *osdmap.Pool) (any, string) {
			v := p.Flags.Has(bit)
			return v, strconv.FormatBool(v)
		},
		set: func(_ *Service, x *poolSetting) *service.Answer {
			on, bad := x.boolean()
			if bad != nil {
				return bad
			}
			if on {
				x.p.Flags |= bit
			} else {
				x.p.Flags &^= bit
			}
			return nil
		},
	}
}

// poolVars is in the order of "osd pool get POOL all".
var poolVars = []poolVar{
	{name: "size", get: intVar(func(p *osdmap.Pool) int64 { return int64(p.Size) }),
		set: (*Service).setSize},
	{name: "min_size", get: intVar(func(p *osdmap.Pool) int64 { return int64(p.MinSize) }),
		set: (*Service).setMinSize},
	{name: "pg_num", get: intVar(func(p *osdmap.Pool) int64 { return int64(p.PGNum) }),
		set: (*Service).setPGNum},
	{name: "pgp_num", get: intVar(func(p *osdmap.Pool) int64 { return int64(p.PGPNum) }),
		set: (*Service).setPGPNum},
	{name: "crush_rule", get: func(s *Service, p *osdmap.Pool) (any, string) {
		name := s.m.Crush.RuleNames[int32(p.CrushRule)]
		if name == "" {
			name = fmt.Sprint(p.CrushRule)
		}
		return name, name
	}, set: (*Service).setCrushRule},
	remapping(flagVar("hashpspool")),
	flagVar("nodelete"), flagVar("nopgchange"), flagVar("nosizechange"),
	flagVar("write_fadvise_dontneed"), flagVar("noscrub"), flagVar("nodeep-scrub"),
	{name: "use_gmt_hitset", get: func(_ *Service, p *osdmap.Pool) (any, string) {
		return p.UseGMTHitSet, fmt.Sprint(b2i(p.UseGMTHitSet))
	}, set: func(_ *Service, x *poolSetting) *service.Answer {
		return x.fail(ceph.EACCES, "pool '%s' is not a tier pool: variable not applicable",
			x.r.Str("pool"))
	}},
	{name: "fast_read", get: func(_ *Service, p *osdmap.Pool) (any, string) {
		return b2i(p.FastRead), fmt.Sprint(b2i(p.FastRead))
	}, set: onlyErasure("fast read is not supported in replication pool")},
}

// erasureVars are only of erasure-coded pools.
var erasureVars = []poolVar{
	{name: "erasure_code_profile", get: func(_ *Service, p *osdmap.Pool) (any, string) {
		return p.ECProfile, p.ECProfile
	}},
	{name: "allow_ec_overwrites", get: func(_ *Service, p *osdmap.Pool) (any, string) {
		on := p.Flags.Has(osdmap.PoolECOverwrites)
		return on, strconv.FormatBool(on)
	}, set: onlyErasure("ec overwrites can only be enabled for an erasure coded pool")},
}

// onlyErasure refuses a setting of erasure-coded pools, which there are none of yet.
func onlyErasure(text string) func(*Service, *poolSetting) *service.Answer {
	return func(_ *Service, x *poolSetting) *service.Answer {
		if x.p.Type != osdmap.Erasure {
			return x.fail(ceph.EINVAL, "%s", text)
		}
		return x.fail(ceph.EOPNOTSUPP, "erasure-coded pools are not available in this release "+
			"of Glue")
	}
}

// remapping is a row whose change moves all of the pool's data.
func remapping(v poolVar) poolVar {
	set := v.set
	v.set = func(s *Service, x *poolSetting) *service.Answer {
		if !x.r.Bool("yes_i_really_mean_it") {
			return x.fail(ceph.EPERM, "are you SURE?  this will remap all placement groups in "+
				"this pool, this triggers large data movement, pass --yes-i-really-mean-it if "+
				"you really do.")
		}
		return set(s, x)
	}
	return v
}

// tierVars are only of cache tiers, which there are none of.
var tierVars = []string{
	"hit_set_type", "hit_set_period", "hit_set_count", "hit_set_fpp", "target_max_objects",
	"target_max_bytes", "cache_target_dirty_ratio", "cache_target_dirty_high_ratio",
	"cache_target_full_ratio", "cache_min_flush_age", "cache_min_evict_age",
	"min_read_recency_for_promote", "min_write_recency_for_promote",
	"hit_set_grade_decay_rate", "hit_set_search_last_n",
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *Service) setSize(x *poolSetting) *service.Answer {
	n, bad := x.number()
	if bad != nil {
		return bad
	}
	set := s.opt.Options()
	switch {
	case x.p.Flags.Has(osdmap.PoolNoSizeChange):
		return x.fail(ceph.EPERM, "pool size change is disabled; you must unset nosizechange flag "+
			"for the pool first")
	case x.p.Type == osdmap.Erasure:
		return x.fail(ceph.EOPNOTSUPP, "can not change the size of an erasure-coded pool")
	case n < 1 || n > 10:
		return x.fail(ceph.EINVAL, "pool size must be between 1 and 10")
	case n == 1 && !set.Bool("mon_allow_pool_size_one"):
		return x.fail(ceph.EPERM, "configuring pool size as 1 is disabled by default.")
	case n == 1 && !x.r.Bool("yes_i_really_mean_it"):
		return x.fail(ceph.EPERM, "WARNING: setting pool size 1 could lead to data loss without "+
			"recovery. If you are *ABSOLUTELY CERTAIN* that is what you want, pass the flag "+
			"--yes-i-really-mean-it.")
	}
	if why := s.ruleRefuses(int(x.p.CrushRule), n); why != "" {
		return x.fail(ceph.EINVAL, "%s", why)
	}
	if bad := s.checkPGsPerOSD(x.id, int64(x.p.PGNum), n); bad != nil {
		return bad
	}
	x.p.Size = uint8(n)
	x.p.MinSize = minSize(set, n)
	return nil
}

func (s *Service) setMinSize(x *poolSetting) *service.Answer {
	if x.p.Flags.Has(osdmap.PoolNoSizeChange) {
		return x.fail(ceph.EPERM, "pool min size change is disabled; you must unset nosizechange "+
			"flag for the pool first")
	}
	n, bad := x.number()
	if bad != nil {
		return bad
	}
	if x.p.Type == osdmap.Erasure {
		return x.fail(ceph.EOPNOTSUPP, "can not change the min_size of an erasure-coded pool here")
	}
	if n < 1 || n > int64(x.p.Size) {
		return x.fail(ceph.EINVAL, "pool min_size must be between 1 and size, which is set to %d",
			x.p.Size)
	}
	x.p.MinSize = uint8(n)
	return nil
}

func (s *Service) setCrushRule(x *poolSetting) *service.Answer {
	id, ok := s.m.Crush.RuleID(x.value)
	if !ok {
		return x.fail(ceph.ENOENT, "crush rule %s does not exist", x.value)
	}
	if s.m.Crush.Rule(id).Type != uint8(x.p.Type) {
		return x.fail(ceph.EINVAL, "crush rule %d type does not match pool", id)
	}
	if why := s.ruleRefuses(id, int64(x.p.Size)); why != "" {
		return x.fail(ceph.EINVAL, "%s", why)
	}
	x.p.CrushRule = uint8(id)
	return nil
}

func (s *Service) setAutoscale(x *poolSetting) *service.Answer {
	mode, ok := osdmap.ParseAutoscaleMode(x.value)
	if !ok {
		return x.fail(ceph.EINVAL, "specified invalid mode %s", x.value)
	}
	x.p.Autoscale = mode
	return nil
}

func (s *Service) cmdPoolSet(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	name := r.Need("var")
	x := &poolSetting{r: r, id: id, p: p.Clone(), value: r.Need("val")}
	if bad := s.setVar(name, x); bad != nil {
		return *bad
	}
	if x.said == "unchanged" {
		return service.OK("")
	}
	inc := s.inc(r.Now)
	x.p.LastChange = inc.Epoch
	put(&inc.NewPools, id, x.p)
	if x.said != "" {
		return service.OK("%s", x.said)
	}
	return service.OK("set pool %d %s to %s", id, name, x.value)
}

func (s *Service) setVar(name string, x *poolSetting) *service.Answer {
	switch name {
	case "pg_autoscale_mode":
		return s.setAutoscale(x)
	case "bulk":
		return flagVar("bulk").set(s, x)
	case "pg_num_actual":
		return s.setPGNumActual(x)
	case "pgp_num_actual":
		return s.setPGPNumActual(x)
	}
	for _, v := range slices.Concat(poolVars, erasureVars) {
		if v.name == name && v.set != nil {
			return v.set(s, x)
		}
	}
	if d, ok := findOption(name); ok {
		return s.setOption(d, x)
	}
	if slices.Contains(tierVars, name) {
		return x.fail(ceph.EACCES, "pool '%s' is not a tier pool: variable not applicable",
			x.r.Str("pool"))
	}
	return x.fail(ceph.EINVAL, "unrecognized variable '%s'", name)
}

func (s *Service) cmdPoolGet(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	name, pool := r.Need("var"), r.Str("pool")
	out := cephjson.Object{{Key: "pool", Value: pool}, {Key: "pool_id", Value: id}}
	var lines []string
	add := func(name string, v any, text string) {
		out = append(out, cephjson.Member{Key: name, Value: v})
		lines = append(lines, name+": "+text)
	}
	if name == "all" {
		for _, row := range poolVars {
			v, text := row.get(s, p)
			add(row.name, v, text)
		}
		s.addOptions(p, add)
		bulk := p.Flags.Has(osdmap.PoolBulk)
		add("bulk", bulk, strconv.FormatBool(bulk))
		return r.Either(out, service.Lines(lines))
	}
	if bad := s.getVar(r, p, name, add); bad != nil {
		return *bad
	}
	return r.Either(out, service.Lines(lines))
}

// addOptions lists the settings that are set, the autoscale mode among them, as stock orders them.
func (s *Service) addOptions(p *osdmap.Pool, add func(string, any, string)) {
	for _, d := range osdmap.PoolOpts {
		if v, ok := p.Opts[d.Opt]; ok && d.Opt < osdmap.OptPGNumMin {
			value, text := optionValue(d.Opt, v)
			add(d.Name, value, text)
		}
	}
	add("pg_autoscale_mode", p.Autoscale.String(), p.Autoscale.String())
	for _, d := range osdmap.PoolOpts {
		if v, ok := p.Opts[d.Opt]; ok && d.Opt >= osdmap.OptPGNumMin {
			value, text := optionValue(d.Opt, v)
			add(d.Name, value, text)
		}
	}
}

func (s *Service) getVar(r *service.Request, p *osdmap.Pool, name string,
	add func(string, any, string),
) *service.Answer {
	if name == "bulk" {
		v := p.Flags.Has(osdmap.PoolBulk)
		add(name, v, strconv.FormatBool(v))
		return nil
	}
	if name == "pg_autoscale_mode" {
		add(name, p.Autoscale.String(), p.Autoscale.String())
		return nil
	}
	rows := poolVars
	if p.Type == osdmap.Erasure {
		rows = slices.Concat(poolVars, erasureVars)
	}
	for _, row := range rows {
		if row.name == name {
			v, text := row.get(s, p)
			add(name, v, text)
			return nil
		}
	}
	var a service.Answer
	if d, ok := findOption(name); ok {
		if v, ok := p.Opts[d.Opt]; ok {
			value, text := optionValue(d.Opt, v)
			add(name, value, text)
			return nil
		}
		a = service.Fail(ceph.ENOENT, "option '%s' is not set on pool '%s'", name, r.Str("pool"))
	} else if slices.ContainsFunc(erasureVars, func(v poolVar) bool { return v.name == name }) {
		a = service.Fail(ceph.EACCES, "pool '%s' is not a erasure pool: variable not applicable",
			r.Str("pool"))
	} else if slices.Contains(tierVars, name) {
		a = service.Fail(ceph.EACCES, "pool '%s' is not a tier pool: variable not applicable",
			r.Str("pool"))
	} else {
		a = service.Fail(ceph.EINVAL, "pool '%s': invalid variable: '%s'", r.Str("pool"), name)
	}
	return &a
}
