package mon

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"glue/ceph"
	"glue/mon/quorum"
)

// A Survivor is what the store of a monitor holds that does not run.
type Survivor struct {
	Name    string
	FSID    ceph.UUID
	Others  []string // the other monitors in its map
	Term    uint64   // of the last entry of its log: of two survivors the one with the higher
	Index   uint64   // term, then the higher index, has the newer log
	MonMap  ceph.Epoch
	OSDMap  ceph.Epoch
	LastLog time.Time // of the newest line in its cluster log; zero for none
}

// Inspect reads the store of a monitor that does not run.
func Inspect(dir, name string) (Survivor, error) {
	c, err := newCore(Options{Dir: dir, Name: name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return Survivor{}, fmt.Errorf("look at mon.%s: %w", name, err)
	}
	defer c.node.Close()
	if c.node.Empty() {
		return Survivor{}, fmt.Errorf("mon.%s has never got the state of the quorum", name)
	}
	s := Survivor{Name: name, FSID: c.fsid, MonMap: c.mon.Map().Epoch, OSDMap: c.osd.Map().Epoch}
	s.Index, s.Term = c.node.Last()
	s.Others = slices.DeleteFunc(slices.Clone(c.mon.Map().Ranks), func(n string) bool {
		return n == name
	})
	if lines := c.logs.Since(0, 0); len(lines) > 0 {
		s.LastLog = lines[len(lines)-1].Stamp.Go()
	}
	return s, nil
}

// IsNew says whether the store of a monitor that does not run was made to join a quorum and has
// not got the state yet.
func IsNew(dir, name string) bool {
	c, err := newCore(Options{Dir: dir, Name: name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return false
	}
	defer c.node.Close()
	return c.node.Empty()
}

// Rescue makes a new quorum of one monitor, which must not run, after the majority is lost for
// good. What the others had acknowledged and it has not heard of is lost. None of the others may
// ever be started with its old store again.
func Rescue(dir, name string) error {
	if err := quorum.Rescue(filepath.Join(dir, storeDir), nil); err != nil {
		return err
	}
	c, err := newCore(Options{Dir: dir, Name: name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("rescue mon.%s: %w", name, err)
	}
	c.arm = func(time.Duration) {}
	err = c.removeOthers()
	if err = errJoin(err, c.node.Close()); err != nil {
		return fmt.Errorf("rescue mon.%s: %w", name, err)
	}
	return nil
}

// removeOthers makes the map of a lone leader say that it is alone.
func (c *core) removeOthers() error {
	c.gone, c.leaving = nil, leaving{}
	if err := c.settle(); err != nil {
		return err
	}
	now := ceph.TimeOf(c.now())
	for _, other := range slices.Clone(c.mon.Map().Ranks) {
		if other != c.opt.Name {
			c.mon.Remove(now, other)
		}
	}
	c.flow.urgent = true
	if err := c.settle(); err != nil {
		return err
	}
	if m := c.mon.Map(); len(m.Ranks) != 1 || m.Ranks[0] != c.opt.Name {
		return fmt.Errorf("the map still has %v", m.Ranks)
	}
	return nil
}
