package osdmon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/internal/cephjson"
	"glue/internal/options"
	"glue/mon/service"
)

func (s *Service) poolCommands() []service.Row {
	return []service.Row{
		{Prefix: "osd pool create", Run: s.cmdPoolCreate},
		{Prefix: "osd pool rm", Run: s.cmdPoolRemove},
		{Prefix: "osd pool delete", Run: s.cmdPoolRemove},
		{Prefix: "osd pool rename", Run: s.cmdPoolRename},
		{Prefix: "osd pool ls", Run: s.cmdPoolList},
		{Prefix: "osd pool get", Run: s.cmdPoolGet},
		{Prefix: "osd pool set", Run: s.cmdPoolSet},
		{Prefix: "osd pool set-quota", Run: s.cmdSetQuota},
		{Prefix: "osd pool get-quota", Run: s.cmdGetQuota},
		{Prefix: "osd pool application enable", Run: s.cmdAppEnable},
		{Prefix: "osd pool application disable", Run: s.cmdAppDisable},
		{Prefix: "osd pool application set", Run: s.cmdAppSet},
		{Prefix: "osd pool application rm", Run: s.cmdAppRemove},
		{Prefix: "osd pool application get", Run: s.cmdAppGet},
	}
}

// A poolPlan is a pool that is to be made.
type poolPlan struct {
	name        string
	pgs, pgps   int64
	size        int64
	rule        int
	autoscale   osdmap.AutoscaleMode
	expected    int64
	pgMin       int64
	targetBytes int64
	targetRatio float64
}

func (s *Service) cmdPoolCreate(r *service.Request) service.Answer {
	name := r.Need("pool")
	kind := r.Str("pool_type")
	if id, ok := s.m.PoolByName(name); ok {
		if have := s.m.Pool(id).Type.String(); kind != "" && kind != have {
			return service.Fail(ceph.EINVAL, "pool '%s' cannot change to type %s", name, kind)
		}
		return service.OK("pool '%s' already exists", name)
	}
	switch kind {
	case "", "replicated":
	case "erasure":
		return service.Fail(ceph.EOPNOTSUPP, "erasure-coded pools are not available in this "+
			"release of Glue")
	default:
		return service.Fail(ceph.EINVAL, "unknown pool type '%s'", kind)
	}
	plan, bad := s.planPool(r, name, -1)
	if bad != nil {
		return *bad
	}
	s.makePool(r, plan)
	return service.OK("pool '%s' created", name)
}

// badPoolName says what is wrong with the name of a pool, "" for nothing. Ceph knows no longest
// one, and names of 500 bytes are used.
func badPoolName(name string) string {
	const longest = 4096
	switch {
	case name == "":
		return "(22) Invalid argument"
	case len(name) > longest:
		return fmt.Sprintf("the pool's name has %d bytes, more than %d", len(name), longest)
	case strings.ContainsAny(name, "\x00\n"):
		return "a pool's name can't have a line break or a zero byte in it"
	}
	return ""
}

