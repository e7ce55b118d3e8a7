package sim

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"syscall"
	"time"

	"glue/ceph"
	"glue/osd"
	"glue/sim/memdisk"
	"glue/store/objectstore"
)

// An ailment is what is wrong with the disk of an OSD, whoever uses it.
type ailment struct {
	fails memdisk.Failing // Fine, NoWrites or NoReads: of the store's own records
	in    int             // after so many more
	// fill is how full others have made it. From 1 on there is no room for any data.
	fill float64
	// rot is the objects whose data can't be read any more, which the store notices.
	rot map[ceph.HObject]bool
}

// An osdDisk is the store as an OSD's daemon has it in one life, on a disk that may fail: it does
// what store/blockstore does then.
type osdDisk struct {
	objectstore.Store
	o      *osdHost
	failed bool
	done   []func(error) // of what is not durable yet
}

// touch counts an access and says whether it can be.
func (d *osdDisk) touch(kind memdisk.Failing) error {
	a := &d.o.ail
	if d.failed {
		return objectstore.ErrFailed
	}
	if a.fails != kind {
		return nil
	}
	if a.in--; a.in >= 0 {
		return nil
	}
	d.fail()
	return fmt.Errorf("disk of osd.%d: %w: %w", d.o.id, objectstore.ErrFailed, syscall.EIO)
}

// fail stops the store for good, which ends the daemon soon.
func (d *osdDisk) fail() {
	d.failed = true
	list := d.done
	d.done = nil
	o, life := d.o, d.o.life
	o.w.trace("store fails", "osd", o.id)
	o.w.after(time.Microsecond, func() {
		if o.life == life {
			o.do(func(*osd.Member) {
				for _, f := range list {
					f(objectstore.ErrFailed)
				}
			})
		}
	})
	o.w.after(o.latency()*100, func() {
		if o.life == life {
			o.endedByDisk(objectstore.ErrFailed)
		}
	})
}

// Submit takes a transaction.
func (d *osdDisk) Submit(t *objectstore.Transaction, done func(error)) error {
	if d.failed {
		return objectstore.ErrFailed
	}
	rot, err := d.weigh(t)
	if err != nil {
		return err
	}
	if done != nil {
		d.done = append(d.done, done)
		if err = d.Store.Submit(t, d.durable); err != nil {
			d.done = d.done[:len(d.done)-1]
		}
	} else {
		err = d.Store.Submit(t, nil)
	}
	if err != nil {
		return err
	}
	for o, bad := range rot {
		if d.o.ail.rot[o] && !bad {
			d.o.w.result.RotHealed++
		}
		if delete(d.o.ail.rot, o); bad {
			d.o.ail.rot[o] = true
		}
	}
	return nil
}

// durable is that the oldest transaction is.
func (d *osdDisk) durable(err error) {
	if d.failed || len(d.done) == 0 {
		return
	}
	f := d.done[0]
	d.done = d.done[1:]
	f(err)
}

// SubmitAll takes several.
func (d *osdDisk) SubmitAll(batch []objectstore.Submission) []error {
	return objectstore.SubmitEach(batch, d.Submit)
}

// weigh says whether there is room for a transaction, whether it needs what can't be read, and
// which objects it makes rotten or sound. Objects are taken to be in one block.
func (d *osdDisk) weigh(t *objectstore.Transaction) (map[ceph.HObject]bool, error) {
	a := &d.o.ail
	if a.fill < 1 && len(a.rot) == 0 {
		return nil, nil
	}
	rot := map[ceph.HObject]bool{}
	bad := func(o ceph.HObject) bool {
		b, ok := rot[o]
		return b || !ok && d.isRotten(o)
	}
	for i := range t.Ops {
		op := &t.Ops[i]
		writes := op.Code == objectstore.OpWrite && len(op.Data) > 0
		if writes && a.fill >= 1 {
			return nil, fmt.Errorf("write %v: %w", op.Object, ceph.ENOSPC)
		}
		switch op.Code {
		case objectstore.OpWrite, objectstore.OpZero, objectstore.OpCloneRange:
			if bad(op.Object) && (writes || op.Len > 0) {
				return nil, fmt.Errorf("write %v: %w", op.Object, objectstore.ErrCorrupt)
			}
		case objectstore.OpTruncate:
			if st, err := d.Store.Stat(op.Coll, op.Object); op.Off == 0 {
				rot[op.Object] = false
			} else if bad(op.Object) && err == nil && op.Off < st.Size {
				return nil, fmt.Errorf("truncate %v: %w", op.Object, objectstore.ErrCorrupt)
			}
		case objectstore.OpRemove:
			rot[op.Object] = false
		case objectstore.OpClone:
			rot[op.Dest] = bad(op.Object)
		case objectstore.OpMoveRename:
			rot[op.Dest], rot[op.Object] = bad(op.Object), false
		case objectstore.OpRmColl:
			for o := range a.rot {
				if _, err := d.Store.Stat(op.Coll, o); err == nil {
					rot[o] = false
				}
			}
		}
	}
	return rot, nil
}

// Read returns bytes of the object.
func (d *osdDisk) Read(c ceph.SPG, o ceph.HObject, off, n uint64) ([]byte, error) {
	if err := d.readable(o); err != nil {
		return nil, err
	}
	return d.Store.Read(c, o, off, n)
}

