package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rbd"
	"glue/internal/texttable"
)

// groupCommand is glue rbd group.
func (r *rbdRun) groupCommand() *cobra.Command {
	image := r.group(verbGroup{"image", "images of a group", []verb{
		{"add GROUP IMAGE", "put an image into a group", 2, 2, r.onGroupImage((*rbd.Group).Add),
			nil},
		{"rm GROUP IMAGE", "take an image out of a group", 2, 2,
			r.onGroupImage((*rbd.Group).Remove), nil},
		{"ls GROUP", "list the images", 1, 1, r.groupImageLs, nil},
	}})
	snap := r.group(verbGroup{"snap", "snapshots of a group", []verb{
		{"create GROUP@SNAP", "make a snapshot of all images at one moment", 1, 1,
			r.onGroupSnap(func(g *rbd.Group, ctx context.Context, snap string) error {
				return g.CreateSnapshot(ctx, snap, r.quiesce())
			}), r.quiesceFlags},
		{"rm GROUP@SNAP", "remove a snapshot", 1, 1, r.onGroupSnap((*rbd.Group).RemoveSnapshot),
			nil},
		{"rename GROUP@SNAP NAME", "rename a snapshot", 2, 2,
			func(ctx context.Context, args []string) error {
				return r.onGroupSnap(func(g *rbd.Group, ctx context.Context, snap string) error {
					return g.RenameSnapshot(ctx, snap, args[1])
				})(ctx, args)
			}, nil},
		{"ls GROUP", "list the snapshots", 1, 1, r.groupSnapLs, nil},
		{"rollback GROUP@SNAP", "make the images what they were at a snapshot", 1, 1,
			r.onGroupSnap(r.groupSnapRollback), nil},
	}})
	cmd := r.group(verbGroup{"group", "groups of images", []verb{
		{"create [POOL/[NAMESPACE/]]GROUP", "make a group", 1, 1,
			r.onGroup((*rbd.Store).CreateGroup), nil},
		{"rm GROUP", "remove a group and its snapshots, but not its images", 1, 1,
			r.onGroup((*rbd.Store).RemoveGroup), nil},
		{"rename GROUP NAME", "rename a group", 2, 2, r.groupRename, nil},
		{"ls [POOL[/NAMESPACE]]", "list the groups", 0, 1, r.groupLs, nil},
	}})
	cmd.AddCommand(image, snap)
	return cmd
}

// openGroup finds a group by its spec.
func (r *rbdRun) openGroup(ctx context.Context, spec string) (*rbd.Group, error) {
	s, name, err := r.named(ctx, "group", spec)
	if err != nil {
		return nil, err
	}
	return s.OpenGroup(ctx, name)
}

// onGroup is a command about one group by its name.
func (r *rbdRun) onGroup(
	f func(s *rbd.Store, ctx context.Context, name string) error,
) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		s, name, err := r.named(ctx, "group", args[0])
		if err != nil {
			return err
		}
		return f(s, ctx, name)
	}
}

func (r *rbdRun) groupRename(ctx context.Context, args []string) error {
	s, from, err := r.named(ctx, "group", args[0])
	if err != nil {
		return err
	}
	there := args[0][:len(args[0])-len(from)] // it stays there
	return s.RenameGroup(ctx, from, strings.TrimPrefix(args[1], there))
}

func (r *rbdRun) groupLs(ctx context.Context, args []string) error {
	s, err := r.store(ctx, args...)
	if err != nil {
		return err
	}
	list, err := s.Groups(ctx)
	if err != nil {
		return err
	}
	return r.printNames(list)
}

// onGroupImage is a command about a group and an image, whose pool is not that of the group unless
// it is named.
func (r *rbdRun) onGroupImage(
	f func(g *rbd.Group, ctx context.Context, s *rbd.Store, image string) error,
) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		pool, namespace := r.pool, r.namespace
		g, err := r.openGroup(ctx, args[0])
		if err != nil {
			return err
		}
		r.pool, r.namespace = pool, namespace
		s, name, err := r.spec(ctx, args[1])
		if err != nil {
			return err
		}
		return f(g, ctx, s, name)
	}
}

// A groupImageJSON is one image of the JSON of group image ls.
type groupImageJSON struct {
	Image     string `json:"image"`
	Pool      string `json:"pool"`
	Namespace string `json:"namespace"`
	State     int    `json:"state"`
}

func (r *rbdRun) groupImageLs(ctx context.Context, args []string) error {
	g, err := r.openGroup(ctx, args[0])
	if err != nil {
		return err
	}
	list, err := g.Images(ctx)
	if err != nil {
		return err
	}
	out := []groupImageJSON{}
	for _, i := range list {
		image, state := groupImageJSON{i.Name, i.Pool, r.namespace, 0}, ""
		if !i.Complete {
			image.State, state = 1, "incomplete"
		}
		if i.Name == "" {
			image.Image = fmt.Sprintf("<missing image id %s>", i.ID)
		}
		if out = append(out, image); !r.json() {
			r.printf("%s %s\n", strings.Replace(
				image.Pool+"/"+r.namespace+"/"+image.Image, "//", "/", 1), state)
		}
	}
	if r.json() {
		return r.printJSON(out)
	}
	return nil
}

// onGroupSnap is a command about one snapshot of a group.
func (r *rbdRun) onGroupSnap(
	f func(g *rbd.Group, ctx context.Context, snap string) error,
) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		spec, snap, ok := strings.Cut(args[0], "@")
		if !ok || snap == "" {
			return fmt.Errorf("which snapshot? %q is not of the form GROUP@SNAP: %w", args[0],
				ceph.EINVAL)
		}
		g, err := r.openGroup(ctx, spec)
		if err != nil {
			return err
		}
		return f(g, ctx, snap)
	}
}

func (r *rbdRun) groupSnapRollback(g *rbd.Group, ctx context.Context, snap string) error {
	report, done := r.progress("roll back")
	err := g.Rollback(ctx, snap, report)
	done(err == nil)
	return err
}

func (r *rbdRun) groupSnapLs(ctx context.Context, args []string) error {
	g, err := r.openGroup(ctx, args[0])
	if err != nil {
		return err
	}
	list, err := g.Snapshots(ctx)
	if err != nil {
		return err
	}
	out := []map[string]string{}
	table := texttable.New(texttable.Column{Heading: "NAME"},
		texttable.Column{Heading: "STATUS", CellSide: texttable.Right})
	for _, s := range list {
		state := "incomplete"
		if s.Complete {
			state = "ok"
		}
		out = append(out, map[string]string{"snapshot": s.Name, "state": state})
		table.Row(s.Name, state)
	}
	if r.json() {
		return r.printJSON(out)
	}
	if len(out) > 0 {
		r.printf("%s", table)
	}
	return nil
}
