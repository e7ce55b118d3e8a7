package blockstore

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"glue/ceph"
	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/store/storetest"
)

var (
	crashesFlag = flag.Int("store.crashes", 1500, "crash points to try")
	crashSeed   = flag.Uint64("store.crashseed", 1, "seed of the first crash history")
)

// history is the transactions that a store has accepted.
type history struct {
	txs []*objectstore.Transaction
}

// modelAt replays; models of later moments are made from earlier ones.
type modelAt struct {
	n int
	s *memstore.Store
}

func (m *modelAt) close() {
	if m.s != nil {
		m.s.Close()
	}
}

func (m *modelAt) advance(h []*objectstore.Transaction, n int) error {
	if m.s == nil || n < m.n {
		m.close()
		m.n, m.s = 0, memstore.New(memstore.Options{})
	}
	for ; m.n < n; m.n++ {
		if err := m.s.Submit(h[m.n], nil); err != nil {
			return fmt.Errorf("model, transaction %d: %w", m.n, err)
		}
	}
	return nil
}

// crashPoint is a world found after a crash, to be judged.
type crashPoint struct {
	w    *world
	txs  []*objectstore.Transaction // all that had been submitted
	what string
}

// judge opens the store of a crash point and says what is wrong with it.
func (p *crashPoint) judge(m *modelAt, o Options) (n int, err error) {
	acked := int(p.w.acked.Load())
	s, err := Open("/osd", p.w.options(o))
	if err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	seq, err := s.Meta(seqKey)
	if err != nil && err != ceph.ENOENT {
		return 0, err
	}
	n = decodeSeq(seq)
	if n < acked || n > len(p.txs) {
		return n, fmt.Errorf("%d transactions survived, %d acknowledged, %d submitted",
			n, acked, len(p.txs))
	}
	r, err := s.Fsck(context.Background(), true)
	if err != nil {
		return n, fmt.Errorf("fsck: %w", err)
	}
	if len(r.Errors) > 0 {
		return n, fmt.Errorf("fsck: %v", r.Errors[0])
	}
	if err := m.advance(p.txs, n); err != nil {
		return n, err
	}
	if err := storetest.Compare(m.s, s, 7); err != nil {
		return n, fmt.Errorf("after %d transactions (%d acknowledged): %w", n, acked, err)
	}
	return n, nil
}

// crashRun makes a store work and cuts its power, again and again.
type crashRun struct {
	t    testing.TB
	rng  *rand.Rand
	opts Options
	h    history
	rate int // one crash point in so many calls

	mu     sync.Mutex
	failed error
	points chan crashPoint
	tried  int
	left   int
}

// run returns how many crash points were judged and the first violation.
func (r *crashRun) run() (int, error) {
	r.points = make(chan crashPoint, 4)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			m := new(modelAt)
			defer m.close()
			for p := range r.points {
				_, err := p.judge(m, r.opts)
				r.note(err, p.what)
			}
		})
	}
	w := newWorld(r.opts.Size)
	err := Format("/osd", w.options(r.opts))
	for round := 0; err == nil && !r.over(); round++ {
		w, err = r.round(w)
	}
	close(r.points)
	wg.Wait()
	if r.failed == nil {
		r.failed = err
	}
	return r.tried, r.failed
}

func (r *crashRun) note(err error, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried++
	r.left--
	if err != nil && r.failed == nil {
		r.failed = fmt.Errorf("crash before a %s: %w", what, err)
	}
}

func (r *crashRun) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed != nil || r.left <= 0
}

// round works on the store until the power is cut and returns what is found then.
func (r *crashRun) round(w *world) (*world, error) {
	txs := r.h.txs
	var mu sync.Mutex // of txs
	w.acked.Store(int64(len(txs)))
	calls := rand.New(rand.NewPCG(r.rng.Uint64(), 1))
	w.step = func(kind string) error {
		if calls.IntN(r.rate) == 0 && kind != "read" && kind != "kv read" && !r.over() {
			p := crashPoint{w: w.crash(calls), what: kind}
			mu.Lock()
			p.txs = txs
			mu.Unlock()
			r.points <- p
		}
		return nil
	}
	s, err := Open("/osd", w.options(r.opts))
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if err := r.work(w, s, &mu, &txs); err != nil {
		return nil, err
	}
	next := w
	if r.rng.IntN(5) > 0 {
		next = w.cut(r.rng)
		s.Close()
	} else if err := s.Close(); err != nil {
		return nil, err
	}
	next.step = nil
	if next == w {
		next.acked.Store(int64(len(txs)))
	}
	p := crashPoint{w: next, txs: txs, what: "new round"}
	m := new(modelAt)
	defer m.close()
	n, err := p.judge(m, r.opts)
	r.note(err, p.what)
	if len(txs) > 400 { // keep replaying the model cheap
		next, n = newWorld(r.opts.Size), 0
		err = firstError(err, Format("/osd", next.options(r.opts)))
	}
	r.h.txs = txs[:n:n]
	return next, err
}

