package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/objectmap"
	"glue/cluster/rbdspec"
)

// A GroupSnapshot is a snapshot of a group.
type GroupSnapshot struct {
	ID, Name string
	Complete bool // false: it is being made, or that was interrupted; it can only be removed
}

func (g *Group) snaps(ctx context.Context) ([]rbdspec.GroupSnap, error) {
	elem := func(c *denc.Coder, s *rbdspec.GroupSnap) { s.Denc(c) }
	out, err := class.Pages(ctx, g.store.x, g.header(), "group_snap_list", elem, elem)
	return out, class.UnlessGone(err)
}

// Snapshots lists the group's snapshots by their ids.
func (g *Group) Snapshots(ctx context.Context) (out []GroupSnapshot, err error) {
	snaps, err := g.snaps(ctx)
	for _, s := range snaps {
		out = append(out, GroupSnapshot{s.ID, s.Name, s.State == rbdspec.GroupSnapComplete})
	}
	return out, err
}

// snap finds a snapshot by name, which is to be complete if that is said.
func (g *Group) snap(ctx context.Context, name string, complete bool) (*rbdspec.GroupSnap, error) {
	snaps, err := g.snaps(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(snaps, func(s rbdspec.GroupSnap) bool { return s.Name == name })
	switch {
	case at < 0:
		return nil, fmt.Errorf("there is no such snapshot: %w", ceph.ENOENT)
	case complete && snaps[at].State != rbdspec.GroupSnapComplete:
		return nil, fmt.Errorf("it is not complete and can only be removed: %w", ceph.EINVAL)
	}
	return &snaps[at], nil
}

// A part is one image of a group's snapshot, open.
type part struct {
	*Image
	id    *rbdspec.ImageSnap
	name  string // of the image's snapshot, which is this:
	space rbdspec.SnapSpace

	quiet *quiet // or nil
	h     *header
	data  *rados.IOCtx
	m     *objectmap.Map
	leave func() // while it is held still, or nil
}

// parts are in the order of pools and ids.
type parts []*part

// open opens the images of a snapshot, without those that are gone if that is fine.
func (g *Group) open(ctx context.Context, s *rbdspec.GroupSnap, fine bool) (parts, error) {
	slices.SortFunc(s.Snaps, func(a, b rbdspec.ImageSnap) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Image, b.Image))
	})
	spec, all := g.spec(), make(parts, len(s.Snaps))
	for k := range all {
		all[k] = &part{id: &s.Snaps[k],
			name:  fmt.Sprintf(".group.%x_%s_%s", spec.Pool, spec.ID, s.ID),
			space: rbdspec.SnapSpace{Kind: SnapGroup, Group: spec, GroupSnapID: s.ID}}
	}
	err := all.each(func(p *part) error {
		in := g.in(p.id.Pool)
		name, _, err := directory.NameOf(ctx, in.x, p.id.Image)
		if err == nil {
			p.Image, err = in.open(ctx, name, p.id.Image, false)
		}
		if fine && errors.Is(err, ceph.ENOENT) {
			p.Image, err = nil, nil
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, all.close(ctx))
	}
	return slices.DeleteFunc(all, func(p *part) bool { return p.Image == nil }), nil
}

