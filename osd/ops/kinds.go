package ops

import (
	"slices"

	"glue/ceph"
	"glue/wire/message"
)

// Rollback is the snapshot that a request rolls its object back to; ok is false for none.
func Rollback(list []message.OSDOp) (to ceph.SnapID, ok bool) {
	for i := range list {
		if list[i].Code == message.OpRollback {
			return list[i].SnapID(), true
		}
	}
	return 0, false
}

// OnlyWatches says whether a request is one of those that watchers repeat all the time; doing it
// twice is no harm.
func OnlyWatches(list []message.OSDOp) bool {
	return !slices.ContainsFunc(list, func(o message.OSDOp) bool {
		return o.Code != message.OpWatch
	})
}
