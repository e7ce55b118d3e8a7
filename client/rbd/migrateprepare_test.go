package rbd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"glue/ceph"
	"glue/client/rbd"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
	"glue/cluster/rbdspec"
)

// Migrations that our client prepares.

// A move is an image with its past, clones and group, and where it goes.
type move struct {
	what       string
	from       rbd.CreateOptions
	clone      bool
	to         rbd.CreateOptions
	flatten    bool
	namespace  bool // it goes to one
	sameName   bool
	kids, band bool // it has clones of both formats, and is in a group
}

var moves = []move{
	{what: "plain", from: layouts["default"], kids: true, band: true},
	{what: "samename", from: layouts["default"], sameName: true,
		to: rbd.CreateOptions{Order: 18}},
	{what: "striped", from: layouts["plain"], to: rbd.CreateOptions{Order: 17, StripeUnit: 4096,
		StripeCount: 3, Features: rbd.Layering | rbd.ExclusiveLock}},
	{what: "unstriped", from: layouts["striped"], clone: true, kids: true,
		to: rbd.CreateOptions{StripeUnit: 1 << 16, StripeCount: 1}},
	{what: "cloned", from: layouts["default"], clone: true, band: true},
	{what: "flat", from: layouts["default"], clone: true, flatten: true},
	{what: "elsewhere", from: layouts["default"], namespace: true},
	{what: "clone-elsewhere", from: layouts["default"], clone: true, namespace: true},
}

// TestMigrationPrepare: what our client has prepared shows what the source had, also to the clones,
// and is written to; then either client ends it, or takes it back. Each layout has half of the
// ends, with -rounds above 1 all.
func TestMigrationPrepare(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	want(t, "namespace", s.CreateNamespace(within(t, time.Minute), "ns"), nil)
	for n, v := range moves {
		for k, end := range []string{"ours", "stock", "stock abort", "ours abort"} {
			if *killRounds == 1 && (n+k)%2 == 1 {
				continue
			}
			t.Run(v.what+" "+end, func(t *testing.T) {
				v := v
				v.what += "-" + strings.ReplaceAll(end, " ", "-")
				newMoved(t, s, v).run(end)
			})
		}
	}
}

// A moved is a migration of a test.
type moved struct {
	move
	t      *testing.T
	ctx    context.Context
	s, to  *rbd.Store
	w      *tester
	clones map[string][]byte
	group  *rbd.Group
	name   string // of the destination
}

func newMoved(t *testing.T, s *rbd.Store, v move) *moved {
	m := &moved{move: v, t: t, ctx: within(t, 5*time.Minute), s: s, to: s, name: "to-" + v.what,
		clones: map[string][]byte{}}
	if v.clone && v.namespace && len(v.what)%2 == 0 {
		m.what += "2" // to be a clone of format 2, which can go there
	}
	m.w = aged(t, s, m.what, m.from, v.clone)
	if v.kids {
		for format := 1; format <= 2; format++ {
			name := fmt.Sprint(v.what, "-kid", format)
			want(t, "clone", s.Clone(m.ctx, m.w.i, "s1", name,
				rbd.CreateOptions{CloneFormat: format}), nil)
			m.clones[name] = m.w.snaps["s1"]
		}
	}
	want(t, "close", m.w.i.Close(m.ctx), nil)
	if v.band {
		m.group = groupOf(t, s, "group-"+v.what)
		want(t, "add", m.group.Add(m.ctx, s, v.what), nil)
	}
	if v.sameName {
		m.name = v.what
	}
	if v.namespace {
		m.to = rbd.NewStore(s.IO().WithNamespace("ns"))
	}
	return m
}

func (m *moved) prepare() error {
	name := m.name
	if m.sameName {
		name = ""
	}
	return m.s.MigrationPrepare(m.ctx, m.what, m.to, name, m.move.to, m.flatten)
}

func (m *moved) run(end string) {
	t := m.t
	if err := m.prepare(); err != nil {
		t.Fatal(err)
	}
	m.asStock()
	m.group1(m.name)
	// An abort of librbd 16.2 garbles a clone that was written to, also one that it prepared.
	if !m.clone || end != "stock abort" {
		stock(t, m.s, "bench", "--io-type", "write", "--io-size", "4K", "--io-total", "64K",
			"--io-pattern", "rand", m.spec())
		m.w.model = m.export(m.spec())
	}
	m.finish(end)
}

