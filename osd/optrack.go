package osd

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/wire/message"
)

// A stage is how far a request has come. The words are those that operators know from Ceph.
type stage uint8

const (
	stNone    stage = iota
	stQueued        // in the shard's queue
	stReached       // the PG looks at it
	stMap           // the client knows a newer map than we do
	stPeered
	stReadable // until the copies let us serve
	stObject   // behind other requests for the object, or until it is recovered
	stScrub    // until its object has been scrubbed
	stStarted
	stSubops // in the store and on its way to the copies
	stCommit // durable here
	stSent   // answered
)

var stageNames = [...]string{"", "queued_for_pg", "reached_pg", "waiting for map",
	"waiting for peered", "waiting for readable",
	"waiting for rw locks", "waiting for scrub", "started",
	"waiting for subops", "op_commit", "commit_sent"}

func (s stage) String() string { return stageNames[s] }

// maxMarks bounds the stages that are kept of one request; a request that goes back and forth
// between two overwrites the last.
const maxMarks = 10

// A tracking is what is kept of a request for "dump_ops_in_flight" and its kin. All requests of a
// shard are in a list from the moment they are queued; they leave it when the shard takes its queue
// anyway, so that tracking takes no lock of its own. The shard's goroutine writes the marks and any
// other may read them.
type tracking struct {
	prev, next *clientOp // under the shard's mu
	listed     bool      // under the shard's mu until the shard has the request
	ended      bool      // of the shard
	start      time.Time
	reqid      ceph.ReqID
	pg         ceph.SPG
	n          int // marks; of the shard
	marks      [maxMarks]atomic.Uint64
}

// mark notes that a request has come to a stage.
func (t *tracking) mark(s stage, now time.Time) {
	if t.start.IsZero() {
		return // one of the PG's own
	}
	n := min(t.n, maxMarks-1)
	t.marks[n].Store(uint64(max(0, now.Sub(t.start)))<<8 | uint64(s))
	t.n = n + 1
}

// A mark is a stage and when it was reached, from the request's start.
type mark struct {
	stage stage
	at    time.Duration
}

func (t *tracking) history() []mark {
	var out []mark
	for i := range t.marks {
		v := t.marks[i].Load()
		if v == 0 {
			break
		}
		out = append(out, mark{stage(v & 0xff), time.Duration(v >> 8)})
	}
	return out
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
	op.start, op.pg = d.now(), m.PG
	if ev.sess != nil {
		op.conn = ev.sess.conn
		op.reqid = m.Request(ev.sess.name(), ev.msg.TID)
	}
	op.mark(stQueued, op.start)
	return op
}

// endOp ends the tracking of a request; it stays in the list until the queue is taken next.
func (s *shard) endOp(op *clientOp) {
	if op.start.IsZero() || op.ended {
		return
	}
	op.ended = true
	s.ended = append(s.ended, op)
	took := s.d.now().Sub(op.start)
	if s.past.wants(took) {
		s.past.add(s.d.config.Load(), op.describe(took), s.now)
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

// A pastOp is a request, in flight or ended, as the dumps print it.
type pastOp struct {
	text   string
	reqid  ceph.ReqID
	addr   string
	start  time.Time
	took   time.Duration
	marks  []mark
	behind []int32 // copies that a write waits for
}

// An opHistory is the slowest requests of the last while, and the newest of those that were slow.
type opHistory struct {
	slowest []pastOp // slowest first
	slow    []pastOp // oldest first
	least   time.Duration
}

// wants says whether a request that took so long is one to keep.
func (h *opHistory) wants(took time.Duration) bool { return took > h.least }

func (h *opHistory) add(c *config, op pastOp, now time.Time) {
	if op.took >= c.slowOp {
		h.slow = append(h.slow, op)
		if n := len(h.slow) - c.slowOps; n > 0 {
			h.slow = slices.Delete(h.slow, 0, n)
		}
	}
	i, _ := slices.BinarySearchFunc(h.slowest, op.took, func(p pastOp, d time.Duration) int {
		return int(d - p.took)
	})
	h.slowest = slices.Insert(h.slowest, i, op)
	h.trim(c, now)
}

// trim drops what is too old or too much.
func (h *opHistory) trim(c *config, now time.Time) {
	h.slowest = slices.DeleteFunc(h.slowest, func(p pastOp) bool {
		return now.Sub(p.start) > c.historyFor
	})
	if len(h.slowest) > c.historyOps {
		h.slowest = slices.Delete(h.slowest, c.historyOps, len(h.slowest))
	}
	h.least = 0
	if n := len(h.slowest); n > 0 && n >= c.historyOps {
		h.least = h.slowest[n-1].took
	}
	h.least = min(h.least, c.slowOp-1)
}

// A slowOps is the requests of the daemon that have been under way for too long.
type slowOps struct {
	n      int
	oldest time.Duration
	stages map[string]int // by the last stage
	pools  map[int64]int
}

// slowOps looks at the requests in flight without the help of the shards, one of which may hang.
func (d *Daemon) slowOps(now time.Time, complaint time.Duration) slowOps {
	out := slowOps{stages: map[string]int{}, pools: map[int64]int{}}
	for _, s := range d.shards {
		s.mu.Lock()
		for op := s.flying.head; op != nil; op = op.next {
			age := now.Sub(op.start)
			if age < complaint {
				break // the others are younger
			}
			out.n++
			out.oldest = max(out.oldest, age)
			out.pools[op.pg.Pool]++
			if m := op.history(); len(m) > 0 {
				out.stages[waitsFor(m[len(m)-1].stage).String()]++
			}
		}
		s.mu.Unlock()
	}
	return out
}

// waitsFor is what a request waits for whose last mark is s.
func waitsFor(s stage) stage {
	if s == stCommit {
		return stSubops // only the copies are left
	}
	return s
}

// describe is the request as the dumps print it; only the shard may ask.
func (op *clientOp) describe(took time.Duration) pastOp {
	p := pastOp{text: op.text(), reqid: op.reqid, start: op.start, took: took, marks: op.history()}
	if op.sess != nil && len(op.sess.peer.Addrs) > 0 {
		p.addr = op.sess.peer.Addrs[0].String()
	}
	return p
}

// brief is what can be said of a request from outside its shard.
func (op *clientOp) brief(took time.Duration) (pastOp, bool) {
	return pastOp{text: fmt.Sprintf("osd_op(%v %v; its shard does not answer)", op.reqid, op.pg),
		reqid: op.reqid, start: op.start, took: took, marks: op.history()}, true
}
