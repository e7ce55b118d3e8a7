package sim

import (
	"time"

	"glue/ceph"
	"glue/osd"
	"glue/store/objectstore"
	"glue/wire/message"
)

// farBackfill has a copy told that it has everything when its backfill begins. As that is over
// soon, the primary ends at once, with its machine, in the middle of faults: who goes on
// believes it.
func farBackfill(from, to *osdHost, b message.Body) bool {
	if m, ok := b.(*message.MOSDPGScan); ok && m.Kind == message.ScanAsk {
		all := message.New(&message.MOSDPGBackfill{PGHead: m.PGHead,
			Kind: message.BackfillProgress, LastBackfill: ceph.MaxHObject()})
		peer := from.peer()
		from.w.after(1, func() {
			to.do(func(x *osd.Member) { x.Deliver(noLink{}, peer, nil, all) })
		})
		if f := &from.w.faults; !from.c.calm && len(f.undo) < 3 {
			from.w.after(time.Millisecond, func() { f.killOSD(from, true) })
		}
	}
	return false
}

// A spoiledStore changes what an OSD stores.
type spoiledStore struct {
	objectstore.Store
	spoil func(t *objectstore.Transaction)
}

// Submit takes a transaction.
func (s spoiledStore) Submit(t *objectstore.Transaction, done func(error)) error {
	s.spoil(t)
	return s.Store.Submit(t, done)
}

// SubmitAll takes several.
func (s spoiledStore) SubmitAll(batch []objectstore.Submission) []error {
	for i := range batch {
		s.spoil(batch[i].Transaction)
	}
	return s.Store.SubmitAll(batch)
}

// A hastyStore says that transactions are durable at once, and forgets it when the power fails.
type hastyStore struct {
	objectstore.Store
	o    *osdHost
	life int
	at   func(t *objectstore.Transaction) bool
}

// Submit takes a transaction.
func (s hastyStore) Submit(t *objectstore.Transaction, done func(error)) error {
	if !s.at(t) {
		return s.Store.Submit(t, done)
	}
	err := s.Store.Submit(t, nil)
	if err == nil {
		s.soon(done)
	}
	return err
}

// SubmitAll takes several.
func (s hastyStore) SubmitAll(batch []objectstore.Submission) []error {
	errs := make([]error, len(batch))
	for i := range batch {
		errs[i] = s.Submit(batch[i].Transaction, batch[i].Done)
	}
	return errs
}

func (s hastyStore) soon(done func(error)) {
	s.o.w.after(1, func() {
		if done != nil && s.o.life == s.life {
			s.o.do(func(*osd.Member) { done(nil) })
		}
	})
}
