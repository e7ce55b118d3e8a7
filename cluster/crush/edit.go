package crush

import (
	"maps"
	"slices"

	"glue/ceph"
)

// The editing methods change the map in place: use them on a Clone, and throw the clone away when
// one fails, as it may have done a part of its work. Their errors are *Error.

// AddBucket adds an empty bucket; id 0 takes the next free one, alg 0 the best that the tunables
// allow.
func (m *Map) AddBucket(id int32, alg Alg, typ uint16, name string) (int32, error) {
	if !ValidName(name) {
		return 0, fail(ceph.EINVAL, "name '%s' does not match [-_.0-9a-zA-Z]+", name)
	}
	if other, ok := m.ids[name]; ok {
		return 0, fail(ceph.EEXIST, "name '%s' already belongs to item %d", name, other)
	}
	if _, ok := m.Types[int32(typ)]; !ok || typ == 0 {
		return 0, fail(ceph.EINVAL, "no bucket can have type %d", typ)
	}
	b, err := m.addBucket(id, alg, typ, nil, nil)
	if err != nil {
		return 0, err
	}
	m.setName(b.ID, name)
	return b.ID, nil
}

// addBucket makes a bucket without a name.
func (m *Map) addBucket(id int32, alg Alg, typ uint16, items []int32, weights []uint32) (
	*Bucket, error,
) {
	if alg == 0 {
		if alg = m.DefaultAlg(); alg == 0 {
			return nil, fail(ceph.EINVAL, "the tunables allow no bucket algorithm")
		}
	}
	b, err := m.newBucket(alg, 0, typ, items, weights)
	if err != nil {
		return nil, err
	}
	if err := m.place(b, id); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return b, nil
	}
	for _, args := range m.ChooseArgs {
		a := &ChooseArg{}
		for range argPositions(args) {
			a.WeightSets = append(a.WeightSets, slices.Clone(weights))
		}
		args[b.ID] = a
	}
	return b, nil
}

// DefaultAlg is the algorithm of new buckets: the newest that the tunables allow, or 0.
func (m *Map) DefaultAlg() Alg {
	for _, alg := range []Alg{Straw2, Straw, Tree, List, Uniform} {
		if m.AllowedBucketAlgs&(1<<alg) != 0 {
			return alg
		}
	}
	return 0
}

// place puts a bucket into its slot; id 0 takes the first free one.
func (m *Map) place(b *Bucket, id int32) error {
	slot := -1 - int(id)
	if id == 0 {
		if slot = slices.Index(m.Buckets, nil); slot < 0 {
			slot = len(m.Buckets)
		}
	}
	if slot < 0 || slot >= MaxBuckets {
		return fail(ceph.EINVAL, "%d is not a bucket id", id)
	}
	n := len(m.Buckets)
	for n <= slot {
		n = max(2*n, 8)
	}
	m.Buckets = append(m.Buckets, make([]*Bucket, n-len(m.Buckets))...)
	if m.Buckets[slot] != nil {
		return fail(ceph.EEXIST, "Duplicate bucket id %d", id)
	}
	b.ID = int32(-1 - slot)
	m.Buckets[slot] = b
	return nil
}

// addItem puts an item into a bucket, and into its weight sets with the same weight.
func (m *Map) addItem(b *Bucket, id int32, weight uint32) error {
	if err := b.add(m, id, weight); err != nil {
		return err
	}
	for _, args := range m.ChooseArgs {
		a := args[b.ID]
		if a == nil {
			continue
		}
		for i := range a.WeightSets {
			a.WeightSets[i] = append(a.WeightSets[i], weight)
		}
		if len(a.IDs) > 0 {
			a.IDs = append(a.IDs, id)
		}
	}
	return nil
}

// removeItem takes an item out of a bucket and its weight sets.
func (m *Map) removeItem(b *Bucket, id int32) error {
	pos := slices.Index(b.Items, id)
	if err := b.remove(m, id); err != nil {
		return err
	}
	for _, args := range m.ChooseArgs {
		if b.Alg == Tree { // it may keep a hole; it does not draw by weight sets
			delete(args, b.ID)
		}
		a := args[b.ID]
		if a == nil {
			continue
		}
		for i, w := range a.WeightSets {
			if pos < len(w) {
				a.WeightSets[i] = slices.Delete(w, pos, pos+1)
			}
		}
		if pos < len(a.IDs) {
			a.IDs = slices.Delete(a.IDs, pos, pos+1)
		}
	}
	return nil
}

// RemoveItem removes an item from all buckets, and its name with the last of them; unlink keeps a
// bucket itself in the map (`osd crush rm`, `osd crush unlink`).
func (m *Map) RemoveItem(id int32, unlink bool) error {
	if id < 0 && !unlink {
		if err := m.checkRemovable(id); err != nil {
			return err
		}
	}
	found := false
	for _, b := range m.Buckets {
		if b == nil {
			continue
		}
		n, err := m.removeFrom(b, id)
		if err != nil {
			return err
		}
		found = found || n
	}
	last, err := m.removeLast(id, unlink)
	if err == nil && !found && !last {
		err = fail(ceph.ENOENT, "item %d is in no bucket", id)
	}
	return err
}

