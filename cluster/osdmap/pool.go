package osdmap

import (
	"strings"

	"glue/ceph"
)

// A PoolType is how a pool keeps its copies.
type PoolType uint8

// The pool types.
const (
	Replicated PoolType = 1
	Erasure    PoolType = 3
)

// String is the type's name.
func (t PoolType) String() string {
	switch t {
	case Replicated:
		return "replicated"
	case Erasure:
		return "erasure"
	}
	return "???"
}

// PoolFlags are a pool's switches (pg_pool_t::FLAG_*).
type PoolFlags uint64

// The pool flags.
const (
	PoolHashPSPool PoolFlags = 1 << iota
	PoolFull
	PoolECOverwrites
	PoolIncompleteClones
	PoolNoDelete
	PoolNoPGChange
	PoolNoSizeChange
	PoolWriteFadviseDontneed
	PoolNoScrub
	PoolNoDeepScrub
	PoolFullQuota
	PoolNearfull
	PoolBackfillfull
	PoolSelfmanagedSnaps
	PoolPoolSnaps
	PoolCreating
	PoolEIO
	PoolBulk
)

var poolFlagNames = []string{
	"hashpspool", "full", "ec_overwrites", "incomplete_clones", "nodelete", "nopgchange",
	"nosizechange", "write_fadvise_dontneed", "noscrub", "nodeep-scrub", "full_quota",
	"nearfull", "backfillfull", "selfmanaged_snaps", "pool_snaps", "creating",
	"eio", "bulk",
}

// Has says whether all bits of mask are set.
func (f PoolFlags) Has(mask PoolFlags) bool { return f&mask == mask }

// String lists the names in bit order, separated by commas.
func (f PoolFlags) String() string { return strings.Join(bitNames(uint64(f), poolFlagNames), ",") }

