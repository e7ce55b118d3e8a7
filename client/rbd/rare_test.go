package rbd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rbd"
)

// A librbd is an image that the stock library has open.
type librbd struct {
	t   *testing.T
	o   rbd.CreateOptions
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

func openStock(t *testing.T, s *rbd.Store, image string, o rbd.CreateOptions) *librbd {
	t.Helper()
	if _, err := exec.LookPath("rbd"); err != nil {
		t.Skip("the stock client is not installed")
	}
	cmd := exec.CommandContext(within(t, 5*time.Minute), "/usr/bin/python3", "testdata/rare.py",
		conf(t), s.IO().PoolName(), image)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	want(t, "input", err, nil)
	out, err := cmd.StdoutPipe()
	want(t, "output", err, nil)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &librbd{t, o, in, bufio.NewScanner(out), cmd}
}

// call is one call's error as ours gives it.
func (l *librbd) call(c rareCall) error {
	l.t.Helper()
	fmt.Fprintf(l.in, "%s %d %d %d %x %x\n", c.name, c.off, c.length, c.flags, c.old, c.data)
	var result int
	var off uint64
	if !l.out.Scan() {
		l.t.Fatalf("the stock client has ended at %s: %v", c.name, l.out.Err())
	}
	if _, err := fmt.Sscan(l.out.Text(), &result, &off); err != nil {
		l.t.Fatalf("the stock client says %q: %v", l.out.Text(), err)
	}
	switch {
	case result == 0:
		return nil
	case ceph.Errno(-result) == ceph.EILSEQ:
		// librbd counts from where the object begins, not the range.
		return &rbd.MismatchError{Off: off - l.begin(c.off) + c.off}
	}
	return ceph.Errno(-result)
}

// begin is where in the image the object of some byte begins.
func (l *librbd) begin(off uint64) uint64 {
	unit, columns := l.o.StripeUnit, max(l.o.StripeCount, 1)
	if unit == 0 {
		unit = 1 << l.o.Order
	}
	set := columns << l.o.Order
	return off/set*set + off/unit%columns*unit
}

func (l *librbd) close() {
	l.t.Helper()
	want(l.t, "close", errors.Join(l.in.Close(), l.cmd.Wait()), nil)
}

// A rareCall is a call that both clients have.
type rareCall struct {
	name      string
	off       uint64
	length    uint64
	flags     int // 1: thick
	old, data []byte
}

// ours makes it by our client.
func (c rareCall) ours(ctx context.Context, i *rbd.Image) error {
	switch c.name {
	case "compare":
		return i.CompareAndWrite(ctx, c.off, c.old, c.data)
	case "same":
		return i.WriteSame(ctx, c.off, c.length, c.data)
	}
	return i.WriteZeroes(ctx, c.off, c.length, c.flags == 1)
}

// randomCall is one of which the stock client takes all that ours takes: it compares no more than
// a sector.
func randomCall(r *rand.Rand, model []byte) (c rareCall) {
	c.name = []string{"compare", "compare", "same", "zeroes"}[r.IntN(4)]
	switch c.name {
	case "compare":
		n := 1 + r.IntN(512)
		off := r.IntN(len(model)/512)*512 + r.IntN(513-n)
		c.off, c.length = uint64(off), uint64(n)
		c.old, c.data = bytes.Clone(model[off:off+n]), make([]byte, n)
		if r.IntN(2) == 0 {
			c.old[r.IntN(n)]++
		}
	case "same":
		c.data = make([]byte, []int{1, 3, 512, 4096}[r.IntN(4)])
		c.length = uint64(len(c.data) * (1 + r.IntN(150_000/len(c.data))))
		c.length -= uint64(r.IntN(8) / 7 * (len(c.data) - 1)) // now and then no whole patterns
		c.off = uint64(r.IntN(len(model) - int(c.length)))
	default:
		c.length, c.flags = uint64(1+r.IntN(150_000)), r.IntN(2)
		c.off = uint64(r.IntN(len(model) - int(c.length)))
	}
	for k := range c.data {
		c.data[k] = byte(r.Uint32())
	}
	if c.name == "same" && r.IntN(3) == 0 {
		clear(c.data)
	}
	return c
}

// TestRareChangesAsStock: the rarer changes by librbd and by us, of an image that both have open in
// turns and of one each, have the same results and leave the same.
func TestRareChangesAsStock(t *testing.T) {
	s := store(t, connect(t))
	for name, o := range layouts {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 4*time.Minute)
			o.Size = 1 << 20
			base := "base-" + name
			want(t, "create", s.Create(ctx, base, o), nil)
			p := newTester(t, s, base, make([]byte, o.Size), 11)
			p.churn(8, false)
			p.snap("s")
			o.CloneFormat, o.Size = 2, 0
			for _, child := range []string{"ours-", "stock-", "both-"} {
				want(t, "clone", s.Clone(ctx, p.i, "s", child+name, o), nil)
			}
			want(t, "close", p.i.Close(ctx), nil)
			ours, both := open(t, s, "ours-"+name), open(t, s, "both-"+name)
			theirs, shared := openStock(t, s, "stock-"+name, o),
				openStock(t, s, "both-"+name, o)
			for n := range 60 {
				c := randomCall(p.r, p.model)
				third := func() error { return c.ours(ctx, both) }
				if n/3%2 == 1 {
					third = func() error { return shared.call(c) }
				}
				results := []error{c.ours(ctx, ours), theirs.call(c), third()}
				for k, err := range results {
					if !sameResult(err, results[0]) {
						t.Fatalf("%d: %s of %d bytes at %d: %v, in image %d %v", n, c.name,
							c.length, c.off, results[0], k, err)
					}
				}
				p.model = make([]byte, len(p.model))
				if _, err := ours.ReadAt(p.model, 0); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
			}
			verify(t, both, p.model)
			theirs.close()
			shared.close()
			want(t, "close", ours.Close(ctx), nil)
			want(t, "close", both.Close(ctx), nil)
			for _, image := range []string{"ours-", "stock-", "both-"} {
				w := newTester(t, s, image+name, p.model, 0)
				w.checkStock()
				want(t, "close", w.i.Close(ctx), nil)
			}
		})
	}
}

// sameResult says whether two errors are the same, with the same offset.
func sameResult(a, b error) bool {
	var one, other *rbd.MismatchError
	if errors.As(a, &one) && errors.As(b, &other) {
		return *one == *other
	}
	var x, y ceph.Errno
	errors.As(a, &x)
	errors.As(b, &y)
	return x == y
}