// planPool checks the arguments of a new pool. rule is the number of its rule; -1: they name it.
func (s *Service) planPool(r *service.Request, name string, rule int) (*poolPlan, *service.Answer) {
	set := s.opt.Options()
	fail := func(e ceph.Errno, format string, args ...any) (*poolPlan, *service.Answer) {
		a := service.Fail(e, format, args...)
		return nil, &a
	}
	if why := badPoolName(name); why != "" {
		return fail(ceph.EINVAL, "%s", why)
	}
	p := &poolPlan{
		name: name, pgs: r.Int("pg_num", 0), pgps: r.Int("pgp_num", 0), size: r.Int("size", 0),
		expected: r.Int("expected_num_objects", 0), pgMin: r.Int("pg_num_min", 0),
		targetBytes: r.Int("target_size_bytes", 0), targetRatio: r.Float("target_size_ratio", 0),
	}
	if p.pgs == 0 {
		p.pgs = set.Int("osd_pool_default_pg_num")
	}
	if p.pgps == 0 {
		p.pgps = set.Int("osd_pool_default_pgp_num")
	}
	if p.pgps == 0 {
		p.pgps = p.pgs
	}
	limit := set.Int("mon_max_pool_pg_num")
	switch {
	case p.pgs < 0 || p.pgs > limit:
		return fail(ceph.ERANGE, "'pg_num' must be greater than 0 and less than or equal to %d "+
			"(you may adjust 'mon max pool pg num' for higher values)", limit)
	case p.pgps < 0 || p.pgps > p.pgs:
		return fail(ceph.ERANGE, "'pgp_num' must be greater than 0 and lower or equal than "+
			"'pg_num', which in this case is %d", p.pgs)
	}
	if p.size == 0 {
		p.size = set.Int("osd_pool_default_size")
	}
	if p.size < 1 || p.size > 10 {
		return fail(ceph.EINVAL, "pool size must be between 1 and 10")
	}
	if p.size == 1 && !set.Bool("mon_allow_pool_size_one") {
		return fail(ceph.EPERM, "configuring pool size as 1 is disabled by default.")
	}
	var bad *service.Answer
	if p.rule, bad = s.pickRule(rule, ruleArg(r), set); bad != nil {
		return nil, bad
	}
	if why := s.ruleRefuses(p.rule, p.size); why != "" {
		return fail(ceph.EINVAL, "%s", why)
	}
	if bad := s.checkPGsPerOSD(0, p.pgs, p.size); bad != nil {
		return nil, bad
	}
	mode := r.Str("autoscale_mode")
	if mode == "" {
		mode = set.Str("osd_pool_default_pg_autoscale_mode")
	}
	var ok bool
	if p.autoscale, ok = osdmap.ParseAutoscaleMode(mode); !ok {
		return fail(ceph.EINVAL, "invalid autoscale mode '%s'", mode)
	}
	return p, nil
}

// ruleArg is the rule's name: "osd pool create P 8 8 replicated RULE" puts it where an erasure
// code profile would be.
func ruleArg(r *service.Request) string {
	if r.Has("rule") {
		return r.Str("rule")
	}
	return r.Str("erasure_code_profile")
}

// pickRule finds a replicated rule by number, or by name, or the default one.
func (s *Service) pickRule(id int, name string, set options.Set) (int, *service.Answer) {
	if id < 0 && name != "" {
		var ok bool
		if id, ok = s.m.Crush.RuleID(name); !ok {
			a := service.Fail(ceph.ENOENT, "specified rule %s doesn't exist", name)
			return 0, &a
		}
	}
	if id >= 0 {
		rule := s.m.Crush.Rule(id)
		if rule == nil {
			a := service.Fail(ceph.ENOENT, "specified rule %d doesn't exist", id)
			return 0, &a
		}
		if rule.Type != crush.TypeReplicated {
			a := service.Fail(ceph.EINVAL, "specified rule %s is not for replicated pools",
				s.m.Crush.RuleNames[int32(id)])
			return 0, &a
		}
		return id, nil
	}
	if n := int(set.Int("osd_pool_default_crush_rule")); n >= 0 {
		if s.m.Crush.Rule(n) == nil {
			a := service.Fail(ceph.ENOENT, "osd_pool_default_crush_rule %d does not exist", n)
			return 0, &a
		}
		return n, nil
	}
	id = s.m.Crush.FirstRule(crush.TypeReplicated)
	if id < 0 {
		a := service.Fail(ceph.ENOENT, "No suitable CRUSH rule exists, check "+
			"'osd pool default crush *' config options")
		return 0, &a
	}
	return id, nil
}

