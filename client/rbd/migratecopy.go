package rbd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/blocks"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/client/rbd/objectmap"
	"glue/client/stripe"
	"glue/cluster/rbdspec"
)

// A moment is what the source showed at one of its snapshots, or shows now, and which snapshot of
// the destination, or the destination itself, is to show it.
type moment struct {
	from  *Image
	limit uint64 // bytes of the source that are shown
	to    ceph.SnapID
	// What a write at this moment tells the destination's objects: the snapshots before.
	seq   ceph.SnapID
	snaps []ceph.SnapID // newest first
}

// A migrator copies a source into its destination.
type migrator struct {
	m    *Migration
	from *Image // as it is
	past []moment
	to   *Image
}

// MigrationExecute copies the whole source of a migration with its snapshots into the destination,
// beside clients that use it; what they have changed already is kept. It may be called again after
// it was stopped anywhere. The name is that of either end. EINVAL if the image is not migrating or
// was copied already, EOPNOTSUPP for what only stock clients do (Supported).
func (s *Store) MigrationExecute(ctx context.Context, name string, p Progress) error {
	m, err := s.Migration(ctx, name)
	if err != nil {
		return err
	}
	if m.State != rbdspec.MigrationPrepared && m.State != rbdspec.MigrationExecuting {
		return fmt.Errorf("image %s is in state %d of its migration: %w", name, m.State,
			ceph.EINVAL)
	}
	if err := m.Supported(ctx); err != nil {
		return err
	}
	to, err := m.open(ctx, m.To)
	if err != nil {
		return err
	}
	err = m.execute(ctx, to, p)
	if err = errors.Join(err, to.Close(ctx)); err != nil {
		return fmt.Errorf("migrate image %s: %w", m.From.Image, err)
	}
	return nil
}

func (m *Migration) execute(ctx context.Context, to *Image, p Progress) error {
	c := &migrator{m: m, to: to}
	if err := c.openSource(ctx); err != nil {
		return err
	}
	if m.State == rbdspec.MigrationPrepared { // who prepared it may have been killed
		if err := m.relink(ctx, c.from, to, false); err != nil {
			return err
		}
	}
	if err := m.setBoth(ctx, rbdspec.MigrationExecuting, ""); err != nil {
		return err
	}
	if err := c.copyAll(ctx, p); err != nil {
		return err
	}
	if err := m.setBoth(ctx, rbdspec.MigrationExecuted, ""); err != nil {
		return err
	}
	notice.HeaderChanged(ctx, to.x, to.id)
	return nil
}

