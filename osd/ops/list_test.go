package ops

import (
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
	"glue/osd/class/cephfs"
	"glue/osd/class/hello"
	"glue/store/objectstore"
	"glue/wire/message"
)

// page is one answer of PGNLS.
func (p *pg) page(ns string, from ceph.HObject, count uint64, filter []byte) (
	names []string, next ceph.HObject, result int32,
) {
	p.t.Helper()
	op := message.OSDOp{Code: message.OpPGNLS}
	if filter != nil {
		op.Code = message.OpPGNLSFilter
	}
	op.SetList(count, 5)
	op.In = append(filter, class.EncodeValue(&from)...)
	r := p.request(ceph.HObject{Pool: 3, Namespace: ns, Snap: ceph.NoSnap}, 0,
		[]message.OSDOp{op})
	out := ExecutePG(p.env, r)
	if out.Result < 0 {
		return nil, next, out.Result
	}
	c := denc.NewDecoder(out.Ops[0].Out, 0)
	s := c.Begin(1, 1)
	next.Denc(c)
	for range c.Count(0, 12) {
		var space, name, key string
		c.Str(&space)
		c.Str(&name)
		c.Str(&key)
		names = append(names, space+"/"+name)
	}
	s.End()
	if c.Err() != nil {
		p.t.Fatal(c.Err())
	}
	return names, next, out.Result
}

// everything walks the PG as a client does.
func (p *pg) everything(ns string, count uint64) (all []string, end ceph.HObject) {
	p.t.Helper()
	from := ceph.HObject{}
	for range 1000 {
		names, next, r := p.page(ns, from, count, nil)
		if r < 0 {
			p.t.Fatalf("listing from %v: %d", from, r)
		}
		all = append(all, names...)
		if r == 1 {
			return all, next
		}
		from = next
	}
	p.t.Fatal("the listing does not end")
	return nil, end
}

// fillHashes makes objects whose hashes belong to a PG of a pool of 4.
func (p *pg) fillHashes(n int, seed uint32, ns string) (want []string) {
	for i := range n {
		o := ceph.HObject{Pool: 3, Name: fmt.Sprintf("o%03d", i), Namespace: ns,
			Snap: ceph.NoSnap, Hash: uint32(i)*2654435761<<2 | seed}
		r := p.request(o, 0, []message.OSDOp{write(0, "x")})
		r.State = &State{}
		n, _ := Inspect(p.env.Classes, 0, r.Ops)
		p.last = Execute(p.env, r, &n)
		p.apply()
		want = append(want, ns+"/"+o.Name)
	}
	slices.Sort(want)
	return want
}

func TestListing(t *testing.T) {
	p := newPG(t)
	p.env.PGNum = 4
	a, b := p.fillHashes(50, 0, ""), p.fillHashes(30, 0, "space")
	for _, count := range []uint64{1, 7, 80, 1 << 40} {
		for ns, want := range map[string][]string{
			"": a, "space": b, "none": nil, "\x01": append(slices.Clone(a), b...),
		} {
			got, end := p.everything(ns, count)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("namespace %q by %d: %d objects, want %d", ns, count, len(got), len(want))
			}
			if end.Max || bits.Reverse32(end.Hash) != 1<<30 || end.Pool != 3 {
				t.Errorf("the PG ends at %v", end)
			}
		}
	}
	outside := ceph.HObject{Pool: 3, Hash: 1}
	if _, _, r := p.page("", outside, 1, nil); r != ceph.EINVAL.Result() {
		t.Errorf("a cursor outside of the PG gives %d", r)
	}
}

func TestListingShowsMissingObjects(t *testing.T) {
	p := newPG(t)
	p.want(p.do("stored", write(0, "x")), 0)
	gone := head("recovering")
	p.env.Missing = func(from ceph.HObject) iter.Seq[ceph.HObject] {
		return func(yield func(ceph.HObject) bool) {
			if gone.Compare(from) >= 0 {
				yield(gone)
			}
		}
	}
	for _, count := range []uint64{1, 10} {
		got, end := p.everything("", count)
		slices.Sort(got)
		if !slices.Equal(got, []string{"/recovering", "/stored"}) || !end.Max {
			t.Errorf("by %d: %v, end %v", count, got, end)
		}
	}
}

// filter is how a client asks for one: a class and method that mean nothing, a name, arguments.
func filter(name string, args func(c *denc.Coder)) []byte {
	return class.Encode(func(c *denc.Coder) {
		for _, s := range []string{"pg", "filter", name} {
			c.Str(&s)
		}
		args(c)
	})
}

