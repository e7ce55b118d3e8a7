package crush

import (
	"maps"
	"slices"
	"strings"

	"glue/ceph"
)

// eloop is the answer to a move of a bucket into itself (ELOOP).
const eloop = ceph.Errno(40)

// A Location places an item: type name -> bucket name. The most specific level counts; levels
// above it only say where to make it if it does not exist.
type Location map[string]string

// ParseLocation reads arguments of the form type=name.
func ParseLocation(args []string) (Location, error) {
	loc := Location{}
	for _, a := range args {
		typ, name, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, fail(ceph.EINVAL, "location '%s' is not of the form type=name", a)
		}
		loc[typ] = name
	}
	return loc, nil
}

// String is the location as stock messages print it, ordered by type name.
func (l Location) String() string {
	var out []string
	for _, typ := range slices.Sorted(maps.Keys(l)) {
		out = append(out, typ+"="+l[typ])
	}
	return "{" + strings.Join(out, ",") + "}"
}

// levels are the types that a location names, the most specific first.
func (m *Map) levels(loc Location) []int32 {
	var out []int32
	for _, t := range slices.Sorted(maps.Keys(m.Types)) {
		if _, ok := loc[m.Types[t]]; ok && t != 0 {
			out = append(out, t)
		}
	}
	return out
}

// CheckLocation says whether an item is in the most specific bucket that loc names, and with
// which weight (check_item_loc).
func (m *Map) CheckLocation(id int32, loc Location) (weight uint32, ok bool) {
	levels := m.levels(loc)
	if len(levels) == 0 {
		return 0, false
	}
	b := m.named(loc[m.Types[levels[0]]])
	if b == nil {
		return 0, false
	}
	i := slices.Index(b.Items, id)
	return b.ItemWeight(i), i >= 0
}

// checkInsert says whether the parts of an insertion are well formed.
func (m *Map) checkInsert(id int32, weight uint32, name string, loc Location) error {
	if !ValidName(name) {
		return fail(ceph.EINVAL, "name '%s' does not match [-_.0-9a-zA-Z]+", name)
	}
	for typ, bucket := range loc {
		if !ValidName(typ) || !ValidName(bucket) {
			return fail(ceph.EINVAL, "location %s=%s does not match [-_.0-9a-zA-Z]+", typ, bucket)
		}
	}
	if weight > 1<<31-1 {
		return fail(ceph.EOVERFLOW, "weight %g is too large", float64(weight)/0x10000)
	}
	if id > MaxDevice {
		return fail(ceph.EINVAL, "device id %d is too large", id)
	}
	return nil
}

// InsertItem puts an item at a place and makes the buckets that are missing (`osd crush add`,
// insert_item). A device takes its weight in the weight sets too.
func (m *Map) InsertItem(id int32, weight uint32, name string, loc Location) error {
	return m.insert(id, weight, name, loc, id >= 0)
}

func (m *Map) insert(id int32, weight uint32, name string, loc Location, sets bool) error {
	if err := m.checkInsert(id, weight, name, loc); err != nil {
		return err
	}
	if old, ok := m.ids[name]; ok && old != id {
		return fail(ceph.EEXIST, "device name '%s' already exists as id %d", name, old)
	}
	m.setName(id, name)
	cur := id
	for _, typ := range m.levels(loc) {
		bucket := loc[m.Types[typ]]
		if _, ok := m.ids[bucket]; ok {
			if err := m.attach(cur, bucket, typ); err != nil {
				return err
			}
			break
		}
		nb, err := m.addBucket(0, 0, uint16(typ), []int32{cur}, []uint32{0})
		if err != nil {
			return err
		}
		m.setName(nb.ID, bucket)
		cur = nb.ID
	}
	if m.adjustIn(id, weight, loc, sets) == 0 {
		return fail(ceph.EINVAL, "didn't find anywhere to add item %d in %s", id, loc)
	}
	if b := m.Bucket(id); b != nil {
		m.sumArgs(b) // a bucket brings the weights that it has in the sets
	}
	m.MaxDevices = max(m.MaxDevices, id+1)
	return m.RebuildShadows()
}

