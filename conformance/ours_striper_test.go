package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"glue/ceph"
	library "glue/client/rados"
	"glue/client/striper"
)

// striped is a pool's striped objects as a client's library has them: ours, or the stock one.
// Refusals are a ceph.Errno.
type striped interface {
	write(oid string, b []byte, off uint64) error
	writeFull(oid string, b []byte) error
	append(oid string, b []byte) error
	trunc(oid string, size uint64) error
	remove(oid string) error
	size(oid string) (uint64, error)
	read(oid string, off, n uint64) ([]byte, error)
	setxattr(oid, name string, b []byte) error
	getxattr(oid, name string) ([]byte, error)
}

type ourStriped struct {
	ctx context.Context
	s   *striper.Striper
}

func (o ourStriped) write(oid string, b []byte, off uint64) error {
	return errnoOf(o.s.Write(o.ctx, oid, b, off))
}

func (o ourStriped) writeFull(oid string, b []byte) error {
	return errnoOf(o.s.WriteFull(o.ctx, oid, b))
}

func (o ourStriped) append(oid string, b []byte) error {
	return errnoOf(o.s.Append(o.ctx, oid, b))
}

func (o ourStriped) trunc(oid string, size uint64) error {
	return errnoOf(o.s.Truncate(o.ctx, oid, size))
}

func (o ourStriped) remove(oid string) error { return errnoOf(o.s.Remove(o.ctx, oid)) }

func (o ourStriped) size(oid string) (uint64, error) {
	st, err := o.s.Stat(o.ctx, oid)
	return st.Size, errnoOf(err)
}

func (o ourStriped) read(oid string, off, n uint64) ([]byte, error) {
	b, err := o.s.Read(o.ctx, oid, off, n)
	return b, errnoOf(err)
}

func (o ourStriped) setxattr(oid, name string, b []byte) error {
	return errnoOf(o.s.SetXattr(o.ctx, oid, name, b))
}

func (o ourStriped) getxattr(oid, name string) ([]byte, error) {
	b, err := o.s.Xattr(o.ctx, oid, name)
	return b, errnoOf(err)
}

// A stockStriped is libradosstriper, which python/striper_client.py has loaded.
type stockStriped struct {
	p      *stockProcess
	layout []uint64 // unit, count, object
}

type stripedCall struct {
	Call   string   `json:"call"`
	Layout []uint64 `json:"layout"`
	OID    string   `json:"oid"`
	Name   string   `json:"name"`
	Data   []byte   `json:"data"`
	Off    uint64   `json:"off"`
	N      uint64   `json:"n"`
}

func (s stockStriped) call(c stripedCall) (stockAnswer, error) {
	c.Layout = s.layout
	if err := json.NewEncoder(s.p.in).Encode(c); err != nil {
		return stockAnswer{}, err
	}
	return s.p.answer()
}

func (s stockStriped) do(c stripedCall) error {
	_, err := s.call(c)
	return err
}

func (s stockStriped) write(oid string, b []byte, off uint64) error {
	return s.do(stripedCall{Call: "write", OID: oid, Data: b, Off: off})
}

func (s stockStriped) writeFull(oid string, b []byte) error {
	return s.do(stripedCall{Call: "write_full", OID: oid, Data: b})
}

func (s stockStriped) append(oid string, b []byte) error {
	return s.do(stripedCall{Call: "append", OID: oid, Data: b})
}

func (s stockStriped) trunc(oid string, size uint64) error {
	return s.do(stripedCall{Call: "trunc", OID: oid, Off: size})
}

func (s stockStriped) remove(oid string) error {
	return s.do(stripedCall{Call: "remove", OID: oid})
}

func (s stockStriped) size(oid string) (uint64, error) {
	a, err := s.call(stripedCall{Call: "stat", OID: oid})
	return a.N, err
}

func (s stockStriped) read(oid string, off, n uint64) ([]byte, error) {
	a, err := s.call(stripedCall{Call: "read", OID: oid, Off: off, N: n})
	return a.Data, err
}