// copyAll copies object by object. A client that holds the destination's lock does it all instead,
// as long as it does.
func (c *migrator) copyAll(ctx context.Context, p Progress) error {
	m, to := c.m, c.to
	s := steps{f: p}
	told := ""
	for next, end := uint64(0), uint64(1); next < end; {
		n, err := c.copyFrom(ctx, next, &s)
		if errors.Is(err, errHeld) {
			if copied, err := to.haveMigrated(ctx, p); err != nil || copied {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		next, end = next+flattenAtOnce, n
		text := fmt.Sprintf("%d%% complete", min(next, end)*100/max(end, 1))
		if text != told {
			if err := m.setBoth(ctx, rbdspec.MigrationExecuting, text); err != nil {
				return err
			}
			told = text
		}
	}
	return nil
}

// openSource opens the source as it is, and as each of its snapshots shows it.
func (c *migrator) openSource(ctx context.Context) error {
	c.from = newImage(c.m.store(c.m.From), c.m.From.Image, c.m.From.ImageID, true)
	if err := c.from.refresh(ctx); err != nil {
		return fmt.Errorf("open the source: %w", err)
	}
	h := c.from.head()
	for n := range h.Snapshots {
		s := &h.Snapshots[n]
		to, ok := c.m.spec.SnapSeqs[uint64(s.ID)]
		if !ok {
			continue
		}
		v := newImage(c.from.store, c.from.name, c.from.id, true)
		v.snap, v.h, v.data = s.ID, h.at(s), c.from.data.WithSnap(s.ID)
		if err := c.from.openParent(ctx, v.h); err != nil {
			return err
		}
		c.past = append(c.past, moment{from: v, limit: s.Size, to: ceph.SnapID(to)})
	}
	return nil
}

// moments is what is to be copied into a destination of the header, oldest first. What was shown
// by a snapshot that the destination does not have any more need not be.
func (c *migrator) moments(h *header) []moment {
	now := moment{from: c.from, limit: min(h.Size, c.m.spec.Overlap), to: ceph.NoSnap}
	var out []moment
	var seq ceph.SnapID
	var snaps []ceph.SnapID
	for _, s := range append(slices.Clone(c.past), now) {
		s.seq, s.snaps = seq, slices.Clone(snaps)
		if s.to == ceph.NoSnap || h.ByID(s.to) != nil {
			out = append(out, s)
			snaps = slices.Insert(snaps, 0, s.to)
		}
		seq = max(seq, s.to)
	}
	return out
}

// copyFrom copies some objects of the destination, from the given one on, and returns how many
// there are to copy altogether. Another client gets the lock afterwards if it wants it.
func (c *migrator) copyFrom(ctx context.Context, first uint64, s *steps) (uint64, error) {
	h, data, m, leave, err := c.to.writable(ctx, 0, 0)
	if err != nil {
		return 0, err
	}
	defer leave()
	t := target{h, data, m}
	list := c.moments(h)
	s.total = 0
	for _, at := range list {
		s.total = max(s.total, h.Objects(at.limit))
	}
	var pieces []stripe.Piece
	for n := first; n < min(first+flattenAtOnce, s.total); n++ {
		pieces = append(pieces, stripe.Piece{Object: n})
	}
	return s.total, each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
		defer s.add(1)
		if err := c.copyObject(ctx, t, list, e.Object); err != nil {
			return fmt.Errorf("copy object %d: %w", e.Object, err)
		}
		return nil
	})
}

// A picture is what an object is to show at a moment.
type picture struct {
	key    []uint64 // the same as long as nothing changes in the source
	exists bool
	own    bool   // there is an object of the source itself
	bytes  []byte // nil if it does not exist
}

// copyObject gives an object of the destination all its moments, oldest first. Each is written only
// if the object has not seen a later one, by this copy before or by a client's write, which begins
// with such a copy.
func (c *migrator) copyObject(
	ctx context.Context, t target, list []moment, object uint64,
) error {
	have, err := t.h.states(ctx, t.data, object)
	if err != nil {
		return err
	}
	if len(have.Clones) > 0 && have.Seq >= list[len(list)-1].seq {
		return nil
	}
	sets, err := c.sourceStates(ctx, t.h, list, object)
	if err != nil {
		return err
	}
	var was picture
	for n, at := range list {
		is, err := c.picture(ctx, t.h, at, sets, object)
		if n > 0 && slices.Equal(is.key, was.key) {
			is = was
		} else if err == nil {
			err = is.fill(ctx, t.h, at, object)
		}
		if err != nil {
			return err
		}
		op := at.unlessSeen()
		guard := op.Len()
		was.change(is, t.h.ObjectBytes(), op)
		changed := op.Len() > guard
		if is.exists {
			if err := t.markMoment(ctx, at, object, changed); err != nil {
				return err
			}
		}
		if changed {
			err := t.data.WithSnapContext(at.seq, at.snaps).Operate(ctx, t.h.ObjectName(object), op)
			if err != nil && !errors.Is(err, ceph.ERANGE) && !errors.Is(err, ceph.ENOENT) {
				return err
			}
		}
		was = is
	}
	return nil
}

