package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rbd"
	"glue/client/rbd/backup"
	"glue/cmd/glue/progress"
	"glue/internal/texttable"
)

// progress begins a bar unless it is unwanted, and gives what the library reports to.
func (r *rbdRun) progress(what string) (rbd.Progress, func(ok bool)) {
	if r.noProgress {
		return nil, func(bool) {}
	}
	var once sync.Once
	var bar *progress.Bar
	return func(done, total uint64) {
			once.Do(func() { bar = progress.New(r.err, what, int64(total)) })
			bar.Set(int64(done))
		}, func(ok bool) {
			once.Do(func() { bar = &progress.Bar{} })
			bar.Done(ok)
		}
}

func (r *rbdRun) resizeFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&r.size, "size", "s", "", "new size, in MiB unless a unit is given")
	f.BoolVar(&r.shrink, "allow-shrink", false, "let the image become smaller: cuts data off")
}

func (r *rbdRun) resize(ctx context.Context, args []string) error {
	if r.size == "" {
		return fmt.Errorf("how large is it to become? say so with --size, such as --size 20G")
	}
	size, err := parseSize(r.size, 1<<20)
	if err != nil {
		return fmt.Errorf("--size: %w", err)
	}
	return r.with(ctx, args[0], false, func(i *rbd.Image) error {
		if size < i.Size() && !r.shrink {
			return fmt.Errorf("shrinking an image is only allowed with the --allow-shrink flag: %w",
				ceph.EINVAL)
		}
		report, done := r.progress("resize")
		err := i.Resize(ctx, size, r.shrink, report)
		done(err == nil)
		return err
	})
}

func (r *rbdRun) rm(ctx context.Context, args []string) error {
	s, name, err := r.spec(ctx, args[0])
	if err != nil {
		return err
	}
	report, done := r.progress("remove")
	err = s.Remove(ctx, name, report)
	done(err == nil)
	if errors.Is(err, ceph.EBUSY) {
		return fmt.Errorf("%w\nThe image is still open, or the client that used it crashed. Try "+
			"again after closing it, or after waiting 30s for a crashed client to time out", err)
	}
	return err
}

func (r *rbdRun) rename(ctx context.Context, args []string) error {
	s, name, err := r.spec(ctx, args[0])
	if err != nil {
		return err
	}
	pool := r.pool
	_, to, err := r.spec(ctx, args[1])
	if err != nil {
		return err
	}
	if r.pool != pool {
		return fmt.Errorf("an image cannot be renamed into another pool; use glue rbd cp")
	}
	return s.Rename(ctx, name, to)
}

func (r *rbdRun) cp(ctx context.Context, args []string) error {
	return r.copyTo(ctx, args, "copy", func(i *rbd.Image, to *rbd.Store, name string,
		o rbd.CreateOptions, p rbd.Progress,
	) error {
		return i.Copy(ctx, to, name, o, p)
	})
}

// copyTo opens the image of the first argument and has it copied to the place of the second.
func (r *rbdRun) copyTo(ctx context.Context, args []string, what string, do func(i *rbd.Image,
	to *rbd.Store, name string, o rbd.CreateOptions, p rbd.Progress) error,
) error {
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		if r.destPool != "" {
			r.pool = r.destPool
		}
		to, name, err := r.spec(ctx, args[1])
		if err != nil {
			return err
		}
		o, err := r.options()
		if err != nil {
			return err
		}
		report, done := r.progress(what)
		err = do(i, to, name, o, report)
		done(err == nil)
		return err
	})
}

