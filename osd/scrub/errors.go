package scrub

// Errors of one copy of an object (librados::err_t).
const (
	ShardMissing     uint64 = 1 << 1
	ShardStatError   uint64 = 1 << 2
	ShardReadError   uint64 = 1 << 3
	DataMismatchInfo uint64 = 1 << 9
	OmapMismatchInfo uint64 = 1 << 10
	SizeMismatchInfo uint64 = 1 << 11 // not the size that the chosen object info says
	InfoMissing      uint64 = 1 << 14
	InfoCorrupted    uint64 = 1 << 15
	SizeMismatchOwn  uint64 = 1 << 18 // not the size that its own object info says

	shallowShard = ShardMissing | ShardStatError | SizeMismatchInfo | InfoMissing |
		InfoCorrupted | SizeMismatchOwn
	deepShard = ShardReadError | DataMismatchInfo | OmapMismatchInfo
)

// Errors of an object, in which its copies differ (librados::obj_err_t).
const (
	InfoInconsistency uint64 = 1 << 1
	DataMismatch      uint64 = 1 << 4
	OmapMismatch      uint64 = 1 << 5
	SizeMismatch      uint64 = 1 << 6
	AttrValueMismatch uint64 = 1 << 7
	AttrNameMismatch  uint64 = 1 << 8

	shallowObject = InfoInconsistency | SizeMismatch | AttrValueMismatch | AttrNameMismatch
	deepObject    = DataMismatch | OmapMismatch
)

// count adds one error to the deep or the shallow ones, if there is any in bits.
func (c *Counts) count(bits, shallow, deep uint64) {
	switch {
	case bits&deep != 0:
		c.Deep++
	case bits&shallow != 0:
		c.Shallow++
	}
}
