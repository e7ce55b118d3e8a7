package crush

import (
	"slices"

	"glue/ceph"
)

// A SimpleRule is what `osd crush rule create-replicated` and its kin ask for.
type SimpleRule struct {
	Name, Root    string
	FailureDomain string // type name; "" is the device
	Class         string // "": any
	Indep         bool   // keep places: for erasure pools
	Type          uint8  // TypeReplicated or TypeErasure
	MaxSize       uint8  // copies or chunks; 0: the usual
	// With a Locality, a type name, Groups items of it are chosen, and GroupSize failure domains in
	// each.
	Locality          string
	Groups, GroupSize int
}

// AddSimpleRule adds a rule at the lowest free number (add_simple_rule).
func (m *Map) AddSimpleRule(r SimpleRule) (int, error) {
	if _, ok := m.RuleID(r.Name); ok {
		return 0, fail(ceph.EEXIST, "rule %s exists", r.Name)
	}
	if !ValidName(r.Name) {
		return 0, fail(ceph.EINVAL, "rule name '%s' does not match [-_.0-9a-zA-Z]+", r.Name)
	}
	root, typ, err := m.simpleTarget(r)
	if err != nil {
		return 0, err
	}
	id := 0
	for m.Rule(id) != nil || m.hasRuleset(id) {
		id++
	}
	if id >= MaxRules {
		return 0, fail(ceph.ENOSPC, "there are %d rules already", MaxRules)
	}
	nr := &Rule{Ruleset: uint8(id), Type: r.Type, MinSize: 1, MaxSize: 10}
	op := OpChooseFirstN
	switch {
	case r.Indep && typ != 0:
		op = OpChooseLeafIndep
	case r.Indep:
		op = OpChooseIndep
	case typ != 0:
		op = OpChooseLeafFirstN
	}
	if r.Indep {
		nr.MinSize, nr.MaxSize = 3, 20
		nr.Steps = []Step{{OpSetChooseLeafTries, 5, 0}, {OpSetChooseTries, 100, 0}}
	}
	if r.MaxSize > 0 {
		nr.MaxSize = r.MaxSize
	}
	nr.Steps = append(nr.Steps, Step{OpTake, root, 0})
	if r.Locality != "" {
		where, ok := m.TypeID(r.Locality)
		if !ok {
			return 0, fail(ceph.EINVAL, "unknown crush type %s", r.Locality)
		}
		nr.Steps = append(nr.Steps, Step{OpChooseIndep, int32(r.Groups), where},
			Step{OpChooseLeafIndep, int32(r.GroupSize), typ})
	} else {
		nr.Steps = append(nr.Steps, Step{op, 0, typ})
	}
	nr.Steps = append(nr.Steps, Step{OpEmit, 0, 0})
	m.placeRule(id, nr)
	m.RuleNames[int32(id)] = r.Name
	return id, nil
}

// simpleTarget finds the bucket and the type that a simple rule names.
func (m *Map) simpleTarget(r SimpleRule) (root, typ int32, err error) {
	root, ok := m.ids[r.Root]
	if !ok {
		return 0, 0, fail(ceph.ENOENT, "root item %s does not exist", r.Root)
	}
	if r.FailureDomain != "" {
		if typ, ok = m.TypeID(r.FailureDomain); !ok {
			return 0, 0, fail(ceph.EINVAL, "unknown type %s", r.FailureDomain)
		}
	}
	if r.Class == "" {
		return root, typ, nil
	}
	class, ok := m.ClassID(r.Class)
	if !ok {
		return 0, 0, fail(ceph.EINVAL, "device class %s does not exist", r.Class)
	}
	shadow, ok := m.ClassBuckets[root][class]
	if !ok {
		return 0, 0, fail(ceph.EINVAL, "root %s has no devices with class %s", r.Root, r.Class)
	}
	return shadow, typ, nil
}

