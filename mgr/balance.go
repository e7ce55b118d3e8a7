package mgr

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/mgr/balancer"
)

// balancing is what the balancer knows besides its options, which the monitors keep.
type balancing struct {
	plans    map[string]*balancePlan
	began    time.Time // the last optimization
	took     time.Duration
	result   string
	idle     bool // the last one found nothing to do
	triedAt  time.Time
	carrying bool // commands of the last one are at the monitors
}

// A balancePlan is what "balancer optimize" has found.
type balancePlan struct {
	name    string
	m       *osdmap.Map
	pools   []int64
	changes []balancer.Change
}

const maxPlans = 100

var balancerHandlers = map[string]handler{
	"balancer status":       balancerStatus,
	"balancer mode":         balancerMode,
	"balancer on":           balancerSwitch,
	"balancer off":          balancerSwitch,
	"balancer eval":         balancerEval,
	"balancer eval-verbose": balancerEval,
	"balancer ls":           balancerList,
	"balancer optimize":     balancerOptimize,
	"balancer show":         balancerShow,
	"balancer dump":         balancerDump,
	"balancer execute":      balancerExecute,
	"balancer rm":           balancerRemove,
	"balancer reset":        balancerReset,
	"balancer pool ls":      balancerPools,
	"balancer pool add":     balancerPoolEdit,
	"balancer pool rm":      balancerPoolEdit,
}

func (s *state) balance(name string) string { return s.set.Str("mgr/balancer/" + name) }

// setModule asks the monitors to keep an option of a module.
func setModule(name, value string) any {
	return map[string]any{"prefix": "config set", "who": "mgr", "name": "mgr/" + name,
		"value": value}
}

// mayOptimize says why nothing is optimized now; idle is that all is well as it is.
func (s *state) mayOptimize() (string, ceph.Errno) {
	sum, n := &s.pgs.Sum.Stats.Sum, float64(max(s.pgs.NumPG, 1))
	share := func(part int64) float64 { return float64(part) / float64(max(sum.ObjectCopies, 1)) }
	most := s.set.Float("target_max_misplaced_ratio")
	switch misplaced := share(sum.ObjectsMisplaced); {
	case s.pgs.NumPGUnknown > 0:
		return fmt.Sprintf("Some PGs (%f) are unknown; try again later",
			float64(s.pgs.NumPGUnknown)/n), ceph.EAGAIN
	case sum.ObjectsDegraded > 0:
		return fmt.Sprintf("Some objects (%f) are degraded; try again later",
			share(sum.ObjectsDegraded)), ceph.EAGAIN
	case s.pgs.NumPGActive < s.pgs.NumPG:
		return fmt.Sprintf("Some PGs (%f) are inactive; try again later",
			float64(s.pgs.NumPG-s.pgs.NumPGActive)/n), ceph.EAGAIN
	case misplaced >= most:
		return fmt.Sprintf("Too many objects (%f > %f) are misplaced; try again later", misplaced,
			most), ceph.EAGAIN
	}
	return "", 0
}

const (
	planMade    = "Optimization plan created successfully"
	nothingToDo = "Unable to find further optimization, or pool(s) pg_num is decreasing, or " +
		"distribution is already perfect"
)

// optimize finds changes; the errno says why there are none. As many copies may move at once as
// target_max_misplaced_ratio leaves room for.
func (s *state) optimize(pools []int64) ([]balancer.Change, string, ceph.Errno) {
	s.bal.began = time.Now()
	defer func() { s.bal.took = time.Since(s.bal.began) }()
	if s.balance("mode") != "upmap" {
		return nil, "Please do \"ceph balancer mode\" to choose a valid mode first", ceph.ENOEXEC
	}
	if why, errno := s.mayOptimize(); errno != 0 {
		return nil, why, errno
	}
	copies, sum := 0.0, &s.pgs.Sum.Stats.Sum
	for _, p := range s.osdmap.Pools {
		copies += float64(p.PGNum) * float64(p.Size)
	}
	room := s.set.Float("target_max_misplaced_ratio") -
		float64(sum.ObjectsMisplaced)/float64(max(sum.ObjectCopies, 1))
	changes := balancer.Optimize(s.osdmap, balancer.Options{Pools: pools,
		MaxDeviation: max(s.set.Float("mgr/balancer/upmap_max_deviation"), 1),
		MaxMoves: min(int(s.set.Int("mgr/balancer/upmap_max_optimizations")),
			max(int(copies*room), 1))})
	if len(changes) == 0 {
		return nil, nothingToDo, ceph.EALREADY
	}
	return changes, planMade, 0
}

// note keeps how an optimization has ended.
func (s *state) noteOptimized(result string, errno ceph.Errno) {
	s.bal.result, s.bal.idle = result, errno == ceph.EALREADY
}

