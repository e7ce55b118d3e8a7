package striper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/client/rados"
)

// The lock on the first object. Holders of a shared one have the same tag as libradosstriper.
const (
	lockName  = "striper.lock"
	sharedTag = "Tag"
)

// inFlight is how many changes of objects one call has under way at most, and graceful how long a
// call whose context has ended waits for its lock to be released.
const (
	inFlight = 64
	graceful = 5 * time.Second
)

// ErrBroken says that a call had no lock at its end any more, as somebody had broken it: a Truncate
// or Remove may have come in between.
var ErrBroken = errors.New("the lock was broken meanwhile")

// A hold is the lock that one call has on a striped object, and the changes that it has under way.
// The lock is released when all of them are answered, so that none takes effect later, be the
// caller waiting or not.
type hold struct {
	s      *Striper
	name   string
	cookie string
	kind   uint8
	sent   []*rados.Pending
}

// take runs a vector on the first object that locks it as well.
func (s *Striper) take(
	ctx context.Context, name string, kind uint8, w *rados.WriteOp,
) (*hold, error) {
	h := &hold{s: s, name: name, cookie: rand.Text(), kind: kind}
	l := rados.Lock{Name: lockName, Cookie: h.cookie, Kind: kind}
	if kind == rados.LockShared {
		l.Tag = sharedTag
	}
	p, err := s.x.Start(ctx, h.first(), w.Exec("lock", "lock", l.Encode()))
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Done():
		return h, p.Err()
	case <-ctx.Done():
		h.sent = append(h.sent, p)
		h.release(ctx)
		return nil, ctx.Err()
	}
}

// takeForWrite takes the shared lock, and makes the striped object, size bytes long, if it is not
// there: then it returns that it did.
func (s *Striper) takeForWrite(
	ctx context.Context, name string, size uint64,
) (h *hold, created bool, err error) {
	for {
		h, err = s.take(ctx, name, rados.LockShared, new(rados.WriteOp).AssertExists())
		if !errors.Is(err, ceph.ENOENT) {
			return h, false, err
		}
		h, err = s.take(ctx, name, rados.LockShared, s.creation(size))
		if !errors.Is(err, ceph.EEXIST) {
			return h, err == nil, err
		}
	}
}

func (h *hold) first() string { return ObjectName(h.name, 0) }

// release releases the lock.
func (h *hold) release(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		ctx := context.WithoutCancel(ctx)
		for _, p := range h.sent {
			p.Wait(ctx) // who started it has seen the error
		}
		done <- h.s.x.Unlock(ctx, h.first(), lockName, h.cookie)
	}()
	select {
	case err := <-done:
		switch {
		case errors.Is(err, ceph.ENOENT):
			return ErrBroken
		case err != nil:
			return fmt.Errorf("unlock: %w", err)
		}
		return nil
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(graceful):
	}
	return ctx.Err()
}

// change starts a change of an object.
func (h *hold) change(ctx context.Context, object uint64, w *rados.WriteOp) error {
	if len(h.sent) == inFlight {
		if err := h.answer(ctx, h.sent[0]); err != nil {
			return err
		}
		h.sent = h.sent[1:]
	}
	p, err := h.s.x.Start(ctx, ObjectName(h.name, object), w)
	if err == nil {
		h.sent = append(h.sent, p)
	}
	return err
}

// answer waits for a change. An object to be removed need not be there.
func (h *hold) answer(ctx context.Context, p *rados.Pending) error {
	err := p.Wait(ctx)
	if h.kind == rados.LockExclusive && errors.Is(err, ceph.ENOENT) {
		return nil
	}
	return err
}

// settle waits for all changes.
func (h *hold) settle(ctx context.Context) error {
	for _, p := range h.sent {
		if err := h.answer(ctx, p); err != nil {
			return err
		}
	}
	h.sent = nil
	return nil
}
