package message

import (
	"fmt"
	"strings"
)

// An OpCode is the number of one operation in an op vector (CEPH_OSD_OP_*). Its bits say the mode
// (ModeRead, ModeWrite, …) and the kind.
type OpCode uint16

// The bits of an OpCode.
const (
	ModeRead  OpCode = 0x1000
	ModeWrite OpCode = 0x2000
	ModeCache OpCode = 0x8000
	KindMask  OpCode = 0x0f00
	KindData  OpCode = 0x0200
	KindAttr  OpCode = 0x0300
	KindExec  OpCode = 0x0400
	KindPG    OpCode = 0x0500
)

// The operations.
const (
	OpRead              OpCode = 0x1201
	OpStat              OpCode = 0x1202
	OpMapExt            OpCode = 0x1203
	OpMaskTrunc         OpCode = 0x1204
	OpSparseRead        OpCode = 0x1205
	OpNotify            OpCode = 0x1206
	OpNotifyAck         OpCode = 0x1207
	OpAssertVer         OpCode = 0x1208
	OpListWatchers      OpCode = 0x1209
	OpListSnaps         OpCode = 0x120a
	OpSyncRead          OpCode = 0x120b
	OpTMapGet           OpCode = 0x120c
	OpOmapGetKeys       OpCode = 0x1211
	OpOmapGetVals       OpCode = 0x1212
	OpOmapGetHeader     OpCode = 0x1213
	OpOmapGetValsByKeys OpCode = 0x1214
	OpOmapCmp           OpCode = 0x1219
	OpIsDirty           OpCode = 0x121d
	OpCopyGet           OpCode = 0x121e
	OpChecksum          OpCode = 0x121f
	OpCmpExt            OpCode = 0x1220

	OpWrite          OpCode = 0x2201
	OpWriteFull      OpCode = 0x2202
	OpTruncate       OpCode = 0x2203
	OpZero           OpCode = 0x2204
	OpDelete         OpCode = 0x2205
	OpAppend         OpCode = 0x2206
	OpStartSync      OpCode = 0x2207
	OpSetTrunc       OpCode = 0x2208
	OpTrimTrunc      OpCode = 0x2209
	OpTMapUp         OpCode = 0x320a
	OpTMapPut        OpCode = 0x220b
	OpCreate         OpCode = 0x220d
	OpRollback       OpCode = 0x220e
	OpWatch          OpCode = 0x220f
	OpOmapSetVals    OpCode = 0x2215
	OpOmapSetHeader  OpCode = 0x2216
	OpOmapClear      OpCode = 0x2217
	OpOmapRmKeys     OpCode = 0x2218
	OpCopyFrom       OpCode = 0x221a
	OpUndirty        OpCode = 0x221c
	OpTMap2Omap      OpCode = 0x3222
	OpSetAllocHint   OpCode = 0x2223
	OpCachePin       OpCode = 0x2224
	OpCacheUnpin     OpCode = 0x2225
	OpWriteSame      OpCode = 0x2226
	OpSetRedirect    OpCode = 0x2227
	OpTierPromote    OpCode = 0x2229
	OpUnsetManifest  OpCode = 0x222a
	OpOmapRmKeyRange OpCode = 0x222c
	OpCopyFrom2      OpCode = 0x222d

	OpCacheFlush    OpCode = 0x821f
	OpCacheEvict    OpCode = 0x8220
	OpCacheTryFlush OpCode = 0x8221
	OpSetChunk      OpCode = 0x8228
	OpTierFlush     OpCode = 0x822b
	OpTierEvict     OpCode = 0x822c

	OpGetXattr    OpCode = 0x1301
	OpGetXattrs   OpCode = 0x1302
	OpCmpXattr    OpCode = 0x1303
	OpSetXattr    OpCode = 0x2301
	OpSetXattrs   OpCode = 0x2302
	OpResetXattrs OpCode = 0x2303
	OpRmXattr     OpCode = 0x2304

	OpCall OpCode = 0x1401

	OpPGLS        OpCode = 0x1501
	OpPGLSFilter  OpCode = 0x1502
	OpPGHitsetLS  OpCode = 0x1503
	OpPGHitsetGet OpCode = 0x1504
	OpPGNLS       OpCode = 0x1505
	OpPGNLSFilter OpCode = 0x1506
	OpScrubLS     OpCode = 0x1507
)

