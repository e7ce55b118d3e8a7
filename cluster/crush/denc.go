package crush

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// magic starts every binary map (CRUSH_MAGIC).
const magic = 0x00010000

// featureTunables5 is the peer's bit for chooseleaf_stable (CEPH_FEATURE_CRUSH_TUNABLES5).
const featureTunables5 = 1<<58 | ceph.FeatureServerJewel

// Denc is the map's binary form (CrushWrapper::encode): for peers before jewel it ends with the
// tunables without chooseleaf_stable, for peers before luminous without classes and choose_args.
// A map that ends at any of the points where old releases ended is whole. Decoding refuses maps
// that no walk could handle: a bucket in a wrong slot, or inside itself.
func (m *Map) Denc(c *denc.Coder) {
	if !c.Encoding() {
		*m = *New()
		m.Tunables = Profiles["legacy"]
	}
	if got := c.U32Const(magic); got != magic && c.Err() == nil {
		c.Invalid("CRUSH map starts with %#x", got)
	}
	m.dencSlots(c)
	dencNames(c, &m.Types)
	dencNames(c, &m.Names)
	dencNames(c, &m.RuleNames)
	m.dencTail(c)
	if c.Encoding() || c.Err() != nil {
		return
	}
	if err := m.checkTree(); err != nil {
		c.Invalid("%v", err)
		return
	}
	if err := m.fitChooseArgs(); err != nil {
		c.Invalid("%v", err)
		return
	}
	c.Fail(m.finalize())
}

// dencSlots is the header and the arrays of buckets and rules.
func (m *Map) dencSlots(c *denc.Coder) {
	buckets, rules := uint32(len(m.Buckets)), uint32(len(m.Rules))
	c.U32(&buckets)
	c.U32(&rules)
	c.I32(&m.MaxDevices)
	if !c.Encoding() {
		if c.Err() != nil {
			return
		}
		if uint64(buckets)*4+uint64(rules)*4 > uint64(c.Remaining()) || rules > MaxRules {
			c.Invalid("%d buckets and %d rules in %d bytes", buckets, rules, c.Remaining())
			return
		}
		m.Buckets = make([]*Bucket, buckets)
		m.Rules = make([]*Rule, rules)
	}
	for i := range m.Buckets {
		dencBucket(c, &m.Buckets[i], int32(-1-i), m.compatWeights(c, i))
	}
	for i := range m.Rules {
		dencRule(c, &m.Rules[i])
	}
}

// compatWeights are the weights to show, in place of a bucket's own, to a peer that does not know
// choose_args.
func (m *Map) compatWeights(c *denc.Coder, slot int) []uint32 {
	if !c.Encoding() || c.Has(ceph.FeatureLuminous) {
		return nil
	}
	if a := m.ChooseArgs[DefaultArgs][int32(-1-slot)]; a != nil && len(a.WeightSets) > 0 {
		return a.WeightSets[0]
	}
	return nil
}

// dencBucket is one slot: the algorithm, 0 if empty, and the bucket.
func dencBucket(c *denc.Coder, p **Bucket, id int32, compat []uint32) {
	var alg uint32
	if c.Encoding() && *p != nil {
		alg = uint32((*p).Alg)
	}
	c.U32(&alg)
	if alg == 0 || c.Err() != nil {
		return
	}
	if !c.Encoding() {
		*p = &Bucket{}
	}
	b := *p
	inner := uint8(b.Alg)
	c.I32(&b.ID)
	c.U16(&b.Type)
	c.U8(&inner)
	c.U8(&b.Hash)
	c.U32(&b.Weight)
	if !c.Encoding() && c.Err() == nil {
		if b.Alg = Alg(inner); alg != uint32(inner) || b.ID != id {
			c.Invalid("bucket %d of algorithm %d/%d in the slot of %d", b.ID, alg, inner, id)
			return
		}
	}
	denc.ListFunc(c, &b.Items, (*denc.Coder).I32)
	weights := b.Weights
	if b.Alg == Straw2 && len(compat) == len(b.Items) {
		weights = compat
	}
	b.dencWeights(c, weights)
}

