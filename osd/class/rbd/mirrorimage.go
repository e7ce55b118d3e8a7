package rbd

import (
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
	"glue/osd/class"
)

const (
	mirrorImagePrefix    = "image_"
	mirrorGlobalPrefix   = "global_"
	mirrorInstancePrefix = "instance_"
	mirrorMapPrefix      = "image_map_"
)

// States of a mirrored image (MIRROR_IMAGE_STATE_*).
const (
	imageDisabling = 0
	imageEnabled   = 1
)

// A mirrorImage is a mirrored image.
type mirrorImage = rbdspec.MirrorImage

// scanImages calls f for up to max mirrored images with ids above start.
func scanImages(
	ctx class.Context, start string, max uint64, f func(id string, m *mirrorImage) error,
) error {
	return class.ScanUpTo(ctx, mirrorImagePrefix, start, max, func(id string, v []byte) error {
		var m mirrorImage
		if err := class.DecodeStored(v, &m); err != nil {
			return err
		}
		return f(id, &m)
	})
}

func mirrorImageList(ctx class.Context, in []byte) ([]byte, error) {
	start, max, err := startAndMax(in)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	err = scanImages(ctx, start, max, func(id string, m *mirrorImage) error {
		found[id] = m.GlobalID
		return nil
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		denc.MapFunc(c, &found, (*denc.Coder).Str, (*denc.Coder).Str)
	}), nil
}

func mirrorImageGetID(ctx class.Context, in []byte) ([]byte, error) {
	global, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return class.Getter(mirrorGlobalPrefix+global, class.Str)(ctx, nil)
}

func mirrorImageGet(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return class.Getter(mirrorImagePrefix+id, class.Of[mirrorImage])(ctx, nil)
}

// mirrorImageSet adds or changes an image; its global id is unique and for ever.
func mirrorImageSet(ctx class.Context, in []byte) ([]byte, error) {
	var id string
	var m mirrorImage
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&id)
		m.Denc(c)
	})
	if err != nil {
		return nil, err
	}
	old, err := class.Get(ctx, mirrorImagePrefix+id, class.Of[mirrorImage])
	switch {
	case class.IsMissing(err):
		if _, err := class.Get(ctx, mirrorGlobalPrefix+m.GlobalID, class.Str); err == nil {
			return nil, ceph.EEXIST
		} else if !class.IsMissing(err) {
			return nil, err
		}
		if m.State == imageDisabling {
			return nil, ceph.ENOENT // lost a race with being disabled
		}
	case err != nil:
		return nil, err
	case old.GlobalID != m.GlobalID:
		return nil, ceph.EINVAL
	}
	return nil, ctx.OmapSet(map[string][]byte{
		mirrorImagePrefix + id:          class.Encoded(class.Of[mirrorImage], m),
		mirrorGlobalPrefix + m.GlobalID: class.Encoded(class.Str, id)})
}

// mirrorImageRemove forgets an image that is being disabled, with its status.
func mirrorImageRemove(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	m, err := class.Get(ctx, mirrorImagePrefix+id, class.Of[mirrorImage])
	if err != nil {
		return nil, err
	}
	if m.State != imageDisabling {
		return nil, ceph.EBUSY
	}
	if err := ctx.OmapRm(mirrorImagePrefix + id); err != nil {
		return nil, err
	}
	if err := class.Remove(ctx, mirrorGlobalPrefix+m.GlobalID); err != nil {
		return nil, err
	}
	return nil, removeStatus(ctx, m.GlobalID)
}

func mirrorInstancesList(ctx class.Context, _ []byte) ([]byte, error) {
	var ids []string
	add := func(id string, _ []byte) error {
		ids = append(ids, id)
		return nil
	}
	err := class.ScanUpTo(ctx, mirrorInstancePrefix, "", ^uint64(0), add)
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		denc.ListFunc(c, &ids, (*denc.Coder).Str)
	}), nil
}

func mirrorInstancesAdd(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return nil, ctx.OmapSet(map[string][]byte{mirrorInstancePrefix + id: nil})
}

func mirrorInstancesRemove(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return nil, ctx.OmapRm(mirrorInstancePrefix + id)
}

// A mapping assigns an image to an instance of the mirror daemon (MirrorImageMap).
type mapping struct {
	Instance string
	Time     ceph.Time
	Data     []byte
}

// Denc is MirrorImageMap version 1.
func (m *mapping) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&m.Instance)
	m.Time.Denc(c)
	c.Blob(&m.Data)
	s.End()
}

func mirrorMapList(ctx class.Context, in []byte) ([]byte, error) {
	start, max, err := startAndMax(in)
	if err != nil {
		return nil, err
	}
	found := map[string]mapping{}
	err = class.ScanUpTo(ctx, mirrorMapPrefix, start, max, func(id string, v []byte) error {
		m, err := class.Input(v, class.Of[mapping])
		found[id] = m
		return err
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) { denc.Map(c, &found, (*denc.Coder).Str) }), nil
}

func mirrorMapUpdate(ctx class.Context, in []byte) ([]byte, error) {
	var id string
	var m mapping
	err := class.Decode(in, func(c *denc.Coder) {
		c.Str(&id)
		m.Denc(c)
	})
	if err != nil {
		return nil, err
	}
	return nil, class.Put(ctx, mirrorMapPrefix+id, class.Of[mapping], m)
}

func mirrorMapRemove(ctx class.Context, in []byte) ([]byte, error) {
	id, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return nil, class.Remove(ctx, mirrorMapPrefix+id)
}

// States of a mirror snapshot that this cluster receives (MIRROR_SNAPSHOT_STATE_*).
const snapNonPrimary = 2

// mirrorSnap reads a snapshot that was made for mirroring; EINVAL for another.
func mirrorSnap(ctx class.Context, id ceph.SnapID) (snap, error) {
	s, err := class.Get(ctx, snapKey(id), class.Of[snap])
	if err == nil && s.Space.Kind != rbdspec.SnapMirror {
		err = ceph.EINVAL
	}
	return s, err
}

func mirrorSnapUnlinkPeer(ctx class.Context, in []byte) ([]byte, error) {
	var id ceph.SnapID
	var uuid string
	err := class.Decode(in, func(c *denc.Coder) {
		id.Denc(c)
		c.Str(&uuid)
	})
	if err != nil {
		return nil, err
	}
	s, err := mirrorSnap(ctx, id)
	if err != nil {
		return nil, err
	}
	m := &s.Space.Mirror
	at, ok := slices.BinarySearch(m.Peers, uuid)
	if !ok {
		return nil, ceph.ENOENT
	}
	m.Peers = slices.Delete(m.Peers, at, at+1)
	return nil, class.Put(ctx, snapKey(id), class.Of[snap], s)
}

func mirrorSnapSetProgress(ctx class.Context, in []byte) ([]byte, error) {
	var id ceph.SnapID
	var complete bool
	var last uint64
	err := class.Decode(in, func(c *denc.Coder) {
		id.Denc(c)
		c.Bool(&complete)
		c.U64(&last)
	})
	if err != nil {
		return nil, err
	}
	s, err := mirrorSnap(ctx, id)
	if err != nil {
		return nil, err
	}
	m := &s.Space.Mirror
	m.Complete = complete
	if m.State == snapNonPrimary || m.State == snapNonPrimary+1 {
		m.LastCopiedObject = last
	}
	return nil, class.Put(ctx, snapKey(id), class.Of[snap], s)
}
