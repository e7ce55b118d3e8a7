package ops

import (
	"fmt"
	"math"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// takeContext decides under which snapshots the request writes: those of the pool, if it has any of
// its own, else those that the client knows of and that are not being removed.
func (x *exec) takeContext() ceph.Errno {
	c := snaps.Context{Seq: x.req.SnapSeq, Snaps: x.req.Snaps}
	if !c.Valid() {
		return ceph.EINVAL
	}
	if x.env.PoolSnaps != nil && x.req.Flags&message.FlagEnforceSnapC == 0 {
		c = *x.env.PoolSnaps
	} else {
		c = c.Without(x.env.Removed)
	}
	if x.req.Flags&message.FlagOrderSnap != 0 && c.Seq < snaps.Seq(x.old.Info.Snaps) {
		return ceph.EOLDSNAPC
	}
	x.context = c
	return 0
}

// keepSnaps does what a change of the object means for its snapshots: what was there becomes a
// clone if a snapshot needs it, and an object that is gone stays as a whiteout while it has clones.
func (x *exec) keepSnaps(out *Outcome) {
	set := x.old.Info.Snaps
	if set == nil && x.context.Seq == 0 {
		return
	}
	head := snaps.Head{Visible: x.old.Visible(), Size: x.old.Info.Size}
	next, made, bytes := snaps.Write(set, x.context, head, x.modified())
	x.stats.Bytes += bytes
	if made {
		x.makeClone(out, &next.Clones[len(next.Clones)-1])
	}
	x.info.Snaps = next
	if x.exists || x.info.IsWhiteout() || !snaps.HasClones(next) {
		return
	}
	c, o := x.object()
	x.t().Touch(c, o)
	x.info = pginfo.ObjectInfo{Flags: pginfo.ObjectWhiteout, UserVersion: x.info.UserVersion,
		MTime: x.info.MTime, LocalMTime: x.info.LocalMTime, Snaps: next}
	x.stats.Objects++
	x.stats.Whiteouts++
}

// makeClone puts the copy of the head as it was before all that the request does to it.
func (x *exec) makeClone(out *Outcome, n *snaps.Clone) {
	c, o := x.object()
	clone := o
	clone.Snap = n.ID
	info := x.old.Info
	info.Object, info.Version, info.PriorVersion = clone, x.at, info.Version
	info.Watchers, info.Snaps = nil, nil
	var t objectstore.Transaction
	t.Clone(c, o, clone)
	t.SetAttrs(c, clone, map[string][]byte{
		InfoAttr:            denc.Marshal(&info, ceph.FeaturesAll),
		objectstore.TagAttr: snaps.Attr(n.Snaps)})
	x.t().Ops = slices.Insert(x.t().Ops, 0, t.Ops...)
	out.Clone = &pginfo.LogEntry{Op: pginfo.LogClone, Object: clone, Version: x.at,
		UserVersion: info.UserVersion, MTime: info.MTime}
	x.at.Version++
	x.stats.Objects++
	x.stats.Clones++
	x.stats.ObjectsDirty += one(info.IsDirty())
	x.stats.ObjectsOmap += one(info.IsOmap())
}

// modified is the bytes of the head that the transaction changes.
func (x *exec) modified() []pginfo.Range {
	out := x.rolled
	for i := range x.t().Ops {
		op := &x.txn.Ops[i]
		if op.Object != x.req.Object {
			continue
		}
		switch op.Code {
		case objectstore.OpWrite, objectstore.OpZero:
			out = append(out, pginfo.Range{Begin: op.Off, End: op.Off + op.Len})
		case objectstore.OpTruncate:
			out = append(out, pginfo.Range{Begin: op.Off, End: math.MaxUint64})
		case objectstore.OpRemove:
			out = append(out, pginfo.Range{Begin: 0, End: math.MaxUint64})
		}
	}
	return out
}

// opRollback makes the head what it was at a snapshot: gone, if it was not there.
func opRollback(x *exec, op *message.OSDOp) int32 {
	x.writes++
	set, at := x.old.Info.Snaps, op.SnapID()
	id, ok := FindSnap(x.env, set, at)
	switch {
	case ok && id == ceph.NoSnap && x.exists:
		x.touched = true
		return 0
	case !ok || id == ceph.NoSnap:
		if len(x.info.Watchers) > 0 {
			return ceph.EBUSY.Result()
		}
		if x.exists {
			return opDelete(x, op)
		}
		return 0
	}
	c, o := x.object()
	x.from = o
	x.from.Snap = id
	st, err := LoadState(x.env.Store, c, x.from)
	if err == nil && !st.Exists {
		err = fmt.Errorf("clone %v is not there: %w", x.from, objectstore.ErrCorrupt)
	}
	if err != nil {
		return x.fail(err)
	}
	x.create()
	x.rolled = append(x.rolled, snaps.Outside(x.info.Size, snaps.Since(set, id))...)
	x.t().Clone(c, x.from, o)
	x.t().RmAttr(c, o, objectstore.TagAttr)
	x.resize(st.Info.Size)
	x.info.Flags = x.info.Flags&^pginfo.ObjectOmap | st.Info.Flags&pginfo.ObjectOmap
	return 0
}

// FindSnap is whose content a reader at a snapshot sees, by an object's set: that of a clone, or of
// the head (NoSnap); false if the object was not there, or if the snapshot is being removed.
func FindSnap(env *Env, set *snaps.Set, at ceph.SnapID) (ceph.SnapID, bool) {
	id, ok := snaps.Find(set, at)
	if ok && id != ceph.NoSnap && osdmap.ContainsSnap(env.Removed, at) {
		return 0, false
	}
	return id, ok
}

// opListSnaps answers with the clones and the head (obj_list_snap_response_t).
func opListSnaps(x *exec, op *message.OSDOp) int32 {
	x.reads++
	x.stats.Reads++
	var list []snaps.Clone
	if set := x.info.Snaps; set != nil {
		list = slices.Clone(set.Clones)
	}
	if x.exists {
		list = append(list, snaps.Clone{ID: ceph.NoSnap, Size: x.info.Size})
	}
	c := denc.NewEncoder(nil, 0)
	s := c.Begin(2, 1)
	denc.ListFunc(c, &list, dencListed)
	c.U64Const(uint64(snaps.Seq(x.info.Snaps)))
	s.End()
	op.Out = c.Bytes()
	return 0
}

// dencListed is a clone_info: its snapshots ascend, unlike in a set.
func dencListed(c *denc.Coder, n *snaps.Clone) {
	s := c.Begin(1, 1)
	n.ID.Denc(c)
	ids := slices.Clone(n.Snaps)
	slices.Reverse(ids)
	denc.List(c, &ids)
	denc.ListFunc(c, &n.Overlap, func(c *denc.Coder, r *pginfo.Range) {
		c.U64(&r.Begin)
		c.U64Const(r.End - r.Begin)
	})
	c.U64(&n.Size)
	s.End()
}

// Trim is the change that takes removed snapshots off a clone, as an outcome with the log's entry
// for the clone in Clone, that of the head in the rest: both are one transaction. It is false when
// there is nothing to do. at is the version of the first.
func Trim(env *Env, head *State, clone ceph.HObject, at ceph.Eversion,
	removed func(ceph.SnapID) bool,
) (out Outcome, ok bool) {
	set, left, bytes, ok := snaps.Trim(head.Info.Snaps, clone.Snap, removed)
	if !ok {
		return out, false
	}
	st, err := LoadState(env.Store, env.Coll, clone)
	if err == nil && !st.Exists {
		err = fmt.Errorf("clone %v is not there: %w", clone, objectstore.ErrCorrupt)
	}
	if err != nil {
		return Outcome{Failure: err, From: clone}, true
	}
	x := &exec{env: env, req: &Request{Object: clone.Head()}, old: head, exists: head.Visible(),
		info: head.Info, at: at, txn: &objectstore.Transaction{}}
	out = Outcome{From: clone, PriorVersion: head.Info.Version, UserVersion: head.Info.UserVersion}
	x.stats.Bytes = bytes
	x.trimClone(&out, clone, st, left)
	x.at.Version++
	x.putSet(&out, set)
	out.Stats = x.stats
	return out, true
}

// putSet gives a head another set, in the transaction's last entry; a whiteout goes with its last
// clone.
func (x *exec) putSet(out *Outcome, set *snaps.Set) {
	x.info.Snaps = set
	out.At, out.Transaction = x.at, x.txn
	c, o := x.object()
	if !x.exists && !snaps.HasClones(set) {
		x.stats.Whiteouts--
		x.countGone(&x.old.Info)
		x.txn.Remove(c, o)
		out.Log, out.State = LogDelete, &State{Info: pginfo.ObjectInfo{Object: o}}
		return
	}
	x.info.PriorVersion, x.info.Version = x.info.Version, x.at
	x.txn.SetAttr(c, o, InfoAttr, x.encodeInfo())
	out.Log, out.State = LogModify, &State{Exists: true, Info: x.info}
}

// trimClone removes a clone that stands for nothing any more, or notes what it still stands for.
func (x *exec) trimClone(out *Outcome, clone ceph.HObject, st *State, left []ceph.SnapID) {
	e := &pginfo.LogEntry{Op: pginfo.LogModify, Object: clone, Version: x.at,
		PriorVersion: st.Info.Version, UserVersion: st.Info.UserVersion, MTime: st.Info.MTime}
	out.Clone = e
	if len(left) == 0 {
		e.Op = pginfo.LogDelete
		x.txn.Remove(x.env.Coll, clone)
		x.stats.Clones--
		x.countGone(&st.Info)
		return
	}
	e.Changes.Known = true
	info := st.Info
	info.PriorVersion, info.Version = info.Version, x.at
	x.txn.SetAttrs(x.env.Coll, clone, map[string][]byte{
		InfoAttr:            denc.Marshal(&info, ceph.FeaturesAll),
		objectstore.TagAttr: snaps.Attr(left)})
}

// countGone counts an object that is removed.
func (x *exec) countGone(i *pginfo.ObjectInfo) {
	x.stats.Objects--
	x.stats.ObjectsDirty -= one(i.IsDirty())
	x.stats.ObjectsOmap -= one(i.IsOmap())
}
