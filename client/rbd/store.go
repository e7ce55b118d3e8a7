package rbd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/config"
	"glue/client/rbd/objectmap"
)

// A Store is a pool, or a namespace of it, with images.
type Store struct{ x *rados.IOCtx }

// NewStore is the images of a pool.
func NewStore(x *rados.IOCtx) *Store { return &Store{x: x} }

// IO is the pool.
func (s *Store) IO() *rados.IOCtx { return s.x }

// An Entry is an image's name and id.
type Entry struct{ Name, ID string }

// listPage is how many images are asked for at a time.
const listPage = 1024

// List lists the images by name.
func (s *Store) List(ctx context.Context) ([]Entry, error) {
	out, err := s.entries(ctx, directoryObject, "dir_list")
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return out, nil
}

// entries lists what a directory has, which is nothing if it is not there.
func (s *Store) entries(ctx context.Context, object, method string) ([]Entry, error) {
	out, err := pages(ctx, s.x, object, method,
		func(c *denc.Coder, last *Entry) { c.Str(&last.Name) },
		func(c *denc.Coder, e *Entry) {
			c.Str(&e.Name)
			c.Str(&e.ID)
		})
	return out, unlessGone(err)
}

// pages lists what a method gives page by page. It gives elements, or pairs of a map, that come
// after the last one, of which after encodes what the method wants to know.
func pages[T any](
	ctx context.Context, x *rados.IOCtx, oid, method string, after, elem func(*denc.Coder, *T),
) ([]T, error) {
	var out []T
	for last := new(T); ; last = &out[len(out)-1] {
		var page []T
		err := call(ctx, x, oid, method, encode(func(c *denc.Coder) {
			after(c, last)
			c.U64Const(listPage)
		}), func(c *denc.Coder) { denc.ListFunc(c, &page, elem) })
		if err != nil {
			return out, err
		}
		if out = append(out, page...); len(page) < listPage {
			return out, nil
		}
	}
}

// id finds an image's id; ENOENT without the image. Where the removal of a name was interrupted
// only the directory has it.
func (s *Store) id(ctx context.Context, name string) (string, error) {
	var id string
	got := func(c *denc.Coder) { c.Str(&id) }
	err := call(ctx, s.x, idPrefix+name, "get_id", nil, got)
	if errors.Is(err, ceph.ENOENT) {
		err = call(ctx, s.x, directoryObject, "dir_get_id", strArg(name), got)
	}
	if err != nil {
		return "", fmt.Errorf("image %s of pool %s: %w", name, s.x.PoolName(), err)
	}
	return id, nil
}

// CreateOptions say what a new image is like. Zero values are the defaults.
type CreateOptions struct {
	Size        uint64
	Order       uint8    // objects are 1<<Order bytes; 22, 4 MiB
	Features    Features // DefaultFeatures
	NoFeatures  bool     // take Features as they are, although zero
	StripeUnit  uint64
	StripeCount uint64
	DataPool    string // pool of the data objects, the image's own if empty
	CloneFormat int    // of Clone: 1 or 2
}

// Config is the options of the pool, for the images of all its namespaces.
func (s *Store) Config() config.Config { return config.OfPool(s.x) }

// defaults are what the pool's options say about new images.
func (s *Store) defaults(ctx context.Context, o *CreateOptions) error {
	values, err := s.Config().Read(ctx)
	if err != nil {
		return err
	}
	if text := values.Get("rbd_default_features"); text != "" && o.Features == 0 && !o.NoFeatures {
		f, err := ParseFeatures(text)
		if err != nil {
			return fmt.Errorf("rbd_default_features: %w", err)
		}
		o.Features, o.NoFeatures = f, true
	}
	if text := values.Get("rbd_default_order"); text != "" && o.Order == 0 {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return fmt.Errorf("rbd_default_order: %w", err)
		}
		o.Order = uint8(n)
	}
	if o.DataPool == "" {
		o.DataPool = values.Get("rbd_default_data_pool")
	}
	if o.DataPool == s.x.PoolName() {
		o.DataPool = ""
	}
	return nil
}