func TestListingFilter(t *testing.T) {
	tagged := func(tag string) message.OSDOp {
		return setXattr("scrub_tag", string(class.Encode(func(c *denc.Coder) { c.Str(&tag) })))
	}
	strs := func(words ...string) func(c *denc.Coder) {
		return func(c *denc.Coder) {
			for _, s := range words {
				c.Str(&s)
			}
		}
	}
	tag := func(words ...string) func(c *denc.Coder) {
		return func(c *denc.Coder) {
			s := c.Begin(1, 1)
			strs(words...)(c)
			s.End()
		}
	}
	p := newPG(t, hello.Class, cephfs.Class)
	p.want(p.do("a", setXattr("color", "red")), 0)
	p.want(p.do("b", setXattr("color", "blue")), 0)
	p.want(p.do("c", write(0, "x")), 0)
	p.want(p.do("1.00000000", tagged("old")), 0)
	p.want(p.do("2.00000000", write(0, "x")), 0)
	p.want(p.do("3.00000000", setXattr("scrub_tag", "\x09")), 0)
	p.want(p.do("1.00000001", tagged("old")), 0)
	p.want(p.do("00000000", write(0, "x")), 0)
	for _, c := range []struct {
		name string
		args func(c *denc.Coder)
		want string // the names, or an errno
	}{
		{"plain", strs("_color", "red"), "/a"},
		{"hello.hello", strs("_color", "blue"), "/b"},
		{"hello.hello", strs("_color", "bl"), ""},
		{"plain", strs("", "x"), ""},
		{"plain", strs("", ""),
			"/00000000 /1.00000000 /1.00000001 /2.00000000 /3.00000000 /a /b /c"},
		{"cephfs.inode_tag", tag(""), "/1.00000000 /2.00000000 /3.00000000"},
		{"cephfs.inode_tag", tag("old"), "/2.00000000 /3.00000000"},
		{"cephfs.inode_tag", tag("new"), "/1.00000000 /2.00000000 /3.00000000"},
		{"cephfs.inode_tag", tag(), "EINVAL"},
		{"odd", strs("_color", "red"), "EINVAL"},
		{"hello.", strs("_color", "red"), "EINVAL"},
		{"hello.odd", strs("_color", "red"), "EINVAL"},
		{"odd.hello", strs("_color", "red"), "EINVAL"},
	} {
		names, _, r := p.page("", ceph.HObject{}, 100, filter(c.name, c.args))
		slices.Sort(names)
		got := strings.Join(names, " ")
		if r == ceph.EINVAL.Result() {
			got = "EINVAL"
		} else if r != 1 {
			t.Errorf("%s: result %d", c.name, r)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSplitBits(t *testing.T) {
	// Every hash belongs to exactly one PG by its bounds, whatever the number of PGs.
	for _, pgNum := range []uint32{1, 2, 3, 5, 8, 12, 13} {
		for i := range uint32(200) {
			o := ceph.HObject{Pool: 3, Name: "x", Hash: i * 2654435761, Snap: ceph.NoSnap}
			owners := 0
			for seed := range pgNum {
				first, last := Bounds(ceph.PGID{Pool: 3, Seed: seed}, pgNum)
				if o.Compare(first) >= 0 && o.Compare(last) < 0 {
					owners++
				}
			}
			if owners != 1 {
				t.Fatalf("hash %x has %d PGs of %d", o.Hash, owners, pgNum)
			}
		}
	}
}

func TestOldListing(t *testing.T) {
	p := newPG(t)
	p.want(p.do("a", write(0, "x")), 0)
	op := message.OSDOp{Code: message.OpPGLS, In: class.EncodeValue(&ceph.HObject{})}
	op.SetList(10, 1)
	out := ExecutePG(p.env, p.request(ceph.HObject{Pool: 3, Snap: ceph.NoSnap}, 0,
		[]message.OSDOp{op}))
	if out.Result != 1 || out.Ops[0].Out[0] != 1 {
		t.Errorf("PGLS: %d, % x", out.Result, out.Ops[0].Out)
	}
	var failing failingStore
	p.env.Store = failing
	out = ExecutePG(p.env, p.request(ceph.HObject{Pool: 3, Snap: ceph.NoSnap}, 0,
		[]message.OSDOp{op}))
	if out.Failure == nil {
		t.Error("a store that fails is not told")
	}
}

// failingStore is a store whose disk broke.
type failingStore struct{ View }

func (failingStore) List(ceph.SPG, ceph.HObject, int) ([]ceph.HObject, ceph.HObject, error) {
	return nil, ceph.HObject{}, objectstore.ErrFailed
}

func (failingStore) Lend(ceph.SPG, ceph.HObject, uint64, uint64) (objectstore.Loan, error) {
	return objectstore.Loan{}, fmt.Errorf("block 5: %w", objectstore.ErrCorrupt)
}

func (failingStore) Read(ceph.SPG, ceph.HObject, uint64, uint64) ([]byte, error) {
	return nil, fmt.Errorf("block 5: %w", objectstore.ErrCorrupt)
}
