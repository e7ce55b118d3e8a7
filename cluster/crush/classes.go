package crush

import (
	"strings"

	"glue/ceph"
)

// CreateClass adds a device class without devices (`osd crush class create`); created is false when
// it is there already.
func (m *Map) CreateClass(name string) (id int32, created bool, err error) {
	if id, ok := m.ClassID(name); ok {
		return id, false, nil
	}
	if !ValidName(name) {
		return 0, false, fail(ceph.EINVAL, "class '%s' does not match [-_.0-9a-zA-Z]+", name)
	}
	return m.classFor(name), true, nil
}

// RemoveClass takes a device class from its devices and removes it (`osd crush class rm`). A class
// that rules take stays: EBUSY.
func (m *Map) RemoveClass(name string) (id int32, err error) {
	id, ok := m.ClassID(name)
	if !ok {
		return 0, fail(ceph.ENOENT, "class '%s' does not exist", name)
	}
	if rules := m.ClassInUse(name); len(rules) > 0 {
		return 0, fail(ceph.EBUSY, "class '%s' still referenced by crush_rule(s): '%s'", name,
			strings.Join(rules, "','"))
	}
	for _, dev := range m.DevicesOfClass(name) {
		delete(m.ItemClasses, dev)
	}
	if err := m.RebuildShadows(); err != nil {
		return 0, err
	}
	delete(m.ClassNames, id)
	return id, nil
}

// ClassStray gives a device its class before it has a place (`osd new` with crush_device_class). A
// class that it had before is replaced.
func (m *Map) ClassStray(id int32, name, class string) error {
	if _, ok := m.Names[id]; !ok {
		m.setName(id, name)
		m.MaxDevices = max(m.MaxDevices, id+1)
	}
	if old := m.ItemClass(id); old != "" && old != class {
		delete(m.ItemClasses, id)
	}
	_, err := m.SetDeviceClass(id, class)
	return err
}

// ForgetDevice removes a device and all that the map knows of it, wherever it is.
func (m *Map) ForgetDevice(id int32) error {
	if m.Holds(id) {
		return m.RemoveItem(id, false)
	}
	delete(m.ItemClasses, id)
	m.dropName(id)
	return m.RebuildShadows()
}

// ModernizeStraw turns all buckets of the old straw algorithm into straw2 ones, which move less
// data when a weight changes; it says whether there were any.
func (m *Map) ModernizeStraw() bool {
	changed := false
	for _, b := range m.Buckets {
		if b != nil && b.Alg == Straw {
			b.Alg, b.Aux, changed = Straw2, nil, true
		}
	}
	return changed
}