// chosenPools are those that the balancer is limited to; nil is all.
func (s *state) chosenPools() (out []int64) {
	for _, w := range strings.FieldsFunc(s.balance("pool_ids"), func(r rune) bool {
		return r == ',' || r == ' '
	}) {
		if id, err := strconv.ParseInt(w, 10, 64); err == nil && s.osdmap.Pools[id] != nil {
			out = append(out, id)
		}
	}
	return out
}

// balanceTick optimizes by itself when it is on and its time has come.
func (m *Manager) balanceTick(now time.Time) {
	s := &m.state
	every := s.set.Duration("mgr/balancer/sleep_interval")
	if s.bal.carrying || now.Sub(s.bal.triedAt) < every || !s.complete(now) ||
		!s.set.Bool("mgr/balancer/active") || s.balance("mode") != "upmap" ||
		s.osdmap.RequireMinCompatClient < osdmap.Luminous {
		return
	}
	w := balancer.Window{BeginTime: s.balance("begin_time"), EndTime: s.balance("end_time"),
		BeginDay: s.set.Int("mgr/balancer/begin_weekday"),
		EndDay:   s.set.Int("mgr/balancer/end_weekday")}
	if !w.Open(now) {
		return
	}
	s.bal.triedAt = now
	s.pgs.Refresh(s.osdmap)
	changes, text, errno := s.optimize(s.chosenPools())
	s.noteOptimized(text, errno)
	if errno != 0 {
		return
	}
	m.log.Info("balancing", "pgs", len(changes))
	s.bal.carrying = true
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
		defer cancel()
		for _, cmd := range upmapCommands(changes) {
			if _, err := m.client.Command(ctx, cmd, nil); err != nil {
				m.log.Warn("balancing: the monitors refuse", "err", err)
				break
			}
		}
		m.post(func(m *Manager) { m.state.bal.carrying = false })
	})
}

// upmapCommands are the monitors' commands that carry changes out.
func upmapCommands(changes []balancer.Change) (out []any) {
	for _, c := range changes {
		if len(c.Items) == 0 {
			out = append(out, map[string]any{"prefix": "osd rm-pg-upmap-items",
				"pgid": c.PG.String()})
			continue
		}
		var ids []int32
		for _, r := range c.Items {
			ids = append(ids, r.From, r.To)
		}
		out = append(out, map[string]any{"prefix": "osd pg-upmap-items", "pgid": c.PG.String(),
			"id": ids})
	}
	return out
}

func balancerStatus(s *state, _ *commands.Command) result {
	took, began := "", ""
	if !s.bal.began.IsZero() {
		d := s.bal.took
		took = fmt.Sprintf("%d:%02d:%02d.%06d", int(d.Hours()), int(d.Minutes())%60,
			int(d.Seconds())%60, d.Microseconds()%1e6)
		began = s.bal.began.UTC().Format(time.ANSIC)
	}
	return result{out: cephjson.Marshal(cephjson.Object{
		{Key: "active", Value: s.set.Bool("mgr/balancer/active")},
		{Key: "last_optimize_duration", Value: took},
		{Key: "last_optimize_started", Value: began}, {Key: "mode", Value: s.balance("mode")},
		{Key: "no_optimization_needed", Value: s.bal.idle},
		{Key: "optimize_result", Value: s.bal.result}, {Key: "plans", Value: s.planNames()},
	}, true)}
}

func (s *state) planNames() []string {
	return append([]string{}, slices.Sorted(maps.Keys(s.bal.plans))...)
}

func balancerList(s *state, _ *commands.Command) result {
	return result{out: cephjson.Marshal(s.planNames(), true)}
}

// needsLuminous says that not all clients can follow upmaps yet.
func (s *state) needsLuminous() *result {
	have := s.osdmap.RequireMinCompatClient
	if have >= osdmap.Luminous {
		return nil
	}
	name := have.String()
	if have == 0 {
		name = "unknown"
	}
	r := refuse(ceph.EPERM, "min_compat_client \"%s\" < \"luminous\", which is required for "+
		"pg-upmap. Try \"ceph osd set-require-min-compat-client luminous\" before enabling this "+
		"mode", name)
	return &r
}

func balancerMode(s *state, c *commands.Command) result {
	mode := c.Need("mode")
	switch mode {
	case "crush-compat":
		return refuse(ceph.EOPNOTSUPP, "Glue balances by upmap, which every client since Luminous "+
			"follows; there is no mode crush-compat")
	case "upmap":
		if bad := s.needsLuminous(); bad != nil {
			return *bad
		}
	}
	return result{relay: setModule("balancer/mode", mode)}
}

func balancerSwitch(s *state, c *commands.Command) result {
	on := c.Prefix == "balancer on"
	if on && s.balance("mode") == "upmap" {
		if bad := s.needsLuminous(); bad != nil {
			return *bad
		}
	}
	s.bal.triedAt = time.Time{}
	return result{relay: setModule("balancer/active", strconv.FormatBool(on))}
}
