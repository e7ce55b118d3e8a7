package crush

import (
	"maps"
	"slices"

	"glue/ceph"
)

// WeightOf is a weight in 16.16 as stock computes it from a command's number: through a float,
// cut off. It refuses what does not fit.
func WeightOf(f float64) (uint32, error) {
	w := float32(f) * 0x10000
	if !(w >= 0) {
		return 0, fail(ceph.EINVAL, "weight %g is not a weight", f)
	}
	if w >= 1<<31 {
		return 0, fail(ceph.EOVERFLOW, "weight %g is too large", f)
	}
	return uint32(w), nil
}

// AdjustItemWeight sets an item's weight wherever it occurs, passes the change upwards, and says
// in how many places, shadow trees included (`osd crush reweight`).
func (m *Map) AdjustItemWeight(id int32, weight uint32) (int, error) {
	n := m.adjust(id, weight, true)
	if n == 0 {
		return 0, fail(ceph.ENOENT, "item %d is in no bucket", id)
	}
	return n, nil
}

// AdjustItemWeightIn is AdjustItemWeight for the buckets that a location names.
func (m *Map) AdjustItemWeightIn(id int32, weight uint32, loc Location) (int, error) {
	n := m.adjustIn(id, weight, loc, true)
	if n == 0 {
		return 0, fail(ceph.ENOENT, "item %d is not in %s", id, loc)
	}
	return n, m.RebuildShadows()
}

// AdjustSubtreeWeight sets the weight of all devices below a bucket
// (`osd crush reweight-subtree`).
func (m *Map) AdjustSubtreeWeight(id int32, weight uint32) (int, error) {
	if _, err := m.existingBucket(id); err != nil {
		return 0, err
	}
	n := 0
	m.below(id, func(_ int32, b *Bucket) bool {
		if b == nil {
			return false
		}
		for _, item := range slices.Clone(b.Items) {
			if item >= 0 {
				m.adjustInBucket(item, weight, b.ID, true)
				n++
			}
		}
		return true
	})
	return n, m.RebuildShadows()
}

// adjust sets an item's weight in all buckets; sets says whether in their weight sets too.
func (m *Map) adjust(id int32, weight uint32, sets bool) int {
	n := 0
	for _, b := range m.Buckets {
		if b != nil && m.adjustInBucket(id, weight, b.ID, sets) > 0 {
			n++
		}
	}
	return n
}

// adjustIn sets an item's weight in the buckets that a location names.
func (m *Map) adjustIn(id int32, weight uint32, loc Location, sets bool) int {
	n := 0
	for _, typ := range slices.Sorted(maps.Keys(loc)) {
		if b := m.named(loc[typ]); b != nil && m.adjustInBucket(id, weight, b.ID, sets) > 0 {
			n++
		}
	}
	return n
}

// adjustInBucket sets an item's weight in one bucket, and the bucket's in its parents.
func (m *Map) adjustInBucket(id int32, weight uint32, bucket int32, sets bool) int {
	b := m.Bucket(bucket)
	n := 0
	for i := range b.Items {
		if b.Items[i] != id {
			continue
		}
		if sets {
			m.setArgWeight(b, slices.Index(b.Items, id), weight)
		}
		b.setWeight(m, id, weight)
		m.adjust(bucket, b.Weight, false)
		n++
	}
	if n > 0 {
		m.sumArgs(b)
	}
	return n
}

// ReweightAll computes all bucket weights anew from the devices up (`osd crush reweight-all`).
func (m *Map) ReweightAll() error {
	for _, root := range m.Roots(false) {
		if err := m.reweight(m.Bucket(root), map[int32]bool{}); err != nil {
			return err
		}
		for _, args := range m.ChooseArgs {
			m.reweightArgs(m.Bucket(root), args, map[int32][]uint32{})
		}
	}
	return m.RebuildShadows()
}

// reweight computes a bucket's weight from its items (crush_reweight_bucket).
func (m *Map) reweight(b *Bucket, done map[int32]bool) error {
	if done[b.ID] {
		return nil
	}
	done[b.ID] = true
	total, buckets, kids := uint64(0), 0, uint64(0)
	for i, id := range b.Items {
		w := b.ItemWeight(i)
		if sub := m.Bucket(id); sub != nil {
			if err := m.reweight(sub, done); err != nil {
				return err
			}
			w = sub.Weight
			buckets++
			kids += uint64(w)
			b.storeWeight(i, w)
		}
		total += uint64(w)
	}
	if b.Alg == Uniform {
		if buckets > len(b.Items)-buckets { // more buckets than devices: their average
			b.Weights[0] = uint32(kids / uint64(buckets))
		}
		total = uint64(b.Weights[0]) * uint64(len(b.Items))
	}
	if total > 1<<32-1 || kids > 1<<32-1 {
		return fail(ceph.ERANGE, "the weight of bucket %d overflows", b.ID)
	}
	b.Weight = uint32(total)
	b.calcStraws(m.StrawCalcVersion)
	return nil
}

// storeWeight sets the weight at a position and no sums: stock's reweight leaves those of list
// and tree buckets as they were.
func (b *Bucket) storeWeight(pos int, w uint32) {
	switch b.Alg {
	case List, Straw, Straw2:
		b.Weights[pos] = w
	case Tree:
		b.Aux[treeNode(pos)] = w
	}
}
