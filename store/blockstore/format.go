package blockstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"glue/ceph"
	"glue/store/disk"
	"glue/store/kv"
)

// ErrFormatted is a place that already holds a store.
var ErrFormatted = errors.New("already holds a store")

// Format makes an empty store in dir, which is created. It refuses a file or device that holds
// anything; what a Format that was cut short left is not refused.
func Format(dir string, o Options) error {
	o = o.withDefaults()
	if len(o.Label) > MaxLabelBytes {
		return fmt.Errorf("label of %d bytes: %w", len(o.Label), ceph.EINVAL)
	}
	file, err := o.create(dir)
	if err != nil {
		return fmt.Errorf("format store %s: %w", dir, err)
	}
	err = o.format(dir, file)
	if err2 := file.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return fmt.Errorf("format store %s: %w", dir, err)
	}
	return nil
}

// create makes or opens the block file.
func (o Options) create(dir string) (disk.File, error) {
	if o.Disk != nil {
		return o.Disk()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := blockPath(dir)
	if o.Device != "" && !exists(path) {
		if err := os.Symlink(o.Device, path); err != nil {
			return nil, err
		}
	}
	if exists(path) {
		return disk.Open(path)
	}
	if o.Size < minSize {
		return nil, fmt.Errorf("size %d is below %d: %w", o.Size, minSize, ceph.EINVAL)
	}
	return disk.Create(path, o.Size&^(blockBytes-1))
}

func (o Options) format(dir string, file disk.File) error {
	size := file.Size()
	if o.Size > 0 {
		size = min(size, o.Size)
	}
	if size < minSize {
		return fmt.Errorf("size %d is below %d: %w", size, minSize, ceph.EINVAL)
	}
	head := make([]byte, superCopies*blockBytes)
	if err := file.ReadAt(head, 0); err != nil {
		return err
	}
	if !bytes.Equal(head, make([]byte, len(head))) {
		return ErrFormatted
	}
	sb := newSuperblock(size, o.journalBytes(size), o.Label)
	if sb.JournalLen < minJournal || sb.dataStart()+minData > sb.Size {
		return fmt.Errorf("journal of %d in %d bytes: %w", sb.JournalLen, size, ceph.EINVAL)
	}
	if err := o.formatKV(dir, sb); err != nil {
		return err
	}
	reserve := sb.dataStart()
	if o.Preallocate {
		reserve = sb.Size
	}
	if err := file.Reserve(0, reserve); err != nil {
		return err
	}
	if err := zeroJournal(file, sb); err != nil {
		return err
	}
	// With the superblock there is a store; with both copies a crash can't take it away.
	if err := sb.write(file, file.Sync); err != nil {
		return err
	}
	return sb.write(file, file.Sync)
}

// Least sizes.
const (
	minJournal = 256 << 10
	minData    = 1 << 20
)

// formatKV makes the database, which carries the store's UUID.
func (o Options) formatKV(dir string, sb *superblock) error {
	if err := o.KVFS.RemoveAll(kvPath(dir)); err != nil {
		return err
	}
	if err := o.KVFS.MkdirAll(kvPath(dir), 0o700); err != nil {
		return err
	}
	db, err := kv.Open(kvPath(dir), kv.Options{
		FS: o.KVFS, CacheBytes: 1 << 20, MemTableBytes: 1 << 20, MustNotExist: true,
	})
	if err != nil {
		return err
	}
	b := db.NewBatch()
	err = b.Set(sysUUID, sb.UUID[:], nil)
	if err == nil {
		err = b.Set(sysUses, make([]byte, 8), nil)
	}
	if err == nil {
		err = db.Apply(b)
	}
	b.Close()
	if err == nil {
		err = db.Flush(nil)
	}
	return firstError(err, db.Close(), o.syncDir(dir), o.syncDir(o.KVFS.PathDir(dir)))
}

// syncDir makes the names in dir durable.
func (o Options) syncDir(dir string) error {
	d, err := o.KVFS.OpenDir(dir)
	if err != nil {
		return err
	}
	return firstError(d.Sync(), d.Close())
}

// zeroJournal writes all of the ring, so that later writes to it change no file metadata.
func zeroJournal(file disk.File, sb *superblock) error {
	zeros := disk.Aligned(1 << 20)
	for off := int64(0); off < sb.JournalLen; off += int64(len(zeros)) {
		part := zeros[:min(int64(len(zeros)), sb.JournalLen-off)]
		if err := file.WriteVec([][]byte{part}, journalStart+off); err != nil {
			return err
		}
	}
	return file.Sync()
}