// work submits transactions on top of txs.
func (r *crashRun) work(
	w *world, s *Store, mu *sync.Mutex, txs *[]*objectstore.Transaction,
) error {
	model := memstore.New(memstore.Options{})
	defer model.Close()
	for _, t := range *txs {
		if err := model.Submit(t, nil); err != nil {
			return err
		}
	}
	gen := storetest.NewGenerator(r.rng, model, storetest.GeneratorOptions{
		Objects: 1 + r.rng.IntN(8), MaxBytes: 4<<10 + r.rng.Uint64N(60<<10),
		MaxOps: 1 + r.rng.IntN(5),
	})
	for range 20 + r.rng.IntN(60) {
		t := gen.Next()
		t.PutMeta(seqKey, encodeSeq(len(*txs)+1))
		// What a transaction did may be found as soon as it is submitted.
		mu.Lock()
		before := *txs
		*txs = append(before, t)
		mu.Unlock()
		if err := r.submit(s, t, r.done(w)); err != nil {
			mu.Lock()
			*txs = before
			mu.Unlock()
			continue
		}
		if err := model.Submit(t, nil); err != nil {
			return fmt.Errorf("the model refuses what the store took: %w", err)
		}
		switch r.rng.IntN(30) {
		case 0:
			storetest.Barrier(s)
		case 1:
			s.checkpoint.request()
		case 2:
			runtime.Gosched()
		}
	}
	return nil
}

// submit takes either way into the store.
func (r *crashRun) submit(s *Store, t *objectstore.Transaction, done func(error)) error {
	if r.rng.IntN(3) > 0 {
		return s.Submit(t, done)
	}
	errs := s.SubmitAll([]objectstore.Submission{{Transaction: t, Done: done}})
	if errs != nil {
		return errs[0]
	}
	return nil
}

func (r *crashRun) done(w *world) func(error) {
	return func(err error) {
		if err == nil {
			w.acked.Add(1)
		} else if !errors.Is(err, objectstore.ErrFailed) {
			r.note(fmt.Errorf("done: %w", err), "done")
		}
	}
}

func crashOptions(rng *rand.Rand) Options {
	return Options{
		Size: 4 << 20, JournalBytes: []int64{256 << 10, 400 << 10, 1 << 20}[rng.IntN(3)],
		KVCacheBytes: 1 << 20, MemTableBytes: []uint64{64 << 10, 1 << 20}[rng.IntN(2)],
		DeferBytes:     []int64{1, 64 << 10}[rng.IntN(2)],
		LogWriteBlocks: []int{1, 4, 16}[rng.IntN(3)],
		ZoneBlocks:     []uint64{16, 50, 128, 2048}[rng.IntN(4)],
		idlePause:      []time.Duration{50 * time.Microsecond, time.Hour}[rng.IntN(2)],
	}
}

func runCrashes(t testing.TB, seed uint64, points int, s sabotage) (int, error) {
	rng := rand.New(rand.NewPCG(seed, 5))
	r := &crashRun{t: t, rng: rng, opts: crashOptions(rng), rate: 1 + rng.IntN(12), left: points}
	r.opts.sabotage = s
	return r.run()
}

// After a crash at any moment the store holds an exact prefix of what was submitted, with all
// that was acknowledged, and is sound.
func TestCrash(t *testing.T) {
	for seed, tried := *crashSeed, 0; tried < *crashesFlag; seed++ {
		n, err := runCrashes(t, seed, min(150, *crashesFlag-tried), sabotage{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		tried += n
	}
}

// A store that breaks one of its rules is found out.
func TestCrashFindsSabotage(t *testing.T) {
	for name, s := range map[string]sabotage{
		"no barrier": {noBarrier: true}, "early acknowledgement": {earlyAck: true},
		"LSN in its own batch": {splitLSN: true}, "early reuse": {earlyReuse: true},
		"no gate": {noGate: true}, "no notes of usage": {noUses: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed < 60; seed++ {
				if _, err := runCrashes(t, seed, 100, s); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatal("nothing was noticed")
		})
	}
}
