package counters

import (
	"sync"
	"sync/atomic"
	"time"

	"glue/cluster/imagestat"
	"glue/wire/message"
)

// Images counts by image what clients do, while the manager asks for it. Every method may be called
// from any goroutine.
type Images struct {
	on     atomic.Bool
	mu     sync.Mutex
	images map[imagestat.Key]*imagestat.Counters
}

// Enable begins to count, or ends.
func (i *Images) Enable(on bool) {
	i.on.Store(on)
	if !on {
		i.Take()
	}
}

// Take is what was counted since the last time, encoded; nil if there is nothing.
func (i *Images) Take() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.images) == 0 {
		return nil
	}
	out := imagestat.Encode(i.images)
	i.images = nil
	return out
}

func (i *Images) count(m *message.MOSDOp, write bool, size int64, took time.Duration) {
	if !i.on.Load() {
		return
	}
	k, ok := imagestat.Parse(m.PG.Pool, m.Locator.Namespace, m.Object)
	if !ok {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.images == nil {
		i.images = map[imagestat.Key]*imagestat.Counters{}
	}
	c := i.images[k]
	if c == nil {
		if len(i.images) >= imagestat.MaxImages {
			return
		}
		c = &imagestat.Counters{}
		i.images[k] = c
	}
	ops, bytes, latency := imagestat.ReadOps, imagestat.ReadBytes, imagestat.ReadLatency
	if write {
		ops, bytes, latency = imagestat.WriteOps, imagestat.WriteBytes, imagestat.WriteLatency
	}
	c[ops]++
	c[bytes] += uint64(size)
	c[latency] += uint64(max(0, took))
}
