package objectmap

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
)

// SnapAdd keeps the map as that of a new snapshot and, with fast-diff, notes that nothing was
// changed since.
func (m *Map) SnapAdd(ctx context.Context, snap ceph.SnapID, fastDiff bool) error {
	raw, err := m.x.Exec(ctx, m.oid, "rbd", "object_map_load", nil)
	if err != nil {
		return fmt.Errorf("read the object map: %w", err)
	}
	save := new(rados.WriteOp).Exec("rbd", "object_map_save", raw)
	if err := m.x.Operate(ctx, Name(m.image, snap), save); err != nil {
		return fmt.Errorf("make the object map of the snapshot: %w", err)
	}
	if !fastDiff {
		return nil
	}
	if err := m.change(ctx, "object_map_snap_add", nil); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.vector.n {
		if m.vector.Get(n) == Exists {
			m.vector.Set(n, Clean)
		}
	}
	return nil
}

// SnapRemove removes a snapshot's map. With fast-diff what it says was changed goes to the map of
// the next snapshot, or the image, which is the last of later. It returns whose map is not right
// after an error. A client that was killed leaves a snapshot without a map that it had not made
// yet, whose changes the next one has, or that it had merged into the next one: both are passed
// over.
func (m *Map) SnapRemove(
	ctx context.Context, snap ceph.SnapID, later []ceph.SnapID, fastDiff bool,
) (wrong ceph.SnapID, err error) {
	oid := Name(m.image, snap)
	raw, err := m.x.Exec(ctx, oid, "rbd", "object_map_load", nil)
	if errors.Is(err, ceph.ENOENT) {
		return 0, nil
	}
	wrong = later[0]
	if err == nil && fastDiff {
		for _, wrong = range later {
			if err = m.mergeInto(ctx, wrong, raw); !errors.Is(err, ceph.ENOENT) {
				break
			}
		}
	}
	return wrong, errors.Join(err, m.x.Remove(ctx, oid))
}

// mergeInto carries the changes that the map of a removed snapshot tells of on to another map.
func (m *Map) mergeInto(ctx context.Context, snap ceph.SnapID, raw []byte) error {
	const method = "object_map_snap_remove"
	if snap != ceph.NoSnap {
		op := new(rados.WriteOp).Exec("rbd", method, raw)
		if err := m.x.Operate(ctx, Name(m.image, snap), op); err != nil {
			return fmt.Errorf("update the object map of snapshot %d: %w", snap, err)
		}
		return nil
	}
	var old Vector
	if err := denc.Unmarshal(raw, &old, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("object map of the snapshot: %w", err)
	}
	if err := m.change(ctx, method, raw); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.vector.n {
		if m.vector.Get(n) == Clean && (n >= old.n || old.Get(n) == Exists) {
			m.vector.Set(n, Exists)
		}
	}
	return nil
}