// each runs f for all at once. One that fails does not stop the others: what became of each has to
// be known.
func (all parts) each(f func(*part) error) error {
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for k, p := range all {
		running.Go(func() { errs[k] = f(p) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// hold keeps all of them still together. The order is everybody's, so that no two wait for each
// other; but librbd has none: if one of them is busy the others are let go, and it begins again.
func (all parts) hold(ctx context.Context) (err error) {
	for n := 0; n < len(all); n++ {
		p := all[n]
		p.holdsOthers = n > 0
		p.h, p.data, p.m, p.leave, err = p.alone(ctx)
		switch {
		case errors.Is(err, ceph.EBUSY) && n > 0:
			all.leave()
			select {
			case <-time.After(waitForLock): // it gets what it waits for
			case <-ctx.Done():
				return err
			}
			n = -1
		case err != nil:
			return err
		}
	}
	return nil
}

func (all parts) leave() {
	for _, p := range all {
		if p.leave != nil {
			p.leave()
			p.leave = nil
		}
	}
}

func (all parts) close(ctx context.Context) error {
	all.leave()
	return all.each(func(p *part) error {
		if p.quiet != nil {
			p.quiet.end()
		}
		if p.Image == nil {
			return nil
		}
		return p.Close(ctx)
	})
}

// CreateSnapshot keeps all images of the group as they are at one moment, in which none is written
// to that has an exclusive lock. EEXIST if the name is taken. If it fails there is no snapshot; one
// that was interrupted is incomplete.
func (g *Group) CreateSnapshot(ctx context.Context, name string, how Quiesce) (err error) {
	if err := directory.CheckName(name); err != nil {
		return err
	}
	defer g.explain(&err, "create snapshot %s", name)
	members, err := g.members(ctx)
	if err != nil {
		return err
	}
	s := &rbdspec.GroupSnap{ID: g.store.newID(), Name: name}
	for _, m := range members {
		s.Snaps = append(s.Snaps, rbdspec.ImageSnap{Pool: m.Pool, Image: m.Image})
	}
	if err := g.change(ctx, "group_snap_set", class.Encode(s.Denc)); err != nil {
		return err
	}
	all, err := g.open(ctx, s, false)
	if err == nil {
		err = g.fillSnap(ctx, s, all, how)
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
		defer cancel()
		err = errors.Join(err, g.dropSnap(undo, s, all))
	}
	return errors.Join(err, all.close(ctx))
}

// fillSnap makes the images' snapshots of one that is recorded, and completes it.
func (g *Group) fillSnap(
	ctx context.Context, s *rbdspec.GroupSnap, all parts, how Quiesce,
) error {
	err := all.each(func(p *part) (err error) {
		p.quiet, err = p.quiesce(ctx, how)
		return err
	})
	if err == nil {
		err = all.hold(ctx)
	}
	if err == nil {
		err = all.each(func(p *part) (err error) {
			if err := p.quiet.lasts(); err != nil {
				return err
			}
			if p.id.Snap, err = p.keepSnap(ctx, p.h, p.data, p.m, p.name, p.space); err != nil {
				return err
			}
			return p.reread(ctx)
		})
	}
	if err == nil {
		s.State = rbdspec.GroupSnapComplete
		err = g.change(ctx, "group_snap_set", class.Encode(s.Denc))
	}
	return err
}

// find finds the image's snapshot, or what an interrupted removal has left if that will do.
func (p *part) find(h *header, left bool) *Snapshot {
	for k := range h.Snapshots {
		s := &h.Snapshots[k]
		if s.Space.Equal(&p.space) || left && s.Space.OriginalName == p.name && s.Children == 0 {
			return s
		}
	}
	return nil
}

// dropSnap removes the snapshots of the images that are held, and then what is recorded.
func (g *Group) dropSnap(ctx context.Context, s *rbdspec.GroupSnap, all parts) error {
	err := all.each(func(p *part) error {
		if p.leave == nil {
			return nil
		}
		if err := p.refresh(ctx); err != nil {
			return err
		}
		h := p.head()
		if s := p.find(h, true); s != nil {
			return p.removeSnap(ctx, h, p.m, s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return class.UnlessGone(g.change(ctx, "group_snap_remove", class.Str(s.ID)))
}

// RemoveSnapshot removes a snapshot of the group. Interrupted, it can be run again.
func (g *Group) RemoveSnapshot(ctx context.Context, name string) (err error) {
	defer g.explain(&err, "remove snapshot %s", name)
	s, err := g.snap(ctx, name, false)
	if err != nil {
		return err
	}
	return g.removeSnap(ctx, s)
}

func (g *Group) removeSnap(ctx context.Context, s *rbdspec.GroupSnap) error {
	all, err := g.open(ctx, s, true)
	if err != nil {
		return err
	}
	if err = all.hold(ctx); err == nil {
		err = g.dropSnap(ctx, s, all)
	}
	return errors.Join(err, all.close(ctx))
}

// RenameSnapshot gives a snapshot of the group another name; EEXIST if that is taken.
func (g *Group) RenameSnapshot(ctx context.Context, from, to string) (err error) {
	defer g.explain(&err, "rename snapshot %s to %s", from, to)
	if err := directory.CheckName(to); err != nil {
		return err
	}
	s, err := g.snap(ctx, from, true)
	if err != nil {
		return err
	}
	if from == to {
		return ceph.EEXIST
	}
	s.Name = to
	return g.change(ctx, "group_snap_set", class.Encode(s.Denc))
}

// Rollback makes the images of a snapshot what they were then, those too that were taken out of the
// group since. None is written to meanwhile. Interrupted, it can be run again.
func (g *Group) Rollback(ctx context.Context, name string, report Progress) (err error) {
	defer g.explain(&err, "roll back to snapshot %s", name)
	s, err := g.snap(ctx, name, true)
	if err != nil {
		return err
	}
	all, err := g.open(ctx, s, false)
	if err != nil {
		return err
	}
	return errors.Join(all.rollback(ctx, report), all.close(ctx))
}

func (all parts) rollback(ctx context.Context, report Progress) error {
	if err := all.hold(ctx); err != nil {
		return err
	}
	var done, total uint64
	for _, p := range all { // before anything is changed
		s := p.find(p.h, false)
		if s == nil {
			return fmt.Errorf("image %s has nothing of it: %w", p.Image.name, ceph.ENOENT)
		}
		total += p.h.Objects(s.Size)
	}
	for _, p := range all {
		var sofar Progress
		if report != nil {
			sofar = func(n, _ uint64) { report(done+n, total) }
		}
		s := p.find(p.h, false)
		if err := p.Image.rollback(ctx, p.h, p.data, p.m, s, sofar); err != nil {
			return err
		}
		done += p.h.Objects(s.Size)
	}
	return nil
}