// finish ends the migration, or takes it back, and looks at what there is then.
func (m *moved) finish(end string) {
	t, left, name := m.t, m.to, m.name
	switch end {
	case "ours":
		want(t, "execute", m.to.MigrationExecute(m.ctx, m.name, nil), nil)
		want(t, "commit", m.to.MigrationCommit(m.ctx, m.name, nil), nil)
	case "stock":
		stock(t, m.s, "migration", "execute", "--no-progress", m.spec())
		stock(t, m.s, "migration", "commit", "--no-progress", "--force",
			m.spec())
	case "ours abort":
		want(t, "abort", m.to.MigrationAbort(m.ctx, m.name, nil), nil)
		left, name = m.s, m.what
	case "stock abort":
		stock(t, m.s, "migration", "abort", "--no-progress", m.spec())
		left, name = m.s, m.what
	}
	m.same(left, name)
	m.group1(name)
}

// same checks that the image is at one end, with all that it had, and nothing at the other.
func (m *moved) same(left *rbd.Store, name string) {
	t := m.t
	t.Helper()
	m.w.s, m.w.name = left, name
	sameImage(t, m.w, left, name, left.IO().Namespace() == "")
	for kid, model := range m.clones {
		i := open(t, m.s, kid)
		verify(t, i, model)
		want(t, "close", i.Close(m.ctx), nil)
		if got := m.export(m.s.IO().PoolName() + "/" + kid); !bytes.Equal(got, model) {
			t.Errorf("the stock client reads something else of clone %s", kid)
		}
	}
	if m.sameName {
		return
	}
	gone, other := m.s, m.what
	if left == m.s && name == m.what {
		gone, other = m.to, m.name
	}
	if _, err := gone.Open(m.ctx, other, true); !errors.Is(err, ceph.ENOENT) {
		t.Errorf("the other end: %v", err)
	}
	if list, err := m.s.TrashList(m.ctx); err != nil || len(list) > 0 {
		t.Errorf("in the trash: %+v %v", list, err)
	}
}

// group1 checks which image the group has.
func (m *moved) group1(name string) {
	m.t.Helper()
	if m.group == nil {
		return
	}
	if got := groupImages(m.t, m.group); got != m.s.IO().PoolName()+"/"+name {
		m.t.Errorf("the group has %q, not %s", got, name)
	}
}

// spec is the destination as the stock tool calls it.
func (m *moved) spec() string {
	if m.namespace {
		return m.s.IO().PoolName() + "/ns/" + m.name
	}
	return m.s.IO().PoolName() + "/" + m.name
}

func (m *moved) export(spec string) []byte {
	m.t.Helper()
	file := filepath.Join(m.t.TempDir(), "out")
	stock(m.t, m.s, "export", "--no-progress", spec, file)
	data, err := os.ReadFile(file)
	want(m.t, "exported file", err, nil)
	return data
}

// asStock lets the stock client look at the destination, its snapshots and its clones.
func (m *moved) asStock() {
	m.t.Helper()
	for name, model := range m.w.snaps {
		if !bytes.Equal(m.export(m.spec()+"@"+name), model) {
			m.t.Errorf("snapshot %s of the destination shows something else", name)
		}
	}
	if !bytes.Equal(m.export(m.spec()), m.w.model) {
		m.t.Error("the destination shows something else")
	}
	for kid, model := range m.clones {
		if _, err := m.s.Open(m.ctx, kid, true); !errors.Is(err, ceph.EOPNOTSUPP) {
			m.t.Errorf("a clone of what is migrated is opened: %v", err)
		}
		if !bytes.Equal(m.export(m.s.IO().PoolName()+"/"+kid), model) {
			m.t.Errorf("clone %s shows something else", kid)
		}
	}
}

// TestMigrationPrepareStopped stops preparing at any request: then nothing has changed.
func TestMigrationPrepareStopped(t *testing.T) {
	s := store(t, connect(t))
	m := newMoved(t, s, move{what: "i", from: layouts["default"], clone: true, kids: true,
		band: true})
	all := m.ctx
	for patience := 20*time.Millisecond + anyMoment()/4; ; patience += patience / 2 {
		ctx, cancel := context.WithTimeout(all, patience)
		m.ctx = ctx
		err := m.prepare()
		cancel()
		m.ctx = all
		if err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) || patience > time.Minute {
			t.Fatal(err)
		}
		m.same(s, "i")
		m.group1("i")
	}
	m.asStock()
	m.finish("ours")
}

