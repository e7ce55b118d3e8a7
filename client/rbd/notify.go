package rbd

import (
	"context"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
)

// What clients of an image tell each other by notifications of its header (NotifyOp).
const (
	opAcquiredLock   = 0
	opReleasedLock   = 1
	opRequestLock    = 2
	opHeaderUpdate   = 3
	opAsyncProgress  = 4
	opAsyncComplete  = 5
	opFlatten        = 6
	opUpdateFeatures = 15
	opMigrate        = 16
	opQuiesce        = 18
	opUnquiesce      = 19
)

const notifyTimeout = 10 * time.Second

// A clientID is one watcher of an image (ClientId).
type clientID struct{ gid, handle uint64 }

// Denc is two u64.
func (c *clientID) Denc(d *denc.Coder) {
	d.U64(&c.gid)
	d.U64(&c.handle)
}

// A notice is a notification's payload (NotifyMessage), as far as we understand it.
type notice struct {
	op     uint32
	client clientID // of the lock messages
	force  bool     // of opRequestLock

	// Of what one client has another one do.
	request     uint64 // number of the client that asks
	done, total uint64 // of opAsyncProgress
	result      int32  // of opAsyncComplete
}

// Denc is version 7.
func (n *notice) Denc(c *denc.Coder) {
	s := c.Begin(7, 1)
	c.U32(&n.op)
	switch n.op {
	case opAcquiredLock, opReleasedLock:
		n.client.Denc(c)
	case opRequestLock:
		n.client.Denc(c)
		if c.Encoding() || s.Left() {
			c.Bool(&n.force)
		}
	case opMigrate, opQuiesce, opUnquiesce, opAsyncProgress, opAsyncComplete:
		n.client.Denc(c)
		c.U64(&n.request)
		switch n.op {
		case opAsyncProgress:
			c.U64(&n.done)
			c.U64(&n.total)
		case opAsyncComplete:
			c.I32(&n.result)
		}
	}
	s.End()
}

func (n notice) encode() []byte { return denc.Marshal(&n, ceph.FeaturesAll) }

// response is the answer to a request (ResponseMessage).
func response(result int32) []byte {
	return encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.I32(&result)
		s.End()
	})
}

// parseResponse reads an answer; false if there is none.
func parseResponse(b []byte) (int32, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var result int32
	err := decode(b, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.I32(&result)
		s.End()
	})
	return result, err == nil
}

// notifyHeader tells the other clients of an image to read its header again.
func notifyHeader(ctx context.Context, x *rados.IOCtx, id string) {
	_, _ = x.Notify(ctx, headerPrefix+id, notice{op: opHeaderUpdate}.encode(), notifyTimeout)
}

// register begins to listen to the other clients of the image.
func (i *Image) register(ctx context.Context) error {
	w, err := i.x.Watch(ctx, headerPrefix+i.id, i.notified, i.watchLost)
	if err != nil {
		return err
	}
	i.mu.Lock()
	i.watch = w
	i.mu.Unlock()
	return nil
}

// me is how other clients know us.
func (i *Image) me() clientID {
	i.mu.RLock()
	defer i.mu.RUnlock()
	id := clientID{gid: i.x.Cluster().InstanceID()}
	if i.watch != nil {
		id.handle = i.watch.Cookie()
	}
	return id
}

// notified handles what another client says. It runs on the watch's goroutine.
func (i *Image) notified(n *rados.Notification) {
	var m notice
	var reply []byte
	if err := denc.Unmarshal(n.Payload, &m, ceph.FeaturesAll); err != nil {
		m.op = ^uint32(0)
	}
	switch m.op {
	case opRequestLock:
		if i.lock.held() && m.client != i.me() {
			reply = response(0)
			go i.handOver()
		}
	case opReleasedLock, opAcquiredLock:
		i.lock.poke()
	case opHeaderUpdate:
		i.stale.Store(true)
	case opAsyncProgress, opAsyncComplete:
		i.hear(m)
	default:
		if m.op >= opFlatten && i.lock.held() {
			reply = response(ceph.EOPNOTSUPP.Result())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
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
