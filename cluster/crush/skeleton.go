package crush

import (
	"io"

	"glue/ceph"
	"glue/ceph/denc"
)

// Error is an answer to an operator: the errno of the reply and the text beside it.
// errors.Is and errors.As find the errno.
type Error struct {
	Errno ceph.Errno
	Text  string
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Denc is the map's binary form, with the tail fields that the peer's features allow.
func (m *Map) Denc(c *denc.Coder) {}

// Compile reads the text form (`crushtool -c`).
func Compile(text string) (*Map, error) { return nil, nil }

// Decompile writes the text form (`crushtool -d`).
func Decompile(w io.Writer, m *Map) error { return nil }

// Validate says what is wrong with the map's structure, or nil.
func (m *Map) Validate() error { return nil }

// Do places x by a rule on at most max devices. weights are the devices' in-weights (16.16,
// index is the device; missing ones are out) and args the pool's choose_args (the pool's id, or
// DefaultArgs). Indep rules leave None in places that stay empty.
func (m *Map) Do(rule int, x uint32, max int, weights []uint32, args int64) []int32 { return nil }

// Default is the map of a new cluster: the stock types, a root "default", hosts if osds > 0
// (all on one), and "replicated_rule" over failureDomain (usually "host").
func Default(osds int, failureDomain string) (*Map, error) { return New(), nil }

// A Location places an item: type name -> bucket name.
type Location map[string]string

// ParseLocation reads arguments of the form type=name.
func ParseLocation(args []string) (Location, error) { return nil, nil }

// Reading.

// Bucket is the bucket with an id, or nil.
func (m *Map) Bucket(id int32) *Bucket { return nil }

// ItemID is the id of a device or bucket name.
func (m *Map) ItemID(name string) (int32, bool) { return 0, false }

// TypeID is the number of a type name.
func (m *Map) TypeID(name string) (int32, bool) { return 0, false }

// ClassID is the number of a device class.
func (m *Map) ClassID(name string) (int32, bool) { return 0, false }

// ItemClass is the device class of a device or shadow bucket, or "".
func (m *Map) ItemClass(id int32) string { return "" }

// IsShadow says whether an item belongs to a class's shadow tree.
func (m *Map) IsShadow(id int32) bool { return false }

// RuleID is the number of a rule name.
func (m *Map) RuleID(name string) (int, bool) { return 0, false }

// Rule is a rule, or nil.
func (m *Map) Rule(id int) *Rule { return nil }

// FindRule is the rule that serves a pool's ruleset, type and size, or -1 (crush_find_rule).
func (m *Map) FindRule(ruleset, poolType, size int) int { return -1 }

// FirstRule is the lowest rule of a pool type, or -1 (find_first_ruleset).
func (m *Map) FirstRule(poolType int) int { return -1 }

// ItemWeight is an item's weight where it first occurs.
func (m *Map) ItemWeight(id int32) (uint32, bool) { return 0, false }

// Parent is the bucket, not a shadow one, that holds an item.
func (m *Map) Parent(id int32) (int32, bool) { return 0, false }

// A Coordinate is one level of an item's place.
type Coordinate struct{ Type, Name string }

// FullLocation is an item's place, from its parent upwards.
func (m *Map) FullLocation(id int32) []Coordinate { return nil }

// Contains says whether item is root or below it.
func (m *Map) Contains(root, item int32) bool { return false }

// Leaves are the devices below an item, in map order, each once.
func (m *Map) Leaves(id int32) []int32 { return nil }

// RuleWeights is the share of a rule's data that each device gets by weight
// (get_rule_weight_osd_map).
func (m *Map) RuleWeights(rule int) map[int32]float32 { return nil }

// A Node is one row of a tree walk.
type Node struct {
	ID       int32
	Parent   int32 // 0 for a root
	Depth    int
	Weight   float32 // as its parent holds it; a root's own
	Children []int32 // in the order of the rows
}

// TreeOptions choose the rows of Tree.
type TreeOptions struct {
	Shadow    bool             // shadow trees too
	Root      string           // only below this bucket
	Leaf      func(int32) bool // which devices; nil: all
	SkipEmpty bool             // leave out buckets with no chosen device below
}

// Tree is the depth-first walk behind `osd tree`, `osd crush tree` and `osd df tree`
// (CrushTreeDumper).
func (m *Map) Tree(o TreeOptions) []Node { return nil }

// Editing: only on a map that is not published. Errors are *Error.

// SetProfile sets the tunables of a named profile (`osd crush tunables`).
func (m *Map) SetProfile(name string) error { return nil }

// AddBucket adds a bucket; id 0 takes the next free one, alg 0 the default.
func (m *Map) AddBucket(id int32, alg Alg, typ uint16, name string) (int32, error) { return 0, nil }

// InsertItem puts an item at a place, makes the buckets that are missing (`osd crush add`).
func (m *Map) InsertItem(id int32, weight uint32, name string, loc Location) error { return nil }

// UpdateItem sets an item's weight, name and place (`osd crush set`); changed says if anything
// did.
func (m *Map) UpdateItem(id int32, weight uint32, name string, loc Location) (changed bool,
	err error) {
	return false, nil
}

// CreateOrMove puts an item at a place and keeps its weight if it has one
// (`osd crush create-or-move`).
func (m *Map) CreateOrMove(id int32, weight uint32, name string, loc Location) (changed bool,
	err error) {
	return false, nil
}

// MoveBucket moves a bucket with all below it.
func (m *Map) MoveBucket(id int32, loc Location) error { return nil }

// LinkBucket puts a bucket at one more place.
func (m *Map) LinkBucket(id int32, loc Location) error { return nil }

// CheckLocation says whether an item is at the most specific place that loc names, and with
// which weight.
func (m *Map) CheckLocation(id int32, loc Location) (weight uint32, ok bool) { return 0, false }

// RemoveItem removes an item everywhere; unlink keeps a bucket itself.
func (m *Map) RemoveItem(id int32, unlink bool) error { return nil }

// RemoveItemUnder removes an item below an ancestor.
func (m *Map) RemoveItemUnder(id, ancestor int32, unlink bool) error { return nil }

// AdjustItemWeight sets an item's weight wherever it occurs, passes the change upwards, and says
// in how many places (`osd crush reweight`).
func (m *Map) AdjustItemWeight(id int32, weight uint32) (int, error) { return 0, nil }

// AdjustSubtreeWeight sets the weight of all devices below a bucket
// (`osd crush reweight-subtree`).
func (m *Map) AdjustSubtreeWeight(id int32, weight uint32) (int, error) { return 0, nil }

// ReweightAll recomputes all bucket weights from the devices up (`osd crush reweight-all`).
func (m *Map) ReweightAll() error { return nil }

// RenameBucket renames a bucket.
func (m *Map) RenameBucket(from, to string) error { return nil }

// RenameItem renames a device or bucket.
func (m *Map) RenameItem(from, to string) error { return nil }

// SwapBucket exchanges the contents and names of two buckets.
func (m *Map) SwapBucket(a, b int32) error { return nil }

// SetDeviceClass binds a device to a class (`osd crush set-device-class`).
func (m *Map) SetDeviceClass(id int32, class string) (changed bool, err error) { return false, nil }

// RemoveDeviceClass unbinds a device from its class.
func (m *Map) RemoveDeviceClass(id int32) error { return nil }

// RenameClass renames a device class and its shadow buckets.
func (m *Map) RenameClass(from, to string) error { return nil }

// RebuildShadows makes the shadow trees anew, with the ids they had.
func (m *Map) RebuildShadows() error { return nil }

// A SimpleRule is what `osd crush rule create-replicated` and its kin ask for.
type SimpleRule struct {
	Name, Root    string
	FailureDomain string // type name; "" is the device
	Class         string // "": any
	Indep         bool   // for erasure pools
	Type          uint8  // TypeReplicated or TypeErasure
}

// AddSimpleRule adds a rule at the lowest free number.
func (m *Map) AddSimpleRule(r SimpleRule) (int, error) { return 0, nil }

// RemoveRule removes a rule.
func (m *Map) RemoveRule(id int) error { return nil }

// RenameRule renames a rule.
func (m *Map) RenameRule(from, to string) error { return nil }
