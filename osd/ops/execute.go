package ops

import (
	"encoding/binary"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/store/objectstore"
	"glue/wire/message"
)

var le = binary.LittleEndian

// Execute runs a vector of object ops. The caller has used Inspect and Check, knows that the
// request is no duplicate, and sets r.State.
func Execute(env *Env, r *Request, n *Need) Outcome {
	out := Outcome{State: r.State, PriorVersion: r.State.Info.Version, Ops: echo(r.Ops), At: r.At}
	visible := r.State.Visible()
	if !visible && !n.MayWrite() && !n.Cache &&
		!(r.State.Exists && r.Object.Snap == ceph.SnapDir) {
		out.Result = ceph.ENOENT.Result()
		return out
	}
	x := &exec{env: env, req: r, old: r.State, exists: visible, info: r.State.Info, at: r.At}
	if n.MayWrite() {
		x.txn = newTransaction()
		if e := x.takeContext(); e != 0 {
			out.Result = e.Result()
			return out
		}
	}
	result := x.run(out.Ops)
	switch {
	case x.source != nil:
		out.Source = x.source
		return out
	case x.failure != nil:
		out.Result, out.Failure, out.From = result, x.failure, x.from
	case x.touched && !n.MayWrite() && result >= 0:
		// A method that is not marked as writing wrote, and the client waved its error through.
		x.endFailed(&out, n, ceph.EIO.Result())
	case result < 0:
		x.endFailed(&out, n, result)
	case !x.touched:
		x.endUnchanged(&out, n, result)
	default:
		x.endChanged(&out, n, result)
	}
	for i := range out.Ops {
		out.Ops[i].In = nil
	}
	out.Loan = x.loan
	return out
}

// newTransaction makes room for the changes of a usual write together with the transaction.
func newTransaction() *objectstore.Transaction {
	var room struct {
		t   objectstore.Transaction
		ops [3]objectstore.Op
	}
	room.t.Ops = room.ops[:0]
	return &room.t
}

// echo copies the ops, so that running them does not change the request.
func echo(ops []message.OSDOp) []message.OSDOp {
	out := slices.Clone(ops)
	for i := range out {
		out[i].Out, out[i].Result = nil, 0
	}
	return out
}

// endFailed ends a vector of which an op failed: nothing happens, and if it could have written the
// log remembers the answer.
func (x *exec) endFailed(out *Outcome, n *Need, result int32) {
	out.Result, out.LogResult = result, result
	if n.MayWrite() {
		out.Log = LogError
		out.UserVersion = x.old.Info.UserVersion
		out.setReplay(x.req.At)
	}
	if result == ceph.ENOENT.Result() {
		out.UserVersion = x.req.LastUserVersion
		out.BadReplay = x.req.LastUpdate
	}
}

// endUnchanged ends a vector that changed nothing.
func (x *exec) endUnchanged(out *Outcome, n *Need, result int32) {
	out.Result, out.LogResult = result, result
	out.Effects, out.Stats = x.effects, x.stats
	out.UserVersion = x.old.Info.UserVersion
	if n.MayWrite() {
		out.Log = LogError
		out.setReplay(x.req.At)
		return
	}
	out.setReplay(ceph.Eversion{})
}

// endChanged ends a vector that changed the object.
func (x *exec) endChanged(out *Outcome, n *Need, result int32) {
	if !x.checkFull(out) || !x.bindReplies(out, n, &result) {
		if out.Result < 0 {
			x.endFailed(out, n, out.Result)
		}
		return
	}
	x.keepSnaps(out)
	stored := x.exists || x.info.IsWhiteout()
	x.countFlags(stored)
	at := x.info.UserVersion
	if x.userModify {
		at = max(max(x.req.LastUserVersion, x.info.UserVersion)+1, x.at.Version)
		x.info.UserVersion = at
		// They are of the content before.
		x.info.Flags &^= pginfo.ObjectDataDigest | pginfo.ObjectOmapDigest
	}
	out.UserVersion = at
	next := &State{Exists: stored}
	if stored {
		x.stamp()
		next.Info = x.info
		c, o := x.object()
		x.t().SetAttr(c, o, InfoAttr, x.encodeInfo())
		out.Log = LogModify
	} else {
		next.Info.Object = x.req.Object
		out.Log = LogDelete
	}
	out.Result, out.State, out.Transaction = result, next, x.txn
	if n.ReturnVec {
		out.LogResult = result
	}
	out.Effects, out.Stats = x.effects, x.stats
	out.At, out.From = x.at, x.from
	out.setReplay(x.at)
}

// infoBytes is what an encoded info takes, names aside.
const infoBytes = 320

func (x *exec) encodeInfo() []byte {
	o := &x.req.Object
	size := infoBytes + len(o.Name) + len(o.Key) + len(o.Namespace) + 96*len(x.info.Watchers)
	if s := x.info.Snaps; s != nil {
		size += 64 + 96*len(s.Clones)
	}
	c := denc.NewEncoder(make([]byte, 0, size), ceph.FeaturesAll)
	x.info.Denc(c)
	return c.Bytes()
}

// stamp writes the version and times of a change.
func (x *exec) stamp() {
	x.info.Object = x.req.Object
	x.info.PriorVersion = x.old.Info.Version
	x.info.Version = x.at
	x.info.LastReqID = x.req.ReqID
	if x.req.MTime != (ceph.Time{}) && !x.copied {
		x.info.MTime = x.req.MTime
		x.info.LocalMTime = x.req.Now
	}
}

// checkFull refuses growth of a full pool; false ends the request.
func (x *exec) checkFull(out *Outcome) bool {
	flags := x.req.Flags
	if !x.env.Full || (x.stats.Bytes <= 0 && x.stats.Objects <= 0) ||
		x.req.ReqID.Name.Type == ceph.TypeMDS || flags&message.FlagFullForce != 0 {
		return true
	}
	switch {
	case flags&message.FlagFullTry == 0:
		out.Drop = true
	case x.env.FullQuota:
		out.Result = ceph.EDQUOT.Result()
	default:
		out.Result = ceph.ENOSPC.Result()
	}
	return false
}

// bindReplies decides what of the outputs a write may return; false ends the request.
func (x *exec) bindReplies(out *Outcome, n *Need, result *int32) bool {
	if !n.ReturnVec {
		*result = 0
		for i := range out.Ops {
			out.Ops[i].Out = nil
		}
		return true
	}
	ok := true
	for i := range out.Ops {
		if op := &out.Ops[i]; len(op.Out) > x.env.Limits.WriteReply {
			op.Out, op.Result, ok = nil, ceph.EOVERFLOW.Result(), false
		}
	}
	if !ok {
		out.Result = ceph.EOVERFLOW.Result()
	}
	return ok
}

// countFlags keeps the info's dirty flag and counts objects by flag.
func (x *exec) countFlags(stored bool) {
	was, is := x.old.Exists && x.old.Info.IsOmap(), stored && x.info.IsOmap()
	x.stats.ObjectsOmap += one(is) - one(was)
	wasDirty := x.old.Exists && x.old.Info.IsDirty()
	if stored && !x.undirty {
		x.info.Flags |= pginfo.ObjectDirty
	}
	x.stats.ObjectsDirty += one(stored && x.info.IsDirty()) - one(wasDirty)
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// setReplay sets the versions that clients look at.
func (o *Outcome) setReplay(at ceph.Eversion) {
	o.ReplayVersion, o.BadReplay = at, at
	if o.UserVersion != 0 {
		o.BadReplay.Version = o.UserVersion
	}
}
