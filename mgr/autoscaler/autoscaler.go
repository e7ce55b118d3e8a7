// Package autoscaler says how many PGs pools should have: each root of the CRUSH map has a number
// of PGs for each of its OSDs, of which pools get parts as large as their parts of the space, used
// or expected. What it computes depends on its arguments alone; the manager carries it out. The
// figures are those of Ceph's pg_autoscaler module.
package autoscaler

import (
	"fmt"
	"math"
	"slices"

	"glue/cluster/health"
	"glue/cluster/osdmap"
)

const (
	// least is how many PGs a pool gets in any case, unless its pg_num_min says otherwise.
	least = 32
	// threshold is by what factor pg_num has to be off before it is changed.
	threshold = 3.0
)

// A Row is what is found for a pool.
type Row struct {
	Pool           int64
	Root           int32
	Mode           osdmap.AutoscaleMode
	Bulk           bool
	Bias           float64
	Rate           float64 // raw bytes for each stored byte
	Logical        int64   // bytes stored
	Raw            float64 // bytes used on disks, or expected to be
	ActualRaw      float64
	Capacity       uint64  // of the root, in bytes
	Ratio          float64 // of the capacity, used or expected
	ActualRatio    float64
	TargetBytes    int64
	TargetRatio    float64
	EffectiveRatio float64
	Now            uint32 // the number of PGs that the pool is on its way to
	Ideal, Final   uint32
	Adjust         bool
}

// A root is what pools that begin at one bucket share.
type root struct {
	pgs         float64 // PGs of all its pools, copies counted
	capacity    uint64
	ratios      float64 // target ratios of all pools
	targetBytes float64 // raw
}

// An Input is what a plan is made from.
type Input struct {
	Map    *osdmap.Map
	PerOSD float64                // PGs that an OSD should have
	Stored func(pool int64) int64 // bytes
	Size   func(osd int32) uint64 // bytes
}

// Plan finds how many PGs pools should have, in the order of their numbers.
func Plan(in Input) []Row {
	roots := map[int32]*root{}
	var rows []Row
	for _, id := range in.Map.PoolIDs() {
		p := in.Map.Pools[id]
		at := rootOf(in.Map, p)
		if roots[at] == nil {
			roots[at] = in.root(at)
		}
		r := in.row(id, p, roots[at])
		r.Root = at
		rows = append(rows, r)
	}
	for i := range rows {
		rows[i].share(roots[rows[i].Root])
	}
	// Each pool takes its part of what those before it have left; bulk pools share the rest.
	bulk := map[int32]float64{}
	for i := range rows {
		r := &rows[i]
		if r.Bulk {
			bulk[r.Root]++
			continue
		}
		left := &roots[r.Root].pgs
		*left -= r.decide(in.Map.Pools[r.Pool], r.Ratio*max(*left, 0)/r.Rate*r.Bias) * r.Rate
	}
	for i := range rows {
		if r := &rows[i]; r.Bulk {
			rest := max(roots[r.Root].pgs, 0) / bulk[r.Root]
			r.decide(in.Map.Pools[r.Pool], rest/r.Rate*r.Bias)
		}
	}
	return rows
}

// rootOf is the bucket that a pool's rule begins at.
func rootOf(m *osdmap.Map, p *osdmap.Pool) int32 {
	rule := m.Crush.FindRule(int(p.CrushRule), int(p.Type), int(p.Size))
	for _, id := range m.Crush.Takes(rule) {
		return id
	}
	return -1
}

func (in *Input) root(id int32) *root {
	r := &root{}
	for _, osd := range in.Map.Crush.Leaves(id) {
		if in.Map.IsIn(osd) {
			r.pgs += in.PerOSD
			r.capacity += in.Size(osd)
		}
	}
	return r
}