// sourceStates lists what there is of the source's objects that an object is made of.
func (c *migrator) sourceStates(
	ctx context.Context, to *header, list []moment, object uint64,
) (map[uint64]rados.SnapSet, error) {
	var limit uint64
	for _, at := range list {
		limit = max(limit, at.limit)
	}
	h, data, err := c.from.fresh(ctx)
	if err != nil {
		return nil, err
	}
	out := map[uint64]rados.SnapSet{}
	for _, s := range to.Spans(object, limit) {
		for _, e := range h.Split(s.At, s.Len) {
			if _, ok := out[e.Object]; ok {
				continue
			}
			if out[e.Object], err = h.states(ctx, data, e.Object); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// picture says whether an object exists at a moment, and in which state of the source's objects.
func (c *migrator) picture(
	ctx context.Context, to *header, at moment, sets map[uint64]rados.SnapSet, object uint64,
) (picture, error) {
	h, _, err := at.from.fresh(ctx)
	if err != nil {
		return picture{}, err
	}
	p := picture{key: []uint64{at.limit, h.Overlap}}
	for _, s := range to.Spans(object, at.limit) {
		for _, e := range h.Split(s.At, s.Len) {
			state := stateAt(sets[e.Object], h.Snap)
			p.key = append(p.key, e.Object, uint64(state+1))
			p.own = p.own || state >= 0
		}
		// A flattened destination has no parent to show what the source's parent shows.
		p.exists = p.exists || p.own || c.m.spec.Flatten && h.from != nil && s.At < h.Overlap
	}
	return p, nil
}

// fill reads what the object shows.
func (p *picture) fill(ctx context.Context, to *header, at moment, object uint64) (err error) {
	if !p.exists {
		return nil
	}
	p.bytes, err = at.from.contents(ctx, to, to.Spans(object, at.limit))
	if err == nil && !p.own && blocks.IsZero(p.bytes) {
		p.exists, p.bytes = false, nil
	}
	return err
}

// contents reads what the image shows at the places of an object of another.
func (i *Image) contents(ctx context.Context, of *header, places []layout.Span) ([]byte, error) {
	out := make([]byte, of.ObjectBytes())
	for _, s := range places {
		err := i.Sparse(ctx, s.At, s.Len, func(at uint64, p []byte) error {
			copy(out[s.Off+at-s.At:], p)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// change makes an object that shows p show q.
func (p *picture) change(q picture, size uint64, op *rados.WriteOp) {
	switch {
	case !q.exists && p.exists:
		op.Remove()
	case q.exists && !p.exists:
		op.AllocHint(size, size, 0).Create(false)
	}
	if !q.exists {
		return
	}
	write, zero := blocks.Differences(p.bytes, q.bytes)
	for _, e := range zero {
		op.Zero(e.Off, e.Len)
	}
	for _, e := range write {
		op.Write(q.bytes[e.Off:e.Off+e.Len], e.Off)
	}
}

// snapcAbove asks that the object has not seen the writer's newest snapshot
// (ASSERT_SNAPC_SEQ_GT_SNAPSET_SEQ).
const snapcAbove uint8 = 0

// unlessSeen begins a write that is as old as the moment: ERANGE if the object is beyond it.
func (at moment) unlessSeen() *rados.WriteOp {
	return new(rados.WriteOp).Exec("rbd", "assert_snapc_seq", class.Encode(func(c *denc.Coder) {
		at.seq.Denc(c)
		c.U8Const(snapcAbove)
	}))
}

// markMoment notes in the object maps that an object is about to exist at a moment. What the source
// shows now is shown by the snapshots that were taken since the migration began too.
func (t target) markMoment(ctx context.Context, at moment, object uint64, changed bool) error {
	if t.m == nil {
		return nil
	}
	state := objectmap.Exists
	if !changed && t.h.Features.Has(FastDiff) {
		state = objectmap.Clean
	}
	for n := range t.h.Snapshots {
		s := &t.h.Snapshots[n]
		if s.ID != at.to && (at.to != ceph.NoSnap || s.ID <= at.seq) {
			continue
		}
		if err := t.markSnap(ctx, s, object, state); err != nil {
			return err
		}
		if t.h.Features.Has(FastDiff) {
			state = objectmap.Clean
		}
	}
	if at.to != ceph.NoSnap || object >= t.h.Objects(t.h.Size) {
		return nil
	}
	none := objectmap.Nonexistent
	return t.m.Mark(ctx, object, state, &none)
}
