// Package objectmap keeps the object maps of images: which of an image's objects exist, and with
// fast-diff which were changed since the last snapshot, for the image and for each snapshot. They
// are objects next to the image's header, in the format of librbd of Ceph (ObjectMap, cls_rbd).
//
// Invariants: a Map is that of an image whose lock this client holds. A state is stored before Mark
// returns, so that no object is there without its map saying so.
package objectmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
)

// States of an object.
const (
	Nonexistent uint8 = 0
	Exists      uint8 = 1
	Pending     uint8 = 2 // being removed
	Clean       uint8 = 3 // exists, not changed since the last snapshot
)

// LockName is the advisory lock of images and object maps.
const LockName = "rbd_lock"

var le = binary.LittleEndian

// Name is the object of an image's map, or of a snapshot's. The image is named by its id.
func Name(image string, snap ceph.SnapID) string {
	const prefix = "rbd_object_map."
	if snap == ceph.NoSnap {
		return prefix + image
	}
	return fmt.Sprintf("%s%s.%016x", prefix, image, uint64(snap))
}

// Create makes the map of an image without objects, or brings it to another size.
func Create(ctx context.Context, x *rados.IOCtx, image string, objects uint64) error {
	op := new(rados.WriteOp).Exec("rbd", "object_map_resize", resizeArg(objects))
	return x.Operate(ctx, Name(image, ceph.NoSnap), op)
}

// Read reads the map of an image or of a snapshot without a lock: a picture of the moment. ENOENT
// without one.
func Read(ctx context.Context, x *rados.IOCtx, image string, snap ceph.SnapID) (*Vector, error) {
	return read(ctx, x, Name(image, snap))
}

func read(ctx context.Context, x *rados.IOCtx, oid string) (*Vector, error) {
	raw, err := x.Exec(ctx, oid, "rbd", "object_map_load", nil)
	v := new(Vector)
	if err == nil {
		err = denc.Unmarshal(raw, v, ceph.FeaturesAll)
	}
	if err != nil {
		return nil, fmt.Errorf("read the object map: %w", err)
	}
	return v, nil
}

// SaveSnap replaces the map of a snapshot.
func SaveSnap(
	ctx context.Context, x *rados.IOCtx, image string, snap ceph.SnapID, v *Vector,
) error {
	op := new(rados.WriteOp).Exec("rbd", "object_map_save", denc.Marshal(v, ceph.FeaturesAll))
	return x.Operate(ctx, Name(image, snap), op)
}

// A Map is that of an image whose lock we hold. Several writers may ask for objects at once; a
// change is stored before who asked for it goes on.
type Map struct {
	x          *rados.IOCtx
	image, oid string

	mu        sync.Mutex
	vector    Vector
	untrusted bool                     // the header says so
	changes   map[uint64]chan struct{} // objects whose change is being stored
}

// Open takes the lock of an image's object map and reads it. The caller holds the image's lock, so
// that a holder of the map's lock is dead or gone. Without a map the error is ENOENT, and there is
// a Map to be resized or unlocked.
func Open(ctx context.Context, x *rados.IOCtx, image string) (*Map, error) {
	m := &Map{x: x, image: image, oid: Name(image, ceph.NoSnap),
		changes: map[uint64]chan struct{}{}}
	lock := rados.Lock{Name: LockName, Kind: rados.LockExclusive}
	err := x.Lock(ctx, m.oid, lock)
	if errors.Is(err, ceph.EBUSY) {
		if err = m.breakLock(ctx); err == nil {
			err = x.Lock(ctx, m.oid, lock)
		}
	}
	if err != nil && !errors.Is(err, ceph.EEXIST) {
		return nil, fmt.Errorf("lock the object map: %w", err)
	}
	v, err := read(ctx, x, m.oid)
	if err == nil {
		m.vector = *v
	}
	return m, err
}

