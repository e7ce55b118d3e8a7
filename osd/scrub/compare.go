package scrub

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/inconsistent"
	"glue/cluster/pginfo"
	"glue/osd/ops"
)

// A Copy is the map of one OSD.
type Copy struct {
	OSD int32
	Map *Map
}

// A Hint is what the PG's log says of an object.
type Hint struct {
	Version ceph.Eversion // of its newest entry; zero for none
	Deleted bool          // which is its end
}

// A Shard is one copy in a record.
type Shard struct {
	OSD      int32
	Primary  bool
	Errors   uint64
	Object   Object // unless it is missing
	Selected bool   // its object info is the right one

	info    pginfo.ObjectInfo
	there   bool
	notes   []string
	differs bool
}

// A Record is an object whose copies do not agree, or one copy of which is bad.
type Record struct {
	Object ceph.HObject
	Errors uint64 // of the object
	Shards []Shard
	// Auth is the copy that is right, -1 if that can't be decided. Version is its version; Bad are
	// the copies to be made anew from it.
	Auth    int32
	Version ceph.Eversion
	Bad     []int32
	// Remove: the log says that the object was deleted; Bad still have it.
	Remove bool

	counts Counts
}

// Disputed says whether it can't be decided what is right.
func (r *Record) Disputed() bool { return r.Auth < 0 && !r.Remove }

// Counts sum up what has been scrubbed. Of each object, the right copy counts.
type Counts struct {
	Objects, Bytes, Omap, Dirty int64
	Clones, Whiteouts           int64
	OmapKeys, OmapBytes         int64
	LargeOmap                   int64
	Shallow, Deep               int64 // errors
	Missing, Inconsistent       int64 // objects with copies that are
	Snapsets                    int64 // of Shallow: heads and clones that do not fit together
}

func (c *Counts) add(d *Counts) {
	c.Objects += d.Objects
	c.Bytes += d.Bytes
	c.Omap += d.Omap
	c.Dirty += d.Dirty
	c.Clones += d.Clones
	c.Whiteouts += d.Whiteouts
	c.OmapKeys += d.OmapKeys
	c.OmapBytes += d.OmapBytes
	c.LargeOmap += d.LargeOmap
	c.Shallow += d.Shallow
	c.Deep += d.Deep
	c.Missing += d.Missing
	c.Inconsistent += d.Inconsistent
	c.Snapsets += d.Snapsets
}

// A Comparison is what the maps of one chunk say.
type Comparison struct {
	Counts  Counts
	Records []Record
	// Snapsets are heads and clones that do not fit together.
	Snapsets []SnapRecord
	Lines    []string // for the cluster log, without the PG's id
	Large    []string // likewise, of large omaps
}

// A Comparer knows what is the same for all objects of a scrub.
type Comparer struct {
	Primary int32
	Hint    func(ceph.HObject) Hint
	// LargeKeys and LargeBytes are from when on an omap is large.
	LargeKeys, LargeBytes uint64
}

// Compare compares the copies' maps up to end.
func (c *Comparer) Compare(copies []Copy, end ceph.HObject) *Comparison {
	out := &Comparison{}
	at := map[ceph.HObject]map[int32]*Object{}
	for _, cp := range copies {
		for i, o := range cp.Map.Names {
			if o.Compare(end) >= 0 {
				break
			}
			if at[o] == nil {
				at[o] = map[int32]*Object{}
			}
			at[o][cp.OSD] = &cp.Map.Objects[i]
		}
	}
	slices.SortFunc(copies, func(a, b Copy) int { return int(a.OSD) - int(b.OSD) })
	var names []ceph.HObject
	var counted []*Shard
	for _, o := range slices.SortedFunc(maps.Keys(at), ceph.HObject.Compare) {
		r := &Record{Object: o, Auth: -1}
		for _, cp := range copies {
			s := Shard{OSD: cp.OSD, Primary: cp.OSD == c.Primary}
			if obj := at[o][cp.OSD]; obj != nil {
				s.Object, s.there = *obj, true
			}
			r.Shards = append(r.Shards, s)
		}
		if s := c.judge(r, out); !r.Remove {
			names, counted = append(names, o), append(counted, s)
		}
	}
	families(counted, names, out)
	return out
}

