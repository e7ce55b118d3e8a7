// Package storetest is the conformance suite of object stores: cases for every rule of
// store/objectstore, and random transactions under random options held against store/memstore.
// It also lends its generator and its comparison to crash tests.
//
// Invariant: a failure names the seed, and the seed alone reproduces it. Tests run on the calling
// goroutine.
package storetest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"glue/ceph"
	"glue/store/memstore"
	"glue/store/objectstore"
)

var (
	seedFlag  = flag.Uint64("store.seed", 0, "run only this seed of the random store test")
	stepsFlag = flag.Int("store.steps", 300, "transactions per seed of the random store test")
	seedsFlag = flag.Int("store.seeds", 6, "seeds of the random store test")
)

// A Target makes the stores that are tested.
type Target struct {
	// New returns an empty store of at least 128 MiB with options drawn from rng.
	New func(t testing.TB, rng *rand.Rand) objectstore.Store
	// Reopen closes the store and opens it again; nil if stores do not outlive Close.
	Reopen func(t testing.TB, s objectstore.Store, rng *rand.Rand) objectstore.Store
	// Check audits the store, for example recounts references; may be nil.
	Check func(t testing.TB, s objectstore.Store)
}

// Run runs the whole suite.
func Run(t *testing.T, target Target) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			e := &env{tb: t, target: target, rng: rng, Store: target.New(t, rng)}
			c.run(e)
			e.finish()
		})
	}
	t.Run("random", func(t *testing.T) { runRandom(t, target) })
}

// env is one case under way.
type env struct {
	objectstore.Store
	tb     testing.TB
	target Target
	rng    *rand.Rand
}

func (e *env) Helper()                           { e.tb.Helper() }
func (e *env) Fatal(args ...any)                 { e.Helper(); e.tb.Fatal(args...) }
func (e *env) Fatalf(format string, args ...any) { e.Helper(); e.tb.Fatalf(format, args...) }
func (e *env) Error(args ...any)                 { e.Helper(); e.tb.Error(args...) }
func (e *env) Errorf(format string, args ...any) { e.Helper(); e.tb.Errorf(format, args...) }

func (e *env) finish() {
	e.Helper()
	if e.target.Check != nil {
		e.target.Check(e.tb, e.Store)
	}
	if err := e.Close(); err != nil {
		e.Fatalf("close: %v", err)
	}
}

// do submits and waits.
func (e *env) do(fill func(*objectstore.Transaction)) {
	e.Helper()
	if err := Do(e.Store, fill); err != nil {
		e.Fatalf("transaction: %v", err)
	}
}

// fails submits what must be refused with the given error and leave no trace.
func (e *env) fails(want error, fill func(*objectstore.Transaction)) {
	e.Helper()
	var t objectstore.Transaction
	fill(&t)
	err := e.Submit(&t, func(error) { e.Error("done of a refused transaction was called") })
	if !errors.Is(err, want) {
		e.Fatalf("want error %v, got %v", want, err)
	}
}

// reopen closes and opens the store if it outlives that.
func (e *env) reopen() {
	e.Helper()
	if e.target.Reopen != nil {
		e.Store = e.target.Reopen(e.tb, e.Store, e.rng)
	}
}

// Do submits one transaction and waits until it is durable.
func Do(s objectstore.Store, fill func(*objectstore.Transaction)) error {
	var t objectstore.Transaction
	fill(&t)
	ch := make(chan error, 1)
	if err := s.Submit(&t, func(err error) { ch <- err }); err != nil {
		return err
	}
	return <-ch
}

// Barrier waits until everything submitted so far is done.
func Barrier(s objectstore.Store) error {
	return Do(s, func(*objectstore.Transaction) {})
}

func runRandom(t *testing.T, target Target) {
	if *seedFlag != 0 {
		runSeed(t, target, *seedFlag)
		return
	}
	for seed := range uint64(*seedsFlag) {
		t.Run(fmt.Sprint(seed+1), func(t *testing.T) { runSeed(t, target, seed+1) })
	}
}

// run is one random history against the model.
type run struct {
	env
	model *memstore.Store
	gen   *Generator

	mu        sync.Mutex
	submitted int
	done      int
}