func (o *CreateOptions) complete() error {
	if o.Order == 0 {
		o.Order = defaultOrder
	}
	if o.Order < minOrder || o.Order > maxOrder {
		return fmt.Errorf("object size must be 4 KiB to 32 MiB: %w", ceph.EINVAL)
	}
	if o.Features == 0 && !o.NoFeatures {
		o.Features = DefaultFeatures
	}
	size := uint64(1) << o.Order
	if (o.StripeUnit == 0) != (o.StripeCount == 0) {
		return fmt.Errorf("stripe unit and stripe count go together: %w", ceph.EINVAL)
	}
	if o.StripeUnit != 0 && (o.StripeUnit != size || o.StripeCount != 1) {
		if size%o.StripeUnit != 0 {
			return fmt.Errorf("stripe unit must divide the object size: %w", ceph.EINVAL)
		}
		o.Features |= StripingV2
	}
	if o.DataPool != "" {
		o.Features |= DataPool
	}
	if o.Features.Has(Operations) {
		return fmt.Errorf("feature operations comes and goes on its own: %w", ceph.EINVAL)
	}
	if err := o.Features.check(); err != nil {
		return fmt.Errorf("%w: %w", err, ceph.EINVAL)
	}
	return nil
}

// newID makes an image id as librbd does: this client's number and a random one.
func (s *Store) newID() string {
	id := strings.ToLower(fmt.Sprintf("%x%x", s.x.Cluster().InstanceID(), rand.Uint32()))
	return id[:min(len(id), 13)]
}

// Create makes an image; EEXIST if the name is taken.
func (s *Store) Create(ctx context.Context, name string, o CreateOptions) error {
	_, err := s.create(ctx, name, o)
	return err
}

// create makes an image and returns its id.
func (s *Store) create(ctx context.Context, name string, o CreateOptions) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if err := s.defaults(ctx, &o); err != nil {
		return "", fmt.Errorf("create image %s: %w", name, err)
	}
	if err := o.complete(); err != nil {
		return "", fmt.Errorf("create image %s: %w", name, err)
	}
	dataPool := int64(-1)
	if o.DataPool != "" {
		id, err := s.x.Cluster().PoolID(ctx, o.DataPool)
		if err != nil {
			return "", fmt.Errorf("data pool: %w", err)
		}
		dataPool = id
	}
	if err := s.validatePool(ctx); err != nil {
		return "", err
	}
	id := s.newID()
	if err := s.addName(ctx, name, id); err != nil {
		return "", fmt.Errorf("create image %s: %w", name, err)
	}
	if err := s.createHeader(ctx, id, dataPool, o); err != nil {
		_ = s.dropName(context.WithoutCancel(ctx), name, id)
		return "", fmt.Errorf("create image %s: %w", name, err)
	}
	return id, nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, "@/") {
		return fmt.Errorf("%q is not a name: it has something, but no @ and no /: %w", name,
			ceph.EINVAL)
	}
	return nil
}

// validatePool makes sure that the namespace is there and, once per pool, that objects can be
// overwritten.
func (s *Store) validatePool(ctx context.Context) error {
	const validated = "overwrite validated"
	if ns := s.x.Namespace(); ns != "" {
		ok, err := s.HasNamespace(ctx)
		if err == nil && !ok {
			err = fmt.Errorf("namespace %s of pool %s does not exist: %w", ns, s.x.PoolName(),
				ceph.ENOENT)
		}
		if err != nil {
			return err
		}
	}
	data, err := s.x.Read(ctx, infoObject, 0, 0)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return fmt.Errorf("check the pool: %w", err)
	}
	if strings.HasPrefix(string(data), validated) {
		return nil
	}
	if err := s.x.Write(ctx, infoObject, []byte("validate"), 0); err != nil {
		return fmt.Errorf("check the pool: %w", err)
	}
	if err := s.x.Write(ctx, infoObject, []byte(validated), 0); err != nil {
		return fmt.Errorf("pool %s cannot hold images, as objects cannot be overwritten: %w",
			s.x.PoolName(), err)
	}
	return nil
}

