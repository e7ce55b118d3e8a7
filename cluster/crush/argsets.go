package crush

import (
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
)

// maxGrownWords bounds what repairing the sizes of a decoded map's weight sets may allocate.
const maxGrownWords = 1 << 22

// argPositions is how many sets per bucket a map of replacements has: as many as the first bucket
// with any.
func argPositions(args map[int32]*ChooseArg) int {
	for _, id := range argIDs(args) {
		if n := len(args[id].WeightSets); n > 0 {
			return n
		}
	}
	return 1
}

// stripChooseArgs drops replacements for buckets that are gone or can't use them
// (update_choose_args).
func (m *Map) stripChooseArgs() {
	for _, args := range m.ChooseArgs {
		maps.DeleteFunc(args, func(id int32, _ *ChooseArg) bool {
			b := m.Bucket(id)
			return b == nil || b.Alg != Straw2
		})
	}
}

// fitChooseArgs repairs what old releases wrote: it strips, and gives every set the size of its
// bucket.
func (m *Map) fitChooseArgs() error {
	positions := map[int64]int{}
	for key, args := range m.ChooseArgs {
		positions[key] = argPositions(args)
	}
	m.stripChooseArgs()
	words := 0
	for key, args := range m.ChooseArgs {
		for id, a := range args {
			if len(a.WeightSets) != positions[key] {
				continue
			}
			size := len(m.Bucket(id).Items)
			for i, w := range a.WeightSets {
				if len(w) == size {
					continue
				}
				if words += size; words > maxGrownWords {
					return fmt.Errorf("the weight sets do not fit their buckets")
				}
				fitted := make([]uint32, size)
				copy(fitted, w)
				a.WeightSets[i] = fitted
			}
		}
	}
	return nil
}

// CreateWeightSet adds choose_args with positions sets per bucket, equal to the buckets' own
// weights (`osd crush weight-set create`). It says whether there were none before.
func (m *Map) CreateWeightSet(id int64, positions int) (bool, error) {
	if _, ok := m.ChooseArgs[id]; ok {
		return false, nil
	}
	if positions < 1 || positions > 256 {
		return false, fail(ceph.EINVAL, "a weight set can't have %d positions", positions)
	}
	args := map[int32]*ChooseArg{}
	for _, b := range m.Buckets {
		if b == nil || b.Alg != Straw2 {
			continue
		}
		a := &ChooseArg{}
		for range positions {
			a.WeightSets = append(a.WeightSets, append([]uint32{}, b.Weights...))
		}
		args[b.ID] = a
	}
	m.ChooseArgs[id] = args
	return true, nil
}

// RemoveWeightSet drops choose_args.
func (m *Map) RemoveWeightSet(id int64) { delete(m.ChooseArgs, id) }

// AdjustWeightSet sets an item's weights in one set of choose_args, one per position, and keeps
// the sums above it right (`osd crush weight-set reweight`).
func (m *Map) AdjustWeightSet(set int64, id int32, weights []uint32) error {
	args, ok := m.ChooseArgs[set]
	if !ok {
		return fail(ceph.ENOENT, "there is no weight set %d", set)
	}
	if n := argPositions(args); n != len(weights) {
		return fail(ceph.EINVAL, "must specify exact %d weight values", n)
	}
	m.completeArgs(args)
	if m.adjustArgs(args, id, weights) == 0 {
		return fail(ceph.ENOENT, "item %d not found in crush map", id)
	}
	return nil
}

// setArgWeight sets one weight in all sets of a bucket.
func (m *Map) setArgWeight(b *Bucket, pos int, weight uint32) {
	for _, args := range m.ChooseArgs {
		if a := args[b.ID]; a != nil {
			for _, w := range a.WeightSets {
				if pos >= 0 && pos < len(w) {
					w[pos] = weight
				}
			}
		}
	}
}

// sumArgs passes the sums of a bucket's weight sets upwards.
func (m *Map) sumArgs(b *Bucket) {
	for _, args := range m.ChooseArgs {
		if a := args[b.ID]; a != nil && len(a.WeightSets) > 0 {
			m.completeArgs(args)
			m.adjustArgs(args, b.ID, a.sums())
		}
	}
}

// sums are the weights that a bucket has in its sets.
func (a *ChooseArg) sums() []uint32 {
	out := make([]uint32, len(a.WeightSets))
	for i, set := range a.WeightSets {
		for _, w := range set {
			out[i] += w
		}
	}
	return out
}

// completeArgs gives the buckets that have no weights in a set their own ones. Those that don't
// draw by them get some too, for the sums to pass through; the next strip drops them.
func (m *Map) completeArgs(args map[int32]*ChooseArg) {
	positions := argPositions(args)
	for _, b := range m.Buckets {
		if b == nil {
			continue
		}
		a := args[b.ID]
		if a == nil {
			a = &ChooseArg{}
			args[b.ID] = a
		}
		if len(a.WeightSets) == 0 {
			for range positions {
				_, weights := b.contents()
				a.WeightSets = append(a.WeightSets, weights)
			}
		}
	}
}

// adjustArgs sets an item's weights in all buckets of one set, upwards
// (choose_args_adjust_item_weight).
func (m *Map) adjustArgs(args map[int32]*ChooseArg, id int32, weights []uint32) int {
	n := 0
	for _, b := range m.Buckets {
		if b == nil || !slices.Contains(b.Items, id) {
			continue
		}
		a := args[b.ID]
		if a == nil || len(a.WeightSets) != len(weights) {
			continue
		}
		for i, item := range b.Items {
			if item != id {
				continue
			}
			for j, w := range weights {
				if i < len(a.WeightSets[j]) {
					a.WeightSets[j][i] = w
				}
			}
			n++
		}
		m.adjustArgs(args, b.ID, a.sums())
	}
	return n
}

// reweightArgs computes the weights of sub-buckets in one set from the devices up and returns the
// bucket's own sums.
func (m *Map) reweightArgs(b *Bucket, args map[int32]*ChooseArg, done map[int32][]uint32) []uint32 {
	if sums, ok := done[b.ID]; ok {
		return sums
	}
	a := args[b.ID]
	if a == nil {
		a = &ChooseArg{}
	}
	for i, id := range b.Items {
		sub := m.Bucket(id)
		if sub == nil {
			continue
		}
		sums := m.reweightArgs(sub, args, done)
		for j, set := range a.WeightSets {
			switch {
			case i < len(set) && j < len(sums):
				set[i] = sums[j]
			case i < len(set):
				set[i] = sub.Weight
			}
		}
	}
	done[b.ID] = a.sums()
	return done[b.ID]
}
