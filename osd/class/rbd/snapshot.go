package rbd

import (
	"crypto/sha256"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
	"glue/osd/class"
)

// scanSnaps calls f for every snapshot of the image, oldest first.
func scanSnaps(ctx class.Context, f func(*snap) error) error {
	return class.Scan(ctx, snapPrefix, snapPrefix, func(_ string, v []byte) error {
		var s snap
		if err := class.DecodeStored(v, &s); err != nil {
			return err
		}
		return f(&s)
	})
}

// scanSnapKeys calls f for the key of every snapshot.
func scanSnapKeys(ctx class.Context, f func(key string)) error {
	for after, more := snapPrefix, true; more; {
		keys, m, err := ctx.OmapKeys(after, class.MaxKeysRead)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if !strings.HasPrefix(k, snapPrefix) {
				return nil
			}
			f(k)
			after = k
		}
		more = m && len(keys) > 0
	}
	return nil
}

// getSnap reads the record of a snapshot; the id of the head is EINVAL.
func getSnap(ctx class.Context, in []byte) (snap, error) {
	id, err := class.Input(in, class.Of[ceph.SnapID])
	if err != nil {
		return snap{}, err
	}
	if id == ceph.NoSnap {
		return snap{}, ceph.EINVAL
	}
	return class.Get(ctx, snapKey(id), class.Of[snap])
}

func getSnapName(ctx class.Context, in []byte) ([]byte, error) {
	s, err := getSnap(ctx, in)
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.Str, s.Name), nil
}

func getSnapTimestamp(ctx class.Context, in []byte) ([]byte, error) {
	s, err := getSnap(ctx, in)
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.Of[ceph.Time], s.Timestamp), nil
}

func snapshotGet(ctx class.Context, in []byte) ([]byte, error) {
	s, err := getSnap(ctx, in)
	if err != nil {
		return nil, err
	}
	return class.Encode(s.dencInfo), nil
}

func getProtection(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Of[ceph.SnapID])
	if err != nil {
		return nil, err
	}
	if err := exists(ctx); err != nil {
		return nil, err
	}
	if id == ceph.NoSnap {
		return nil, ceph.EINVAL
	}
	s, err := class.Get(ctx, snapKey(id), class.Of[snap])
	if err != nil {
		return nil, err
	}
	if s.Protection >= protectionLast {
		return nil, ceph.EIO
	}
	return []byte{s.Protection}, nil
}

func setProtection(ctx class.Context, in []byte) ([]byte, error) {
	var id ceph.SnapID
	var status uint8
	err := class.Decode(in, func(c *denc.Coder) {
		id.Denc(c)
		c.U8(&status)
	})
	if err != nil {
		return nil, err
	}
	if err := exists(ctx); err != nil {
		return nil, err
	}
	if err := requireFeature(ctx, featLayering); err != nil {
		return nil, err
	}
	if id == ceph.NoSnap || status >= protectionLast {
		return nil, ceph.EINVAL
	}
	s, err := class.Get(ctx, snapKey(id), class.Of[snap])
	if err != nil {
		return nil, err
	}
	s.Protection = status
	return nil, class.Put(ctx, snapKey(id), class.Of[snap], s)
}

// snapshotAdd records a snapshot: ESTALE if a newer id has been used, EEXIST if id or name are
// taken, EDQUOT above the image's limit.
func snapshotAdd(ctx class.Context, in []byte) ([]byte, error) {
	var s snap
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&s.Name)
		s.ID.Denc(c)
		if c.Remaining() > 0 {
			s.Space.Denc(c)
		}
	})
	if err != nil {
		return nil, err
	}
	if s.Space.Kind == rbdspec.SnapUnknown || s.ID > ceph.MaxSnap {
		return nil, ceph.EINVAL
	}
	seq, err := class.Get(ctx, "snap_seq", class.U64)
	if err != nil {
		return nil, err
	}
	if uint64(s.ID) < seq {
		return nil, ceph.ESTALE
	}
	if s.Size, err = class.Get(ctx, "size", class.U64); err != nil {
		return nil, err
	}
	if s.Flags, err = class.GetOr(ctx, "flags", class.U64, 0); err != nil {
		return nil, err
	}
	s.Timestamp = ctx.Now()
	if err := checkNewSnap(ctx, &s); err != nil {
		return nil, err
	}
	p, err := class.GetOr(ctx, "parent", class.Of[parent], noParent())
	if err != nil {
		return nil, err
	}
	if p.exists() {
		s.ParentOverlap = p.Overlap
	}
	if s.Space.Kind == rbdspec.SnapTrash {
		if err := setOpFeatures(ctx, opFeatSnapTrash, opFeatSnapTrash); err != nil {
			return nil, err
		}
	}
	if err := class.Put(ctx, "snap_seq", class.U64, uint64(s.ID)); err != nil {
		return nil, err
	}
	return nil, class.Put(ctx, snapKey(s.ID), class.Of[snap], s)
}