// opNames has Ceph's word for each operation.
var opNames = map[OpCode]string{
	OpRead: "read", OpStat: "stat", OpMapExt: "mapext", OpMaskTrunc: "masktrunc",
	OpSparseRead: "sparse-read", OpNotify: "notify", OpNotifyAck: "notify-ack",
	OpAssertVer: "assert-version", OpListWatchers: "list-watchers", OpListSnaps: "list-snaps",
	OpSyncRead: "sync_read", OpTMapGet: "tmapget", OpOmapGetKeys: "omap-get-keys",
	OpOmapGetVals: "omap-get-vals", OpOmapGetHeader: "omap-get-header",
	OpOmapGetValsByKeys: "omap-get-vals-by-keys", OpOmapCmp: "omap-cmp", OpIsDirty: "isdirty",
	OpCopyGet: "copy-get", OpChecksum: "checksum", OpCmpExt: "cmpext",
	OpWrite: "write", OpWriteFull: "writefull", OpTruncate: "truncate", OpZero: "zero",
	OpDelete: "delete", OpAppend: "append", OpStartSync: "startsync", OpSetTrunc: "settrunc",
	OpTrimTrunc: "trimtrunc", OpTMapUp: "tmapup", OpTMapPut: "tmapput", OpCreate: "create",
	OpRollback: "rollback", OpWatch: "watch", OpOmapSetVals: "omap-set-vals",
	OpOmapSetHeader: "omap-set-header", OpOmapClear: "omap-clear", OpOmapRmKeys: "omap-rm-keys",
	OpCopyFrom: "copy-from", OpUndirty: "undirty", OpTMap2Omap: "tmap2omap",
	OpSetAllocHint: "set-alloc-hint", OpCachePin: "cache-pin", OpCacheUnpin: "cache-unpin",
	OpWriteSame: "write-same", OpSetRedirect: "set-redirect", OpTierPromote: "tier-promote",
	OpUnsetManifest: "unset-manifest", OpOmapRmKeyRange: "omap-rm-key-range",
	OpCopyFrom2: "copy-from2", OpCacheFlush: "cache-flush", OpCacheEvict: "cache-evict",
	OpCacheTryFlush: "cache-try-flush", OpSetChunk: "set-chunk", OpTierFlush: "tier-flush",
	OpTierEvict: "tier-evict", OpGetXattr: "getxattr", OpGetXattrs: "getxattrs",
	OpCmpXattr: "cmpxattr", OpSetXattr: "setxattr", OpSetXattrs: "setxattrs",
	OpResetXattrs: "resetxattrs", OpRmXattr: "rmxattr", OpCall: "call", OpPGLS: "pgls",
	OpPGLSFilter: "pgls-filter", OpPGHitsetLS: "pg-hitset-ls", OpPGHitsetGet: "pg-hitset-get",
	OpPGNLS: "pgnls", OpPGNLSFilter: "pgnls-filter", OpScrubLS: "scrubls",
}

// String is Ceph's word, or the number in hexadecimal.
func (o OpCode) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return fmt.Sprintf("op0x%x", uint16(o))
}

// IsWrite says whether the operation changes the object. A call may as well: ask its method.
func (o OpCode) IsWrite() bool { return o&ModeWrite != 0 }

// IsRead says whether the operation reads, not counting calls.
func (o OpCode) IsRead() bool { return o&ModeRead != 0 && o != OpCall }

// Flags of a whole request (CEPH_OSD_FLAG_*).
const (
	FlagAck            = 0x0001
	FlagOnNVRAM        = 0x0002
	FlagOnDisk         = 0x0004
	FlagRetry          = 0x0008
	FlagRead           = 0x0010
	FlagWrite          = 0x0020
	FlagOrderSnap      = 0x0040
	FlagBalanceReads   = 0x0100
	FlagPGOp           = 0x0400
	FlagExec           = 0x0800
	FlagLocalizeReads  = 0x2000
	FlagRWOrdered      = 0x4000
	FlagIgnoreCache    = 0x8000
	FlagSkipRWLocks    = 0x10000
	FlagIgnoreOverlay  = 0x20000
	FlagEnforceSnapC   = 0x100000
	FlagRedirected     = 0x200000
	FlagKnownRedirect  = 0x400000
	FlagFullTry        = 0x800000
	FlagFullForce      = 0x1000000
	FlagIgnoreRedirect = 0x2000000
	FlagReturnVec      = 0x4000000
)

// Flags of one operation (CEPH_OSD_OP_FLAG_*).
const (
	OpFlagExcl       = 0x1
	OpFlagFailOK     = 0x2
	OpFlagRandom     = 0x4
	OpFlagSequential = 0x8
	OpFlagWillNeed   = 0x10
	OpFlagDontNeed   = 0x20
	OpFlagNoCache    = 0x40
)

// Comparison of OpCmpXattr and OpOmapCmp (CEPH_OSD_CMPXATTR_*).
const (
	CmpEQ  = 1
	CmpNE  = 2
	CmpGT  = 3
	CmpGTE = 4
	CmpLT  = 5
	CmpLTE = 6

	CmpModeString = 1
	CmpModeU64    = 2
)

// Actions of OpWatch (CEPH_OSD_WATCH_OP_*).
const (
	WatchUnwatch   = 0
	WatchLegacy    = 1
	WatchWatch     = 3
	WatchReconnect = 5
	WatchPing      = 7
)

// flagNames has Ceph's word for each bit of a request's flags (ceph_osd_flag_name).
var flagNames = [...]string{"ack", "onnvram", "ondisk", "retry", "read", "write", "ordersnap",
	"peerstat_old", "balance_reads", "parallelexec", "pgop", "exec", "exec_public",
	"localize_reads", "rwordered", "ignore_cache", "skiprwlocks", "ignore_overlay", "flush",
	"map_snap_clone", "enforce_snapc", "redirected", "known_if_redirected", "full_try",
	"full_force", "ignore_redirect", "returnvec", "supports_pool_eio"}

// FlagNames lists the words of flags, joined by plus signs; "-" for none.
func FlagNames(flags uint32) string {
	var out []string
	for i, name := range flagNames {
		if flags&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	if out == nil {
		return "-"
	}
	return strings.Join(out, "+")
}
