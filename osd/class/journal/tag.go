package journal

import (
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/journalspec"
	"glue/osd/class"
)

func getTag(ctx class.Context, in []byte) ([]byte, error) {
	tid, err := class.Input(in, class.U64)
	if err != nil {
		return nil, err
	}
	return getter(tagKey(tid), class.Of[journalspec.Tag])(ctx, nil)
}

// tagCreate adds the next tag: ESTALE if another one is next, EINVAL for a class that is not there.
func tagCreate(ctx class.Context, in []byte) ([]byte, error) {
	var t journalspec.Tag
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&t.TID)
		c.U64(&t.Class)
		c.Blob(&t.Data)
	})
	if err != nil {
		return nil, err
	}
	if _, err := ctx.OmapVal(tagKey(t.TID)); err == nil {
		return nil, ceph.EEXIST
	} else if !class.IsMissing(err) {
		return nil, err
	}
	next, err := get(ctx, nextTagKey, class.U64)
	if err != nil {
		return nil, err
	}
	if t.TID != next {
		return nil, ceph.ESTALE
	}
	nextClass, err := get(ctx, nextClassKey, class.U64)
	if err != nil {
		return nil, err
	}
	if t.Class == journalspec.NewClass {
		t.Class = nextClass
		if err := class.Put(ctx, nextClassKey, class.U64, nextClass+1); err != nil {
			return nil, err
		}
	} else if t.Class >= nextClass {
		return nil, ceph.EINVAL
	}
	if err := expireTags(ctx, ""); err != nil {
		return nil, err
	}
	return nil, ctx.OmapSet(map[string][]byte{
		nextTagKey:    class.Encoded(class.U64, t.TID+1),
		tagKey(t.TID): class.Encoded(class.Of[journalspec.Tag], t)})
}

// lowestTag is the first tag that a client still needs, leaving one client out; NoTag if nobody
// has committed, or if somebody has committed nothing.
func lowestTag(ctx class.Context, except string) (uint64, error) {
	low := journalspec.NoTag
	err := class.Scan(ctx, "", clientPrefix, func(key string, v []byte) error {
		if key == except {
			return nil
		}
		l, err := class.Input(v, class.Of[journalspec.Client])
		if err != nil {
			return ceph.EIO
		}
		switch {
		case l.State == journalspec.Disconnected: // it may not hold the others up
		case len(l.Committed) == 0:
			low = journalspec.NoTag
			return class.ErrEnough
		default:
			low = min(low, l.Committed.LowestTag())
		}
		return nil
	})
	if class.IsMissing(err) {
		err = nil
	}
	return low, err
}

// scanTags calls f for all tags in order; it may end the scan with class.ErrEnough.
func scanTags(ctx class.Context, f func(key string, t *journalspec.Tag) error) error {
	err := class.Scan(ctx, tagPrefix, tagPrefix, func(key string, v []byte) error {
		t, err := class.Input(v, class.Of[journalspec.Tag])
		if err != nil {
			return ceph.EIO
		}
		return f(key, &t)
	})
	if class.IsMissing(err) {
		return nil
	}
	return err
}

// lastByClass is the last tag of each class up to one.
func lastByClass(ctx class.Context, upTo uint64) (map[uint64]uint64, error) {
	last := map[uint64]uint64{}
	err := scanTags(ctx, func(key string, t *journalspec.Tag) error {
		tid, err := strconv.ParseUint(strings.TrimPrefix(key, tagPrefix), 16, 64)
		if err != nil || tid != t.TID {
			return ceph.EINVAL
		}
		if last[t.Class] = t.TID; t.TID >= upTo {
			return class.ErrEnough
		}
		return nil
	})
	return last, err
}

// expireTags removes the tags before the last of their class that every client has passed.
func expireTags(ctx class.Context, except string) error {
	low, err := lowestTag(ctx, except)
	if err != nil || low == journalspec.NoTag {
		return err
	}
	last, err := lastByClass(ctx, low)
	if err != nil {
		return err
	}
	return scanTags(ctx, func(key string, t *journalspec.Tag) error {
		if t.TID < last[t.Class] {
			if err := class.Remove(ctx, key); err != nil {
				return err
			}
		}
		if t.TID >= low {
			return class.ErrEnough
		}
		return nil
	})
}

// tagList gives the tags that a client still needs, of one class or of all.
func tagList(ctx class.Context, in []byte) ([]byte, error) {
	var after, max uint64
	var id string
	var only *uint64
	err := class.Decode(in, func(c *denc.Coder) {
		c.U64(&after)
		c.U64(&max)
		c.Str(&id)
		denc.OptionalFunc(c, &only, (*denc.Coder).U64)
	})
	if err != nil {
		return nil, err
	}
	l, err := get(ctx, clientPrefix+id, class.Of[journalspec.Client])
	if err != nil {
		return nil, err
	}
	var last map[uint64]uint64
	if low := l.Committed.LowestTag(); low != journalspec.NoTag {
		if last, err = lastByClass(ctx, low); err != nil {
			return nil, err
		}
	}
	var tags []journalspec.Tag
	err = scanTags(ctx, func(_ string, t *journalspec.Tag) error {
		if after != 0 && t.TID <= after {
			return nil
		}
		if t.TID >= last[t.Class] && (only == nil || *only == t.Class) {
			tags = append(tags, *t)
		}
		if uint64(len(tags)) >= max {
			return class.ErrEnough
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) { denc.List(c, &tags) }), nil
}
