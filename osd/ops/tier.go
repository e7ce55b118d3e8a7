package ops

import (
	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/wire/message"
)

// What clients ask of cache tiers and manifests, answered as a pool answers that has neither.

// opNoTier answers what only a cache pool takes.
func opNoTier(*exec, *message.OSDOp) int32 { return ceph.EINVAL.Result() }

// opUndirty takes an object's mark of having changed since it was last flushed.
func opUndirty(x *exec, _ *message.OSDOp) int32 {
	x.writes++
	if x.exists && x.info.IsDirty() {
		x.info.Flags &^= pginfo.ObjectDirty
		x.undirty, x.touched = true, true
	}
	return 0
}

// opNoManifest does what there is to do for an object that is no manifest: nothing.
func opNoManifest(x *exec, _ *message.OSDOp) int32 {
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	return 0
}

func opTierEvict(x *exec, op *message.OSDOp) int32 {
	if r := opNoManifest(x, op); r < 0 {
		return r
	}
	return ceph.EINVAL.Result()
}

func opUnsetManifest(x *exec, op *message.OSDOp) int32 {
	if r := opNoManifest(x, op); r < 0 {
		return r
	}
	return ceph.EOPNOTSUPP.Result()
}
