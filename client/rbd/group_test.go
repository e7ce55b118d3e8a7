package rbd_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/cluster/rbdspec"
)

// groupOf makes a group of new images.
func groupOf(t *testing.T, s *rbd.Store, name string, images ...string) *rbd.Group {
	t.Helper()
	ctx := within(t, time.Minute)
	want(t, "create group", s.CreateGroup(ctx, name), nil)
	g := openGroup(t, s, name)
	for _, image := range images {
		want(t, "create image", s.Create(ctx, image, rbd.CreateOptions{Size: 1 << 20,
			Order: 16}), nil)
		want(t, "add", g.Add(ctx, s, image), nil)
	}
	return g
}

func openGroup(t *testing.T, s *rbd.Store, name string) *rbd.Group {
	t.Helper()
	g, err := s.OpenGroup(within(t, time.Minute), name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// groupImages is what a group lists: POOL/NAME, with a mark if it is incomplete.
func groupImages(t *testing.T, g *rbd.Group) string {
	t.Helper()
	list, err := g.Images(within(t, time.Minute))
	want(t, "images", err, nil)
	var out []string
	for _, i := range list {
		if !i.Complete {
			i.Name += "?"
		}
		out = append(out, i.Pool+"/"+i.Name)
	}
	return strings.Join(out, " ")
}

// groupSnaps are the names of a group's snapshots, sorted, with a mark if they are incomplete.
func groupSnaps(t *testing.T, g *rbd.Group) string {
	t.Helper()
	list, err := g.Snapshots(within(t, time.Minute))
	want(t, "snapshots", err, nil)
	var out []string
	for _, s := range list {
		if !s.Complete {
			s.Name += "?"
		}
		out = append(out, s.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// noSnaps fails if an image has any snapshot, of whatever kind.
func noSnaps(t *testing.T, s *rbd.Store, images ...string) {
	t.Helper()
	for _, image := range images {
		i := open(t, s, image)
		list, err := i.Snapshots(within(t, time.Minute))
		if err != nil || len(list) > 0 {
			t.Errorf("image %s has snapshots %+v, %v", image, list, err)
		}
		want(t, "close", i.Close(within(t, time.Minute)), nil)
	}
}

// byClass runs a method of class rbd on an object of the pool.
func byClass(t *testing.T, s *rbd.Store, oid, method string, in []byte) {
	t.Helper()
	op := new(rados.WriteOp).Exec("rbd", method, in)
	want(t, method, s.IO().Operate(within(t, time.Minute), oid, op), nil)
}

func groupHeader(t *testing.T, s *rbd.Store, name string) string {
	t.Helper()
	list, err := s.Groups(within(t, time.Minute))
	at := slices.IndexFunc(list, func(e rbd.Entry) bool { return e.Name == name })
	if err != nil || at < 0 {
		t.Fatalf("group %s: %v", name, err)
	}
	return "rbd_group_header." + list[at].ID
}

func imageID(t *testing.T, s *rbd.Store, name string) string {
	t.Helper()
	i := open(t, s, name)
	defer i.Close(within(t, time.Minute))
	return i.ID()
}

func TestGroups(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	if list, err := s.Groups(ctx); err != nil || len(list) != 0 {
		t.Errorf("groups %v, %v", list, err)
	}
	want(t, "create", s.CreateGroup(ctx, "a"), nil)
	want(t, "create again", s.CreateGroup(ctx, "a"), ceph.EEXIST)
	want(t, "a bad name", s.CreateGroup(ctx, "a@b"), ceph.EINVAL)
	want(t, "create", s.CreateGroup(ctx, "b"), nil)
	want(t, "rename to what there is", s.RenameGroup(ctx, "a", "b"), ceph.EEXIST)
	want(t, "rename to the same", s.RenameGroup(ctx, "a", "a"), ceph.EEXIST)
	want(t, "rename what is not there", s.RenameGroup(ctx, "x", "c"), ceph.ENOENT)
	want(t, "rename", s.RenameGroup(ctx, "a", "c"), nil)
	_, err := s.OpenGroup(ctx, "a")
	want(t, "open the old name", err, ceph.ENOENT)
	g := openGroup(t, s, "c")
	want(t, "remove what is not there", s.RemoveGroup(ctx, "a"), ceph.ENOENT)
	want(t, "remove", s.RemoveGroup(ctx, "c"), nil)
	want(t, "a snapshot of what is gone", g.CreateSnapshot(ctx, "s", 0), ceph.ENOENT)
	// What is listed does not come in one page.
	const many = 1100
	for n := 0; n < many; n += 100 {
		op := new(rados.WriteOp)
		for k := n; k < n+100; k++ {
			op.Exec("rbd", "group_dir_add", denc.Marshal(&pair{fmt.Sprintf("n%04d", k),
				fmt.Sprintf("1%04d", k)}, ceph.FeaturesAll))
		}
		want(t, "add to the directory", s.IO().Operate(ctx, "rbd_group_directory", op), nil)
	}
	list, err := s.Groups(ctx)
	if err != nil || len(list) != 1+many || list[0].Name != "b" || list[many].Name != "n1099" {
		t.Errorf("%d groups, %v", len(list), err)
	}
	want(t, "remove a group without a header", s.RemoveGroup(ctx, "n0500"), nil)
	_, err = s.OpenGroup(ctx, "n0500")
	want(t, "open it", err, ceph.ENOENT)
}

// A pair is two strings.
type pair struct{ a, b string }

func (p *pair) Denc(c *denc.Coder) {
	c.Str(&p.a)
	c.Str(&p.b)
}

func TestGroupImages(t *testing.T) {
	c := connect(t)
	s, far := store(t, c), store(t, c)
	ctx := within(t, 2*time.Minute)
	here, there := s.IO().PoolName()+"/", far.IO().PoolName()+"/"
	g, other := groupOf(t, s, "g", "b", "a"), groupOf(t, s, "other")
	want(t, "create", far.Create(ctx, "far", rbd.CreateOptions{Size: 1 << 20}), nil)
	want(t, "add of another pool", g.Add(ctx, far, "far"), nil)
	want(t, "add again", g.Add(ctx, s, "a"), nil)
	want(t, "add to two", other.Add(ctx, s, "a"), ceph.EEXIST)
	want(t, "add what is not there", g.Add(ctx, s, "x"), ceph.ENOENT)
	all := here + "a " + here + "b " + there + "far"
	if got := groupImages(t, g); got != all {
		t.Errorf("images %q, want %q", got, all)
	}
	if got, err := s.GroupOf(ctx, imageID(t, s, "a")); err != nil || got != here+"g" {
		t.Errorf("image a is in %q, %v", got, err)
	}
	want(t, "remove an image", s.Remove(ctx, "a", nil), ceph.EMLINK)
	want(t, "take out of another", other.Remove(ctx, s, "a"), ceph.EBADF)
	if got := groupImages(t, other); got != "" {
		t.Errorf("the other group has %q", got)
	}
	want(t, "take out", g.Remove(ctx, s, "a"), nil)
	want(t, "take out again", g.Remove(ctx, s, "a"), nil)
	want(t, "remove an image", s.Remove(ctx, "a", nil), nil)

	want(t, "create namespace", s.CreateNamespace(ctx, "ns"), nil)
	in := rbd.NewStore(s.IO().WithNamespace("ns"))
	want(t, "create", in.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	want(t, "another namespace", g.Add(ctx, in, "i"), ceph.EINVAL)
	want(t, "another namespace", g.Remove(ctx, in, "i"), ceph.EINVAL)
	inner := groupOf(t, in, "g", "j")
	if got := groupImages(t, inner); got != here+"j" {
		t.Errorf("images %q of the namespace", got)
	}
	want(t, "remove the group", in.RemoveGroup(ctx, "g"), nil)

	stock(t, s, "create", "--size", "1M", "--image-feature", "exclusive-lock,journaling", "journal")
	want(t, "add what has a journal", g.Add(ctx, s, "journal"), nil)
	want(t, "a snapshot of what has a journal", g.CreateSnapshot(ctx, "s", 0), nil)
	want(t, "remove it", g.RemoveSnapshot(ctx, "s"), nil)
	want(t, "take out what has a journal", g.Remove(ctx, s, "journal"), nil)
	goodJournal(t, s, "journal")
	want(t, "remove the group", s.RemoveGroup(ctx, "g"), nil)
	for store, image := range map[*rbd.Store]string{s: "b", far: "far"} {
		want(t, "remove an image", store.Remove(ctx, image, nil), nil)
	}
}

// TestGroupImagesLeft: what a client that died, or a pool that went, has left in a group.
func TestGroupImagesLeft(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	here := s.IO().PoolName() + "/"
	g := groupOf(t, s, "g", "a")
	header, pool := groupHeader(t, s, "g"), s.IO().PoolID()
	link := func(image string, pool int64) {
		byClass(t, s, header, "group_image_set", denc.Marshal(&rbdspec.GroupMember{
			GroupImage: rbdspec.GroupImage{Image: image, Pool: pool},
			State:      rbdspec.GroupImageIncomplete}, ceph.FeaturesAll))
	}
	want(t, "create", s.Create(ctx, "b", rbd.CreateOptions{Size: 1 << 20}), nil)
	link(imageID(t, s, "b"), pool)
	if got, whole := groupImages(t, g), here+"a "+here+"b?"; got != whole {
		t.Errorf("images %q, want %q", got, whole)
	}
	want(t, "add again", g.Add(ctx, s, "b"), nil)
	link("123", pool)
	link("456", 1<<20)
	if got, whole := groupImages(t, g), here+"? "+here+"a "+here+"b <unknown>/?"; got != whole {
		t.Errorf("images %q, want %q", got, whole)
	}
	want(t, "a snapshot", g.CreateSnapshot(ctx, "s", 0), ceph.ENOENT)
	noSnaps(t, s, "a", "b")
	if got := groupSnaps(t, g); got != "" {
		t.Errorf("snapshots %q", got)
	}
	want(t, "take out what is gone", g.RemoveID(ctx, s, "123"), nil)
	link(imageID(t, s, "a"), pool)
	want(t, "remove", s.RemoveGroup(ctx, "g"), nil)
	for _, image := range []string{"a", "b"} {
		want(t, "remove", s.Remove(ctx, image, nil), nil)
	}
}

func TestGroupSnapshots(t *testing.T) {
	c := connect(t)
	s, far := store(t, c), store(t, c)
	ctx := within(t, 3*time.Minute)
	g := groupOf(t, s, "g")
	var all []*tester
	for n, o := range []rbd.CreateOptions{layouts["default"], layouts["plain"]} {
		in := []*rbd.Store{s, far}[n]
		want(t, "create", in.Create(ctx, "i", o), nil)
		want(t, "add", g.Add(ctx, in, "i"), nil)
		all = append(all, newTester(t, in, "i", make([]byte, o.Size), uint64(n)))
	}
	for _, name := range []string{"one", "two"} {
		for _, w := range all {
			w.churn(10, true)
			w.snaps[name] = slices.Clone(w.model)
		}
		want(t, "create", g.CreateSnapshot(ctx, name, rbd.QuiesceDefault), nil)
	}
	want(t, "create again", g.CreateSnapshot(ctx, "two", 0), ceph.EEXIST)
	want(t, "a bad name", g.CreateSnapshot(ctx, "a/b", 0), ceph.EINVAL)
	want(t, "rename to what there is", g.RenameSnapshot(ctx, "one", "two"), ceph.EEXIST)
	want(t, "rename to the same", g.RenameSnapshot(ctx, "one", "one"), ceph.EEXIST)
	want(t, "rename what is not there", g.RenameSnapshot(ctx, "x", "y"), ceph.ENOENT)
	want(t, "rename", g.RenameSnapshot(ctx, "one", "first"), nil)
	want(t, "roll back to what is not there", g.Rollback(ctx, "one", nil), ceph.ENOENT)
	want(t, "remove what is not there", g.RemoveSnapshot(ctx, "one"), ceph.ENOENT)
	if got := groupSnaps(t, g); got != "first two" {
		t.Errorf("snapshots %q", got)
	}
	want(t, "take out", g.Remove(ctx, far, "i"), nil) // its snapshots stay
	for _, name := range []string{"first", "two"} {
		var mu sync.Mutex
		var last, whole uint64
		want(t, "roll back", g.Rollback(ctx, name, func(done, total uint64) {
			mu.Lock()
			defer mu.Unlock()
			last, whole = max(last, done), total
		}), nil)
		if last == 0 || last != whole {
			t.Errorf("the rollback ended at %d of %d", last, whole)
		}
		for _, w := range all {
			w.model = slices.Clone(w.snaps[strings.Replace(name, "first", "one", 1)])
			verify(t, w.i, w.model)
			w.churn(5, true)
		}
	}
	want(t, "remove", g.RemoveSnapshot(ctx, "first"), nil)
	for _, w := range all {
		w.snaps = nil // the stock tool can't be asked for a group's by name
		w.checkStock()
		want(t, "close", w.i.Close(ctx), nil)
	}
	want(t, "remove the group", s.RemoveGroup(ctx, "g"), nil)
	noSnaps(t, s, "i")
	noSnaps(t, far, "i")
}

// TestGroupSnapshotUndone: one image can't have a snapshot, and nobody has one.
func TestGroupSnapshotUndone(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	g := groupOf(t, s, "g", "a", "b", "c")
	b := open(t, s, "b")
	want(t, "create", b.CreateSnapshot(ctx, "the only one"), nil)
	byClass(t, s, "rbd_header."+b.ID(), "snapshot_set_limit",
		binary.LittleEndian.AppendUint64(nil, 1))
	want(t, "create", g.CreateSnapshot(ctx, "s", 0), ceph.EDQUOT)
	noSnaps(t, s, "a", "c")
	if got := groupSnaps(t, g); got != "" {
		t.Errorf("snapshots %q", got)
	}
	want(t, "remove", b.RemoveSnapshot(ctx, "the only one"), nil)
	want(t, "close", b.Close(ctx), nil)
	want(t, "create", g.CreateSnapshot(ctx, "s", 0), nil)
}

// TestGroupSnapshotLeft: a snapshot of a client that died can be removed, and nothing else.
func TestGroupSnapshotLeft(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	g := groupOf(t, s, "g", "a", "b")
	header, a := groupHeader(t, s, "g"), imageID(t, s, "a")
	want(t, "create", g.CreateSnapshot(ctx, "s", 0), nil)
	record := rbdspec.GroupSnap{ID: "7", Name: "left",
		Snaps: []rbdspec.ImageSnap{{Pool: s.IO().PoolID(), Image: a}}}
	byClass(t, s, header, "group_snap_set", denc.Marshal(&record, ceph.FeaturesAll))
	if got := groupSnaps(t, g); got != "left? s" {
		t.Errorf("snapshots %q", got)
	}
	want(t, "roll back", g.Rollback(ctx, "left", nil), ceph.EINVAL)
	want(t, "rename", g.RenameSnapshot(ctx, "left", "right"), ceph.EINVAL)
	want(t, "remove", g.RemoveSnapshot(ctx, "left"), nil)
	// The removal of s came as far as the trash of one image.
	i := open(t, s, "a")
	list, err := i.Snapshots(ctx)
	if err != nil || len(list) != 1 || list[0].Kind != rbd.SnapGroup {
		t.Fatalf("snapshots %+v, %v", list, err)
	}
	want(t, "close", i.Close(ctx), nil)
	byClass(t, s, "rbd_header."+a, "snapshot_trash_add",
		binary.LittleEndian.AppendUint64(nil, uint64(list[0].ID)))
	want(t, "roll back", g.Rollback(ctx, "s", nil), ceph.ENOENT)
	want(t, "remove", g.RemoveSnapshot(ctx, "s"), nil)
	noSnaps(t, s, "a", "b")
	if got := groupSnaps(t, g); got != "" {
		t.Errorf("snapshots %q", got)
	}
}

// writeInOrder writes a number to one image, then to another, then the next one, until the test
// ends or it is stopped. more waits until both have a new one.
func writeInOrder(t *testing.T, s *rbd.Store, a, b string) (more, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	i := []*rbd.Image{open(t, s, a), open(t, s, b)}
	done, both := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(1); ctx.Err() == nil; n++ {
			for _, i := range i {
				_, err := i.Write(ctx, binary.LittleEndian.AppendUint64(nil, n), 0)
				if err != nil && ctx.Err() == nil {
					t.Errorf("write %d to image %s: %v", n, i.Name(), err)
				}
			}
			select {
			case both <- struct{}{}:
			default:
			}
		}
	}()
	more = func() {
		select {
		case <-both:
		case <-done:
		}
	}
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		for _, i := range i {
			_ = i.Close(within(t, time.Minute))
		}
	})
	t.Cleanup(stop)
	return more, stop
}

// numbersAt is what writeInOrder had written to an image at each of its snapshots.
func numbersAt(t *testing.T, s *rbd.Store, image string) (out []uint64) {
	t.Helper()
	ctx := within(t, time.Minute)
	i := open(t, s, image)
	defer i.Close(ctx)
	list, err := i.Snapshots(ctx)
	want(t, "snapshots", err, nil)
	for _, snap := range list {
		p, err := s.IO().WithSnap(snap.ID).Read(ctx, i.Info().Prefix+".0000000000000000", 0, 8)
		if err != nil || len(p) != 8 {
			t.Fatalf("%x of image %s at its snapshot %d: %v", p, image, snap.ID, err)
		}
		out = append(out, binary.LittleEndian.Uint64(p))
	}
	return out
}

// TestGroupSnapshotMoment: a snapshot is one moment of the whole group: what was written in order
// to two images is there in order, whoever makes it. They are the first and the last one of many,
// as a snapshot takes them: one after the other, there would be time to write between.
func TestGroupSnapshotMoment(t *testing.T) {
	for _, who := range []string{"ours", "stock"} {
		t.Run(who, func(t *testing.T) {
			c := connect(t)
			s := store(t, c)
			ctx := within(t, 2*time.Minute)
			g := groupOf(t, s, "g", "a", "b", "c", "d", "e", "f", "g", "h")
			list, err := s.List(ctx)
			want(t, "list", err, nil)
			byID := func(a, b rbd.Entry) int { return strings.Compare(a.ID, b.ID) }
			first, last := slices.MinFunc(list, byID).Name, slices.MaxFunc(list, byID).Name
			writer := rbd.NewStore(connect(t).OpenPoolID(s.IO().PoolID()))
			more, stop := writeInOrder(t, writer, first, last)
			const snaps = 15
			for n := range snaps {
				more()
				if who == "ours" {
					want(t, "create", g.CreateSnapshot(ctx, fmt.Sprint(n), rbd.QuiesceSkip), nil)
				} else {
					stock(t, s, "group", "snap", "create", "--skip-quiesce",
						s.IO().PoolName()+"/g@"+fmt.Sprint(n))
				}
			}
			stop()
			a, b := numbersAt(t, s, first), numbersAt(t, s, last)
			if len(a) != snaps || len(b) != snaps || a[snaps-1] < snaps {
				t.Fatalf("there are %v and %v", a, b)
			}
			for n := range a {
				if a[n] != b[n] && a[n] != b[n]+1 {
					t.Errorf("snapshot %d has %d, and then %d", n, a[n], b[n])
				}
			}
			want(t, "remove", s.RemoveGroup(ctx, "g"), nil)
			noSnaps(t, s, first, last)
		})
	}
}

// TestGroupTogether: clients that work on the same group at once do not wait for each other for
// ever. While a stock client holds one image and waits for the other, it keeps the first.
func TestGroupTogether(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 3*time.Minute)
	g := groupOf(t, s, "g", "a", "b", "c")
	want(t, "create", g.CreateSnapshot(ctx, "base", rbd.QuiesceSkip), nil)
	var all sync.WaitGroup
	for w := range 3 {
		mine := rbd.NewStore(connect(t).OpenPoolID(s.IO().PoolID()))
		g := openGroup(t, mine, "g")
		all.Go(func() {
			for n := range 4 {
				name := fmt.Sprint(w, ".", n)
				err := errors.Join(g.CreateSnapshot(ctx, name, rbd.QuiesceSkip),
					g.Rollback(ctx, "base", nil), g.RemoveSnapshot(ctx, name))
				want(t, "client "+name, err, nil)
			}
		})
	}
	for n := range 4 {
		stock(t, s, "group", "snap", "create", "--skip-quiesce",
			s.IO().PoolName()+"/g@"+fmt.Sprint("stock", n))
	}
	all.Wait()
	want(t, "remove", s.RemoveGroup(ctx, "g"), nil)
	noSnaps(t, s, "a", "b", "c")
}