func (m *Map) hasRuleset(id int) bool {
	return slices.ContainsFunc(m.Rules, func(r *Rule) bool {
		return r != nil && int(r.Ruleset) == id
	})
}

// placeRule puts a rule into a slot.
func (m *Map) placeRule(id int, r *Rule) {
	for len(m.Rules) <= id {
		m.Rules = append(m.Rules, nil)
	}
	m.Rules[id] = r
}

// RemoveRule removes a rule.
func (m *Map) RemoveRule(id int) error {
	if m.Rule(id) == nil {
		return fail(ceph.ENOENT, "rule %d does not exist", id)
	}
	m.Rules[id] = nil
	delete(m.RuleNames, int32(id))
	return m.RebuildShadows()
}

// RenameRule renames a rule.
func (m *Map) RenameRule(from, to string) error {
	id, ok := m.RuleID(from)
	if !ok {
		return fail(ceph.ENOENT, "source rule name '%s' does not exist", from)
	}
	if _, ok := m.RuleID(to); ok {
		return fail(ceph.EEXIST, "destination rule name '%s' already exists", to)
	}
	if !ValidName(to) {
		return fail(ceph.EINVAL, "rule name '%s' does not match [-_.0-9a-zA-Z]+", to)
	}
	m.RuleNames[int32(id)] = to
	return nil
}

// FindRule is the rule that serves a pool's ruleset, type and size, or -1 (crush_find_rule).
func (m *Map) FindRule(ruleset, poolType, size int) int {
	return slices.IndexFunc(m.Rules, func(r *Rule) bool {
		return r != nil && int(r.Ruleset) == ruleset && int(r.Type) == poolType &&
			int(r.MinSize) <= size && size <= int(r.MaxSize)
	})
}

// FirstRule is the lowest ruleset of a pool type, or -1 (find_first_ruleset).
func (m *Map) FirstRule(poolType int) int {
	best := -1
	for _, r := range m.Rules {
		if r != nil && int(r.Type) == poolType && (best < 0 || int(r.Ruleset) < best) {
			best = int(r.Ruleset)
		}
	}
	return best
}

// RulesOfClass are the rules that take a class's shadow buckets.
func (m *Map) RulesOfClass(class string) []int {
	n, ok := m.ClassID(class)
	var out []int
	for i := range m.Rules {
		if ok && slices.ContainsFunc(m.Takes(i), func(id int32) bool {
			_, c, err := m.splitClass(id)
			return err == nil && c == n
		}) {
			out = append(out, i)
		}
	}
	return out
}

// RulesOfDevice are the rules that may place on a device.
func (m *Map) RulesOfDevice(id int32) []int {
	var out []int
	for i := range m.Rules {
		if slices.ContainsFunc(m.Takes(i), func(root int32) bool { return m.Contains(root, id) }) {
			out = append(out, i)
		}
	}
	return out
}

// RuleWeights is the share of a rule's data that each device gets by weight; the shares of each
// take sum to one (get_rule_weight_osd_map).
func (m *Map) RuleWeights(rule int) map[int32]float32 {
	out := map[int32]float32{}
	r := m.Rule(rule)
	if r == nil {
		return out
	}
	for _, s := range r.Steps {
		if s.Op != OpTake {
			continue
		}
		share, sum := m.deviceWeights(s.Arg1)
		for id, w := range share {
			if sum > 0 {
				out[id] += w / sum
			}
		}
	}
	return out
}

// deviceWeights are the weights of the devices at or below an item, and their sum.
func (m *Map) deviceWeights(root int32) (map[int32]float32, float32) {
	if root >= 0 {
		return map[int32]float32{root: 1}, 1
	}
	out, sum := map[int32]float32{}, float32(0)
	m.below(root, func(_ int32, b *Bucket) bool {
		if b != nil {
			for i, id := range b.Items {
				if id >= 0 {
					w := float32(b.ItemWeight(i))
					out[id] = w
					sum += w
				}
			}
		}
		return b != nil
	})
	return out, sum
}