// ParsePoolFlag finds a pool flag by its name.
func ParsePoolFlag(name string) (PoolFlags, bool) {
	for i, n := range poolFlagNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// An AutoscaleMode says what happens when a pool's pg_num is not what it should be.
type AutoscaleMode uint8

// The modes; any other value prints as ???.
const (
	AutoscaleOff AutoscaleMode = iota
	AutoscaleWarn
	AutoscaleOn
)

var autoscaleNames = []string{"off", "warn", "on"}

// String is the mode's name.
func (a AutoscaleMode) String() string {
	if int(a) < len(autoscaleNames) {
		return autoscaleNames[a]
	}
	return "???"
}

// ParseAutoscaleMode finds a mode by its name.
func ParseAutoscaleMode(name string) (AutoscaleMode, bool) {
	for i, n := range autoscaleNames {
		if n == name {
			return AutoscaleMode(i), true
		}
	}
	return 0, false
}

// A CacheMode is how a cache tier handles requests.
type CacheMode uint8

var cacheModeNames = []string{
	"none", "writeback", "forward", "readonly", "readforward", "readproxy", "proxy",
}

// String is the mode's name.
func (m CacheMode) String() string {
	if int(m) < len(cacheModeNames) {
		return cacheModeNames[m]
	}
	return "unknown"
}

// ParseCacheMode finds a mode by its name.
func ParseCacheMode(name string) (CacheMode, bool) {
	for i, n := range cacheModeNames {
		if n == name {
			return CacheMode(i), true
		}
	}
	return 0, false
}

// A Pool is the settings of one pool (pg_pool_t). Published pools are read only; Clone first.
type Pool struct {
	Type          PoolType
	Size, MinSize uint8
	CrushRule     uint8
	ObjectHash    uint8 // 2 is rjenkins
	PGNum         uint32
	PGPNum        uint32
	PGNumPending  uint32
	PGNumTarget   uint32
	PGPNumTarget  uint32
	LastChange    ceph.Epoch
	CreateTime    ceph.Time
	Flags         PoolFlags
	Autoscale     AutoscaleMode

	LastForceResend            ceph.Epoch
	LastForceResendPrenautilus ceph.Epoch
	LastForceResendPreluminous ceph.Epoch
	LastPGMerge                PGMerge

	SnapSeq      ceph.SnapID
	SnapEpoch    ceph.Epoch
	Snaps        map[ceph.SnapID]PoolSnap
	RemovedSnaps []SnapRange // only before octopus
	AUID         uint64

	QuotaMaxBytes, QuotaMaxObjects uint64

	Tiers                         []uint64 // ascending
	TierOf                        int64    // -1 for none, as the next two
	ReadTier, WriteTier           int64
	CacheMode                     CacheMode
	TargetMaxBytes                uint64
	TargetMaxObjects              uint64
	CacheTargetDirtyRatioMicro    uint32
	CacheTargetDirtyHighMicro     uint32
	CacheTargetFullRatioMicro     uint32
	CacheMinFlushAge              uint32 // seconds
	CacheMinEvictAge              uint32 // seconds
	HitSet                        HitSetParams
	HitSetPeriod, HitSetCount     uint32
	HitSetGradeDecay              uint32
	HitSetSearchLastN             uint32
	UseGMTHitSet                  bool
	MinReadRecency                uint32
	MinWriteRecency               uint32
	Properties                    map[string]string
	ECProfile                     string
	StripeWidth                   uint32
	ExpectedNumObjects            uint64
	FastRead                      bool
	Opts                          map[PoolOpt]OptValue
	Applications                  map[string]map[string]string
	PeeringBucketCount            uint32 // not zero in stretch pools
	PeeringBucketTarget           uint32
	PeeringBucketBarrier          uint32
	PeeringBucketMandatory        int32 // crush.None for none
	crashReplay, lpgNum, lpgpNum  uint32
	mergeStarted, mergeCleanEpoch uint32
}

// A PoolSnap is a snapshot of a whole pool (pool_snap_info_t).
type PoolSnap struct {
	ID    ceph.SnapID
	Stamp ceph.Time
	Name  string
}

// A PGMerge tells of a pool's most recent merge of PGs (pg_merge_meta_t).
type PGMerge struct {
	Source           ceph.PGID
	ReadyEpoch       ceph.Epoch
	LastEpochStarted ceph.Epoch
	LastEpochClean   ceph.Epoch
	SourceVersion    ceph.Eversion
	TargetVersion    ceph.Eversion
}

// HitSetParams say how accesses to a cache pool are recorded (HitSet::Params). The fields after
// Type count only for bloom filters.
type HitSetParams struct {
	Type       uint8 // 0 none, 1 explicit hashes, 2 explicit objects, 3 bloom
	FPPMicro   uint32
	TargetSize uint64
	Seed       uint64
}

// A PoolOpt numbers an optional setting of a pool (pool_opts_t::key_t).
type PoolOpt int32

// The optional settings, numbered as on the wire.
const (
	OptScrubMinInterval PoolOpt = iota
	OptScrubMaxInterval
	OptDeepScrubInterval
	OptRecoveryPriority
	OptRecoveryOpPriority
	OptScrubPriority
	OptCompressionMode
	OptCompressionAlgorithm
	OptCompressionRequiredRatio
	OptCompressionMaxBlobSize
	OptCompressionMinBlobSize
	OptCsumType
	OptCsumMaxBlock
	OptCsumMinBlock
	OptFingerprintAlgorithm
	OptPGNumMin
	OptTargetSizeBytes
	OptTargetSizeRatio
	OptPGAutoscaleBias
	OptReadLeaseInterval
	OptDedupTier
	OptDedupChunkAlgorithm
	OptDedupCDCChunkSize
	OptPGNumMax
)

// An OptType is the type of an optional setting.
type OptType int32

// The types, numbered as on the wire.
const (
	OptStr OptType = iota
	OptInt
	OptDouble
)

// An OptValue is the value of an optional setting; one of the fields after Type counts.
type OptValue struct {
	Type  OptType
	Str   string
	Int   int64
	Float float64
}

// An OptDesc is one row of the table of optional settings.
type OptDesc struct {
	Name string
	Opt  PoolOpt
	Type OptType
}

// PoolOpts is the table of optional settings, by name.
var PoolOpts = []OptDesc{
	{"compression_algorithm", OptCompressionAlgorithm, OptStr},
	{"compression_max_blob_size", OptCompressionMaxBlobSize, OptInt},
	{"compression_min_blob_size", OptCompressionMinBlobSize, OptInt},
	{"compression_mode", OptCompressionMode, OptStr},
	{"compression_required_ratio", OptCompressionRequiredRatio, OptDouble},
	{"csum_max_block", OptCsumMaxBlock, OptInt},
	{"csum_min_block", OptCsumMinBlock, OptInt},
	{"csum_type", OptCsumType, OptInt},
	{"dedup_cdc_chunk_size", OptDedupCDCChunkSize, OptInt},
	{"dedup_chunk_algorithm", OptDedupChunkAlgorithm, OptStr},
	{"dedup_tier", OptDedupTier, OptInt},
	{"deep_scrub_interval", OptDeepScrubInterval, OptDouble},
	{"fingerprint_algorithm", OptFingerprintAlgorithm, OptStr},
	{"pg_autoscale_bias", OptPGAutoscaleBias, OptDouble},
	{"pg_num_max", OptPGNumMax, OptInt},
	{"pg_num_min", OptPGNumMin, OptInt},
	{"read_lease_interval", OptReadLeaseInterval, OptDouble},
	{"recovery_op_priority", OptRecoveryOpPriority, OptInt},
	{"recovery_priority", OptRecoveryPriority, OptInt},
	{"scrub_max_interval", OptScrubMaxInterval, OptDouble},
	{"scrub_min_interval", OptScrubMinInterval, OptDouble},
	{"scrub_priority", OptScrubPriority, OptInt},
	{"target_size_bytes", OptTargetSizeBytes, OptInt},
	{"target_size_ratio", OptTargetSizeRatio, OptDouble},
}
