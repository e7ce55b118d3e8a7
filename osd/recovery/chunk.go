package recovery

import (
	"math/bits"
	"slices"

	"glue/ceph"
)

// ChunkObjects is how many objects of a backfill are compared at a time.
const ChunkObjects = 32

// A Chunk is the run of objects that a backfill target is at: (Begin, End]. Up to Begin the target
// has everything and takes every write, beyond End it only takes the log. Inside, it takes the
// writes to objects that are the same on both sides; those to the others reach it with the object,
// so that no write waits but those to an object that is on its way.
type Chunk struct {
	Begin, End ceph.HObject
	mine       map[ceph.HObject]ceph.Eversion
	theirs     map[ceph.HObject]ceph.Eversion
	changed    map[ceph.HObject]bool // written while the target was asked what it has
	todo       []ceph.HObject        // in their order
	pushing    map[ceph.HObject]bool
	scanning   bool
}

// NewChunk begins a chunk with the objects that the primary has in it. The target is to be asked
// what it has.
func NewChunk(begin, end ceph.HObject, mine map[ceph.HObject]ceph.Eversion) *Chunk {
	return &Chunk{Begin: begin, End: end, mine: mine, changed: map[ceph.HObject]bool{},
		pushing: map[ceph.HObject]bool{}, scanning: true}
}

// Covers says whether an object is in the chunk.
func (c *Chunk) Covers(o ceph.HObject) bool {
	return o.Compare(c.Begin) > 0 && o.Compare(c.End) <= 0
}

// Scanning says whether the target has not yet answered.
func (c *Chunk) Scanning() bool { return c.scanning }

// Wrote takes a write to an object of the chunk, and to a clone of it if one is given, and says
// whether the target gets it too, or only its entries of the log: it needs both as they were for
// that.
func (c *Chunk) Wrote(o, clone ceph.HObject) bool {
	if clone == (ceph.HObject{}) {
		clone = o
	}
	if c.scanning {
		c.changed[o], c.changed[clone] = true, true
		return false
	}
	if !c.behind(o) && !c.behind(clone) {
		return true
	}
	c.add(o)
	c.add(clone)
	return false
}

// behind says whether an object is still to be copied, or on its way.
func (c *Chunk) behind(o ceph.HObject) bool {
	_, waits := c.find(o)
	return waits || c.pushing[o]
}

func (c *Chunk) add(o ceph.HObject) {
	if i, found := c.find(o); !found && !c.pushing[o] {
		c.todo = slices.Insert(c.todo, i, o)
	}
}

// Scanned compares the chunk with what the target has. It returns how many objects are the same
// there, and those that it has to remove with their versions.
func (c *Chunk) Scanned(objects []ceph.HObject, versions []ceph.Eversion) (same int,
	remove []ceph.HObject, removed []ceph.Eversion,
) {
	c.scanning = false
	theirs := make(map[ceph.HObject]ceph.Eversion, len(objects))
	for i, o := range objects {
		theirs[o] = versions[i]
		if _, ok := c.mine[o]; !ok && !c.changed[o] && c.Covers(o) {
			remove, removed = append(remove, o), append(removed, versions[i])
		}
	}
	for o := range c.changed {
		c.todo = append(c.todo, o)
	}
	for o, v := range c.mine {
		switch {
		case c.changed[o]:
		case theirs[o] == v:
			same++
		default:
			c.todo = append(c.todo, o)
		}
	}
	slices.SortFunc(c.todo, ceph.HObject.Compare)
	c.changed, c.theirs = nil, theirs
	return same, remove, removed
}

func (c *Chunk) find(o ceph.HObject) (int, bool) {
	return slices.BinarySearchFunc(c.todo, o, ceph.HObject.Compare)
}

// Mine are the objects that the primary had in the chunk when it began, Of those that the target
// had, Pushing those that are on their way. Not to be modified.
func (c *Chunk) Mine() map[ceph.HObject]ceph.Eversion { return c.mine }
func (c *Chunk) Of() map[ceph.HObject]ceph.Eversion   { return c.theirs }
func (c *Chunk) Pushing() map[ceph.HObject]bool       { return c.pushing }

// Theirs is the version that the target has of an object of Todo; zero for none.
func (c *Chunk) Theirs(o ceph.HObject) ceph.Eversion { return c.theirs[o] }

// Todo are the objects that have to be copied and have not been begun. Not to be modified.
func (c *Chunk) Todo() []ceph.HObject { return c.todo }

// Begun says that an object of Todo is on its way; false when it is not one.
func (c *Chunk) Begun(o ceph.HObject) bool {
	i, ok := c.find(o)
	if ok {
		c.todo = slices.Delete(c.todo, i, i+1)
		c.pushing[o] = true
	}
	return ok
}

// Copied says that the target has an object now, or no longer has one that is gone here.
func (c *Chunk) Copied(o ceph.HObject) { delete(c.pushing, o) }

// Failed puts an object back that could not be sent.
func (c *Chunk) Failed(o ceph.HObject) {
	if !c.pushing[o] {
		return
	}
	delete(c.pushing, o)
	if i, ok := c.find(o); !ok {
		c.todo = slices.Insert(c.todo, i, o)
	}
}

// Done says whether the target is the same as the primary all over the chunk.
func (c *Chunk) Done() bool { return !c.scanning && len(c.todo) == 0 && len(c.pushing) == 0 }

// Share is about how much of a PG lies up to an object, in the order of backfill: that of the
// reversed hashes, of which a pool of pgNum PGs leaves the first bits to the PG.
func Share(last ceph.HObject, pgNum uint32) float64 {
	if last.Max {
		return 1
	}
	if last.IsMin() {
		return 0
	}
	rest := bits.Reverse32(last.Hash) << (bits.Len32(max(pgNum, 1)) - 1)
	return float64(rest) / (1 << 32)
}
