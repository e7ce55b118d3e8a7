package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rbd"
	"glue/client/rbd/backup"
	"glue/client/rbd/difffile"
)

// deepGroup is glue rbd deep.
func (r *rbdRun) deepGroup() verbGroup {
	return verbGroup{"deep", "images with their snapshots", []verb{
		{"cp IMAGE[@SNAP] NAME", "copy an image with its snapshots", 2, 2, r.deepCp, r.deepFlags},
	}}
}

func (r *rbdRun) deepFlags(cmd *cobra.Command) {
	r.createFlags(cmd)
	cmd.Flags().BoolVar(&r.flat, "flatten", false, "copy what a clone has of its parent, too")
}

func (r *rbdRun) deepCp(ctx context.Context, args []string) error {
	return r.copyTo(ctx, args, "deep copy", func(i *rbd.Image, to *rbd.Store, name string,
		o rbd.CreateOptions, p rbd.Progress,
	) error {
		return i.DeepCopy(ctx, to, name, o, r.flat, p)
	})
}

func (r *rbdRun) formatFlag(cmd *cobra.Command) {
	cmd.Flags().IntVar(&r.exportFormat, "export-format", 1,
		"1: the image's bytes; 2: with its snapshots and metadata")
}

func (r *rbdRun) importFlags(cmd *cobra.Command) {
	r.createFlags(cmd)
	r.formatFlag(cmd)
}

// format2 says whether a file has format 2.
func (r *rbdRun) format2() (bool, error) {
	if r.exportFormat != 1 && r.exportFormat != 2 {
		return false, fmt.Errorf("--export-format is 1 or 2, not %d: %w", r.exportFormat,
			ceph.EINVAL)
	}
	return r.exportFormat == 2, nil
}

// export2 writes an image with its snapshots to a file, or stdout.
func (r *rbdRun) export2(ctx context.Context, i *rbd.Image, path string) error {
	if path == "-" {
		return backup.ExportImage(ctx, i, r.out, nil)
	}
	return newFile(path, func(w io.Writer) error {
		report, done := r.progress("export")
		err := backup.ExportImage(ctx, i, w, report)
		done(err == nil)
		return err
	})
}

// import2 makes an image of what export2 or the stock tool wrote.
func (r *rbdRun) import2(
	ctx context.Context, s *rbd.Store, name string, f io.Reader, o rbd.CreateOptions,
) error {
	report, done := r.progress("import")
	err := backup.ImportImage(ctx, s, name, f, o, report)
	done(err == nil)
	return err
}

// newFile makes a file, which must not be there, and removes it if it can't be completed.
func newFile(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func (r *rbdRun) mergeDiff(_ context.Context, args []string) error {
	first, err := r.openInput(args[0])
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := os.Open(args[1])
	if err != nil {
		return err
	}
	defer second.Close()
	if args[2] == "-" {
		return difffile.Merge(r.out, first, second)
	}
	return newFile(args[2], func(w io.Writer) error { return difffile.Merge(w, first, second) })
}
