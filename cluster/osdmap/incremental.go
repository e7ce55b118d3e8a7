package osdmap

import "glue/ceph"

// An Incremental is the difference between two epochs (OSDMap::Incremental). The zero value of
// most fields means "unchanged"; make one with NewIncremental, which sets the others.
type Incremental struct {
	FSID       ceph.UUID
	Epoch      ceph.Epoch // of the map that results
	Modified   ceph.Time
	NewPoolMax int64 // -1 unchanged
	NewFlags   int32 // -1 unchanged

	FullMap   []byte // replaces everything when not empty
	Crush     []byte // encoded CRUSH map; empty is unchanged
	NewMaxOSD int32  // -1 unchanged

	NewPools     map[int64]*Pool
	NewPoolNames map[int64]string
	OldPools     []int64 // ascending

	NewUpClient        map[int32]ceph.AddrVec // booting OSDs; HB addresses must come with them
	NewUpCluster       map[int32]ceph.AddrVec
	NewHBBack          map[int32]ceph.AddrVec
	NewHBFront         map[int32]ceph.AddrVec
	NewState           map[int32]State // XOR mask; 0 means OSDUp
	NewWeight          map[int32]uint32
	NewPGTemp          map[ceph.PGID][]int32 // an empty list removes
	NewPrimaryTemp     map[ceph.PGID]int32   // -1 removes
	NewPrimaryAffinity map[int32]uint32
	NewUpThru          map[int32]ceph.Epoch
	NewLastClean       map[int32]CleanInterval
	NewLost            map[int32]ceph.Epoch
	NewUUID            map[int32]ceph.UUID
	NewXInfo           map[int32]OSDXInfo

	NewECProfiles map[string]map[string]string
	OldECProfiles []string

	NewPGUpmap      map[ceph.PGID][]int32
	OldPGUpmap      []ceph.PGID // ascending, as the next but one
	NewPGUpmapItems map[ceph.PGID][]Remap
	OldPGUpmapItems []ceph.PGID

	NewRemovedSnaps map[int64][]SnapRange
	NewPurgedSnaps  map[int64][]SnapRange

	NewLastUpChange, NewLastInChange ceph.Time

	NewBlocklist      map[ceph.Addr]ceph.Time
	OldBlocklist      []ceph.Addr
	NewRangeBlocklist map[ceph.Addr]ceph.Time
	OldRangeBlocklist []ceph.Addr

	ClusterSnapshot string

	// Ratios below zero are unchanged.
	NewNearfullRatio, NewFullRatio, NewBackfillfullRatio float32
	NewRequireMinCompatClient                            Release // ReleaseUnchanged, as the next
	NewRequireOSDRelease                                 Release

	NewCrushNodeFlags   map[int32]uint32 // 0 removes
	NewDeviceClassFlags map[int32]uint32 // 0 removes

	ChangeStretch bool // NewStretch counts
	NewStretch    Stretch

	EncodeFeatures uint64 // features that the writer encoded with
	HasCRC         bool
	FullCRC        uint32 // checksum of the encoding of the map that results
}

// A CleanInterval is the last span of epochs that an OSD was up for and shut down cleanly.
type CleanInterval struct{ Begin, End ceph.Epoch }

// NewIncremental is an incremental to the epoch after m that changes nothing.
func NewIncremental(m *Map, modified ceph.Time) *Incremental {
	return &Incremental{
		FSID: m.FSID, Epoch: m.Epoch + 1, Modified: modified,
		NewPoolMax: -1, NewFlags: -1, NewMaxOSD: -1,
		NewNearfullRatio: -1, NewFullRatio: -1, NewBackfillfullRatio: -1,
		NewRequireMinCompatClient: ReleaseUnchanged, NewRequireOSDRelease: ReleaseUnchanged,
		EncodeFeatures: ceph.FeaturesAll,
	}
}
