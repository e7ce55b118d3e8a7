package crush

import (
	"maps"
	"slices"
)

// held is the set of items that some bucket holds.
func (m *Map) held() map[int32]bool {
	out := map[int32]bool{}
	for _, b := range m.Buckets {
		if b != nil {
			for _, id := range b.Items {
				out[id] = true
			}
		}
	}
	return out
}

// Holds says whether some bucket, shadow buckets too, holds the item.
func (m *Map) Holds(id int32) bool {
	for _, b := range m.Buckets {
		if b != nil && slices.Contains(b.Items, id) {
			return true
		}
	}
	return false
}

// Roots are the buckets that no bucket holds, ascending by id; with shadow, those of the shadow
// trees too.
func (m *Map) Roots(shadow bool) []int32 {
	held := m.held()
	var out []int32
	for _, b := range m.Buckets {
		if b != nil && !held[b.ID] && (shadow || !m.IsShadow(b.ID)) {
			out = append(out, b.ID)
		}
	}
	slices.Sort(out)
	return out
}

// Takes are the items that a rule starts from, ascending; of all rules if rule is negative.
func (m *Map) Takes(rule int) []int32 {
	set := map[int32]bool{}
	for i, r := range m.Rules {
		if r == nil || rule >= 0 && i != rule {
			continue
		}
		for _, s := range r.Steps {
			if s.Op == OpTake {
				set[s.Arg1] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Parent is the first bucket, not a shadow one, that holds an item.
func (m *Map) Parent(id int32) (int32, bool) {
	for _, b := range m.Buckets {
		if b != nil && slices.Contains(b.Items, id) && !m.IsShadow(b.ID) {
			return b.ID, true
		}
	}
	return 0, false
}

// A Coordinate is one level of an item's place.
type Coordinate struct{ Type, Name string }

// FullLocation is an item's place, from its parent upwards (get_full_location_ordered).
func (m *Map) FullLocation(id int32) []Coordinate {
	var out []Coordinate
	for range m.Buckets { // no place is deeper than there are buckets
		parent, ok := m.Parent(id)
		if !ok {
			break
		}
		out = append(out, Coordinate{m.typeName(int32(m.Bucket(parent).Type)), m.itemName(parent)})
		id = parent
	}
	return out
}

// Distance is how near an item is to a place, which may name several buckets of a type: the lowest
// type of a bucket that both are in; false if there is none (get_common_ancestor_distance).
func (m *Map) Distance(id int32, place []Coordinate) (typ int32, ok bool) {
	for _, at := range m.FullLocation(id) {
		if t, known := m.TypeID(at.Type); known && slices.Contains(place, at) && (!ok || t < typ) {
			typ, ok = t, true
		}
	}
	return typ, ok
}

// ParentOfType is an item's ancestor of a type; with a rule (0 and up) only among what the rule
// takes (get_parent_of_type).
func (m *Map) ParentOfType(id, typ int32, rule int) (int32, bool) {
	if rule < 0 {
		for range m.Buckets {
			parent, ok := m.Parent(id)
			if !ok {
				return 0, false
			}
			if id = parent; int32(m.Bucket(id).Type) == typ {
				return id, true
			}
		}
		return 0, false
	}
	for _, root := range m.Takes(rule) {
		for _, b := range m.ChildrenOfType(root, typ, false) {
			if m.Contains(b, id) {
				return b, true
			}
		}
	}
	return 0, false
}

// below calls f for root and everything below it, each item once, parents before children in map
// order; f says whether to go below an item.
func (m *Map) below(root int32, f func(id int32, b *Bucket) bool) {
	seen := map[int32]bool{}
	stack := []int32{root}
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[id] {
			continue
		}
		seen[id] = true
		b := m.Bucket(id)
		if !f(id, b) || b == nil {
			continue
		}
		for i := len(b.Items) - 1; i >= 0; i-- {
			stack = append(stack, b.Items[i])
		}
	}
}

// Contains says whether item is root or below it.
func (m *Map) Contains(root, item int32) bool {
	found := false
	m.below(root, func(id int32, _ *Bucket) bool {
		found = found || id == item
		return !found
	})
	return found
}

// Leaves are the devices at or below an item, in map order, each once.
func (m *Map) Leaves(root int32) []int32 {
	var out []int32
	m.below(root, func(id int32, _ *Bucket) bool {
		if id >= 0 {
			out = append(out, id)
		}
		return true
	})
	return out
}

// ChildrenOfType are the items of a type at or below an item, each once; branches whose type is
// already lower are not followed.
func (m *Map) ChildrenOfType(root, typ int32, noShadow bool) []int32 {
	var out []int32
	m.below(root, func(id int32, b *Bucket) bool {
		switch {
		case b == nil:
			if id >= 0 && typ == 0 {
				out = append(out, id)
			}
		case int32(b.Type) == typ:
			if !noShadow || !m.IsShadow(id) {
				out = append(out, id)
			}
			return false
		}
		return b != nil && int32(b.Type) > typ
	})
	return out
}

// ItemWeight is an item's weight where it first occurs: in its parent, or a root's own.
func (m *Map) ItemWeight(id int32) (uint32, bool) {
	for _, b := range m.Buckets {
		if b == nil {
			continue
		}
		if b.ID == id {
			return b.Weight, true
		}
		if i := slices.Index(b.Items, id); i >= 0 {
			return b.ItemWeight(i), true
		}
	}
	return 0, false
}

// ItemWeightIn is an item's weight in the first bucket of a location that holds it.
func (m *Map) ItemWeightIn(id int32, loc Location) (uint32, bool) {
	for _, typ := range slices.Sorted(maps.Keys(loc)) {
		if b := m.named(loc[typ]); b != nil {
			if i := slices.Index(b.Items, id); i >= 0 {
				return b.ItemWeight(i), true
			}
		}
	}
	return 0, false
}

// named is the bucket with a name, or nil.
func (m *Map) named(name string) *Bucket {
	id, ok := m.ids[name]
	if !ok {
		return nil
	}
	return m.Bucket(id)
}
