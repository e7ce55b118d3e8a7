package scrub

import (
	"fmt"
	"glue/cluster/inconsistent"
	"glue/osd/snaps"
	"strings"

	"glue/ceph"
	"glue/cluster/pginfo"
)

// countObject adds an object to the sums, and its errors.
func (c *Comparer) countObject(r *Record, group []int, out *Comparison) {
	n := &r.counts
	defer func() { out.Counts.add(n) }()
	missing, odd := false, false
	for i := range r.Shards {
		s := &r.Shards[i]
		n.count(s.Errors, shallowShard, deepShard)
		missing = missing || s.Errors&inconsistent.ShardMissing != 0
		odd = odd || s.differs || s.Errors&^inconsistent.ShardMissing != 0
	}
	n.count(r.Errors, shallowObject, deepObject)
	if r.Remove && !missing && r.Errors == 0 {
		n.Shallow++
	}
	if missing {
		n.Missing++
	}
	if odd {
		n.Inconsistent++
	}
	s := r.counted(group)
	if s == nil || r.Remove {
		return
	}
	n.Objects++
	if snaps.IsClone(r.Object) {
		n.Clones++ // its bytes are counted with the head, which knows them
	} else {
		n.Bytes += int64(s.info.Size) + snaps.AllBytes(s.info.Snaps)
	}
	if s.info.IsWhiteout() {
		n.Whiteouts++
	}
	if s.info.IsOmap() {
		n.Omap++
	}
	if s.info.IsDirty() {
		n.Dirty++
	}
	n.OmapKeys += int64(s.Object.OmapKeys)
	n.OmapBytes += int64(s.Object.OmapBytes)
	if s.Object.OmapKeys > c.LargeKeys || s.Object.OmapBytes > c.LargeBytes {
		n.LargeOmap++
		out.Large = append(out.Large, fmt.Sprintf("Large omap object found. Object: %v PG: %v "+
			"Key count: %d Size (bytes): %d", r.Object, ceph.PGID{Pool: r.Object.Pool,
			Seed: r.Object.Hash}, s.Object.OmapKeys, s.Object.OmapBytes))
	}
}

// counted is the copy that stands for the object: a right one, else one whose info can be read.
func (r *Record) counted(group []int) *Shard {
	if len(group) > 0 {
		return &r.Shards[group[0]]
	}
	var best *Shard
	for i := range r.Shards {
		s := &r.Shards[i]
		if s.there && s.info.Object == r.Object && (best == nil || s.Primary) {
			best = s
		}
	}
	return best
}

// stands is counted, else a copy whose info is bad: it is what a head or a clone is known by then.
func (r *Record) stands(s *Shard) *Shard {
	for i := range r.Shards {
		if s == nil && r.Shards[i].Errors&
			(inconsistent.ShardInfoMissing|inconsistent.ShardInfoCorrupted) != 0 {
			s = &r.Shards[i]
		}
	}
	return s
}

// lines says what is wrong, as Ceph does.
func (r *Record) lines(decided bool, out *Comparison) {
	add := func(format string, args ...any) {
		out.Lines = append(out.Lines, fmt.Sprintf(format, args...))
	}
	for i := range r.Shards {
		s := &r.Shards[i]
		switch {
		case r.Remove && s.there:
			add("shard %d %v : unexpected, it was deleted at %v", s.OSD, r.Object, r.Version)
		case s.Errors&inconsistent.ShardMissing != 0:
			add("shard %d %v : missing", s.OSD, r.Object)
		case len(s.notes) > 0 && s.Errors == 0 && !decided:
			add("soid %v : %s", r.Object, strings.Join(s.notes, ", "))
		case len(s.notes) > 0:
			add("shard %d soid %v : %s", s.OSD, r.Object, strings.Join(s.notes, ", "))
		case s.Errors != 0:
			add("shard %d soid %v : %s", s.OSD, r.Object, s.digests())
		}
	}
	if !decided {
		add("soid %v : failed to pick suitable auth object", r.Object)
	}
}

// digests says how the content differs from what the copy's own info has.
func (s *Shard) digests() string {
	var out []string
	if s.Errors&inconsistent.ShardDataMismatch != 0 {
		out = append(out, fmt.Sprintf("data_digest 0x%08x != data_digest 0x%08x from own oi",
			s.Object.Data, s.info.DataDigest))
	}
	if s.Errors&inconsistent.ShardOmapMismatch != 0 {
		out = append(out, fmt.Sprintf("omap_digest 0x%08x != omap_digest 0x%08x from own oi",
			s.Object.Omap, s.info.OmapDigest))
	}
	return strings.Join(out, ", ")
}

// flagNames are the flags of an object info as Ceph prints them.
var flagNames = []struct {
	bit  uint32
	name string
}{
	{pginfo.ObjectLost, "lost"}, {pginfo.ObjectWhiteout, "whiteout"},
	{pginfo.ObjectDirty, "dirty"}, {pginfo.ObjectOmap, "omap"},
	{pginfo.ObjectDataDigest, "data_digest"}, {pginfo.ObjectOmapDigest, "omap_digest"},
}

// describe is an object info in one line (operator<< of object_info_t).
func describe(i *pginfo.ObjectInfo) string {
	var flags []string
	for _, f := range flagNames {
		if i.Flags&f.bit != 0 {
			flags = append(flags, f.name)
		}
	}
	out := fmt.Sprintf("%v(%v %v %s s %d uv %d", i.Object, i.Version, i.LastReqID,
		strings.Join(flags, "|"), i.Size, i.UserVersion)
	if i.Flags&pginfo.ObjectDataDigest != 0 {
		out += fmt.Sprintf(" dd %x", i.DataDigest)
	}
	if i.Flags&pginfo.ObjectOmapDigest != 0 {
		out += fmt.Sprintf(" od %x", i.OmapDigest)
	}
	return out + fmt.Sprintf(" alloc_hint [%d %d %d])", i.ExpectedObjectSize,
		i.ExpectedWriteSize, i.AllocHintFlags)
}
