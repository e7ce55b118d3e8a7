// Package log is the class "log": a log of timed entries as omap keys of an object, with a header
// that knows the last. The methods are pure and run on the goroutine that executes the request.
// Specified by src/cls/log of Ceph 16.2.
package log

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods.
var Class = class.Class{Name: "log", Methods: []class.Method{
	{Name: "add", Flags: class.RD | class.WR, Func: add},
	{Name: "list", Flags: class.RD, Func: list},
	{Name: "trim", Flags: class.RD | class.WR, Func: trim},
	{Name: "info", Flags: class.RD, Func: info},
}}

const (
	prefix     = "1_"
	maxEntries = 1000
)

// An Entry is one entry (cls_log_entry); its id is its key.
type Entry struct {
	ID, Section, Name string
	Time              ceph.Time
	Data              []byte
}

// Denc is cls_log_entry version 2.
func (e *Entry) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	c.Str(&e.Section)
	c.Str(&e.Name)
	e.Time.Denc(c)
	c.Blob(&e.Data)
	if s.V >= 2 {
		c.Str(&e.ID)
	}
	s.End()
}

// A Header knows the last entry (cls_log_header).
type Header struct {
	MaxMarker string
	MaxTime   ceph.Time
}

// Denc is cls_log_header version 1.
func (h *Header) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&h.MaxMarker)
	h.MaxTime.Denc(c)
	s.End()
}

// timePrefix is what keys of a moment start with.
func timePrefix(t ceph.Time) string {
	return fmt.Sprintf("%s%010d.%06d_", prefix, t.Sec, t.Nsec/1000)
}

// loadHeader reads the header; one that can't be read counts as empty, as in Ceph.
func loadHeader(ctx class.Context) (Header, error) {
	var h Header
	raw, err := ctx.OmapHeader()
	if err != nil || len(raw) == 0 {
		return h, err
	}
	_ = class.DecodeStored(raw, &h)
	return h, nil
}

func add(ctx class.Context, in []byte) ([]byte, error) {
	var entries []Entry
	monotonic := true
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(2, 1)
		denc.List(c, &entries)
		if s.V >= 2 {
			c.Bool(&monotonic)
		}
		s.End()
	})
	if err != nil {
		return nil, err
	}
	h, err := loadHeader(ctx)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		e := &entries[i]
		t := e.Time
		if monotonic && t.Compare(h.MaxTime) < 0 {
			t = h.MaxTime
		} else if t.Compare(h.MaxTime) > 0 {
			h.MaxTime = t
		}
		if e.ID == "" {
			e.ID = fmt.Sprintf("%s%d.%d", timePrefix(t), ctx.Version(), ctx.SubOp())
		}
		h.MaxMarker = max(h.MaxMarker, e.ID)
		if err := ctx.OmapSet(map[string][]byte{e.ID: class.EncodeValue(e)}); err != nil {
			return nil, err
		}
	}
	return nil, ctx.OmapSetHeader(class.EncodeValue(&h))
}

// A query is the input of list (cls_log_list_op).
type query struct {
	from   ceph.Time
	marker string // instead of from
	to     ceph.Time
	max    int32
}

func (q *query) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	q.from.Denc(c)
	c.Str(&q.marker)
	q.to.Denc(c)
	c.I32(&q.max)
	s.End()
}

// limit is how many entries to give; a negative number counts as a large one.
func (q *query) limit() uint64 {
	if q.max <= 0 || q.max > maxEntries {
		return maxEntries
	}
	return uint64(q.max)
}

// start is the key to list after.
func (q *query) start() string {
	if q.marker != "" {
		return q.marker
	}
	return timePrefix(q.from)
}

func list(ctx class.Context, in []byte) ([]byte, error) {
	var q query
	if err := class.DecodeValue(in, &q); err != nil {
		return nil, err
	}
	pairs, more, err := ctx.OmapScan(q.start(), prefix, q.limit())
	if err != nil {
		return nil, err
	}
	bounded := q.from != (ceph.Time{}) && q.to.Compare(q.from) >= 0
	var entries []Entry
	marker := ""
	for _, p := range pairs {
		marker = p.Key
		if bounded && atOrAfter(p.Key, timePrefix(q.to)) {
			more = false
			break
		}
		var e Entry
		if class.DecodeStored(p.Value, &e) == nil {
			entries = append(entries, e)
		}
	}
	return class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		denc.List(c, &entries)
		c.Str(&marker)
		c.Bool(&more)
		s.End()
	}), nil
}

// atOrAfter compares the beginning of a key with a bound.
func atOrAfter(key, bound string) bool { return key[:min(len(key), len(bound))] >= bound }

// trim removes a range of entries; ENODATA once there are none.
func trim(ctx class.Context, in []byte) ([]byte, error) {
	var from, to ceph.Time
	var fromMarker, toMarker string
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(2, 1)
		from.Denc(c)
		to.Denc(c)
		if s.V >= 2 {
			c.Str(&fromMarker)
			c.Str(&toMarker)
		}
		s.End()
	})
	if err != nil {
		return nil, err
	}
	if fromMarker == "" {
		fromMarker = timePrefix(from)
	}
	end := toMarker + "\x00"
	if toMarker == "" {
		end = timePrefix(to.Add(ceph.Time{Nsec: 1000}))
	}
	keys, _, err := ctx.OmapKeys(fromMarker, 1)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 || end < keys[0] {
		return nil, ceph.ENODATA
	}
	return nil, ctx.OmapRmRange(keys[0], end)
}

func info(ctx class.Context, in []byte) ([]byte, error) {
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	h, err := loadHeader(ctx)
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		h.Denc(c)
		s.End()
	}), nil
}
