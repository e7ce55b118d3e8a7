package rados

import (
	"context"
	"sync"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/objecter"
	"glue/wire/message"
)

// A Notification is what a watcher gets.
type Notification struct {
	objecter.Notification
	x   *IOCtx
	oid string
}

// Ack answers the notification; the notifier waits for it until its timeout.
func (n *Notification) Ack(ctx context.Context, reply []byte) error {
	return n.x.c.obj.Ack(ctx, n.x.target(n.oid), n.Notification, reply)
}

// A Watch is a registration for the notifications of an object.
type Watch struct{ l *objecter.Linger }

// Watch registers for the notifications of an object. notify is called for each, one at a time,
// and must Ack; failed, which may be nil, is called once if the watch is lost (ENOTCONN).
func (x *IOCtx) Watch(
	ctx context.Context, oid string, notify func(*Notification), failed func(error),
) (*Watch, error) {
	l, err := x.c.obj.Watch(ctx, x.target(oid), 0, objecter.Watcher{
		Notify: func(n objecter.Notification) {
			notify(&Notification{Notification: n, x: x, oid: oid})
		},
		Error: failed,
	})
	if err != nil {
		return nil, err
	}
	return &Watch{l: l}, nil
}

// Cookie tells the watches of this connection apart.
func (w *Watch) Cookie() uint64 { return w.l.Cookie() }

// Check is how long ago the watch was last known to be good; ENOTCONN if it is lost.
func (w *Watch) Check() (time.Duration, error) { return w.l.Check() }

// Close ends the watch.
func (w *Watch) Close(ctx context.Context) error { return w.l.Unwatch(ctx) }

// NotifyTimeout is how long Notify waits for the watchers by default (client_notify_timeout).
const NotifyTimeout = 10 * time.Second

// Notify tells all watchers of an object and gathers their answers, for at most timeout (0:
// NotifyTimeout). If some did not answer the error is ETIMEDOUT and the result says who.
func (x *IOCtx) Notify(
	ctx context.Context, oid string, payload []byte, timeout time.Duration,
) (message.NotifyResult, error) {
	if timeout == 0 {
		timeout = NotifyTimeout
	}
	return x.c.obj.Notify(ctx, x.target(oid), payload, timeout)
}

// A WatcherInfo is one watch of an object (obj_watch_t).
type WatcherInfo struct {
	Name       ceph.EntityName
	Cookie     uint64
	TimeoutSec uint32
	Addr       ceph.Addr
}

// Watchers lists the watches of an object.
func (x *IOCtx) Watchers(ctx context.Context, oid string) ([]WatcherInfo, error) {
	r, err := x.one(ctx, oid, message.FlagRead, message.OSDOp{Code: message.OpListWatchers})
	if err != nil {
		return nil, err
	}
	var out []WatcherInfo
	err = parse(&r, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		denc.ListFunc(c, &out, func(c *denc.Coder, w *WatcherInfo) {
			s := c.Begin(2, 1)
			w.Name.Denc(c)
			c.U64(&w.Cookie)
			c.U32(&w.TimeoutSec)
			if s.V >= 2 {
				w.Addr.Denc(c)
			}
			s.End()
		})
		s.End()
	})
	return out, err
}

// A StandingWatch is a watch that is registered again when it is lost.
type StandingWatch struct {
	x      *IOCtx
	oid    string
	notify func(*Notification)
	again  func()
	stop   context.CancelFunc
	ctx    context.Context // ends with Close
	lost   chan struct{}
	ended  chan struct{}

	mu sync.Mutex
	w  *Watch
}

// rewatchEvery is how long to wait between tries to register a lost watch.
const rewatchEvery = time.Second

// WatchAlways is Watch for as long as it is not closed: when the watch is lost, because the object
// was removed or we were cut off for too long, it is registered again as soon as that is
// possible. again, which may be nil, is called after each such time: notifications may have been
// missed, so look at the object's state.
func (x *IOCtx) WatchAlways(
	ctx context.Context, oid string, notify func(*Notification), again func(),
) (*StandingWatch, error) {
	s := &StandingWatch{x: x, oid: oid, notify: notify, again: again,
		lost: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := s.register(ctx); err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	go s.run()
	return s, nil
}

func (s *StandingWatch) register(ctx context.Context) error {
	w, err := s.x.Watch(ctx, s.oid, s.notify, func(error) { s.lost <- struct{}{} })
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.w = w
	s.mu.Unlock()
	return nil
}

// run registers the watch again whenever it was lost, until Close.
func (s *StandingWatch) run() {
	defer close(s.ended)
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.lost:
		}
		for s.register(s.ctx) != nil {
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(rewatchEvery):
			}
		}
		if s.again != nil {
			s.again()
		}
	}
}

// Check is how long ago the watch was last known to be good; ENOTCONN while it is lost.
func (s *StandingWatch) Check() (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Check()
}

// Close ends the watch.
func (s *StandingWatch) Close(ctx context.Context) error {
	s.stop()
	<-s.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Close(ctx)
}