// judge finds what is wrong with one object, and returns the copy that stands for it; nil if none
// can be read.
func (c *Comparer) judge(r *Record, out *Comparison) *Shard {
	hint := c.Hint(r.Object)
	for i := range r.Shards {
		r.Shards[i].examine(r.Object)
	}
	group, decided := r.choose(hint)
	if len(group) > 0 {
		r.contrast(group[0])
	}
	switch {
	case r.deleted(hint):
		r.Remove, decided = true, true
		r.Version = hint.Version
	case decided:
		auth := &r.Shards[group[0]]
		auth.Selected = true
		r.Auth, r.Version = auth.OSD, auth.info.Version
	}
	for i := range r.Shards {
		s := &r.Shards[i]
		bad := s.Errors != 0 || s.differs || decided && !r.Remove && !slices.Contains(group, i)
		if r.Remove {
			bad = s.there
		}
		if bad && decided {
			r.Bad = append(r.Bad, s.OSD)
		}
	}
	c.countObject(r, group, out)
	if r.Errors != 0 || len(r.Bad) > 0 || !decided {
		r.lines(decided, out)
		out.Records = append(out.Records, *r)
	}
	return r.stands(r.counted(group))
}

// deleted says whether an object is still there that the log says was deleted.
func (r *Record) deleted(hint Hint) bool {
	if !hint.Deleted {
		return false
	}
	return !slices.ContainsFunc(r.Shards, func(s Shard) bool {
		return s.there && hint.Version.Less(s.info.Version)
	})
}

