package pinger

import (
	"sync/atomic"

	"glue/osd/heartbeat"
)

// A Lane marks the turns of one goroutine, which it makes while it has work.
type Lane struct{ n atomic.Uint64 } // odd during a turn

// Turn is called when a turn begins, and when it ends.
func (l *Lane) Turn() { l.n.Add(1) }

// Step is progress within a turn.
func (l *Lane) Step() { l.n.Add(2) }

// Mark is how far it is.
func (l *Lane) Mark() heartbeat.Mark {
	n := l.n.Load()
	return heartbeat.Mark{Busy: n%2 == 1, Steps: n}
}

// A Backlog is work that was handed over and comes back done.
type Backlog struct{ begun, done atomic.Uint64 }

// Begin counts a piece of work.
func (b *Backlog) Begin() { b.begun.Add(1) }

// Done counts one that is done.
func (b *Backlog) Done() { b.done.Add(1) }

// Mark is how far the work is.
func (b *Backlog) Mark() heartbeat.Mark {
	done := b.done.Load()
	return heartbeat.Mark{Busy: b.begun.Load() != done, Steps: done}
}
