package crush

// undef marks a place of an indep result that has not been decided (CRUSH_ITEM_UNDEF).
const undef int32 = 0x7ffffffe

// maxWork bounds one placement: items looked at. A map of 10,000 hosts that are all out needs
// some 6 million; a hostile map with endless retries ends here with what it has.
const maxWork = 1 << 25

// A Placer computes placements on one map and keeps its scratch memory between them: after the
// first calls it allocates nothing. It belongs to one goroutine at a time; the map must not be
// edited while it lives.
type Placer struct {
	m       *Map
	x       uint32
	weights []uint32
	args    map[int32]*ChooseArg
	limit   int // items that one call may look at; 0 is maxWork
	work    int // items that it may still look at
	tune    tuning
	serial  uint64
	perms   []perm
	scratch []int32
}

// NewPlacer makes a Placer for m.
func NewPlacer(m *Map) *Placer { return &Placer{m: m} }

// Do places x by a rule on at most max devices. weights are the devices' in-weights (16.16, the
// index is the device; devices beyond its end are out) and args names the pool's choose_args: the
// pool's id or DefaultArgs. Indep rules leave None in places that stay empty.
func (m *Map) Do(rule int, x uint32, max int, weights []uint32, args int64) []int32 {
	p := Placer{m: m}
	return p.Do(rule, x, max, weights, args)
}

// Do is Map.Do; the result is valid until the next call.
func (p *Placer) Do(rule int, x uint32, max int, weights []uint32, args int64) []int32 {
	r := p.m.Rule(rule)
	if r == nil || max <= 0 {
		return nil
	}
	if len(p.scratch) < 4*max {
		p.scratch = make([]int32, 4*max)
	}
	p.x, p.weights, p.tune = x, weights, p.m.tune()
	if p.work = p.limit; p.work == 0 {
		p.work = maxWork
	}
	p.serial++
	p.args = p.m.ChooseArgs[args]
	if p.args == nil {
		p.args = p.m.ChooseArgs[DefaultArgs]
	}
	s := p.scratch
	w := walk{
		from: s[:0:max], to: s[max : 2*max], leaf: s[2*max : 3*max], max: max,
	}
	out := s[3*max : 3*max : 4*max]
	for i := range r.Steps {
		if r.Steps[i].Op != OpEmit {
			p.step(&w, &r.Steps[i])
			continue
		}
		out = append(out, w.from[:min(len(w.from), max-len(out))]...)
		w.from = w.from[:0]
	}
	return out
}

// A walk is the state between the steps of a rule: the items chosen so far and the places for the
// next choice.
type walk struct {
	from     []int32
	to, leaf []int32 // max places each
	max      int
}

// tuning are the tunables as the rule's steps may have changed them.
type tuning struct {
	tries, leafTries           uint32 // leafTries 0: by descendOnce
	localTries, localFallbacks uint32
	descendOnce                bool
	varyR, stable              uint32
}

// tune gives the map's tunables; the total tries were defined as retries, hence the one more.
func (m *Map) tune() tuning {
	return tuning{
		tries:          m.ChooseTotalTries + 1,
		localTries:     m.ChooseLocalTries,
		localFallbacks: m.ChooseLocalFallbackTries,
		descendOnce:    m.ChooseleafDescendOnce != 0,
		varyR:          uint32(m.ChooseleafVaryR),
		stable:         uint32(m.ChooseleafStable),
	}
}

// step runs one step of a rule that is not emit.
func (p *Placer) step(w *walk, s *Step) {
	set := func(v *uint32, least int32) {
		if s.Arg1 >= least {
			*v = uint32(s.Arg1)
		}
	}
	switch s.Op {
	case OpTake:
		if s.Arg1 >= 0 && s.Arg1 < p.m.MaxDevices || p.m.Bucket(s.Arg1) != nil {
			w.from = append(w.from[:0], s.Arg1)
		}
	case OpSetChooseTries:
		set(&p.tune.tries, 1)
	case OpSetChooseLeafTries:
		set(&p.tune.leafTries, 1)
	case OpSetChooseLocalTries:
		set(&p.tune.localTries, 0)
	case OpSetChooseLocalFallback:
		set(&p.tune.localFallbacks, 0)
	case OpSetChooseLeafVaryR:
		set(&p.tune.varyR, 0)
	case OpSetChooseLeafStable:
		set(&p.tune.stable, 0)
	case OpChooseFirstN, OpChooseIndep, OpChooseLeafFirstN, OpChooseLeafIndep:
		if len(w.from) > 0 {
			p.chooseStep(w, s)
		}
	}
}

// chooseStep replaces the items chosen so far by what the step chooses below each of them.
func (p *Placer) chooseStep(w *walk, s *Step) {
	leafs := s.Op == OpChooseLeafFirstN || s.Op == OpChooseLeafIndep
	firstN := s.Op == OpChooseFirstN || s.Op == OpChooseLeafFirstN
	n := 0
	for _, id := range w.from {
		num := int(s.Arg1)
		if num <= 0 {
			if num += w.max; num <= 0 {
				continue
			}
		}
		b := p.m.Bucket(id)
		if b == nil { // a device, or an empty place
			continue
		}
		c := choice{
			bucket: b, num: num, typ: s.Arg2, leafs: leafs,
			tries: p.tune.tries, out: w.to[n:],
		}
		if leafs {
			c.out2 = w.leaf[n:]
		}
		c.recurseTries = p.tune.leafTries
		if firstN {
			if c.recurseTries == 0 {
				c.recurseTries = 1
				if !p.tune.descendOnce {
					c.recurseTries = p.tune.tries
				}
			}
			n += p.firstN(&c, 0, w.max-n)
			continue
		}
		c.recurseTries = max(c.recurseTries, 1)
		left := min(num, w.max-n)
		p.indep(&c, 0, left)
		n += left
	}
	if leafs {
		copy(w.to[:n], w.leaf[:n])
	}
	w.from, w.to = w.to[:n], w.from[:w.max]
}

// isOut says whether a device takes no data for this x: its in-weight is the chance that it does.
func (p *Placer) isOut(item int32) bool {
	if item < 0 || int(item) >= len(p.weights) {
		return true
	}
	w := p.weights[item]
	if w >= 0x10000 {
		return false
	}
	return w == 0 || Hash2(p.x, uint32(item))&0xffff >= w
}

// typeOf is an item's type; ok is false for a bucket that is not there.
func (p *Placer) typeOf(item int32) (typ int32, ok bool) {
	if item >= 0 {
		return 0, true
	}
	if b := p.m.Bucket(item); b != nil {
		return int32(b.Type), true
	}
	return 0, false
}
