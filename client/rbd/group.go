package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/cluster/rbdspec"
)

const (
	// groupDirectory holds the groups of a pool or namespace: name to id and back.
	groupDirectory    = "rbd_group_directory"
	groupHeaderPrefix = "rbd_group_header."
)

// A Group is a set of images, of any pools but in namespaces of the same name, that snapshots are
// taken of at one moment. An image is in one group at most.
type Group struct {
	store    *Store
	name, id string
}

// explain says with an error what was attempted with the group.
func (g *Group) explain(err *error, format string, a ...any) {
	if *err != nil {
		*err = fmt.Errorf("group %s: %s: %w", g.name, fmt.Sprintf(format, a...), *err)
	}
}

// Groups lists the groups by name.
func (s *Store) Groups(ctx context.Context) ([]Entry, error) {
	return class.Entries(ctx, s.x, groupDirectory, "group_dir_list")
}

// CreateGroup makes a group without images; EEXIST if the name is taken.
func (s *Store) CreateGroup(ctx context.Context, name string) (err error) {
	if err := directory.CheckName(name); err != nil {
		return err
	}
	g := &Group{store: s, name: name, id: s.newID()}
	defer g.explain(&err, "create it")
	entry := class.Str(name, g.id)
	if err := class.Change(ctx, s.x, groupDirectory, "group_dir_add", entry); err != nil {
		return err
	}
	if err := s.x.Create(ctx, g.header(), true); err != nil {
		return errors.Join(err, class.Change(context.WithoutCancel(ctx), s.x, groupDirectory,
			"group_dir_remove", entry))
	}
	return nil
}

// OpenGroup finds a group by name; ENOENT without it.
func (s *Store) OpenGroup(ctx context.Context, name string) (*Group, error) {
	g := &Group{store: s, name: name}
	err := class.Call(ctx, s.x, groupDirectory, "dir_get_id", class.Str(name),
		func(c *denc.Coder) { c.Str(&g.id) })
	g.explain(&err, "look for it in pool %s", s.x.PoolName())
	return g, err
}

// RenameGroup gives a group another name; EEXIST if that is taken.
func (s *Store) RenameGroup(ctx context.Context, from, to string) error {
	if err := directory.CheckName(to); err != nil {
		return err
	}
	g, err := s.OpenGroup(ctx, from)
	if err != nil {
		return err
	}
	err = class.Change(ctx, s.x, groupDirectory, "group_dir_rename", class.Str(from, to, g.id))
	g.explain(&err, "rename it to %s", to)
	return err
}

// RemoveGroup removes a group with its snapshots and takes its images out; the images stay.
// Interrupted, it can be run again.
func (s *Store) RemoveGroup(ctx context.Context, name string) (err error) {
	g, err := s.OpenGroup(ctx, name)
	if err != nil {
		return err
	}
	defer g.explain(&err, "remove it")
	snaps, err := g.snaps(ctx)
	if err != nil {
		return err
	}
	for k := range snaps {
		if err := g.removeSnap(ctx, &snaps[k]); err != nil {
			return err
		}
	}
	members, err := g.members(ctx)
	if err != nil {
		return err
	}
	for _, m := range members { // EBADF: it is in another group already
		if err := g.unlink(ctx, m.GroupImage); err != nil && !errors.Is(err, ceph.EBADF) {
			return err
		}
	}
	if err := class.UnlessGone(s.x.Remove(ctx, g.header())); err != nil {
		return err
	}
	err = class.Change(ctx, s.x, groupDirectory, "group_dir_remove", class.Str(name, g.id))
	return class.UnlessGone(err)
}

func (g *Group) header() string { return groupHeaderPrefix + g.id }

func (g *Group) spec() rbdspec.Group { return rbdspec.Group{Pool: g.store.x.PoolID(), ID: g.id} }

func (g *Group) in(pool int64) *Store {
	return g.store.at(pool, g.store.x.Namespace())
}

// change changes the group's header, which is not to come back once the group was removed.
func (g *Group) change(ctx context.Context, method string, in []byte) error {
	op := new(rados.WriteOp).AssertExists().Exec("rbd", method, in)
	return g.store.x.Operate(ctx, g.header(), op)
}

func (g *Group) members(ctx context.Context) ([]rbdspec.GroupMember, error) {
	out, err := class.Pages(ctx, g.store.x, g.header(), "group_image_list",
		func(c *denc.Coder, last *rbdspec.GroupMember) { last.GroupImage.Denc(c) },
		func(c *denc.Coder, m *rbdspec.GroupMember) { m.Denc(c) })
	return out, class.UnlessGone(err)
}

// A GroupImage is an image of a group.
type GroupImage struct {
	Name, ID string // the name is empty if there is no such image any more
	Pool     string
	PoolID   int64
	Complete bool // false: being added or removed, or that was interrupted
}

