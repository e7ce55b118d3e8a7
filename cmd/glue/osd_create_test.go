package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// begunCluster is a cluster of one OSD in this process.
func begunCluster(t *testing.T) layout {
	t.Helper()
	dir, err := os.MkdirTemp("", "g")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := layout{dir: filepath.Join(dir, "c")}
	s, err := request{osds: 1, portBase: 25900}.newSpec(newUUID)
	if err == nil {
		err = create(l, s, time.Now())
	}
	var c inProcess
	if err == nil {
		err = c.start(t.Context(), l, s, io.Discard)
	}
	t.Cleanup(func() { c.stop() })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newOSDs runs the first n steps, as a process that ends after them does.
func newOSDs(t *testing.T, l layout, r creation, n int) *creator {
	t.Helper()
	r.data = l.dir
	c, err := newCreator(r, io.Discard)
	if err == nil {
		c.mons, err = c.connect(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.mons.Close()
	for _, s := range c.steps()[:n] {
		if err := s.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
	}
	return c
}

// TestCreateInterrupted ends the making of an OSD after each step and begins again: there is one
// more OSD each time, not two, with the store that was begun, and what is left is complete.
func TestCreateInterrupted(t *testing.T) {
	l := begunCluster(t)
	steps := len((&creator{}).steps()) - 2 // all but to start it and to forget the plan
	for n := 1; n <= steps; n++ {
		r := creation{id: -1, replace: -1, size: "1G"}
		if n%2 == 0 {
			r.disk = filepath.Join(filepath.Dir(l.dir), "disk"+strings.Repeat("x", n))
		}
		first := newOSDs(t, l, r, n)
		c := newOSDs(t, l, r, steps)
		if first.plan != nil && (first.plan.UUID != c.plan.UUID ||
			first.plan.ID >= 0 && first.plan.ID != c.plan.ID) {
			t.Errorf("after %d steps: begun as %+v, ended as %+v", n, first.plan, c.plan)
		}
		admin, err := connectAdmin(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		m := admin.Map()
		if got := len(m.OSDs()); got != n+1 || c.plan.ID != n ||
			m.UUIDs[n].String() != c.plan.UUID {
			t.Errorf("after %d steps: %d OSDs, osd.%d has %v", n, got, c.plan.ID, m.UUIDs[n])
		}
		admin.Close()
		if err := c.finish(context.Background()); err != nil {
			t.Fatal(err)
		}
		s, err := loadSpec(l)
		if err != nil || len(s.OSDs) != n+1 || s.OSDs[n].Bytes != 1<<30 {
			t.Errorf("after %d steps: %+v %v", n, s, err)
		}
		if left, _ := filepath.Glob(filepath.Join(l.dir, ".osd-creating-*")); len(left) > 0 {
			t.Errorf("after %d steps there is %v", n, left)
		}
		if u, err := diskUUID(c.dir); err != nil || u.String() != c.plan.UUID {
			t.Errorf("after %d steps: %v %v", n, u, err)
		}
	}
}
