package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func rados(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, "rados", append([]string{"-p", pool}, args...)...)
}

// remove deletes objects that a test made; that they are there is part of the test.
func remove(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		rados(t, "rm", n)
	}
}

func TestRadosData(t *testing.T) {
	body := pattern(10<<20+123, 1)
	in := file(t, "in", body)
	out := filepath.Join(t.TempDir(), "out")
	rados(t, "put", "data", in)
	rados(t, "get", "data", out)
	if !bytes.Equal(read(t, out), body) {
		t.Fatal("what was read is not what was written")
	}
	more := file(t, "more", []byte("tail"))
	rados(t, "append", "data", more)
	rados(t, "get", "data", out)
	if got := read(t, out); !bytes.Equal(got, append(bytes.Clone(body), "tail"...)) {
		t.Fatalf("after append: %d bytes", len(got))
	}
	has(t, rados(t, "stat", "data"), "conf/data mtime ", fmt.Sprintf("size %d", len(body)+4))
	rados(t, "put", "data", more)
	rados(t, "get", "data", out)
	if got := read(t, out); string(got) != "tail" {
		t.Fatalf("after a shorter put: %d bytes", len(got))
	}
	rados(t, "truncate", "data", "2")
	rados(t, "get", "data", out)
	if got := read(t, out); string(got) != "ta" {
		t.Fatalf("after truncate: %q", got)
	}
	remove(t, "data")
	fails(t, 1, "(2) No such file or directory", "rados", "-p", pool, "get", "data", out)
	fails(t, 1, "(2) No such file or directory", "rados", "-p", pool, "rm", "data")
	fails(t, 1, "(2) No such file or directory", "rados", "-p", pool, "stat", "data")
	fails(t, 1, "error opening pool nope", "rados", "-p", "nope", "ls")
}

func TestRadosSizes(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	rados(t, "put", "empty", file(t, "empty", nil))
	has(t, rados(t, "stat", "empty"), "size 0")
	rados(t, "get", "empty", out)
	if len(read(t, out)) != 0 {
		t.Error("an empty object has bytes")
	}
	rados(t, "create", "made")
	has(t, rados(t, "stat", "made"), "size 0")
	big := pattern(100<<20, 7)
	rados(t, "put", "big", file(t, "big", big))
	rados(t, "get", "big", out)
	if !bytes.Equal(read(t, out), big) {
		t.Error("100 MiB came back changed")
	}
	// 128 MiB is the largest object: what goes past it is refused.
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 130<<20); err != nil {
		t.Fatal(err)
	}
	fails(t, 1, "(27) File too large", "rados", "-p", pool, "put", "huge", huge)
	remove(t, "empty", "made", "big")
	shared.exec("", "rados", "-p", pool, "rm", "huge") // what fitted may or may not be there
}

func TestRadosXattrs(t *testing.T) {
	rados(t, "create", "x")
	rados(t, "setxattr", "x", "b", "two")
	rados(t, "setxattr", "x", "a", "one")
	if got := rados(t, "getxattr", "x", "a"); strings.TrimSpace(got) != "one" {
		t.Errorf("getxattr: %q", got)
	}
	if got := rados(t, "listxattr", "x"); got != "a\nb\n" {
		t.Errorf("listxattr: %q", got)
	}
	rados(t, "rmxattr", "x", "a")
	if got := rados(t, "listxattr", "x"); got != "b\n" {
		t.Errorf("listxattr after rm: %q", got)
	}
	fails(t, 1, "(61) No data available", "rados", "-p", pool, "getxattr", "x", "a")
	remove(t, "x")
}

