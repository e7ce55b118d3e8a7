package rbd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
)

// States of an object in the object map.
const (
	objectNonexistent uint8 = 0
	objectExists      uint8 = 1
	objectPending     uint8 = 2 // being removed
	objectClean       uint8 = 3 // exists, not changed since the last snapshot
)

// lockName is the advisory lock of images and object maps.
const lockName = "rbd_lock"

// A bitVector is two bits per object, the first object in the highest bits of the first byte.
type bitVector struct {
	n    uint64
	bits []byte
}

func (v *bitVector) get(i uint64) uint8 {
	if i >= v.n {
		return objectNonexistent
	}
	return v.bits[i/4] >> (6 - 2*(i%4)) & 3
}

func (v *bitVector) set(i uint64, state uint8) {
	if i < v.n {
		shift := 6 - 2*(i%4)
		v.bits[i/4] = v.bits[i/4]&^(3<<shift) | state<<shift
	}
}

func (v *bitVector) resize(n uint64) {
	bits := make([]byte, (n+3)/4)
	copy(bits, v.bits)
	for i := n; i < v.n && i < uint64(len(bits))*4; i++ {
		shift := 6 - 2*(i%4)
		bits[i/4] &^= 3 << shift
	}
	v.n, v.bits = n, bits
}

// Denc is BitVector<2>: a blob with the header, the bits, and a blob with the checksums, which
// is empty in answers.
func (v *bitVector) Denc(c *denc.Coder) {
	denc.NestedFunc(c, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.U64(&v.n)
		s.End()
	})
	if c.Encoding() {
		c.Raw(v.bits)
	} else {
		if v.n > uint64(c.Remaining())*4 {
			c.Invalid("object map of %d objects in %d bytes", v.n, c.Remaining())
			return
		}
		v.bits = make([]byte, (v.n+3)/4)
		c.Raw(v.bits)
	}
	var footer []byte
	c.Blob(&footer)
}

func resizeArg(objects uint64, state uint8) []byte {
	return encode(func(c *denc.Coder) {
		c.U64(&objects)
		c.U8(&state)
	})
}

// An objectMap is the map of an image whose lock we hold. Several writers may ask for objects at
// once; a change is stored before who asked for it goes on.
type objectMap struct {
	x   *rados.IOCtx
	oid string

	mu      sync.Mutex
	vector  bitVector
	invalid bool                     // the header says not to trust it
	changes map[uint64]chan struct{} // objects whose change is being stored
}

// loadObjectMap takes the lock of an image's object map and reads it. The caller holds the image's
// lock, so that a holder of the map's lock is dead or gone.
func loadObjectMap(ctx context.Context, x *rados.IOCtx, id string) (*objectMap, error) {
	m := &objectMap{x: x, oid: objectMapPrefix + id, changes: map[uint64]chan struct{}{}}
	err := x.Lock(ctx, m.oid, rados.Lock{Name: lockName, Kind: rados.LockExclusive})
	if errors.Is(err, ceph.EBUSY) {
		if err = m.breakLock(ctx); err == nil {
			err = x.Lock(ctx, m.oid, rados.Lock{Name: lockName, Kind: rados.LockExclusive})
		}
	}
	if err != nil && !errors.Is(err, ceph.EEXIST) {
		return nil, fmt.Errorf("lock the object map: %w", err)
	}
	return m, m.load(ctx)
}

func (m *objectMap) load(ctx context.Context) error {
	var v bitVector
	if err := call(ctx, m.x, m.oid, "object_map_load", nil, v.Denc); err != nil {
		return fmt.Errorf("read the object map: %w", err)
	}
	m.mu.Lock()
	m.vector = v
	m.mu.Unlock()
	return nil
}

func (m *objectMap) breakLock(ctx context.Context) error {
	info, err := m.x.LockInfo(ctx, m.oid, lockName)
	if err != nil {
		return err
	}
	for _, l := range info.Lockers {
		err := m.x.BreakLock(ctx, m.oid, lockName, l.Cookie, l.Name)
		if err != nil && !errors.Is(err, ceph.ENOENT) {
			return err
		}
	}
	return nil
}

func (m *objectMap) unlock(ctx context.Context) error {
	err := m.x.Unlock(ctx, m.oid, lockName, "")
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	return err
}

// get is an object's state; pending, which says nothing, if the map is not to be trusted.
func (m *objectMap) get(object uint64) uint8 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.invalid {
		return objectPending
	}
	return m.vector.get(object)
}

// mayExist says whether an object may be there.
func (m *objectMap) mayExist(object uint64) bool { return m.get(object) != objectNonexistent }

// mark gives an object a state, stored before it returns. from, unless it is nil, is the state
// that the object must have for a change to be made.
func (m *objectMap) mark(ctx context.Context, object uint64, state uint8, from *uint8) error {
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
		have := m.vector.get(object)
		if have == state || from != nil && have != *from {
			m.mu.Unlock()
			return nil
		}
		stored := make(chan struct{})
		m.changes[object] = stored
		m.mu.Unlock()
		err := m.update(ctx, object, object+1, state, from)
		m.mu.Lock()
		if err == nil {
			m.vector.set(object, state)
		}
		delete(m.changes, object)
		close(stored)
		m.mu.Unlock()
		return err
	}
}

