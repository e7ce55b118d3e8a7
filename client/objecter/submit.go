package objecter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// An Op is one request: a vector of operations on one object, or on a PG. It must not be changed
// from Submit until it is done. Its operations carry no answers: those are in the reply's.
type Op struct {
	Pool      int64
	Namespace string
	Key       string // locator key; empty: the name places the object
	Object    string
	PG        *ceph.PGID // for operations on a PG; the seed may be a full hash
	Ops       []message.OSDOp
	// Flags are message.FlagRead and FlagWrite as the caller means them, and others. With
	// FlagBalanceReads or FlagLocalizeReads a read goes to any copy, or the one nearest to
	// Options.Location; one that may not answer sends it to the primary.
	Flags   uint32
	Snap    ceph.SnapID // to read; 0 is the head
	SnapSeq ceph.SnapID
	Snaps   []ceph.SnapID
	MTime   ceph.Time // zero: now

	// Done takes the reply, or the error of a request that got none. A reply may be a refusal:
	// look at its Result. It is called once, from a connection's reading goroutine.
	Done func(*message.MOSDOpReply, error)

	tid      uint64
	target   target
	sess     *session
	attempts int32
	sent     bool // on the present connection
	redirect *message.Redirect
	begun    time.Time
	once     sync.Once
	fixed    bool // only for the present session: lost with it (watch pings)
}

func (op *Op) finish(r *message.MOSDOpReply, err error) {
	op.once.Do(func() { op.Done(r, err) })
}

func (op *Op) snap() ceph.SnapID {
	if op.Snap == 0 {
		return ceph.NoSnap
	}
	return op.Snap
}

// bytes is what the request counts against the bound of Do.
func (op *Op) bytes() (n int64) {
	for i := range op.Ops {
		o := &op.Ops[i]
		n += int64(len(o.In))
		if o.Code == message.OpRead || o.Code == message.OpSparseRead {
			_, length := o.Extent()
			n += int64(min(length, maxBytes/2))
		}
	}
	return min(n, maxBytes/2)
}

// admit waits until a request may be under way and returns what gives its place back.
func (o *Objecter) admit(ctx context.Context, op *Op) (release func(), err error) {
	size := op.bytes()
	if err := o.ops.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait for earlier requests: %w", err)
	}
	if err := o.size.Acquire(ctx, size); err != nil {
		o.ops.Release(1)
		return nil, fmt.Errorf("wait for earlier requests: %w", err)
	}
	return func() {
		o.ops.Release(1)
		o.size.Release(size)
	}, nil
}

// Async submits a request without waiting for the reply, which done takes from a connection's
// reading goroutine. A refusal is a ceph.Errno and comes with the reply. Requests that one
// goroutine starts go out in order. The context is for the wait to be admitted only.
func (o *Objecter) Async(
	ctx context.Context, op *Op, done func(*message.MOSDOpReply, error),
) error {
	release, err := o.admit(ctx, op)
	if err != nil {
		return err
	}
	op.Done = func(r *message.MOSDOpReply, err error) {
		if err == nil {
			err = ceph.ErrorOf(r.Result)
		}
		release()
		done(r, err)
	}
	o.Submit(op)
	return nil
}

// Do submits a request and waits for the reply. A refusal is a ceph.Errno and comes with the
// reply.
func (o *Objecter) Do(ctx context.Context, op *Op) (*message.MOSDOpReply, error) {
	release, err := o.admit(ctx, op)
	if err != nil {
		return nil, err
	}
	defer release()
	type answer struct {
		r   *message.MOSDOpReply
		err error
	}
	ch := make(chan answer, 1)
	op.Done = func(r *message.MOSDOpReply, err error) { ch <- answer{r, err} }
	o.Submit(op)
	select {
	case a := <-ch:
		if a.err == nil {
			a.err = ceph.ErrorOf(a.r.Result)
		}
		return a.r, a.err
	case <-ctx.Done():
		why := o.Cancel(op)
		select {
		case a := <-ch: // it was answered meanwhile
			if a.err == nil {
				a.err = ceph.ErrorOf(a.r.Result)
			}
			return a.r, a.err
		default:
		}
		return nil, fmt.Errorf("%s: %w", why, ctx.Err())
	}
}

// Submit sends a request. Its Done is called later, or from here if there is no client any more.
func (o *Objecter) Submit(op *Op) {
	op.begun = time.Now()
	if op.MTime == (ceph.Time{}) {
		op.MTime = ceph.TimeOf(op.begun)
	}
	for {
		o.mu.RLock()
		if o.closed {
			o.mu.RUnlock()
			op.finish(nil, ErrClosed)
			return
		}
		s := o.aim(op)
		if s == nil {
			o.mu.RUnlock()
			o.openSession(op.target.osd)
			continue
		}
		s.add(o, op)
		lost := op.target.lost
		wait := s.osd == noOSD || op.target.paused
		o.mu.RUnlock()
		if lost {
			go o.checkPool(op)
		}
		if wait {
			o.requestMap()
		}
		return
	}
}

