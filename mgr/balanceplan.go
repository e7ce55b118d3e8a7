package mgr

import (
	"fmt"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/internal/cephjson"
	"glue/mgr/balancer"
)

// poolsNamed finds pools by name.
func (s *state) poolsNamed(names []string) ([]int64, *result) {
	var ids []int64
	var bad []string
	for _, n := range names {
		if id, ok := s.osdmap.PoolByName(n); ok {
			ids = append(ids, id)
		} else {
			bad = append(bad, "'"+n+"'")
		}
	}
	if len(bad) > 0 {
		r := refuse(ceph.EINVAL, "pool(s) [%s] not found", strings.Join(bad, ", "))
		return nil, &r
	}
	return ids, nil
}

// load is what the PGs hold.
func (s *state) load(pg ceph.PGID) (objects, bytes int64) {
	if st := s.pgs.PGs[pg]; st != nil {
		return st.Stats.Sum.Objects, st.Stats.Sum.Bytes
	}
	return 0, 0
}

// balancerEval scores the cluster, a pool or a plan.
func balancerEval(s *state, c *commands.Command) result {
	m, pools, title := s.osdmap, s.chosenPools(), "current cluster"
	if name := c.Str("option"); name != "" {
		id, isPool := m.PoolByName(name)
		switch p := s.bal.plans[name]; {
		case p != nil:
			m, pools = balancer.Apply(p.m, p.changes), p.pools
			title = fmt.Sprintf("plan %q", name)
		case isPool:
			pools, title = []int64{id}, fmt.Sprintf("pool %q", name)
		default:
			return refuse(ceph.EINVAL, "option %q not a plan or a pool", name)
		}
	}
	score := balancer.Eval(m, pools, s.load)
	line := fmt.Sprintf("score %.6f (lower is better)", score.Value)
	if c.Prefix == "balancer eval" {
		return text(title + " " + line + "\n")
	}
	var b strings.Builder
	fmt.Fprintln(&b, title)
	for _, r := range score.Roots {
		fmt.Fprintf(&b, "root %s: %d OSDs\n", r.Root, len(r.Target))
		for k, what := range balancer.Metrics {
			st := r.Stats[k]
			fmt.Fprintf(&b, "  %s: total %.0f, max %.0f, min %.0f, avg %.2f, stddev %.4f, "+
				"score %.6f\n", what, r.Total[k], st.Max, st.Min, st.Avg, st.StdDev, st.Score)
		}
	}
	pool, root := balancer.Worst(m, pools)
	fmt.Fprintf(&b, "largest deviation from an OSD's share: %.2f PGs of one pool, %.2f of all\n",
		pool, root)
	return text(b.String() + line + "\n")
}

func balancerOptimize(s *state, c *commands.Command) result {
	if s.set.Bool("mgr/balancer/active") {
		return refuse(ceph.EINVAL, "Balancer enabled, disable to optimize manually")
	}
	name := c.Need("plan")
	pools, bad := s.poolsNamed(c.Strs("pools"))
	switch {
	case bad != nil:
		return *bad
	case len(s.bal.plans) >= maxPlans && s.bal.plans[name] == nil:
		return refuse(ceph.ENOSPC, "there are %d plans; remove some with: ceph balancer rm PLAN",
			maxPlans)
	case len(pools) == 0:
		pools = s.chosenPools()
	}
	if bad := s.needsLuminous(); bad != nil {
		return *bad
	}
	changes, why, errno := s.optimize(pools)
	s.noteOptimized(why, errno)
	if errno != 0 {
		return refuse(errno, "%s", why)
	}
	if s.bal.plans == nil {
		s.bal.plans = map[string]*balancePlan{}
	}
	s.bal.plans[name] = &balancePlan{name, s.osdmap, pools, changes}
	return text("")
}

// plan finds a plan.
func (s *state) plan(c *commands.Command) (*balancePlan, *result) {
	name := c.Need("plan")
	if p := s.bal.plans[name]; p != nil {
		return p, nil
	}
	r := refuse(ceph.ENOENT, "plan %s not found", name)
	return nil, &r
}