// update stores a state for a range of objects.
func (m *objectMap) update(
	ctx context.Context, start, end uint64, state uint8, from *uint8,
) error {
	op := new(rados.WriteOp).AssertLocked(lockName, rados.LockExclusive, "", "").
		Exec("rbd", "object_map_update", updateArg(start, end, state, from))
	if err := m.x.Operate(ctx, m.oid, op); err != nil {
		return fmt.Errorf("update the object map: %w", err)
	}
	return nil
}

// resize changes the number of objects.
func (m *objectMap) resize(ctx context.Context, objects uint64) error {
	op := new(rados.WriteOp).AssertLocked(lockName, rados.LockExclusive, "", "").
		Exec("rbd", "object_map_resize", resizeArg(objects, objectNonexistent))
	if err := m.x.Operate(ctx, m.oid, op); err != nil {
		return fmt.Errorf("resize the object map: %w", err)
	}
	m.mu.Lock()
	m.vector.resize(objects)
	m.mu.Unlock()
	return nil
}

// updateArg is the input of object_map_update.
func updateArg(start, end uint64, state uint8, from *uint8) []byte {
	return encode(func(c *denc.Coder) {
		c.U64(&start)
		c.U64(&end)
		c.U8(&state)
		denc.OptionalFunc(c, &from, (*denc.Coder).U8)
	})
}

// readObjectMap reads an image's object map, or that of a snapshot, without a lock: a picture of
// the moment.
func readObjectMap(
	ctx context.Context, x *rados.IOCtx, id string, snap ceph.SnapID,
) (*bitVector, error) {
	var v bitVector
	if err := call(ctx, x, snapMap(id, snap), "object_map_load", nil, v.Denc); err != nil {
		return nil, fmt.Errorf("read the object map: %w", err)
	}
	return &v, nil
}

// snapMap is the object of a snapshot's object map, or of the image's own.
func snapMap(id string, snap ceph.SnapID) string {
	if snap == ceph.NoSnap {
		return objectMapPrefix + id
	}
	return fmt.Sprintf("%s%s.%016x", objectMapPrefix, id, uint64(snap))
}

// save replaces the whole map.
func (m *objectMap) save(ctx context.Context, v *bitVector) error {
	op := new(rados.WriteOp).AssertLocked(lockName, rados.LockExclusive, "", "").
		Exec("rbd", "object_map_save", denc.Marshal(v, ceph.FeaturesAll))
	if err := m.x.Operate(ctx, m.oid, op); err != nil {
		return fmt.Errorf("save the object map: %w", err)
	}
	m.mu.Lock()
	m.vector = bitVector{n: v.n, bits: append([]byte(nil), v.bits...)}
	m.mu.Unlock()
	return nil
}

// snapAdd keeps the map as that of a new snapshot and, with fast-diff, notes that nothing was
// changed since.
func (m *objectMap) snapAdd(
	ctx context.Context, id string, snap ceph.SnapID, fastDiff bool,
) error {
	raw, err := m.x.Exec(ctx, m.oid, "rbd", "object_map_load", nil)
	if err != nil {
		return fmt.Errorf("read the object map: %w", err)
	}
	if err := change(ctx, m.x, snapMap(id, snap), "object_map_save", raw); err != nil {
		return fmt.Errorf("make the object map of the snapshot: %w", err)
	}
	if !fastDiff {
		return nil
	}
	op := new(rados.WriteOp).AssertLocked(lockName, rados.LockExclusive, "", "").
		Exec("rbd", "object_map_snap_add", nil)
	if err := m.x.Operate(ctx, m.oid, op); err != nil {
		return fmt.Errorf("update the object map: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.vector.n {
		if m.vector.get(n) == objectExists {
			m.vector.set(n, objectClean)
		}
	}
	return nil
}

// snapRemove removes a snapshot's map. With fast-diff what it says was changed goes to the map of
// the next snapshot, or the image, which is the last of later. It returns whose map is not right
// after an error. A client that was killed leaves a snapshot without a map that it had not made
// yet, whose changes the next one has, or that it had merged into the next one: both are passed
// over.
func (m *objectMap) snapRemove(
	ctx context.Context, id string, snap ceph.SnapID, later []ceph.SnapID, fastDiff bool,
) (wrong ceph.SnapID, err error) {
	oid := snapMap(id, snap)
	raw, err := m.x.Exec(ctx, oid, "rbd", "object_map_load", nil)
	if errors.Is(err, ceph.ENOENT) {
		return 0, nil
	}
	wrong = later[0]
	if err == nil && fastDiff {
		for _, wrong = range later {
			if err = m.mergeInto(ctx, snapMap(id, wrong), raw); !errors.Is(err, ceph.ENOENT) {
				break
			}
		}
	}
	return wrong, errors.Join(err, m.x.Remove(ctx, oid))
}

// mergeInto carries the changes that the map of a removed snapshot tells of on to another map.
func (m *objectMap) mergeInto(ctx context.Context, oid string, raw []byte) error {
	op := new(rados.WriteOp)
	if oid == m.oid {
		op.AssertLocked(lockName, rados.LockExclusive, "", "")
	}
	op.Exec("rbd", "object_map_snap_remove", raw)
	if err := m.x.Operate(ctx, oid, op); err != nil {
		return fmt.Errorf("update the object map: %w", err)
	}
	if oid != m.oid {
		return nil
	}
	var old bitVector
	if err := denc.Unmarshal(raw, &old, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("object map of the snapshot: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.vector.n {
		if m.vector.get(n) == objectClean && (n >= old.n || old.get(n) == objectExists) {
			m.vector.set(n, objectExists)
		}
	}
	return nil
}
