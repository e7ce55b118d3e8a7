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

// suiteCases is how many cases python/suite has at least.
const suiteCases = 501

// TestRadosSuite runs the cases of python/suite, all that librados can ask, which a real cluster
// passes too: go test -run TestRadosSuite with GLUE_TEST_CONF shows it.
func TestRadosSuite(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	script := filepath.Join(root(), "conformance", "python", "rados_suite.py")
	cmd := shared.command(ctx, "/usr/bin/python3", script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	ok, failed := 0, 0
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
	if ok+failed < suiteCases {
		t.Errorf("%d cases, want %d and more", ok+failed, suiteCases)
	}
	t.Logf("%d cases, %d failed", ok+failed, failed)
}
