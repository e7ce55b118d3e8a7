package pginfo

import (
	"cmp"

	"glue/ceph"
	"glue/ceph/denc"
)

// Flags of an object (object_info_t::FLAG_*).
const (
	ObjectLost     uint32 = 1 << 0
	ObjectWhiteout uint32 = 1 << 1 // there for its snapshots only
	ObjectDirty    uint32 = 1 << 2
	ObjectOmap     uint32 = 1 << 3 // has or had omap keys or a header

	ObjectDataDigest uint32 = 1 << 4 // DataDigest is that of the data
	ObjectOmapDigest uint32 = 1 << 5 // OmapDigest is that of the omap
)

// An ObjectInfo is what a PG keeps about an object (object_info_t), in its attribute "_". The
// layout is ours; it never leaves the daemons.
type ObjectInfo struct {
	Object       ceph.HObject
	Version      ceph.Eversion // of the last change
	PriorVersion ceph.Eversion // of the change before
	UserVersion  uint64        // what clients see; watches don't move it
	LastReqID    ceph.ReqID
	Size         uint64    // bytes
	MTime        ceph.Time // as the client said
	LocalMTime   ceph.Time // by the primary's clock
	Flags        uint32    // Object*
	TruncateSeq  uint32    // of the last truncation by a file system
	TruncateSize uint64
	Watchers     map[WatchKey]WatchInfo

	ExpectedObjectSize uint64 // allocation hint of clients
	ExpectedWriteSize  uint64
	AllocHintFlags     uint32

	// Checksums (crc32c from -1) of all data and of the omap, as far as Flags says that they are
	// known.
	DataDigest, OmapDigest uint32

	// Snaps is what a head knows of its snapshots; nil for nothing, and in clones.
	Snaps *SnapSet
}

// A WatchKey names a watch of an object.
type WatchKey struct {
	Cookie uint64
	Name   ceph.EntityName
}

// Compare orders by cookie, then by name.
func (k WatchKey) Compare(o WatchKey) int {
	return cmp.Or(cmp.Compare(k.Cookie, o.Cookie), k.Name.Compare(o.Name))
}

// A WatchInfo is a watch that outlives its connection (watch_info_t).
type WatchInfo struct {
	TimeoutSeconds uint32
	Addr           ceph.Addr
}

// Denc is a section of our own.
func (o *ObjectInfo) Denc(c *denc.Coder) {
	s := c.Begin(3, 1)
	o.Object.Denc(c)
	o.Version.Denc(c)
	o.PriorVersion.Denc(c)
	c.U64(&o.UserVersion)
	o.LastReqID.Denc(c)
	c.U64(&o.Size)
	o.MTime.Denc(c)
	o.LocalMTime.Denc(c)
	c.U32(&o.Flags)
	c.U32(&o.TruncateSeq)
	c.U64(&o.TruncateSize)
	c.U64(&o.ExpectedObjectSize)
	c.U64(&o.ExpectedWriteSize)
	c.U32(&o.AllocHintFlags)
	denc.MapCmp(c, &o.Watchers, WatchKey.Compare,
		func(c *denc.Coder, k *WatchKey) {
			c.U64(&k.Cookie)
			k.Name.Denc(c)
		},
		func(c *denc.Coder, w *WatchInfo) {
			c.U32(&w.TimeoutSeconds)
			w.Addr.Denc(c)
		})
	if s.V >= 2 {
		c.U32(&o.DataDigest)
		c.U32(&o.OmapDigest)
	}
	if s.V >= 3 {
		o.dencSnaps(c)
	}
	s.End()
}

func (o *ObjectInfo) dencSnaps(c *denc.Coder) {
	some := o.Snaps != nil
	if c.Bool(&some); !some {
		return
	}
	if !c.Encoding() {
		o.Snaps = new(SnapSet)
	}
	o.Snaps.Denc(c)
}

// IsWhiteout says whether the object is there for its snapshots only: clients do not see it.
func (o *ObjectInfo) IsWhiteout() bool { return o.Flags&ObjectWhiteout != 0 }

// IsOmap says whether the object has or had omap data.
func (o *ObjectInfo) IsOmap() bool { return o.Flags&ObjectOmap != 0 }

// IsDirty says whether the object was changed since it was flushed to a tier below, if ever.
func (o *ObjectInfo) IsDirty() bool { return o.Flags&ObjectDirty != 0 }
