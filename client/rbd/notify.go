package rbd

import (
	"context"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
)

// register begins to listen to the other clients of the image.
func (i *Image) register(ctx context.Context) error {
	w, err := i.x.Watch(ctx, layout.HeaderPrefix+i.id, i.notified, i.watchLost)
	if err != nil {
		return err
	}
	i.mu.Lock()
	i.watch = w
	i.mu.Unlock()
	return nil
}

// me is how other clients know us.
func (i *Image) me() notice.Client {
	i.mu.RLock()
	defer i.mu.RUnlock()
	id := notice.Client{GID: i.x.Cluster().InstanceID()}
	if i.watch != nil {
		id.Handle = i.watch.Cookie()
	}
	return id
}

// notified handles what another client says. It runs on the watch's goroutine.
func (i *Image) notified(n *rados.Notification) {
	var m notice.Message
	var reply []byte
	if err := denc.Unmarshal(n.Payload, &m, ceph.FeaturesAll); err != nil {
		m.Op = ^uint32(0)
	}
	switch m.Op {
	case notice.RequestLock:
		if i.lock.held() && m.Client != i.me() {
			reply = notice.Response(0)
			go i.handOver()
		}
	case notice.ReleasedLock, notice.AcquiredLock:
		i.lock.poke()
	case notice.HeaderUpdate:
		i.stale.Store(true)
	case notice.AsyncProgress, notice.AsyncComplete:
		i.hear(m)
	default:
		if m.Op >= notice.Flatten && i.lock.held() {
			reply = notice.Response(ceph.EOPNOTSUPP.Result())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), notice.Timeout)
	defer cancel()
	_ = n.Ack(ctx, reply) // who asked waits for its timeout otherwise
}

// watchLost registers again after the watch was lost, and drops the lock, which was tied to it.
func (i *Image) watchLost(error) {
	select {
	case <-i.done:
		return
	default:
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		again := func(f func() error) bool { // until it succeeds; false when that is too late
			for f() != nil {
				select {
				case <-time.After(time.Second):
				case <-i.done:
					return false
				case <-ctx.Done():
					return false
				}
			}
			return true
		}
		again(func() error { return i.lock.release(ctx, i, false) })
		if again(func() error { return i.register(ctx) }) {
			i.stale.Store(true)
		}
	}()
}

// handOver releases the lock because another client asked for it, and says so. If the cache cannot
// be written back the lock stays, and the other client asks again.
func (i *Image) handOver() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = i.lock.release(ctx, i, true)
}
