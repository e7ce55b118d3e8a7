package sim

import (
	"slices"

	"glue/cluster/osdmap"
	"glue/osd"
	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/wire/message"
)

// Planted bugs of what OSDs store, of what they take the map for, and of old messages.
const (
	MetaNotDurable  Bug = "a flush before activation is missing"
	DivergentKept   Bug = "divergent entries stay in the log"
	SplitWithoutLog Bug = "a split leaves the log behind"
	UpThruIgnored   Bug = "up_thru is not waited for"
	MinSizeIgnored  Bug = "min_size does not count"
	FenceForgotten  Bug = "the blocklist does not count"
	OldWrite        Bug = "a write of an old interval is taken"
	LongestLog      Bug = "the longest log is chosen, not that of the last interval"
	BackfillFar     Bug = "last_backfill moves too far"
	CleanTooSoon    Bug = "past intervals are forgotten too soon"
)

// hasties say which transactions are called durable at once.
var hasties = map[Bug]func(t *objectstore.Transaction) bool{
	OSDNotDurable: func(*objectstore.Transaction) bool { return true },
	MetaNotDurable: func(t *objectstore.Transaction) bool {
		return !slices.ContainsFunc(t.Ops, func(o objectstore.Op) bool {
			return o.Code == objectstore.OpLogAppend || o.Code == objectstore.OpWrite
		})
	},
}

func isOp(code objectstore.OpCode) func(objectstore.Op) bool {
	return func(o objectstore.Op) bool { return o.Code == code }
}

// spoilers change what is stored.
var spoilers = map[Bug]func(t *objectstore.Transaction){
	DivergentKept: func(t *objectstore.Transaction) {
		t.Ops = slices.DeleteFunc(t.Ops, isOp(objectstore.OpLogRewind))
	},
	SplitWithoutLog: func(t *objectstore.Transaction) {
		if slices.ContainsFunc(t.Ops, isOp(objectstore.OpSplitColl)) {
			t.Ops = slices.DeleteFunc(t.Ops, isOp(objectstore.OpLogAppend))
		}
	},
}

// warps change what an OSD takes a map for.
var warps = map[Bug]func(o *osdHost, m *osdmap.Map){
	UpThruIgnored: func(o *osdHost, m *osdmap.Map) {
		if m.Exists(o.id) {
			m.Info[o.id].UpThru = m.Epoch
		}
	},
	MinSizeIgnored: func(_ *osdHost, m *osdmap.Map) {
		for id, p := range m.Pools {
			p = p.Clone()
			p.MinSize = 1
			m.Pools[id] = p
		}
	},
	FenceForgotten: func(_ *osdHost, m *osdmap.Map) { m.Blocklist = nil },
}

// asNew makes a write look as if it were of the receiver's newest map.
func asNew(_, to *osdHost, b message.Body) bool {
	if m, ok := b.(*message.MOSDRepOp); ok && to.m != nil && to.m.OSDMap() != nil {
		m.Epoch = max(m.Epoch, to.m.OSDMap().Epoch)
		m.MinEpoch = m.Epoch
	}
	return false
}

// A spoiledStore changes what an OSD stores.
type spoiledStore struct {
	*memstore.Store
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
	*memstore.Store
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
