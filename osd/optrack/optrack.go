// Package optrack keeps what "dump_ops_in_flight" and its kin print of clients' requests: the
// stages that each has come to and when, and the slowest of the last while. Marks are written by
// one goroutine and read by any; a History belongs to one.
package optrack

import (
	"slices"
	"sync/atomic"
	"time"

	"glue/ceph"
)

// A Stage is how far a request has come. The words are those that operators know from Ceph.
type Stage uint8

const (
	None    Stage = iota
	Queued        // in the shard's queue
	Reached       // the PG looks at it
	ForMap        // the client knows a newer map than we do
	ForPeered
	ForReadable // until the copies let us serve
	ForObject   // behind other requests for the object, or until it is recovered
	ForScrub    // until its object has been scrubbed
	Started
	ForCopies // in the store and on its way to the copies
	Committed // durable here
	Answered  // answered
)

var stageNames = [...]string{"", "queued_for_pg", "reached_pg", "waiting for map",
	"waiting for peered", "waiting for readable",
	"waiting for rw locks", "waiting for scrub", "started",
	"waiting for subops", "op_commit", "commit_sent"}

// String is the stage as the dumps print it.
func (s Stage) String() string { return stageNames[s] }

// Awaits is what a request waits for whose last stage is s.
func (s Stage) Awaits() Stage {
	if s == Committed {
		return ForCopies // only they are left
	}
	return s
}

// maxMarks bounds the stages that are kept of one request; a request that goes back and forth
// between two overwrites the last.
const maxMarks = 10

// Marks are the stages that a request has come to, and when. One goroutine makes them, any other
// may read them.
type Marks struct {
	Start time.Time // zero: none are made
	n     int
	marks [maxMarks]atomic.Uint64
}

// Mark notes that a request has come to a stage.
func (t *Marks) Mark(s Stage, now time.Time) {
	if t.Start.IsZero() {
		return // one of the PG's own
	}
	n := min(t.n, maxMarks-1)
	t.marks[n].Store(uint64(max(0, now.Sub(t.Start)))<<8 | uint64(s))
	t.n = n + 1
}

// A Mark is a stage and when it was reached, from the request's start.
type Mark struct {
	Stage Stage
	At    time.Duration
}

// History is the marks so far.
func (t *Marks) History() []Mark {
	var out []Mark
	for i := range t.marks {
		v := t.marks[i].Load()
		if v == 0 {
			break
		}
		out = append(out, Mark{Stage(v & 0xff), time.Duration(v >> 8)})
	}
	return out
}

// An Op is a request, in flight or ended, as the dumps print it.
type Op struct {
	Text   string
	ReqID  ceph.ReqID
	Addr   string // of the client
	Start  time.Time
	Took   time.Duration
	Marks  []Mark
	Behind []int32 // copies that a write waits for
}

// Limits are what a History keeps: of the slowest requests so many for so long, of those that took
// SlowOp and more the last so many.
type Limits struct {
	SlowOp, For  time.Duration
	SlowOps, Ops int
}

// A History is the slowest requests of the last while, and the newest of those that were slow.
type History struct {
	Slowest []Op // slowest first
	Slow    []Op // oldest first
	least   time.Duration
}

// Wants says whether a request that took so long is one to keep.
func (h *History) Wants(took time.Duration) bool { return took > h.least }

// Add takes a request that is wanted.
func (h *History) Add(c *Limits, op Op, now time.Time) {
	if op.Took >= c.SlowOp {
		h.Slow = append(h.Slow, op)
		if n := len(h.Slow) - c.SlowOps; n > 0 {
			h.Slow = slices.Delete(h.Slow, 0, n)
		}
	}
	i, _ := slices.BinarySearchFunc(h.Slowest, op.Took, func(p Op, d time.Duration) int {
		return int(d - p.Took)
	})
	h.Slowest = slices.Insert(h.Slowest, i, op)
	h.Trim(c, now)
}

// Trim drops what is too old or too much.
func (h *History) Trim(c *Limits, now time.Time) {
	h.Slowest = slices.DeleteFunc(h.Slowest, func(p Op) bool {
		return now.Sub(p.Start) > c.For
	})
	if len(h.Slowest) > c.Ops {
		h.Slowest = slices.Delete(h.Slowest, c.Ops, len(h.Slowest))
	}
	h.least = 0
	if n := len(h.Slowest); n > 0 && n >= c.Ops {
		h.least = h.Slowest[n-1].Took
	}
	h.least = min(h.least, c.SlowOp-1)
}
