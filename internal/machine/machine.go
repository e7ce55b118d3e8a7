// Package machine names the shape of Glue's logic: state machines without clock, network, disk,
// goroutine or lock. Whoever owns a machine feeds it events from one goroutine and carries out
// the effects, so that a whole cluster can run under a seed.
package machine

import "time"

// A Machine is single-threaded. The same history of (now, event) pairs yields the same effects.
// Effects to one peer keep their order; what must follow durability waits for the event that
// reports it. now is monotonic, measured from an arbitrary start.
type Machine[Event, Effect any] interface {
	Step(now time.Duration, ev Event) []Effect
}
