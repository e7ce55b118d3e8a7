// Package timeindex is the class "timeindex": values under keys that start with a time, for jobs to
// find what is due. The methods are pure and run on the goroutine that executes the request.
// Specified by src/cls/timeindex of Ceph 16.2.
package timeindex

import (
	"fmt"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods.
var Class = class.Class{Name: "timeindex", Methods: []class.Method{
	{Name: "add", Flags: class.RD | class.WR, Func: add},
	{Name: "list", Flags: class.RD, Func: list},
	{Name: "trim", Flags: class.RD | class.WR, Func: trim},
}}

const (
	prefix  = "1_"
	maxList = 1000
	maxTrim = 1000
	// maxExt is how much of a key's second part a listing gives back.
	maxExt = 255
)

// An entry is a value and what makes its key (cls_timeindex_entry).
type entry struct {
	time  ceph.Time
	ext   string
	value []byte
}

// Denc is cls_timeindex_entry version 1.
func (e *entry) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	e.time.Denc(c)
	c.Str(&e.ext)
	c.Blob(&e.value)
	s.End()
}

func timePrefix(t ceph.Time) string {
	return fmt.Sprintf("%s%010d.%06d_", prefix, t.Sec, t.Nsec/1000)
}

// parseKey reads a key as Ceph's sscanf does: the microseconds end up as nanoseconds, and the
// second part ends at white space.
func parseKey(key string, value []byte) entry {
	e := entry{value: value}
	sec, rest, _ := strings.Cut(strings.TrimPrefix(key, prefix), ".")
	usec, ext, _ := strings.Cut(rest, "_")
	e.time = ceph.Time{Sec: number(sec), Nsec: number(usec)}
	ext = strings.TrimLeft(ext, " \t\n\v\f\r")
	if i := strings.IndexAny(ext, " \t\n\v\f\r\x00"); i >= 0 {
		ext = ext[:i]
	}
	e.ext = ext[:min(len(ext), maxExt)]
	return e
}

func number(s string) uint32 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func add(ctx class.Context, in []byte) ([]byte, error) {
	var entries []entry
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		denc.List(c, &entries)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		err := ctx.OmapSet(map[string][]byte{timePrefix(e.time) + e.ext: e.value})
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func list(ctx class.Context, in []byte) ([]byte, error) {
	var from, to ceph.Time
	var after string
	var max int32
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		from.Denc(c)
		c.Str(&after)
		to.Denc(c)
		c.I32(&max)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	if after == "" {
		after = timePrefix(from)
	}
	if max < 0 || max > maxList {
		max = maxList
	}
	pairs, more, err := ctx.OmapScan(after, prefix, uint64(max))
	if err != nil {
		return nil, err
	}
	bounded, bound := to.Compare(from) >= 0, timePrefix(to)
	var entries []entry
	marker := ""
	for _, p := range pairs {
		if bounded && p.Key[:min(len(p.Key), len(bound))] >= bound {
			more = false
			break
		}
		entries = append(entries, parseKey(p.Key, p.Value))
		marker = p.Key
	}
	return class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		denc.List(c, &entries)
		c.Str(&marker)
		c.Bool(&more)
		s.End()
	}), nil
}

// trim removes keys up to a time or marker; ENODATA once there are none.
func trim(ctx class.Context, in []byte) ([]byte, error) {
	var from, to ceph.Time
	var after, last string
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		from.Denc(c)
		to.Denc(c)
		c.Str(&after)
		c.Str(&last)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	if after == "" {
		after = timePrefix(from)
	}
	if last == "" {
		last = timePrefix(to)
	}
	pairs, _, err := ctx.OmapScan(after, prefix, maxTrim)
	if err != nil {
		return nil, err
	}
	removed := false
	for _, p := range pairs {
		if p.Key[:min(len(p.Key), len(last))] > last {
			break
		}
		if err := ctx.OmapRm(p.Key); err != nil {
			return nil, err
		}
		removed = true
	}
	if !removed {
		return nil, ceph.ENODATA
	}
	return nil, nil
}
