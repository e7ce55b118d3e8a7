package class

import (
	"glue/ceph"
)

// An Entity is who sent a request: session name and address (entity_inst_t).
type Entity struct {
	Name ceph.EntityName
	Addr ceph.Addr
}

// A Pair is one omap key and its value.
type Pair struct {
	Key   string
	Value []byte
}

// A Watcher is one watch of the object (watch_item_t).
type Watcher struct {
	Entity
	Cookie  uint64
	Timeout uint32 // seconds
}

// A Context is a method's view of its object and of the request. Errors are a ceph.Errno.
type Context interface {
	Reader
	Writer

	// Object is the name the method was called on.
	Object() ceph.HObject
	// Now is the time of the request at this OSD.
	Now() ceph.Time
	// ReqID names the request; with Now it is unique for ever.
	ReqID() ceph.ReqID
	// Origin is the client that sent the request.
	Origin() Entity
	// ClientFeatures are the feature bits of the client's connection.
	ClientFeatures() uint64
	// MinCompatClient is the map's require_min_compat_client as a release number (jewel 10).
	MinCompatClient() uint8
	// RequiredRelease is the map's require_osd_release as a release number (pacific 16).
	RequiredRelease() uint8
	// Version is the PG's last user version before this request.
	Version() uint64
	// SubOp is the index of the running op within the request.
	SubOp() int
	// StripeWidth is the pool's stripe width, 0 for a replicated pool.
	StripeWidth() uint64
	// MinAllocSize is the store's allocation unit in bytes.
	MinAllocSize() uint64
	// SnapSetSeq is the newest snapshot id the object has seen; ENOENT if there is no object.
	SnapSetSeq() (uint64, error)
}

// A Reader is the reading half of a Context. A missing object has no data, attributes or keys.
type Reader interface {
	// Stat is ENOENT for a missing object.
	Stat() (size uint64, mtime ceph.Time, err error)
	// Read returns up to length bytes at off; length 0 reads to the end.
	Read(off, length uint64) ([]byte, error)
	// Xattr is ENODATA for a missing attribute.
	Xattr(name string) ([]byte, error)
	Xattrs() (map[string][]byte, error)

	OmapHeader() ([]byte, error)
	// OmapVal is ENOENT for a missing key.
	OmapVal(key string) ([]byte, error)
	OmapVals(keys []string) (map[string][]byte, error)
	// OmapScan returns up to max pairs whose key is above after and starts with prefix, and
	// whether there are more. One call returns at most osd_max_omap_entries_per_request.
	OmapScan(after, prefix string, max uint64) (pairs []Pair, more bool, err error)
	// OmapKeys is OmapScan of the keys alone.
	OmapKeys(after string, max uint64) (keys []string, more bool, err error)

	Watchers() ([]Watcher, error)
}

// A Writer is the writing half of a Context. Every call except Remove, OmapRm, OmapRmRange,
// OmapClear, Truncate and Zero creates the object. Slices and maps handed over are kept.
type Writer interface {
	// Create is EEXIST if exclusive and the object is there.
	Create(exclusive bool) error
	// Remove is ENOENT if there is no object.
	Remove() error
	Write(off uint64, data []byte) error
	// WriteFull replaces the data.
	WriteFull(data []byte) error
	Truncate(size uint64) error
	Zero(off, length uint64) error
	SetXattr(name string, value []byte) error
	OmapSet(pairs map[string][]byte) error
	OmapRm(key string) error
	OmapRmRange(first, end string) error
	OmapClear() error
	OmapSetHeader(header []byte) error
	// Call runs a method of another class on the same object.
	Call(class, method string, in []byte) ([]byte, error)
}