// dencWeights is what follows the items: it depends on the algorithm.
func (b *Bucket) dencWeights(c *denc.Coder, weights []uint32) {
	n := len(b.Items)
	switch b.Alg {
	case Uniform:
		weights = dencWords(c, weights, 1)
	case Straw2:
		weights = dencWords(c, weights, n)
	case Tree:
		nodes := c.U8Const(uint8(len(b.Aux)))
		fits := n == 0 || n <= maxTreeItems && int(nodes) == 1<<treeDepth(n)
		if !c.Encoding() && c.Err() == nil && !fits {
			c.Invalid("tree bucket %d has %d nodes for %d items", b.ID, nodes, n)
			return
		}
		aux := dencWords(c, b.Aux, int(nodes))
		if !c.Encoding() {
			b.Aux = aux
		}
	case List, Straw: // pairs
		pairs := make([]uint32, 2*n)
		if c.Encoding() {
			for i := range n {
				pairs[2*i], pairs[2*i+1] = weights[i], b.Aux[i]
			}
		}
		pairs = dencWords(c, pairs, 2*n)
		if !c.Encoding() && c.Err() == nil {
			b.Weights, b.Aux = make([]uint32, n), make([]uint32, n)
			for i := range n {
				b.Weights[i], b.Aux[i] = pairs[2*i], pairs[2*i+1]
			}
		}
		return
	default:
		c.Invalid("bucket %d has the unknown algorithm %d", b.ID, b.Alg)
	}
	if !c.Encoding() {
		b.Weights = weights
	}
}

// dencWords is n words without a count.
func dencWords(c *denc.Coder, w []uint32, n int) []uint32 {
	if !c.Encoding() {
		if c.Err() != nil || n == 0 {
			return nil
		}
		if 4*n > c.Remaining() {
			c.Skip(4 * n) // fails
			return nil
		}
		w = make([]uint32, n)
	}
	for i := range w {
		c.U32(&w[i])
	}
	return w
}

// dencRule is one rule slot.
func dencRule(c *denc.Coder, p **Rule) {
	var present uint32
	if c.Encoding() && *p != nil {
		present = 1
	}
	c.U32(&present)
	if present == 0 || c.Err() != nil {
		return
	}
	if !c.Encoding() {
		*p = &Rule{}
	}
	r := *p
	n := c.Count(len(r.Steps), 12)
	c.U8(&r.Ruleset)
	c.U8(&r.Type)
	c.U8(&r.MinSize)
	c.U8(&r.MaxSize)
	if !c.Encoding() && c.Err() == nil {
		r.Steps = make([]Step, n)
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		op := uint32(s.Op)
		c.U32(&op)
		c.I32(&s.Arg1)
		c.I32(&s.Arg2)
		if !c.Encoding() {
			s.Op = Op(op)
		}
	}
}

// dencNames is a map of numbers to names. The first releases wrote the keys with 64 bits: an
// empty name is the upper half of such a key.
func dencNames(c *denc.Coder, p *map[int32]string) {
	if c.Encoding() {
		denc.MapFunc(c, p, (*denc.Coder).I32, (*denc.Coder).Str)
		return
	}
	n := c.Count(0, 8)
	for range n {
		var key int32
		var size uint32
		c.I32(&key)
		if c.U32(&size); size == 0 {
			c.U32(&size)
			if size == 0 && c.Err() == nil {
				c.Invalid("item %d has an empty name", key)
			}
		}
		if c.Err() == nil && int64(size) > int64(c.Remaining()) {
			c.Skip(c.Remaining() + 1) // fails
		}
		if c.Err() != nil {
			return
		}
		name := make([]byte, size)
		c.Raw(name)
		(*p)[key] = string(name)
	}
}

// dencTail is what releases after the first added: each part is there or not.
func (m *Map) dencTail(c *denc.Coder) {
	more := func() bool { return c.Encoding() || c.Err() == nil && c.Remaining() > 0 }
	if more() {
		c.U32(&m.ChooseLocalTries)
		c.U32(&m.ChooseLocalFallbackTries)
		c.U32(&m.ChooseTotalTries)
	}
	if more() {
		c.U32(&m.ChooseleafDescendOnce)
	}
	if more() {
		c.U8(&m.ChooseleafVaryR)
	}
	if more() {
		c.U8(&m.StrawCalcVersion)
	}
	if more() {
		c.U32(&m.AllowedBucketAlgs)
	}
	if more() && (!c.Encoding() || c.Has(featureTunables5)) {
		c.U8(&m.ChooseleafStable)
	}
	if c.Encoding() && !c.Has(ceph.FeatureLuminous) {
		return
	}
	if more() {
		m.dencClasses(c)
	}
	if more() {
		m.dencChooseArgs(c)
	}
}

func (m *Map) dencClasses(c *denc.Coder) {
	i32 := (*denc.Coder).I32
	denc.MapFunc(c, &m.ItemClasses, i32, i32)
	denc.MapFunc(c, &m.ClassNames, i32, (*denc.Coder).Str)
	denc.MapFunc(c, &m.ClassBuckets, i32, func(c *denc.Coder, classes *map[int32]int32) {
		denc.MapFunc(c, classes, i32, i32)
	})
}
