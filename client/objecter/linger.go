package objecter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
	"glue/wire/msgr"
)

// pingEvery is how often a watch is pinged, pingTimeout after how long without an answer it is
// tried to reconnect it.
const (
	pingEvery   = 5 * time.Second
	pingTimeout = 15 * time.Second
)

// A Target names an object.
type Target struct {
	Pool      int64
	Namespace string
	Key       string
	Object    string
}

func (t Target) op(flags uint32, ops ...message.OSDOp) *Op {
	return &Op{Pool: t.Pool, Namespace: t.Namespace, Key: t.Key, Object: t.Object,
		Ops: ops, Flags: flags}
}

// A Notification is what a watcher gets. It must be acknowledged, or the notifier waits for its
// timeout.
type Notification struct {
	NotifyID, Cookie, NotifierGID uint64
	Payload                       []byte
}

// A Watcher takes the events of a watch, one at a time, from a goroutine of the watch's own.
type Watcher struct {
	Notify func(Notification)
	// Error reports that the watch is gone: ENOTCONN when the object was removed or the OSD did
	// not hear from us for too long. Register again if it is still wanted.
	Error func(error)
}

// A Linger is a watch, or a notification whose end is awaited.
type Linger struct {
	o       *Objecter
	target  Target
	cookie  uint64
	watch   bool
	watcher Watcher
	ended   chan notifyEnd // of a notification
	queue   events

	mu         sync.Mutex
	registered bool
	gen        uint32
	aim        target // where it is registered
	pinged     time.Time
	answered   time.Time
	failed     bool
	resend     func()
}

type notifyEnd struct {
	result message.NotifyResult
	err    error
}

// Cookie tells the watches of a client apart.
func (l *Linger) Cookie() uint64 { return l.cookie }

func (o *Objecter) newLinger(t Target) *Linger {
	o.lingerMu.Lock()
	defer o.lingerMu.Unlock()
	o.cookie++
	l := &Linger{o: o, target: t, cookie: o.cookie}
	o.lingers[l.cookie] = l
	return l
}

func (o *Objecter) dropLinger(l *Linger) {
	o.lingerMu.Lock()
	delete(o.lingers, l.cookie)
	o.lingerMu.Unlock()
	l.queue.close()
}

func (o *Objecter) lingerList() []*Linger {
	o.lingerMu.Lock()
	defer o.lingerMu.Unlock()
	out := make([]*Linger, 0, len(o.lingers))
	for _, l := range o.lingers {
		out = append(out, l)
	}
	return out
}

// takeBack is how long a watch that was given up while it was registered is taken back.
const takeBack = time.Second

// Watch registers for the notifications of an object until Unwatch. timeout is after which silence
// of ours the OSD forgets it; 0 is the OSD's default of 30 s.
func (o *Objecter) Watch(
	ctx context.Context, t Target, timeout time.Duration, w Watcher,
) (*Linger, error) {
	l := o.newLinger(t)
	l.watch, l.watcher = true, w
	l.queue.init()
	go l.queue.run()
	op := l.watchOp(message.WatchWatch, uint32(timeout/time.Second))
	if _, err := o.Do(ctx, op); err != nil {
		if ctx.Err() != nil { // the OSD may have it all the same
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBack)
			_ = l.Unwatch(bounded) // else the OSD forgets it when it hears nothing
			cancel()
		}
		o.dropLinger(l)
		return nil, err
	}
	l.registeredAt(op)
	return l, nil
}

func (l *Linger) watchOp(action uint8, timeoutSec uint32) *Op {
	w := message.OSDOp{Code: message.OpWatch}
	l.mu.Lock()
	w.SetWatch(message.WatchArgs{
		Cookie: l.cookie, Action: action, Generation: l.gen, TimeoutSec: timeoutSec,
	})
	l.mu.Unlock()
	return l.target.op(message.FlagRead|message.FlagWrite, w)
}

func (l *Linger) registeredAt(op *Op) {
	l.o.mu.RLock()
	aim := op.target
	l.o.mu.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.registered, l.aim, l.answered = true, aim, time.Now()
}