// attach puts an item with weight 0 into an existing bucket.
func (m *Map) attach(id int32, bucket string, typ int32) error {
	b := m.named(bucket)
	switch {
	case b == nil:
		return fail(ceph.EINVAL, "'%s' is not a bucket", bucket)
	case m.Contains(b.ID, id):
		return fail(ceph.EINVAL, "item %d already exists beneath %s", id, bucket)
	case int32(b.Type) != typ:
		return fail(ceph.EINVAL, "existing bucket %s has type '%s' != '%s'",
			bucket, m.typeName(int32(b.Type)), m.typeName(typ))
	case m.Contains(id, b.ID):
		return fail(eloop, "%s already contains %s; cannot form loop", m.itemName(id), bucket)
	}
	return m.addItem(b, id, 0)
}

// throughFloat is a weight after the float that stock passes it through on its way.
func throughFloat(w uint32) uint32 { return uint32(float32(w)) }

// MoveBucket moves a bucket with all below it (`osd crush move`).
func (m *Map) MoveBucket(id int32, loc Location) error {
	b, err := m.existingBucket(id)
	if err != nil {
		return err
	}
	weight := b.Weight
	if parent, ok := m.Parent(id); ok {
		m.adjustInBucket(id, 0, parent, true)
		if err := m.removeItem(m.Bucket(parent), id); err != nil {
			return err
		}
	}
	return m.insert(id, throughFloat(weight), m.itemName(id), loc, false)
}

// LinkBucket puts a bucket at one more place (`osd crush link`).
func (m *Map) LinkBucket(id int32, loc Location) error {
	b, err := m.existingBucket(id)
	if err != nil {
		return err
	}
	return m.insert(id, throughFloat(b.Weight), m.itemName(id), loc, false)
}

// existingBucket is a bucket that a command names.
func (m *Map) existingBucket(id int32) (*Bucket, error) {
	if id >= 0 {
		return nil, fail(ceph.EINVAL, "item %d is not a bucket", id)
	}
	b := m.Bucket(id)
	if b == nil {
		return nil, fail(ceph.ENOENT, "bucket %d does not exist", id)
	}
	return b, nil
}

// CreateOrMove puts an item at a place; one that is in the map already keeps its weight
// (`osd crush create-or-move`).
func (m *Map) CreateOrMove(id int32, weight uint32, name string, loc Location) (changed bool,
	err error) {
	if !ValidName(name) {
		return false, fail(ceph.EINVAL, "name '%s' does not match [-_.0-9a-zA-Z]+", name)
	}
	if _, ok := m.CheckLocation(id, loc); ok {
		return false, nil
	}
	if m.Holds(id) {
		old, _ := m.ItemWeight(id)
		weight = throughFloat(old)
		if err := m.RemoveItem(id, true); err != nil {
			return false, err
		}
	}
	return true, m.InsertItem(id, weight, name, loc)
}

// UpdateItem sets an item's weight, name and place (`osd crush set`, update_item); changed says
// whether anything did.
func (m *Map) UpdateItem(id int32, weight uint32, name string, loc Location) (changed bool,
	err error) {
	if err := m.checkInsert(id, weight, name, loc); err != nil {
		return false, err
	}
	old, ok := m.CheckLocation(id, loc)
	if !ok {
		if _, named := m.Names[id]; named {
			if err := m.RemoveItem(id, true); err != nil {
				return false, err
			}
		}
		return true, m.InsertItem(id, weight, name, loc)
	}
	if old != weight {
		m.adjustIn(id, weight, loc, true)
		if err := m.RebuildShadows(); err != nil {
			return false, err
		}
		changed = true
	}
	if m.Names[id] != name {
		if err := m.SetItemName(id, name); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}
