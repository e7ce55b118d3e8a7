package osd

import (
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/records"
	"glue/store/objectstore"
)

type (
	superblock = records.Superblock
	poolLife   = records.PoolLife
	stored     = records.PG
)

// openSuper reads the superblock, or makes one for an empty store. A store of another cluster or
// OSD is refused.
func (d *Daemon) openSuper() error {
	raw, err := d.store.Meta(records.SuperblockKey)
	if errors.Is(err, ceph.ENOENT) {
		colls, err := d.store.Collections()
		if err != nil {
			return fmt.Errorf("list collections: %w", err)
		}
		if len(colls) > 0 {
			return fmt.Errorf("the store has %d PGs but no superblock", len(colls))
		}
		d.super = superblock{FSID: d.opt.FSID, UUID: d.opt.UUID, Whoami: d.opt.ID,
			Pools: map[int64]poolLife{}}
		return d.writeSuper()
	}
	if err != nil {
		return fmt.Errorf("read superblock: %w", err)
	}
	if err := denc.Unmarshal(raw, &d.super, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("superblock: %w", err)
	}
	s := &d.super
	switch {
	case s.FSID != d.opt.FSID:
		return fmt.Errorf("the store belongs to cluster %v, not to %v", s.FSID, d.opt.FSID)
	case s.Whoami != d.opt.ID:
		return fmt.Errorf("the store belongs to osd.%d, not to osd.%d", s.Whoami, d.opt.ID)
	case !d.opt.UUID.IsZero() && !s.UUID.IsZero() && d.opt.UUID != s.UUID:
		return fmt.Errorf("the store belongs to OSD %v, not to %v", s.UUID, d.opt.UUID)
	}
	if s.Pools == nil {
		s.Pools = map[int64]poolLife{}
	}
	return nil
}

func (d *Daemon) putSuper(t *objectstore.Transaction) {
	t.PutMeta(records.SuperblockKey, denc.Marshal(&d.super, ceph.FeaturesAll))
}

// writeSuper stores the superblock; everything that the store gets later is behind it.
func (d *Daemon) writeSuper() error {
	var t objectstore.Transaction
	d.putSuper(&t)
	if err := d.store.Submit(&t, d.storeDone); err != nil {
		return fmt.Errorf("write superblock: %w", err)
	}
	return nil
}

// removeImport removes a PG copy whose import was interrupted; it says whether there is one.
func (d *Daemon) removeImport(id ceph.SPG) (bool, error) {
	if _, err := d.store.Meta(records.ImportKey(id)); err != nil {
		return false, nil
	}
	d.log.Warn("removing a PG whose import was interrupted", "pg", id)
	var t objectstore.Transaction
	t.RmColl(id)
	t.RmMeta(records.ImportKey(id))
	return true, d.store.Submit(&t, d.storeDone)
}
