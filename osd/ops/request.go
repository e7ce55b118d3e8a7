package ops

import (
	"iter"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/class"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A View is what operations read: the reading half of objectstore.Store.
type View interface {
	Read(c ceph.SPG, o ceph.HObject, off, length uint64) ([]byte, error)
	Lend(c ceph.SPG, o ceph.HObject, off, length uint64) (objectstore.Loan, error)
	Extents(c ceph.SPG, o ceph.HObject, off, length uint64) ([]objectstore.Extent, error)
	GetAttr(c ceph.SPG, o ceph.HObject, name string) ([]byte, error)
	GetAttrs(c ceph.SPG, o ceph.HObject) (map[string][]byte, error)
	OmapHeader(c ceph.SPG, o ceph.HObject) ([]byte, error)
	OmapGet(c ceph.SPG, o ceph.HObject, keys []string) (map[string][]byte, error)
	OmapScan(c ceph.SPG, o ceph.HObject, from string) iter.Seq2[objectstore.OmapPair, error]
	List(c ceph.SPG, from ceph.HObject, max int) ([]ceph.HObject, ceph.HObject, error)
}

// Limits are the options that bound operations; their names in Ceph follow each.
type Limits struct {
	ObjectSize    uint64 // osd_max_object_size, bytes
	WriteSize     uint64 // osd_max_write_size, bytes (the option is in MiB); 0 for none
	ObjectName    int    // osd_max_object_name_len
	Namespace     int    // osd_max_object_namespace_len
	AttrName      int    // osd_max_attr_name_len
	AttrSize      uint64 // osd_max_attr_size; 0 for none
	OmapEntries   uint64 // osd_max_omap_entries_per_request
	OmapBytes     uint64 // osd_max_omap_bytes_per_request
	WriteReply    int    // osd_max_write_op_reply_len, per op of a RETURNVEC request
	ListEntries   uint64 // osd_max_pgls
	NotifySeconds uint32 // osd_default_notify_timeout
	WatchSeconds  uint32 // osd_client_watch_timeout
	MinAllocBytes uint64 // of the store
}

// DefaultLimits are the defaults of Ceph's options.
func DefaultLimits() Limits {
	return Limits{
		ObjectSize:    128 << 20,
		WriteSize:     90 << 20,
		ObjectName:    2048,
		Namespace:     256,
		AttrName:      100,
		OmapEntries:   1024,
		OmapBytes:     1 << 30,
		WriteReply:    64,
		ListEntries:   1024,
		NotifySeconds: 30,
		WatchSeconds:  30,
		MinAllocBytes: 4096,
	}
}

// An Env is what a PG gives to its operations. One value serves many requests; a PG replaces it
// when the map changes.
type Env struct {
	Store   View
	Coll    ceph.SPG
	Limits  *Limits
	Classes *class.Registry

	Epoch       ceph.Epoch
	PGNum       uint32 // of the pool, for listings
	StripeWidth uint64
	// PoolSnaps is the context of a pool that has snapshots of its own; else it is the request's.
	PoolSnaps *snaps.Context
	// Removed are the snapshots of the pool that are being removed.
	Removed         []osdmap.SnapRange
	Full            bool  // the pool's FULL flag
	FullQuota       bool  // ... because of its quota
	MinCompatClient uint8 // require_min_compat_client, release number
	RequiredRelease uint8 // require_osd_release, release number

	// NotifyID gives a number to a notify, unique in the cluster.
	NotifyID func() uint64
	// WatchConnected says whether a watch of the object has a live connection now.
	WatchConnected func(o ceph.HObject, k WatchKey) bool
	// Missing yields the PG's missing objects >= from that still exist, in order, for listings.
	// nil when nothing is missing.
	Missing func(from ceph.HObject) iter.Seq[ceph.HObject]
	// ScrubList answers a SCRUBLS.
	ScrubList func(in []byte) ([]byte, error)
}

// A Request is one MOSDOp for one object, with what the PG knows about the object and its log.
type Request struct {
	Object ceph.HObject    // Snap as in the request: NoSnap for the head
	Ops    []message.OSDOp // inputs only; not changed
	Flags  uint32          // message.Flag*
	ReqID  ceph.ReqID
	Origin class.Entity
	// Features are those of the client's connection.
	Features uint64
	MTime    ceph.Time // of the client; zero leaves the object's
	SnapSeq  ceph.SnapID
	Snaps    []ceph.SnapID // newest first

	// State is the object before the request, from the PG's cache or LoadState. It is not changed.
	State *State
	// At is the log version that a change would get; LastUserVersion and LastUpdate are the PG's.
	At              ceph.Eversion
	LastUserVersion uint64
	LastUpdate      ceph.Eversion
	Now             ceph.Time

	// Copies are the objects that the vector copies, by op, as far as they have been fetched.
	Copies map[int]*Copied
}