func (r *rbdRun) importImage(ctx context.Context, args []string) error {
	target := filepath.Base(args[0])
	if len(args) == 2 {
		target = args[1]
	} else if args[0] == "-" {
		return fmt.Errorf("what is the image to be called? glue rbd import - IMAGE")
	}
	f, err := r.openInput(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	if r.destPool != "" {
		r.pool = r.destPool
	}
	s, name, err := r.spec(ctx, target)
	if err != nil {
		return err
	}
	o, err := r.options()
	if err != nil {
		return err
	}
	if second, err := r.format2(); err != nil || second {
		if err == nil {
			err = r.import2(ctx, s, name, f, o)
		}
		return err
	}
	size, known, err := inputSize(f)
	if err != nil {
		return err
	}
	if o.Size == 0 {
		o.Size = size
	}
	if !known && o.Size == 0 {
		o.Size = growBytes
	}
	if err := s.Create(ctx, name, o); err != nil {
		return err
	}
	err = r.fill(ctx, s, name, f, known)
	if err != nil {
		return errors.Join(err, s.Remove(context.WithoutCancel(ctx), name, nil))
	}
	return nil
}

// growBytes is by how much an image grows that is imported from a stream.
const growBytes = 1 << 30

// inputSize is the size of a file or block device; false for a stream.
func inputSize(f io.Reader) (uint64, bool, error) {
	file, ok := f.(*os.File)
	if !ok {
		return 0, false, nil
	}
	st, err := file.Stat()
	if err != nil || st.Mode()&(os.ModeNamedPipe|os.ModeCharDevice|os.ModeSocket) != 0 {
		return 0, false, err
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, false, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return uint64(end), true, err
}

func (r *rbdRun) fill(
	ctx context.Context, s *rbd.Store, name string, f io.Reader, known bool,
) error {
	i, err := s.Open(ctx, name, false)
	if err != nil {
		return err
	}
	report, done := r.progress("import")
	if known {
		_, err = backup.Import(ctx, i, f, report)
	} else {
		err = r.fillStream(ctx, i, f)
	}
	done(err == nil)
	return errors.Join(err, i.Close(context.WithoutCancel(ctx)))
}

// fillStream imports a stream of unknown length: the image grows with it and is cut at its end.
func (r *rbdRun) fillStream(ctx context.Context, i *rbd.Image, f io.Reader) error {
	buf := make([]byte, 4<<20)
	var off uint64
	for {
		n, err := io.ReadFull(f, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read the input: %w", err)
		}
		if off+uint64(n) > i.Size() {
			if err := i.Resize(ctx, i.Size()+growBytes, false, nil); err != nil {
				return err
			}
		}
		if err := i.WriteSparse(ctx, buf[:n], off); err != nil {
			return err
		}
		if off += uint64(n); err != nil {
			return i.Resize(ctx, off, true, nil)
		}
	}
}

func (r *rbdRun) exportImage(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		path := i.Name()
		if len(args) == 2 {
			path = args[1]
		}
		if second, err := r.format2(); err != nil || second {
			if err == nil {
				err = r.export2(ctx, i, path)
			}
			return err
		}
		if path == "-" {
			return backup.Export(ctx, i, r.out, nil)
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		report, done := r.progress("export")
		err = f.Truncate(int64(i.Size()))
		if err == nil {
			err = i.ExportSparse(ctx, f, report)
		} else if st, e := f.Stat(); e == nil && !st.Mode().IsRegular() {
			err = backup.Export(ctx, i, f, report) // a device: every byte, zeros as well
		}
		done(err == nil)
		return errors.Join(err, f.Close())
	})
}

// A usageJSON is one image of the JSON of du.
type usageJSON struct {
	Name        string `json:"name"`
	ID          string `json:"id"`
	Provisioned uint64 `json:"provisioned_size"`
	Used        uint64 `json:"used_size"`
}

// A usageTotal is the JSON of du.
type usageTotal struct {
	Images      []usageJSON `json:"images"`
	Provisioned uint64      `json:"total_provisioned_size"`
	Used        uint64      `json:"total_used_size"`
}

func (r *rbdRun) du(ctx context.Context, args []string) error {
	var s *rbd.Store
	var list []rbd.Entry
	var err error
	if len(args) == 1 {
		var name string
		s, name, err = r.spec(ctx, args[0])
		list = []rbd.Entry{{Name: name}}
	} else if s, err = r.store(ctx); err == nil {
		list, err = s.List(ctx)
	}
	if err != nil {
		return err
	}
	out := usageTotal{Images: []usageJSON{}}
	for _, e := range list {
		i, err := s.Open(ctx, e.Name, true)
		if err != nil {
			return err
		}
		size, used, err := i.Usage(ctx)
		if err != nil {
			return err
		}
		out.Images = append(out.Images, usageJSON{e.Name, i.ID(), size, used})
		out.Provisioned += size
		out.Used += used
	}
	if r.json() {
		return r.printJSON(out)
	}
	table := texttable.New(texttable.Column{Heading: "NAME"},
		texttable.Column{Heading: "PROVISIONED", CellSide: texttable.Right},
		texttable.Column{Heading: "USED", CellSide: texttable.Right})
	for _, u := range out.Images {
		table.Row(u.Name, bytesText(int64(u.Provisioned)), bytesText(int64(u.Used)))
	}
	if len(out.Images) > 1 {
		table.Row("<TOTAL>", bytesText(int64(out.Provisioned)), bytesText(int64(out.Used)))
	}
	r.printf("%s", table)
	return nil
}

func (r *rbdRun) diffFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&r.whole, "whole-object", false, "list whole objects")
	f.StringVar(&r.fromSnap, "from-snap", "", "list what changed since this snapshot")
}

// A diffExtent is one extent of the JSON of diff.
type diffExtent struct {
	Offset uint64 `json:"offset"`
	Length uint64 `json:"length"`
	Exists string `json:"exists"`
}

func (r *rbdRun) diff(ctx context.Context, args []string) error {
	return r.with(ctx, args[0], true, func(i *rbd.Image) error {
		out := []diffExtent{}
		table := texttable.New(texttable.Column{Heading: "Offset"},
			texttable.Column{Heading: "Length"}, texttable.Column{Heading: "Type"})
		o := rbd.DiffOptions{From: r.fromSnap, Whole: r.whole}
		for e, err := range i.DiffIterate(ctx, o) {
			if err != nil {
				return err
			}
			kind := "zero"
			if e.Exists {
				kind = "data"
			}
			out = append(out, diffExtent{e.Off, e.Len, boolWord(e.Exists)})
			table.Row(e.Off, e.Len, kind)
		}
		if r.json() {
			return r.printJSON(out)
		}
		if len(out) > 0 {
			r.printf("%s", table)
		}
		return nil
	})
}