func TestRadosOmap(t *testing.T) {
	rados(t, "create", "m")
	for i := range 5 {
		rados(t, "setomapval", "m", fmt.Sprintf("k%d", i), fmt.Sprintf("v%d", i))
	}
	if got := rados(t, "listomapkeys", "m"); got != "k0\nk1\nk2\nk3\nk4\n" {
		t.Errorf("listomapkeys: %q", got)
	}
	has(t, rados(t, "listomapvals", "m"), "k3\nvalue (2 bytes) :\n", "|v3|")
	has(t, rados(t, "getomapval", "m", "k1"), "value (2 bytes) :\n", "|v1|")
	rados(t, "rmomapkey", "m", "k1")
	r, err := shared.exec("", "rados", "-p", pool, "getomapval", "m", "k1")
	if err != nil || r.code != 1 || !strings.Contains(r.stdout, "No such key: conf/m/k1") {
		t.Errorf("getomapval of no key: %+v %v", r, err)
	}
	rados(t, "setomapheader", "m", "head")
	has(t, rados(t, "getomapheader", "m"), "header (4 bytes) :", "|head|")
	rados(t, "clearomap", "m")
	if got := rados(t, "listomapkeys", "m"); got != "" {
		t.Errorf("after clearomap: %q", got)
	}
	remove(t, "m")
}

func TestRadosNamespacesAndKeys(t *testing.T) {
	in := file(t, "in", []byte("one"))
	rados(t, "put", "same", in)
	rados(t, "-N", "other", "put", "same", file(t, "in2", []byte("two")))
	rados(t, "--object-locator", "place", "put", "keyed", in)
	out := filepath.Join(t.TempDir(), "out")
	rados(t, "-N", "other", "get", "same", out)
	if got := read(t, out); string(got) != "two" {
		t.Errorf("in the namespace: %q", got)
	}
	if got := rados(t, "-N", "other", "ls"); got != "same\n" {
		t.Errorf("ls of the namespace: %q", got)
	}
	has(t, rados(t, "ls", "--all"), "\tsame\n", "other\tsame\n")
	has(t, rados(t, "ls"), "keyed\tplace\n")
	fails(t, 1, "No such file", "rados", "-p", pool, "stat", "keyed")
	rados(t, "--object-locator", "place", "rm", "keyed")
	rados(t, "-N", "other", "rm", "same")
	remove(t, "same")
}

func TestRadosLocks(t *testing.T) {
	rados(t, "lock", "get", "l", "mylock", "--lock-cookie", "c1")
	has(t, rados(t, "lock", "list", "l"), `"mylock"`)
	info := rados(t, "lock", "info", "l", "mylock")
	has(t, info, `"type":"exclusive"`, `"cookie":"c1"`)
	fails(t, 1, "(16) Device or resource busy", "rados", "-p", pool, "lock", "get", "l", "mylock",
		"--lock-cookie", "c2")
	_, rest, _ := strings.Cut(info, `"name":"client.`)
	id, _, _ := strings.Cut(rest, `"`)
	rados(t, "lock", "break", "l", "mylock", "client."+id, "--lock-cookie", "c1")
	rados(t, "lock", "get", "l", "mylock", "--lock-cookie", "c2")
	remove(t, "l")
}

func TestRadosDfAndPools(t *testing.T) {
	has(t, must(t, "rados", "lspools"), pool+"\n")
	has(t, must(t, "rados", "df"), "POOL_NAME", "\nconf ", "total_objects", "total_space")
}

func TestRadosBench(t *testing.T) {
	has(t, rados(t, "bench", "2", "write", "-b", "4096", "-t", "16", "--no-cleanup"),
		"Total writes made:", "Average IOPS:")
	has(t, rados(t, "bench", "1", "seq", "-t", "16"), "Total reads made:")
	has(t, rados(t, "bench", "1", "rand", "-t", "16"), "Total reads made:")
	has(t, rados(t, "cleanup"), "Removed ")
	if got := rados(t, "ls"); strings.Contains(got, "benchmark_data") {
		t.Errorf("left over after cleanup:\n%.300s", got)
	}
}

func TestRadosPython(t *testing.T)      { python(t, "rados_api.py") }
func TestRadosManyObjects(t *testing.T) { python(t, "rados_many.py") }
