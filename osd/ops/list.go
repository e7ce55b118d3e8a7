package ops

import (
	"errors"
	"iter"
	"math/bits"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/osd/class"
	"glue/store/objectstore"
	"glue/wire/message"
)

// allNamespaces is the namespace of a listing that asks for every one.
const allNamespaces = "\x01"

// hitSetNamespace holds internal objects of cache tiers.
const hitSetNamespace = ".ceph-internal"

// A pgRow is one op on a whole PG.
type pgRow struct {
	Code message.OpCode
	run  func(l *lister, op *message.OSDOp) int32
}

// pgTable has every op on a PG; others are EINVAL.
var pgTable = []pgRow{
	{message.OpPGNLS, (*lister).pgnls},
	{message.OpPGNLSFilter, (*lister).filtered},
	{message.OpPGLS, (*lister).pgls},
	{message.OpPGLSFilter, (*lister).filtered},
	{message.OpPGHitsetLS, func(_ *lister, op *message.OSDOp) int32 {
		op.Out = le.AppendUint32(nil, 0)
		return 0
	}},
	{message.OpPGHitsetGet, func(*lister, *message.OSDOp) int32 { return ceph.ENOENT.Result() }},
	{message.OpScrubLS, func(l *lister, op *message.OSDOp) int32 {
		if l.env.ScrubList == nil {
			return ceph.EOPNOTSUPP.Result()
		}
		out, err := l.env.ScrubList(op.In)
		op.Out = out
		return ceph.ResultOf(err)
	}},
}

// ExecutePG runs a vector of PG ops: listings, which have no object and no State.
func ExecutePG(env *Env, r *Request) Outcome {
	out := Outcome{Ops: echo(r.Ops), UserVersion: r.LastUserVersion}
	out.setReplay(r.LastUpdate)
	l := &lister{env: env, req: r}
	for i := range out.Ops {
		op := &out.Ops[i]
		res := ceph.EINVAL.Result()
		for _, row := range pgTable {
			if row.Code == op.Code {
				l.filter = nil
				l.in = denc.NewDecoder(op.In, 0)
				res = row.run(l, op)
			}
		}
		op.In = nil
		out.Result = res
		if res < 0 {
			break
		}
	}
	out.Failure = l.failure
	return out
}

// A lister runs one PG op.
type lister struct {
	env     *Env
	req     *Request
	in      *denc.Coder
	filter  *class.Selector // nil: all
	failure error
}

// filtered reads the filter, then lists.
func (l *lister) filtered(op *message.OSDOp) int32 {
	var called [2]string // a class and method that mean nothing
	var name string
	l.in.Str(&called[0])
	l.in.Str(&called[1])
	l.in.Str(&name)
	f, err := l.env.Classes.Filter(name)
	if err != nil || l.in.Err() != nil {
		return ceph.EINVAL.Result()
	}
	filter := f.Parse(l.in)
	if l.in.Err() != nil {
		return ceph.EINVAL.Result()
	}
	l.filter = &filter
	if op.Code == message.OpPGLSFilter {
		return l.pgls(op)
	}
	return l.pgnls(op)
}

// passes applies the filter.
func (l *lister) passes(o ceph.HObject) bool {
	f := l.filter
	if f == nil {
		return true
	}
	if f.Attr == "" {
		return f.Keep(o.Name, nil)
	}
	v, err := l.env.Store.GetAttr(l.env.Coll, o, f.Attr)
	if err != nil && !isAnswer(err) {
		l.failure = err
		return false
	}
	if err != nil && (!f.Lacking || !errors.Is(err, ceph.ENODATA)) {
		return false
	}
	return f.Keep(o.Name, v)
}

func isAnswer(err error) bool {
	var e ceph.Errno
	return errors.As(err, &e) && !errors.Is(err, objectstore.ErrCorrupt)
}

// pgnls answers with pg_nls_response_t.
func (l *lister) pgnls(op *message.OSDOp) int32 {
	from, r := l.begin(op)
	if r < 0 {
		return r
	}
	first, last := Bounds(l.env.Coll.PGID, l.env.PGNum)
	if (!from.Max && from.Compare(last) >= 0) || (!from.IsMin() && from.Compare(first) < 0) {
		return ceph.EINVAL.Result()
	}
	entries, next, atEnd, r := l.list(op, from)
	if r < 0 {
		return r
	}
	if atEnd {
		next = last
	}
	c := denc.NewEncoder(nil, 0)
	s := c.Begin(1, 1)
	next.Denc(c)
	denc.ListFunc(c, &entries, func(c *denc.Coder, o *ceph.HObject) {
		c.Str(&o.Namespace)
		c.Str(&o.Name)
		c.Str(&o.Key)
	})
	s.End()
	op.Out = c.Bytes()
	return int32(one(atEnd))
}