func (s stockStriped) setxattr(oid, name string, b []byte) error {
	return s.do(stripedCall{Call: "setxattr", OID: oid, Name: name, Data: b})
}

func (s stockStriped) getxattr(oid, name string) ([]byte, error) {
	a, err := s.call(stripedCall{Call: "getxattr", OID: oid, Name: name})
	return a.Data, err
}

// TestOurStriper: striped objects that our library and libradosstriper make, change and read in
// turn, and at the same time, on the cluster under test, whichever it is.
func TestOurStriper(t *testing.T) {
	x, p := ourObjects(t).(ourPool), stockLibrary(t, "striper_client.py")
	for i, l := range []striper.Layout{striper.DefaultLayout,
		{ObjectBytes: 64 << 10, StripeUnit: 64 << 10, StripeCount: 1},
		{ObjectBytes: 256 << 10, StripeUnit: 64 << 10, StripeCount: 3},
		{ObjectBytes: 128 << 10, StripeUnit: 128 << 10, StripeCount: 2}} {
		s, err := striper.New(x.x, l)
		if err != nil {
			t.Fatal(err)
		}
		both := [2]striped{ourStriped{x.ctx, s},
			stockStriped{p, []uint64{l.StripeUnit, l.StripeCount, l.ObjectBytes}}}
		t.Run(fmt.Sprint("in turn/", i), func(t *testing.T) {
			stripedInTurn(t, both, x, uint64(i))
		})
		t.Run(fmt.Sprint("together/", i), func(t *testing.T) { stripedTogether(t, both) })
	}
	t.Run("locks", func(t *testing.T) { stripedLocks(t, x, p) })
}

