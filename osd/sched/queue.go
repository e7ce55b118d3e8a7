package sched

import "time"

// A Class is whom work is for.
type Class uint8

// The classes. What is immediate (peering, answers between copies) is in none: it does not wait.
const (
	Client     Class = iota
	Recovery         // background_recovery: copies that are too few
	BestEffort       // background_best_effort: moving copies, scrub, trimming
	classes
)

// A Share is what a class may use, in IOs a second; a limit of 0 is none.
type Share struct {
	Reservation, Weight, Limit float64
}

// Shares are those of all classes.
type Shares [classes]Share

// quiet is after what time without a request the clients' weight no longer counts.
const quiet = 100 * time.Millisecond

type item[T any] struct {
	value T
	cost  float64
}

// A Queue is the background work of one shard.
type Queue[T any] struct {
	shares Shares
	queues [classes][]item[T]
	len    int
	// reserved and limited are from when on the reservation and the limit of a class let its next
	// item go; virtual is how much each class has had by its weight.
	reserved, limited [classes]time.Duration
	virtual           [classes]float64
	floor             float64 // the virtual time: a class that comes back begins here
	asked             time.Duration
	clients           bool // have been seen
	held              time.Duration
}

// SetShares changes the shares. What was promised under the old ones is forgotten.
func (q *Queue[T]) SetShares(s Shares) {
	if s != q.shares {
		q.shares = s
		q.reserved, q.limited = [classes]time.Duration{}, [classes]time.Duration{}
	}
}

// Len is how much waits.
func (q *Queue[T]) Len() int { return q.len }

// Hold keeps everything back until a moment (osd_recovery_sleep).
func (q *Queue[T]) Hold(until time.Duration) { q.held = max(q.held, until) }

// Push adds work.
func (q *Queue[T]) Push(c Class, v T, cost float64) {
	if len(q.queues[c]) == 0 {
		q.virtual[c] = max(q.virtual[c], q.floor)
	}
	q.queues[c] = append(q.queues[c], item[T]{v, max(cost, 1)})
	q.len++
}

// Served notes a client's request. It need not be called while Len is 0.
func (q *Queue[T]) Served(cost float64, now time.Duration) {
	q.clients, q.asked = true, now
	q.charge(Client, max(cost, 1))
}

// ClientsActive says whether clients have asked for something just now, as far as Served was told.
func (q *Queue[T]) ClientsActive(now time.Duration) bool {
	return q.clients && now < q.asked+quiet
}

func (q *Queue[T]) charge(c Class, cost float64) {
	q.floor = max(q.floor, q.virtual[c])
	q.virtual[c] = max(q.virtual[c], q.floor) + cost/max(q.shares[c].Weight, 1e-9)
}

// Pop takes the next work that may be done now. Without any, wait is in what time to ask again; 0
// is when the shard is idle, or when there is more work. idle says that the shard has nothing else
// to do.
func (q *Queue[T]) Pop(now time.Duration, idle bool) (v T, ok bool, wait time.Duration) {
	if q.len == 0 {
		return v, false, 0
	}
	if now < q.held {
		return v, false, q.held - now
	}
	if c, ok := q.byReservation(now); ok {
		return q.take(c, now), true, 0
	}
	if idle {
		if c, ok := q.byWeight(now); ok {
			v = q.take(c, now)
			return v, true, 0
		}
	}
	return v, false, q.wait(now, idle)
}

// byReservation is the class whose reservation has waited longest.
func (q *Queue[T]) byReservation(now time.Duration) (best Class, ok bool) {
	for c := Recovery; c < classes; c++ {
		if len(q.queues[c]) > 0 && q.shares[c].Reservation > 0 && q.reserved[c] <= now &&
			(!ok || q.reserved[c] < q.reserved[best]) {
			best, ok = c, true
		}
	}
	if ok {
		cost := q.queues[best][0].cost
		q.reserved[best] = max(q.reserved[best], now) + seconds(cost/q.shares[best].Reservation)
	}
	return best, ok
}

// byWeight is the class that has had least for its weight, below its limit, and less than the
// clients have if they are active.
func (q *Queue[T]) byWeight(now time.Duration) (best Class, ok bool) {
	for c := Recovery; c < classes; c++ {
		if len(q.queues[c]) == 0 || q.limited[c] > now ||
			q.ClientsActive(now) && q.virtual[c] > q.virtual[Client] {
			continue
		}
		if !ok || q.virtual[c] < q.virtual[best] {
			best, ok = c, true
		}
	}
	if ok {
		q.charge(best, q.queues[best][0].cost)
	}
	return best, ok
}

func (q *Queue[T]) take(c Class, now time.Duration) T {
	it := q.queues[c][0]
	q.queues[c][0] = item[T]{}
	if q.queues[c] = q.queues[c][1:]; len(q.queues[c]) == 0 {
		q.queues[c] = nil
	}
	q.len--
	if limit := q.shares[c].Limit; limit > 0 {
		q.limited[c] = max(q.limited[c], now) + seconds(it.cost/limit)
	}
	return it.value
}

// wait is until the first class may go on.
func (q *Queue[T]) wait(now time.Duration, idle bool) time.Duration {
	first := time.Duration(1<<63 - 1)
	for c := Recovery; c < classes; c++ {
		if len(q.queues[c]) == 0 {
			continue
		}
		if q.shares[c].Reservation > 0 {
			first = min(first, q.reserved[c])
		}
		if !idle {
			continue // the end of the turn asks again
		}
		at := q.limited[c]
		if q.ClientsActive(now) && q.virtual[c] > q.virtual[Client] {
			at = max(at, q.asked+quiet)
		}
		first = min(first, at)
	}
	if first == 1<<63-1 {
		return 0
	}
	return max(first-now, 0)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
