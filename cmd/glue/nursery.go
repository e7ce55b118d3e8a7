package main

import (
	"context"
	"errors"
	"fmt"
)

// A nursery starts daemons as processes and cancels its context when one of them ends, so that
// whoever waits for the cluster learns why at once.
type nursery struct {
	l      layout
	ctx    context.Context // the cause of its end is what a daemon died of
	cancel context.CancelCauseFunc
}

// errDaemonEnded marks the cause of a nursery's end.
var errDaemonEnded = errors.New("a daemon ended")

func newNursery(ctx context.Context, l layout) (context.Context, *nursery) {
	n := &nursery{l: l}
	n.ctx, n.cancel = context.WithCancelCause(ctx)
	return n.ctx, n
}

// spawn starts one process under the given name.
func (n *nursery) spawn(name string, args ...string) error {
	cmd, err := spawn(n.l, name, args...)
	if err != nil {
		return err
	}
	go func() {
		err := cmd.Wait()
		if isRemoved(n.l, name) {
			return // it was taken out of the cluster, and the others go on
		}
		n.cancel(fmt.Errorf("%w: %s (%v); the end of %s says:\n%s", errDaemonEnded, name, err,
			n.l.log(name), tail(n.l, name, 5)))
	}()
	return nil
}

// spawnMissing starts those of the named daemons that do not run.
func (n *nursery) spawnMissing(names []string) error {
	for _, name := range names {
		if alive(n.l, name) != 0 {
			continue
		}
		typ, id := splitName(name)
		if err := n.spawn(name, typ, "--data", n.l.dir, "--id", id); err != nil {
			return err
		}
	}
	return nil
}

// died is why a daemon ended, or nil.
func (n *nursery) died() error {
	if cause := context.Cause(n.ctx); errors.Is(cause, errDaemonEnded) {
		return cause
	}
	return nil
}

// explain replaces an error that only says "cancelled" by what a daemon died of.
func (n *nursery) explain(err error) error {
	if died := n.died(); err != nil && died != nil {
		return died
	}
	return err
}
