package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A layout is the paths of a cluster on this machine, all under one folder.
type layout struct{ dir string }

func newLayout(dir string) (layout, error) {
	if dir == "" {
		return layout{}, fmt.Errorf("which cluster? name its folder with --data DIR")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, err
	}
	if strings.ContainsAny(abs, "\n#;\"'") {
		return layout{}, fmt.Errorf("%s: a folder's name with quotes, #, ; or line breaks can't "+
			"stand in ceph.conf", abs)
	}
	return layout{dir: abs}, nil
}

func (l layout) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

func (l layout) spec() string         { return l.path("glue.json") }
func (l layout) conf() string         { return l.path("ceph.conf") }
func (l layout) adminKeyring() string { return l.path("ceph.client.admin.keyring") }
func (l layout) lock() string         { return l.path("run", "glue.lock") }
func (l layout) pid(name string) string {
	return l.path("run", name+".pid")
}
func (l layout) socket(name string) string { return l.path("run", name+".asok") }
func (l layout) log(name string) string    { return l.path("log", name+".log") }

// data is a daemon's own folder, such as DIR/osd.0.
func (l layout) data(name string) string    { return l.path(name) }
func (l layout) keyring(name string) string { return l.path(name, "keyring") }

func osdName(id int) string { return "osd." + strconv.Itoa(id) }

// monNames are the ids of n monitors: a, b, c, …
func monNames(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = string(rune('a' + i))
	}
	return out
}

// writeFile replaces a file at once, so that a crash leaves the old or the new one.
func writeFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-")
	if err != nil {
		return err
	}
	tmp := f.Name()
	_, err = f.Write(data)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}
