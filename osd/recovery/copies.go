package recovery

import "glue/ceph"

// Copies are copies of objects by the OSD that has them, about each of which there is something to
// remember. Make it before use.
type Copies map[int32]map[ceph.HObject]bool

// Add notes the copy of an object on an OSD.
func (c Copies) Add(osd int32, o ceph.HObject) {
	if c[osd] == nil {
		c[osd] = map[ceph.HObject]bool{}
	}
	c[osd][o] = true
}

// Has says whether a copy was noted.
func (c Copies) Has(osd int32, o ceph.HObject) bool { return c[osd][o] }

// Remove forgets a copy.
func (c Copies) Remove(osd int32, o ceph.HObject) { delete(c[osd], o) }

// Any says whether any copy of an object was noted.
func (c Copies) Any(o ceph.HObject) bool {
	for _, objects := range c {
		if objects[o] {
			return true
		}
	}
	return false
}
