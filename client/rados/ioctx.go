package rados

import (
	"context"
	"fmt"
	"slices"
	"time"

	"glue/ceph"
	"glue/client/objecter"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

// AllNamespaces as an IOCtx's namespace lists the objects of all namespaces.
const AllNamespaces = objecter.AllNamespaces

// An IOCtx is a pool with a namespace, a locator key and a snapshot context. It is a value that
// does not change: the With methods return others.
type IOCtx struct {
	c         *Cluster
	pool      int64
	namespace string
	locator   string
	snapSeq   ceph.SnapID
	snaps     []ceph.SnapID
	readSnap  ceph.SnapID // 0: the head
	flags     uint32
	filter    Filter  // of listings
	flight    *flight // what Start has under way
}

// WithNamespace is the pool's namespace ns.
func (x *IOCtx) WithNamespace(ns string) *IOCtx {
	y := *x
	y.namespace = ns
	return &y
}

// WithLocator places objects by key in place of their name.
func (x *IOCtx) WithLocator(key string) *IOCtx {
	y := *x
	y.locator = key
	return &y
}

// WithSnapContext makes writes preserve the given self-managed snapshots, newest first.
func (x *IOCtx) WithSnapContext(seq ceph.SnapID, snaps []ceph.SnapID) *IOCtx {
	y := *x
	y.snapSeq, y.snaps = seq, snaps
	return &y
}

// WithSnap reads objects as they were at a snapshot, of the pool or self-managed; ceph.NoSnap reads
// them as they are. Writes at a snapshot are EROFS.
func (x *IOCtx) WithSnap(id ceph.SnapID) *IOCtx {
	y := *x
	if y.readSnap = id; id == ceph.NoSnap {
		y.readSnap = 0
	}
	return &y
}

// WithFullTry lets writes go out although the pool is full: the OSD refuses what does not free
// space.
func (x *IOCtx) WithFullTry() *IOCtx { return x.with(message.FlagFullTry) }

// WithBalancedReads sends reads to any copy of the object, by chance. What they find is never older
// than what was answered before; a copy that can't know sends the read to the primary.
func (x *IOCtx) WithBalancedReads() *IOCtx { return x.with(message.FlagBalanceReads) }

// WithLocalizedReads is WithBalancedReads with the copy that is nearest to us: by the option
// crush_location ("host=a rack=b", separated by blanks, commas or semicolons), else to the OSDs
// of our host.
func (x *IOCtx) WithLocalizedReads() *IOCtx { return x.with(message.FlagLocalizeReads) }

// WithOrderedReads makes reads wait for the object's earlier writes, and later ones for them, as if
// they were writes: a read that is started behind a write (Start, StartRead) sees it.
func (x *IOCtx) WithOrderedReads() *IOCtx { return x.with(message.FlagRWOrdered) }

func (x *IOCtx) with(flag uint32) *IOCtx {
	y := *x
	y.flags |= flag
	return &y
}

// ofAnyCopy are the flags of requests that may go to a copy that is not the primary: not those
// that change something, which methods of classes may.
const ofAnyCopy = message.FlagBalanceReads | message.FlagLocalizeReads

func changes(flags uint32, ops []message.OSDOp) bool {
	return flags&message.FlagWrite != 0 ||
		slices.ContainsFunc(ops, func(o message.OSDOp) bool { return o.Code == message.OpCall })
}

// Cluster is the connection.
func (x *IOCtx) Cluster() *Cluster { return x.c }

// PoolID is the pool's number.
func (x *IOCtx) PoolID() int64 { return x.pool }

// PoolName is the pool's name.
func (x *IOCtx) PoolName() string { return x.c.Map().PoolName(x.pool) }

// Namespace is the namespace, empty for the default one.
func (x *IOCtx) Namespace() string { return x.namespace }

// Locator is the locator key, empty if objects are placed by their name.
func (x *IOCtx) Locator() string { return x.locator }

// Pool is the pool's settings, nil if it is gone.
func (x *IOCtx) Pool() *osdmap.Pool { return x.c.Map().Pools[x.pool] }

func (x *IOCtx) target(oid string) objecter.Target {
	return objecter.Target{Pool: x.pool, Namespace: x.namespace, Key: x.locator, Object: oid}
}

// request is an op vector as it is sent.
func (x *IOCtx) request(
	oid string, flags uint32, ops []message.OSDOp,
) (*objecter.Op, error) {
	op := &objecter.Op{Pool: x.pool, Namespace: x.namespace, Key: x.locator, Object: oid,
		Ops: ops, Flags: flags | x.flags, Snap: x.readSnap}
	if changes(flags, ops) {
		op.Flags &^= ofAnyCopy
	}
	switch {
	case oid == "":
		return nil, fmt.Errorf("object name is empty: %w", ceph.EINVAL)
	case flags&message.FlagWrite == 0:
	case x.readSnap != 0:
		return nil, fmt.Errorf("write to object %s at snapshot %v: %w", oid, x.readSnap, ceph.EROFS)
	default:
		op.SnapSeq, op.Snaps = x.snapSeq, x.snaps
	}
	return op, nil
}

// do runs an op vector and returns the reply, which may come with an error.
func (x *IOCtx) do(
	ctx context.Context, oid string, flags uint32, ops []message.OSDOp,
) (*message.MOSDOpReply, error) {
	op, err := x.request(oid, flags, ops)
	if err != nil {
		return nil, err
	}
	r, err := x.c.obj.Do(ctx, op)
	if err == nil && len(r.Ops) != len(ops) {
		err = fmt.Errorf("answer of %d operations to %d: %w", len(r.Ops), len(ops), ceph.EIO)
	}
	return r, err
}

func (x *IOCtx) one(
	ctx context.Context, oid string, flags uint32, op message.OSDOp,
) (message.OSDOp, error) {
	r, err := x.do(ctx, oid, flags, []message.OSDOp{op})
	if err != nil {
		return message.OSDOp{}, err
	}
	return r.Ops[0], nil
}

// Operate runs a vector of changes, and of checks, on one object: all of them or, on an error,
// none. A CompareExtent that finds other data is a MismatchError.
func (x *IOCtx) Operate(ctx context.Context, oid string, w *WriteOp) error {
	r, err := x.do(ctx, oid, message.FlagWrite|w.flags, w.ops)
	return w.finish(r, err)
}

func (w *WriteOp) finish(r *message.MOSDOpReply, err error) error {
	if r != nil {
		w.version = r.UserVersion
	}
	return mismatch(err)
}

// OperateRead runs a vector of reads on one object. The results are in what the ReadOp's methods
// returned.
func (x *IOCtx) OperateRead(ctx context.Context, oid string, r *ReadOp) error {
	reply, err := x.do(ctx, oid, message.FlagRead|r.flags, r.ops)
	return r.finish(reply, err)
}

// finish takes the results out of a reply.
func (r *ReadOp) finish(reply *message.MOSDOpReply, err error) error {
	if reply == nil {
		return err
	}
	r.version = reply.UserVersion
	for i := range reply.Ops {
		if i < len(r.take) && r.take[i] != nil {
			if e := r.take[i](&reply.Ops[i]); e != nil && err == nil {
				err = e
			}
		}
	}
	return mismatch(err)
}

// Read returns length bytes at off, fewer at the end of the object; length 0 reads to the end.
func (x *IOCtx) Read(ctx context.Context, oid string, off, length uint64) ([]byte, error) {
	op := message.OSDOp{Code: message.OpRead}
	op.SetExtent(off, length)
	r, err := x.one(ctx, oid, message.FlagRead, op)
	return r.Out, err
}

// Write puts data at off.
func (x *IOCtx) Write(ctx context.Context, oid string, data []byte, off uint64) error {
	return x.Operate(ctx, oid, new(WriteOp).Write(data, off))
}

// WriteFull makes data the whole of the object.
func (x *IOCtx) WriteFull(ctx context.Context, oid string, data []byte) error {
	return x.Operate(ctx, oid, new(WriteOp).WriteFull(data))
}

// Append puts data at the end.
func (x *IOCtx) Append(ctx context.Context, oid string, data []byte) error {
	return x.Operate(ctx, oid, new(WriteOp).Append(data))
}

// Truncate makes the object size bytes long.
func (x *IOCtx) Truncate(ctx context.Context, oid string, size uint64) error {
	return x.Operate(ctx, oid, new(WriteOp).Truncate(size))
}

// Zero makes length bytes at off read as zero.
func (x *IOCtx) Zero(ctx context.Context, oid string, off, length uint64) error {
	return x.Operate(ctx, oid, new(WriteOp).Zero(off, length))
}

// Remove deletes the object; ENOENT without one.
func (x *IOCtx) Remove(ctx context.Context, oid string) error {
	return x.Operate(ctx, oid, new(WriteOp).Remove())
}

// Create makes the object; with exclusive it is EEXIST if it is there.
func (x *IOCtx) Create(ctx context.Context, oid string, exclusive bool) error {
	return x.Operate(ctx, oid, new(WriteOp).Create(exclusive))
}

// An ObjectStat is an object's size in bytes and when it was changed last.
type ObjectStat struct {
	Size  uint64
	MTime time.Time
}

// Stat is the object's size and time; ENOENT without one.
func (x *IOCtx) Stat(ctx context.Context, oid string) (ObjectStat, error) {
	var r ReadOp
	s := r.Stat()
	err := x.OperateRead(ctx, oid, &r)
	return *s, err
}

// Exec calls a method of an object class. Errors of the method are ceph.Errno.
func (x *IOCtx) Exec(
	ctx context.Context, oid, class, method string, in []byte,
) ([]byte, error) {
	var op message.OSDOp
	op.SetCall(class, method, in)
	r, err := x.one(ctx, oid, message.FlagRead, op)
	return r.Out, err
}

// Xattr is one attribute; ENODATA if the object lacks it.
func (x *IOCtx) Xattr(ctx context.Context, oid, name string) ([]byte, error) {
	op := message.OSDOp{Code: message.OpGetXattr}
	op.SetXattr(name, nil, 0, 0)
	r, err := x.one(ctx, oid, message.FlagRead, op)
	return r.Out, err
}

// Xattrs is all attributes.
func (x *IOCtx) Xattrs(ctx context.Context, oid string) (map[string][]byte, error) {
	var r ReadOp
	m := r.Xattrs()
	err := x.OperateRead(ctx, oid, &r)
	return *m, err
}

// SetXattr sets an attribute.
func (x *IOCtx) SetXattr(ctx context.Context, oid, name string, value []byte) error {
	return x.Operate(ctx, oid, new(WriteOp).SetXattr(name, value))
}

// RmXattr removes an attribute, if the object has it.
func (x *IOCtx) RmXattr(ctx context.Context, oid, name string) error {
	return x.Operate(ctx, oid, new(WriteOp).RmXattr(name))
}
