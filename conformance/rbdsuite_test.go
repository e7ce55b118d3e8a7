package conformance

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rbdCases is how many cases python/rbd_suite.py runs at least.
const rbdCases = 687

// TestRbdSuite asks through the stock libraries everything that librbd can ask; a real cluster
// (GLUE_TEST_CONF) passes every case too.
func TestRbdSuite(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	const without = "hour" // encryption with every cipher: deriving keys takes that long
	cmd := shared.command(ctx, "/usr/bin/python3",
		filepath.Join(root(), "conformance", "python", "rbd_suite.py"), "--without", without)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if bad := regexp.MustCompile(`(?m)^FAIL .*`).FindAllString(string(out), -1); err != nil {
		t.Errorf("rbd_suite.py: %v\n%s\n%s", err, strings.Join(bad, "\n"), errs.String())
	}
	if ok := len(regexp.MustCompile(`(?m)^ok `).FindAllString(string(out), -1)); ok < rbdCases {
		t.Errorf("%d cases passed, want %d", ok, rbdCases)
	}
	t.Log(string(out))
}
