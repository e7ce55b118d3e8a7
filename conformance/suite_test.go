package conformance

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// suiteCases is how many cases python/suite has at least, by group. Groups of what is not built are
// not here; with GLUE_TEST_CONF, on a real cluster, all run.
var suiteCases = map[string]int{"core": 413, "copy": 19, "tier": 19, "snap": 27, "poolsnap": 2}

// TestRadosSuite runs the cases of python/suite, all that librados can ask, which a real cluster
// passes too: go test -run TestRadosSuite with GLUE_TEST_CONF shows it.
func TestRadosSuite(t *testing.T) {
	var args []string
	want := 0
	for group, n := range suiteCases {
		args, want = append(args, "-g", group), want+n
	}
	if shared.dir == "" {
		args = []string{"-g", "all"}
	}
	ok, failed := runSuite(t, args...)
	if ok+failed < want {
		t.Errorf("%d cases, want %d and more", ok+failed, want)
	}
	t.Logf("%d cases, %d failed", ok+failed, failed)
}

// runSuite runs rados_suite.py and reports the cases that fail.
func runSuite(t *testing.T, args ...string) (ok, failed int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	script := filepath.Join(root(), "conformance", "python", "rados_suite.py")
	cmd := shared.command(ctx, "/usr/bin/python3", append([]string{script}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	for line := range strings.Lines(out.String()) {
		switch {
		case strings.HasPrefix(line, "ok "):
			ok++
		case strings.HasPrefix(line, "FAIL "):
			failed++
			t.Errorf("%s", line)
		case strings.HasPrefix(line, "\t"):
			t.Log(line)
		}
	}
	end := fmt.Sprintf("\n%d cases, %d failed\n", ok+failed, failed)
	if err != nil && failed == 0 || !strings.HasSuffix(out.String(), end) {
		t.Fatalf("rados_suite.py did not get to its end: %v\n%s", err, errs.String())
	}
	return ok, failed
}
