package rbd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/config"
	"glue/client/rbd/directory"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/client/rbd/objectmap"
)

// A Store is a pool, or a namespace of it, with images.
type Store struct{ x *rados.IOCtx }

// NewStore is the images of a pool.
func NewStore(x *rados.IOCtx) *Store { return &Store{x: x} }

// at is another place of the cluster.
func (s *Store) at(pool int64, namespace string) *Store {
	return NewStore(s.x.Cluster().OpenPoolID(pool).WithNamespace(namespace))
}

// IO is the pool.
func (s *Store) IO() *rados.IOCtx { return s.x }

// An Entry is an image's name and id.
type Entry = class.Entry

// List lists the images by name.
func (s *Store) List(ctx context.Context) ([]Entry, error) {
	out, err := class.Entries(ctx, s.x, layout.DirectoryObject, "dir_list")
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return out, nil
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
		o.Order = layout.DefaultOrder
	}
	if o.Order < layout.MinOrder || o.Order > layout.MaxOrder {
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
	if err := checkFeatures(o.Features); err != nil {
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
	if err := directory.CheckName(name); err != nil {
		return "", err
	}
	if err := s.defaults(ctx, &o); err != nil {
		return "", fmt.Errorf("create image %s: %w", name, err)
	}
	if err := o.complete(); err != nil {
		return "", fmt.Errorf("create image %s: %w", name, err)
	}
	dataPool, err := s.dataPool(ctx, o)
	if err != nil {
		return "", err
	}
	if err := directory.Validate(ctx, s.x); err != nil {
		return "", err
	}
	id := s.newID()
	if err := directory.Add(ctx, s.x, name, id); err != nil {
		return "", fmt.Errorf("create image %s: %w", name, err)
	}
	if err := s.createHeader(ctx, id, dataPool, o, nil); err != nil {
		_ = directory.Drop(context.WithoutCancel(ctx), s.x, name, id)
		return "", fmt.Errorf("create image %s: %w", name, err)
	}
	return id, nil
}

// dataPool is the pool of the data objects, -1 for the image's own.
func (s *Store) dataPool(ctx context.Context, o CreateOptions) (int64, error) {
	if o.DataPool == "" {
		return -1, nil
	}
	id, err := s.x.Cluster().PoolID(ctx, o.DataPool)
	if err != nil {
		return 0, fmt.Errorf("data pool: %w", err)
	}
	return id, nil
}

// createHeader makes the header, with more pairs than the class sets if there are any.
func (s *Store) createHeader(
	ctx context.Context, id string, dataPool int64, o CreateOptions, more map[string][]byte,
) error {
	prefix := layout.DataPrefix + id
	if dataPool >= 0 {
		prefix = fmt.Sprintf("%s%d.%s", layout.DataPrefix, s.x.PoolID(), id)
	}
	op := new(rados.WriteOp).Create(true).Exec("rbd", "create", class.Encode(func(c *denc.Coder) {
		f := uint64(o.Features)
		c.U64(&o.Size)
		c.U8(&o.Order)
		c.U64(&f)
		c.Str(&prefix)
		c.I64(&dataPool)
	}))
	if len(more) > 0 {
		op.OmapSet(more)
	}
	if err := s.x.Operate(ctx, layout.HeaderPrefix+id, op); err != nil {
		return err
	}
	err := s.finishHeader(ctx, id, o)
	if err != nil {
		_ = s.x.Remove(context.WithoutCancel(ctx), layout.HeaderPrefix+id)
	}
	return err
}

// finishHeader sets what the class accepts only once the features are stored.
func (s *Store) finishHeader(ctx context.Context, id string, o CreateOptions) error {
	if o.Features.Has(StripingV2) {
		err := class.Change(ctx, s.x, layout.HeaderPrefix+id, "set_stripe_unit_count",
			class.Encode(func(c *denc.Coder) {
				c.U64(&o.StripeUnit)
				c.U64(&o.StripeCount)
			}))
		if err != nil {
			return err
		}
	}
	if o.Features.Has(Journaling) {
		if err := s.makeJournal(ctx, id); err != nil {
			return err
		}
	}
	if !o.Features.Has(ObjectMap) {
		return nil
	}
	striping := layout.Striping{Order: o.Order, StripeUnit: o.StripeUnit,
		StripeCount: o.StripeCount}
	return objectmap.Create(ctx, s.x, id, striping.Objects(o.Size))
}

// Rename gives an image another name; EEXIST if that is taken.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	if err := directory.CheckName(to); err != nil {
		return err
	}
	id, err := directory.ID(ctx, s.x, from)
	if err != nil {
		return err
	}
	h, err := readHeader(ctx, s.x, id)
	if err == nil {
		err = newImage(s, from, id, false).usable(h)
	}
	if err != nil {
		return fmt.Errorf("rename image %s to %s: %w", from, to, err)
	}
	if h.Features.Has(Journaling) {
		return s.renameJournaled(ctx, from, to, id)
	}
	return s.rename(ctx, from, to, id)
}

// renameJournaled is rename of an image with a journal, which has the new name, too.
func (s *Store) renameJournaled(ctx context.Context, from, to, id string) error {
	if _, err := directory.ID(ctx, s.x, to); err == nil {
		return fmt.Errorf("rename image %s to %s: %w", from, to, ceph.EEXIST)
	}
	i, err := s.open(ctx, from, id, false)
	if err != nil {
		return err
	}
	defer i.Close(ctx)
	return i.changeMeta(ctx, journal.Event{Kind: journal.Rename, Name: to},
		func() error { return s.rename(ctx, from, to, id) })
}

// redoRename is a rename that the journal has.
func (i *Image) redoRename(ctx context.Context, to string) error {
	from, trashed, err := directory.NameOf(ctx, i.x, i.id)
	if err != nil || trashed || from == to {
		return err
	}
	return i.store.rename(ctx, from, to, i.id)
}

// rename changes the name of the image of an id.
func (s *Store) rename(ctx context.Context, from, to, id string) error {
	if err := directory.Rename(ctx, s.x, id, from, to); err != nil {
		return fmt.Errorf("rename image %s to %s: %w", from, to, err)
	}
	notice.HeaderChanged(ctx, s.x, id)
	return nil
}

// CreateNamespace makes a namespace for images in the pool; EEXIST if there is one of the name.
func (s *Store) CreateNamespace(ctx context.Context, name string) error {
	return directory.CreateNamespace(ctx, s.x, name)
}

// RemoveNamespace removes a namespace; EBUSY if there are images in it or in its trash.
func (s *Store) RemoveNamespace(ctx context.Context, name string) error {
	return directory.RemoveNamespace(ctx, s.x, name)
}

// HasNamespace says whether the pool's namespace that the store is of was made.
func (s *Store) HasNamespace(ctx context.Context) (bool, error) {
	return directory.HasNamespace(ctx, s.x)
}

// Namespaces lists the namespaces of the pool by name, without the default one.
func (s *Store) Namespaces(ctx context.Context) ([]string, error) {
	return directory.Namespaces(ctx, s.x)
}