// checkNewSnap holds a snapshot to be against those that exist.
func checkNewSnap(ctx class.Context, s *snap) error {
	limit, err := class.GetOr(ctx, "snap_limit", class.U64, ^uint64(0))
	if err != nil {
		return err
	}
	n := uint64(0)
	return scanSnaps(ctx, func(old *snap) error {
		if n++; n >= limit {
			return ceph.EDQUOT
		}
		if old.ID == s.ID || (old.Name == s.Name && old.Space.Equal(&s.Space)) {
			return ceph.EEXIST
		}
		return nil
	})
}

func snapshotRename(ctx class.Context, in []byte) ([]byte, error) {
	var id ceph.SnapID
	var name string
	err := class.Decode(in, func(c *denc.Coder) {
		id.Denc(c)
		c.Str(&name)
	})
	if err != nil {
		return nil, err
	}
	err = scanSnaps(ctx, func(s *snap) error {
		if s.Space.Kind == rbdspec.SnapUser && s.Name == name {
			return ceph.EEXIST
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s, err := class.Get(ctx, snapKey(id), class.Of[snap])
	if err != nil {
		return nil, err
	}
	if s.Space.Kind != rbdspec.SnapUser {
		return nil, ceph.EINVAL
	}
	s.Name = name
	return nil, class.Put(ctx, snapKey(id), class.Of[snap], s)
}

// snapshotRemove forgets a snapshot: EBUSY if it is protected or has clones. What no other
// snapshot needs goes with it: the link to the parent, the operation features.
func snapshotRemove(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Of[ceph.SnapID])
	if err != nil {
		return nil, err
	}
	s, err := class.Get(ctx, snapKey(id), class.Of[snap])
	if err != nil {
		return nil, err
	}
	if s.Protection != unprotected || s.Children > 0 {
		return nil, ceph.EBUSY
	}
	if err := class.Remove(ctx, snapKey(id)); err != nil {
		return nil, err
	}
	var childSnaps, trashSnaps bool
	err = scanSnaps(ctx, func(o *snap) error {
		if o.ID != id {
			childSnaps = childSnaps || o.ParentOverlap != nil
			trashSnaps = trashSnaps || o.Space.Kind == rbdspec.SnapTrash
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p, err := class.GetOr(ctx, "parent", class.Of[parent], noParent())
	if err != nil {
		return nil, err
	}
	headIsChild := p.exists() && p.Overlap != nil
	if p.exists() && !headIsChild && !childSnaps {
		if err := class.Remove(ctx, "parent"); err != nil {
			return nil, err
		}
	}
	var mask uint64
	if !childSnaps && !headIsChild {
		mask |= opFeatCloneChild
	}
	if !trashSnaps {
		mask |= opFeatSnapTrash
	}
	if mask == 0 {
		return nil, nil
	}
	return nil, setOpFeatures(ctx, 0, mask)
}

// snapshotTrashAdd moves a snapshot that has clones out of sight, under a name of its own.
func snapshotTrashAdd(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Of[ceph.SnapID])
	if err != nil {
		return nil, err
	}
	s, err := class.Get(ctx, snapKey(id), class.Of[snap])
	switch {
	case err != nil:
		return nil, err
	case s.Protection != unprotected:
		return nil, ceph.EBUSY
	case s.Space.Kind == rbdspec.SnapTrash:
		return nil, ceph.EEXIST
	}
	if err := setOpFeatures(ctx, opFeatSnapTrash, opFeatSnapTrash); err != nil {
		return nil, err
	}
	s.Space = rbdspec.SnapSpace{
		Kind: rbdspec.SnapTrash, OriginalKind: s.Space.Kind, OriginalName: s.Name,
	}
	s.Name = uniqueName(ctx, id)
	return nil, class.Put(ctx, snapKey(id), class.Of[snap], s)
}

// uniqueName is a UUID made of the request's name, which no other request shares, so that
// executing it again gives the same.
func uniqueName(ctx class.Context, id ceph.SnapID) string {
	reqID, now, object := ctx.ReqID(), ctx.Now(), ctx.Object()
	sum := sha256.Sum256(class.Encode(func(c *denc.Coder) {
		reqID.Denc(c)
		now.Denc(c)
		object.Denc(c)
		id.Denc(c)
	}))
	u := ceph.UUID(sum[:16])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80 // version 4, variant 1
	return u.String()
}

func getSnapLimit(ctx class.Context, _ []byte) ([]byte, error) {
	limit, err := class.GetOr(ctx, "snap_limit", class.U64, ^uint64(0))
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.U64, limit), nil
}

func setSnapLimit(ctx class.Context, in []byte) ([]byte, error) {
	limit, err := class.Input(in, class.U64)
	if err != nil {
		return nil, err
	}
	if limit == ^uint64(0) {
		return nil, ctx.OmapRm("snap_limit")
	}
	n, err := countSnaps(ctx)
	if err != nil {
		return nil, err
	}
	if limit < n {
		return nil, ceph.ERANGE
	}
	return nil, class.Put(ctx, "snap_limit", class.U64, limit)
}

// countSnaps counts the snapshots of an image of either format.
func countSnaps(ctx class.Context) (uint64, error) {
	h, err := readOldHeader(ctx)
	if err == nil {
		return uint64(len(h.snaps)), nil
	}
	if err != ceph.EINVAL {
		return 0, err
	}
	n := uint64(0)
	err = scanSnapKeys(ctx, func(string) { n++ })
	return n, err
}
