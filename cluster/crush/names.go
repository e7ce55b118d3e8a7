package crush

import (
	"maps"
	"slices"

	"glue/ceph"
)

// Bucket is the bucket with an id, or nil.
func (m *Map) Bucket(id int32) *Bucket {
	if slot := -1 - int64(id); slot >= 0 && slot < int64(len(m.Buckets)) {
		return m.Buckets[slot]
	}
	return nil
}

// Rule is a rule, or nil.
func (m *Map) Rule(id int) *Rule {
	if id < 0 || id >= len(m.Rules) {
		return nil
	}
	return m.Rules[id]
}

// ItemID is the id of a device's or bucket's name.
func (m *Map) ItemID(name string) (int32, bool) {
	id, ok := m.ids[name]
	return id, ok
}

// findName is the number of a name; of several the highest, as in stock's reverse maps.
func findName(names map[int32]string, name string) (int32, bool) {
	best, found := int32(-1), false
	for id, n := range names {
		if n == name && (!found || id > best) {
			best, found = id, true
		}
	}
	return best, found
}

// TypeID is the number of a type name.
func (m *Map) TypeID(name string) (int32, bool) { return findName(m.Types, name) }

// ClassID is the number of a device class.
func (m *Map) ClassID(name string) (int32, bool) { return findName(m.ClassNames, name) }

// RuleID is the number of a rule name.
func (m *Map) RuleID(name string) (int, bool) {
	id, ok := findName(m.RuleNames, name)
	return int(id), ok
}

// ItemClass is the device class of a device or shadow bucket, or "".
func (m *Map) ItemClass(id int32) string {
	class, ok := m.ItemClasses[id]
	if !ok {
		return ""
	}
	return m.ClassNames[class]
}

// IsShadow says whether an item belongs to a class's shadow tree: its name has a "~", which no
// name given by an operator can have.
func (m *Map) IsShadow(id int32) bool {
	name, ok := m.Names[id]
	return ok && !ValidName(name)
}

// DevicesOfClass are the devices bound to a class, ascending.
func (m *Map) DevicesOfClass(name string) []int32 {
	var out []int32
	if class, ok := m.ClassID(name); ok {
		for id, c := range m.ItemClasses {
			if id >= 0 && c == class {
				out = append(out, id)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Classes are the names of the device classes, by number.
func (m *Map) Classes() []string {
	var out []string
	for _, c := range slices.Sorted(maps.Keys(m.ClassNames)) {
		out = append(out, m.ClassNames[c])
	}
	return out
}

// setName names an item and keeps the reverse index.
func (m *Map) setName(id int32, name string) {
	m.dropName(id)
	m.Names[id] = name
	m.ids[name] = id
}

func (m *Map) dropName(id int32) {
	if old, ok := m.Names[id]; ok {
		if m.ids[old] == id {
			delete(m.ids, old)
		}
		delete(m.Names, id)
	}
}

// SetItemName names a device or bucket, whatever it was called before.
func (m *Map) SetItemName(id int32, name string) error {
	if !ValidName(name) {
		return fail(ceph.EINVAL, "name '%s' does not match [-_.0-9a-zA-Z]+", name)
	}
	if other, ok := m.ItemID(name); ok && other != id {
		return fail(ceph.EEXIST, "name '%s' already belongs to item %d", name, other)
	}
	m.setName(id, name)
	return nil
}

// SetTypeName names a type.
func (m *Map) SetTypeName(typ int32, name string) error {
	if !ValidName(name) || typ < 0 || typ > 0xffff {
		return fail(ceph.EINVAL, "type %d can't be named '%s'", typ, name)
	}
	m.Types[typ] = name
	return nil
}

// RenameItem renames a device or bucket.
func (m *Map) RenameItem(from, to string) error {
	if err := m.checkRename(from, to); err != nil {
		return err
	}
	m.setName(m.ids[from], to)
	return m.RebuildShadows()
}

// RenameBucket renames a bucket.
func (m *Map) RenameBucket(from, to string) error {
	if err := m.checkRename(from, to); err != nil {
		return err
	}
	if id := m.ids[from]; id >= 0 {
		return fail(ceph.ENOTDIR, "srcname = '%s' is not a bucket because its id = %d is >= 0",
			from, id)
	}
	return m.RenameItem(from, to)
}

// ealready is the answer of a rename that has happened before (EALREADY).
const ealready = ceph.Errno(114)

func (m *Map) checkRename(from, to string) error {
	_, hasFrom := m.ids[from]
	_, hasTo := m.ids[to]
	switch {
	case !hasFrom && hasTo:
		return fail(ealready, "srcname = '%s' does not exist and dstname = '%s' already exists",
			from, to)
	case !hasFrom:
		return fail(ceph.ENOENT, "srcname = '%s' does not exist", from)
	case hasTo:
		return fail(ceph.EEXIST, "dstname = '%s' already exists", to)
	case !ValidName(to):
		return fail(ceph.EINVAL, "dstname = '%s' does not match [-_.0-9a-zA-Z]+", to)
	}
	return nil
}
