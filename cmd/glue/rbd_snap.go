package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rbd"
	"glue/client/rbd/backup"
	"glue/internal/texttable"
)

// snapGroup is glue rbd snap.
func (r *rbdRun) snapGroup() verbGroup {
	return verbGroup{"snap", "snapshots of an image", []verb{
		{"create IMAGE@SNAP", "make a snapshot", 1, 1, r.onSnap(r.createSnap), r.quiesceFlags},
		{"ls IMAGE", "list the snapshots", 1, 1, r.snapLs, r.allFlag},
		{"rm IMAGE@SNAP", "remove a snapshot", 1, 1, r.onSnap(removeSnap), nil},
		{"purge IMAGE", "remove all snapshots that are not protected", 1, 1, r.snapPurge, nil},
		{"protect IMAGE@SNAP", "keep a snapshot from being removed", 1, 1,
			r.onSnap((*rbd.Image).ProtectSnapshot), nil},
		{"unprotect IMAGE@SNAP", "let a snapshot be removed", 1, 1,
			r.onSnap((*rbd.Image).UnprotectSnapshot), nil},
		{"rename IMAGE@SNAP IMAGE@NAME", "rename a snapshot", 2, 2, r.snapRename, nil},
		{"rollback IMAGE@SNAP", "make an image what it was at a snapshot", 1, 1, r.snapRollback,
			nil},
	}}
}

// limitGroup is glue rbd snap limit.
func (r *rbdRun) limitGroup() verbGroup {
	set := func(ctx context.Context, args []string) error {
		return r.with(ctx, args[0], false, func(i *rbd.Image) error {
			return i.SetSnapshotLimit(ctx, r.limit)
		})
	}
	return verbGroup{"limit", "how many snapshots an image may have", []verb{
		{"set IMAGE --limit N", "limit the number of snapshots", 1, 1, set,
			func(cmd *cobra.Command) {
				cmd.Flags().Uint64Var(&r.limit, "limit", rbd.NoSnapshotLimit, "how many")
				_ = cmd.MarkFlagRequired("limit")
			}},
		{"clear IMAGE", "remove the limit", 1, 1, set, nil},
	}}
}

// cloneVerbs are the commands about clones and differences.
func (r *rbdRun) cloneVerbs() []verb {
	return []verb{
		{"clone IMAGE@SNAP NAME", "make an image that begins as a snapshot", 2, 2, r.clone,
			r.cloneFlags},
		{"children IMAGE@SNAP", "list the clones of a snapshot", 1, 1, r.children, nil},
		{"flatten IMAGE", "make a clone independent of its parent", 1, 1, r.flatten, nil},
		{"export-diff IMAGE[@SNAP] FILE", "write what changed to a file (- is stdout)", 2, 2,
			r.exportDiff, r.diffFlags},
		{"import-diff FILE IMAGE", "apply what export-diff wrote (- is stdin)", 2, 2,
			r.importDiff, nil},
		{"merge-diff FIRST SECOND FILE", "put two files of export-diff together (- is a stream)",
			3, 3, r.mergeDiff, nil},
	}
}

func (r *rbdRun) allFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&r.all, "all", "a", false, "list those of groups and in the trash too")
}

func (r *rbdRun) cloneFlags(cmd *cobra.Command) {
	r.createFlags(cmd)
	cmd.Flags().IntVar(&r.cloneFormat, "rbd-default-clone-format", 0,
		"1: needs a protected snapshot; 2: needs clients of mimic or later")
}

// snapSpec splits IMAGE@SNAP.
func snapSpec(spec string) (image, snap string, err error) {
	image, snap, ok := strings.Cut(spec, "@")
	if !ok || snap == "" {
		return "", "", fmt.Errorf("which snapshot? %q is not of the form IMAGE@SNAP: %w", spec,
			ceph.EINVAL)
	}
	return image, snap, nil
}

// onSnap is a command that changes one snapshot.
func (r *rbdRun) onSnap(
	f func(i *rbd.Image, ctx context.Context, snap string) error,
) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		image, snap, err := snapSpec(args[0])
		if err != nil {
			return err
		}
		return r.with(ctx, image, false, func(i *rbd.Image) error { return f(i, ctx, snap) })
	}
}

