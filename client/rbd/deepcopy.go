package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/client/rbd/blocks"
	"glue/client/rbd/layout"
)

// DeepCopy makes a new image with the data, the user's snapshots and their protection, and the
// metadata of this one; of a snapshot that is open, with it and those before it. A clone is copied
// as a clone of the same snapshot, unless it is to be flattened or goes to another cluster. What o
// leaves open is as in this image, but features that come with other images or pools. Nobody may
// write to this image meanwhile, or the copy is of no moment in particular. If it fails there is no
// copy; what is left of a client that was killed is an image with the first of the snapshots.
func (i *Image) DeepCopy(
	ctx context.Context, to *Store, name string, o CreateOptions, flatten bool, p Progress,
) error {
	h, _, err := i.fresh(ctx)
	if err != nil {
		return err
	}
	c := &deepCopy{src: i, h: h, to: to, name: name, states: h.UserSnapshots()}
	if h.Snap == ceph.NoSnap {
		c.states = append(c.states, Snapshot{ID: h.Snap, Size: h.Size, Overlap: &h.Overlap})
	}
	c.clone = !flatten && c.keepsParent() && to.x.Cluster().FSID() == i.x.Cluster().FSID()
	for _, s := range c.states {
		c.steps.total += s.Size
	}
	c.steps.f = p
	o.Like(i.Info())
	if err := c.create(ctx, o); err != nil {
		return fmt.Errorf("copy image %s to %s: %w", i.name, name, err)
	}
	if err := c.run(ctx); err != nil {
		return errors.Join(fmt.Errorf("copy image %s to %s: %w", i.name, name, err),
			to.Undo(ctx, name))
	}
	return nil
}

// A deepCopy is one under way: the states of the image, oldest first, one after the other.
type deepCopy struct {
	src    *Image
	h      *header
	to     *Store
	name   string
	states []Snapshot
	clone  bool // the parent is kept
	dst    *Image
	steps  steps
	before uint64 // size of the states that are through
}

// keepsParent says whether all states read from the parent that the image has now. Those of an
// image that was flattened do not.
func (c *deepCopy) keepsParent() bool {
	if c.h.from == nil || !c.h.Features.Has(Layering) {
		return false
	}
	for n, s := range c.states {
		if s.Overlap == nil || n > 0 && *s.Overlap > *c.states[n-1].Overlap {
			return false
		}
	}
	return true
}

// create makes the image, as large as its first state is.
func (c *deepCopy) create(ctx context.Context, o CreateOptions) error {
	o.Size = c.states[0].Size
	if !c.clone {
		return c.to.Create(ctx, c.name, o)
	}
	parent, format := c.h.from, o.CloneFormat
	if format == 0 {
		format = 1
		if c.h.Operations&layout.OpCloneChild != 0 {
			format = 2
		}
	}
	if format == 1 && c.to.x.Namespace() != parent.x.Namespace() {
		return fmt.Errorf("flatten it: %w", notAcross(parent))
	}
	o.Features |= Layering
	id, err := c.to.create(ctx, c.name, o)
	if err != nil {
		return err
	}
	err = c.to.attach(ctx, parent, id, *c.h.Parent, *c.states[0].Overlap, format)
	if err != nil {
		err = errors.Join(err, c.to.remove(context.WithoutCancel(ctx), c.name, nil))
	}
	return err
}

func (c *deepCopy) run(ctx context.Context) (err error) {
	meta, err := c.src.Metadata(ctx)
	if err != nil {
		return err
	}
	if c.dst, err = c.to.Open(ctx, c.name, false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.dst.Close(ctx)) }()
	if err := c.dst.SetAllMetadata(ctx, meta); err != nil {
		return err
	}
	from := ""
	for n, s := range c.states {
		src := c.src
		if s.ID != c.h.Snap {
			if src, err = c.src.OpenAt(ctx, s); err != nil {
				return err
			}
		}
		if err := c.shape(ctx, n); err != nil {
			return err
		}
		if err := c.copy(ctx, src, from); err != nil {
			return err
		}
		if from = s.Name; s.ID == ceph.NoSnap {
			break
		}
		if err := c.dst.CreateQuietSnapshot(ctx, s.Name, QuiesceSkip); err != nil {
			return err
		}
		if !s.Protected {
			continue
		}
		if err := c.dst.ProtectSnapshot(ctx, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// shape gives the copy the size of a state. If the image was shorter for some time it has lost what
// it saw of the parent beyond that: the copy has to as well.
func (c *deepCopy) shape(ctx context.Context, n int) error {
	s := c.states[n]
	if c.clone && n > 0 && *s.Overlap < *c.states[n-1].Overlap && *s.Overlap < s.Size {
		if err := c.dst.Resize(ctx, *s.Overlap, true, nil); err != nil {
			return err
		}
	}
	if c.dst.Size() == s.Size {
		return nil
	}
	return c.dst.Resize(ctx, s.Size, true, nil)
}

// copy brings the copy from one state to the next.
func (c *deepCopy) copy(ctx context.Context, src *Image, from string) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	o := DiffOptions{From: from, NoParent: c.clone, overParent: c.clone && from == ""}
	fresh := from == "" && !c.clone // what was not written is zero
	for e, err := range src.DiffIterate(gctx, o) {
		if err != nil {
			return cmp.Or(g.Wait(), err)
		}
		g.Go(func() error { return c.extent(gctx, src, e, fresh) })
		c.steps.done.Store(c.before + e.Off)
		c.steps.add(e.Len)
	}
	c.before += src.Size()
	c.steps.done.Store(c.before)
	c.steps.add(0)
	return g.Wait()
}

// extent copies one extent that has changed.
func (c *deepCopy) extent(ctx context.Context, src *Image, e DiffExtent, fresh bool) error {
	if !e.Exists {
		return c.dst.Discard(ctx, e.Off, e.Len)
	}
	p := make([]byte, e.Len)
	n, err := src.Read(ctx, p, int64(e.Off))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n < len(p) {
		return fmt.Errorf("image %s has become shorter: %w", src.name, ceph.ESTALE)
	}
	data := blocks.Data(p)
	for _, r := range data {
		_, err := c.dst.Write(ctx, p[r.Off:r.Off+r.Len], int64(e.Off+r.Off))
		if err != nil {
			return err
		}
	}
	if fresh {
		return nil
	}
	for _, r := range without([]Extent{{Len: e.Len}}, data) {
		if err := c.dst.Discard(ctx, e.Off+r.Off, r.Len); err != nil {
			return err
		}
	}
	return nil
}

// undoPatience is how long the removal of what was made in vain may take.
const undoPatience = time.Minute

// Undo removes an image that could not be completed, with its snapshots, also when ctx is over.
func (s *Store) Undo(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
	defer cancel()
	i, err := s.Open(ctx, name, false)
	if err != nil {
		return err
	}
	list, err := i.Snapshots(ctx)
	for _, snap := range list {
		if snap.Protected {
			err = errors.Join(err, i.UnprotectSnapshot(ctx, snap.Name))
		}
		err = errors.Join(err, i.RemoveSnapshot(ctx, snap.Name))
	}
	if err = errors.Join(err, i.Close(ctx)); err == nil {
		err = s.remove(ctx, name, nil)
	}
	if err != nil {
		return fmt.Errorf("remove the incomplete image %s: %w", name, err)
	}
	return nil
}
