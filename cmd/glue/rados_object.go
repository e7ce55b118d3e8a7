package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/striper"
)

// objects opens the pool for its objects, with --striper for its striped ones.
func (r *radosRun) objects(ctx context.Context) (striper.Objects, error) {
	x, err := r.openRaw(ctx)
	if err != nil {
		return nil, err
	}
	if r.forceFull {
		x = x.WithFullTry()
	}
	if r.striper {
		return striper.New(x, striper.Layout{})
	}
	return x, nil
}

// onObject changes one object, or one that is striped.
func (r *radosRun) onObject(
	ctx context.Context, what, oid string, f func(striper.Objects) error,
) error {
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	if err := f(x); err != nil {
		return fmt.Errorf("error %s %s/%s: %w", what, r.pool, oid, err)
	}
	return nil
}

func (r *radosRun) offsetFlag(cmd *cobra.Command) {
	cmd.Flags().Var(&r.offset, "offset", "where in the object to begin")
}

func (r *radosRun) put(ctx context.Context, args []string) error {
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	f, err := r.openInput(args[1])
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, r.opBytes)
	for off, first := uint64(r.offset), true; ; first = false {
		n, err := io.ReadFull(f, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read %s: %w", args[1], err)
		}
		last := err != nil
		if n == 0 && !first {
			return nil
		}
		if off == 0 {
			err = x.WriteFull(ctx, args[0], buf[:n])
		} else {
			err = x.Write(ctx, args[0], buf[:n], off)
		}
		if err != nil {
			return fmt.Errorf("error putting %s/%s: %w", r.pool, args[0], err)
		}
		if off += uint64(n); last {
			return nil
		}
	}
}

func (r *radosRun) get(ctx context.Context, args []string) error {
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	off := uint64(r.offset)
	first, err := x.Read(ctx, args[0], off, uint64(r.opBytes))
	if err != nil {
		return fmt.Errorf("error getting %s/%s: %w", r.pool, args[0], err)
	}
	f, err := r.openOutput(args[1])
	if err != nil {
		return err
	}
	for data := first; ; {
		if _, err := f.Write(data); err != nil {
			f.Close()
			return fmt.Errorf("write %s: %w", args[1], err)
		}
		if len(data) < int(r.opBytes) {
			return f.Close()
		}
		off += uint64(len(data))
		if data, err = x.Read(ctx, args[0], off, uint64(r.opBytes)); err != nil {
			f.Close()
			return fmt.Errorf("error getting %s/%s: %w", r.pool, args[0], err)
		}
	}
}

func (r *radosRun) append(ctx context.Context, args []string) error {
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	f, err := r.openInput(args[1])
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, r.opBytes)
	for first := true; ; first = false {
		n, err := io.ReadFull(f, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read %s: %w", args[1], err)
		}
		if n == 0 && !first {
			return nil
		}
		if err := x.Append(ctx, args[0], buf[:n]); err != nil {
			return fmt.Errorf("error appending to %s/%s: %w", r.pool, args[0], err)
		}
		if err != nil {
			return nil
		}
	}
}

func (r *radosRun) truncate(ctx context.Context, args []string) error {
	size, err := parseSize(args[1], 1)
	if err != nil {
		return err
	}
	return r.onObject(ctx, "truncating", args[0], func(x striper.Objects) error {
		return x.Truncate(ctx, args[0], size)
	})
}

func (r *radosRun) create(ctx context.Context, args []string) error {
	return r.change(ctx, "creating", args[0], new(rados.WriteOp).Create(true))
}

func (r *radosRun) touch(ctx context.Context, args []string) error {
	return r.change(ctx, "touching", args[0], new(rados.WriteOp).Create(false))
}

// change applies a vector to one object.
func (r *radosRun) change(ctx context.Context, what, oid string, w *rados.WriteOp) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	if err := x.Operate(ctx, oid, w); err != nil {
		return fmt.Errorf("error %s %s/%s: %w", what, r.pool, oid, err)
	}
	return nil
}

func (r *radosRun) rmFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.forceFull, "force-full", false, "remove although the cluster is full")
}

func (r *radosRun) rm(ctx context.Context, args []string) error {
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	for _, oid := range args {
		if err := x.Remove(ctx, oid); err != nil {
			return fmt.Errorf("error removing %s>%s: %w", r.pool, oid, err)
		}
	}
	return nil
}

