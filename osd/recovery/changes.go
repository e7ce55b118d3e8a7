package recovery

import (
	"math"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/store/objectstore"
)

// ChangesOf is what a transaction changes of an object; all of it if that can't be told.
func ChangesOf(t *objectstore.Transaction, o *ceph.HObject) pginfo.Changes {
	x := pginfo.Changes{Known: true}
	for i := range t.Ops {
		op := &t.Ops[i]
		switch op.Code {
		case objectstore.OpClone, objectstore.OpCloneRange, objectstore.OpMoveRename:
			if op.Dest == *o || op.Code == objectstore.OpMoveRename && op.Object == *o {
				return pginfo.Changes{}
			}
			continue
		}
		if op.Object != *o {
			continue
		}
		switch op.Code {
		case objectstore.OpWrite:
			x.Add(op.Off, uint64(len(op.Data)))
		case objectstore.OpZero:
			x.Add(op.Off, op.Len)
		case objectstore.OpTruncate:
			x.Add(op.Off, math.MaxUint64)
		case objectstore.OpOmapSet:
			for k := range op.Pairs {
				x.AddKey(k)
			}
		case objectstore.OpOmapRm:
			for _, k := range op.Keys {
				x.AddKey(k)
			}
		case objectstore.OpOmapRmRange, objectstore.OpOmapClear, objectstore.OpOmapHeader:
			x.AddOmap()
		case objectstore.OpTouch, objectstore.OpSetAttrs, objectstore.OpRmAttr,
			objectstore.OpRmAttrs: // attributes always go as a whole
		default:
			return pginfo.Changes{}
		}
	}
	return x
}
