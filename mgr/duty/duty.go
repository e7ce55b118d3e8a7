// Package duty is work that a manager does while it is the active one.
package duty

import (
	"context"
	"sync"
)

// A Duty is a goroutine that runs from Begin to Stop. The zero value is ready for use, and its
// methods may be called from any goroutine.
type Duty struct {
	mu    sync.Mutex
	stop  context.CancelFunc // nil while not active
	ended chan struct{}      // closed at the end of the latest run
}

// Begin prepares the work and begins with it when that of the time before has ended; nothing when
// it is under way already.
func (d *Duty) Begin(prepare func() (run func(context.Context))) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	before, ended, run := d.ended, make(chan struct{}), prepare()
	d.stop, d.ended = stop, ended
	go func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		run(ctx)
	}()
}

// Stop stops what is under way, without waiting for its end.
func (d *Duty) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		d.stop()
		d.stop = nil
	}
}

// Close is Stop that waits.
func (d *Duty) Close() {
	d.Stop()
	d.mu.Lock()
	ended := d.ended
	d.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