func (m *Map) breakLock(ctx context.Context) error {
	info, err := m.x.LockInfo(ctx, m.oid, LockName)
	if err != nil {
		return err
	}
	for _, l := range info.Lockers {
		err := m.x.BreakLock(ctx, m.oid, LockName, l.Cookie, l.Name)
		if err != nil && !errors.Is(err, ceph.ENOENT) {
			return err
		}
	}
	return nil
}

// Unlock gives the map's lock back.
func (m *Map) Unlock(ctx context.Context) error {
	err := m.x.Unlock(ctx, m.oid, LockName, "")
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	return err
}

// Trust says whether the map is right; the image's header has a flag for that.
func (m *Map) Trust(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.untrusted = !yes
}

// Len is the number of objects.
func (m *Map) Len() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.vector.n
}

// Get is an object's state; Pending, which says nothing, if the map is not to be trusted.
func (m *Map) Get(object uint64) uint8 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.untrusted {
		return Pending
	}
	return m.vector.Get(object)
}

// MayExist says whether an object may be there.
func (m *Map) MayExist(object uint64) bool { return m.Get(object) != Nonexistent }

// Mark gives an object a state, stored before it returns. from, unless it is nil, is the state
// that the object must have for a change to be made.
func (m *Map) Mark(ctx context.Context, object uint64, state uint8, from *uint8) error {
	for {
		m.mu.Lock()
		if object >= m.vector.n {
			m.mu.Unlock()
			return fmt.Errorf("object %d is beyond the object map: %w", object, ceph.EINVAL)
		}
		if wait := m.changes[object]; wait != nil {
			m.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		have := m.vector.Get(object)
		if have == state || from != nil && have != *from {
			m.mu.Unlock()
			return nil
		}
		stored := make(chan struct{})
		m.changes[object] = stored
		m.mu.Unlock()
		err := m.change(ctx, "object_map_update", updateArg(object, state, from))
		m.mu.Lock()
		if err == nil {
			m.vector.Set(object, state)
		}
		delete(m.changes, object)
		close(stored)
		m.mu.Unlock()
		return err
	}
}

// MarkSnap gives an object a state in the map of a snapshot, if there is one and the object does
// not exist there yet.
func (m *Map) MarkSnap(ctx context.Context, snap ceph.SnapID, object uint64, state uint8) error {
	none := Nonexistent
	op := new(rados.WriteOp).Exec("rbd", "object_map_update", updateArg(object, state, &none))
	err := m.x.Operate(ctx, Name(m.image, snap), op)
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	return err
}

// Resize changes the number of objects.
func (m *Map) Resize(ctx context.Context, objects uint64) error {
	if err := m.change(ctx, "object_map_resize", resizeArg(objects)); err != nil {
		return err
	}
	m.mu.Lock()
	m.vector.Resize(objects)
	m.mu.Unlock()
	return nil
}

// Save replaces the whole map.
func (m *Map) Save(ctx context.Context, v *Vector) error {
	if err := m.change(ctx, "object_map_save", denc.Marshal(v, ceph.FeaturesAll)); err != nil {
		return err
	}
	m.mu.Lock()
	m.vector = Vector{n: v.n, bits: append([]byte(nil), v.bits...)}
	m.mu.Unlock()
	return nil
}

// locked begins an op that only the holder of the map's lock may do.
func locked() *rados.WriteOp {
	return new(rados.WriteOp).AssertLocked(LockName, rados.LockExclusive, "", "")
}

// change runs a method that changes the image's own map.
func (m *Map) change(ctx context.Context, method string, in []byte) error {
	if err := m.x.Operate(ctx, m.oid, locked().Exec("rbd", method, in)); err != nil {
		return fmt.Errorf("update the object map: %w", err)
	}
	return nil
}

// updateArg is the input of object_map_update.
func updateArg(object uint64, state uint8, from *uint8) []byte {
	b := append(le.AppendUint64(le.AppendUint64(nil, object), object+1), state)
	if from == nil {
		return append(b, 0)
	}
	return append(b, 1, *from)
}

// resizeArg is the input of object_map_resize; new objects do not exist.
func resizeArg(objects uint64) []byte {
	return append(le.AppendUint64(nil, objects), Nonexistent)
}