func (r *radosRun) stat(ctx context.Context, args []string) error {
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	s, err := x.Stat(ctx, args[0])
	if err != nil {
		return fmt.Errorf("error stat-ing %s/%s: %w", r.pool, args[0], err)
	}
	r.printf("%s/%s mtime %v, size %d\n", r.pool, args[0],
		ceph.TimeOf(s.MTime.Truncate(time.Second)), s.Size)
	return nil
}

func (r *radosRun) inputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.inputFile, "input-file", "", "take the value from a file")
}

// value is the argument at i, the file that --input-file names, or what stdin has.
func (r *radosRun) value(args []string, i int) ([]byte, error) {
	switch {
	case r.inputFile != "":
		return os.ReadFile(r.inputFile)
	case len(args) > i:
		return []byte(args[i]), nil
	}
	return io.ReadAll(r.in)
}

func (r *radosRun) setxattr(ctx context.Context, args []string) error {
	v, err := r.value(args, 2)
	if err != nil {
		return err
	}
	return r.onObject(ctx, "setting an attribute of", args[0], func(x striper.Objects) error {
		return x.SetXattr(ctx, args[0], args[1], v)
	})
}

func (r *radosRun) getxattr(ctx context.Context, args []string) error {
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	v, err := x.Xattr(ctx, args[0], args[1])
	if err != nil {
		return fmt.Errorf("error getting xattr %s/%s/%s: %w", r.pool, args[0], args[1], err)
	}
	_, err = r.out.Write(v)
	return err
}

func (r *radosRun) rmxattr(ctx context.Context, args []string) error {
	return r.onObject(ctx, "removing an attribute of", args[0], func(x striper.Objects) error {
		return x.RmXattr(ctx, args[0], args[1])
	})
}

func (r *radosRun) listxattr(ctx context.Context, args []string) error {
	x, err := r.objects(ctx)
	if err != nil {
		return err
	}
	m, err := x.Xattrs(ctx, args[0])
	if err != nil {
		return fmt.Errorf("error getting xattr set %s/%s: %w", r.pool, args[0], err)
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		r.printf("%s\n", name)
	}
	return nil
}

func (r *radosRun) setomapval(ctx context.Context, args []string) error {
	v, err := r.value(args, 2)
	if err != nil {
		return err
	}
	return r.change(ctx, "setting omap value", args[0],
		new(rados.WriteOp).OmapSet(map[string][]byte{args[1]: v}))
}

func (r *radosRun) rmomapkey(ctx context.Context, args []string) error {
	return r.change(ctx, "removing omap key", args[0], new(rados.WriteOp).OmapRm(args[1]))
}

func (r *radosRun) clearomap(ctx context.Context, args []string) error {
	for _, oid := range args {
		err := r.change(ctx, "clearing omap keys", oid, new(rados.WriteOp).OmapClear())
		if err != nil {
			return err
		}
	}
	return nil
}

// hexValue prints a value as the stock tool does.
func (r *radosRun) hexValue(v []byte) {
	r.printf("value (%d bytes) :\n%s\n", len(v), hexDump(v))
}

// hexDump is offset, hexadecimal and text, 16 bytes a line, and the length at the end. A line of
// one repeated byte like the one before it is a star, unless it is the last: as stock does.
func hexDump(v []byte) string {
	if len(v) == 0 {
		return ""
	}
	var b strings.Builder
	var before byte
	same, star := false, false
	for off := 0; off < len(v); off += 16 {
		row := v[off:min(off+16, len(v))]
		again := same && row[0] == before && off+16 < len(v) && uniform(row)
		same, before = uniform(row), row[0]
		if again {
			if !star {
				b.WriteString("*\n")
			}
			star = true
			continue
		}
		star = false
		fmt.Fprintf(&b, "%08x ", off)
		for i := range 16 {
			if i == 8 {
				b.WriteByte(' ')
			}
			if i < len(row) {
				b.WriteString(" " + hex.EncodeToString(row[i:i+1]))
			} else {
				b.WriteString("   ")
			}
		}
		text := bytes.Map(func(c rune) rune {
			if c < 32 || c > 126 {
				return '.'
			}
			return c
		}, latin(row))
		fmt.Fprintf(&b, "  |%s|\n", text)
	}
	fmt.Fprintf(&b, "%08x\n", len(v))
	return b.String()
}

