package blockstore_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"glue/store/blockstore"
	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/store/storetest"
)

// killDir has the test binary be the process that is killed.
const killDir = "GLUE_STORE_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		workUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// killHistory draws the same transactions in every process; each one counts itself.
type killHistory struct {
	model *memstore.Store
	gen   *storetest.Generator
	n     int
}

func newKillHistory() *killHistory {
	h := &killHistory{model: memstore.New(memstore.Options{})}
	h.gen = storetest.NewGenerator(rand.New(rand.NewPCG(11, 12)), h.model,
		storetest.GeneratorOptions{MaxBytes: 128 << 10})
	return h
}

// next is the next transaction that the model takes, already applied to it.
func (h *killHistory) next() *objectstore.Transaction {
	for {
		t := h.gen.Next()
		t.PutMeta("n", fmt.Append(nil, h.n+1))
		if h.model.Submit(t, nil) == nil {
			h.n++
			return t
		}
	}
}

func (h *killHistory) skip(n int) {
	for h.n < n {
		h.next()
	}
}

func survived(s objectstore.Store) (n int) {
	v, err := s.Meta("n")
	if err == nil {
		fmt.Sscan(string(v), &n)
	}
	return n
}

// workUntilKilled continues the history and prints the number of each durable transaction.
func workUntilKilled(dir string) {
	s, err := blockstore.Open(dir, blockstore.Options{MemTableBytes: 256 << 10})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	h := newKillHistory()
	h.skip(survived(s))
	for {
		t := h.next()
		n := h.n
		err := s.Submit(t, func(err error) {
			if err == nil {
				fmt.Println(n)
			}
		})
		if err != nil {
			fmt.Println("submit:", err)
			os.Exit(1)
		}
	}
}

// A process that is killed at any moment loses nothing that it has reported.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	o := blockstore.Options{Size: 64 << 20, JournalBytes: 1 << 20}
	if err := blockstore.Format(dir, o); err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		acked := killOnce(t, dir, time.Duration(20+round*25)*time.Millisecond)
		s := mustOpen(t, dir, blockstore.Options{})
		n := survived(s)
		if n < acked {
			t.Fatalf("%d transactions survived of %d reported", n, acked)
		}
		r, err := s.Fsck(context.Background(), true)
		if err != nil || len(r.Errors) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		h := newKillHistory()
		h.skip(n)
		if err := storetest.Compare(h.model, s, 9); err != nil {
			t.Fatal(err)
		}
		h.model.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killOnce runs the process for a while after its first report and returns the last one.
func killOnce(t *testing.T, dir string, d time.Duration) (last int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		n := 0
		if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
			t.Fatalf("the process says %q", lines.Text())
		}
		last = n
		if first {
			time.AfterFunc(d, func() { cmd.Process.Kill() })
		}
	}
	cmd.Wait()
	return last
}
