package recovery

import (
	"errors"
	"fmt"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// leastData is how many bytes of data go with keys, however much these take.
const leastData = 64 << 10

// Read makes the next push of an object after what before says has been copied, of about so many
// bytes and keys. The object's version is the caller's to fill in. An object that is not there
// gives a push with an error.
func Read(s objectstore.Store, c ceph.SPG, o ceph.HObject, before message.Progress,
	part message.Part, maxBytes, maxKeys int,
) (message.Push, error) {
	p := message.Push{Object: o, Before: before, After: before, Part: part}
	st, err := s.Stat(c, o)
	if errors.Is(err, ceph.ENOENT) {
		p.After.Error = true
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("stat %v: %w", o, err)
	}
	p.Size = st.Size
	p.After.First = false
	if part.Partial() && !part.Changes.Omap {
		p.After.OmapComplete = true
	}
	left := maxBytes
	if before.First {
		if p.Attrs, err = s.GetAttrs(c, o); err != nil {
			return p, fmt.Errorf("attributes of %v: %w", o, err)
		}
		if p.After.OmapComplete {
			err = readKeys(s, c, &p, &left)
		} else {
			p.OmapHeader, err = s.OmapHeader(c, o)
		}
		if err != nil {
			return p, fmt.Errorf("omap of %v: %w", o, err)
		}
	}
	if !p.After.OmapComplete {
		if left, err = readOmap(s, c, &p, left, maxKeys); err != nil {
			return p, err
		}
	}
	if !before.DataComplete && p.After.OmapComplete {
		err = readData(s, c, &p, uint64(left))
	}
	return p, err
}

// readKeys adds what those keys are now that have changed: few, so that they go at once.
func readKeys(s objectstore.Store, c ceph.SPG, p *message.Push, left *int) (err error) {
	if len(p.Changes.Keys) == 0 {
		return nil
	}
	if p.Omap, err = s.OmapGet(c, p.Object, p.Changes.Keys); err != nil {
		return err
	}
	for k, v := range p.Omap {
		*left -= len(k) + len(v)
	}
	*left = max(*left, leastData)
	return nil
}

// readOmap adds keys above the last copied, and returns how many bytes are left for data.
func readOmap(s objectstore.Store, c ceph.SPG, p *message.Push, left, maxKeys int) (int, error) {
	p.Omap = map[string][]byte{}
	from := p.Before.OmapTo
	for kv, err := range s.OmapScan(c, p.Object, from) {
		if err != nil {
			return 0, fmt.Errorf("omap of %v: %w", p.Object, err)
		}
		if kv.Key == from && from != "" {
			continue // copied by the push before
		}
		if len(p.Omap) >= maxKeys || left <= 0 {
			return 0, nil
		}
		p.Omap[kv.Key] = append([]byte(nil), kv.Value...)
		p.After.OmapTo = kv.Key
		left -= len(kv.Key) + len(kv.Value)
	}
	p.After.OmapComplete = true
	return max(left, leastData), nil
}

// readData adds the written extents of the next piece.
func readData(s objectstore.Store, c ceph.SPG, p *message.Push, limit uint64) error {
	whole := pginfo.Changes{Ranges: []pginfo.Range{{Begin: 0, End: p.Size}}}
	from := &whole
	if p.Changes.Known {
		from = &p.Changes
	}
	to := p.Before.DataTo
	for _, r := range from.Within(to, p.Size) {
		n := min(limit, r.End-r.Begin)
		if err := readRange(s, c, p, r.Begin, n); err != nil {
			return err
		}
		if limit -= n; limit == 0 {
			p.After.DataTo = r.Begin + n
			p.After.DataComplete = len(from.Within(p.After.DataTo, p.Size)) == 0
			return nil
		}
	}
	p.After.DataTo, p.After.DataComplete = p.Size, true
	return nil
}

func readRange(s objectstore.Store, c ceph.SPG, p *message.Push, off, n uint64) error {
	extents, err := s.Extents(c, p.Object, off, n)
	if err != nil {
		return fmt.Errorf("extents of %v: %w", p.Object, err)
	}
	for _, e := range extents {
		b, err := s.Read(c, p.Object, e.Off, e.Len)
		if err != nil {
			return fmt.Errorf("read %v: %w", p.Object, err)
		}
		p.Extents = append(p.Extents, message.Extent{Off: e.Off, Len: uint64(len(b))})
		p.Content = append(p.Content, b...)
	}
	return nil
}

// BaseOf is the object that a push changes.
func BaseOf(p *message.Push) ceph.HObject {
	o := p.Object
	if p.Of != 0 {
		o.Snap = p.Of
	}
	return o
}

// Beside is what of an object goes to who has the clone before it, of version base: what the two
// do not have in common. That is all of it if they have nothing in common.
func Beside(before *pginfo.Clone, base ceph.Eversion, size uint64) message.Part {
	if len(before.Overlap) == 0 {
		return message.Part{}
	}
	x := pginfo.Changes{Known: true, Omap: true}
	for _, r := range snaps.Outside(size, before.Overlap) {
		x.Add(r.Begin, r.End-r.Begin)
	}
	return message.Part{Base: base, Of: before.ID, Changes: x}
}

// Complete says whether a push ends its object.
func Complete(p *message.Push) bool { return p.After.DataComplete && p.After.OmapComplete }

// Start is the progress before the first push.
func Start() message.Progress { return message.Progress{First: true} }

// Temp is the name under which an object is put together.
func Temp(o ceph.HObject) ceph.HObject {
	o.Pool = -2 - o.Pool
	return o
}

// IsTemp says whether o is such a name: what is found of them at a start is left over.
func IsTemp(o ceph.HObject) bool { return o.Pool < -1 }

// Apply adds to t what a push brings. exists says whether an object is in the store now; a push
// that fits no such state is an error.
func Apply(t *objectstore.Transaction, c ceph.SPG, p *message.Push,
	exists func(ceph.HObject) bool,
) error {
	target := p.Object
	whole := p.Before.First && Complete(p)
	if !whole {
		target = Temp(p.Object)
	}
	switch {
	case p.Partial():
		if err := applyBase(t, c, p, target, exists); err != nil {
			return err
		}
	case p.Before.First && exists(target):
		t.Remove(c, target)
	case !p.Before.First && !exists(target):
		return errNotBegun(p.Object)
	}
	if p.Before.First {
		t.Truncate(c, target, p.Size)
		if len(p.Attrs) > 0 {
			t.SetAttrs(c, target, p.Attrs)
		}
		if len(p.OmapHeader) > 0 {
			t.OmapSetHeader(c, target, p.OmapHeader)
		}
	}
	if p.Partial() {
		// What is no longer written in what has changed.
		to := p.Size
		if !p.After.DataComplete {
			to = min(to, p.After.DataTo)
		}
		for _, r := range p.Changes.Within(p.Before.DataTo, to) {
			t.Zero(c, target, r.Begin, r.End-r.Begin)
		}
	}
	if len(p.Omap) > 0 {
		t.OmapSet(c, target, p.Omap)
	}
	content := p.Content
	for _, e := range p.Extents {
		if e.Len > uint64(len(content)) || e.Off > p.Size || e.Len > p.Size-e.Off {
			return fmt.Errorf("push of %v: extent %d+%d does not fit: %w", p.Object, e.Off, e.Len,
				ceph.EINVAL)
		}
		t.Write(c, target, e.Off, content[:e.Len:e.Len])
		content = content[e.Len:]
	}
	if !whole && Complete(p) {
		if exists(p.Object) {
			t.Remove(c, p.Object)
		}
		t.MoveRename(c, target, p.Object)
	}
	return nil
}

func errNotBegun(o ceph.HObject) error {
	return fmt.Errorf("a push goes on with %v, which was not begun: %w", o, ceph.EINVAL)
}

// applyBase makes target the older version that a push changes. That it is here as the push says
// is the caller's to check.
func applyBase(t *objectstore.Transaction, c ceph.SPG, p *message.Push, target ceph.HObject,
	exists func(ceph.HObject) bool,
) error {
	if !p.Before.First {
		if !exists(target) {
			return errNotBegun(p.Object)
		}
		return nil
	}
	base := BaseOf(p)
	if !exists(base) {
		return fmt.Errorf("a push changes %v, which is not here: %w", base, ceph.EINVAL)
	}
	if target != base {
		if exists(target) {
			t.Remove(c, target)
		}
		t.Clone(c, base, target)
	}
	t.RmAttrs(c, target)
	if p.Changes.Omap {
		t.OmapClear(c, target)
	} else if len(p.Changes.Keys) > 0 {
		t.OmapRm(c, target, p.Changes.Keys)
	}
	return nil
}
