package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
)

// A Record is an entry of an open journal.
type Record struct {
	entry
	object uint64 // where it is

	sent      bool // it is on its way, or was
	stored    bool
	void      bool // it says nothing any more, but its number must be there
	committed bool
	done      chan struct{} // closed when it is safe, or failed
	err       error         // why it failed; then it is not to be committed
}

// A lane is what is to be appended to the objects with one number modulo the width. One append of a
// lane is under way at a time, so that its entries are in order.
type lane struct {
	set   uint64 // of the object that is appended to
	bytes uint64 // that were appended to it
	queue []*Record
	busy  bool
}

// eventBytes is more than what a Write event takes besides its data.
const eventBytes = 64

// Writes are the events of a write of p at off: several if it is large.
func (j *Journal) Writes(off uint64, p []byte) []Event {
	var out []Event
	for n := j.maxData - eventBytes; ; p = p[n:] {
		n = min(n, len(p))
		out = append(out, Event{Kind: Write, Off: off, Len: uint64(n), Data: p[:n:n]})
		if off += uint64(n); n == len(p) {
			return out
		}
	}
}

// Fits says whether an event with so many bytes of data can be one entry.
func (j *Journal) Fits(n int) bool { return n <= int(j.objectBytes())-fixedBytes-2*eventBytes }

// Append adds events and returns when they are safe. What failed is not in the journal for anyone,
// or will be carried out by who opens it next.
func (j *Journal) Append(ctx context.Context, events []Event) ([]*Record, error) {
	now := ceph.TimeOf(time.Now())
	records := make([]*Record, len(events))
	for n := range events {
		e := events[n]
		e.Time = now
		records[n] = &Record{done: make(chan struct{})}
		if records[n].data = denc.Marshal(&e, ceph.FeaturesAll); !j.Fits(len(records[n].data)) {
			return nil, fmt.Errorf("an event of %d bytes is too large for the image's journal: %w",
				len(records[n].data), ceph.EINVAL)
		}
	}
	if err := j.enqueue(records); err != nil || len(records) == 0 {
		return nil, err
	}
	var err error
	last := records[len(records)-1]
	select {
	case <-last.done:
		err = last.err
	case <-ctx.Done():
		err = ctx.Err()
		j.giveUp(records, err)
	}
	if err != nil {
		return nil, fmt.Errorf("write to the image's journal: %w", err)
	}
	return records, nil
}

// enqueue numbers records and begins to append them, and what an earlier failure has left.
func (j *Journal) enqueue(records []*Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errClosed
	}
	for _, r := range records {
		r.tag, r.tid = j.last.TID, j.nextTID
		l := &j.lanes[r.tid%uint64(j.width)]
		l.queue = append(l.queue, r)
		j.nextTID++
	}
	j.unsafe = append(j.unsafe, records...)
	j.pending = append(j.pending, records...)
	for n := range j.lanes {
		if l := &j.lanes[n]; len(l.queue) > 0 && !l.busy {
			l.busy = true
			go j.run(n)
		}
	}
	return nil
}

// run appends what is in a lane's queue.
func (j *Journal) run(n int) {
	ctx := context.Background() // the entries' numbers have to be there, whoever waits for them
	l := &j.lanes[n]
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() { l.busy = false }()
	for len(l.queue) > 0 {
		batch, b := j.batch(l, n)
		var err error = ceph.EOVERFLOW
		if len(batch) > 0 {
			object := batch[0].object
			j.mu.Unlock()
			err = j.append(ctx, object, b)
			j.mu.Lock()
		}
		switch {
		case err == nil:
			l.queue = l.queue[len(batch):]
			for _, r := range batch {
				r.stored = true
			}
			j.settle()
			continue
		case errors.Is(err, ceph.EOVERFLOW):
			err = j.move(ctx, l)
		}
		if err != nil {
			for _, r := range batch {
				r.sent = false
			}
			j.fail(err)
			return
		}
	}
}

// batch is the beginning of a lane's queue that goes into its object, as bytes.
func (j *Journal) batch(l *lane, n int) (batch []*Record, b []byte) {
	if l.set < j.active {
		l.set, l.bytes = j.active, 0
	}
	for k, r := range l.queue {
		if l.bytes+uint64(len(b)+fixedBytes+len(r.data)) > j.objectBytes() {
			break
		}
		b = r.append(b)
		r.object, r.sent = l.set*uint64(j.width)+uint64(n), true
		batch = l.queue[:k+1]
	}
	l.bytes += uint64(len(b))
	return batch, b
}

// append adds bytes to a data object; EOVERFLOW if it is full.
func (j *Journal) append(ctx context.Context, object uint64, b []byte) error {
	limit := j.objectBytes()
	op := new(rados.WriteOp).Exec("journal", "append", class.Encode(func(c *denc.Coder) {
		c.U64(&limit)
		c.Blob(&b)
	}))
	return j.data.Operate(ctx, objectName(j.x, j.id, object), op)
}

// move makes the set after a lane's the active one, unless another lane did.
func (j *Journal) move(ctx context.Context, l *lane) error {
	for j.moving && l.set >= j.active {
		wait := j.moved
		j.mu.Unlock()
		<-wait
		j.mu.Lock()
	}
	if l.set < j.active {
		return nil
	}
	next := j.active + 1
	j.moving = true
	j.mu.Unlock()
	op := new(rados.WriteOp).Exec("journal", "set_active_set", class.U64(next))
	err := j.x.Operate(ctx, prefix+j.id, op)
	if errors.Is(err, ceph.ESTALE) { // another client moved it further
		err = call(ctx, j.x, j.id, "get_active_set", nil, func(c *denc.Coder) { c.U64(&next) })
	}
	if err == nil {
		j.tell()
	}
	j.mu.Lock()
	if err == nil {
		j.active = max(j.active, next)
	}
	j.moving = false
	close(j.moved)
	j.moved = make(chan struct{})
	return err
}

// settle finds out what has become safe.
func (j *Journal) settle() {
	n := 0
	for ; n < len(j.unsafe) && j.unsafe[n].stored; n++ {
		r := j.unsafe[n]
		if r.void {
			r.committed = true
		}
		if r.err == nil {
			close(r.done)
		}
	}
	j.unsafe = j.unsafe[n:]
	j.advance()
}

// fail gives up what is not safe: what comes after an entry that could not be stored never is
// before that was stored. What is not on its way becomes an entry that says nothing.
func (j *Journal) fail(err error) {
	for _, r := range j.unsafe {
		r.fail(err)
	}
}

func (r *Record) fail(err error) {
	if !r.sent && !r.void {
		r.void = true
		r.data = denc.Marshal(&Event{Kind: Flush, Time: ceph.TimeOf(time.Now())}, ceph.FeaturesAll)
	}
	if r.err == nil {
		r.err = err
		close(r.done)
	}
}

// giveUp is fail for records that nobody waits for any more.
func (j *Journal) giveUp(records []*Record, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range records {
		select {
		case <-r.done:
		default:
			r.fail(err)
		}
	}
}