// TestMigrationAbortHalfInGroup: preparing was interrupted when the group had the destination and
// its header did not say so yet; the abort leaves the group as it was.
func TestMigrationAbortHalfInGroup(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	m := newMoved(t, s, move{what: "i", from: layouts["default"], band: true})
	want(t, "prepare", m.prepare(), nil)
	g, err := s.Migration(m.ctx, "i")
	want(t, "migration", err, nil)
	header := groupHeader(t, s, "group-i")
	spec := rbdspec.Group{Pool: s.IO().PoolID(),
		ID: strings.TrimPrefix(header, "rbd_group_header.")}
	group := class.Encode(spec.Denc)
	byClass(t, s, layout.HeaderPrefix+g.To.ImageID, "image_group_remove", group)
	byClass(t, s, layout.HeaderPrefix+g.From.ImageID, "image_group_add", group)
	for id, state := range map[string]uint8{g.From.ImageID: rbdspec.GroupImageAttached,
		g.To.ImageID: rbdspec.GroupImageIncomplete} {
		member := rbdspec.GroupMember{GroupImage: rbdspec.GroupImage{Image: id, Pool: spec.Pool},
			State: state}
		byClass(t, s, header, "group_image_set", class.Encode(member.Denc))
	}
	m.finish("ours abort")
}

// A refusal is an image that can't be migrated.
type refusal struct {
	what  string
	want  error
	to    *rbd.Store
	name  string
	o     rbd.CreateOptions
	setUp func(i *rbd.Image)
}

// refusals are images that can't be migrated, or not to there.
func refusals(t *testing.T, s *rbd.Store) []refusal {
	ctx := within(t, 5*time.Minute)
	in := rbd.NewStore(s.IO().WithNamespace("ns"))
	cloned := func(name string, format int) func(*rbd.Image) {
		return func(i *rbd.Image) {
			want(t, "snapshot", i.CreateSnapshot(ctx, "s"), nil)
			if format == 1 {
				want(t, "protect", i.ProtectSnapshot(ctx, "s"), nil)
			}
			o := rbd.CreateOptions{CloneFormat: format}
			want(t, "clone", s.Clone(ctx, i, "s", name, o), nil)
		}
	}
	grouped := func(name string) func(*rbd.Image) {
		return func(i *rbd.Image) {
			want(t, "add", groupOf(t, s, name).Add(ctx, s, i.Name()), nil)
		}
	}
	var o rbd.CreateOptions
	return []refusal{
		{"open", ceph.EBUSY, s, "new", o, func(i *rbd.Image) {
			other := open(t, s, i.Name())
			t.Cleanup(func() { _ = other.Close(context.Background()) })
		}},
		{"taken name", ceph.EEXIST, s, "taken", o, nil},
		{"no name", ceph.EINVAL, s, "a@b", o, nil},
		{"group snapshot", ceph.EBUSY, s, "new", o, func(i *rbd.Image) {
			grouped("g")(i)
			g := openGroup(t, s, "g")
			want(t, "snapshot", g.CreateSnapshot(ctx, "s", rbd.QuiesceSkip), nil)
		}},
		{"group", ceph.EINVAL, in, "new", o, grouped("h")},
		{"trashed snapshot", ceph.EBUSY, s, "new", o, func(i *rbd.Image) {
			cloned("kid2", 2)(i)
			want(t, "remove", i.RemoveSnapshot(ctx, "s"), nil)
		}},
		{"clones without layering", ceph.EINVAL, s, "new", rbd.CreateOptions{NoFeatures: true},
			cloned("kid3", 2)},
		{"clones that can't follow", ceph.EXDEV, in, "new", o, cloned("kid4", 1)},
		{"stripes", ceph.EINVAL, s, "new", rbd.CreateOptions{StripeUnit: 4097, StripeCount: 2},
			nil},
		{"no such data pool", ceph.ENOENT, s, "new", rbd.CreateOptions{DataPool: "none"}, nil},
		{"no such namespace", ceph.ENOENT, rbd.NewStore(s.IO().WithNamespace("none")), "new", o,
			nil},
		{"mirrored", ceph.EOPNOTSUPP, s, "new", o, func(i *rbd.Image) {
			stock(t, s, "mirror", "image", "enable", i.Name(), "snapshot")
		}},
	}
}

