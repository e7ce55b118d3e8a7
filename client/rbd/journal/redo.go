package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
)

// A Doer changes the image as an event says. Change does what is said of data, beside others of
// other bytes; EILSEQ says that it compared, and had not to write. Operate does an operation, and
// it may have been done before; that one is refused is no failure of it.
type Doer interface {
	Change(ctx context.Context, e Event) error
	Operate(ctx context.Context, e Event) error
}

// A redo does again what the journal has and has not as committed.
type redo struct {
	j     *Journal
	do    Doer
	end   map[opKey]int32 // results of the operations that have one
	begun map[opKey]*begun
	data  *errgroup.Group // changes of data that are under way
}

// An opKey is an operation's number, which is its tag's.
type opKey struct{ tag, op uint64 }

// A begun is an operation that is done when its end is read, or at the end of all.
type begun struct {
	event  Event
	record *Record
	done   bool
}

// Redo does what is not committed and commits it. When it returns nil the journal has nothing left.
func (j *Journal) Redo(ctx context.Context, d Doer) error {
	r := &redo{j: j, do: d, end: map[opKey]int32{}, begun: map[opKey]*begun{}}
	any := false
	err := j.Uncommitted(ctx, func(tag uint64, e Event) error {
		any = true
		if e.Kind == OpFinish {
			r.end[opKey{tag, e.Op}] = e.Result
		}
		return nil
	})
	if err != nil || !any {
		return err
	}
	r.reset()
	err = j.replay(ctx, func(e Event, record *Record) error { return r.one(ctx, e, record) })
	err = errors.Join(err, r.data.Wait())
	if err == nil {
		err = r.rest(ctx)
	}
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return j.WriteCommits(ctx)
}

func (r *redo) reset() {
	r.data = new(errgroup.Group)
	r.data.SetLimit(parallel)
}

// one does one event. Operations that change what the data after them mean are done at once, if
// they did not fail then; the others when they have ended.
func (r *redo) one(ctx context.Context, e Event, record *Record) error {
	key := opKey{record.tag, e.Op}
	switch {
	case e.Kind == OpFinish:
		if b := r.begun[key]; b != nil {
			if err := r.finish(ctx, key, b, e.Result); err != nil {
				return err
			}
		}
		r.j.Commit(record)
	case e.Kind.IsOp():
		b := &begun{event: e, record: record}
		r.begun[key] = b
		switch e.Kind {
		case SnapCreate, Resize, UpdateFeatures:
			b.done = true
			if r.end[key] >= 0 {
				return r.operate(ctx, e)
			}
		}
	case e.Kind == Discard || e.Kind == Write || e.Kind == WriteSame || e.Kind == CompareAndWrite:
		return r.change(ctx, e, record)
	default: // a Flush, or what is not known, which librbd skips too
		r.j.Commit(record)
	}
	return nil
}

// finish does an operation whose end was read.
func (r *redo) finish(ctx context.Context, key opKey, b *begun, result int32) error {
	if !b.done && result >= 0 {
		if err := r.operate(ctx, b.event); err != nil {
			return err
		}
	}
	delete(r.begun, key)
	r.j.Commit(b.record)
	return nil
}

// rest does the operations that nobody has ended.
func (r *redo) rest(ctx context.Context) error {
	keys := slices.SortedFunc(maps.Keys(r.begun), func(a, b opKey) int {
		return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.op, b.op))
	})
	for _, key := range keys {
		if err := r.finish(ctx, key, r.begun[key], 0); err != nil {
			return err
		}
	}
	return nil
}

// change does a change of data.
func (r *redo) change(ctx context.Context, e Event, record *Record) error {
	free, err := r.j.ranges.take(ctx, e.Off, e.Len)
	if err != nil {
		return err
	}
	r.data.Go(func() error {
		defer free()
		if err := r.do.Change(ctx, e); err != nil && !errors.Is(err, ceph.EILSEQ) {
			return fmt.Errorf("%v at %d: %w", e.Kind, e.Off, err)
		}
		r.j.Commit(record)
		return nil
	})
	return nil
}

// operate does an operation after the data before it.
func (r *redo) operate(ctx context.Context, e Event) error {
	if err := r.data.Wait(); err != nil {
		return err
	}
	r.reset()
	if err := r.do.Operate(ctx, e); err != nil && !refused(err) {
		return fmt.Errorf("%v: %w", e.Kind, err)
	}
	return nil
}
