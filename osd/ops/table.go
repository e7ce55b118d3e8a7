package ops

import "glue/wire/message"

// A Row is one op that a PG can execute on an object.
type Row struct {
	Code message.OpCode
	// keepsUserVersion marks writes that clients do not see as a change.
	keepsUserVersion bool
	// extent marks ops whose arguments are an extent with a truncation.
	extent bool
	// run executes the op: a negative errno, 0 and above, or same.
	run func(x *exec, op *message.OSDOp) int32
}

// Table has every op on an object. A code that is not here is EOPNOTSUPP, as are those that
// make manifests (SET_REDIRECT, SET_CHUNK).
var Table = []Row{
	// Data, reading.
	{Code: message.OpRead, extent: true, run: opRead},
	{Code: message.OpSyncRead, extent: true, run: opRead},
	{Code: message.OpSparseRead, extent: true, run: opSparseRead},
	{Code: message.OpMapExt, extent: true, run: opMapExt},
	{Code: message.OpStat, run: opStat},
	{Code: message.OpChecksum, run: opChecksum},
	{Code: message.OpCmpExt, extent: true, run: opCmpExt},
	{Code: message.OpAssertVer, run: opAssertVer},
	{Code: message.OpIsDirty, run: opIsDirty},
	{Code: message.OpListSnaps, run: opListSnaps},

	// Data, writing.
	{Code: message.OpCreate, run: opCreate},
	{Code: message.OpSetAllocHint, run: opSetAllocHint},
	{Code: message.OpWrite, extent: true, run: opWrite},
	{Code: message.OpWriteFull, extent: true, run: opWriteFull},
	{Code: message.OpWriteSame, run: opWriteSame},
	{Code: message.OpAppend, extent: true, run: opAppend},
	{Code: message.OpTruncate, extent: true, run: opTruncate},
	{Code: message.OpTrimTrunc, extent: true, run: opTrimTrunc},
	{Code: message.OpZero, extent: true, run: opZero},
	{Code: message.OpDelete, run: opDelete},
	{Code: message.OpStartSync, run: opStartSync},

	// Attributes.
	{Code: message.OpGetXattr, run: opGetXattr},
	{Code: message.OpGetXattrs, run: opGetXattrs},
	{Code: message.OpCmpXattr, run: opCmpXattr},
	{Code: message.OpSetXattr, run: opSetXattr},
	{Code: message.OpRmXattr, run: opRmXattr},

	// Omap.
	{Code: message.OpOmapGetKeys, run: opOmapGetKeys},
	{Code: message.OpOmapGetVals, run: opOmapGetVals},
	{Code: message.OpOmapGetHeader, run: opOmapGetHeader},
	{Code: message.OpOmapGetValsByKeys, run: opOmapGetValsByKeys},
	{Code: message.OpOmapCmp, run: opOmapCmp},
	{Code: message.OpOmapSetVals, run: opOmapSetVals},
	{Code: message.OpOmapSetHeader, run: opOmapSetHeader},
	{Code: message.OpOmapClear, run: opOmapClear},
	{Code: message.OpOmapRmKeys, run: opOmapRmKeys},
	{Code: message.OpOmapRmKeyRange, run: opOmapRmKeyRange},

	// Trivial maps, the data format that came before omap.
	{Code: message.OpTMapGet, run: opTMapGet},
	{Code: message.OpTMapPut, run: opTMapPut},
	{Code: message.OpTMapUp, run: opTMapUp},
	{Code: message.OpTMap2Omap, run: opTMap2Omap},

	// Watches and calls.
	{Code: message.OpWatch, keepsUserVersion: true, run: opWatch},
	{Code: message.OpNotify, run: opNotify},
	{Code: message.OpNotifyAck, run: opNotifyAck},
	{Code: message.OpListWatchers, run: opListWatchers},
	{Code: message.OpCall, run: opCall},

	{Code: message.OpRollback, run: opRollback},

	// Copies between objects.
	{Code: message.OpCopyGet, run: opCopyGet},
	{Code: message.OpCopyFrom, keepsUserVersion: true, run: opCopyFrom},
	{Code: message.OpCopyFrom2, keepsUserVersion: true, run: opCopyFrom},

	// Cache tiers and manifests.
	{Code: message.OpUndirty, keepsUserVersion: true, run: opUndirty},
	{Code: message.OpCachePin, keepsUserVersion: true, run: opNoTier},
	{Code: message.OpCacheUnpin, keepsUserVersion: true, run: opNoTier},
	{Code: message.OpCacheFlush, keepsUserVersion: true, run: opNoTier},
	{Code: message.OpCacheTryFlush, keepsUserVersion: true, run: opNoTier},
	{Code: message.OpCacheEvict, keepsUserVersion: true, run: opNoTier},
	{Code: message.OpTierPromote, keepsUserVersion: true, run: opNoManifest},
	{Code: message.OpTierFlush, keepsUserVersion: true, run: opNoManifest},
	{Code: message.OpTierEvict, keepsUserVersion: true, run: opTierEvict},
	{Code: message.OpUnsetManifest, run: opUnsetManifest},
	{Code: message.OpSetRedirect, keepsUserVersion: true, run: opSetRedirect},
	{Code: message.OpSetChunk, keepsUserVersion: true, run: opSetChunk},
}

var table = make(map[message.OpCode]*Row)

// Ops that execute nested ops look into the table, so it can't be built where it is declared.
func init() {
	for i := range Table {
		table[Table[i].Code] = &Table[i]
	}
}