// stripedInTurn changes one striped object at random, by one client or the other.
func stripedInTurn(t *testing.T, both [2]striped, x ourPool, seed uint64) {
	const oid, most = "striped%d", 1_200_000
	r := rand.New(rand.NewPCG(seed, 3))
	model := []byte{}
	put := func(b []byte, off int) {
		if n := off + len(b) - len(model); n > 0 {
			model = append(model, make([]byte, n)...)
		}
		copy(model[off:], b)
	}
	for n := range 80 {
		by := r.IntN(2)
		c, off := both[by], r.IntN(most)
		b := pattern(1+r.IntN(most/3), uint64(n))
		what := fmt.Sprintf("step %d, client %d", n, by)
		switch k := r.IntN(10); {
		case n == 0 || k < 4:
			put(b, off)
			gives(t, what+": write", c.write(oid, b, uint64(off)), 0)
		case k < 6:
			put(b, len(model))
			gives(t, what+": append", c.append(oid, b), 0)
		case k < 9:
			put(nil, off)
			model = bytes.Clone(model[:off])
			gives(t, what+": truncate", c.trunc(oid, uint64(off)), 0)
		default:
			model = b
			gives(t, what+": write full", c.writeFull(oid, b), 0)
		}
		for i, c := range both {
			size, err := c.size(oid)
			same(t, fmt.Sprint(what, ": size by ", i), size, err, uint64(len(model)))
			got, err := c.read(oid, 0, 2*most)
			if err != nil || !bytes.Equal(got, model) {
				t.Errorf("%s: client %d reads %d bytes, %v: not what is there", what, i, len(got),
					err)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	gives(t, "attribute", both[0].setxattr(oid, "a", []byte("1")), 0)
	gives(t, "attribute", both[1].setxattr(oid, "b", []byte("2")), 0)
	for i, attr := range []string{"b", "a"} {
		v, err := both[i].getxattr(oid, attr)
		same(t, attr, string(v), err, map[string]string{"a": "1", "b": "2"}[attr])
	}
	gives(t, "remove", both[seed%2].remove(oid), 0)
	for i, c := range both {
		_, err := c.size(oid)
		gives(t, fmt.Sprint("removed: ", i), err, ceph.ENOENT)
	}
	left, err := x.list()
	same(t, "left over", strings.Contains(strings.Join(left, " "), oid), err, false)
}

// stripedTogether has both write to one new striped object at the same time, at places of their
// own.
func stripedTogether(t *testing.T, both [2]striped) {
	const oid, places, length = "together", 40, 50_000
	whole := pattern(places*length, 4)
	done := make(chan error)
	for i, c := range both {
		go func() {
			var all error
			for n := i; n < places; n += 2 {
				all = errors.Join(all, c.write(oid, whole[n*length:][:length], uint64(n*length)))
			}
			done <- all
		}()
	}
	if err := errors.Join(<-done, <-done); err != nil {
		t.Fatal(err)
	}
	for i, c := range both {
		if b, err := c.read(oid, 0, 2*places*length); err != nil || !bytes.Equal(b, whole) {
			t.Errorf("client %d reads %d bytes, %v: not what was written", i, len(b), err)
		}
	}
	gives(t, "remove", both[1].remove(oid), 0)
}

// stripedLocks: both heed the locks that the other takes.
func stripedLocks(t *testing.T, x ourPool, p *stockProcess) {
	const oid, name = "locked", "striper.lock"
	s, err := striper.New(x.x, striper.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	both := []striped{ourStriped{x.ctx, s}, stockStriped{p, []uint64{4 << 20, 1, 4 << 20}}}
	gives(t, "write", both[0].write(oid, []byte("hello"), 0), 0)
	first := striper.ObjectName(oid, 0)
	for _, l := range []library.Lock{{Kind: library.LockShared, Tag: "Tag"},
		{Kind: library.LockExclusive}} {
		l.Name, l.Cookie = name, "c"
		io := ceph.EBUSY
		if l.Kind == library.LockShared {
			io = 0
		}
		gives(t, "lock", errnoOf(x.x.Lock(x.ctx, first, l)), 0)
		for _, c := range both {
			_, err := c.read(oid, 0, 10)
			gives(t, "read", err, io)
			gives(t, "write", c.write(oid, []byte("x"), 2), io)
			gives(t, "append", c.append(oid, []byte("y")), io)
			gives(t, "truncate", c.trunc(oid, 1), ceph.EBUSY)
			gives(t, "remove", c.remove(oid), ceph.EBUSY)
		}
		gives(t, "unlock", x.unlock(first, name, "c"), 0)
	}
	b, err := both[1].read(oid, 0, 10)
	same(t, "then", string(b), err, "hexloyy")
	gives(t, "remove", both[1].remove(oid), 0)
}

// TestOurStriperCommand: glue rados --striper and the stock rados --striper have the same files.
func TestOurStriperCommand(t *testing.T) {
	tools := []func(args ...string) string{
		func(args ...string) string {
			t.Helper()
			return ours(t, append([]string{"rados", "-c", shared.conf, "-p", pool, "--striper"},
				args...)...)
		},
		func(args ...string) string {
			t.Helper()
			return rados(t, append([]string{"--striper"}, args...)...)
		},
	}
	body := pattern(9<<20+17, 9)
	in, more := file(t, "in", body), file(t, "more", []byte("the end"))
	for i, one := range tools {
		other, out := tools[1-i], filepath.Join(t.TempDir(), "out")
		reads := func(want []byte) {
			t.Helper()
			other("get", "film", out)
			if !bytes.Equal(read(t, out), want) {
				t.Errorf("tool %d wrote, the other one reads something else", i)
			}
			for _, tool := range tools {
				has(t, tool("stat", "film"), fmt.Sprintf("size %d\n", len(want)))
			}
		}
		one("put", "film", in)
		reads(body)
		one("append", "film", more)
		reads(append(bytes.Clone(body), "the end"...))
		one("truncate", "film", "4194305")
		reads(body[:4<<20+1])
		one("setxattr", "film", "k", "v")
		same(t, "attribute", strings.TrimSpace(other("getxattr", "film", "k")), nil, "v")
		same(t, "attributes", other("listxattr", "film"), nil, "k\n")
		other("rmxattr", "film", "k")
		same(t, "attributes", one("listxattr", "film"), nil, "")
		has(t, one("ls"), "film\n")
		has(t, other("ls"), "film\n")
		other("rm", "film")
		if got := rados(t, "ls"); strings.Contains(got, "film") {
			t.Errorf("left over: %q", got)
		}
	}
}