func (r *rbdRun) quiesceFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.skipQuiesce, "skip-quiesce", false,
		"do not ask the clients of the image to become quiet")
	cmd.Flags().BoolVar(&r.ignoreQuiesce, "ignore-quiesce-error", false,
		"make the snapshot although one of them could not")
}

// quiesce is what the flags say.
func (r *rbdRun) quiesce() rbd.Quiesce {
	switch {
	case r.skipQuiesce:
		return rbd.QuiesceSkip
	case r.ignoreQuiesce:
		return rbd.QuiesceIgnoreError
	}
	return rbd.QuiesceDefault
}

func (r *rbdRun) createSnap(i *rbd.Image, ctx context.Context, snap string) error {
	if err := i.CreateQuietSnapshot(ctx, snap, r.quiesce()); err != nil {
		return fmt.Errorf("failed to create snapshot: %w", err)
	}
	return nil
}

func removeSnap(i *rbd.Image, ctx context.Context, snap string) error {
	err := i.RemoveSnapshot(ctx, snap)
	if errors.Is(err, ceph.EBUSY) {
		return fmt.Errorf("%w\nRemove the clones that need it, then: glue rbd snap unprotect %s@%s",
			err, i.Name(), snap)
	}
	return err
}

// A snapLine is one snapshot of the JSON of snap ls.
type snapLine struct {
	ID        uint64 `json:"id"`
	Name      string `json:"name"`
	Size      uint64 `json:"size"`
	Protected string `json:"protected"`
	Timestamp string `json:"timestamp"`
}

func boolWord(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func (r *rbdRun) snapLs(ctx context.Context, args []string) error {
	i, err := r.open(ctx, args[0], true)
	if err != nil {
		return err
	}
	list, err := i.Snapshots(ctx)
	if err != nil {
		return err
	}
	if !r.all {
		list = slices.DeleteFunc(list, func(s rbd.Snapshot) bool { return s.Kind != rbd.SnapUser })
	}
	const stamp = "Mon Jan _2 15:04:05 2006"
	if r.json() {
		out := []snapLine{}
		for _, s := range list {
			out = append(out, snapLine{uint64(s.ID), s.Name, s.Size, boolWord(s.Protected),
				s.Created.Local().Format(stamp)})
		}
		return r.printJSON(out)
	}
	if len(list) == 0 {
		return nil
	}
	table := texttable.New(texttable.Column{Heading: "SNAPID", CellSide: texttable.Right},
		texttable.Column{Heading: "NAME"},
		texttable.Column{Heading: "SIZE", CellSide: texttable.Right},
		texttable.Column{Heading: "PROTECTED"},
		texttable.Column{Heading: "TIMESTAMP", CellSide: texttable.Right})
	for _, s := range list {
		protection := ""
		if s.Protected {
			protection = "yes"
		}
		table.Row(uint64(s.ID), s.Name, bytesText(int64(s.Size)), protection,
			s.Created.Local().Format(stamp))
	}
	r.printf("%s", table)
	return nil
}

func (r *rbdRun) snapPurge(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], false, func(i *rbd.Image) error {
		list, err := i.Snapshots(ctx)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(s rbd.Snapshot) bool { return s.Kind != rbd.SnapUser })
		for _, s := range list {
			if s.Protected {
				return fmt.Errorf("snapshot %s is protected; nothing was removed: %w", s.Name,
					ceph.EBUSY)
			}
		}
		report, done := r.progress("remove the snapshots")
		for n, s := range list {
			if err := i.RemoveSnapshot(ctx, s.Name); err != nil {
				done(false)
				return err
			}
			if report != nil {
				report(uint64(n+1), uint64(len(list)))
			}
		}
		done(true)
		return nil
	})
}

func (r *rbdRun) snapRename(ctx context.Context, args []string) error {
	image, from, err := snapSpec(args[0])
	if err != nil {
		return err
	}
	to := args[1]
	if other, name, ok := strings.Cut(args[1], "@"); ok {
		if to = name; other != image {
			return fmt.Errorf("a snapshot stays with its image: %s is not %s: %w", other, image,
				ceph.EINVAL)
		}
	}
	return r.with(ctx, image, false, func(i *rbd.Image) error {
		return i.RenameSnapshot(ctx, from, to)
	})
}