// Unwatch ends a watch.
func (l *Linger) Unwatch(ctx context.Context) error {
	l.o.dropLinger(l)
	l.mu.Lock()
	failed := l.failed
	l.mu.Unlock()
	if failed {
		return nil
	}
	_, err := l.o.Do(ctx, l.watchOp(message.WatchUnwatch, 0))
	if errors.Is(err, ceph.ENOENT) {
		return nil // the object is gone, and the watch with it
	}
	return err
}

// Check is how long ago the watch was last known to be good, or why it is not.
func (l *Linger) Check() (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed {
		return 0, ceph.ENOTCONN
	}
	return time.Since(l.answered), nil
}

// Ack answers a notification.
func (o *Objecter) Ack(ctx context.Context, t Target, n Notification, reply []byte) error {
	c := denc.NewEncoder(nil, 0)
	c.U64Const(n.NotifyID)
	c.U64Const(n.Cookie)
	c.Blob(&reply)
	_, err := o.Do(ctx, t.op(message.FlagRead,
		message.OSDOp{Code: message.OpNotifyAck, In: c.Bytes()}))
	return err
}

// Notify tells all watchers of an object and waits for their answers, at most for the timeout. If
// some did not answer in time the error is ETIMEDOUT and the result says who.
func (o *Objecter) Notify(
	ctx context.Context, t Target, payload []byte, timeout time.Duration,
) (message.NotifyResult, error) {
	l := o.newLinger(t)
	defer o.dropLinger(l)
	l.ended = make(chan notifyEnd, 1)
	c := denc.NewEncoder(nil, 0)
	c.U32Const(1)
	c.U32Const(uint32(max(timeout, time.Second) / time.Second))
	c.Blob(&payload)
	n := message.OSDOp{Code: message.OpNotify, In: c.Bytes()}
	n.SetCookie(l.cookie)
	register := func() error {
		op := t.op(message.FlagRead, n)
		if _, err := o.Do(ctx, op); err != nil {
			return err
		}
		l.registeredAt(op)
		return nil
	}
	l.resend = func() { go register() }
	if err := register(); err != nil {
		return message.NotifyResult{}, err
	}
	select {
	case e := <-l.ended:
		return e.result, e.err
	case <-ctx.Done():
		return message.NotifyResult{}, fmt.Errorf("wait for the watchers: %w", ctx.Err())
	}
}

// handleWatch takes an event of a watch or of a notification.
func (o *Objecter) handleWatch(conn *msgr.Conn, b *message.MWatchNotify, data []byte) {
	o.lingerMu.Lock()
	l := o.lingers[b.Cookie]
	o.lingerMu.Unlock()
	if l == nil {
		return
	}
	switch {
	case b.Event == message.WatchEventComplete && l.ended != nil:
		e := notifyEnd{err: ceph.ErrorOf(b.Result)}
		if len(data) > 0 {
			if err := denc.Unmarshal(data, &e.result, 0); err != nil {
				e.err = fmt.Errorf("answers of the watchers: %w", err)
			}
		}
		select {
		case l.ended <- e:
		default:
		}
	case b.Event == message.WatchEventNotify && l.watch:
		n := Notification{NotifyID: b.NotifyID, Cookie: b.Cookie, NotifierGID: b.NotifierGID,
			Payload: append([]byte(nil), b.Payload...)}
		l.queue.put(func() { l.watcher.Notify(n) })
	case b.Event == message.WatchEventDisconnect && l.watch && !l.elsewhere(conn):
		l.fail(ceph.ENOTCONN)
	}
}

// elsewhere says whether the watch is registered on another connection than this one: an OSD that
// was cut off from us may have ended what it had of it, and say so when it has moved since.
func (l *Linger) elsewhere(conn *msgr.Conn) bool {
	l.mu.Lock()
	registered, pl := l.registered, l.aim.pl
	l.mu.Unlock()
	if !registered || pl == nil {
		return false
	}
	l.o.mu.RLock()
	s := l.o.sessions[pl.osd]
	l.o.mu.RUnlock()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil && s.conn != conn
}

// fail reports the end of a watch once.
func (l *Linger) fail(err error) {
	if errors.Is(err, ceph.ENOENT) {
		err = ceph.ENOTCONN // the object is gone: the same to the watcher
	}
	l.mu.Lock()
	first := !l.failed
	l.failed = true
	l.mu.Unlock()
	if first && l.watcher.Error != nil {
		l.queue.put(func() { l.watcher.Error(err) })
	}
}

