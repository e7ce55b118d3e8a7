package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A client is a command line of rbd: ours, the stock one, or one of python3-rbd.
type client = func(t *testing.T, args ...string) string

// inNamespace are the clients of images in a namespace of the pool, empty for the default one.
func inNamespace(namespace string) (glue, stock, python client) {
	flags := func(more ...string) []string {
		if namespace == "" {
			return more
		}
		return append([]string{"--namespace", namespace}, more...)
	}
	glue = func(t *testing.T, args ...string) string {
		t.Helper()
		return ours(t, append(append([]string{"rbd", "-c", shared.conf, "-p", pool},
			flags("--no-progress")...), args...)...)
	}
	stock = func(t *testing.T, args ...string) string {
		t.Helper()
		switch args[0] {
		case "namespace", "ls": // of a pool that they name
			return must(t, "rbd", args...)
		case "import":
			if namespace != "" {
				return rbd(t, append(args, "--dest-namespace", namespace)...)
			}
		}
		return rbd(t, append(flags(), args...)...)
	}
	python = func(t *testing.T, args ...string) string {
		t.Helper()
		script := filepath.Join(root(), "conformance", "python", "rbd_client.py")
		return must(t, "/usr/bin/python3",
			append(append([]string{script, pool}, flags()...), args...)...)
	}
	return glue, stock, python
}

// makers are the pairs of who makes an image and who changes it: ours is always one of them.
func makers(namespace string) map[string][2]client {
	glue, stock, python := inNamespace(namespace)
	return map[string][2]client{"ours-stock": {glue, stock}, "stock-ours": {stock, glue},
		"ours-python": {glue, python}, "python-ours": {python, glue}}
}

// TestOurFeatures: images of every kind that our client makes are written by the stock client, or
// one of python3-rbd, and read by ours, and the other way round, with snapshots and differences in
// both directions.
func TestOurFeatures(t *testing.T) {
	t.Parallel()
	const data = "ourdata"
	must(t, "ceph", "osd", "pool", "create", data, "8")
	t.Cleanup(func() {
		must(t, "ceph", "osd", "pool", "rm", data, data, "--yes-i-really-really-mean-it")
	})
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{"layering", []string{"--image-feature", "layering"}},
		{"all", []string{"--image-feature",
			"layering,exclusive-lock,object-map,fast-diff,deep-flatten"}},
		{"striped", []string{"--stripe-unit", "64K", "--stripe-count", "4"}},
		{"datapool", []string{"--data-pool", data}},
	} {
		for maker, pair := range makers("") {
			t.Run(c.name+"/"+maker, func(t *testing.T) {
				sharedImage(t, pair[0], pair[1], c.flags)
			})
		}
	}
}

// sharedImage is an image that one client makes and both change.
func sharedImage(
	t *testing.T, one, other client, flags []string,
) {
	image, copied, out := "shared", "copied", filepath.Join(t.TempDir(), "out")
	first, diff := pattern(3<<20+512, 8), filepath.Join(t.TempDir(), "diff")
	same := func(what, spec string, want []byte) {
		t.Helper()
		for _, c := range []client{one, other} {
			os.Remove(out)
			c(t, "export", spec, out)
			if got := read(t, out); !bytes.HasPrefix(got, want) {
				t.Errorf("%s: a client reads something else of %s", what, spec)
			}
		}
	}
	one(t, append([]string{"import", file(t, "in", first), image}, flags...)...)
	same("imported", image, first)
	other(t, "snap", "create", image+"@a")
	other(t, "resize", "--size", "8M", image)
	one(t, "bench", "--io-type", "write", "--io-size", "4096", "--io-total", "1M", image)
	one(t, "snap", "create", image+"@b")
	same("snapshot", image+"@a", first)
	os.Remove(out)
	other(t, "export", image+"@b", out)
	second := read(t, out)
	same("changed", image, second)
	other(t, "create", "--size", "8M", copied)
	for _, from := range [][]string{{image + "@a"}, {"--from-snap", "a", image + "@b"}} {
		os.Remove(diff)
		one(t, append(append([]string{"export-diff"}, from...), diff)...)
		other(t, "import-diff", diff, copied)
		one, other = other, one
	}
	same("differences", copied, second)
	same("differences", copied+"@a", first)
	for _, i := range []string{image, copied} {
		other(t, "snap", "purge", i)
		one(t, "rm", i)
	}
}