// note sets an error and says why.
func (s *Shard) note(bit uint64, format string, args ...any) {
	s.Errors |= bit
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// examine looks for what is wrong with a copy in itself.
func (s *Shard) examine(o ceph.HObject) {
	obj := &s.Object
	switch {
	case !s.there:
		s.Errors |= inconsistent.ShardMissing
		return
	case obj.StatError:
		s.note(inconsistent.ShardStatError, "candidate had a stat error")
		return
	case obj.ReadError:
		s.note(inconsistent.ShardReadError, "candidate had a read error")
	}
	raw, ok := obj.Attrs[ops.InfoAttr]
	if !ok {
		s.note(inconsistent.ShardInfoMissing, "candidate had a missing info key")
		return
	}
	if err := denc.Unmarshal(raw, &s.info, ceph.FeaturesAll); err != nil || s.info.Object != o {
		s.note(inconsistent.ShardInfoCorrupted, "candidate had a corrupt info")
		s.info = pginfo.ObjectInfo{}
		return
	}
	if obj.Size != s.info.Size {
		s.note(inconsistent.ShardObjectMismatch,
			"candidate size %d info size %d mismatch", obj.Size, s.info.Size)
	}
	if !obj.Deep {
		return
	}
	if s.info.Flags&pginfo.ObjectDataDigest != 0 && obj.Data != s.info.DataDigest {
		s.Errors |= inconsistent.ShardDataMismatch
	}
	if s.info.Flags&pginfo.ObjectOmapDigest != 0 && obj.Omap != s.info.OmapDigest {
		s.Errors |= inconsistent.ShardOmapMismatch
	}
}

// choose returns the copies that are right, the primary's first, and whether that is certain: they
// are in themselves without error, of the newest version or of the one that the log has, and no
// other content is held by as many. Without certainty the first is only for comparing with.
func (r *Record) choose(hint Hint) (group []int, decided bool) {
	var sound []int
	var newest ceph.Eversion
	logged := false
	for i := range r.Shards {
		if s := &r.Shards[i]; s.Errors == 0 {
			sound = append(sound, i)
			logged = logged || s.info.Version == hint.Version && !hint.Deleted
			if newest.Less(s.info.Version) {
				newest = s.info.Version
			}
		}
	}
	if logged {
		newest = hint.Version
	}
	var groups [][]int
	for _, i := range sound {
		s := &r.Shards[i]
		if s.info.Version != newest {
			continue
		}
		at := slices.IndexFunc(groups, func(g []int) bool {
			return same(&r.Shards[g[0]].Object, &s.Object)
		})
		if at < 0 {
			groups = append(groups, nil)
			at = len(groups) - 1
		}
		if s.Primary {
			groups[at] = slices.Insert(groups[at], 0, i)
		} else {
			groups[at] = append(groups[at], i)
		}
	}
	slices.SortStableFunc(groups, func(a, b []int) int { return len(b) - len(a) })
	switch {
	case len(groups) == 0:
		return nil, false
	case len(groups) > 1 && len(groups[0]) == len(groups[1]):
		return groups[0], false
	}
	return groups[0], true
}

// same says whether two sound copies hold the same.
func same(a, b *Object) bool {
	return a.Size == b.Size && a.Deep == b.Deep && a.Data == b.Data && a.Omap == b.Omap &&
		maps.EqualFunc(a.Attrs, b.Attrs, bytes.Equal)
}

// contrast compares every copy with the one that is right, or thought so.
func (r *Record) contrast(ref int) {
	auth := &r.Shards[ref]
	for i := range r.Shards {
		if s := &r.Shards[i]; i != ref && s.there && s.Errors&inconsistent.ShardStatError == 0 {
			r.contrastOne(s, auth)
		}
	}
}

func (r *Record) contrastOne(s, auth *Shard) {
	a, b := &auth.Object, &s.Object
	differs := func(bit uint64, format string, args ...any) {
		r.Errors |= bit
		s.differs = true
		s.notes = append(s.notes, fmt.Sprintf(format, args...))
	}
	oi := func() string { return describe(&auth.info) }
	if a.Deep && b.Deep && a.Data != b.Data {
		differs(inconsistent.DataMismatch,
			"data_digest 0x%08x != data_digest 0x%08x from shard %d", b.Data,
			a.Data, auth.OSD)
		if auth.info.Flags&pginfo.ObjectDataDigest != 0 && b.Data != auth.info.DataDigest {
			s.note(inconsistent.ShardDataMismatch,
				"data_digest 0x%08x != data_digest 0x%08x from auth oi %s",
				b.Data, auth.info.DataDigest, oi())
		}
	}
	if a.Deep && b.Deep && a.Omap != b.Omap {
		differs(inconsistent.OmapMismatch,
			"omap_digest 0x%08x != omap_digest 0x%08x from shard %d", b.Omap,
			a.Omap, auth.OSD)
		if auth.info.Flags&pginfo.ObjectOmapDigest != 0 && b.Omap != auth.info.OmapDigest {
			s.note(inconsistent.ShardOmapMismatch,
				"omap_digest 0x%08x != omap_digest 0x%08x from auth oi %s",
				b.Omap, auth.info.OmapDigest, oi())
		}
	}
	if b.Size != auth.info.Size {
		s.note(inconsistent.ShardSizeMismatch,
			"size %d != size %d from auth oi %s", b.Size, auth.info.Size,
			oi())
	}
	if a.Size != b.Size {
		differs(inconsistent.SizeMismatch,
			"size %d != size %d from shard %d", b.Size, a.Size, auth.OSD)
	}
	for _, k := range slices.Sorted(maps.Keys(a.Attrs)) {
		v, ok := b.Attrs[k]
		switch {
		case k == ops.InfoAttr:
			if ok && !bytes.Equal(v, a.Attrs[k]) && s.Errors&inconsistent.ShardInfoCorrupted == 0 {
				differs(inconsistent.InfoInconsistency, "object info inconsistent ")
			}
		case !ok:
			differs(inconsistent.AttrNameMismatch, "attr name mismatch '%s'", k)
		case !bytes.Equal(v, a.Attrs[k]):
			differs(inconsistent.AttrValueMismatch, "attr value mismatch '%s'", k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(b.Attrs)) {
		if _, ok := a.Attrs[k]; !ok && k != ops.InfoAttr {
			differs(inconsistent.AttrNameMismatch, "attr name mismatch '%s'", k)
		}
	}
}
