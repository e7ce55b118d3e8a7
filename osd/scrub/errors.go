package scrub

import "glue/cluster/inconsistent"

// Which errors a shallow scrub finds, and which a deep one only.
const (
	shallowShard = inconsistent.ShardMissing | inconsistent.ShardStatError |
		inconsistent.ShardSizeMismatch | inconsistent.ShardInfoMissing |
		inconsistent.ShardInfoCorrupted | inconsistent.ShardObjectMismatch
	deepShard = inconsistent.ShardReadError | inconsistent.ShardDataMismatch |
		inconsistent.ShardOmapMismatch
	shallowObject = inconsistent.InfoInconsistency | inconsistent.SizeMismatch |
		inconsistent.AttrValueMismatch | inconsistent.AttrNameMismatch
	deepObject = inconsistent.DataMismatch | inconsistent.OmapMismatch
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