// ruleRefuses says why a rule is not for pools of a size, "" if it is.
func (s *Service) ruleRefuses(id int, size int64) string {
	switch r := s.m.Crush.Rule(id); {
	case r == nil:
		return fmt.Sprintf("there is no crush rule %d", id)
	case size < int64(r.MinSize):
		return "pool size is smaller than the crush rule min size"
	case size > int64(r.MaxSize):
		return "pool size is bigger than the crush rule max size"
	}
	return ""
}

// checkPGsPerOSD refuses a pool that would put too many copies on each OSD. except is a pool that
// is replaced by the new numbers.
func (s *Service) checkPGsPerOSD(except int64, pgs, size int64) *service.Answer {
	_, _, in := s.m.Counts()
	n := int64(max(in, 3))
	limit := s.opt.Options().Int("mon_max_pg_per_osd") * n
	total := pgs * size
	for id, p := range s.m.Pools {
		if id != except {
			total += int64(p.PGNumTarget) * int64(p.Size)
		}
	}
	if total <= limit {
		return nil
	}
	what := ""
	if except != 0 {
		what = fmt.Sprintf("pool id %d", except)
	}
	a := service.Fail(ceph.ERANGE, "%s pg_num %d size %d would mean %d total pgs, which exceeds "+
		"max %d (mon_max_pg_per_osd %d * num_in_osds %d)", what, pgs, size, total, limit,
		s.opt.Options().Int("mon_max_pg_per_osd"), n)
	return &a
}

// minSize is how many copies must be there to take writes.
func minSize(set options.Set, size int64) uint8 {
	if n := set.Int("osd_pool_default_min_size"); n > 0 {
		return uint8(min(n, size))
	}
	return uint8(size - size/2)
}

func (s *Service) makePool(r *service.Request, plan *poolPlan) {
	inc := s.inc(r.Now)
	id := int64(max(s.m.PoolMax, 0)) + 1
	inc.NewPoolMax = id
	set := s.opt.Options()
	p := &osdmap.Pool{
		Type: osdmap.Replicated, Size: uint8(plan.size), MinSize: minSize(set, plan.size),
		CrushRule: uint8(plan.rule), ObjectHash: 2,
		PGNum: uint32(plan.pgs), PGPNum: uint32(plan.pgps), PGNumTarget: uint32(plan.pgs),
		PGPNumTarget: uint32(plan.pgps), PGNumPending: uint32(plan.pgs),
		LastChange: inc.Epoch, CreateTime: ceph.TimeOf(r.Now),
		Autoscale: plan.autoscale, TierOf: -1, ReadTier: -1, WriteTier: -1,
		ExpectedNumObjects:         uint64(plan.expected),
		CacheTargetDirtyRatioMicro: 400_000, CacheTargetDirtyHighMicro: 600_000,
		CacheTargetFullRatioMicro: 800_000, UseGMTHitSet: true,
		PeeringBucketMandatory: crush.None,
	}
	if set.Bool("osd_pool_default_flag_hashpspool") {
		p.Flags |= osdmap.PoolHashPSPool
	}
	for _, o := range []struct {
		opt osdmap.PoolOpt
		n   int64
	}{{osdmap.OptPGNumMin, plan.pgMin}, {osdmap.OptTargetSizeBytes, plan.targetBytes}} {
		if o.n > 0 {
			put(&p.Opts, o.opt, osdmap.OptValue{Type: osdmap.OptInt, Int: o.n})
		}
	}
	if plan.targetRatio > 0 {
		put(&p.Opts, osdmap.OptTargetSizeRatio,
			osdmap.OptValue{Type: osdmap.OptDouble, Float: plan.targetRatio})
	}
	put(&inc.NewPools, id, p)
	put(&inc.NewPoolNames, id, plan.name)
}

// poolArg finds the pool that a command is about.
func (s *Service) poolArg(r *service.Request, arg string) (int64, *osdmap.Pool, *service.Answer) {
	name := r.Need(arg)
	id, ok := s.m.PoolByName(name)
	if !ok {
		a := service.Fail(ceph.ENOENT, "unrecognized pool '%s'", name)
		return 0, nil, &a
	}
	return id, s.m.Pool(id), nil
}

