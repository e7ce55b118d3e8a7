package autoscaler

import (
	"math"
	"testing"

	"glue/cluster/crush"
	"glue/cluster/osdmap"
)

// input is three OSDs of 10 GiB and pools like those of the cluster of Ceph 16.2.15 that the
// figures of TestPlanIsStock are from.
func input(t *testing.T) Input {
	t.Helper()
	m := osdmap.Empty()
	c, err := crush.Default(3, "osd")
	if err != nil {
		t.Fatal(err)
	}
	m.SetMaxOSD(3)
	for osd := range 3 {
		m.State[osd], m.Weight[osd] = osdmap.OSDExists|osdmap.OSDUp, osdmap.WeightIn
	}
	m.Crush, m.Pools, m.PoolNames = c, map[int64]*osdmap.Pool{}, map[int64]string{}
	type opts = map[osdmap.PoolOpt]osdmap.OptValue
	add := func(id int64, name string, size uint8, pgs uint32, with opts) {
		p := osdmap.NewPool()
		p.Type, p.Size, p.PGNum, p.PGNumTarget, p.Opts = 1, size, pgs, pgs, with
		p.Autoscale = osdmap.AutoscaleWarn
		m.Pools[id], m.PoolNames[id] = p, name
	}
	num := func(n int64) osdmap.OptValue { return osdmap.OptValue{Type: osdmap.OptInt, Int: n} }
	real := func(f float64) osdmap.OptValue {
		return osdmap.OptValue{Type: osdmap.OptDouble, Float: f}
	}
	add(1, "health", 3, 1, opts{osdmap.OptPGNumMin: num(1)})
	add(2, "pa", 2, 16, opts{osdmap.OptTargetSizeRatio: real(.2)})
	add(3, "pb", 3, 16, opts{osdmap.OptTargetSizeRatio: real(.5)})
	add(4, "pc", 2, 32, opts{osdmap.OptTargetSizeBytes: num(5 << 30)})
	add(5, "pd", 3, 8, opts{osdmap.OptPGNumMin: num(4)})
	add(6, "pe", 3, 16, nil)
	m.Pools[6].Flags |= osdmap.PoolBulk
	add(7, "pf", 3, 128, opts{osdmap.OptPGAutoscaleBias: real(2)})
	stored := map[int64]int64{4: 97058840}
	return Input{Map: m.Clone(), PerOSD: 100, Stored: func(id int64) int64 { return stored[id] },
		Size: func(int32) uint64 { return 10 << 30 }}
}

// TestPlanIsStock: ratios and numbers of PGs as "osd pool autoscale-status" of Ceph gave them.
func TestPlanIsStock(t *testing.T) {
	rows := Plan(input(t))
	for i, want := range []struct {
		ratio, effective, actual float64
		ideal, final             uint32
	}{
		{0, 0, 0, 0, 1},
		{0.19047619047619052, 0.19047619047619052, 0, 28, 32},
		{0.4761904761904763, 0.4761904761904763, 0, 38, 32},
		{0.3333333333333333, 0, 0.006026205917199452, 21, 32},
		{0, 0, 0, 0, 4}, {0, 0, 0, 28, 32}, {0, 0, 0, 0, 32},
	} {
		r := rows[i]
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
		if !near(r.Ratio, want.ratio) || !near(r.EffectiveRatio, want.effective) ||
			!near(r.ActualRatio, want.actual) || r.Ideal != want.ideal || r.Final != want.final ||
			r.Capacity != 32212254720 || r.Pool != int64(i+1) {
			t.Errorf("pool %d: %+v, want %+v", i+1, r, want)
		}
	}
}

// TestAdjust: a number is changed when it is off by more than the threshold, and mode "warn" warns
// of it.
func TestAdjust(t *testing.T) {
	in := input(t)
	rows := Plan(in)
	for i, want := range []bool{false, false, false, false, false, false, true} {
		if rows[i].Adjust != want {
			t.Errorf("pool %d: %+v", i+1, rows[i])
		}
	}
	checks := Checks(in.Map, rows)
	if len(checks) != 1 || checks[0].Code != "POOL_TOO_MANY_PGS" || checks[0].Count != 1 ||
		checks[0].Summary != "1 pools have too many placement groups" ||
		checks[0].Detail[0] != "Pool pf has 128 placement groups, should have 32" {
		t.Errorf("%+v", checks)
	}
	in.Map.Pools[2].PGNumTarget = 8
	in.Map.Pools[7].Autoscale = osdmap.AutoscaleOff
	checks = Checks(in.Map, Plan(in))
	if len(checks) != 1 || checks[0].Code != "POOL_TOO_FEW_PGS" ||
		checks[0].Detail[0] != "Pool pa has 8 placement groups, should have 32" {
		t.Errorf("%+v", checks)
	}
	in.Map.Pools[4].Opts[osdmap.OptPGNumMax] = osdmap.OptValue{Type: osdmap.OptInt, Int: 8}
	if r := Plan(in)[3]; r.Final != 8 || !r.Adjust {
		t.Errorf("pg_num_max: %+v", r)
	}
	// A pool that is expected to need more than there is is left alone.
	in.Map.Pools[4].Opts[osdmap.OptTargetSizeBytes] = osdmap.OptValue{Type: osdmap.OptInt,
		Int: 20 << 30}
	if r := Plan(in)[3]; r.Adjust || r.Ratio < 1.3 {
		t.Errorf("too large: %+v", r)
	}
}

func TestNearestPower(t *testing.T) {
	for n, want := range map[float64]uint32{0: 0, .9: 0, 1: 1, 2: 2, 3: 2, 5: 4, 6: 4, 7: 8,
		21: 16, 28: 32, 38: 32, 47: 32, 49: 64, 200: 256, 1e15: 1 << 31} {
		if got := nearestPower(n); got != want {
			t.Errorf("%v: %d, want %d", n, got, want)
		}
	}
}
