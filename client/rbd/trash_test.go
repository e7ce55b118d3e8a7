package rbd_test

import (
	"bytes"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/cluster/rbdspec"
)

func TestTrash(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	ctx := within(t, time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 8 << 20}), nil)
	want(t, "move", s.TrashMove(ctx, "i", time.Hour), nil)
	_, err := s.Open(ctx, "i", true)
	want(t, "open", err, ceph.ENOENT)
	list, err := s.TrashList(ctx)
	if err != nil || len(list) != 1 || list[0].Name != "i" {
		t.Fatalf("trash %+v, %v", list, err)
	}
	id := list[0].ID
	if out := stock(t, s, "trash", "ls"); !bytes.Contains(out, []byte(id+" i")) {
		t.Errorf("the stock tool lists %q", out)
	}
	want(t, "remove before its time", s.TrashRemove(ctx, id, false, nil), ceph.EPERM)
	want(t, "restore", s.TrashRestore(ctx, id, "j"), nil)
	want(t, "restore again", s.TrashRestore(ctx, id, ""), ceph.ENOENT)
	want(t, "move", s.TrashMove(ctx, "j", 0), nil)
	want(t, "remove", s.TrashRemove(ctx, id, false, nil), nil)
	if list, err := s.TrashList(ctx); err != nil || len(list) != 0 {
		t.Errorf("trash %+v, %v", list, err)
	}
}

// TestTrashMoveInterrupted: wherever a move to the trash stopped, the next one ends it.
func TestTrashMoveInterrupted(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	ctx := within(t, time.Minute)
	x := s.IO()
	exec := func(oid, method string, args func(*denc.Coder)) {
		t.Helper()
		in := denc.NewEncoder(nil, ceph.FeaturesAll)
		args(in)
		op := new(rados.WriteOp).Exec("rbd", method, in.Bytes())
		want(t, method, x.Operate(ctx, oid, op), nil)
	}
	const moving = 1
	for _, stop := range []struct {
		name          string
		id, directory bool // what the move had still to remove
	}{{"entered", true, true}, {"without id", false, true}, {"nameless", false, false}} {
		want(t, "create", s.Create(ctx, stop.name, rbd.CreateOptions{Size: 8 << 20}), nil)
		i := open(t, s, stop.name)
		id := i.ID()
		want(t, "close", i.Close(ctx), nil)
		e := rbdspec.TrashImage{Name: stop.name, Deleted: time.Now(), Deferred: time.Now(),
			State: moving}
		exec("rbd_trash", "trash_add", func(c *denc.Coder) {
			c.Str(&id)
			e.Denc(c)
		})
		if !stop.id {
			want(t, "remove the id", x.Remove(ctx, "rbd_id."+stop.name), nil)
		}
		if !stop.directory {
			exec("rbd_directory", "dir_remove_image", func(c *denc.Coder) {
				c.Str(&stop.name)
				c.Str(&id)
			})
		}
		want(t, stop.name+": move", s.TrashMove(ctx, stop.name, 0), nil)
		want(t, stop.name+": move again", s.TrashMove(ctx, stop.name, 0), ceph.ENOENT)
		if e, err := s.TrashGet(ctx, id); err != nil || e.State != 0 {
			t.Errorf("%s: in the trash is %+v, %v", stop.name, e, err)
		}
		want(t, stop.name+": restore", s.TrashRestore(ctx, id, ""), nil)
		want(t, stop.name+": remove", s.Remove(ctx, stop.name, nil), nil)
	}
}

// TestRemoveInterrupted: a name that only the directory has still can be removed.
func TestRemoveInterrupted(t *testing.T) {
	c := connect(t)
	s := store(t, c)
	ctx := within(t, time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 8 << 20}), nil)
	i := open(t, s, "i")
	id := i.ID()
	want(t, "close", i.Close(ctx), nil)
	for _, oid := range []string{"rbd_header." + id, "rbd_object_map." + id, "rbd_id.i"} {
		want(t, "remove "+oid, s.IO().Remove(ctx, oid), nil)
	}
	want(t, "remove", s.Remove(ctx, "i", nil), nil)
	if list, err := s.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("left is %v, %v", list, err)
	}
}