// row is what a pool says of itself.
func (in *Input) row(id int64, p *osdmap.Pool, rt *root) Row {
	opt := func(o osdmap.PoolOpt, def float64) float64 {
		v, ok := p.Opts[o]
		switch {
		case !ok:
			return def
		case v.Type == osdmap.OptInt:
			return float64(v.Int)
		}
		return v.Float
	}
	r := Row{Pool: id, Mode: p.Autoscale, Bulk: p.Flags.Has(osdmap.PoolBulk),
		Bias: opt(osdmap.OptPGAutoscaleBias, 1), Rate: rate(in.Map, p), Logical: in.Stored(id),
		TargetBytes: int64(opt(osdmap.OptTargetSizeBytes, 0)),
		TargetRatio: opt(osdmap.OptTargetSizeRatio, 0), Now: p.PGNumTarget, Capacity: rt.capacity}
	r.ActualRaw = float64(r.Logical) * r.Rate
	r.Raw = r.ActualRaw
	if r.TargetRatio > 0 {
		rt.ratios += r.TargetRatio
	} else {
		r.Raw = max(r.Raw, float64(r.TargetBytes)*r.Rate)
		rt.targetBytes += float64(r.TargetBytes) * r.Rate
	}
	return r
}

// rate is how many bytes on disks a stored byte takes.
func rate(m *osdmap.Map, p *osdmap.Pool) float64 {
	if !p.IsErasure() {
		return float64(p.Size)
	}
	k := 0.0
	for _, c := range m.ECProfiles[p.ECProfile]["k"] {
		if c >= '0' && c <= '9' {
			k = k*10 + float64(c-'0')
		}
	}
	if k == 0 {
		return float64(p.Size)
	}
	return float64(p.Size) / k
}

// share is which part of its root a pool takes. Target ratios divide what target sizes leave.
func (r *Row) share(rt *root) {
	if rt.capacity == 0 {
		return
	}
	capacity := float64(rt.capacity)
	r.Ratio, r.ActualRatio = r.Raw/capacity, r.ActualRaw/capacity
	if r.TargetRatio > 0 {
		r.EffectiveRatio = r.TargetRatio / rt.ratios
		if rt.targetBytes > 0 {
			r.EffectiveRatio *= 1 - min(1, rt.targetBytes/capacity)
		}
		r.Ratio = max(r.Ratio, r.EffectiveRatio)
	}
}

// decide makes a number of PGs of what the pool's part is, and returns that.
func (r *Row) decide(p *osdmap.Pool, want float64) float64 {
	r.Ideal = uint32(min(max(want, 0), math.MaxUint32))
	low, high := int64(least), int64(math.MaxUint32)
	if v, ok := p.Opts[osdmap.OptPGNumMin]; ok {
		low = v.Int
	}
	if v, ok := p.Opts[osdmap.OptPGNumMax]; ok {
		high = v.Int
	}
	r.Final = uint32(min(max(int64(nearestPower(want)), low), max(high, 1)))
	now, final := float64(r.Now), float64(r.Final)
	r.Adjust = (final > now*threshold || final < now/threshold) && r.Ratio >= 0 && r.Ratio <= 1 &&
		!p.Flags.Has(osdmap.PoolNoPGChange)
	return want
}

// nearestPower is the power of two nearest to n, 0 for less than 1; of two as near the smaller.
func nearestPower(n float64) uint32 {
	v := uint64(n)
	if v == 0 {
		return 0
	}
	above := uint64(1)
	for above < v {
		above <<= 1
	}
	if below := above >> 1; above > v && v-below <= above-v && below > 0 {
		return uint32(min(below, 1<<31))
	}
	return uint32(min(above, 1<<31))
}

// Checks are the health checks about pools whose mode is to warn.
func Checks(m *osdmap.Map, rows []Row) []health.Check {
	few := health.Check{Code: "POOL_TOO_FEW_PGS", Severity: health.Warn}
	many := health.Check{Code: "POOL_TOO_MANY_PGS", Severity: health.Warn}
	for _, r := range rows {
		if r.Mode != osdmap.AutoscaleWarn || !r.Adjust {
			continue
		}
		c := &few
		if r.Final < r.Now {
			c = &many
		}
		c.Count++
		c.Detail = append(c.Detail, fmt.Sprintf("Pool %s has %d placement groups, should have %d",
			m.PoolName(r.Pool), r.Now, r.Final))
	}
	few.Summary = fmt.Sprintf("%d pools have too few placement groups", few.Count)
	many.Summary = fmt.Sprintf("%d pools have too many placement groups", many.Count)
	return slices.DeleteFunc([]health.Check{few, many}, func(c health.Check) bool {
		return c.Count == 0
	})
}