// refuses runs a command of our client that has to fail and name the reason.
func refuses(t *testing.T, says string, args ...string) {
	t.Helper()
	r, err := shared.exec("", filepath.Join(root(), "glue"), append([]string{"rbd", "-c",
		shared.conf, "-p", pool, "--no-progress"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if r.code == 0 || !strings.Contains(r.stderr, says) {
		t.Errorf("glue rbd %s: exit code %d, %q; want a refusal that says %q",
			strings.Join(args, " "), r.code, r.stderr, says)
	}
}

// TestOurFeaturesJournal: an image with a journal is changed by our client and by stock ones in
// turn, and the journal is switched off and on by either.
func TestOurFeaturesJournal(t *testing.T) {
	glue, stock, python := inNamespace("")
	for name, maker := range map[string]client{"stock": stock, "python": python} {
		t.Run(name, func(t *testing.T) {
			body := pattern(2<<20, 9)
			in, out := file(t, "in", body), filepath.Join(t.TempDir(), "out")
			maker(t, "import", in, "journaled", "--image-feature",
				"layering,exclusive-lock,journaling")
			holds := func(what, image string, c client, want []byte) {
				t.Helper()
				os.Remove(out)
				if c(t, "export", image, out); !bytes.Equal(read(t, out), want) {
					t.Errorf("%s: image %s holds something else", what, image)
				}
			}
			holds("made", "journaled", glue, body)
			maker(t, "snap", "create", "journaled@s")
			for _, args := range [][]string{
				{"bench", "--io-type", "write", "--io-total", "64K", "journaled"},
				{"snap", "create", "journaled@t"}, {"snap", "protect", "journaled@s"},
				{"snap", "unprotect", "journaled@s"}, {"resize", "--size", "4M", "journaled"},
				{"snap", "rename", "journaled@t", "journaled@u"}, {"snap", "rm", "journaled@u"},
				{"snap", "rollback", "journaled@s"}, {"rename", "journaled", "renamed"},
				{"rename", "renamed", "journaled"}, {"image-meta", "set", "journaled", "k", "v"},
				{"feature", "enable", "journaled", "object-map"},
			} {
				glue(t, args...)
			}
			holds("rolled back", "journaled", stock, body)
			stock(t, "journal", "inspect", "--image", "journaled")
			glue(t, "deep", "cp", "journaled", "plain")
			holds("copied", "plain", stock, body)
			holds("copied", "plain@s", stock, body)
			for n, c := range []client{glue, stock, glue} {
				c(t, "feature", "disable", "journaled", "journaling")
				c(t, "feature", "enable", "journaled", "journaling")
				for _, by := range []client{glue, stock, maker} {
					by(t, "bench", "--io-type", "write", "--io-size", "4096", "--io-total", "64K",
						"journaled")
				}
				os.Remove(out)
				stock(t, "export", "journaled", out)
				holds(fmt.Sprint("round ", n), "journaled", glue, read(t, out))
			}
			for _, image := range []string{"journaled", "plain"} {
				stock(t, "snap", "purge", image)
				stock(t, "rm", image)
			}
		})
	}
}

// TestOurFeaturesOldClones: clones of format 1 keep their parent's snapshot protected, whoever made
// them and in whatever namespace, until they are flattened or removed by whomever.
func TestOurFeaturesOldClones(t *testing.T) {
	const namespace = "oldclones"
	must(t, "rbd", "namespace", "create", pool+"/"+namespace)
	t.Cleanup(func() { must(t, "rbd", "namespace", "remove", pool+"/"+namespace) })
	for _, ns := range []string{"", namespace} {
		glue, stock, _ := inNamespace(ns)
		for name, pair := range map[string][2]client{"ours": {glue, stock},
			"stock": {stock, glue}} {
			for _, end := range []string{"flatten", "rm"} {
				t.Run(strings.Join([]string{name, end, ns}, "-"), func(t *testing.T) {
					oldClone(t, ns, pair[0], pair[1], end)
				})
			}
		}
	}
}

func oldClone(t *testing.T, namespace string, maker, other client, end string) {
	path := func(image string) string {
		if namespace != "" {
			image = namespace + "/" + image
		}
		return pool + "/" + image
	}
	base, child, out := path("base"), path("child"), filepath.Join(t.TempDir(), "out")
	body := pattern(5<<20+512, 10)
	maker(t, "import", file(t, "in", body), "base")
	maker(t, "snap", "create", "base@s")
	maker(t, "snap", "protect", "base@s")
	maker(t, "clone", "--rbd-default-clone-format", "1", base+"@s", child)
	for _, c := range []client{maker, other} {
		has(t, c(t, "children", "base@s"), child)
		has(t, c(t, "info", "child"), "parent: "+base+"@s", "overlap: 5.0 MiB")
	}
	refuses(t, "has 1 clones", "snap", "unprotect", base+"@s")
	r, err := shared.exec("", "rbd", "snap", "unprotect", base+"@s")
	if err != nil || r.code != 16 {
		t.Errorf("the stock client unprotects what has a clone: %+v, %v", r, err)
	}
	other(t, "bench", "--io-type", "write", "--io-size", "4096", "--io-total", "40K", "child")
	os.Remove(out)
	maker(t, "export", "child", out)
	changed := read(t, out)
	differ := 0
	for at := 0; at < len(body); at += 4096 {
		end := min(at+4096, len(body))
		if !bytes.Equal(changed[at:end], body[at:end]) {
			differ++
		}
	}
	if len(changed) != len(body) || differ == 0 || differ > 10 {
		t.Errorf("the clone is not the parent with 10 blocks changed, but with %d", differ)
	}
	maker(t, "snap", "create", "child@kept")
	if end == "rm" {
		maker(t, "snap", "purge", "child")
	}
	other(t, end, "child")
	for _, c := range []client{maker, other} {
		if got := c(t, "children", "base@s"); strings.Contains(got, "child") {
			t.Errorf("after %s the clone is still listed: %q", end, got)
		}
	}
	if end == "flatten" {
		for _, c := range []client{maker, other} {
			os.Remove(out)
			if c(t, "export", "child", out); !bytes.Equal(read(t, out), changed) {
				t.Error("flattened, the clone holds something else")
			}
		}
		maker(t, "snap", "purge", "child")
		maker(t, "rm", "child")
	}
	other(t, "snap", "unprotect", "base@s")
	maker(t, "snap", "rm", "base@s")
	other(t, "rm", "base")
}

// TestOurFeaturesNamespaces: namespaces that one client makes are used and removed by the other,
// but not while there are images.
func TestOurFeaturesNamespaces(t *testing.T) {
	glue, stock, _ := inNamespace("")
	refuses(t, "has no namespace none", "create", "--size", "1M", pool+"/none/image")
	for name, pair := range map[string][2]client{"ours": {glue, stock}, "stock": {stock, glue}} {
		t.Run(name, func(t *testing.T) {
			ns := pool + "/" + name
			pair[0](t, "namespace", "create", ns)
			for _, c := range pair {
				has(t, c(t, "namespace", "ls", pool), name)
			}
			refuses(t, "", "namespace", "create", ns)
			for maker, inside := range makers(name) {
				t.Run(maker, func(t *testing.T) {
					sharedImage(t, inside[0], inside[1], nil)
				})
			}
			_, here, _ := inNamespace(name)
			here(t, "create", "--size", "1M", "image")
			has(t, pair[1](t, "ls", ns), "image")
			refuses(t, "has images", "namespace", "rm", ns)
			here(t, "trash", "mv", "image")
			refuses(t, "its trash has 1 images", "namespace", "rm", ns)
			id, _, _ := strings.Cut(here(t, "trash", "ls"), " ")
			here(t, "trash", "restore", id)
			here(t, "create", "--size", "1M", "second")
			for _, image := range []string{"image", "second"} {
				pair[1](t, "rm", ns+"/"+image)
			}
			pair[1](t, "namespace", "rm", ns)
			for _, c := range pair {
				if got := c(t, "namespace", "ls", pool); strings.Contains(got, name) {
					t.Errorf("the removed namespace is listed: %q", got)
				}
			}
			refuses(t, "has no namespace "+name, "create", "--size", "1M", ns+"/image")
		})
	}
}

// TestOurFeaturesOptions: the options of pools and images and the limits of snapshots that one
// command line sets, the other shows, keeps to and takes back.
func TestOurFeaturesOptions(t *testing.T) {
	glue, stock, _ := inNamespace("")
	tool := func(t *testing.T, args ...string) string {
		t.Helper()
		if args[0] == "config" { // names its pool
			return must(t, "rbd", args...)
		}
		return stock(t, args...)
	}
	for name, pair := range map[string][2]client{"ours": {glue, tool}, "stock": {tool, glue}} {
		t.Run(name, func(t *testing.T) {
			one, other, path := pair[0], pair[1], pool+"/limited"
			one(t, "create", "--size", "1M", "limited")
			for _, of := range [][2]string{{"pool", pool}, {"image", path}} {
				one(t, "config", of[0], "set", of[1], "rbd_readahead_max_bytes", "65536")
				has(t, other(t, "config", of[0], "get", of[1], "rbd_readahead_max_bytes"), "65536")
				has(t, other(t, "config", of[0], "ls", of[1]), "65536", of[0])
			}
			other(t, "config", "image", "rm", path, "rbd_readahead_max_bytes")
			has(t, one(t, "config", "image", "list", path), "rbd_readahead_max_bytes", "pool")
			other(t, "config", "pool", "remove", pool, "rbd_readahead_max_bytes")
			one(t, "snap", "limit", "set", "--limit", "1", "limited")
			other(t, "snap", "create", "limited@a")
			refuses(t, "limit", "snap", "create", pool+"/limited@b")
			other(t, "snap", "limit", "clear", "limited")
			one(t, "snap", "create", "limited@b")
			other(t, "snap", "purge", "limited")
			one(t, "rm", "limited")
		})
	}
}
