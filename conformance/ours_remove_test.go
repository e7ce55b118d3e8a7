package conformance

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A remover is one of the two clients, in a pool.
type remover struct {
	name string
	args []string // before the words of a command
}

func removers(pool string) []remover {
	return []remover{
		{"stock", []string{"rbd", "-p", pool}},
		{"ours", []string{filepath.Join(root(), "glue"), "rbd", "-c", shared.conf, "-p", pool,
			"--no-progress"}},
	}
}

func (r remover) run(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, r.args[0], append(r.args[1:len(r.args):len(r.args)], args...)...)
}

// fails runs what has to fail and to say something.
func (r remover) fails(t *testing.T, says string, args ...string) {
	t.Helper()
	out, err := shared.exec("", r.args[0], append(r.args[1:len(r.args):len(r.args)], args...)...)
	if err != nil || out.code == 0 || !strings.Contains(out.stderr, says) {
		t.Errorf("%s %s: exit code %d, %v, %q; want a failure that says %q", r.name,
			strings.Join(args, " "), out.code, err, out.stderr, says)
	}
}

// imageID is the id of an image of a pool.
func imageID(t *testing.T, pool, image string) string {
	t.Helper()
	_, rest, _ := strings.Cut(must(t, "rbd", "-p", pool, "info", image), "id: ")
	id, _, _ := strings.Cut(rest, "\n")
	if id == "" {
		t.Fatalf("image %s has no id", image)
	}
	return strings.TrimSpace(id)
}

// nothingLeft fails if a pool has anything of an image. What was in snapshots goes a bit later.
func nothingLeft(t *testing.T, pool, id string) {
	t.Helper()
	waitFor(t, "no object is left over", func() bool {
		return !strings.Contains(must(t, "rados", "-p", pool, "ls", "--all"), id)
	})
	for _, object := range []string{"rbd_directory", "rbd_trash", "rbd_mirroring"} {
		r, err := shared.exec("", "rados", "-p", pool, "listomapkeys", object)
		if err != nil || strings.Contains(r.stdout, id) {
			t.Errorf("left over in %s: %v %q", object, err, r.stdout)
		}
	}
}

// mirroredImages makes a pool whose images can be mirrored, with a peer that is not there.
func mirroredImages(t *testing.T, name string) {
	t.Helper()
	must(t, "ceph", "osd", "pool", "create", name, "8")
	t.Cleanup(func() {
		must(t, "ceph", "osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")
	})
	must(t, "rbd", "pool", "init", name)
	must(t, "rbd", "mirror", "pool", "enable", name, "image")
	must(t, "rbd", "mirror", "pool", "peer", "add", name, "client.mirror@there")
}

// TestOurRemoval: what keeps an image from being removed, and what goes with it, whoever removes
// it.
func TestOurRemoval(t *testing.T) {
	const data = "ourmirrored"
	mirroredImages(t, data)
	body := pattern(5<<20+512, 21)
	in := file(t, "in", body)
	for _, r := range removers(data) {
		create := func(t *testing.T, image string, flags ...string) string {
			t.Helper()
			must(t, "rbd", append([]string{"-p", data, "import", in, image}, flags...)...)
			return imageID(t, data, image)
		}
		t.Run("group/"+r.name, func(t *testing.T) {
			id := create(t, "grouped")
			must(t, "rbd", "group", "create", data+"/g")
			must(t, "rbd", "group", "image", "add", data+"/g", data+"/grouped")
			r.fails(t, "group", "rm", "grouped")
			has(t, must(t, "rbd", "group", "image", "ls", data+"/g"), data+"/grouped")
			imageHolds(t, r, "grouped", body)
			must(t, "rbd", "group", "image", "rm", data+"/g", data+"/grouped")
			r.run(t, "rm", "grouped")
			nothingLeft(t, data, id)
			must(t, "rbd", "group", "rm", data+"/g")
		})
		t.Run("mirrored/"+r.name, func(t *testing.T) {
			id := mirroredBySnapshots(t, data, create, "mirrored")
			r.run(t, "rm", "mirrored")
			nothingLeft(t, data, id)
		})
		t.Run("trash/"+r.name, func(t *testing.T) { mirroredToTrash(t, data, r, create, body) })
		t.Run("demoted/"+r.name, func(t *testing.T) {
			id := mirroredBySnapshots(t, data, create, "demoted")
			must(t, "rbd", "-p", data, "mirror", "image", "demote", "demoted")
			out := filepath.Join(t.TempDir(), "out")
			must(t, "rbd", "-p", data, "export", "demoted", out)
			body := read(t, out)
			r.fails(t, "not primary", "rm", "demoted")
			r.fails(t, "not primary", "trash", "mv", "demoted")
			imageHolds(t, r, "demoted", body)
			must(t, "rbd", "-p", data, "mirror", "image", "disable", "--force", "demoted")
			r.run(t, "rm", "demoted")
			nothingLeft(t, data, id)
		})
		t.Run("journal/"+r.name, func(t *testing.T) {
			for _, way := range []string{"rm", "trash"} {
				id := create(t, "journaled", "--image-feature", "exclusive-lock,journaling")
				must(t, "rbd", "-p", data, "bench", "--io-type", "write", "--io-total", "1M",
					"journaled")
				if way == "rm" {
					r.run(t, "rm", "journaled")
				} else {
					r.run(t, "trash", "mv", "journaled")
					r.run(t, "trash", "rm", id)
				}
				nothingLeft(t, data, id)
			}
		})
	}
}

