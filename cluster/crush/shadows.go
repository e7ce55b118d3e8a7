package crush

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
)

// A shadow tree is a copy of the hierarchy with only the devices of one class, so that a rule can
// take "default~ssd". Every bucket has one shadow per class, empty ones too, and keeps its
// shadow's id over rebuilds: ids are what the draws hash.

// maxShadows bounds the shadow buckets that one rebuild may make.
const maxShadows = 1 << 18

// RebuildShadows makes the shadow trees anew (rebuild_roots_with_classes): the editing methods
// call it themselves. Classes that no device and no rule uses disappear.
func (m *Map) RebuildShadows() error {
	old := m.ClassBuckets
	m.dropDeadClasses()
	for _, root := range m.Roots(true) {
		if m.IsShadow(root) {
			m.dropShadowTree(root)
		}
	}
	m.stripChooseArgs()
	m.ClassBuckets = map[int32]map[int32]int32{}
	return m.makeShadows(old)
}

// dropDeadClasses forgets the classes that nothing uses.
func (m *Map) dropDeadClasses() {
	used := map[int32]bool{}
	for id, class := range m.ItemClasses {
		if id >= 0 {
			used[class] = true
		}
	}
	taken := map[int32]bool{}
	for _, id := range m.Takes(-1) {
		taken[id] = true
	}
	for _, shadows := range m.ClassBuckets {
		for class, id := range shadows {
			if taken[id] {
				used[class] = true
			}
		}
	}
	maps.DeleteFunc(m.ClassNames, func(class int32, _ string) bool { return !used[class] })
}

// dropShadowTree removes a bucket and all buckets below it.
func (m *Map) dropShadowTree(root int32) {
	var ids []int32
	m.below(root, func(id int32, b *Bucket) bool {
		if b != nil {
			ids = append(ids, id)
		}
		return true
	})
	for _, id := range ids {
		m.dropBucket(id)
		m.dropName(id)
	}
}

// makeShadows copies every root once per class, with the ids that old has (populate_classes).
func (m *Map) makeShadows(old map[int32]map[int32]int32) error {
	s := shadower{m: m, old: old, used: map[int32]bool{}, sums: map[argKey][]uint32{}}
	for _, shadows := range old {
		for _, id := range shadows {
			s.used[id] = true
		}
	}
	for _, root := range m.Roots(false) {
		for _, class := range slices.Sorted(maps.Keys(m.ClassNames)) {
			if _, err := s.clone(root, class); err != nil {
				return err
			}
		}
	}
	return nil
}

type argKey struct {
	set    int64
	bucket int32
}

// A shadower is one rebuild.
type shadower struct {
	m    *Map
	old  map[int32]map[int32]int32
	used map[int32]bool // ids that shadows had before
	free int32          // no id above it is free; 0 at first
	made int
	sums map[argKey][]uint32 // weights of the shadows in each set of choose_args
}

// clone makes the shadow of a bucket, after those below it (device_class_clone).
func (s *shadower) clone(id, class int32) (*Bucket, error) {
	m := s.m
	name, ok := m.Names[id]
	orig := m.Bucket(id)
	if !ok || orig == nil {
		return nil, fail(ceph.EINVAL, "bucket %d does not exist or has no name", id)
	}
	name += "~" + m.ClassNames[class]
	if done, ok := m.ids[name]; ok {
		if b := m.Bucket(done); b != nil {
			return b, nil
		}
		return nil, fail(ceph.EINVAL, "shadow bucket %s does not exist", name)
	}
	if s.made++; s.made > maxShadows {
		return nil, fail(ceph.ERANGE, "more than %d shadow buckets", maxShadows)
	}
	shadow, err := m.newBucket(orig.Alg, orig.Hash, orig.Type, nil, nil)
	if err != nil {
		return nil, err
	}
	from, err := s.fill(shadow, orig, class)
	if err != nil {
		return nil, err
	}
	if err := m.place(shadow, s.idFor(id, class)); err != nil {
		return nil, err
	}
	m.ItemClasses[shadow.ID] = class
	m.setName(shadow.ID, name)
	if m.ClassBuckets[id] == nil {
		m.ClassBuckets[id] = map[int32]int32{}
	}
	m.ClassBuckets[id][class] = shadow.ID
	s.copyArgs(shadow, orig, from)
	return shadow, nil
}

// fill puts into a shadow the devices of the class and the shadows of the sub-buckets, and
// returns the position in the original of each.
func (s *shadower) fill(shadow, orig *Bucket, class int32) ([]int, error) {
	var from []int
	for i, id := range orig.Items {
		weight := orig.ItemWeight(i)
		if id >= 0 {
			if c, ok := s.m.ItemClasses[id]; !ok || c != class {
				continue
			}
		} else {
			sub, err := s.clone(id, class)
			if err != nil {
				return nil, err
			}
			id, weight = sub.ID, sub.Weight
		}
		if err := shadow.append(id, weight); err != nil {
			return nil, err
		}
		from = append(from, i)
	}
	shadow.calcStraws(s.m.StrawCalcVersion)
	return from, nil
}