// addName takes a name for an id; EEXIST if it is taken.
func (s *Store) addName(ctx context.Context, name, id string) error {
	op := new(rados.WriteOp).Create(true).Exec("rbd", "set_id", strArg(id))
	if err := s.x.Operate(ctx, idPrefix+name, op); err != nil {
		return err
	}
	add := new(rados.WriteOp)
	if s.x.Namespace() != "" { // it may be about to be removed
		add.Exec("rbd", "dir_state_assert",
			encode(func(c *denc.Coder) { c.U8Const(directoryReady) }))
	}
	add.Exec("rbd", "dir_add_image", strArg(name, id))
	if err := s.x.Operate(ctx, directoryObject, add); err != nil {
		_ = s.x.Remove(context.WithoutCancel(ctx), idPrefix+name)
		return err
	}
	return nil
}

// dropName gives a name back.
func (s *Store) dropName(ctx context.Context, name, id string) error {
	if err := unlessGone(s.x.Remove(ctx, idPrefix+name)); err != nil {
		return fmt.Errorf("remove the name %s: %w", name, err)
	}
	err := change(ctx, s.x, directoryObject, "dir_remove_image", strArg(name, id))
	if err := unlessGone(err); err != nil {
		return fmt.Errorf("remove %s from the directory: %w", name, err)
	}
	return nil
}

func (s *Store) createHeader(
	ctx context.Context, id string, dataPool int64, o CreateOptions,
) error {
	prefix := dataPrefix + id
	if dataPool >= 0 {
		prefix = fmt.Sprintf("%s%d.%s", dataPrefix, s.x.PoolID(), id)
	}
	op := new(rados.WriteOp).Create(true).Exec("rbd", "create", encode(func(c *denc.Coder) {
		f := uint64(o.Features)
		c.U64(&o.Size)
		c.U8(&o.Order)
		c.U64(&f)
		c.Str(&prefix)
		c.I64(&dataPool)
	}))
	if err := s.x.Operate(ctx, headerPrefix+id, op); err != nil {
		return err
	}
	err := s.finishHeader(ctx, id, o)
	if err != nil {
		_ = s.x.Remove(context.WithoutCancel(ctx), headerPrefix+id)
	}
	return err
}

// finishHeader sets what the class accepts only once the features are stored.
func (s *Store) finishHeader(ctx context.Context, id string, o CreateOptions) error {
	if o.Features.Has(StripingV2) {
		err := change(ctx, s.x, headerPrefix+id, "set_stripe_unit_count",
			encode(func(c *denc.Coder) {
				c.U64(&o.StripeUnit)
				c.U64(&o.StripeCount)
			}))
		if err != nil {
			return err
		}
	}
	if !o.Features.Has(ObjectMap) {
		return nil
	}
	layout := striping{order: o.Order, stripeUnit: o.StripeUnit, stripeCount: o.StripeCount}
	return objectmap.Create(ctx, s.x, id, layout.objects(o.Size))
}

// Rename gives an image another name; EEXIST if that is taken.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	if err := checkName(to); err != nil {
		return err
	}
	id, err := s.id(ctx, from)
	if err != nil {
		return err
	}
	h, err := readHeader(ctx, s.x, id)
	if err == nil { // a new name belongs in a journal, too
		err = newImage(s, from, id, false).usable(h)
	}
	if err != nil {
		return fmt.Errorf("rename image %s to %s: %w", from, to, err)
	}
	op := new(rados.WriteOp).Create(true).Exec("rbd", "set_id", strArg(id))
	if err := s.x.Operate(ctx, idPrefix+to, op); err != nil {
		return fmt.Errorf("rename image %s to %s: %w", from, to, err)
	}
	err = change(ctx, s.x, directoryObject, "dir_rename_image", strArg(from, to, id))
	if err != nil {
		_ = s.x.Remove(context.WithoutCancel(ctx), idPrefix+to)
		return fmt.Errorf("rename image %s to %s: %w", from, to, err)
	}
	if err := s.x.Remove(ctx, idPrefix+from); err != nil && !errors.Is(err, ceph.ENOENT) {
		return fmt.Errorf("rename image %s to %s: %w", from, to, err)
	}
	notifyHeader(ctx, s.x, id)
	return nil
}
