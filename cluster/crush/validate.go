package crush

import (
	"fmt"
	"maps"
	"slices"
)

// checkTree says whether some bucket contains itself, directly or through others.
func (m *Map) checkTree() error {
	state := make([]uint8, len(m.Buckets)) // 0 not seen, 1 on the path, 2 done
	type frame struct{ slot, next int }
	for root := range m.Buckets {
		if m.Buckets[root] == nil || state[root] != 0 {
			continue
		}
		path := []frame{{slot: root}}
		state[root] = 1
		for len(path) > 0 {
			f := &path[len(path)-1]
			items := m.Buckets[f.slot].Items
			if f.next == len(items) {
				state[f.slot] = 2
				path = path[:len(path)-1]
				continue
			}
			b := m.Bucket(items[f.next])
			f.next++
			if b == nil {
				continue
			}
			slot := int(-1 - b.ID)
			if state[slot] == 1 {
				return fmt.Errorf("bucket %d contains itself", b.ID)
			}
			if state[slot] == 0 {
				state[slot] = 1
				path = append(path, frame{slot: slot})
			}
		}
	}
	return nil
}

// Validate says what is wrong with a map that the decoder or the compiler accepted: what would
// break a tree listing or place data on nothing. It is the check before a map is published.
func (m *Map) Validate() error {
	if err := m.checkTree(); err != nil {
		return err
	}
	for _, b := range m.Buckets {
		if b == nil {
			continue
		}
		if _, ok := m.Names[b.ID]; !ok {
			return fmt.Errorf("unknown item name: item#%d", b.ID)
		}
		if _, ok := m.Types[int32(b.Type)]; !ok {
			return fmt.Errorf("unknown type name: item#%d", b.ID)
		}
		for _, id := range b.Items {
			switch sub := m.Bucket(id); {
			case id >= m.MaxDevices:
				return fmt.Errorf("item id too large: item#%d", id)
			case id < 0 && sub == nil:
				return fmt.Errorf("bucket %d holds bucket %d, which does not exist", b.ID, id)
			}
		}
	}
	if _, ok := m.Types[0]; !ok {
		return fmt.Errorf("unknown type name: item#0")
	}
	return m.validateRules()
}

func (m *Map) validateRules() error {
	for _, id := range slices.Sorted(maps.Keys(m.RuleNames)) {
		if m.Rule(int(id)) == nil {
			return fmt.Errorf("rule name %q has no rule", m.RuleNames[id])
		}
	}
	for i, r := range m.Rules {
		if r == nil {
			continue
		}
		for _, s := range r.Steps {
			if s.Op == OpTake && s.Arg1 < 0 && m.Bucket(s.Arg1) == nil {
				return fmt.Errorf("rule %d takes bucket %d, which does not exist", i, s.Arg1)
			}
		}
	}
	return nil
}