func (r *rbdRun) snapRollback(ctx context.Context, args []string) error {
	image, snap, err := snapSpec(args[0])
	if err != nil {
		return err
	}
	return r.with(ctx, image, false, func(i *rbd.Image) error {
		report, done := r.progress("roll back")
		err := i.Rollback(ctx, snap, report)
		done(err == nil)
		return err
	})
}

func (r *rbdRun) clone(ctx context.Context, args []string) error {
	image, snap, err := snapSpec(args[0])
	if err != nil {
		return err
	}
	return r.with(ctx, image, true, func(i *rbd.Image) error {
		if r.destPool != "" {
			r.pool = r.destPool
		}
		s, name, err := r.spec(ctx, args[1])
		if err != nil {
			return err
		}
		o, err := r.options()
		if err != nil {
			return err
		}
		o.CloneFormat = r.cloneFormat
		return s.Clone(ctx, i, snap, name, o)
	})
}

// A childJSON is one clone of the JSON of children.
type childJSON struct {
	Pool      string `json:"pool"`
	Namespace string `json:"pool_namespace"`
	Image     string `json:"image"`
}

func (r *rbdRun) children(ctx context.Context, args []string) error {
	image, snap, err := snapSpec(args[0])
	if err != nil {
		return err
	}
	i, err := r.open(ctx, image, true)
	if err != nil {
		return err
	}
	list, err := i.Children(ctx, snap)
	if err != nil {
		return err
	}
	out := []childJSON{}
	for _, c := range list {
		if c.Trashed {
			continue
		}
		out = append(out, childJSON{c.Pool, c.Namespace, c.Image})
		if r.json() {
			continue
		}
		if c.Namespace != "" {
			c.Pool += "/" + c.Namespace
		}
		r.printf("%s/%s\n", c.Pool, c.Image)
	}
	if r.json() {
		return r.printJSON(out)
	}
	return nil
}

func (r *rbdRun) flatten(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], false, func(i *rbd.Image) error {
		report, done := r.progress("flatten")
		err := i.Flatten(ctx, report)
		done(err == nil)
		return err
	})
}

// A parentJSON is the parent in the JSON of info.
type parentJSON struct {
	Pool      string `json:"pool"`
	Namespace string `json:"pool_namespace"`
	Image     string `json:"image"`
	ID        string `json:"id"`
	Snapshot  string `json:"snapshot"`
	Trash     bool   `json:"trash"`
	Overlap   uint64 `json:"overlap"`
}

// String is the parent's spec.
func (p *parentJSON) String() string {
	pool := p.Pool
	if p.Namespace != "" {
		pool += "/" + p.Namespace
	}
	trash := ""
	if p.Trash {
		trash = " (trash " + p.ID + ")"
	}
	return fmt.Sprintf("%s/%s@%s%s", pool, p.Image, p.Snapshot, trash)
}

func parentOf(ctx context.Context, i *rbd.Image) (*parentJSON, error) {
	p, err := i.Parent(ctx)
	if err != nil || p == nil {
		return nil, err
	}
	return &parentJSON{p.Pool, p.Namespace, p.Image, p.ImageID, p.Snapshot, p.Trashed, p.Overlap},
		nil
}

func (r *rbdRun) exportDiff(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		o := backup.DiffOptions{DiffOptions: rbd.DiffOptions{From: r.fromSnap, Whole: r.whole}}
		if args[1] == "-" {
			return backup.ExportDiff(ctx, i, r.out, o, nil)
		}
		f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		report, done := r.progress("export the differences")
		err = errors.Join(backup.ExportDiff(ctx, i, f, o, report), f.Close())
		done(err == nil)
		return err
	})
}

func (r *rbdRun) importDiff(ctx context.Context, args []string) error {
	f, err := r.openInput(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	return r.with(ctx, args[1], false, func(i *rbd.Image) error {
		report, done := r.progress("import the differences")
		err := backup.ImportDiff(ctx, i, f, report)
		done(err == nil)
		return err
	})
}