// editPool prepares an edited copy of a pool.
func (s *Service) editPool(r *service.Request, id int64, f func(p *osdmap.Pool)) {
	inc := s.inc(r.Now)
	p := s.m.Pool(id).Clone()
	f(p)
	p.LastChange = inc.Epoch
	put(&inc.NewPools, id, p)
}

func (s *Service) cmdPoolRemove(r *service.Request) service.Answer {
	name := r.Need("pool")
	id, ok := s.m.PoolByName(name)
	if !ok {
		return service.OK("pool '%s' does not exist", name)
	}
	sure := r.Bool("yes_i_really_really_mean_it") ||
		r.Bool("yes_i_really_really_mean_it_not_faking")
	if r.Str("pool2") != name || !sure {
		return service.Fail(ceph.EPERM, "WARNING: this will *PERMANENTLY DESTROY* all data stored "+
			"in pool %s.  If you are *ABSOLUTELY CERTAIN* that is what you want, pass the "+
			"pool name "+
			"*twice*, followed by --yes-i-really-really-mean-it.", name)
	}
	if bad := s.mayRemove(s.m.Pool(id)); bad != nil {
		return *bad
	}
	if err := s.dropPool(r.Now, id); err != nil {
		return service.Fail(ceph.EINVAL, "%v", err)
	}
	return service.OK("pool '%s' removed", name)
}

// dropPool prepares the end of a pool, with its weight set.
func (s *Service) dropPool(now time.Time, id int64) error {
	inc := s.inc(now)
	inc.OldPools = append(inc.OldPools, id)
	if _, ok := s.m.Crush.ChooseArgs[id]; !ok {
		return nil
	}
	return s.editCrush(now, func(c *crush.Map) error {
		c.RemoveWeightSet(id)
		return nil
	})
}

// mayRemove checks what protects a pool.
func (s *Service) mayRemove(p *osdmap.Pool) *service.Answer {
	var a service.Answer
	switch {
	case !s.opt.Options().Bool("mon_allow_pool_delete"):
		a = service.Fail(ceph.EPERM, "pool deletion is disabled; you must first set the "+
			"mon_allow_pool_delete config option to true before you can destroy a pool")
	case p.Flags.Has(osdmap.PoolNoDelete):
		a = service.Fail(ceph.EPERM, "pool deletion is disabled; you must unset nodelete flag "+
			"for the pool first")
	case p.TierOf >= 0 || len(p.Tiers) > 0:
		a = service.Fail(ceph.EBUSY, "pool is part of a cache tier")
	default:
		return nil
	}
	return &a
}

func (s *Service) cmdPoolRename(r *service.Request) service.Answer {
	src, dst := r.Need("srcpool"), r.Need("destpool")
	id, ok := s.m.PoolByName(src)
	_, taken := s.m.PoolByName(dst)
	why := badPoolName(dst)
	switch {
	case !ok && taken:
		return service.OK("pool '%s' does not exist; pool '%s' does -- assuming successful rename",
			src, dst)
	case !ok:
		return service.Fail(ceph.ENOENT, "unrecognized pool '%s'", src)
	case taken:
		return service.Fail(ceph.EEXIST, "pool '%s' already exists", dst)
	case why != "":
		return service.Fail(ceph.EINVAL, "%s", why)
	}
	put(&s.inc(r.Now).NewPoolNames, id, dst)
	return service.OK("pool '%s' renamed to '%s'", src, dst)
}

// detail is the pools of a dump with the number called pool_id, as this command has it.
func detail(pools []osdmap.PoolDump) []json.RawMessage {
	out := []json.RawMessage{}
	for _, p := range pools {
		b := cephjson.Marshal(p, false)
		out = append(out, bytes.Replace(b, []byte(`"pool":`), []byte(`"pool_id":`), 1))
	}
	return out
}