func (o *Objecter) failLingers(err error) {
	for _, l := range o.lingerList() {
		switch {
		case l.watch:
			l.fail(err)
		default:
			select {
			case l.ended <- notifyEnd{err: err}:
			default:
			}
		}
	}
}

// scanLingers renews the watches of PGs whose interval changed with the present map.
func (o *Objecter) scanLingers() {
	for _, l := range o.lingerList() {
		probe := l.target.op(message.FlagRead)
		l.mu.Lock()
		probe.target = l.aim
		wanted := l.registered && !l.failed
		l.mu.Unlock()
		o.mu.RLock()
		changed := o.state.aim(probe) || probe.target.lost
		o.mu.RUnlock()
		if wanted && changed {
			l.reconnect()
		}
	}
}

// reconnectLingers renews the watches at an OSD whose connection is new.
func (o *Objecter) reconnectLingers(osd int32) {
	for _, l := range o.lingerList() {
		l.mu.Lock()
		mine := l.registered && !l.failed && l.aim.pl != nil && l.aim.pl.osd == osd
		l.mu.Unlock()
		if mine {
			l.reconnect()
		}
	}
}

// reconnect tells the OSD that the watch lives on over a new connection, or sends a notification
// again.
func (l *Linger) reconnect() {
	if !l.watch {
		l.resend()
		return
	}
	l.mu.Lock()
	l.gen++
	gen := l.gen
	l.mu.Unlock()
	op := l.watchOp(message.WatchReconnect, 0)
	op.Done = func(r *message.MOSDOpReply, err error) {
		if err == nil {
			err = ceph.ErrorOf(r.Result)
		}
		l.mu.Lock()
		old := gen != l.gen
		l.mu.Unlock()
		switch {
		case old:
		case err != nil:
			l.fail(err)
		default:
			l.registeredAt(op)
		}
	}
	l.o.Submit(op)
}

// pingLingers tells the OSDs that the watches are alive.
func (o *Objecter) pingLingers(now time.Time) {
	for _, l := range o.lingerList() {
		l.mu.Lock()
		due := l.watch && l.registered && !l.failed && now.Sub(l.pinged) >= pingEvery
		late := due && now.Sub(l.answered) > pingTimeout
		if due {
			l.pinged = now
		}
		l.mu.Unlock()
		switch {
		case late:
			l.mu.Lock()
			l.answered = now
			l.mu.Unlock()
			l.reconnect()
		case due:
			l.ping(now)
		}
	}
}

func (l *Linger) ping(now time.Time) {
	op := l.watchOp(message.WatchPing, 0)
	op.Flags = message.FlagRead
	op.fixed = true
	l.mu.Lock()
	gen := l.gen
	l.mu.Unlock()
	op.Done = func(r *message.MOSDOpReply, err error) {
		if err == nil {
			err = ceph.ErrorOf(r.Result)
		}
		l.mu.Lock()
		old := gen != l.gen
		if err == nil && l.answered.Before(now) {
			l.answered = now
		}
		l.mu.Unlock()
		if err != nil && !old && !errors.Is(err, ErrClosed) {
			l.fail(err)
		}
	}
	l.o.Submit(op)
}

// events is a queue of callbacks, run one at a time.
type events struct {
	mu     sync.Mutex
	list   []func()
	ready  chan struct{}
	closed bool
}

func (e *events) init() { e.ready = make(chan struct{}, 1) }

func (e *events) put(f func()) {
	e.mu.Lock()
	if !e.closed {
		e.list = append(e.list, f)
	}
	e.mu.Unlock()
	e.wake()
}

func (e *events) wake() {
	if e.ready == nil {
		return
	}
	select {
	case e.ready <- struct{}{}:
	default:
	}
}

func (e *events) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.wake()
}

func (e *events) run() {
	for {
		e.mu.Lock()
		list, closed := e.list, e.closed
		e.list = nil
		e.mu.Unlock()
		for _, f := range list {
			f()
		}
		if closed {
			return
		}
		if len(list) == 0 {
			<-e.ready
		}
	}
}
