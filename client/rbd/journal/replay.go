package journal

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/journalspec"
)

// A reader gives the entries that the image has not committed, in order.
type reader struct {
	shape
	fetch     func(ctx context.Context, object uint64) ([]byte, error)
	committed journalspec.Positions
	lanes     []readLane
	lane      int     // where the next entry is
	tag       *uint64 // tag of the entries that are being given; nil before the first
	pruned    *uint64 // tags up to this one are over
	next      map[uint64]uint64
}

// A readLane is what is left to be read of the objects with one number modulo the width.
type readLane struct {
	object  uint64
	read    bool // the object was read
	entries []entry
}

// Uncommitted calls f with the events that were written and not committed, in order, and the tags
// they are of. It may be called again.
func (j *Journal) Uncommitted(ctx context.Context, f func(tag uint64, e Event) error) error {
	return j.read(ctx, func(r *Record, e Event) error { return f(r.tag, e) })
}

// replay is Uncommitted for who carries out what the events say and commits the records then.
func (j *Journal) replay(ctx context.Context, f func(e Event, r *Record) error) error {
	return j.read(ctx, func(r *Record, e Event) error {
		j.mu.Lock()
		j.pending = append(j.pending, r)
		j.mu.Unlock()
		return f(e, r)
	})
}

func (j *Journal) read(ctx context.Context, f func(*Record, Event) error) error {
	r := &reader{fetch: j.fetch, next: map[uint64]uint64{}}
	j.mu.Lock()
	r.shape, r.committed = j.shape, j.committed
	j.mu.Unlock()
	if err := r.begin(ctx); err != nil {
		return fmt.Errorf("read the image's journal: %w", err)
	}
	for {
		e, object, err := r.pop(ctx)
		if err != nil || e == nil {
			return err
		}
		var event Event
		if err := denc.Unmarshal(e.data, &event, ceph.FeaturesAll); err != nil {
			return fmt.Errorf("entry %d of tag %d of the image's journal: %w: %w", e.tid, e.tag,
				err, ceph.EBADMSG)
		}
		if err := f(&Record{object: object, entry: *e}, event); err != nil {
			return err
		}
	}
}

// fetch reads a data object, which may have become a little larger than it should.
func (j *Journal) fetch(ctx context.Context, object uint64) ([]byte, error) {
	return j.data.Read(ctx, objectName(j.x, j.id, object), 0, 2*j.objectBytes())
}

// begin finds what comes after the committed entries.
func (r *reader) begin(ctx context.Context) error {
	width := uint64(r.width)
	at := make([]*entry, width) // the committed one of the lane
	r.lanes = make([]readLane, width)
	for n := range r.lanes {
		r.lanes[n].object = r.first*width + uint64(n)
	}
	committed := r.committed
	for n := len(committed) - 1; n >= 0; n-- { // the latest decides
		p := committed[n]
		k := p.Object % width
		at[k] = &entry{tag: p.Tag, tid: p.Entry}
		r.lanes[k].object = max(p.Object, r.first*width+k)
	}
	for n := range r.lanes {
		if err := r.skip(ctx, n, at[n]); err != nil {
			return err
		}
	}
	if len(committed) == 0 {
		return nil
	}
	tag := committed[0].Tag
	r.tag, r.lane = &tag, int(committed[0].Object%width)
	r.advance()
	return nil
}

func (r *reader) advance() { r.lane = (r.lane + 1) % len(r.lanes) }

// skip reads a lane up to and with the committed entry, if there is one.
func (r *reader) skip(ctx context.Context, n int, committed *entry) error {
	l := &r.lanes[n]
	for found := committed == nil; ; {
		if err := r.fill(ctx, l); err != nil || len(l.entries) == 0 || found {
			return err
		}
		for len(l.entries) > 0 && !found {
			e := l.entries[0]
			found = e.tag == committed.tag && e.tid == committed.tid
			r.reserve(&e)
			l.entries = l.entries[1:]
		}
	}
}

// fill reads a lane's objects until there is an entry, or no object any more.
func (r *reader) fill(ctx context.Context, l *readLane) error {
	width := uint64(r.width)
	for len(l.entries) == 0 {
		if l.read {
			if l.object/width >= r.active {
				return nil
			}
			l.object += width
		}
		l.read = true
		b, err := r.fetch(ctx, l.object)
		if errors.Is(err, ceph.ENOENT) {
			continue
		}
		if err == nil {
			l.entries, err = entries(b)
		}
		if err != nil {
			return fmt.Errorf("object %d: %w", l.object, err)
		}
	}
	return nil
}

func (r *reader) reserve(e *entry) { r.next[e.tag] = max(r.next[e.tag], e.tid+1) }

// pop is the next entry, nil at the end. Where an entry is missing its tag ends, as it did not
// become safe; the next one begins with an entry 0.
func (r *reader) pop(ctx context.Context) (*entry, uint64, error) {
	for {
		l := &r.lanes[r.lane]
		if err := r.fill(ctx, l); err != nil {
			return nil, 0, err
		}
		if len(l.entries) == 0 {
			if r.tag == nil || r.pruned != nil && *r.pruned >= *r.tag {
				return nil, 0, nil
			}
			r.prune(*r.tag)
			r.lane = 0
			continue
		}
		e := l.entries[0]
		over := r.pruned != nil && e.tag <= *r.pruned
		switch {
		case over || r.tag != nil && e.tag < *r.tag:
			r.prune(e.tag)
		case r.tag != nil && e.tag > *r.tag && e.tid != 0:
			// Its first entry is in the first lane, if anywhere.
			if r.lane == 0 {
				r.prune(e.tag)
			} else {
				r.prune(*r.tag)
			}
			r.lane = 0
		case r.tag != nil && e.tag > *r.tag:
			r.prune(*r.tag)
			r.lane, r.tag = 0, &e.tag
		default:
			return r.take(l)
		}
	}
}

// take takes the first entry of a lane.
func (r *reader) take(l *readLane) (*entry, uint64, error) {
	e := l.entries[0]
	r.tag = &e.tag
	if next, ok := r.next[e.tag]; ok && next != e.tid {
		return nil, 0, fmt.Errorf("entry %d of tag %d of the image's journal where %d should "+
			"be: %w", e.tid, e.tag, next, ceph.EBADMSG)
	}
	r.reserve(&e)
	l.entries = l.entries[1:]
	r.advance()
	return &e, l.object, nil
}

// prune drops the entries of a tag that are next in the lanes.
func (r *reader) prune(tag uint64) {
	if r.pruned == nil || *r.pruned < tag {
		r.pruned = &tag
	}
	for n := range r.lanes {
		l := &r.lanes[n]
		for len(l.entries) > 0 && l.entries[0].tag == tag {
			l.entries = l.entries[1:]
		}
	}
}