// Lend is Read.
func (d *osdDisk) Lend(c ceph.SPG, o ceph.HObject, off, n uint64) (objectstore.Loan, error) {
	if err := d.readable(o); err != nil {
		return objectstore.Loan{Done: func() {}}, err
	}
	return d.Store.Lend(c, o, off, n)
}

func (d *osdDisk) readable(o ceph.HObject) error {
	if err := d.touch(memdisk.NoReads); err != nil {
		return err
	}
	if d.isRotten(o) {
		return fmt.Errorf("object %v: %w: %w", o, objectstore.ErrCorrupt, syscall.EIO)
	}
	return nil
}

// Extents returns what is written.
func (d *osdDisk) Extents(c ceph.SPG, o ceph.HObject, off, n uint64,
) ([]objectstore.Extent, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return nil, err
	}
	return d.Store.Extents(c, o, off, n)
}

// Stat returns the object's shape.
func (d *osdDisk) Stat(c ceph.SPG, o ceph.HObject) (objectstore.Stat, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return objectstore.Stat{}, err
	}
	return d.Store.Stat(c, o)
}

// GetAttr returns one attribute.
func (d *osdDisk) GetAttr(c ceph.SPG, o ceph.HObject, name string) ([]byte, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return nil, err
	}
	return d.Store.GetAttr(c, o, name)
}

// GetAttrs returns all attributes.
func (d *osdDisk) GetAttrs(c ceph.SPG, o ceph.HObject) (map[string][]byte, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return nil, err
	}
	return d.Store.GetAttrs(c, o)
}

// OmapHeader returns the header.
func (d *osdDisk) OmapHeader(c ceph.SPG, o ceph.HObject) ([]byte, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return nil, err
	}
	return d.Store.OmapHeader(c, o)
}

// OmapGet returns pairs.
func (d *osdDisk) OmapGet(c ceph.SPG, o ceph.HObject, keys []string) (map[string][]byte, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return nil, err
	}
	return d.Store.OmapGet(c, o, keys)
}

// OmapScan yields pairs.
func (d *osdDisk) OmapScan(c ceph.SPG, o ceph.HObject, from string,
) iter.Seq2[objectstore.OmapPair, error] {
	if err := d.touch(memdisk.NoReads); err != nil {
		return only[objectstore.OmapPair](err)
	}
	return d.Store.OmapScan(c, o, from)
}

func only[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		yield(zero, err)
	}
}

// List pages through a collection.
func (d *osdDisk) List(c ceph.SPG, from ceph.HObject, n int) ([]ceph.HObject, ceph.HObject, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return nil, ceph.HObject{}, err
	}
	return d.Store.List(c, from, n)
}

// Tagged lists objects by a tag.
func (d *osdDisk) Tagged(c ceph.SPG, tag uint64, from ceph.HObject, n int,
) ([]ceph.HObject, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return nil, err
	}
	return d.Store.Tagged(c, tag, from, n)
}

// Log yields the entries of a log.
func (d *osdDisk) Log(c ceph.SPG, after ceph.Eversion) iter.Seq2[objectstore.LogEntry, error] {
	if err := d.touch(memdisk.NoReads); err != nil {
		return only[objectstore.LogEntry](err)
	}
	return d.Store.Log(c, after)
}

// Meta reads a value of the OSD's table.
func (d *osdDisk) Meta(key string) ([]byte, error) {
	if err := d.touch(memdisk.NoReads); err != nil {
		return nil, err
	}
	return d.Store.Meta(key)
}

// MetaScan yields values of the OSD's table.
func (d *osdDisk) MetaScan(prefix string) iter.Seq2[objectstore.OmapPair, error] {
	if err := d.touch(memdisk.NoReads); err != nil {
		return only[objectstore.OmapPair](err)
	}
	return d.Store.MetaScan(prefix)
}

// Usage is what the OSD has, and what others have put on its disk.
func (d *osdDisk) Usage() (objectstore.Usage, error) {
	if d.failed {
		return objectstore.Usage{}, objectstore.ErrFailed
	}
	u, err := d.Store.Usage()
	u.Available = min(u.Available, uint64(float64(u.Total)*max(0, 1-d.o.ail.fill)))
	return u, err
}

// forgetLost takes rot away of objects that a loss of power has undone.
func (o *osdHost) forgetLost() {
	if len(o.ail.rot) == 0 {
		return
	}
	have := map[ceph.HObject]bool{}
	colls, _ := o.store.Collections()
	for _, c := range colls {
		for h := range o.ail.rot {
			if _, err := o.store.Stat(c, h); err == nil {
				have[h] = true
			}
		}
	}
	o.ail.rot = have
}

// endedByDisk takes that a daemon has ended since its disk failed.
func (o *osdHost) endedByDisk(err error) {
	o.w.trace("ended by its disk", "osd", o.id, "err", err)
	o.w.result.OSDDiskErrors++
	o.crash(false)
}

// rotten are the objects that can't be read, in their order.
func (o *osdHost) rotten() []ceph.HObject {
	return slices.SortedFunc(maps.Keys(o.ail.rot), ceph.HObject.Compare)
}
