package msgr

import "sync"

// A Throttle bounds a sum over all connections that share it: readers stop reading while it is
// used up. One unit more than the bound is let through when nothing else is held, so that a
// single large message can pass. What a message holds is given back when it is released or
// abandoned: a dispatcher behind a throttle must do either with every message.
type Throttle struct {
	mu   sync.Mutex
	max  int64
	used int64
	wake chan struct{} // closed when something was given back; nil if nobody waits
}

// NewThrottle makes a throttle; max 0 is no bound.
func NewThrottle(max int64) *Throttle { return &Throttle{max: max} }

// acquire waits until n fit; false if stop was closed before.
func (t *Throttle) acquire(n int64, stop <-chan struct{}) bool {
	if t == nil {
		return true
	}
	for {
		t.mu.Lock()
		if t.max == 0 || t.used == 0 || t.used+n <= t.max {
			t.used += n
			t.mu.Unlock()
			return true
		}
		if t.wake == nil {
			t.wake = make(chan struct{})
		}
		wake := t.wake
		t.mu.Unlock()
		select {
		case <-wake:
		case <-stop:
			return false
		}
	}
}

func (t *Throttle) release(n int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used -= n
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
}

// Used is what is held now.
func (t *Throttle) Used() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}

// SetLimit changes the bound; what is held already stays.
func (t *Throttle) SetLimit(max int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.max = max
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
}