// idFor is the id that the shadow had, or the first that neither a bucket nor an earlier shadow
// uses.
func (s *shadower) idFor(id, class int32) int32 {
	if old, ok := s.old[id][class]; ok {
		return old
	}
	if s.free == 0 {
		s.free = -1
	}
	for s.m.Bucket(s.free) != nil || s.used[s.free] {
		s.free--
	}
	return s.free
}

// copyArgs gives a shadow weight sets: those of the devices as in the original, those of
// sub-buckets as their shadows' sums.
func (s *shadower) copyArgs(shadow, orig *Bucket, from []int) {
	for set, args := range s.m.ChooseArgs {
		delete(args, shadow.ID)
		a := args[orig.ID]
		if a == nil || len(a.WeightSets) == 0 {
			continue
		}
		n := &ChooseArg{}
		for j, weights := range a.WeightSets {
			w := make([]uint32, len(shadow.Items))
			for i, item := range shadow.Items {
				switch sums := s.sums[argKey{set, item}]; {
				case item >= 0 && from[i] < len(weights):
					w[i] = weights[from[i]]
				case item < 0 && j < len(sums):
					w[i] = sums[j]
				}
			}
			n.WeightSets = append(n.WeightSets, w)
		}
		args[shadow.ID] = n
		s.sums[argKey{set, shadow.ID}] = n.sums()
	}
}

// classFor is the number of a device class, new if need be.
func (m *Map) classFor(name string) int32 {
	if class, ok := m.ClassID(name); ok {
		return class
	}
	class := int32(0)
	for c := range m.ClassNames {
		class = max(class, c+1)
	}
	for m.ClassNames[class] != "" { // the numbers have wrapped
		class++
	}
	m.ClassNames[class] = name
	return class
}

// SetDeviceClass binds a device to a class (`osd crush set-device-class`). A device that has
// another class must lose that first.
func (m *Map) SetDeviceClass(id int32, class string) (changed bool, err error) {
	name, ok := m.Names[id]
	switch old := m.ItemClass(id); {
	case !ok:
		return false, fail(ceph.ENOENT, "osd.%d does not exist in the crush map", id)
	case id < 0:
		return false, fail(ceph.EINVAL, "%s id %d is negative", name, id)
	case !ValidName(class):
		return false, fail(ceph.EINVAL, "class '%s' does not match [-_.0-9a-zA-Z]+", class)
	case old == class:
		return false, nil
	case old != "":
		return false, fail(ceph.EBUSY, "osd.%d has already bound to class '%s', can not reset "+
			"class to '%s'; use 'ceph osd crush rm-device-class <id>' to remove old class first",
			id, old, class)
	}
	m.ItemClasses[id] = m.classFor(class)
	return true, m.RebuildShadows()
}

// RemoveDeviceClass unbinds a device from its class (`osd crush rm-device-class`).
func (m *Map) RemoveDeviceClass(id int32) (changed bool, err error) {
	if _, ok := m.Names[id]; !ok || id < 0 {
		return false, fail(ceph.ENOENT, "osd.%d does not have a name", id)
	}
	if m.ItemClass(id) == "" {
		return false, nil
	}
	delete(m.ItemClasses, id)
	return true, m.RebuildShadows()
}

// RenameClass renames a device class and its shadow buckets (`osd crush class rename`).
func (m *Map) RenameClass(from, to string) error {
	class, ok := m.ClassID(from)
	if !ok {
		return fail(ceph.ENOENT, "class '%s' does not exist", from)
	}
	if _, ok := m.ClassID(to); ok {
		return fail(ceph.EEXIST, "class '%s' already exists", to)
	}
	if !ValidName(to) {
		return fail(ceph.EINVAL, "class '%s' does not match [-_.0-9a-zA-Z]+", to)
	}
	m.ClassNames[class] = to
	for id, c := range m.ItemClasses {
		if base, _, found := strings.Cut(m.Names[id], "~"); found && id < 0 && c == class {
			m.setName(id, base+"~"+to)
		}
	}
	return nil
}

// ClassInUse says which rules take a class's shadow buckets.
func (m *Map) ClassInUse(class string) []string {
	n, ok := m.ClassID(class)
	if !ok {
		return nil
	}
	var out []string
	for i := range m.Rules {
		for _, id := range m.Takes(i) {
			if c, ok := m.ItemClasses[id]; ok && id < 0 && c == n {
				out = append(out, m.RuleNames[int32(i)])
				break
			}
		}
	}
	return out
}

// finalize computes what follows from the rest (crush_finalize) and bounds the device ids.
func (m *Map) finalize() error {
	top := int32(-1)
	for _, b := range m.Buckets {
		if b != nil {
			for _, id := range b.Items {
				top = max(top, id)
			}
		}
	}
	for id := range m.Names {
		top = max(top, id)
	}
	if top > MaxDevice {
		return fmt.Errorf("device id %d is too large", top)
	}
	m.MaxDevices = top + 1
	m.reindex()
	return nil
}
