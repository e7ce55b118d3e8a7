// Package objectstore is the contract of one disk's store under an OSD: collections (one per PG
// copy) of objects with data, attributes and omap, and a log per collection, changed by
// transactions. Every implementation must pass store/storetest.
//
// Invariants: a transaction is visible to every later call as soon as Submit has returned nil,
// and survives any crash once its done function has been called without error; after a crash the
// surviving transactions are a prefix of those submitted, and include all that were done. Methods
// may be called from any goroutine; transactions on one collection take effect in the order of
// their Submit calls. An error that wraps ErrCorrupt starts a repair, it is never returned as data.
package objectstore

import (
	"errors"
	"iter"

	"glue/ceph"
)

// Errors of a store; test with errors.Is. Object and collection errors also are their Errno.
var (
	// ErrCorrupt is a checksum that did not match: read the object from another copy.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrFailed is a store that stopped because a write or sync failed, or its own records can't be
	// read. The daemon must exit.
	ErrFailed = errors.New("store has failed")
	// ErrBehind is a transaction that was not tried, since one before it in its chain was refused.
	ErrBehind = errors.New("a transaction before it was refused")
)

// TagAttr is an attribute by which objects are found: a list of ids, 8 bytes each, most significant
// first. See Store.Tagged.
const TagAttr = "snaps"

// A Stat is the shape of an object.
type Stat struct {
	Size uint64 // bytes
	// HasOmap is false only if the object has neither omap keys nor a header.
	HasOmap bool
}

// An Extent is a run of bytes within an object.
type Extent struct{ Off, Len uint64 }

// Usage is the space of a store, in bytes.
type Usage struct {
	Total, Available uint64
	Data, Stored     uint64 // allocated to object data, and what of it objects hold
	Omap             uint64 // keys and values
	Metadata         uint64 // on disk, that of omap included
}

// PoolUsage is what the objects of one pool take in a store, in bytes.
type PoolUsage struct {
	// Allocated is the blocks of 4 KiB that hold data: holes take nothing, and a block that objects
	// share counts once.
	Allocated uint64
	// Stored is the bytes in these blocks up to the end of each object, for each object that has
	// them.
	Stored uint64
	Omap   uint64 // keys and values
}

// A Store keeps the objects of one OSD.
type Store interface {
	// Submit checks t against the present state, makes it visible and queues it for the disk.
	// An error (ENOENT of an object that t needs, ENOSPC, EINVAL, ErrFailed) means no effect, and
	// done is not called. done runs on the store's own goroutine, in submission order, and must
	// not block. The byte slices in t must stay unchanged until then, and are not kept after it.
	Submit(t *Transaction, done func(error)) error
	// SubmitAll is Submit for several transactions that should share one sync. The error of entry
	// i is in the returned slice, nil if all are accepted. One that is refused stops those of its
	// chain that come after it, and no others.
	SubmitAll(batch []Submission) []error

	// Read returns length bytes at off, fewer at the end of the object; length 0 reads to the end.
	// ENOENT if there is no object. The result is the caller's.
	Read(c ceph.SPG, o ceph.HObject, off, length uint64) ([]byte, error)
	// Lend is Read into memory of the store's, for data that is sent and then forgotten.
	Lend(c ceph.SPG, o ceph.HObject, off, length uint64) (Loan, error)
	// Extents returns the parts of [off, off+length) that hold written data, ascending.
	Extents(c ceph.SPG, o ceph.HObject, off, length uint64) ([]Extent, error)
	Stat(c ceph.SPG, o ceph.HObject) (Stat, error)
	// GetAttr returns one attribute; ENODATA if the object lacks it. Not to be modified.
	GetAttr(c ceph.SPG, o ceph.HObject, name string) ([]byte, error)
	GetAttrs(c ceph.SPG, o ceph.HObject) (map[string][]byte, error)

	OmapHeader(c ceph.SPG, o ceph.HObject) ([]byte, error)
	// OmapGet returns those of keys that exist.
	OmapGet(c ceph.SPG, o ceph.HObject, keys []string) (map[string][]byte, error)
	// OmapScan yields pairs with key >= from, ascending, over a snapshot of the object; an error
	// ends it. The value is valid until the next pair.
	OmapScan(c ceph.SPG, o ceph.HObject, from string) iter.Seq2[OmapPair, error]

	// List returns up to max objects of c that are >= from, in HObject order, and the object to
	// continue from (MaxHObject at the end).
	List(c ceph.SPG, from ceph.HObject, max int) ([]ceph.HObject, ceph.HObject, error)
	// Tagged returns up to limit objects of c's own pool that are >= from and have tag among the
	// ids of their TagAttr, in their order. It follows from the attributes, whatever has set them.
	Tagged(c ceph.SPG, tag uint64, from ceph.HObject, limit int) ([]ceph.HObject, error)
	// Collections returns all collections, ascending.
	Collections() ([]ceph.SPG, error)

	// Log yields the entries of c's log with version > after, ascending.
	Log(c ceph.SPG, after ceph.Eversion) iter.Seq2[LogEntry, error]

	// Meta reads a value of the store's own small table, written by Transaction.PutMeta: the OSD's
	// superblock, osdmaps, PG infos. ENOENT if there is none.
	Meta(key string) ([]byte, error)
	// MetaScan yields the pairs whose key starts with prefix, ascending.
	MetaScan(prefix string) iter.Seq2[OmapPair, error]

	Usage() (Usage, error)
	// PoolUsage says what each pool takes that has a collection here, exactly.
	PoolUsage() (map[int64]PoolUsage, error)
	// Close flushes and releases the store; a later call of any method is ErrFailed.
	Close() error
}

// A Loan is what Lend has read. Done, called once, gives the memory back, after which nobody may
// look at Data any more; a loan that is never given back is garbage-collected.
type Loan struct {
	Data []byte
	// Sum is the checksum of Data (crc32c.Update from 0), made of those that the store verifies.
	Sum  uint32
	Done func()
}

// A Submission is one transaction of a batch and what to call when it is durable.
type Submission struct {
	Transaction *Transaction
	Done        func(error)
	Chain       *Chain // may be nil
}

// A Chain ties submissions together, of one batch or of several: when one of them is refused, those
// behind it are refused too, with ErrBehind. It belongs to the goroutine that submits; the zero
// value is whole.
type Chain struct{ broken bool }

// SubmitEach is a store's SubmitAll, made of its Submit.
func SubmitEach(batch []Submission, submit func(*Transaction, func(error)) error) []error {
	var errs []error
	for i := range batch {
		sub, err := &batch[i], ErrBehind
		if sub.Chain == nil || !sub.Chain.broken {
			err = submit(sub.Transaction, sub.Done)
		}
		if err == nil {
			continue
		}
		if errs == nil {
			errs = make([]error, len(batch))
		}
		errs[i] = err
		if sub.Chain != nil {
			sub.Chain.broken = true
		}
	}
	return errs
}

// An OmapPair is one key and its value.
type OmapPair struct {
	Key   string
	Value []byte
}

// A LogEntry is one entry of a PG's log; the store does not look into Data.
type LogEntry struct {
	Version ceph.Eversion
	Data    []byte
}
