package scrub

import (
	"bytes"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/inconsistent"
	"glue/osd/snaps"
	"glue/store/objectstore"
)

// A SnapRecord is a head or a clone that do not fit together.
type SnapRecord struct {
	Object  ceph.HObject
	Errors  uint64
	Clones  []ceph.SnapID // of a head: that it does not know
	Missing []ceph.SnapID // of a head: that it knows and that are not there
	set     []byte
}

// stock is the record for clients.
func (r *SnapRecord) stock() *inconsistent.Snapset {
	return &inconsistent.Snapset{Object: inconsistent.NameOf(r.Object), Errors: r.Errors,
		Clones: r.Clones, Missing: r.Missing, Raw: r.set}
}

// stockSet is a set in the form of Ceph's SnapSet, version 3, for clients.
type stockSet struct{ *snaps.Set }

// Denc is SnapSet's encoding. It is never decoded here.
func (s stockSet) Denc(c *denc.Coder) {
	each := func(f func(n *snaps.Clone)) {
		c.U32Const(uint32(len(s.Clones)))
		for i := range s.Clones {
			f(&s.Clones[i])
		}
	}
	sec := c.Begin(3, 2)
	s.Seq.Denc(c)
	head := true
	c.Bool(&head)
	c.U32Const(0) // snaps as of old
	each(func(n *snaps.Clone) { n.ID.Denc(c) })
	each(func(n *snaps.Clone) {
		n.ID.Denc(c)
		c.U32Const(uint32(len(n.Overlap)))
		for _, r := range n.Overlap {
			c.U64Const(r.Begin)
			c.U64Const(r.End - r.Begin)
		}
	})
	each(func(n *snaps.Clone) { n.ID.Denc(c); c.U64(&n.Size) })
	each(func(n *snaps.Clone) { n.ID.Denc(c); denc.List(c, &n.Snaps) })
	sec.End()
}

// A family looks at the objects of one name, given from the head down to the oldest clone.
type family struct {
	out   *Comparison
	head  *SnapRecord // nil while no head has come
	known *snaps.Set  // nil if the head can't be read
	left  []snaps.Clone
	bad   bool // a clone is
}

// families checks that heads and clones of a chunk fit together: of each object, the copy that
// counts.
func families(seen []*Shard, names []ceph.HObject, out *Comparison) {
	f := &family{out: out}
	for i := len(names) - 1; i >= 0; i-- {
		o, s := names[i], seen[i]
		if f.head != nil && f.head.Object != o.Head() {
			f.end()
		}
		if o.Snap == ceph.NoSnap {
			f.begin(o, s)
		} else {
			f.clone(o, s)
		}
	}
	f.end()
}

func (f *family) say(format string, args ...any) {
	f.out.Counts.Shallow++
	f.out.Counts.Snapsets++
	f.out.Lines = append(f.out.Lines, fmt.Sprintf(format, args...))
}

func (f *family) begin(o ceph.HObject, s *Shard) {
	*f = family{out: f.out, head: &SnapRecord{Object: o}}
	switch {
	case s == nil || s.Errors&inconsistent.ShardInfoCorrupted != 0:
		f.head.Errors = inconsistent.CloneInfoMissing | inconsistent.CloneCorrupted |
			inconsistent.SnapsetCorrupted
	case s.Errors&inconsistent.ShardInfoMissing != 0:
		f.head.Errors = inconsistent.CloneInfoMissing | inconsistent.SnapsetMissing
	default:
		f.known = &snaps.Set{}
		if s.info.Snaps != nil {
			f.known = s.info.Snaps
			f.head.set = denc.Marshal(stockSet{f.known}, ceph.FeaturesAll)
		}
		f.left = f.known.Clones
		if f.known.Seq == 0 && len(f.left) > 0 {
			f.head.Errors |= inconsistent.SnapsetError
			f.say("%v : snaps.seq not set", o)
		}
		f.size(f.head, s)
	}
}

// expect takes the clones off that have to be there down to a snapshot, exclusive.
func (f *family) expect(down ceph.SnapID) {
	for n := len(f.left); n > 0 && f.left[n-1].ID > down; n-- {
		clone := f.head.Object
		clone.Snap = f.left[n-1].ID
		f.head.Errors |= inconsistent.CloneMissing
		f.head.Missing = append(f.head.Missing, clone.Snap)
		f.say("%v : expected clone %v missing", f.head.Object, clone)
		f.left = f.left[:n-1]
	}
}

func (f *family) clone(o ceph.HObject, s *Shard) {
	if f.head != nil {
		f.expect(o.Snap)
	}
	n := len(f.left)
	if n == 0 || f.left[n-1].ID != o.Snap {
		what := "is an unexpected clone"
		if f.head != nil {
			f.head.Clones = append(f.head.Clones, o.Snap)
			f.head.Errors |= inconsistent.ExtraClones
			if f.known == nil {
				what = "clone ignored due to missing snapset"
			}
		}
		f.say("%v : %s", o, what)
		f.add(&SnapRecord{Object: o, Errors: inconsistent.HeadlessClone})
		return
	}
	c := f.left[n-1]
	f.left = f.left[:n-1]
	r := &SnapRecord{Object: o}
	switch {
	case s == nil || s.Errors&inconsistent.ShardInfoCorrupted != 0:
		r.Errors = inconsistent.CloneInfoMissing | inconsistent.CloneCorrupted
	case s.Errors&inconsistent.ShardInfoMissing != 0:
		r.Errors = inconsistent.CloneInfoMissing
	default:
		f.size(r, s)
		if s.info.Size != c.Size {
			f.say("%v : size %d != clone_size %d", o, s.info.Size, c.Size)
			r.Errors |= inconsistent.CloneSizeError
		}
		if tags := s.Object.Attrs[objectstore.TagAttr]; !bytes.Equal(tags, snaps.Attr(c.Snaps)) {
			f.say("%v : its snapshots %x are not those that its head knows, %v", o, tags, c.Snaps)
			r.Errors |= inconsistent.SnapsetError
		}
	}
	if r.Errors != 0 {
		f.add(r)
	}
}

// size notes that the copy that stands for an object is not as long as it should be.
func (f *family) size(r *SnapRecord, s *Shard) {
	if s.Object.Size != s.info.Size {
		r.Errors |= inconsistent.CloneSizeError
		f.say("%v : on disk size (%d) does not match object info size (%d)", r.Object,
			s.Object.Size, s.info.Size)
	}
}

func (f *family) add(r *SnapRecord) {
	f.bad = true
	f.out.Snapsets = append(f.out.Snapsets, *r)
}

// end is that of a name.
func (f *family) end() {
	if f.head != nil {
		if f.expect(0); len(f.head.Missing) > 0 {
			f.out.Lines = append(f.out.Lines, fmt.Sprintf("%v : %d missing clone(s)",
				f.head.Object, len(f.head.Missing)))
		}
		if f.bad || f.head.Errors != 0 {
			f.out.Snapsets = append(f.out.Snapsets, *f.head)
		}
	}
	*f = family{out: f.out}
}

// sorted are the records by object, as they are listed.
func sorted(list []SnapRecord) []SnapRecord {
	slices.SortStableFunc(list, func(a, b SnapRecord) int { return a.Object.Compare(b.Object) })
	return list
}