// Images lists the group's images by pool and name.
func (g *Group) Images(ctx context.Context) (out []GroupImage, err error) {
	members, err := g.members(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		s := g.in(m.Pool)
		name, _, err := directory.NameOf(ctx, s.x, m.Image)
		if class.UnlessGone(err) != nil {
			return nil, err
		}
		out = append(out, GroupImage{name, m.Image, s.x.PoolName(), m.Pool,
			m.State == rbdspec.GroupImageAttached})
	}
	slices.SortFunc(out, func(a, b GroupImage) int {
		return cmp.Or(cmp.Compare(a.PoolID, b.PoolID), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// image is how the group calls an image; EINVAL if it is in a namespace of another name.
func (g *Group) image(s *Store, id string) (rbdspec.GroupImage, error) {
	if have, want := s.x.Namespace(), g.store.x.Namespace(); have != want {
		return rbdspec.GroupImage{}, fmt.Errorf("the image is in namespace %q, not in %q: %w", have,
			want, ceph.EINVAL)
	}
	return rbdspec.GroupImage{Image: id, Pool: s.x.PoolID()}, nil
}

// Add puts an image of a pool into the group; EEXIST if it is in another group. Interrupted, it can
// be run again.
func (g *Group) Add(ctx context.Context, s *Store, image string) (err error) {
	defer g.explain(&err, "add image %s", image)
	id, err := directory.ID(ctx, s.x, image)
	if err != nil {
		return err
	}
	h, err := readHeader(ctx, s.x, id)
	if err == nil {
		err = newImage(s, image, id, false).usable(h)
	}
	if err != nil {
		return err
	}
	member, err := g.image(s, id)
	if err != nil {
		return err
	}
	return g.link(ctx, member)
}

func (g *Group) link(ctx context.Context, image rbdspec.GroupImage) error {
	m := rbdspec.GroupMember{GroupImage: image, State: rbdspec.GroupImageIncomplete}
	if err := g.change(ctx, "group_image_set", class.Encode(m.Denc)); err != nil {
		return err
	}
	x, spec := g.in(image.Pool).x, g.spec()
	err := class.Change(ctx, x, layout.HeaderPrefix+image.Image, "image_group_add",
		class.Encode(spec.Denc))
	if errors.Is(err, ceph.EEXIST) || errors.Is(err, ceph.ENOENT) { // it can't come in
		err = errors.Join(err, g.change(context.WithoutCancel(ctx), "group_image_remove",
			class.Encode(m.GroupImage.Denc)))
	}
	if err != nil {
		return err
	}
	notice.HeaderChanged(ctx, x, image.Image)
	m.State = rbdspec.GroupImageAttached
	return g.change(ctx, "group_image_set", class.Encode(m.Denc))
}

// Remove takes an image out of the group, if it is in; EBADF if it is in another group.
// Interrupted, it can be run again.
func (g *Group) Remove(ctx context.Context, s *Store, image string) error {
	id, err := directory.ID(ctx, s.x, image)
	if err != nil {
		return err
	}
	return g.RemoveID(ctx, s, id)
}

// RemoveID is Remove by the image's id, such as of an image that is gone.
func (g *Group) RemoveID(ctx context.Context, s *Store, id string) (err error) {
	defer g.explain(&err, "take out image id %s", id)
	image, err := g.image(s, id)
	if err != nil {
		return err
	}
	return g.unlink(ctx, image)
}

func (g *Group) unlink(ctx context.Context, image rbdspec.GroupImage) error {
	m := rbdspec.GroupMember{GroupImage: image, State: rbdspec.GroupImageIncomplete}
	if err := g.change(ctx, "group_image_set", class.Encode(m.Denc)); err != nil {
		return err
	}
	x, spec := g.in(image.Pool).x, g.spec()
	err := class.UnlessGone(class.Change(ctx, x, layout.HeaderPrefix+image.Image,
		"image_group_remove", class.Encode(spec.Denc)))
	switch {
	case err == nil:
		notice.HeaderChanged(ctx, x, image.Image)
	case !errors.Is(err, ceph.EBADF): // it is in another group, and has no place in this one
		return err
	}
	return errors.Join(err, g.change(ctx, "group_image_remove", class.Encode(image.Denc)))
}

// GroupOf is the group that an image, by its id, is in: POOL/[NAMESPACE/]GROUP, empty for none or
// if there is no such image.
func (s *Store) GroupOf(ctx context.Context, id string) (string, error) {
	g := rbdspec.Group{Pool: -1}
	err := class.Call(ctx, s.x, layout.HeaderPrefix+id, "image_group_get", nil, g.Denc)
	if errors.Is(err, ceph.EOPNOTSUPP) || errors.Is(err, ceph.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("group of image id %s: %w", id, err)
	}
	if g.Pool < 0 {
		return "", nil
	}
	x := (&Group{store: s}).in(g.Pool).x
	name := "id " + g.ID // it is in a group, also if that has lost its name
	_ = class.Call(ctx, x, groupDirectory, "dir_get_name", class.Str(g.ID),
		func(c *denc.Coder) { c.Str(&name) })
	if ns := x.Namespace(); ns != "" {
		name = ns + "/" + name
	}
	return x.PoolName() + "/" + name, nil
}
