package ops

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/snaps"
	"glue/store/objectstore"
)

// A Loss is an object that is given up, as its newest version is on no copy.
type Loss struct {
	Object ceph.HObject
	Need   ceph.Eversion // the version that is lost
	Back   ceph.Eversion // the one here to which it goes back; zero: it is deleted
	At     ceph.Eversion // the version of the first entry
}

// GiveUp is the change that makes a lost object what is left of it, in such a way that the clones
// which an object knows of are those that it has. A clone that is gone is taken off its head in the
// same transaction, of which it has the first entry. A head that is gone stays as a whiteout if it
// has clones, and one that goes back to an older version knows the clones that were made since;
// clones that are lost too are given up after it. A clone that goes back stands for the snapshots
// that its head says. It is false when the version to go back to is not here.
func GiveUp(env *Env, l *Loss) (Outcome, bool) {
	head, err := LoadState(env.Store, env.Coll, l.Object.Head())
	st := head
	if err == nil && snaps.IsClone(l.Object) {
		st, err = LoadState(env.Store, env.Coll, l.Object)
	}
	switch {
	case err != nil:
		return Outcome{Failure: err, From: l.Object}, true
	case !l.Back.IsZero() && (!st.Exists || st.Info.Version != l.Back):
		return Outcome{}, false
	}
	x := &exec{env: env, req: &Request{Object: l.Object.Head()}, old: head, info: head.Info,
		exists: head.Visible(), at: l.At, txn: &objectstore.Transaction{}}
	out := Outcome{PriorVersion: l.Need, At: l.At, Transaction: x.txn, State: head}
	if snaps.IsClone(l.Object) {
		x.loseClone(&out, l, st)
		return out, true
	}
	set, err := clonesOf(env, l.Object, head.Info.Snaps, l.Back.IsZero())
	if err != nil {
		return Outcome{Failure: err, From: l.Object}, true
	}
	x.loseHead(&out, l, set)
	return out, true
}

// loseClone gives a clone up. Without a head that knows it, it is deleted alone.
func (x *exec) loseClone(out *Outcome, l *Loss, st *State) {
	set, bytes, known := snaps.Without(x.old.Info.Snaps, l.Object.Snap)
	if known && !l.Back.IsZero() {
		out.Log = LogModify
		x.putBack(out, l.Object, st.Info, nil)
		for i := range x.old.Info.Snaps.Clones {
			if c := &x.old.Info.Snaps.Clones[i]; c.ID == l.Object.Snap {
				x.txn.SetAttr(x.env.Coll, l.Object, objectstore.TagAttr, snaps.Attr(c.Snaps))
			}
		}
		out.State = x.old
		return
	}
	x.txn.Touch(x.env.Coll, l.Object)
	x.txn.Remove(x.env.Coll, l.Object)
	x.stats.Objects, x.stats.Clones, x.stats.Bytes = -1, -1, bytes
	if !known {
		out.Log = LogDelete
	} else {
		out.Clone = &pginfo.LogEntry{Op: pginfo.LogDelete, Object: l.Object, Version: x.at,
			PriorVersion: l.Need}
		out.From, out.PriorVersion = l.Object, x.old.Info.Version
		out.UserVersion = x.old.Info.UserVersion
		x.at.Version++
		x.putSet(out, set)
	}
	out.Stats = x.stats
}

// loseHead gives a head up that has these clones.
func (x *exec) loseHead(out *Outcome, l *Loss, set *snaps.Set) {
	c, o := x.object()
	switch {
	case !l.Back.IsZero():
		out.Log = LogModify
		x.putBack(out, o, x.old.Info, set)
	case snaps.HasClones(set):
		out.Log = LogModify
		x.txn.Touch(c, o)
		x.txn.Remove(c, o)
		x.txn.Touch(c, o)
		x.putBack(out, o, pginfo.ObjectInfo{Object: o, Flags: pginfo.ObjectWhiteout}, set)
		out.Stats.Whiteouts = 1
	default:
		out.Log, out.State = LogDelete, &State{Info: pginfo.ObjectInfo{Object: o}}
		x.txn.Touch(c, o)
		x.txn.Remove(c, o)
		out.Stats.Objects = -1
	}
}

// putBack writes the info of an object as the lost version's successor.
func (x *exec) putBack(out *Outcome, o ceph.HObject, info pginfo.ObjectInfo, set *snaps.Set) {
	info.PriorVersion, info.Version, info.Snaps = info.Version, out.At, set
	out.UserVersion, out.State = info.UserVersion, &State{Exists: true, Info: info}
	x.txn.SetAttr(x.env.Coll, o, InfoAttr, denc.Marshal(&info, ceph.FeaturesAll))
}

// clonesOf is what a head that is lost has to know, by an older set of its own and by its clones.
func clonesOf(env *Env, head ceph.HObject, old *snaps.Set, gone bool) (*snaps.Set, error) {
	var list []snaps.Clone
	for from := snaps.First(head); ; {
		page, next, err := env.Store.List(env.Coll, from, listedClones)
		if err != nil {
			return nil, fmt.Errorf("list clones of %v: %w", head, err)
		}
		for _, o := range page {
			if o.Head() != head || o == head {
				return snaps.Refit(old, list, gone), nil
			}
			st, err := LoadState(env.Store, env.Coll, o)
			if err != nil {
				return nil, err
			}
			tags, err := env.Store.GetAttr(env.Coll, o, objectstore.TagAttr)
			if ids := snaps.FromAttr(tags); err == nil && len(ids) > 0 {
				list = append(list, snaps.Clone{ID: o.Snap, Snaps: ids, Size: st.Info.Size})
			}
		}
		if from = next; from.Max {
			return snaps.Refit(old, list, gone), nil
		}
	}
}

// listedClones is how many objects are listed at once.
const listedClones = 64
