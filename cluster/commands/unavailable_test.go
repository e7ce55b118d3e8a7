package commands

import (
	"strings"
	"testing"
)

// TestUnavailable: every row names a command that exists, once, in one line.
func TestUnavailable(t *testing.T) {
	index, n := NewIndex(Manager, Modules, Monitor, OSDMap), 0
	for _, m := range absent {
		for _, p := range m.prefixes {
			if n++; index[p] == nil {
				t.Errorf("%q is no command", p)
			}
			if s := Unavailable[p]; !strings.Contains(s, "not available in this release of Glue") ||
				strings.ContainsAny(s, "\n") {
				t.Errorf("%s: %q", p, s)
			}
		}
	}
	if n != len(Unavailable) {
		t.Errorf("%d rows for %d commands: one is there twice", n, len(Unavailable))
	}
}
