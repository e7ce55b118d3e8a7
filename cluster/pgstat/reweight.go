package pgstat

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
)

// A ReweightPlan is what "osd reweight-by-utilization" and its kin are asked for.
type ReweightPlan struct {
	ByPG         bool
	Overload     int64   // percent of the average above which an OSD is overloaded
	MaxChange    float64 // of a weight
	MaxOSDs      int64   // how many weights may change
	NoIncreasing bool
	Pools        []int64 // whose PGs count; nil means all
	MinPGs       int64   // PGs per OSD below which nothing is done
	MinBytes     int64   // bytes per OSD below which nothing is done
}

// A Reweight is what a plan comes to (reweight::by_utilization).
type Reweight struct {
	plan              ReweightPlan
	average, overload float64
	changes           []weightChange
	spread            osdmap.Spread
}

type weightChange struct {
	osd      int32
	was, now uint32
}

// Refused says why a plan is not carried out.
type Refused struct {
	Errno ceph.Errno
	Text  string
}

// Error is the text.
func (r *Refused) Error() string { return r.Text }

func refuse(e ceph.Errno, format string, args ...any) *Refused {
	return &Refused{e, fmt.Sprintf(format, args...)}
}

// osdLoad is how full an OSD is, against others.
type osdLoad struct {
	osd   int32
	value float64
}

// Reweight makes new weights: lower ones for the OSDs that are the most overloaded, higher ones for
// those that have less than the average, the farthest from the average first.
func (p *PGMap) Reweight(m *osdmap.Map, plan ReweightPlan) (*Reweight, *Refused) {
	if plan.Overload <= 100 {
		return nil, refuse(ceph.EINVAL, "You must give a percentage higher than 100. The "+
			"reweighting threshold will be calculated as <average-utilization> times "+
			"<input-percentage>. For example, an argument of 200 would reweight OSDs which are "+
			"twice as utilized as the average OSD.\n")
	}
	r := &Reweight{plan: plan}
	var loads []osdLoad
	var bad *Refused
	if plan.ByPG {
		loads, bad = p.loadsByPG(m, r)
	} else {
		loads, bad = p.loadsByUse(m, r)
	}
	if bad != nil {
		return nil, bad
	}
	r.overload = r.average * float64(plan.Overload) / 100
	slices.SortStableFunc(loads, func(a, b osdLoad) int {
		return cmp.Compare(math.Abs(b.value-r.average), math.Abs(a.value-r.average))
	})
	for _, l := range loads {
		if int64(len(r.changes)) >= plan.MaxOSDs {
			break
		}
		r.consider(m, l)
	}
	then, err := m.With(r.weights())
	if err != nil {
		return nil, refuse(ceph.EINVAL, "%v", err)
	}
	r.spread = m.Spread(then, plan.Pools)
	return r, nil
}

// loadsByPG counts copies by CRUSH weight.
func (p *PGMap) loadsByPG(m *osdmap.Map, r *Reweight) ([]osdLoad, *Refused) {
	count, copies, sum := map[int32]int{}, 0, 0.0
	for id, pg := range p.PGs {
		if r.plan.Pools != nil && !slices.Contains(r.plan.Pools, id.Pool) {
			continue
		}
		for _, osd := range pg.Acting {
			if !m.Exists(osd) {
				continue
			}
			if count[osd] == 0 {
				sum += crushWeight(m, osd)
			}
			count[osd]++
			copies++
		}
	}
	if n := len(count); n == 0 || int64(copies/n) < r.plan.MinPGs {
		return nil, refuse(ceph.EDOM,
			"Refusing to reweight: we only have %d PGs across %d osds!\n", copies, n)
	}
	if sum > 0 {
		r.average = float64(copies) / sum
	}
	var out []osdLoad
	for _, osd := range p.sortedOSDs() {
		if w := crushWeight(m, osd); w > 0 && count[osd] > 0 {
			out = append(out, osdLoad{osd, float64(count[osd]) / w})
		}
	}
	return out, nil
}

