package ops

import (
	"glue/ceph"
	"glue/ceph/denc"
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

// opSetRedirect refuses what makes no sense as a stock OSD does, and then what this release does
// not have: an object that stands for another.
func opSetRedirect(x *exec, op *message.OSDOp) int32 {
	if r := opNoManifest(x, op); r < 0 {
		return r
	}
	if a, ok := decodeCopy(op); !ok || a.src.is(x.req.Object) {
		return ceph.EINVAL.Result()
	}
	return ceph.EOPNOTSUPP.Result()
}

// opSetChunk is opSetRedirect for a range of the object.
func opSetChunk(x *exec, op *message.OSDOp) int32 {
	if r := opNoManifest(x, op); r < 0 {
		return r
	}
	var off, length, at uint64
	var to CopySource
	c := denc.NewDecoder(op.In, 0)
	c.U64(&off)
	c.U64(&length)
	to.Locator.Denc(c)
	c.Str(&to.Name)
	c.U64(&at)
	switch {
	case c.Err() != nil || length == 0:
		return ceph.EINVAL.Result()
	case off > x.info.Size || length > x.info.Size-off:
		return ceph.ERANGE.Result()
	}
	return ceph.EOPNOTSUPP.Result()
}