// uniform says whether all bytes are the same.
func uniform(row []byte) bool { return bytes.Count(row, row[:1]) == len(row) }

// latin is bytes with every one above 126 replaced, so that they are not read as UTF-8.
func latin(row []byte) []byte {
	out := slices.Clone(row)
	for i, c := range out {
		if c > 126 {
			out[i] = '.'
		}
	}
	return out
}

func (r *radosRun) getomapval(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	m, err := x.OmapGet(ctx, args[0], args[1])
	if err != nil {
		return fmt.Errorf("error getting omap value %s/%s/%s: %w", r.pool, args[0], args[1], err)
	}
	v, ok := m[args[1]]
	if !ok {
		return fmt.Errorf("No such key: %s/%s/%s", r.pool, args[0], args[1])
	}
	if len(args) == 3 {
		return r.writeFile(args[2], v)
	}
	r.hexValue(v)
	return nil
}

func (r *radosRun) writeFile(path string, v []byte) error {
	f, err := r.openOutput(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(v); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (r *radosRun) listomapkeys(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	for key, err := range x.OmapKeys(ctx, args[0]) {
		if err != nil {
			return fmt.Errorf("error getting omap key set %s/%s: %w", r.pool, args[0], err)
		}
		r.printf("%s\n", key)
	}
	return nil
}

func (r *radosRun) listomapvals(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	for p, err := range x.Omap(ctx, args[0], "") {
		if err != nil {
			return fmt.Errorf("error getting omap keys %s/%s: %w", r.pool, args[0], err)
		}
		r.printf("%s\n", p.Key)
		r.hexValue(p.Value)
	}
	return nil
}

func (r *radosRun) getomapheader(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	h, err := x.OmapHeader(ctx, args[0])
	if err != nil {
		return fmt.Errorf("error getting omap header %s/%s: %w", r.pool, args[0], err)
	}
	if len(args) == 2 {
		return r.writeFile(args[1], h)
	}
	r.printf("header (%d bytes) :\n%s\n", len(h), hexDump(h))
	return nil
}

func (r *radosRun) setomapheader(ctx context.Context, args []string) error {
	return r.change(ctx, "setting omap header", args[0],
		new(rados.WriteOp).OmapSetHeader([]byte(args[1])))
}

func (r *radosRun) watch(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	lost := make(chan error, 1)
	w, err := x.Watch(ctx, args[0], func(n *rados.Notification) {
		r.printf("NOTIFY cookie %d notify_id %d from %d\n%s", n.Cookie, n.NotifyID,
			n.NotifierGID, hexDump(n.Payload))
		if err := n.Ack(ctx, nil); err != nil {
			fmt.Fprintln(r.err, "answer a notification:", err)
		}
	}, func(err error) { lost <- err })
	if err != nil {
		return fmt.Errorf("error watching %s/%s: %w", r.pool, args[0], err)
	}
	fmt.Fprintln(r.err, "press enter to exit...")
	enter := make(chan struct{})
	go func() {
		var b [1]byte
		r.in.Read(b[:])
		close(enter)
	}()
	select {
	case err := <-lost:
		return fmt.Errorf("the watch of %s/%s is lost: %w", r.pool, args[0], err)
	case <-ctx.Done():
	case <-enter:
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return w.Close(ctx)
}

func (r *radosRun) notify(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	c := denc.NewEncoder(nil, 0)
	c.Str(&args[1])
	res, err := x.Notify(ctx, args[0], c.Bytes(), 0)
	for _, a := range res.Acks {
		r.printf("reply client.%d cookie %d : %d bytes\n%s", a.GID, a.Cookie, len(a.Reply),
			hexDump(a.Reply))
	}
	for _, p := range res.Missed {
		r.printf("timeout client.%d cookie %d\n", p.GID, p.Cookie)
	}
	if err != nil {
		return fmt.Errorf("error calling notify on %s/%s: %w", r.pool, args[0], err)
	}
	return nil
}

func (r *radosRun) listwatchers(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	list, err := x.Watchers(ctx, args[0])
	if err != nil {
		return fmt.Errorf("error listing watchers %s/%s: %w", r.pool, args[0], err)
	}
	for _, w := range list {
		r.printf("watcher=%s client.%d cookie=%d\n", w.Addr.LegacyString(), w.Name.Num, w.Cookie)
	}
	return nil
}
