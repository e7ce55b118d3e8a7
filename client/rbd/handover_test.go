package rbd_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd"
)

// twoClients are the images of a new pool as two clients have them.
func twoClients(t *testing.T) (a, b *rbd.Store) {
	a = store(t, connect(t))
	return a, rbd.NewStore(connect(t).OpenPoolID(a.IO().PoolID()))
}

// TestCloseWhenAskedForTheLock: a client that closes an image just when another one asks for its
// lock is not taken for dead, which would cut it off from the cluster.
func TestCloseWhenAskedForTheLock(t *testing.T) {
	s := store(t, connect(t))
	ctx := within(t, 2*time.Minute)
	want(t, "create", s.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	var all sync.WaitGroup
	for range 4 {
		mine := rbd.NewStore(connect(t).OpenPoolID(s.IO().PoolID()))
		all.Go(func() {
			for range 25 {
				i, err := mine.Open(ctx, "i", false)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				_, err = i.Write(ctx, []byte("x"), 0)
				want(t, "write", err, nil)
				want(t, "close", i.Close(ctx), nil)
			}
		})
	}
	all.Wait()
}

// TestLockChangesHands: a client that writes all the time gives the lock to one that asks for it
// rather than take it back before that one hears that it is free.
func TestLockChangesHands(t *testing.T) {
	a, b := twoClients(t)
	ctx := within(t, 2*time.Minute)
	want(t, "create", a.Create(ctx, "i", rbd.CreateOptions{Size: 1 << 20}), nil)
	i, other := open(t, a, "i"), open(t, b, "i")
	var mu sync.Mutex
	asked := 0
	w, err := a.IO().Watch(ctx, "rbd_header."+i.ID(), func(n *rados.Notification) {
		var op uint32
		c := denc.NewDecoder(n.Payload, 0)
		s := c.Begin(7, 1)
		if c.U32(&op); op == 2 { // the lock is asked for
			mu.Lock()
			asked++
			mu.Unlock()
		}
		_ = s
		_ = n.Ack(ctx, nil)
	}, nil)
	want(t, "watch", err, nil)
	var busy sync.WaitGroup
	stop, wrote := make(chan struct{}), make(chan struct{})
	busy.Go(func() {
		defer close(wrote)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := i.Write(ctx, []byte("x"), 0); err != nil {
				t.Error(err)
				return
			}
			select {
			case wrote <- struct{}{}: // somebody waits for it
			default:
			}
		}
	})
	const turns = 20
	for n := range turns {
		_, err := other.Write(ctx, fmt.Append(nil, n), 0)
		want(t, "write", err, nil)
		<-wrote // this write may have come before,
		<-wrote // for this one the first client took the lock back
	}
	close(stop)
	busy.Wait()
	want(t, "end to watch", w.Close(ctx), nil)
	want(t, "close", other.Close(ctx), nil)
	want(t, "close", i.Close(ctx), nil)
	if asked < turns/2 || asked > 5*turns {
		t.Errorf("the lock was asked for %d times to change hands %d times each way", asked, turns)
	}
}
