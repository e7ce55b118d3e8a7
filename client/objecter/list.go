package objecter

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// AllNamespaces as a namespace lists the objects of all of them (LIBRADOS_ALL_NSPACES).
const AllNamespaces = "\x01"

// A Listed is one object of a pool.
type Listed struct{ Namespace, Name, Key string }

// filterCall is the class and method that a filter is preceded by and that mean nothing.
var filterCall = []byte("\x02\x00\x00\x00pg\x06\x00\x00\x00filter")

type listReply struct {
	next    ceph.HObject
	entries []Listed
}

// Denc is pg_nls_response_t.
func (r *listReply) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	r.next.Denc(c)
	denc.ListFunc(c, &r.entries, func(c *denc.Coder, e *Listed) {
		c.Str(&e.Namespace)
		c.Str(&e.Name)
		c.Str(&e.Key)
	})
	s.End()
}

// List returns up to max objects of a pool's namespace from a cursor on, and the cursor to go on
// from; a cursor with Max is the end. The zero HObject is the beginning. An object that exists
// during the whole listing is returned exactly once. filter, if it is not empty, is the encoded
// name and arguments of a filter of the OSDs; EINVAL for one that they do not know.
func (o *Objecter) List(
	ctx context.Context, pool int64, namespace string, filter []byte, from ceph.HObject, max int,
) ([]Listed, ceph.HObject, error) {
	if from.Max {
		return nil, from, nil
	}
	m, err := o.WaitMap(ctx, 1)
	if err != nil {
		return nil, from, err
	}
	if from.IsMin() {
		from = ceph.HObject{Pool: pool}
	}
	list := message.OSDOp{Code: message.OpPGNLS, In: denc.Marshal(&from, ceph.FeaturesAll)}
	if len(filter) > 0 {
		list.Code = message.OpPGNLSFilter
		list.In = slices.Concat(filterCall, filter, list.In)
	}
	list.SetList(uint64(max), m.Epoch)
	op := &Op{Pool: pool, Namespace: namespace, PG: &ceph.PGID{Pool: pool, Seed: from.Hash},
		Ops:   []message.OSDOp{list},
		Flags: message.FlagRead | message.FlagIgnoreOverlay}
	r, err := o.Do(ctx, op)
	if err != nil {
		return nil, from, err
	}
	if len(r.Ops) != 1 {
		return nil, from, fmt.Errorf("list pool %d: answer of %d operations", pool, len(r.Ops))
	}
	var out listReply
	if err := denc.Unmarshal(r.Ops[0].Out, &out, ceph.FeaturesAll); err != nil {
		return nil, from, fmt.Errorf("list pool %d: %w", pool, err)
	}
	if !out.next.Max && out.next.Compare(from) <= 0 {
		return nil, from, fmt.Errorf("list pool %d: the cursor goes from %v to %v",
			pool, from, out.next)
	}
	return out.entries, out.next, nil
}

// Progress is how much of a pool lies before a cursor, 0 to 1.
func Progress(cursor ceph.HObject) float64 {
	if cursor.Max {
		return 1
	}
	return float64(bits.Reverse32(cursor.Hash)) / (1 << 32)
}

// Rank is the cursor before which rank of all 2^32 hash values lie.
func Rank(pool int64, rank uint32) ceph.HObject {
	return ceph.HObject{Pool: pool, Hash: bits.Reverse32(rank)}
}
