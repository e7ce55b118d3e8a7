package blockstore

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/store/storetest"
)

var (
	faultsFlag = flag.Int("store.faults", 300, "single failures to try")
	faultSeed  = flag.Uint64("store.faultseed", 1, "seed of the first work that meets a failure")
	faultStep  = flag.Int("store.faultstep", 3, "one call in so many fails; 1: each in turn")
)

var errFault = errors.New("injected")

// faultRun is a fixed piece of work in a world where one call fails.
type faultRun struct {
	w   *world
	o   Options
	txs []*objectstore.Transaction
}

// work submits until the store refuses everything.
func (r *faultRun) work(s *Store, rng *rand.Rand) error {
	model := memstore.New(memstore.Options{})
	defer model.Close()
	gen := storetest.NewGenerator(rng, model, storetest.GeneratorOptions{
		Objects: 5, MaxBytes: 48 << 10})
	for i := range 60 {
		t := gen.Next()
		t.PutMeta(seqKey, encodeSeq(len(r.txs)+1))
		r.txs = append(r.txs, t)
		err := s.Submit(t, func(err error) {
			if err == nil {
				r.w.acked.Add(1)
			}
		})
		if err != nil {
			r.txs = r.txs[:len(r.txs)-1]
			continue
		}
		if err := model.Submit(t, nil); err != nil {
			return err
		}
		if i%15 == 14 {
			s.checkpoint.request()
			storetest.Barrier(s)
		}
	}
	return s.Close()
}

// failAt fails the n-th call of what follows in the world and says which kind it was.
type failAt struct {
	n, calls int
	kind     string // "" until then
	late     int    // syncs after a failed one
}

func (f *failAt) step(kind string) error {
	if kind == "sync" && f.kind == "sync" {
		f.late++
	}
	if f.calls++; f.calls-1 != f.n {
		return nil
	}
	f.kind = kind
	return fmt.Errorf("%s: %w", kind, errFault)
}

// during runs f with the n-th call failing, and cuts the power at the end, or when f must be
// waiting for ever: Pebble stops for good, holding its locks, when it can't go on.
func (f *failAt) during(w *world, rng *rand.Rand, work func() error) (after *world, err error) {
	w.mu.Lock()
	w.step = f.step
	w.mu.Unlock()
	finished := make(chan error, 1)
	go func() { finished <- work() }()
	select {
	case err = <-finished:
	case <-time.After(faultPatience):
	}
	after = w.cut(rng)
	if f.late > 0 {
		return after, fmt.Errorf("%d syncs were tried after the failed one", f.late)
	}
	return after, err
}

const faultPatience = 5 * time.Second

// tryFault fails the n-th call of the work, or of opening what a power cut left of it, and returns
// what it was, "" if there were fewer.
func tryFault(seed uint64, n int) (kind string, err error) {
	rng := rand.New(rand.NewPCG(seed, 9))
	r := &faultRun{w: newWorld(4 << 20), o: crashOptions(rng)}
	if err := Format("/osd", r.w.options(r.o)); err != nil {
		return "", err
	}
	s, err := Open("/osd", r.w.options(r.o))
	if err != nil {
		return "", err
	}
	f := &failAt{n: n}
	if seed%3 == 0 {
		f.n = -1 // none while working
	}
	after, err := f.during(r.w, rng, func() error { return r.work(s, rng) })
	if err != nil && f.late > 0 {
		return f.kind, err
	}
	if seed%3 == 0 {
		f = &failAt{n: n}
		if after, err = f.reopen(after, r.o, rng); err != nil {
			return f.kind, err
		}
	}
	r.w.mu.Lock()
	p := crashPoint{w: after, txs: slices.Clone(r.txs)}
	r.w.mu.Unlock()
	m := new(modelAt)
	defer m.close()
	_, err = p.judge(m, r.o)
	return f.kind, err
}

// reopen opens a store with a call failing. Whether that is noticed at once or not at all, it must
// not take for ever, and change nothing that a later attempt needs.
func (f *failAt) reopen(w *world, o Options, rng *rand.Rand) (after *world, err error) {
	opened := make(chan struct{})
	after, err = f.during(w, rng, func() error {
		s, err := Open("/osd", w.options(o))
		close(opened)
		if err == nil {
			s.Close()
		} else if f.kind == "" {
			return err
		}
		return nil
	})
	select {
	case <-opened:
		return after, err
	default:
		return after, fmt.Errorf("open does not end: %w", err)
	}
}

// Whichever single call to the system fails, nothing that was acknowledged is lost, and a barrier
// that failed is the last.
func TestEachCallFails(t *testing.T) {
	type result struct {
		seed uint64
		n    int
		kind string
		err  error
	}
	const workers = 8 // some wait for what never ends
	seen, seed, n := map[string]int{}, *faultSeed, 0
	results := make(chan result)
	begin := func(seed uint64, n int) {
		go func() {
			kind, err := tryFault(seed, n)
			results <- result{seed, n, kind, err}
		}()
	}
	running, ended := 0, map[uint64]bool{}
	for tried := 0; tried < *faultsFlag || running > 0; {
		for ; running < workers && tried < *faultsFlag; tried, running = tried+1, running+1 {
			if ended[seed] {
				seed++
				n = int(seed) % *faultStep
			}
			begin(seed, n)
			n += *faultStep
		}
		r := <-results
		running--
		if r.err != nil {
			t.Fatalf("seed %d, call %d (%s): %v", r.seed, r.n, r.kind, r.err)
		}
		seen[r.kind]++
		ended[r.seed] = ended[r.seed] || r.kind == ""
	}
	t.Log(seen)
}