func balancerShow(s *state, c *commands.Command) result {
	p, bad := s.plan(c)
	if bad != nil {
		return *bad
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# starting osdmap epoch %d\n# mode upmap\n", p.m.Epoch)
	for _, ch := range p.changes {
		if len(ch.Items) == 0 {
			fmt.Fprintf(&b, "ceph osd rm-pg-upmap-items %v\n", ch.PG)
			continue
		}
		fmt.Fprintf(&b, "ceph osd pg-upmap-items %v", ch.PG)
		for _, r := range ch.Items {
			fmt.Fprintf(&b, " %d %d", r.From, r.To)
		}
		b.WriteString("\n")
	}
	return text(b.String())
}

func balancerDump(s *state, c *commands.Command) result {
	p, bad := s.plan(c)
	if bad != nil {
		return *bad
	}
	type mapping struct {
		From int32 `json:"from"`
		To   int32 `json:"to"`
	}
	type items struct {
		PG       string    `json:"pgid"`
		Mappings []mapping `json:"mappings"`
	}
	set, gone := []items{}, []string{}
	for _, ch := range p.changes {
		it := items{PG: ch.PG.String()}
		for _, r := range ch.Items {
			it.Mappings = append(it.Mappings, mapping{r.From, r.To})
		}
		if len(ch.Items) == 0 {
			gone = append(gone, it.PG)
		} else {
			set = append(set, it)
		}
	}
	return result{out: cephjson.Marshal(cephjson.Object{{Key: "name", Value: p.name},
		{Key: "mode", Value: "upmap"}, {Key: "epoch", Value: p.m.Epoch},
		{Key: "new_pg_upmap_items", Value: set}, {Key: "old_pg_upmap_items", Value: gone}}, true)}
}

// balancerExecute carries a plan out, unless what it was made for has changed meanwhile.
func balancerExecute(s *state, c *commands.Command) result {
	if s.set.Bool("mgr/balancer/active") {
		return refuse(ceph.EINVAL, "Balancer enabled, disable to execute a plan")
	}
	p, bad := s.plan(c)
	if bad != nil {
		return *bad
	}
	for _, ch := range p.changes {
		raw, now := s.osdmap.RawAndUpmapped(ch.PG)
		raw2, then := p.m.RawAndUpmapped(ch.PG)
		if !slices.Equal(raw, raw2) || !slices.Equal(now, then) {
			delete(s.bal.plans, p.name)
			return refuse(ceph.EAGAIN, "PG %v is elsewhere than when plan %s was made; make it "+
				"anew", ch.PG, p.name)
		}
	}
	delete(s.bal.plans, p.name)
	return result{relay: upmapCommands(p.changes), quiet: true}
}

func balancerRemove(s *state, c *commands.Command) result {
	delete(s.bal.plans, c.Need("plan"))
	return text("")
}

func balancerReset(s *state, _ *commands.Command) result {
	s.bal.plans = nil
	return text("")
}

func balancerPools(s *state, _ *commands.Command) result {
	names := []string{}
	for _, id := range s.chosenPools() {
		names = append(names, s.osdmap.PoolName(id))
	}
	if len(names) == 0 {
		return text("")
	}
	return result{out: cephjson.Marshal(names, true)}
}

func balancerPoolEdit(s *state, c *commands.Command) result {
	ids, bad := s.poolsNamed(c.Strs("pools"))
	if bad != nil {
		return *bad
	}
	have := s.chosenPools()
	for _, id := range ids {
		have = slices.DeleteFunc(have, func(x int64) bool { return x == id })
		if c.Prefix == "balancer pool add" {
			have = append(have, id)
		}
	}
	slices.Sort(have)
	return result{relay: setModule("balancer/pool_ids",
		strings.Trim(strings.ReplaceAll(fmt.Sprint(have), " ", ","), "[]"))}
}
