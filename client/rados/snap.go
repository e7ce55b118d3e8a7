package rados

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// CreateSnapID makes a self-managed snapshot's number. Objects are kept as they are now by writes
// whose snapshot context has it (WithSnapContext).
func (x *IOCtx) CreateSnapID(ctx context.Context) (ceph.SnapID, error) {
	return x.c.obj.CreateSnapID(ctx, x.pool)
}

// DeleteSnapID gives a self-managed snapshot's number back: what only it keeps is removed.
func (x *IOCtx) DeleteSnapID(ctx context.Context, id ceph.SnapID) error {
	return x.c.obj.DeleteSnapID(ctx, x.pool, id)
}

// A PoolSnap is a snapshot of a whole pool.
type PoolSnap struct {
	ID      ceph.SnapID
	Name    string
	Created time.Time
}

// CreatePoolSnap makes a snapshot of the whole pool; EEXIST if the name is taken, EINVAL if the
// pool has self-managed snapshots.
func (x *IOCtx) CreatePoolSnap(ctx context.Context, name string) error {
	_, err := x.PoolSnap(ctx, name)
	if err == nil { // the monitors find nothing to do, which is no error to them
		return fmt.Errorf("pool %s has a snapshot %q already: %w", x.PoolName(), name, ceph.EEXIST)
	}
	if !errors.Is(err, ceph.ENOENT) {
		return err
	}
	if err := x.c.obj.CreatePoolSnap(ctx, x.pool, name); err != nil {
		return fmt.Errorf("create snapshot %s of pool %s: %w", name, x.PoolName(), err)
	}
	return nil
}

// RemovePoolSnap removes a snapshot of the whole pool; ENOENT without it.
func (x *IOCtx) RemovePoolSnap(ctx context.Context, name string) error {
	if _, err := x.PoolSnap(ctx, name); err != nil {
		return err
	}
	if err := x.c.obj.DeletePoolSnap(ctx, x.pool, name); err != nil {
		return fmt.Errorf("remove snapshot %s of pool %s: %w", name, x.PoolName(), err)
	}
	return nil
}

// PoolSnaps lists the pool's snapshots, oldest first.
func (x *IOCtx) PoolSnaps() []PoolSnap {
	p := x.Pool()
	if p == nil {
		return nil
	}
	var out []PoolSnap
	for _, id := range slices.Sorted(maps.Keys(p.Snaps)) {
		s := p.Snaps[id]
		out = append(out, PoolSnap{ID: id, Name: s.Name, Created: s.Stamp.Go()})
	}
	return out
}

// PoolSnap finds a snapshot of the pool by name; one that our map does not have is looked for in
// the newest.
func (x *IOCtx) PoolSnap(ctx context.Context, name string) (PoolSnap, error) {
	for try := range 2 {
		for _, s := range x.PoolSnaps() {
			if s.Name == name {
				return s, nil
			}
		}
		if try == 0 {
			if err := x.c.WaitLatestMap(ctx); err != nil {
				return PoolSnap{}, err
			}
		}
	}
	return PoolSnap{}, fmt.Errorf("pool %s has no snapshot %q: %w", x.PoolName(), name, ceph.ENOENT)
}

// Rollback makes an object what it was at a snapshot; one that did not exist then is removed.
func (x *IOCtx) Rollback(ctx context.Context, oid string, id ceph.SnapID) error {
	return x.Operate(ctx, oid, new(WriteOp).Rollback(id))
}

// Rollback makes the object what it was at a snapshot.
func (w *WriteOp) Rollback(id ceph.SnapID) *WriteOp {
	op := message.OSDOp{Code: message.OpRollback}
	op.SetSnapID(id)
	return w.add(op)
}

// A Clone is one kept state of an object (clone_info_t).
type Clone struct {
	ID      ceph.SnapID      // ceph.NoSnap: the object as it is
	Snaps   []ceph.SnapID    // that see it, ascending; none for the head
	Overlap []message.Extent // what it shares with the next state
	Size    uint64
}

// A SnapSet is all states of an object (snap_set_t): oldest first, the head, if there is one,
// last.
type SnapSet struct {
	Clones []Clone
	Seq    ceph.SnapID // newest snapshot that a write has told the object of
}

// ListSnaps lists the states of an object that snapshots keep; ENOENT without any.
func (x *IOCtx) ListSnaps(ctx context.Context, oid string) (SnapSet, error) {
	var out SnapSet
	r, err := x.WithSnap(ceph.SnapDir).one(ctx, oid, message.FlagRead,
		message.OSDOp{Code: message.OpListSnaps})
	if err != nil {
		return out, err
	}
	err = parse(&r, out.denc)
	slices.SortStableFunc(out.Clones, func(a, b Clone) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

// denc is obj_list_snap_response_t.
func (s *SnapSet) denc(c *denc.Coder) {
	sec := c.Begin(2, 1)
	denc.ListFunc(c, &s.Clones, func(c *denc.Coder, k *Clone) {
		sec := c.Begin(1, 1)
		k.ID.Denc(c)
		denc.List(c, &k.Snaps)
		denc.List(c, &k.Overlap)
		c.U64(&k.Size)
		sec.End()
	})
	if sec.V >= 2 {
		s.Seq.Denc(c)
	}
	sec.End()
}
