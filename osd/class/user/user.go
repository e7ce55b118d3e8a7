// Package user is the class "user": the buckets of a user of the object gateway as omap keys of an
// object, with their sums in its omap header. The methods are pure and run on the goroutine that
// executes the request. Specified by src/cls/user of Ceph 16.2.
package user

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods.
var Class = class.Class{Name: "user", Methods: []class.Method{
	{Name: "set_buckets_info", Flags: class.RD | class.WR, Func: setBuckets},
	{Name: "complete_stats_sync", Flags: class.RD | class.WR, Func: completeSync},
	{Name: "remove_bucket", Flags: class.RD | class.WR, Func: removeBucket},
	{Name: "list_buckets", Flags: class.RD, Func: listBuckets},
	{Name: "get_header", Flags: class.RD, Func: getHeader},
	{Name: "reset_user_stats", Flags: class.RD | class.WR, Func: resetStats},
	{Name: "reset_user_stats2", Flags: class.RD | class.WR, Func: resetStats2},
}}

// maxEntries is how many buckets a call looks at.
const maxEntries = 1000

// section reads or writes a section of version 1.
func section(c *denc.Coder, body func()) {
	s := c.Begin(1, 1)
	body()
	s.End()
}

func loadHeader(ctx class.Context) (header, error) {
	var h header
	raw, err := ctx.OmapHeader()
	if err != nil || len(raw) == 0 {
		return h, err
	}
	return h, class.DecodeStored(raw, &h)
}

func storeHeader(ctx class.Context, h *header) error {
	return ctx.OmapSetHeader(class.EncodeValue(h))
}

// load reads a bucket's entry.
func load(ctx class.Context, name string) (entry, error) {
	if name == "" {
		return entry{}, ceph.EINVAL
	}
	return class.Get(ctx, name, class.Of[entry])
}

// setBuckets adds buckets, or updates the sizes of those that are there.
func setBuckets(ctx class.Context, in []byte) ([]byte, error) {
	var updates []entry
	var add bool
	var now ceph.Time
	err := class.Decode(in, func(c *denc.Coder) {
		section(c, func() {
			denc.List(c, &updates)
			c.Bool(&add)
			now.Denc(c)
		})
	})
	if err != nil {
		return nil, err
	}
	h, err := loadHeader(ctx)
	if err != nil {
		return nil, err
	}
	for i := range updates {
		if err := setBucket(ctx, &h.stats, &updates[i], add); err != nil {
			return nil, err
		}
	}
	if h.updated.Compare(now) < 0 {
		h.updated = now
	}
	return nil, storeHeader(ctx, &h)
}

func setBucket(ctx class.Context, sums *stats, u *entry, add bool) error {
	e, err := load(ctx, u.bucket.name)
	switch {
	case class.IsMissing(err) && !add:
		return nil // removed meanwhile
	case class.IsMissing(err):
		e = *u
	case err != nil:
		return err
	case add: // the bucket may have been made anew
		e.bucket.id, e.created = u.bucket.id, u.created
	}
	if e.countedInUser {
		sums.subtract(&e)
	}
	if !add {
		e.bytes, e.bytesRounded, e.objects = u.bytes, u.bytesRounded, u.objects
	}
	e.countedInUser = true
	sums.add(&e)
	return class.Put(ctx, u.bucket.name, class.Of[entry], e)
}

func completeSync(ctx class.Context, in []byte) ([]byte, error) {
	var now ceph.Time
	err := class.Decode(in, func(c *denc.Coder) { section(c, func() { now.Denc(c) }) })
	if err != nil {
		return nil, err
	}
	h, err := loadHeader(ctx)
	if err != nil {
		return nil, err
	}
	if h.synced.Compare(now) < 0 {
		h.synced = now
	}
	return nil, storeHeader(ctx, &h)
}

func removeBucket(ctx class.Context, in []byte) ([]byte, error) {
	var b bucket
	err := class.Decode(in, func(c *denc.Coder) { section(c, func() { b.Denc(c) }) })
	if err != nil {
		return nil, err
	}
	h, err := loadHeader(ctx)
	if err != nil {
		return nil, err
	}
	e, err := load(ctx, b.name)
	if class.IsMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := ctx.OmapRm(b.name); err != nil || !e.countedInUser {
		return nil, err
	}
	h.stats.subtract(&e)
	return nil, storeHeader(ctx, &h)
}

func listBuckets(ctx class.Context, in []byte) ([]byte, error) {
	var after, end string
	var max int32
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(2, 1)
		c.Str(&after)
		c.I32(&max)
		if s.V >= 2 {
			c.Str(&end)
		}
		s.End()
	})
	if err != nil {
		return nil, err
	}
	if max < 0 || max > maxEntries {
		max = maxEntries
	}
	pairs, more, err := ctx.OmapScan(after, "", uint64(max))
	if err != nil {
		return nil, err
	}
	var entries []entry
	marker := ""
	for _, p := range pairs {
		marker = p.Key
		if end != "" && end <= p.Key {
			more = false
			break
		}
		var e entry
		if class.DecodeStored(p.Value, &e) == nil {
			entries = append(entries, e)
		}
	}
	if !more {
		marker = ""
	}
	return class.Encode(func(c *denc.Coder) {
		section(c, func() {
			denc.List(c, &entries)
			c.Str(&marker)
			c.Bool(&more)
		})
	}), nil
}

func getHeader(ctx class.Context, in []byte) ([]byte, error) {
	if err := class.Decode(in, func(c *denc.Coder) { section(c, func() {}) }); err != nil {
		return nil, err
	}
	h, err := loadHeader(ctx)
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) { section(c, func() { h.Denc(c) }) }), nil
}

// resetStats sums all buckets up anew.
func resetStats(ctx class.Context, in []byte) ([]byte, error) {
	var h header
	err := class.Decode(in, func(c *denc.Coder) { section(c, func() { h.updated.Denc(c) }) })
	if err != nil {
		return nil, err
	}
	err = class.Scan(ctx, "", "", func(_ string, v []byte) error {
		var e entry
		err := class.DecodeStored(v, &e)
		h.stats.add(&e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return nil, storeHeader(ctx, &h)
}

// resetStats2 is resetStats in steps; the caller is told where to go on. As in Ceph the sums of
// earlier steps do not count.
func resetStats2(ctx class.Context, in []byte) ([]byte, error) {
	var h header
	var marker string
	var unused stats
	err := class.Decode(in, func(c *denc.Coder) {
		section(c, func() {
			h.updated.Denc(c)
			c.Str(&marker)
			unused.Denc(c)
		})
	})
	if err != nil {
		return nil, err
	}
	pairs, more, err := ctx.OmapScan(marker, "", maxEntries)
	if err != nil {
		return nil, err
	}
	marker = ""
	for _, p := range pairs {
		var e entry
		if err := class.DecodeStored(p.Value, &e); err != nil {
			return nil, err
		}
		h.stats.add(&e)
		marker = p.Key
	}
	out := class.Encode(func(c *denc.Coder) {
		section(c, func() {
			c.Str(&marker)
			h.stats.Denc(c)
			c.Bool(&more)
		})
	})
	if more {
		return out, nil
	}
	return out, storeHeader(ctx, &h)
}
