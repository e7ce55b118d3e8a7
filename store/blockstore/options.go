package blockstore

import (
	"log/slog"
	"math"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/store/disk"
)

// Options of a store. Zero fields mean the defaults; Size, JournalBytes and Label count when it
// is formatted and are read from the superblock afterwards.
type Options struct {
	Size         int64  // bytes of the block file; for a device, at most its size (0: all of it)
	JournalBytes int64  // ring; 0 chooses by Size
	Label        string // whose store this is, at most MaxLabelBytes; Info shows it
	Device       string // block device to use instead of a file; Format makes block a link to it
	Preallocate  bool   // reserve all of Size on the host when formatting

	OnodeCacheBytes int64  // cached object metadata, 16 MiB
	KVCacheBytes    int64  // Pebble's block cache, 8 MiB
	MemTableBytes   uint64 // each of up to three Pebble memtables, 8 MiB
	DeferBytes      int64  // small writes waiting to be written back, 4 MiB
	LogWriteBlocks  int    // groups of at most so many blocks go to the journal first, 4
	ZoneBlocks      uint64 // of the zones that are filled ahead of small writes, 2048

	// OnFail is called once, on a goroutine of the store, when it stops for good.
	OnFail func(error)
	Log    *slog.Logger

	// Disk and KVFS replace the operating system in tests.
	Disk func() (disk.File, error)
	KVFS vfs.FS
	// Manual leaves what is submitted to Work: no goroutines, no timers.
	Manual bool

	idlePause time.Duration // without work, until a mark is written
	sabotage  sabotage
}

// sabotage breaks one rule each, so that tests can show that they would notice.
type sabotage struct {
	noBarrier  bool // skip the sync of a group
	earlyAck   bool // done before the sync
	splitLSN   bool // the LSN in a batch of its own
	earlyReuse bool // freed blocks are free at once
	noGate     bool // tables are flushed without waiting for the journal
	noUses     bool // batches do not note what they change of the use of pools
}

// MaxLabelBytes bounds Options.Label.
const MaxLabelBytes = 1024

// minSize is the smallest store that makes sense.
const minSize = 4 << 20

func (o Options) withDefaults() Options {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.OnodeCacheBytes, 16<<20)
	def(&o.KVCacheBytes, 8<<20)
	def(&o.DeferBytes, 4<<20)
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 8 << 20
	}
	if o.LogWriteBlocks == 0 {
		o.LogWriteBlocks = 4
	}
	if o.ZoneBlocks == 0 {
		o.ZoneBlocks = defaultZoneBlocks
	}
	if o.Manual {
		o.idlePause = math.MaxInt64
	}
	if o.idlePause == 0 {
		o.idlePause = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.KVFS == nil {
		o.KVFS = vfs.Default
	}
	return o
}

// journalBytes is the size of the ring for a store of the given size.
func (o Options) journalBytes(size int64) int64 {
	n := o.JournalBytes
	if n == 0 {
		n = min(max(size/32, 1<<20), 64<<20)
	}
	return n &^ (blockBytes - 1)
}

func blockPath(dir string) string { return filepath.Join(dir, "block") }
func kvPath(dir string) string    { return filepath.Join(dir, "kv") }
