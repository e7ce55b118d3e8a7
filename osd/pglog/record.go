package pglog

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
)

// A Record is what the store's log keeps for one version: an entry with the fast-changing part of
// the copy's info, so that a write stores nothing else of it; or requests below the tail.
type Record struct {
	Entry *Entry
	Dups  []Dup
	// Of an entry: the log's tail, and the counts, after it.
	Tail  ceph.Eversion
	Stats pginfo.Stats
}

const (
	recordEntry = 1
	recordDup   = 2 // one
	recordDups  = 3
	// recordEntry2 has the counts of clones and whiteouts besides.
	recordEntry2 = 4
)

// EncodeEntry is the record of an entry.
func EncodeEntry(e *Entry, tail ceph.Eversion, s *pginfo.Stats) []byte {
	c := denc.NewEncoder(make([]byte, 0, 384), ceph.FeaturesAll)
	c.U8Const(recordEntry2)
	e.Denc(c)
	tail.Denc(c)
	fastStats(c, s, recordEntry2)
	return c.Bytes()
}

// GroupDups is how many requests below the tail one record has, or a few more.
const GroupDups = 128

// EachDups calls f for the records of requests below the tail, which are ascending; their versions
// are too, and all different, though several requests may have one version after a merge of PGs.
func EachDups(dups []Dup, f func(v ceph.Eversion, record []byte)) {
	for len(dups) > 0 {
		n := min(GroupDups, len(dups))
		for n < len(dups) && dups[n].Version == dups[n-1].Version {
			n++
		}
		c := denc.NewEncoder(nil, ceph.FeaturesAll)
		c.U8Const(recordDups)
		group := dups[:n]
		denc.List(c, &group)
		f(group[n-1].Version, c.Bytes())
		dups = dups[n:]
	}
}

// counts are those that writes change.
func counts(s *pginfo.Stats) [8]*int64 {
	return [...]*int64{&s.Objects, &s.Bytes, &s.ObjectsOmap, &s.ObjectsDirty, &s.Writes,
		&s.WrittenKiB, &s.ObjectsClone, &s.Whiteouts}
}

func fastStats(c *denc.Coder, s *pginfo.Stats, kind uint8) {
	all := counts(s)
	some := all[:]
	if kind == recordEntry {
		some = all[:6]
	}
	for _, p := range some {
		c.I64(p)
	}
}

// SetFastStats takes the counts that a record carries over from the statistics after a write.
func SetFastStats(s, from *pginfo.Stats) {
	to, was := counts(s), counts(from)
	for i := range to {
		*to[i] = *was[i]
	}
}

// DecodeRecord reads a record.
func DecodeRecord(b []byte) (Record, error) {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	var r Record
	switch kind := c.U8Const(0); kind {
	case recordEntry, recordEntry2:
		r.Entry = new(Entry)
		r.Entry.Denc(c)
		r.Tail.Denc(c)
		fastStats(c, &r.Stats, kind)
	case recordDup:
		r.Dups = make([]Dup, 1)
		r.Dups[0].Denc(c)
	case recordDups:
		denc.List(c, &r.Dups)
	default:
		c.Invalid("log record of kind %d", kind)
	}
	if err := c.Err(); err != nil {
		return r, fmt.Errorf("decode log record: %w", err)
	}
	return r, nil
}

// A MissingItem is an object of a missing set with what is known of it, as it is stored and sent.
type MissingItem struct {
	Object ceph.HObject
	Item   Item
}

// Denc is a section of our own.
func (i *MissingItem) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	i.Object.Denc(c)
	i.Item.Need.Denc(c)
	i.Item.Have.Denc(c)
	s.End()
}