// loadsByUse compares how full the stores are.
func (p *PGMap) loadsByUse(m *osdmap.Map, r *Reweight) ([]osdLoad, *Refused) {
	f, n := &p.OSDSum.Statfs, uint64(max(len(p.OSDs), 1))
	switch least := uint64(max(r.plan.MinBytes, 0)); {
	case f.Total/n < least || f.Total == 0:
		return nil, refuse(ceph.EDOM, "Refusing to reweight: we only have %d kb across all osds!\n",
			f.Total>>10)
	case f.UsedRaw()/n < least:
		return nil, refuse(ceph.EDOM,
			"Refusing to reweight: we only have %d kb used across all osds!\n", f.UsedRaw()>>10)
	}
	r.average = float64(f.UsedRaw()) / float64(f.Total)
	var out []osdLoad
	for _, osd := range p.sortedOSDs() {
		s := &p.OSDs[osd].Statfs
		if crushWeight(m, osd) > 0 && s.Total > 0 {
			out = append(out, osdLoad{osd, float64(s.UsedRaw()) / float64(s.Total)})
		}
	}
	return out, nil
}

func crushWeight(m *osdmap.Map, osd int32) float64 {
	w, _ := m.Crush.ItemWeight(osd)
	return float64(w) / osdmap.WeightIn
}

// consider adds an OSD's change, if there is one.
func (r *Reweight) consider(m *osdmap.Map, l osdLoad) {
	was := m.Weight[l.osd]
	if was == 0 || l.value == 0 {
		return
	}
	w, step := float64(was)/osdmap.WeightIn, r.plan.MaxChange
	want := r.average / l.value * w
	switch {
	case l.value >= r.overload:
		want = max(want, w-step)
	case l.value <= r.average && !r.plan.NoIncreasing:
		want = min(want, w+step, 1)
		if want <= w {
			return
		}
	default:
		return
	}
	if now := uint32(want * osdmap.WeightIn); now != was {
		r.changes = append(r.changes, weightChange{l.osd, was, now})
	}
}

func (r *Reweight) weights() map[int32]uint32 {
	out := map[int32]uint32{}
	for _, c := range r.changes {
		out[c.osd] = c.now
	}
	return out
}

// Weights are the new weights by OSD, as the command "osd reweightn" takes them.
func (r *Reweight) Weights() map[string]uint32 {
	out := map[string]uint32{}
	for _, c := range r.changes {
		out[fmt.Sprint(c.osd)] = c.now
	}
	return out
}

// Changes says whether any weight changes.
func (r *Reweight) Changes() bool { return len(r.changes) > 0 }

// Dump is the result as a JSON object.
func (r *Reweight) Dump() cephjson.Object {
	rows := []cephjson.Object{}
	for _, c := range r.changes {
		rows = append(rows, cephjson.Object{{Key: "osd", Value: c.osd},
			{Key: "weight", Value: cephjson.Float(float64(c.was) / osdmap.WeightIn)},
			{Key: "new_weight", Value: cephjson.Float(float64(c.now) / osdmap.WeightIn)}})
	}
	return cephjson.Object{{Key: "overload_min", Value: r.plan.Overload},
		{Key: "max_change", Value: cephjson.Float(r.plan.MaxChange)},
		{Key: "max_change_osds", Value: r.plan.MaxOSDs},
		{Key: "average_utilization", Value: cephjson.Float(r.average)},
		{Key: "overload_utilization", Value: cephjson.Float(r.overload)},
		{Key: "reweights", Value: rows}, {Key: "utilization", Value: r.spread.Dump()}}
}

// Text is the result in lines.
func (r *Reweight) Text() string {
	out := r.spread.Text() + fmt.Sprintf("\noload %d\nmax_change %s\nmax_change_osds %d\n"+
		"average_utilization %.4f\noverload_utilization %.4f\n", r.plan.Overload,
		plain(r.plan.MaxChange), r.plan.MaxOSDs, r.average, r.overload)
	for _, c := range r.changes {
		out += fmt.Sprintf("osd.%d weight %.4f -> %.4f\n", c.osd,
			float64(c.was)/osdmap.WeightIn, float64(c.now)/osdmap.WeightIn)
	}
	return out
}
