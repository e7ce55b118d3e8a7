package journal

import (
	"context"
	"slices"
	"sync"
)

// ranges keeps apart what changes the same bytes of an image: what is first in the journal has to
// be first in the image.
type ranges struct {
	mu   sync.Mutex
	list []*taken // in the order in which they were asked for
}

type taken struct {
	off, end uint64
	done     chan struct{}
}

// take waits until nobody has any of the bytes who asked for them before. Call free at the end.
func (s *ranges) take(ctx context.Context, off, length uint64) (free func(), err error) {
	me := &taken{off: off, end: off + length, done: make(chan struct{})}
	s.mu.Lock()
	var before []*taken
	for _, t := range s.list {
		if t.off < me.end && me.off < t.end {
			before = append(before, t)
		}
	}
	s.list = append(s.list, me)
	s.mu.Unlock()
	free = func() {
		s.mu.Lock()
		n := slices.Index(s.list, me)
		s.list = slices.Delete(s.list, n, n+1)
		s.mu.Unlock()
		close(me.done)
	}
	for _, t := range before {
		select {
		case <-t.done:
		case <-ctx.Done():
			free()
			return nil, ctx.Err()
		}
	}
	return free, nil
}
