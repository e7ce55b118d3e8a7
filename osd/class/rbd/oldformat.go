package rbd

import (
	"bytes"
	"encoding/binary"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Images of format 1 have a header of fixed layout in the data of the object NAME.rbd
// (rbd_obj_header_ondisk), followed by the snapshots' ids and sizes and then their names.
const (
	oldHeaderBytes  = 112
	oldSizeAt       = 80
	oldSeqAt        = 88
	oldCountAt      = 96
	oldNamesBytesAt = 104
	oldSnapBytes    = 16
)

var le = binary.LittleEndian

// An oldSnap is a snapshot of an image of format 1.
type oldSnap struct {
	id, size uint64
	name     string
}

// An oldHeader is the header of an image of format 1, snapshots newest first.
type oldHeader struct {
	fixed []byte
	snaps []oldSnap
}

func (h *oldHeader) size() uint64 { return le.Uint64(h.fixed[oldSizeAt:]) }
func (h *oldHeader) seq() uint64  { return le.Uint64(h.fixed[oldSeqAt:]) }

// readOldHeader reads the header: EINVAL if the data is too short for one, EIO if the snapshots'
// names don't fit.
func readOldHeader(ctx class.Context) (oldHeader, error) {
	raw, err := ctx.Read(0, oldHeaderBytes)
	if err != nil {
		return oldHeader{}, err
	}
	if len(raw) < oldHeaderBytes {
		return oldHeader{}, ceph.EINVAL
	}
	h := oldHeader{fixed: raw}
	count := uint64(le.Uint32(raw[oldCountAt:]))
	names := le.Uint64(raw[oldNamesBytesAt:])
	if count == 0 {
		return h, nil
	}
	rest, err := ctx.Read(oldHeaderBytes, 0)
	if err != nil {
		return oldHeader{}, err
	}
	if uint64(len(rest)) < count*oldSnapBytes || names > uint64(len(rest))-count*oldSnapBytes {
		return oldHeader{}, ceph.EIO
	}
	text := rest[count*oldSnapBytes:][:names]
	for i := range count {
		at := rest[i*oldSnapBytes:]
		name, after, ok := bytes.Cut(text, []byte{0})
		if !ok {
			return oldHeader{}, ceph.EIO
		}
		h.snaps = append(h.snaps, oldSnap{le.Uint64(at), le.Uint64(at[8:]), string(name)})
		text = after
	}
	return h, nil
}

// write replaces the header.
func (h *oldHeader) write(ctx class.Context) error {
	names := 0
	for _, s := range h.snaps {
		names += len(s.name) + 1
	}
	le.PutUint32(h.fixed[oldCountAt:], uint32(len(h.snaps)))
	le.PutUint64(h.fixed[oldNamesBytesAt:], uint64(names))
	out := slices.Clone(h.fixed)
	for _, s := range h.snaps {
		out = le.AppendUint64(le.AppendUint64(out, s.id), s.size)
	}
	for _, s := range h.snaps {
		out = append(append(out, s.name...), 0)
	}
	return ctx.WriteFull(out)
}

func (h *oldHeader) byName(name string) int {
	return slices.IndexFunc(h.snaps, func(s oldSnap) bool { return s.name == name })
}

func oldSnapList(ctx class.Context, _ []byte) ([]byte, error) {
	h, err := readOldHeader(ctx)
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		c.U64Const(h.seq())
		c.U32Const(uint32(len(h.snaps)))
		for i := range h.snaps {
			c.U64(&h.snaps[i].id)
			c.U64(&h.snaps[i].size)
			c.Str(&h.snaps[i].name)
		}
	}), nil
}

func oldSnapAdd(ctx class.Context, in []byte) ([]byte, error) {
	h, err := readOldHeader(ctx)
	if err != nil {
		return nil, err
	}
	var name string
	var id uint64
	err = class.Decode(in, func(c *denc.Coder) {
		c.Str(&name)
		c.U64(&id)
	})
	if err != nil {
		return nil, err
	}
	if h.seq() > id {
		return nil, ceph.ESTALE
	}
	limit, err := class.GetOr(ctx, "snap_limit", class.U64, ^uint64(0))
	switch {
	case err != nil:
		return nil, err
	case uint64(len(h.snaps)) >= limit:
		return nil, ceph.EDQUOT
	case h.byName(cString(name)) >= 0:
		return nil, ceph.EEXIST
	}
	le.PutUint64(h.fixed[oldSeqAt:], id)
	h.snaps = slices.Insert(h.snaps, 0, oldSnap{id, h.size(), cString(name)})
	return nil, h.write(ctx)
}

// cString cuts a name where C would.
func cString(s string) string {
	name, _, _ := bytes.Cut([]byte(s), []byte{0})
	return string(name)
}

func oldSnapRemove(ctx class.Context, in []byte) ([]byte, error) {
	h, err := readOldHeader(ctx)
	if err != nil {
		return nil, err
	}
	name, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	i := h.byName(cString(name))
	if i < 0 {
		return nil, ceph.ENOENT
	}
	h.snaps = slices.Delete(h.snaps, i, i+1)
	return nil, h.write(ctx)
}

func oldSnapRename(ctx class.Context, in []byte) ([]byte, error) {
	h, err := readOldHeader(ctx)
	if err != nil {
		return nil, err
	}
	var id uint64
	var name string
	err = class.Decode(in, func(c *denc.Coder) {
		c.U64(&id)
		c.Str(&name)
	})
	if err != nil {
		return nil, err
	}
	if h.byName(cString(name)) >= 0 {
		return nil, ceph.EEXIST
	}
	i := slices.IndexFunc(h.snaps, func(s oldSnap) bool { return s.id == id })
	if i < 0 {
		return nil, ceph.ENOENT
	}
	h.snaps[i].name = cString(name)
	return nil, h.write(ctx)
}
