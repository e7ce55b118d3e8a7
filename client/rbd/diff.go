package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/layout"
	"glue/client/rbd/objectmap"
	"glue/client/stripe"
)

// A DiffExtent is a run of an image's bytes that changed. Without Exists they read as zero now.
type DiffExtent struct {
	Extent
	Exists bool
}

// DiffOptions say what to compare with.
type DiffOptions struct {
	From     string // older snapshot; empty: the beginning, when there was nothing
	Whole    bool   // list whole objects; with fast-diff by the object maps alone
	NoParent bool   // leave out what is in the parent only

	overParent bool // from the beginning: compare with the parent, not with nothing
}

// How an object differs, as far as the object maps tell.
const (
	same uint8 = iota
	differs
	gone
)

// DiffIterate yields the extents that changed between a snapshot and what is open, the image or a
// later snapshot, ascending. An error ends it.
func (i *Image) DiffIterate(ctx context.Context, o DiffOptions) iter.Seq2[DiffExtent, error] {
	return func(yield func(DiffExtent, error) bool) {
		err := i.drain(ctx)
		var d *differ
		if err == nil {
			d, err = i.newDiffer(ctx, o)
		}
		if err != nil {
			yield(DiffExtent{}, err)
			return
		}
		// Whole sets of striped objects, as these take turns.
		window := 1024 / d.h.StripeCount * d.h.StripeCount
		window = max(window, d.h.StripeCount)
		total := d.h.Objects(d.h.Size)
		for begin := uint64(0); begin < total; begin += window {
			pieces := numbered(min(window, total-begin))
			found := make([][]DiffExtent, len(pieces))
			err := each(ctx, pieces, func(ctx context.Context, e stripe.Piece) error {
				var err error
				found[e.Object], err = d.object(ctx, begin+e.Object)
				return err
			})
			if err != nil {
				yield(DiffExtent{}, err)
				return
			}
			list := slices.Concat(found...)
			if !d.h.Plain() {
				slices.SortFunc(list, byOffset)
			}
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// A differ compares one object after the other.
type differ struct {
	o     DiffOptions
	h     *header
	data  *rados.IOCtx
	start ceph.SnapID
	// overlap is what the parent showed at the start, where there was no object.
	overlap uint64
	known   []uint8 // from the object maps; nil without
}

func (i *Image) newDiffer(ctx context.Context, o DiffOptions) (*differ, error) {
	h, data, err := i.fresh(ctx)
	if err != nil {
		return nil, err
	}
	d := &differ{o: o, h: h, data: data}
	if o.overParent {
		d.overlap = h.Overlap
	}
	if o.From != "" {
		s, err := h.Find(i.name, o.From)
		if err != nil {
			return nil, err
		}
		if s.ID >= h.Snap {
			return nil, fmt.Errorf("snapshot %s of image %s is not older than what it is compared "+
				"with: %w", o.From, i.name, ceph.EINVAL)
		}
		d.start, d.overlap = s.ID, h.at(s).Overlap
	}
	d.known, err = i.fastDiff(ctx, h, d.start)
	return d, err
}

// fastDiff is how each object differs by the object maps; nil if they cannot tell.
func (i *Image) fastDiff(
	ctx context.Context, h *header, start ceph.SnapID,
) ([]uint8, error) {
	const invalid = FlagObjectMapInvalid | FlagFastDiffInvalid
	if !h.Features.Has(FastDiff) || h.Flags&invalid != 0 {
		return nil, nil
	}
	var ids []ceph.SnapID
	for _, s := range h.Snapshots {
		if s.ID >= start && s.ID < h.Snap {
			if s.Flags&invalid != 0 {
				return nil, nil
			}
			ids = append(ids, s.ID)
		}
	}
	known := make([]uint8, h.Objects(h.Size))
	before := new(objectmap.Vector)
	for _, id := range append(ids, h.Snap) {
		v, err := objectmap.Read(ctx, i.x, i.id, id)
		if errors.Is(err, ceph.ENOENT) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for n := uint64(0); id != start && n < uint64(len(known)); n++ {
			switch was, is := before.Get(n), v.Get(n); {
			case is == objectmap.Nonexistent && was != objectmap.Nonexistent:
				known[n] = gone
			case is == objectmap.Exists, is == objectmap.Pending,
				is == objectmap.Clean && was == objectmap.Nonexistent:
				known[n] = differs
			}
		}
		before = v
	}
	for n := range known {
		if start == 0 && known[n] == gone {
			known[n] = same // there was nothing, and is nothing
		}
	}
	return known, nil
}

// object lists how one object differs.
func (d *differ) object(ctx context.Context, n uint64) ([]DiffExtent, error) {
	h := d.h
	before, now := h.Spans(n, d.overlap), h.inParent(n)
	whole := d.start == 0 && !d.o.NoParent // what the parent has is new
	if d.known != nil && (len(now) == 0 || !whole) {
		switch {
		case d.known[n] == same && bytesOf(before) == bytesOf(now):
			return nil, nil
		case d.known[n] != same && d.o.Whole && len(before) == 0 && len(now) == 0:
			return h.inImage(n, 0, h.ObjectBytes(), d.known[n] == differs), nil
		}
	}
	set, err := h.states(ctx, d.data, n)
	if err != nil {
		return nil, err
	}
	if whole && len(now) > 0 && stateAt(set, h.Snap) < 0 {
		return d.inherited(ctx, n, now)
	}
	var out []DiffExtent
	list := d.uncovered(set, changes(set, d.start, h.Snap), before, now)
	switch {
	case !d.o.Whole || len(list) == 0:
	case len(now) == 0 && stateAt(set, h.Snap) < 0: // it is gone, however short it was
		list = []DiffExtent{{Extent{Len: h.ObjectBytes()}, false}}
	default:
		list = wholeObject(list, h.ObjectBytes())
	}
	for _, e := range list {
		out = append(out, h.inImage(n, e.Off, e.Len, e.Exists)...)
	}
	return out, nil
}

// uncovered adds to the changes of an object what changed because the parent shows, at the start or
// at the end, where there is no object.
func (d *differ) uncovered(
	set rados.SnapSet, list []DiffExtent, before, now []layout.Span,
) []DiffExtent {
	a, b := -1, stateAt(set, d.h.Snap)
	if d.start != 0 {
		a = stateAt(set, d.start)
	}
	var gone []Extent
	switch {
	case a < 0 && b < 0: // the image was shorter in between
		gone = without(extents(before), extents(now))
	case a < 0: // what the object does not reach to was discarded
		gone = without(extents(before), []Extent{{Len: set.Clones[b].Size}})
	case b < 0 && len(now) > 0: // rolled back to before there was an object
		list = nil
		for _, e := range extents(now) {
			list = append(list, DiffExtent{e, true})
		}
		gone = without([]Extent{{Len: set.Clones[a].Size}}, extents(now))
	}
	if len(gone) == 0 {
		return list
	}
	for _, e := range gone {
		list = append(list, DiffExtent{e, false})
	}
	slices.SortFunc(list, byOffset)
	return list
}

func byOffset(a, b DiffExtent) int { return cmp.Compare(a.Off, b.Off) }

// extents are the bytes of spans in their object.
func extents(spans []layout.Span) (out []Extent) {
	for _, s := range spans {
		out = append(out, Extent{Off: s.Off, Len: s.Len})
	}
	return out
}

// bytesOf is how long spans are together.
func bytesOf(spans []layout.Span) (n uint64) {
	for _, s := range spans {
		n += s.Len
	}
	return n
}

// without is what of ascending extents is in none of others.
func without(list, others []Extent) (out []Extent) {
	for _, e := range list {
		for _, o := range others {
			if o.Off+o.Len <= e.Off || e.Off+e.Len <= o.Off {
				continue
			}
			if e.Off < o.Off {
				out = append(out, Extent{Off: e.Off, Len: o.Off - e.Off})
			}
			end := max(e.Off+e.Len, o.Off+o.Len)
			e = Extent{Off: o.Off + o.Len, Len: end - o.Off - o.Len}
		}
		if e.Len > 0 {
			out = append(out, e)
		}
	}
	return out
}

// inherited lists what the parent has of an object.
func (d *differ) inherited(
	ctx context.Context, n uint64, covered []layout.Span,
) ([]DiffExtent, error) {
	var out []DiffExtent
	for _, s := range covered {
		parent, err := d.h.from.newDiffer(ctx, DiffOptions{})
		if err != nil {
			return nil, err
		}
		for _, e := range parent.h.Split(s.At, s.Len) {
			list, err := parent.object(ctx, e.Object)
			if err != nil {
				return nil, err
			}
			for _, x := range list {
				from, to := max(x.Off, s.At+e.At), min(x.Off+x.Len, s.At+e.At+e.Len)
				if from >= to {
					continue
				}
				out = append(out, DiffExtent{Extent{Off: from, Len: to - from}, x.Exists})
			}
		}
	}
	return out, nil
}

// changes compares the states of an object at two snapshots; 0 is before the first.
func changes(set rados.SnapSet, start, end ceph.SnapID) []DiffExtent {
	a, b := -1, stateAt(set, end)
	if start != 0 {
		a = stateAt(set, start)
	}
	switch {
	case a == b:
		return nil
	case b < 0 && set.Clones[a].Size == 0:
		return nil
	case b < 0:
		return []DiffExtent{{Extent{Len: set.Clones[a].Size}, false}}
	case a < 0:
		if set.Clones[b].Size == 0 {
			return nil
		}
		return []DiffExtent{{Extent{Len: set.Clones[b].Size}, true}}
	}
	top := uint64(0)
	for n := a; n <= b; n++ {
		top = max(top, set.Clones[n].Size)
	}
	kept := []Extent{{Off: 0, Len: top}} // what no step has changed
	for n := a; n < b; n++ {
		kept = intersect(kept, set.Clones[n].Overlap)
	}
	size := set.Clones[b].Size
	var out []DiffExtent
	add := func(from, to uint64, exists bool) {
		if from < to {
			out = append(out, DiffExtent{Extent{Off: from, Len: to - from}, exists})
		}
	}
	at := uint64(0)
	top = max(set.Clones[a].Size, size)
	for _, k := range append(kept, Extent{Off: top}) {
		add(at, min(k.Off, size), true)
		add(max(at, size), k.Off, false)
		at = k.Off + k.Len
	}
	return out
}

// wholeObject is all of an object that differs: what is gone, and the rest as data.
func wholeObject(list []DiffExtent, size uint64) (out []DiffExtent) {
	at := uint64(0)
	for _, e := range append(list, DiffExtent{Extent: Extent{Off: size}}) {
		if e.Exists {
			continue
		}
		if at < e.Off {
			out = append(out, DiffExtent{Extent{Off: at, Len: e.Off - at}, true})
		}
		if e.Len > 0 {
			out = append(out, e)
		}
		at = e.Off + e.Len
	}
	return out
}

// intersect is what two ascending lists of extents have in common.
func intersect(a, b []Extent) (out []Extent) {
	for len(a) > 0 && len(b) > 0 {
		from, endA, endB := max(a[0].Off, b[0].Off), a[0].Off+a[0].Len, b[0].Off+b[0].Len
		if to := min(endA, endB); from < to {
			out = append(out, Extent{Off: from, Len: to - from})
		}
		if endA < endB {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// inImage is where in the image a run of an object's bytes is.
func (h *header) inImage(object, off, length uint64, exists bool) (out []DiffExtent) {
	for end := off + length; off < end; {
		at, n := h.Offset(object, off), end-off
		if !h.Plain() {
			n = min(n, h.StripeUnit-off%h.StripeUnit)
		}
		if at < h.Size {
			out = append(out, DiffExtent{Extent{Off: at, Len: min(n, h.Size-at)}, exists})
		}
		off += n
	}
	return out
}
