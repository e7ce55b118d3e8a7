package ops

import (
	"slices"

	"glue/wire/message"
)

// MakesSnapshot says whether a request gives an image a snapshot. While there are no clones, no
// object of the image could be written after that, so the snapshot is what has to be refused.
func MakesSnapshot(n *Need) bool {
	for _, c := range n.Classes {
		if c.Class == "rbd" && c.Method == "snapshot_add" {
			return true
		}
	}
	return false
}

// OnlyWatches says whether a request is one of those that watchers repeat all the time; doing it
// twice is no harm.
func OnlyWatches(list []message.OSDOp) bool {
	return !slices.ContainsFunc(list, func(o message.OSDOp) bool {
		return o.Code != message.OpWatch
	})
}
