package quorum

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// The keys of the store. State keys are behind statePrefix.
var (
	keyHardState = []byte("q/hardstate")
	keyConfState = []byte("q/confstate")
	keyApplied   = []byte("q/applied") // u64 index
	keyBase      = []byte("q/base")    // u64 index, u64 term of the entry before the log's first
	keyMember    = []byte("q/member")  // u64 our own id
	entryPrefix  = []byte("q/entry/")
	statePrefix  = []byte("s/")
)

// ErrNoStore says that a folder holds no monitor's store.
var ErrNoStore = errors.New("no monitor's store there")

func entryKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(entryPrefix), index)
}

func stateKey(key string) []byte { return append(bytes.Clone(statePrefix), key...) }

// prefixEnd is the first key after all with the prefix.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// openDB opens the database, which must exist unless create. Pebble does not come back from a
// failure: it stays there, or waits for a goroutine that does, see walFS.
func openDB(dir string, fs vfs.FS, create bool) (database, error) {
	if fs == nil {
		fs = vfs.Default
	}
	db := database{fs: newWALFS(fs)}
	var err error
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		db.DB, err = openPebble(dir, db.fs, create)
	}()
	select {
	case <-opened:
	case <-db.fs.stuck:
	}
	if failure := db.fs.failure(); failure != nil {
		return database{}, fmt.Errorf("open %s: %w", dir, failure)
	}
	return db, err
}

func openPebble(dir string, fs *walFS, create bool) (db *pebble.DB, err error) {
	defer func() {
		if why := storeBroken(recover()); why != nil {
			err = fmt.Errorf("open %s: %w", dir, why)
		}
	}()
	db, err = pebble.Open(dir, &pebble.Options{
		FS:               fs,
		ErrorIfExists:    create,
		ErrorIfNotExists: !create,
		MemTableSize:     8 << 20,
		// A change that waited for a table would never hear that this can't be written.
		MemTableStopWritesThreshold: 8,
		FormatMajorVersion:          pebble.FormatNewest,
		L0CompactionThreshold:       2,
		Logger:                      quietLogger{fs},
	})
	switch {
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		return nil, fmt.Errorf("open %s: %w", dir, ErrNoStore)
	case err != nil:
		return nil, fmt.Errorf("open monitor store %s: %w", dir, err)
	}
	return db, nil
}

// A broken store is what Pebble panics with when it can't go on, such as with a full disk. It must
// not be used any more, not even to close it.
type broken string

// storeBroken is the error of a store that gave up with p, which was recovered; nil for none.
func storeBroken(p any) error {
	switch p := p.(type) {
	case nil:
		return nil
	case broken:
		return fmt.Errorf("monitor store: %s", string(p))
	case runtime.Error:
	case error:
		return fmt.Errorf("monitor store: %w", p)
	}
	panic(p)
}

// A quietLogger drops Pebble's chatter; failures come back as errors.
type quietLogger struct{ fs *walFS }

func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}

// Fatalf must not return. One of Pebble's own goroutines stays here, as its panic would be the end
// of the process; the member learns of it with its next work.
func (l quietLogger) Fatalf(format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	l.fs.fail(errors.New(why))
	if !ours() {
		l.fs.stay()
	}
	panic(broken(why))
}

// get copies a value out, nil when there is none.
func get(db pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

func getU64(db pebble.Reader, key []byte, n int) ([]uint64, error) {
	v, err := get(db, key)
	if err != nil {
		return nil, err
	}
	if len(v) != 8*n {
		return nil, fmt.Errorf("monitor store: %q has %d bytes, want %d", key, len(v), 8*n)
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = binary.BigEndian.Uint64(v[8*i:])
	}
	return out, nil
}

func u64s(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// scan calls f for every key with the prefix, in order, until it returns false.
func scan(db pebble.Reader, prefix []byte, f func(key, value []byte) (bool, error)) error {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return fmt.Errorf("scan %q: %w", prefix, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		more, err := f(it.Key(), it.Value())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if !more {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("scan %q: %w", prefix, err)
	}
	return nil
}

// load fills a memory storage, which Raft reads from, with the log on disk.
func load(db pebble.Reader) (*raft.MemoryStorage, uint64, error) {
	base, err := getU64(db, keyBase, 2)
	if err != nil {
		return nil, 0, err
	}
	applied, err := getU64(db, keyApplied, 1)
	if err != nil {
		return nil, 0, err
	}
	cs, hs := new(pb.ConfState), new(pb.HardState)
	for key, m := range map[string]proto.Message{
		string(keyConfState): cs, string(keyHardState): hs,
	} {
		b, err := get(db, []byte(key))
		if err == nil {
			err = proto.Unmarshal(b, m)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("monitor store: %s: %w", key, err)
		}
	}
	ms := raft.NewMemoryStorage()
	snap := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		ConfState: cs, Index: &base[0], Term: &base[1],
	}}
	if base[0] > 0 { // else it waits for the state, and has nobody for a member
		if err := ms.ApplySnapshot(snap); err != nil {
			return nil, 0, fmt.Errorf("monitor store: %w", err)
		}
	}
	entries, err := loadEntries(db, base[0])
	if err != nil {
		return nil, 0, err
	}
	if err := ms.Append(entries); err != nil {
		return nil, 0, fmt.Errorf("monitor store: %w", err)
	}
	if err := ms.SetHardState(hs); err != nil {
		return nil, 0, fmt.Errorf("monitor store: %w", err)
	}
	last := base[0] + uint64(len(entries))
	if hs.GetCommit() > last || applied[0] > hs.GetCommit() && applied[0] > base[0] {
		return nil, 0, fmt.Errorf("monitor store: applied %d, committed %d, log ends at %d",
			applied[0], hs.GetCommit(), last)
	}
	return ms, applied[0], nil
}

// loadEntries reads the log after index base; a hole in it is an error.
func loadEntries(db pebble.Reader, base uint64) ([]*pb.Entry, error) {
	var entries []*pb.Entry
	err := scan(db, entryPrefix, func(key, value []byte) (bool, error) {
		e := new(pb.Entry)
		if err := proto.Unmarshal(value, e); err != nil {
			return false, fmt.Errorf("monitor store: log entry %x: %w", key, err)
		}
		if e.GetIndex() <= base {
			return true, nil
		}
		if e.GetIndex() != base+1+uint64(len(entries)) {
			return false, fmt.Errorf("monitor store: log entry %d is missing",
				base+1+uint64(len(entries)))
		}
		entries = append(entries, e)
		return true, nil
	})
	return entries, err
}