// pgls answers with pg_ls_response_t, for old clients and one namespace.
func (l *lister) pgls(op *message.OSDOp) int32 {
	from, r := l.begin(op)
	if r < 0 {
		return r
	}
	entries, next, atEnd, r := l.list(op, from)
	if r < 0 {
		return r
	}
	c := denc.NewEncoder(nil, 0)
	c.U8Const(1)
	next.Denc(c)
	denc.ListFunc(c, &entries, func(c *denc.Coder, o *ceph.HObject) {
		c.Str(&o.Name)
		c.Str(&o.Key)
	})
	op.Out = c.Bytes()
	return int32(one(atEnd))
}

// begin reads where to start.
func (l *lister) begin(op *message.OSDOp) (ceph.HObject, int32) {
	var from ceph.HObject
	if l.req.Object.Snap != ceph.NoSnap {
		return from, ceph.EINVAL.Result()
	}
	if from.Denc(l.in); l.in.Err() != nil {
		return from, ceph.EINVAL.Result()
	}
	return from, 0
}

// list collects the heads that the request asks for, in order, from what is stored and what is
// missing; next is where to go on, atEnd means the PG has no more.
func (l *lister) list(op *message.OSDOp, from ceph.HObject) (
	out []ceph.HObject, next ceph.HObject, atEnd bool, r int32,
) {
	count, _ := op.ListArgs()
	limit := int(min(count, l.env.Limits.ListEntries))
	stored, next, err := l.env.Store.List(l.env.Coll, from, limit)
	if err != nil {
		if !isAnswer(err) {
			l.failure = err
		}
		return nil, next, false, ceph.EINVAL.Result()
	}
	for o := range merge(stored, l.missing(from)) {
		if o.Compare(next) >= 0 {
			return out, next, false, 0
		}
		if len(out) == limit {
			return out, o, false, 0
		}
		if l.wanted(o) {
			out = append(out, o)
		}
		if l.failure != nil {
			return nil, next, false, ceph.EIO.Result()
		}
	}
	return out, next, next.Max, 0
}

func (l *lister) missing(from ceph.HObject) iter.Seq[ceph.HObject] {
	if l.env.Missing == nil {
		return func(func(ceph.HObject) bool) {}
	}
	return l.env.Missing(from)
}

// wanted says whether an object belongs into the listing.
func (l *lister) wanted(o ceph.HObject) bool {
	ns := l.req.Object.Namespace
	return o.Snap == ceph.NoSnap && o.Pool == l.env.Coll.Pool &&
		o.Namespace != hitSetNamespace && (ns == allNamespaces || ns == o.Namespace) &&
		l.passes(o)
}

// merge yields two ascending sequences as one, without duplicates.
func merge(a []ceph.HObject, b iter.Seq[ceph.HObject]) iter.Seq[ceph.HObject] {
	return func(yield func(ceph.HObject) bool) {
		for o := range b {
			for len(a) > 0 && a[0].Compare(o) < 0 {
				if !yield(a[0]) {
					return
				}
				a = a[1:]
			}
			if len(a) > 0 && a[0].Compare(o) == 0 {
				a = a[1:]
			}
			if !yield(o) {
				return
			}
		}
		for _, o := range a {
			if !yield(o) {
				return
			}
		}
	}
}

// Bounds are the first object that a PG could hold and the first beyond it (pg_t::get_hobj_start,
// get_hobj_end).
func Bounds(pg ceph.PGID, pgNum uint32) (first, last ceph.HObject) {
	first = ceph.HObject{Pool: pg.Pool, Hash: pg.Seed}
	start := uint64(bits.Reverse32(pg.Seed))
	after := (start | uint64(^uint32(0)>>osdmap.SplitBits(pg.Seed, pgNum))) + 1
	if after > uint64(^uint32(0)) {
		return first, ceph.MaxHObject()
	}
	last = ceph.HObject{Pool: pg.Pool, Snap: ceph.NoSnap, Hash: bits.Reverse32(uint32(after))}
	return first, last
}
