package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/cluster/journalspec"
)

// Options are those of a new journal.
type Options struct {
	Order uint8  // objects of 1<<Order bytes
	Width uint8  // objects of a set
	Pool  string // of the objects; empty: the image's own
}

// OptionsOf are the options that a pool's configuration has for new journals.
func OptionsOf(get func(name string) string) (Options, error) {
	order, e1 := strconv.ParseUint(cmp.Or(get("rbd_journal_order"), "24"), 10, 8)
	width, e2 := strconv.ParseUint(cmp.Or(get("rbd_journal_splay_width"), "4"), 10, 8)
	return Options{Order: uint8(order), Width: uint8(width), Pool: get("rbd_journal_pool")},
		errors.Join(e1, e2)
}

// Create makes the journal of an image, by the image's id, with this cluster as the writer. What it
// made is removed again if it fails. EEXIST if there is one.
func Create(ctx context.Context, x *rados.IOCtx, id string, o Options) error {
	if o.Order < minOrder || o.Order > maxOrder || o.Width == 0 {
		return fmt.Errorf("a journal of %d objects of 2^%d bytes: %w", o.Width, o.Order,
			ceph.EINVAL)
	}
	pool := int64(-1)
	if o.Pool != "" {
		var err error
		if pool, err = x.Cluster().PoolID(ctx, o.Pool); err != nil {
			return fmt.Errorf("pool of the journal: %w", err)
		}
	}
	op := new(rados.WriteOp).Exec("journal", "create", class.Encode(func(c *denc.Coder) {
		c.U8(&o.Order)
		c.U8(&o.Width)
		c.I64(&pool)
	}))
	if err := x.Operate(ctx, prefix+id, op); err != nil {
		return fmt.Errorf("make the image's journal: %w", err)
	}
	err := begin(ctx, x, id)
	if err != nil {
		return errors.Join(err, Remove(context.WithoutCancel(ctx), x, id))
	}
	return nil
}

// begin makes the first tag, and the client that is the image.
func begin(ctx context.Context, x *rados.IOCtx, id string) error {
	t, err := createTag(ctx, x, id, journalspec.NewClass, &tagData{writer: localUUID})
	if err != nil {
		return err
	}
	data := denc.Marshal(&clientMeta{kind: imageClient, class: t.Class}, ceph.FeaturesAll)
	op := new(rados.WriteOp).Exec("journal", "client_register", class.Encode(func(c *denc.Coder) {
		name := imageID
		c.Str(&name)
		c.Blob(&data)
	}))
	if err := x.Operate(ctx, prefix+id, op); err != nil {
		return fmt.Errorf("register with the image's journal: %w", err)
	}
	return nil
}

// imageID is the client that is the image itself.
const imageID = ""

// createTag makes the next tag.
func createTag(
	ctx context.Context, x *rados.IOCtx, id string, tagClass uint64, data *tagData,
) (journalspec.Tag, error) {
	t := journalspec.Tag{Class: tagClass, Data: denc.Marshal(data, ceph.FeaturesAll)}
	for {
		err := call(ctx, x, id, "get_next_tag_tid", nil, func(c *denc.Coder) { c.U64(&t.TID) })
		if err != nil {
			return t, err
		}
		op := new(rados.WriteOp).Exec("journal", "tag_create", class.Encode(func(c *denc.Coder) {
			c.U64(&t.TID)
			c.U64(&tagClass)
			c.Blob(&t.Data)
		}))
		err = x.Operate(ctx, prefix+id, op)
		switch {
		case errors.Is(err, ceph.ESTALE) || errors.Is(err, ceph.EEXIST):
			continue // another client was first
		case err != nil:
			return t, fmt.Errorf("make a tag of the image's journal: %w", err)
		}
		return t, call(ctx, x, id, "get_tag", class.U64(t.TID), t.Denc)
	}
}

// call runs one method of class journal for its result.
func call(
	ctx context.Context, x *rados.IOCtx, id, method string, in []byte, f func(*denc.Coder),
) error {
	out, err := x.Exec(ctx, prefix+id, "journal", method, in)
	if err != nil {
		return fmt.Errorf("journal.%s: %w", method, err)
	}
	if err := class.Decode(out, f); err != nil {
		return fmt.Errorf("answer of journal.%s: %w", method, err)
	}
	return nil
}
