package osdstore

import (
	"errors"
	"math/rand/v2"

	"glue/sim/memdisk"
	"glue/store/blockstore"
	"glue/store/disk"
	"glue/store/objectstore"
)

// Sizes of a store: small, so that its journal wraps and its blocks are used again.
const (
	totalBytes   = 64 << 20
	journalBytes = 1 << 20
	zoneBlocks   = 64
	folder       = "osd"
	seenBytes    = 1 << 40 // what the store says that it has
)

var errOff = errors.New("the power is off")

// Blocks is one life of a daemon's blockstore.Store. What survives a crash is chosen by the source
// of chance that is given, whichever goroutines the database has.
type Blocks struct {
	*blockstore.Store
	file  *disk.Sim
	kv    *memdisk.Disk
	power *power
	lies  Lies
	count int // of transactions that are not done
	ready []func()
}

// Lies are what a disk says is durable and is not.
type Lies struct{ Blocks, Database bool }

// power is what a life's store has of the disk. It fails at one of the coming calls, and from then
// on nothing reaches the disk.
type power struct {
	disk.File
	kv  *memdisk.Disk
	off bool
	lie bool // that it has synced
	in  int  // writes and syncs until it fails; 0: it does not
}

// NewBlocks is an empty store.
func NewBlocks(lies Lies) (*Blocks, error) {
	s := &Blocks{file: disk.NewSim(totalBytes), kv: memdisk.New()}
	err := s.kv.MkdirAll(folder, 0)
	if err == nil {
		err = blockstore.Format(folder, s.options())
	}
	s.kv.Crash(memdisk.KeepAll, 0)
	if s.lies = lies; err == nil {
		err = s.open()
	}
	return s, err
}

func (s *Blocks) options() blockstore.Options {
	return blockstore.Options{Size: totalBytes, JournalBytes: journalBytes, ZoneBlocks: zoneBlocks,
		Manual: true, KVFS: s.kv, Disk: func() (disk.File, error) {
			f, err := s.file.Open()
			s.power = &power{File: f, kv: s.kv, lie: s.lies.Blocks}
			return s.power, err
		}}
}

func (s *Blocks) open() (err error) {
	s.kv.Started(false)
	if s.Store, err = blockstore.Open(folder, s.options()); err != nil {
		return err
	}
	s.kv.Settled()
	s.kv.Started(s.lies.Database)
	return nil
}

// Submit takes a transaction.
func (s *Blocks) Submit(t *objectstore.Transaction, done func(error)) error {
	err := s.Store.Submit(t, func(err error) {
		s.ready = append(s.ready, func() {
			if done != nil {
				done(err)
			}
		})
	})
	if err == nil {
		s.count++
	}
	return err
}

// SubmitAll takes several.
func (s *Blocks) SubmitAll(batch []objectstore.Submission) []error {
	return objectstore.SubmitEach(batch, s.Submit)
}

// Pending is the number of transactions that are not done yet.
func (s *Blocks) Pending() int { return s.count }

// Complete makes all that is pending durable, as one sync does it for all that waits.
func (s *Blocks) Complete(int) {
	s.Work()
	s.kv.Settled()
	list := s.ready
	s.ready, s.count = nil, s.count-len(list)
	for _, f := range list {
		f()
	}
}

// Usage is that of a disk of a usual size.
func (s *Blocks) Usage() (objectstore.Usage, error) {
	u, err := s.Store.Usage()
	if err == nil {
		u.Available += seenBytes - u.Total
		u.Total = seenBytes
	}
	return u, err
}

// Crash ends the daemon somewhere in what its store is doing. No done function is called any more.
func (s *Blocks) Crash(rng *rand.Rand, power bool) (Store, error) {
	switch s.power.in = 1 + rng.IntN(12); rng.IntN(5) {
	case 0, 1:
		s.Work()
	case 2:
		s.Rest()
	case 3:
		if err := s.Checkpoint(); err != nil && !s.power.off {
			return nil, err
		}
	}
	seed := rng.Uint64()
	_ = s.Close()
	// A copy, as on a busy machine the store may not have closed yet; opening it syncs all anyway.
	n := &Blocks{file: s.file.Clone(), lies: s.lies}
	loss := memdisk.KeepAll
	if power {
		n.file = s.file.Crash(rand.New(rand.NewPCG(seed, 1)))
		loss = []memdisk.Loss{memdisk.LoseAll, memdisk.TearSome}[seed%2]
	}
	s.kv.Crash(loss, seed)
	n.kv = s.kv.Clone()
	return n, n.open()
}

// Close ends the power, so that what the store writes when it is closed reaches nothing.
func (s *Blocks) Close() error {
	if s.Store == nil {
		return nil // it did not open
	}
	s.power.cut()
	return s.Store.Close()
}

// cut ends the power.
func (p *power) cut() {
	if !p.off {
		p.off = true
		p.kv.Cut()
	}
}

// call is one that changes the disk.
func (p *power) call() error {
	if p.in > 0 && !p.off {
		if p.in--; p.in == 0 {
			p.cut()
		}
	}
	if p.off {
		return errOff
	}
	return nil
}

// WriteVec writes.
func (p *power) WriteVec(bufs [][]byte, off int64) error {
	if err := p.call(); err != nil {
		return err
	}
	return p.File.WriteVec(bufs, off)
}

// Sync makes what was written durable.
func (p *power) Sync() error {
	if err := p.call(); err != nil {
		return err
	}
	if p.lie {
		return nil
	}
	return p.File.Sync()
}
