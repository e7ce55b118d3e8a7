package conformance

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestCapsMatrix sends every command as users with different caps and compares who is refused with
// what a real cluster has refused. What stock refuses must be refused here; what is refused only
// here has to be in matrix_known.txt with its reason.
func TestCapsMatrix(t *testing.T) {
	testdata := filepath.Join(root(), "conformance", "testdata")
	wait := "3"
	if *update {
		wait = "20"
	}
	got := script(t, "matrix.py", filepath.Join(root(), "cluster", "commands", "testdata",
		"stock.txt"), wait)
	stock := record(t, filepath.Join(testdata, "matrix_stock.txt"), got)
	known := readKnown(t, filepath.Join(testdata, "matrix_known.txt"))
	compareMatrix(t, string(got), string(stock), known)
	known.unused(t)
}

// compareMatrix compares lines of marks, of which the first names the users.
func compareMatrix(t *testing.T, got, stock string, known knownList) {
	t.Helper()
	g, s := strings.Split(got, "\n"), strings.Split(stock, "\n")
	if len(g) != len(s) || g[0] != s[0] || len(g) < 10 {
		t.Fatalf("the matrix has %d rows, the recorded one %d; users %q and %q: run with -update "+
			"on a real cluster", len(g), len(s), g[0], s[0])
	}
	users := strings.Fields(g[0])[1:]
	cells := 0
	for i := 1; i < len(g) && g[i] != ""; i++ {
		have, what, _ := strings.Cut(g[i], " ")
		want, whatThere, _ := strings.Cut(s[i], " ")
		if what != whatThere || len(have) != len(users) || len(want) != len(users) {
			t.Fatalf("row %d is %q, recorded is %q", i, g[i], s[i])
		}
		for u, user := range users {
			cells++
			switch {
			case have[u] == want[u]:
			case have[u] != '-':
				t.Errorf("%s is allowed as %s; stock refuses it", what, user)
			case !known.has(what, fmt.Sprintf("refused as %s", user)):
				t.Errorf("%s is refused as %s; stock allows it", what, user)
			}
		}
	}
	t.Logf("%d rows for %d users: %d cells", len(g)-2, len(users), cells)
}
