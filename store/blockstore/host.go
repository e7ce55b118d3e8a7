package blockstore

import (
	"errors"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"glue/ceph"
)

// hostChunk is how many blocks of a sparse file are reserved on the host at a time: 16 MiB.
const hostChunk = 4096

// hostRoom makes sure that the host has room for a run of a sparse block file. State lock held.
func (s *Store) hostRoom(r run) error {
	for chunk := r.at / hostChunk; chunk <= (r.at+r.n-1)/hostChunk; chunk++ {
		if s.reserved[chunk/64]&(1<<(chunk%64)) != 0 {
			continue
		}
		first := chunk * hostChunk
		n := min(hostChunk, s.alloc.total-first)
		off := s.sb.dataStart() + int64(first)*blockBytes
		if err := s.file.Reserve(off, int64(n)*blockBytes); err != nil {
			if isFull(err) {
				return ceph.ENOSPC
			}
			return err
		}
		s.reserved[chunk/64] |= 1 << (chunk % 64)
	}
	return nil
}

func isFull(err error) bool {
	return errors.Is(err, ceph.ENOSPC) || errors.Is(err, syscall.ENOSPC) ||
		errors.Is(err, syscall.EDQUOT)
}

// ballastBytes is what a store keeps of its host's file system, to give it back when the file
// system is full: the database needs room to go on, to delete, and to start again.
const ballastBytes = 32 << 20

func (s *Store) ballast() string { return filepath.Join(s.dir, "ballast") }

// hostFull gives the ballast up. The database calls it and tries again.
func (s *Store) hostFull() {
	s.kvFull.Store(true)
	if s.opts.KVFS.Remove(s.ballast()) == nil {
		s.opts.Log.Error("the file system of the object store's database is full")
	}
}

const (
	// fullBytes is the room that the database needs to go on deleting: writes are refused below it.
	fullBytes = 64 << 20
	// spareBytes is what is not offered to anybody besides, so that a copy can still take what its
	// primary has begun.
	spareBytes = 64 << 20
)

// hostLimit is how much of the free bytes of the store the host has room for. The block file may
// be sparse, and the database grows as well.
func (s *Store) hostLimit(free uint64) uint64 {
	const keep = fullBytes + spareBytes
	if room, known := s.kv.Free(); known && room < keep {
		return 0
	}
	room, given, sparse := s.file.Host()
	if !sparse {
		return free
	}
	used := uint64(s.sb.dataStart()) + s.alloc.live()*blockBytes
	return min(free, given-min(given, used)+room-min(room, keep))
}

// judgeHost looks at the room that the database has. Writes are refused while there is little,
// and the ballast is put back when there is enough.
func (s *Store) judgeHost() {
	free, known := s.kv.Free()
	full := known && free < fullBytes
	s.kvFull.Store(full)
	if full {
		return
	}
	fs := s.opts.KVFS
	if _, err := fs.Stat(s.ballast()); err == nil {
		return
	}
	if err := makeBallast(fs, s.ballast()); err != nil {
		s.opts.Log.Warn("no ballast for the object store's database", "err", err)
	}
}

func makeBallast(fs vfs.FS, name string) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err = f.Preallocate(0, ballastBytes); err != nil {
		return errors.Join(err, f.Close(), fs.Remove(name))
	}
	return f.Close()
}
