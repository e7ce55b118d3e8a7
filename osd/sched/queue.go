package sched

import "time"

// A Class is whom work is for.
type Class uint8

// The classes. What is immediate (peering, answers between copies) is in none: it does not wait.
const (
	Client     Class = iota
	Recovery         // background_recovery: copies that are too few
	BestEffort       // background_best_effort: moving copies, trimming, and the steps of scrubs
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

// patience is after what time a step goes although the shard is never idle.
const patience = 100 * time.Millisecond

type item[T any] struct {
	value T
	cost  float64
}

// A Queue is the background work of one shard.
type Queue[T any] struct {
	shares   Shares
	capacity float64 // IOs a second of the shard; 0: unknown
	queues   [classes][]item[T]
	len      int
	// steps are those of scrubs: BestEffort work that is over when it has been done. While clients
	// are active they may go on from paced on; overdue is when the first one goes in any case, 0
	// if it has not been looked at.
	steps          []item[T]
	paced, overdue time.Duration
	stepped        time.Duration // when the last one was done
	// reserved and limited are from when on the reservation and the limit of a class let its next
	// item go; virtual is how much each class has had by its weight.
	reserved, limited [classes]time.Duration
	virtual           [classes]float64
	floor             float64 // the virtual time: a class that comes back begins here
	asked             time.Duration
	clients           bool // have been seen
	held              time.Duration
}

// SetShares changes the shares, and the capacity that they are of. What was promised under the old
// ones is forgotten.
func (q *Queue[T]) SetShares(s Shares, capacity float64) {
	if q.capacity = capacity; s != q.shares {
		q.shares = s
		q.reserved, q.limited = [classes]time.Duration{}, [classes]time.Duration{}
	}
}

// Len is how much waits.
func (q *Queue[T]) Len() int { return q.len }

// Busy says whether Served has to be called: something waits, or a scrub goes on.
func (q *Queue[T]) Busy(now time.Duration) bool { return q.len > 0 || now < q.stepped+quiet }

// Hold keeps everything but steps back until a moment (osd_recovery_sleep).
func (q *Queue[T]) Hold(until time.Duration) { q.held = max(q.held, until) }

// Push adds work.
func (q *Queue[T]) Push(c Class, v T, cost float64) {
	if len(q.queues[c]) == 0 {
		q.virtual[c] = max(q.virtual[c], q.floor)
	}
	q.queues[c] = append(q.queues[c], item[T]{v, max(cost, 1)})
	q.len++
}

// PushStep adds a step of a scrub.
func (q *Queue[T]) PushStep(v T, cost float64) {
	q.steps = append(q.steps, item[T]{v, max(cost, 1)})
	q.len++
}

// Served notes a client's request. It need not be called while nothing is Busy.
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

// Pop takes the next work that may be done now; full says that only a step may. Without any, wait
// is in what time to ask again; 0 is when the shard is idle, when there is more work, or room for
// it. idle says that the shard has nothing else to do.
func (q *Queue[T]) Pop(now time.Duration, idle, full bool) (v T, ok bool, wait time.Duration) {
	if q.len == 0 {
		return v, false, 0
	}
	if len(q.steps) > 0 {
		if q.overdue == 0 {
			q.overdue = now + patience
		}
		if q.reserves(now) || now >= q.overdue && q.stepAt(now) <= now {
			return q.takeStep(now), true, 0
		}
	}
	if full = full || now < q.held; !full {
		if c, ok := q.byReservation(now); ok {
			return q.take(c, now), true, 0
		}
		if idle {
			if c, ok := q.byWeight(now); ok {
				return q.take(c, now), true, 0
			}
		}
	}
	if idle && len(q.steps) > 0 && q.stepAt(now) <= now {
		return q.takeStep(now), true, 0
	}
	return v, false, q.wait(now, idle, full)
}

// reserves says whether the reservation of their class lets a step go.
func (q *Queue[T]) reserves(now time.Duration) bool {
	return q.shares[BestEffort].Reservation > 0 && q.reserved[BestEffort] <= now
}

// stepAt is from when on a step may go without that: below the limit of its class, and beside
// active clients no more of the capacity than what its weight is against theirs.
func (q *Queue[T]) stepAt(now time.Duration) time.Duration {
	if q.ClientsActive(now) {
		return max(q.limited[BestEffort], min(q.paced, q.asked+quiet))
	}
	return q.limited[BestEffort]
}

func (q *Queue[T]) takeStep(now time.Duration) T {
	it := q.steps[0]
	q.steps[0] = item[T]{}
	if q.steps = q.steps[1:]; len(q.steps) == 0 {
		q.steps = nil
	}
	q.len--
	q.overdue, q.stepped = 0, now
	if r := q.shares[BestEffort].Reservation; r > 0 {
		q.reserved[BestEffort] = max(q.reserved[BestEffort], now) + seconds(it.cost/r)
	}
	q.limit(BestEffort, it.cost, now)
	if own := q.shares[BestEffort].Weight; q.capacity > 0 && q.ClientsActive(now) {
		rate := q.capacity * own / (own + q.shares[Client].Weight)
		q.paced = max(q.paced, now) + seconds(it.cost/max(rate, 1e-3))
	}
	return it.value
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
	q.limit(c, it.cost, now)
	return it.value
}

func (q *Queue[T]) limit(c Class, cost float64, now time.Duration) {
	if limit := q.shares[c].Limit; limit > 0 {
		q.limited[c] = max(q.limited[c], now) + seconds(cost/limit)
	}
}

// wait is until the first class may go on, or a step.
func (q *Queue[T]) wait(now time.Duration, idle, full bool) time.Duration {
	first := time.Duration(1<<63 - 1)
	for c := Recovery; c < classes; c++ {
		if len(q.queues[c]) == 0 || full && now >= q.held {
			continue // the end of what is under way asks again
		}
		if q.shares[c].Reservation > 0 {
			first = min(first, max(q.held, q.reserved[c]))
		}
		if !idle {
			continue // the end of the turn asks again
		}
		at := q.limited[c]
		if q.ClientsActive(now) && q.virtual[c] > q.virtual[Client] {
			at = max(at, q.asked+quiet)
		}
		first = min(first, max(q.held, at))
	}
	if len(q.steps) > 0 {
		if q.shares[BestEffort].Reservation > 0 {
			first = min(first, q.reserved[BestEffort])
		}
		if idle {
			first = min(first, q.stepAt(now))
		}
	}
	if first == 1<<63-1 {
		return 0
	}
	return max(first-now, 0)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
