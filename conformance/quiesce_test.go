package conformance

import (
	"bufio"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestQuiesce: a stock client of an image becomes quiet for a snapshot, whoever takes it. What it
// brings back before it says that it is quiet is in the snapshot.
func TestQuiesce(t *testing.T) {
	both := []string{"quiesce", "unquiesce"}
	for _, c := range []struct {
		name, seconds, result, text string
		flag                        string
		refused                     bool
		heard                       []string
	}{
		{"told", "0", "0", "", "", false, both},
		{"brings back", "1", "0", "brought back", "", false, both},
		{"slow", "7", "0", "brought back", "", false, both},
		{"refuses", "0", "-22", "", "", true, both},
		{"ignored", "0", "-22", "", "--ignore-quiesce-error", false, both},
		{"skipped", "0", "-22", "", "--skip-quiesce", false, nil},
	} {
		for _, r := range removers(pool) {
			t.Run(c.name+"/"+r.name, func(t *testing.T) {
				rbd(t, "create", "--size", "8M", "quiet")
				t.Cleanup(func() { rbd(t, "rm", "--no-progress", "quiet") })
				heard := quietClient(t, "quiet", c.seconds, c.result, c.text)
				args := []string{"snap", "create", "quiet@s"}
				if c.flag != "" {
					args = append(args, c.flag)
				}
				if c.refused {
					r.fails(t, "", args...)
				} else {
					r.run(t, args...)
				}
				if got := heard(len(c.heard)); !slices.Equal(got, c.heard) {
					t.Errorf("it heard %q, want %q", got, c.heard)
				}
				if got := rbd(t, "snap", "ls", "quiet"); (got == "") != c.refused {
					t.Errorf("snapshots: %q", got)
				}
				if !c.refused {
					out := filepath.Join(t.TempDir(), "out")
					rbd(t, "export", "--no-progress", "quiet@s", out)
					if got := string(read(t, out)); !strings.HasPrefix(got, c.text) {
						t.Errorf("the snapshot begins with %q, want %q", got[:20], c.text)
					}
					rbd(t, "snap", "rm", "--no-progress", "quiet@s")
				}
			})
		}
	}
}

// quietClient starts a client of an image. What is returned ends it once it has heard n words, and
// tells which.
func quietClient(t *testing.T, image, seconds, result, text string) func(n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	cmd := shared.command(ctx, "/usr/bin/python3",
		filepath.Join(root(), "conformance", "python", "quiesce.py"), pool, image, seconds, result,
		text)
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if inErr != nil || outErr != nil {
		t.Fatal(inErr, outErr)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	end := func() (rest []string) {
		in.Close()
		for line := range lines {
			rest = append(rest, line)
		}
		cmd.Wait()
		cancel()
		return rest
	}
	if got := <-lines; got != "ready" {
		end()
		t.Fatalf("the client says %q", got)
	}
	return func(n int) (heard []string) {
		for late := time.After(20 * time.Second); len(heard) < n; {
			select {
			case line := <-lines:
				heard = append(heard, line)
			case <-late:
				n = 0
			}
		}
		return append(heard, end()...)
	}
}