// RemoveItemUnder removes an item from the buckets at and below an ancestor.
func (m *Map) RemoveItemUnder(id, ancestor int32, unlink bool) error {
	if m.Bucket(ancestor) == nil {
		return fail(ceph.EINVAL, "bucket %d does not exist", ancestor)
	}
	if id < 0 && !unlink {
		if err := m.checkRemovable(id); err != nil {
			return err
		}
	}
	var buckets []*Bucket
	m.below(ancestor, func(_ int32, b *Bucket) bool {
		if b != nil {
			buckets = append(buckets, b)
		}
		return true
	})
	found := false
	for _, b := range buckets {
		n, err := m.removeFrom(b, id)
		if err != nil {
			return err
		}
		found = found || n
	}
	if !found {
		return fail(ceph.ENOENT, "item %d is not below bucket %d", id, ancestor)
	}
	_, err := m.removeLast(id, unlink)
	return err
}

// checkRemovable says whether a bucket may go: it must be empty and no rule may take it.
func (m *Map) checkRemovable(id int32) error {
	b, err := m.existingBucket(id)
	switch {
	case err != nil:
		return err
	case len(b.Items) > 0:
		return fail(ceph.ENOTEMPTY, "bucket %s has %d items, not empty",
			m.itemName(id), len(b.Items))
	case m.inUse(id):
		return fail(ceph.EBUSY, "bucket %s is in use by a rule or a device class", m.itemName(id))
	}
	return nil
}

// removeFrom removes all occurrences of an item from one bucket, after their weight has gone.
func (m *Map) removeFrom(b *Bucket, id int32) (bool, error) {
	found := false
	for slices.Contains(b.Items, id) {
		m.adjustInBucket(id, 0, b.ID, true)
		if err := m.removeItem(b, id); err != nil {
			return found, err
		}
		found = true
	}
	return found, nil
}

// removeLast forgets an item that no bucket holds any more (_maybe_remove_last_instance).
func (m *Map) removeLast(id int32, unlink bool) (bool, error) {
	if m.Holds(id) || id < 0 && m.inUse(id) {
		return false, nil
	}
	if id < 0 && !unlink {
		m.dropBucket(id)
		m.stripChooseArgs()
	}
	if id >= 0 || !unlink {
		m.dropName(id)
		if id >= 0 && !unlink {
			delete(m.ItemClasses, id)
		}
	}
	return true, m.RebuildShadows()
}

// dropBucket empties a slot.
func (m *Map) dropBucket(id int32) {
	m.Buckets[-1-id] = nil
	delete(m.ClassBuckets, id)
	delete(m.ItemClasses, id)
}

// inUse says whether a bucket is a shadow or a rule takes it or its shadow.
func (m *Map) inUse(id int32) bool {
	for _, shadows := range m.ClassBuckets {
		for _, s := range shadows {
			if s == id {
				return true
			}
		}
	}
	for _, r := range m.Rules {
		if r == nil {
			continue
		}
		for _, s := range r.Steps {
			if s.Op != OpTake {
				continue
			}
			orig, _, err := m.splitClass(s.Arg1)
			if s.Arg1 == id || err == nil && orig == id {
				return true
			}
		}
	}
	return false
}

// SwapBucket exchanges the contents and names of two buckets (`osd crush swap-bucket`).
func (m *Map) SwapBucket(x, y int32) error {
	a, err := m.existingBucket(x)
	if err != nil {
		return err
	}
	b, err := m.existingBucket(y)
	if err != nil {
		return err
	}
	if m.Contains(x, y) || m.Contains(y, x) {
		return fail(ceph.EINVAL, "bucket %s and bucket %s contain one another",
			m.itemName(x), m.itemName(y))
	}
	wa, wb := a.Weight, b.Weight
	_, _ = m.adjust(x, wb, true), m.adjust(y, wa, true)
	itemsA, weightsA := a.contents()
	itemsB, weightsB := b.contents()
	// The second bucket gets the items in the order of their ids, as stock keeps them in a map.
	byID := map[int32]uint32{}
	for i, id := range itemsA {
		byID[id] = weightsA[i]
	}
	itemsA = slices.Sorted(maps.Keys(byID))
	weightsA = weightsA[:0]
	for _, id := range itemsA {
		weightsA = append(weightsA, byID[id])
	}
	if err := m.refill(a, itemsB, weightsB); err != nil {
		return err
	}
	if err := m.refill(b, itemsA, weightsA); err != nil {
		return err
	}
	na, nb := m.Names[x], m.Names[y]
	m.Names[x], m.Names[y] = nb, na
	m.ids[na], m.ids[nb] = y, x
	return m.RebuildShadows()
}

// contents are a bucket's items and their weights.
func (b *Bucket) contents() ([]int32, []uint32) {
	weights := make([]uint32, len(b.Items))
	for i := range weights {
		weights[i] = b.ItemWeight(i)
	}
	return slices.Clone(b.Items), weights
}

// refill replaces all items of a bucket.
func (m *Map) refill(b *Bucket, items []int32, weights []uint32) error {
	for len(b.Items) > 0 {
		if err := m.removeItem(b, b.Items[0]); err != nil {
			return err
		}
	}
	if b.Alg == Uniform && len(weights) > 0 {
		b.Weights[0] = weights[0]
	}
	for i, id := range items {
		if err := m.addItem(b, id, weights[i]); err != nil {
			return err
		}
	}
	return nil
}