// TestMigrationPrepareRefused: what can't be migrated is left as it is.
func TestMigrationPrepareRefused(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 5*time.Minute)
	want(t, "namespace", s.CreateNamespace(ctx, "ns"), nil)
	stock(t, s, "mirror", "pool", "enable", "image")
	want(t, "create", s.Create(ctx, "taken", rbd.CreateOptions{Size: 1 << 20}), nil)
	for _, x := range refusals(t, s) {
		t.Run(x.what, func(t *testing.T) {
			want(t, "create", s.Create(ctx, x.what, rbd.CreateOptions{Size: 1 << 20}), nil)
			i := open(t, s, x.what)
			if x.setUp != nil {
				x.setUp(i)
			}
			want(t, "close", i.Close(ctx), nil)
			before := string(stock(t, s, "info", "--format", "json", x.what))
			err := s.MigrationPrepare(ctx, x.what, x.to, x.name, x.o, false)
			if !errors.Is(err, x.want) {
				t.Errorf("got %v, want %v", err, x.want)
			}
			if now := string(stock(t, s, "info", "--format", "json", x.what)); now != before {
				t.Errorf("it was\n%s, and is\n%s", before, now)
			}
			if list, err := s.TrashList(ctx); err != nil || len(list) > 0 {
				t.Errorf("in the trash: %+v, %v", list, err)
			}
		})
	}
	want(t, "none", s.MigrationPrepare(ctx, "none", s, "new", rbd.CreateOptions{}, false),
		ceph.ENOENT)
}

// A stepContext ends its process when it is waited for often enough: each request does that.
type stepContext struct {
	context.Context
	mu   sync.Mutex
	left int
}

func (c *stepContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return c.Context.Done()
}

// TestKilledMigrationPrepare: from what a client has left that was killed at some step of preparing
// either client brings the image back.
func TestKilledMigrationPrepare(t *testing.T) {
	t.Parallel()
	s := store(t, connect(t))
	v := move{what: "whole", from: layouts["default"], clone: true, kids: true, band: true}
	whole := newMoved(t, s, v)
	count := &stepContext{Context: whole.ctx}
	want(t, "prepare", s.MigrationPrepare(count, v.what, s, "to", rbd.CreateOptions{}, false), nil)
	want(t, "abort", s.MigrationAbort(whole.ctx, v.what, nil), nil)
	for round := range *killRounds {
		for n, ours := range []bool{true, false} {
			part := -count.left / (2 * *killRounds)
			v.what = fmt.Sprint("i", 1+(2*round+n)*part+rand.IntN(part))
			m := newMoved(t, s, v)
			killed(t, s, "prepare", v.what, -1, 0)
			m.afterKill(ours)
		}
	}
}

// afterKill brings the image back, or ends the migration if it was prepared.
func (m *moved) afterKill(ours bool) {
	t := m.t
	state, name := m.left()
	t.Logf("%s: state %v, found by %q", m.what, state, name)
	for deadline := time.Now().Add(time.Minute); name != ""; time.Sleep(time.Second) {
		var err error
		if ours {
			err = m.s.MigrationAbort(m.ctx, m.what, nil)
		} else {
			var out []byte
			out, err = tryStock(t, "-p", m.s.IO().PoolName(), "migration", "abort", "--no-progress",
				m.s.IO().PoolName()+"/"+m.what)
			if bytes.Contains(out, []byte("watchers")) {
				err = ceph.EBUSY
			} else if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
		}
		if err == nil {
			break
		}
		// Until the OSD gives up the watch of the dead one.
		if !errors.Is(err, ceph.EBUSY) || time.Now().After(deadline) {
			t.Fatalf("state %v: %v", state, err)
		}
	}
	m.same(m.s, m.what)
	m.group1(m.what)
}

// left is how far the migration is, and the name that it is found by; none if there is none.
func (m *moved) left() (state rbdspec.MigrationState, name string) {
	got, err := m.s.Migration(m.ctx, m.what)
	if errors.Is(err, ceph.EINVAL) {
		return 0, ""
	}
	want(m.t, "migration", err, nil)
	if got == nil {
		return 0, ""
	}
	return got.State, m.what
}