func (s *Service) cmdPoolList(r *service.Request) service.Answer {
	if r.Str("detail") == "detail" {
		if r.Formatted() {
			return r.JSON(detail(s.m.Dump().Pools))
		}
		return service.Plain(s.m.PoolsText() + "\n")
	}
	names := []string{}
	for _, id := range s.m.PoolIDs() {
		names = append(names, s.m.PoolName(id))
	}
	return r.Either(names, service.Lines(names))
}

func (s *Service) cmdSetQuota(r *service.Request) service.Answer {
	id, _, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	text := r.Need("val")
	var value uint64
	var err error
	field := r.Need("field")
	switch field {
	case "max_bytes":
		value, err = parseUnits(text, 1024)
	case "max_objects":
		value, err = parseUnits(text, 1000)
	default:
		return service.Fail(ceph.EINVAL, "unrecognized variable '%s'", field)
	}
	if err != nil {
		return service.Fail(ceph.EINVAL, "error parsing value '%s': %s", text, err)
	}
	s.editPool(r, id, func(p *osdmap.Pool) {
		if field == "max_bytes" {
			p.QuotaMaxBytes = value
		} else {
			p.QuotaMaxObjects = value
		}
	})
	return service.OK("set-quota %s = %d for pool %s", field, value, r.Str("pool"))
}

// parseUnits reads a number with a suffix K, M, G, T, P or E, by itself or as Ki and so on.
func parseUnits(text string, base uint64) (uint64, error) {
	number := strings.TrimRight(text, "BKMGTPEi")
	suffix := strings.TrimRight(text[len(number):], "iB")
	if strings.HasPrefix(text, "-") {
		return 0, fmt.Errorf("strict_iecstrtoll: value should not be negative")
	}
	if len(text)-len(number) > 2 {
		return 0, fmt.Errorf("strict_iecstrtoll: illegal prefix (length > 2)")
	}
	mul := uint64(1)
	if suffix != "" {
		i := strings.Index("KMGTPE", suffix)
		if i < 0 || len(suffix) > 1 {
			return 0, fmt.Errorf("strict_iecstrtoll: unit prefix not recognized")
		}
		for range i + 1 {
			mul *= base
		}
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("strict_iecstrtoll: unit prefix not recognized")
	}
	if n != 0 && n*mul/mul != n {
		return 0, fmt.Errorf("strict_iecstrtoll: value seems to be too large")
	}
	return n * mul, nil
}

func (s *Service) cmdGetQuota(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	objects, bytes, _ := s.opt.Usage(id)
	if r.Formatted() {
		return r.JSON(struct {
			Name    string `json:"pool_name"`
			ID      int64  `json:"pool_id"`
			Objects uint64 `json:"quota_max_objects"`
			CurObj  int64  `json:"current_num_objects"`
			Bytes   uint64 `json:"quota_max_bytes"`
			CurByte int64  `json:"current_num_bytes"`
		}{r.Str("pool"), id, p.QuotaMaxObjects, objects, p.QuotaMaxBytes, bytes})
	}
	limits := []string{"N/A", "N/A"}
	if p.QuotaMaxObjects > 0 {
		limits[0] = fmt.Sprintf("%s objects  (current num objects: %d objects)",
			pgstat.FormatCount(p.QuotaMaxObjects), objects)
	}
	if p.QuotaMaxBytes > 0 {
		limits[1] = fmt.Sprintf("%s  (current num bytes: %d bytes)",
			pgstat.FormatBytes(p.QuotaMaxBytes), bytes)
	}
	return service.Plainf("quotas for pool '%s':\n  max objects: %s\n  max bytes  : %s\n",
		r.Str("pool"), limits[0], limits[1])
}

func (s *Service) hasApp(p *osdmap.Pool, app string) bool {
	_, ok := p.Applications[app]
	return ok
}
