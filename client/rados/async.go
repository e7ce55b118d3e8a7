package rados

import (
	"context"
	"sync"

	"glue/wire/message"
)

// A Pending is a vector of changes, or of reads, that was started.
type Pending struct {
	done chan struct{}
	err  error
}

// Done is closed when the cluster has answered.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Err is the answer; nil before there is one.
func (p *Pending) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Wait waits for the answer. If the context ends first the changes may still take effect.
func (p *Pending) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A flight counts what was started with an IOCtx and those made of it.
type flight struct {
	mu   sync.Mutex
	list map[*Pending]struct{}
}

func (f *flight) add(p *Pending) {
	f.mu.Lock()
	if f.list == nil {
		f.list = map[*Pending]struct{}{}
	}
	f.list[p] = struct{}{}
	f.mu.Unlock()
}

func (f *flight) remove(p *Pending) {
	f.mu.Lock()
	delete(f.list, p)
	f.mu.Unlock()
}

func (f *flight) snapshot() []*Pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*Pending, 0, len(f.list))
	for p := range f.list {
		out = append(out, p)
	}
	return out
}

// Start sends a vector of changes and does not wait for the answer. Vectors that one goroutine
// starts on one object take effect in that order, across failures of OSDs as well. It blocks while
// too much is under way; the context is for that wait only. w must not be used again before the
// answer.
func (x *IOCtx) Start(ctx context.Context, oid string, w *WriteOp) (*Pending, error) {
	return x.start(ctx, oid, message.FlagWrite|w.flags, w.ops, w.finish)
}

// StartRead sends a vector of reads and does not wait for the answer; then the results are in what
// the ReadOp's methods returned. It is ordered behind what was started on the object before only
// with WithOrderedReads.
func (x *IOCtx) StartRead(ctx context.Context, oid string, r *ReadOp) (*Pending, error) {
	return x.start(ctx, oid, message.FlagRead|r.flags, r.ops, r.finish)
}

func (x *IOCtx) start(
	ctx context.Context, oid string, flags uint32, ops []message.OSDOp,
	finish func(*message.MOSDOpReply, error) error,
) (*Pending, error) {
	op, err := x.request(oid, flags, ops)
	if err != nil {
		return nil, err
	}
	p := &Pending{done: make(chan struct{})}
	x.flight.add(p)
	err = x.c.obj.Async(ctx, op, func(r *message.MOSDOpReply, err error) {
		p.err = finish(r, err)
		x.flight.remove(p)
		close(p.done)
	})
	if err != nil {
		x.flight.remove(p)
		return nil, err
	}
	return p, nil
}

// Flush waits for all that was started before with this IOCtx or one that With methods made of the
// same OpenPool. It does not report their errors: those are with each Pending.
func (x *IOCtx) Flush(ctx context.Context) error {
	for _, p := range x.flight.snapshot() {
		select {
		case <-p.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
