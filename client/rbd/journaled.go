package rbd

import (
	"context"
	"fmt"
	"time"

	"glue/client/rbd/journal"
	"glue/client/rbd/objectmap"
)

// An image with a journal is changed in two steps: what is to be done is safe in the journal, then
// it is done. What a client that died had in the journal the next holder of the lock does again.

// journal is the image's journal, nil if it has none or the lock is not held.
func (i *Image) journal() *journal.Journal { return i.lock.journal.Load() }

// journaling says whether changes go through a journal: not those of who takes the image apart.
func (i *Image) journaling(h *header) bool { return h.Features.Has(Journaling) && !i.removing }

// record has the journal know what do is about to do to length bytes at off.
func (i *Image) record(
	ctx context.Context, off, length uint64, events func(*journal.Journal) []journal.Event,
	do func() error,
) error {
	if j := i.journal(); j != nil {
		return j.Record(ctx, off, length, events(j), do)
	}
	return do()
}

// event is what record wants if it is one.
func event(e journal.Event) func(*journal.Journal) []journal.Event {
	return func(*journal.Journal) []journal.Event { return []journal.Event{e} }
}

// operate has the journal know of an operation before and after it.
func (i *Image) operate(ctx context.Context, e journal.Event, do func() error) error {
	if j := i.journal(); j != nil {
		return j.Operate(ctx, e, do)
	}
	return do()
}

// replayLater releases the lock, since what is in the journal and not in the image is done when it
// is taken again.
func (i *Image) replayLater() {
	if !i.replaying.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer i.replaying.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = i.lock.release(ctx, i, false)
	}()
}

// openJournal does what the image's journal has and the image may not, and begins to write it.
func (i *Image) openJournal(ctx context.Context, m *objectmap.Map) (*journal.Journal, error) {
	o, err := journal.TuningOf(i.Cluster().Option)
	if err != nil {
		return nil, err
	}
	o.Failed = i.replayLater
	j, err := journal.Open(ctx, i.x, i.id, o)
	if err == nil {
		err = j.Redo(ctx, again{i, m})
	}
	if err == nil {
		err = j.Begin(ctx)
	}
	if err != nil {
		if j != nil {
			_ = j.Close(context.WithoutCancel(ctx))
		}
		return nil, fmt.Errorf("journal of image %s: %w", i.name, err)
	}
	return j, nil
}

// closeJournal ends the use of the journal before the lock is given up.
func (i *Image) closeJournal(ctx context.Context) {
	if j := i.lock.journal.Swap(nil); j != nil {
		_ = j.Close(ctx) // what it does not know of is done again
	}
}

// journalOptions are those of a new journal in the pool.
func (s *Store) journalOptions(ctx context.Context) (o journal.Options, err error) {
	values, err := s.Config().Read(ctx)
	if err != nil {
		return o, err
	}
	return journal.OptionsOf(values.Get)
}
