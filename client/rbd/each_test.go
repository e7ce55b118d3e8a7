package rbd

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"glue/client/stripe"
)

// TestEachStops: what is given up or has failed does not go through the rest of the pieces.
func TestEachStops(t *testing.T) {
	failure := errors.New("failure")
	ctx, cancel := context.WithCancel(context.Background())
	for _, c := range []struct {
		name string
		stop func() error
		want error
	}{
		{"cancelled", func() error { cancel(); return nil }, context.Canceled},
		{"failed", func() error { return failure }, failure},
	} {
		var calls atomic.Int64
		at := ctx
		if c.want == failure {
			at = context.Background()
		}
		err := each(at, make([]stripe.Piece, 100000), func(context.Context, stripe.Piece) error {
			if calls.Add(1) == 3 {
				return c.stop()
			}
			return nil
		})
		if !errors.Is(err, c.want) || calls.Load() > 1000 {
			t.Errorf("%s: %v after %d calls", c.name, err, calls.Load())
		}
	}
	if err := each(context.Background(), make([]stripe.Piece, 50),
		func(context.Context, stripe.Piece) error { return nil }); err != nil {
		t.Errorf("all done: %v", err)
	}
}
