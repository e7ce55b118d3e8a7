package osdmap

import (
	"glue/ceph"
	"glue/cluster/crush"
)

// WeightIn is the weight of an OSD that is fully in, and the default primary affinity (16.16).
const WeightIn = 0x10000

// A Map is one epoch of the cluster's OSDs, pools and placement (OSDMap). Slices that are indexed
// by OSD have MaxOSD elements. Published maps are read only: use Apply, or Clone before the map
// has been handed out.
type Map struct {
	FSID      ceph.UUID
	Epoch     ceph.Epoch
	Created   ceph.Time
	Modified  ceph.Time
	Pools     map[int64]*Pool
	PoolNames map[int64]string
	PoolMax   int32 // the largest pool number ever used
	Flags     Flags

	MaxOSD          int32
	State           []State
	Weight          []uint32 // 16.16; 0 is out
	ClientAddrs     []ceph.AddrVec
	ClusterAddrs    []ceph.AddrVec
	HBBackAddrs     []ceph.AddrVec
	HBFrontAddrs    []ceph.AddrVec
	Info            []OSDInfo
	XInfo           []OSDXInfo
	UUIDs           []ceph.UUID
	PrimaryAffinity []uint32 // nil when all are the default

	PGTemp       map[ceph.PGID][]int32
	PrimaryTemp  map[ceph.PGID]int32
	PGUpmap      map[ceph.PGID][]int32
	PGUpmapItems map[ceph.PGID][]Remap

	Crush        *crush.Map
	CrushVersion uint32
	ECProfiles   map[string]map[string]string

	NewRemovedSnaps   map[int64][]SnapRange
	NewPurgedSnaps    map[int64][]SnapRange
	RemovedSnapsQueue map[int64][]SnapRange

	LastUpChange, LastInChange ceph.Time

	Blocklist      map[ceph.Addr]ceph.Time // until when, by exact address
	RangeBlocklist map[ceph.Addr]ceph.Time // until when, by CIDR address

	ClusterSnapshotEpoch ceph.Epoch
	ClusterSnapshot      string

	NearfullRatio, FullRatio, BackfillfullRatio float32
	RequireMinCompatClient                      Release
	RequireOSDRelease                           Release

	CrushNodeFlags   map[int32]uint32
	DeviceClassFlags map[int32]uint32

	Stretch Stretch

	crc     uint32
	hasCRC  bool
	encoded []byte           // the canonical encoding, when known
	size    int              // of the encoding of this epoch or the one before it
	crush   encodedCrush     // most epochs leave the CRUSH map as it was
	names   map[string]int64 // pool numbers by name
}

// An encodedCrush is the encoding of a CRUSH map.
type encodedCrush struct {
	of  *crush.Map
	raw []byte
}

// A Remap replaces one OSD of a PG's mapping by another (an element of pg_upmap_items).
type Remap struct{ From, To int32 }

// A SnapRange is a run of snapshot ids.
type SnapRange struct {
	Start ceph.SnapID
	Len   uint64
}

// Stretch is the state of stretch mode: a cluster over two sites and a tiebreaker.
type Stretch struct {
	Enabled     bool
	BucketCount uint32
	Degraded    uint32 // sites up, 0 when not degraded
	Recovering  uint32
	Bucket      int32 // the CRUSH type that a site is
}

// OSDInfo is what the monitors know of an OSD's life (osd_info_t), in epochs.
type OSDInfo struct {
	LastCleanBegin, LastCleanEnd ceph.Epoch
	UpFrom, UpThru               ceph.Epoch
	DownAt, LostAt               ceph.Epoch
}

// OSDXInfo is what the monitors know besides of an OSD (osd_xinfo_t).
type OSDXInfo struct {
	DownStamp            ceph.Time
	LaggyProbability     float32 // 0 to 1
	LaggyInterval        uint32  // seconds
	Features             uint64
	OldWeight            uint32 // before it was marked out automatically
	LastPurgedSnapsScrub ceph.Time
	DeadEpoch            ceph.Epoch
}
