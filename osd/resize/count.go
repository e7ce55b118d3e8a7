package resize

import (
	"errors"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/ops"
	"glue/osd/recovery"
	"glue/osd/snaps"
)

// A Count counts the objects of a PG whose counts were shared out by a split, a few at a time
// while clients write: what is below next has been counted, so that its changes count, and what is
// above will be counted as it is then.
type Count struct {
	next ceph.HObject
	sum  pginfo.Stats
}

// A View is a store with all that has been counted as changed.
type View interface {
	ops.View
	List(c ceph.SPG, from ceph.HObject, max int) ([]ceph.HObject, ceph.HObject, error)
}

// Step counts up to n more objects; done says that these were the last.
func (r *Count) Step(v View, pg ceph.SPG, n int) (done bool, err error) {
	list, next, err := snaps.List(v, pg, r.next, n)
	for i := 0; err == nil && i < len(list); i++ {
		if !recovery.IsTemp(list[i]) {
			err = r.add(v, pg, list[i])
		}
	}
	r.next = next
	return next.Max, err
}

func (r *Count) add(v View, pg ceph.SPG, o ceph.HObject) error {
	st, err := ops.LoadState(v, pg, o)
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	r.sum.Objects++
	if snaps.IsClone(o) {
		r.sum.ObjectsClone++ // its bytes are counted with the head, which knows them
	} else {
		r.sum.Bytes += int64(st.Info.Size) + snaps.AllBytes(st.Info.Snaps)
	}
	r.sum.Whiteouts += one(st.Info.IsWhiteout())
	r.sum.ObjectsOmap += one(st.Info.IsOmap())
	r.sum.ObjectsDirty += one(st.Info.IsDirty())
	return nil
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// Change accounts for a request that changes an object. Nothing is done if r is nil.
func (r *Count) Change(o ceph.HObject, s *ops.Stats) {
	if r == nil || o.Compare(r.next) >= 0 {
		return
	}
	r.sum.Objects += s.Objects
	r.sum.Bytes += s.Bytes
	r.sum.ObjectsOmap += s.ObjectsOmap
	r.sum.ObjectsDirty += s.ObjectsDirty
	r.sum.ObjectsClone += s.Clones
	r.sum.Whiteouts += s.Whiteouts
}

// Finish puts the counts where the estimates were.
func (r *Count) Finish(s *pginfo.Stats) {
	s.Objects, s.Bytes = r.sum.Objects, r.sum.Bytes
	s.ObjectsOmap, s.ObjectsDirty = r.sum.ObjectsOmap, r.sum.ObjectsDirty
	s.ObjectsClone, s.Whiteouts = r.sum.ObjectsClone, r.sum.Whiteouts
	s.Estimated = false
}
