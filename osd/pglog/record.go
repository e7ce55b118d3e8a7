package pglog

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
)

// A Record is what the store's log keeps for one version: an entry with the fast-changing part of
// the copy's info, so that a write stores nothing else of it; or a request below the tail.
type Record struct {
	Entry *Entry
	Dup   *Dup
	// Of an entry: the log's tail, and the counts, after it.
	Tail  ceph.Eversion
	Stats pginfo.Stats
}

const (
	recordEntry = 1
	recordDup   = 2
)

// EncodeEntry is the record of an entry.
func EncodeEntry(e *Entry, tail ceph.Eversion, s *pginfo.Stats) []byte {
	c := denc.NewEncoder(make([]byte, 0, 384), ceph.FeaturesAll)
	c.U8Const(recordEntry)
	e.Denc(c)
	tail.Denc(c)
	fastStats(c, s)
	return c.Bytes()
}

// EncodeDup is the record of a request below the tail.
func EncodeDup(d *Dup) []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	c.U8Const(recordDup)
	d.Denc(c)
	return c.Bytes()
}

// fastStats are the counts that writes change.
func fastStats(c *denc.Coder, s *pginfo.Stats) {
	for _, p := range [...]*int64{&s.Objects, &s.Bytes, &s.ObjectsOmap, &s.ObjectsDirty,
		&s.Writes, &s.WrittenKiB} {
		c.I64(p)
	}
}

// DecodeRecord reads a record.
func DecodeRecord(b []byte) (Record, error) {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	var r Record
	switch kind := c.U8Const(0); kind {
	case recordEntry:
		r.Entry = new(Entry)
		r.Entry.Denc(c)
		r.Tail.Denc(c)
		fastStats(c, &r.Stats)
	case recordDup:
		r.Dup = new(Dup)
		r.Dup.Denc(c)
	default:
		c.Invalid("log record of kind %d", kind)
	}
	if err := c.Err(); err != nil {
		return r, fmt.Errorf("decode log record: %w", err)
	}
	return r, nil
}