func runSeed(t *testing.T, target Target, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 77))
	r := &run{model: memstore.New(memstore.Options{})}
	r.env = env{tb: t, target: target, rng: rng, Store: target.New(t, rng)}
	r.gen = NewGenerator(rng, r.model, GeneratorOptions{
		Objects: 2 + rng.IntN(12), MaxBytes: 16<<10 + rng.Uint64N(512<<10),
		MaxOps: 1 + rng.IntN(8), Invalid: true, LargeWrite: rng.Uint64N(2 << 20),
	})
	for step := range *stepsFlag {
		if err := r.step(); err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, err)
		}
	}
	if err := r.settle(); err != nil {
		t.Fatalf("seed %d, at the end: %v", seed, err)
	}
	r.finish()
	r.model.Close()
}

// step submits one transaction and looks at what it touched.
func (r *run) step() error {
	t := r.gen.Next()
	want := r.model.Submit(t, nil)
	got := r.submit(t)
	if !sameError(want, got) {
		return fmt.Errorf("submit %v: want %v, got %v", describe(t), want, got)
	}
	for i := range t.Ops {
		op := &t.Ops[i]
		if err := CompareObject(r.model, r, op.Coll, op.Object); err != nil {
			return fmt.Errorf("after %v: object %v: %w", describe(t), op.Object, err)
		}
		if err := r.compareRange(op); err != nil {
			return fmt.Errorf("after %v: object %v: %w", describe(t), op.Dest, err)
		}
	}
	switch r.rng.IntN(60) {
	case 0:
		return r.settle()
	case 1:
		if err := r.settle(); err != nil {
			return err
		}
		r.reopen()
		return Compare(r.model, r, 1+r.rng.IntN(5))
	case 2:
		return Barrier(r)
	}
	return nil
}

// compareRange reads a part of the destination.
func (r *run) compareRange(op *objectstore.Op) error {
	o := op.Dest
	if o == (ceph.HObject{}) {
		o = op.Object
	}
	if !r.gen.exists(op.Coll, o) {
		return nil
	}
	off, length := r.gen.offset(), r.gen.length()
	return CompareRead(r.model, r, op.Coll, o, off, length)
}

// submit counts done calls, which must come in order. What the transaction held is no longer there
// after that.
func (r *run) submit(t *objectstore.Transaction) error {
	r.mu.Lock()
	n := r.submitted
	r.mu.Unlock()
	own := deepCopy(t)
	err := r.Submit(own, func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		scribble(own)
		if err != nil || r.done != n {
			r.Errorf("done of transaction %d came as number %d with %v", n, r.done, err)
		}
		r.done++
	})
	if err == nil {
		r.mu.Lock()
		r.submitted++
		r.mu.Unlock()
	}
	return err
}

// deepCopy copies a transaction with the bytes in it.
func deepCopy(t *objectstore.Transaction) *objectstore.Transaction {
	out := &objectstore.Transaction{Ops: slices.Clone(t.Ops)}
	for i := range out.Ops {
		op := &out.Ops[i]
		op.Data = bytes.Clone(op.Data)
		op.Pairs = maps.Clone(op.Pairs)
		for k, v := range op.Pairs {
			op.Pairs[k] = bytes.Clone(v)
		}
	}
	return out
}

// scribble destroys the bytes of a transaction, as their next user will.
func scribble(t *objectstore.Transaction) {
	fill := func(b []byte) {
		for i := range b {
			b[i] = 0xdb
		}
	}
	for i := range t.Ops {
		fill(t.Ops[i].Data)
		for _, v := range t.Ops[i].Pairs {
			fill(v)
		}
	}
}

// settle waits, audits and compares everything.
func (r *run) settle() error {
	if err := Barrier(r); err != nil {
		return err
	}
	r.mu.Lock()
	if r.done != r.submitted {
		r.Errorf("%d of %d done after a barrier", r.done, r.submitted)
	}
	r.mu.Unlock()
	if r.target.Check != nil {
		r.target.Check(r.tb, r.Store)
	}
	return Compare(r.model, r, 1+r.rng.IntN(5))
}

// sameError compares the errno of two errors.
func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return ceph.ResultOf(a) == ceph.ResultOf(b)
}

func describe(t *objectstore.Transaction) (list []string) {
	for i := range t.Ops {
		op := &t.Ops[i]
		list = append(list, fmt.Sprintf("%v(%v %v->%v %d+%d->%d)",
			op.Code, op.Coll, op.Object, op.Dest, op.Off, op.Len, op.DestOff))
	}
	return list
}
