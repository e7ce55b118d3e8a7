package rbd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
)

// The holder of an image's lock carries out what others ask for. A copy of a migration has to be
// asked for: a stock client that gives the lock up while it copies an object for a write of its
// own fails that write with EROFS.

// errHeld is the answer to who wants the lock of an image that another client migrates.
var errHeld = errors.New("another client holds the image's lock")

// remotePatience is how long the other client may say nothing (rbd_request_timed_out_seconds).
const remotePatience = 30 * time.Second

// A remote is what another client is doing for this one.
type remote struct {
	refused atomic.Bool // it can't: take the lock from it

	mu     sync.Mutex
	number uint64
	heard  chan notice.Message // of the request of the number; nil without one
}

// hear takes what the other client says of the request.
func (i *Image) hear(n notice.Message) {
	if n.Client != i.me() {
		return
	}
	i.remote.mu.Lock()
	defer i.remote.mu.Unlock()
	if i.remote.heard == nil || n.Request != i.remote.number {
		return
	}
	if n.Op == notice.AsyncComplete {
		select { // the last word matters more than those before
		case <-i.remote.heard:
		default:
		}
	}
	select {
	case i.remote.heard <- n:
	default:
	}
}

// haveMigrated has the lock's holder copy what the image's source has. It did not if copied is
// false: it can't, or does not hold the lock any more.
func (i *Image) haveMigrated(ctx context.Context, p Progress) (copied bool, err error) {
	heard := make(chan notice.Message, 1)
	r := &i.remote
	r.mu.Lock()
	r.number++
	r.heard = heard
	ask := notice.Message{Op: notice.Migrate, Client: i.me(), Request: r.number}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.heard = nil
		r.mu.Unlock()
	}()
	if ok, err := i.askRemote(ctx, ask); !ok {
		return false, err
	}
	for {
		silence := time.NewTimer(remotePatience)
		select {
		case n := <-heard:
			silence.Stop()
			switch {
			case n.Op == notice.AsyncComplete && n.Result == ceph.EOLDSNAPC.Result(): // ERESTART
				return false, nil // it has lost the lock
			case n.Op == notice.AsyncComplete && n.Result < 0:
				return false, fmt.Errorf("the lock's holder copies: %w", ceph.Errno(-n.Result))
			case n.Op == notice.AsyncComplete:
				return true, nil
			case p != nil:
				p(n.Done, n.Total)
			}
		case <-silence.C:
			return false, nil
		case <-ctx.Done():
			silence.Stop()
			return false, ctx.Err()
		}
	}
}

// askRemote tells the lock's holder what to do, and whether it does it.
func (i *Image) askRemote(ctx context.Context, ask notice.Message) (bool, error) {
	got, err := i.x.Notify(ctx, layout.HeaderPrefix+i.id, ask.Encode(), notice.Timeout)
	if err != nil && !errors.Is(err, ceph.ETIMEDOUT) {
		return false, fmt.Errorf("ask the lock's holder: %w", err)
	}
	for _, a := range got.Acks {
		result, ok := notice.ParseResponse(a.Reply)
		switch {
		case !ok:
		case result == ceph.EOPNOTSUPP.Result():
			i.remote.refused.Store(true)
			return false, nil
		case result < 0:
			return false, fmt.Errorf("the lock's holder refuses: %w", ceph.Errno(-result))
		default:
			return true, nil
		}
	}
	t := time.NewTimer(waitForLock) // nobody holds it now
	defer t.Stop()
	select {
	case <-i.lock.poked:
	case <-t.C:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return false, nil
}
