package osd

import (
	"fmt"
	"time"

	"glue/ceph"
	"glue/osd/optrack"
	"glue/wire/message"
)

// A tracking is what is kept of a request for the dumps. All requests of a shard are in a list from
// the moment they are queued; they leave it when the shard takes its queue anyway, so that tracking
// takes no lock of its own. The shard's goroutine makes the marks.
type tracking struct {
	prev, next *clientOp // under the shard's mu
	listed     bool      // under the shard's mu until the shard has the request
	ended      bool      // of the shard
	reqid      ceph.ReqID
	pg         ceph.SPG
	optrack.Marks
}

// An opList is the requests of a shard, oldest first.
type opList struct {
	head, tail *clientOp
	n          int
}

func (l *opList) push(op *clientOp) {
	op.listed, op.prev = true, l.tail
	if l.tail != nil {
		l.tail.next = op
	} else {
		l.head = op
	}
	l.tail = op
	l.n++
}

func (l *opList) remove(op *clientOp) {
	if op.prev != nil {
		op.prev.next = op.next
	} else {
		l.head = op.next
	}
	if op.next != nil {
		op.next.prev = op.prev
	} else {
		l.tail = op.prev
	}
	op.prev, op.next, op.listed = nil, nil, false
	l.n--
}

// newOp begins to track a request that arrives.
func (d *Daemon) newOp(ev *event) *clientOp {
	m := ev.msg.Body.(*message.MOSDOp)
	op := &clientOp{sess: ev.sess, msg: ev.msg, m: m}
	op.Start, op.pg = d.now(), m.PG
	if ev.sess != nil {
		op.conn = ev.sess.conn
		op.reqid = m.Request(ev.sess.name(), ev.msg.TID)
	}
	op.Mark(optrack.Queued, op.Start)
	return op
}

// endOp ends the tracking of a request; it stays in the list until the queue is taken next.
func (s *shard) endOp(op *clientOp) {
	if op.Start.IsZero() || op.ended {
		return
	}
	op.ended = true
	s.ended = append(s.ended, op)
	took := s.d.now().Sub(op.Start)
	if s.past.Wants(took) {
		s.past.Add(&s.d.config.Load().history, op.describe(took), s.now)
	}
}

// forgetEnded takes the requests that have ended out of the list; under the shard's mu.
func (s *shard) forgetEnded() {
	for _, op := range s.ended {
		s.flying.remove(op)
	}
	clear(s.ended)
	s.ended = s.ended[:0]
}

// slowOps looks at the requests in flight without the help of the shards, one of which may hang.
func (d *Daemon) slowOps(now time.Time, complaint time.Duration) (out optrack.Slow) {
	for _, s := range d.shards {
		s.mu.Lock()
		for op := s.flying.head; op != nil; op = op.next {
			age := now.Sub(op.Start)
			if age < complaint {
				break // the others are younger
			}
			out.Add(age, op.pg.Pool, op.History())
		}
		s.mu.Unlock()
	}
	return out
}

// describe is the request as the dumps print it; only the shard may ask.
func (op *clientOp) describe(took time.Duration) optrack.Op {
	p := optrack.Op{Text: optrack.Text(op.m, op.object, op.reqid), ReqID: op.reqid,
		Start: op.Start, Took: took, Marks: op.History()}
	if op.sess != nil && len(op.sess.peer.Addrs) > 0 {
		p.Addr = op.sess.peer.Addrs[0].String()
	}
	return p
}

// brief is what can be said of a request from outside its shard.
func (op *clientOp) brief(took time.Duration) (optrack.Op, bool) {
	text := fmt.Sprintf("osd_op(%v %v; its shard does not answer)", op.reqid, op.pg)
	return optrack.Op{Text: text,
		ReqID: op.reqid, Start: op.Start, Took: took, Marks: op.History()}, true
}