// TestOurRemovalElse: an image that is to go to the trash, and one that our client does not remove.
func TestOurRemovalElse(t *testing.T) {
	const data = "ourtrashed"
	mirroredImages(t, data)
	body := pattern(5<<20+512, 22)
	in := file(t, "in", body)
	t.Run("to the trash", func(t *testing.T) {
		const option = "rbd_move_to_trash_on_remove"
		must(t, "ceph", "config", "set", "client", option, "true")
		t.Cleanup(func() { must(t, "ceph", "config", "rm", "client", option) })
		for _, r := range removers(data) {
			must(t, "rbd", "-p", data, "import", in, "kept")
			id := imageID(t, data, "kept")
			r.run(t, "rm", "kept")
			has(t, must(t, "rbd", "-p", data, "trash", "ls"), id)
			r.run(t, "trash", "restore", id)
			imageHolds(t, r, "kept", body)
			r.run(t, "trash", "mv", "kept")
			r.run(t, "trash", "rm", id)
			nothingLeft(t, data, id)
		}
	})
	t.Run("mirrored by its journal", func(t *testing.T) {
		r := removers(data)[1]
		must(t, "rbd", "-p", data, "import", in, "j", "--image-feature",
			"exclusive-lock,journaling")
		must(t, "rbd", "-p", data, "mirror", "image", "enable", "j", "journal")
		r.fails(t, "mirrored by its journal", "rm", "j")
		r.fails(t, "mirrored by its journal", "trash", "mv", "j")
		must(t, "rbd", "-p", data, "rm", "j")
	})
}

func imageHolds(t *testing.T, r remover, image string, want []byte) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	r.run(t, "export", image, out)
	if !bytes.HasPrefix(read(t, out), want) {
		t.Errorf("image %s holds something else", image)
	}
	os.Remove(out)
}

// mirroredBySnapshots makes an image with three snapshots for its mirror.
func mirroredBySnapshots(
	t *testing.T, pool string, create func(*testing.T, string, ...string) string, name string,
) string {
	t.Helper()
	id := create(t, name)
	must(t, "rbd", "-p", pool, "mirror", "image", "enable", name, "snapshot")
	for range 2 {
		must(t, "rbd", "-p", pool, "bench", "--io-type", "write", "--io-total", "4K",
			"--io-size", "512", "--io-pattern", "seq", name)
		must(t, "rbd", "-p", pool, "mirror", "image", "snapshot", name)
	}
	return id
}

// mirroredToTrash: an image that goes to the trash is not mirrored any more, and keeps the user's
// snapshots.
func mirroredToTrash(
	t *testing.T, pool string, r remover, create func(*testing.T, string, ...string) string,
	body []byte,
) {
	id := create(t, "trashed")
	must(t, "rbd", "-p", pool, "mirror", "image", "enable", "trashed", "snapshot")
	must(t, "rbd", "-p", pool, "snap", "create", "trashed@mine")
	must(t, "rbd", "-p", pool, "mirror", "image", "snapshot", "trashed")
	r.run(t, "trash", "mv", "trashed")
	list := must(t, "rados", "-p", pool, "ls", "--all")
	if strings.Contains(list, "rbd_mirror_snapshot."+id) {
		t.Errorf("states of snapshots for mirrors are left:\n%s", list)
	}
	if keys := must(t, "rados", "-p", pool, "listomapkeys", "rbd_mirroring"); strings.Contains(
		keys, id) {
		t.Errorf("the image in the trash is mirrored:\n%s", keys)
	}
	r.run(t, "trash", "restore", id)
	imageHolds(t, r, "trashed", body)
	imageHolds(t, r, "trashed@mine", body)
	all := must(t, "rbd", "-p", pool, "snap", "ls", "--all", "trashed")
	if has(t, all, "mine"); strings.Contains(all, ".mirror.") {
		t.Errorf("snapshots for mirrors are left:\n%s", all)
	}
	shared.checkMap(t, pool+"/trashed")
	r.run(t, "snap", "purge", "trashed")
	r.run(t, "rm", "trashed")
	nothingLeft(t, pool, id)
}