// aim computes a request's target and its session, nil if the OSD has none yet. o.mu is held.
func (o *Objecter) aim(op *Op) *session {
	if o.state == nil {
		return o.homeless
	}
	o.state.aim(op)
	if op.target.pl == nil || op.target.osd == noOSD {
		return o.homeless
	}
	return o.sessions[op.target.osd]
}

// checkPool ends a request to a pool that the monitors' newest map does not have either.
func (o *Objecter) checkPool(op *Op) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() {
		select {
		case <-o.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	if _, err := o.WaitLatestMap(ctx); err != nil {
		return // the next map decides
	}
	o.mu.RLock()
	lost := op.target.lost
	o.mu.RUnlock()
	if lost && o.remove(op) {
		op.finish(nil, fmt.Errorf("there is no pool %d: %w", op.Pool, ceph.ENOENT))
	}
}

// Cancel gives a request up and says what it was waiting for. It may still take effect.
func (o *Objecter) Cancel(op *Op) string {
	o.mu.RLock()
	why := op.waitsFor(o.state)
	o.mu.RUnlock()
	if o.remove(op) {
		op.once.Do(func() {})
	}
	return why
}

// waitsFor describes the state of a request for an error; o.mu is held.
func (op *Op) waitsFor(s *mapState) string {
	switch t := &op.target; {
	case s == nil:
		return "no osdmap has arrived from the monitors"
	case t.lost:
		return fmt.Sprintf("pool %d is not known", op.Pool)
	case t.paused && op.Flags&message.FlagWrite != 0:
		return "writes wait: the cluster or the pool is full or paused (see ceph health)"
	case t.paused:
		return "reads are paused (see ceph osd unset pause)"
	case t.pl == nil || t.osd == noOSD:
		return "no OSD that holds the object is up (see ceph health)"
	default:
		return fmt.Sprintf("osd.%d does not answer for pg %v", t.osd, t.pl.spg)
	}
}

// remove takes a request out of its session; false if it was answered meanwhile.
func (o *Objecter) remove(op *Op) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	s := op.sess
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ops[op.tid] != op {
		return false
	}
	delete(s.ops, op.tid)
	return true
}

func (o *Objecter) handleReply(conn *msgr.Conn, tid uint64, r *message.MOSDOpReply) {
	s := o.sessionOf(conn)
	if s == nil {
		return
	}
	s.mu.Lock()
	op := s.ops[tid]
	if op == nil || s.conn != conn || r.Retry >= 0 && r.Retry != op.attempts-1 {
		s.mu.Unlock()
		return
	}
	delete(s.ops, tid)
	s.mu.Unlock()
	switch {
	case r.Redirect != nil:
		op.redirect = r.Redirect
		if op.redirect.Object == "" {
			op.redirect.Object = op.Object
		}
		op.resubmit(o)
	case errors.Is(ceph.ErrorOf(r.Result), ceph.EAGAIN) && !op.fixed:
		op.Flags &^= message.FlagBalanceReads | message.FlagLocalizeReads
		op.resubmit(o)
	default:
		op.finish(r, nil)
	}
}

// resubmit sends a request that was answered once more under a new number.
func (op *Op) resubmit(o *Objecter) {
	op.tid, op.attempts, op.sess, op.target = 0, 0, nil, target{}
	o.Submit(op)
}

// message builds what is sent. The caller holds the session's lock.
func (op *Op) message(epoch ceph.Epoch) *message.Message {
	flags := op.Flags | message.FlagOnDisk | message.FlagKnownRedirect
	if op.redirect != nil {
		flags |= message.FlagRedirected | message.FlagIgnoreCache | message.FlagIgnoreOverlay
	}
	if op.attempts > 0 {
		flags |= message.FlagRetry
	}
	pg := op.target.pl.spg
	m := &message.MOSDOp{
		PG: pg, Hash: op.target.hash, Epoch: epoch, Flags: flags, MTime: op.MTime,
		Locator: ceph.Locator{Pool: pg.Pool, Key: op.Key, Namespace: op.namespace(), Hash: -1},
		Object:  op.Object, Ops: op.Ops, Snap: op.snap(), SnapSeq: op.SnapSeq, Snaps: op.Snaps,
		Retry: op.attempts, Features: ceph.FeaturesAll,
	}
	if r := op.redirect; r != nil {
		m.Object, m.Locator = r.Object, r.Locator
	}
	op.attempts++
	return &message.Message{TID: op.tid, Body: m, Priority: op.priority()}
}

func (op *Op) priority() uint16 {
	if op.fixed {
		return message.PriorityHigh
	}
	return 63 // osd_client_op_priority
}

func sortByTID(ops []*Op) {
	slices.SortFunc(ops, func(a, b *Op) int {
		switch {
		case a.tid < b.tid:
			return -1
		case a.tid > b.tid:
			return 1
		}
		return 0
	})
}
