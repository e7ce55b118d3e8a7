package rbd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/cache"
	"glue/client/rbd/directory"
	"glue/client/rbd/layout"
)

// An Image is one open image.
type Image struct {
	store    *Store
	x        *rados.IOCtx // metadata
	name, id string
	readOnly bool
	// Opened to carry on its migration: only what does so knows where its data are.
	migrating   bool
	removing    bool // opened to be taken apart, or moved to the trash
	holdsOthers bool // of its group: a holder of the lock that is busy may wait for them
	remote      remote
	replaying   atomic.Bool // the lock is released for that
	stale       atomic.Bool // another client has changed the header
	lock        exclusive
	cache       atomic.Pointer[cache.Cache] // nil without
	done        chan struct{}

	snapName string      // of the snapshot that is open
	snap     ceph.SnapID // NoSnap: the image itself

	// Writes hold it for reading; what none may happen next to, for writing. It is taken after
	// the lock was entered.
	io sync.RWMutex

	mu    sync.RWMutex
	h     *header
	data  *rados.IOCtx // data objects, with the snapshot context
	watch *rados.Watch
}

// Open opens an image by name. Read only, it does not register with the other clients, so that
// neither a resize is noticed nor a removal prevented.
func (s *Store) Open(ctx context.Context, name string, readOnly bool) (*Image, error) {
	id, err := directory.ID(ctx, s.x, name)
	if err != nil {
		return nil, err
	}
	return s.open(ctx, name, id, readOnly)
}

// OpenID opens an image by its id, such as one in the trash.
func (s *Store) OpenID(ctx context.Context, id string, readOnly bool) (*Image, error) {
	return s.open(ctx, "id "+id, id, readOnly)
}

// OpenSnapshot opens an image read only as it was at a snapshot.
func (s *Store) OpenSnapshot(ctx context.Context, name, snap string) (*Image, error) {
	id, err := directory.ID(ctx, s.x, name)
	if err != nil {
		return nil, err
	}
	i := newImage(s, name, id, true)
	i.snapName = snap
	return i, i.begin(ctx)
}

// OpenAt opens the image read only as it was at one of its snapshots.
func (i *Image) OpenAt(ctx context.Context, s Snapshot) (*Image, error) {
	at := newImage(i.store, i.name, i.id, true)
	at.snap, at.snapName = s.ID, s.Name
	return at, at.begin(ctx)
}

func newImage(s *Store, name, id string, readOnly bool) *Image {
	i := &Image{store: s, x: s.x, name: name, id: id, readOnly: readOnly,
		done: make(chan struct{}), snap: ceph.NoSnap}
	i.lock.init()
	return i
}

func (s *Store) open(ctx context.Context, name, id string, readOnly bool) (*Image, error) {
	i := newImage(s, name, id, readOnly)
	return i, i.begin(ctx)
}

// begin reads the header and starts to listen to the other clients.
func (i *Image) begin(ctx context.Context) error {
	if err := i.refresh(ctx); err != nil {
		return fmt.Errorf("open image %s: %w", i.name, err)
	}
	if err := i.usable(i.head()); err != nil {
		return fmt.Errorf("open %w", err)
	}
	if !i.readOnly {
		if err := i.register(ctx); err != nil {
			return fmt.Errorf("open image %s: %w", i.name, err)
		}
		i.stale.Store(true) // a change before the registration was not heard of
	}
	return nil
}

// usable fails if an image needs what is not done here. Another client may have switched that on at
// any time: it is asked before every change.
func (i *Image) usable(h *header) error {
	allowed, what := known, "written"
	if i.readOnly {
		allowed, what = readable, "read"
	}
	if i.migrating {
		allowed = allowed&^Journaling | Migrating
	}
	if i.removing {
		allowed |= NonPrimary
	}
	switch {
	case h.Features&^allowed != 0:
		return fmt.Errorf("image %s has features %v and can't be %s by this client: %w", i.name,
			h.Features&^allowed, what, ceph.EOPNOTSUPP)
	case h.Operations&^opKnown != 0 && !i.readOnly:
		return fmt.Errorf("image %s takes part in operations %#x and can't be %s by this "+
			"client: %w", i.name, h.Operations&^opKnown, what, ceph.EOPNOTSUPP)
	}
	return nil
}

// changeable is fresh before a change, which fails with EROFS if the image is open read only and
// with EOPNOTSUPP if it needs what is not done here.
func (i *Image) changeable(ctx context.Context) (*header, *rados.IOCtx, error) {
	if i.readOnly {
		return nil, nil, fmt.Errorf("image %s is open read only: %w", i.name, ceph.EROFS)
	}
	h, data, err := i.fresh(ctx)
	if err == nil {
		err = i.usable(h)
	}
	return h, data, err
}

// refresh reads the header again.
func (i *Image) refresh(ctx context.Context) error {
	i.stale.Store(false)
	h, data, err := i.read(ctx)
	if err != nil {
		i.stale.Store(true)
		return err
	}
	i.mu.Lock()
	i.h, i.data, i.snap = h, data, h.Snap
	i.mu.Unlock()
	if c := i.cache.Load(); c != nil {
		c.Invalidate() // it may be another size, or have been rolled back
	}
	return nil
}

// read reads the header, as the open snapshot sees it, and opens the parent.
func (i *Image) read(ctx context.Context) (*header, *rados.IOCtx, error) {
	h, err := readHeader(ctx, i.x, i.id)
	if err != nil {
		return nil, nil, err
	}
	data := i.x
	if h.DataPool >= 0 {
		data = i.x.Cluster().OpenPoolID(h.DataPool).WithNamespace(i.x.Namespace())
	}
	data = data.WithSnapContext(h.SnapSeq, h.SnapIDs)
	i.mu.RLock()
	id := i.snap
	i.mu.RUnlock()
	if i.snapName != "" || id != ceph.NoSnap {
		s := h.ByID(id)
		if id == ceph.NoSnap {
			s, err = h.Find(i.name, i.snapName)
		}
		if err != nil {
			return nil, nil, err
		}
		if s == nil {
			return nil, nil, fmt.Errorf("snapshot %d of image %s was removed: %w", id, i.name,
				ceph.ENOENT)
		}
		h = h.at(s)
		data = data.WithSnap(s.ID)
	}
	return h, data, i.openParent(ctx, h)
}

// Refresh takes in what other clients have changed of the image's size, snapshots and the like, for
// those who ask without a context. Every operation begins with that.
func (i *Image) Refresh(ctx context.Context) error {
	_, _, err := i.fresh(ctx)
	return err
}

// head is the header as last read.
func (i *Image) head() *header {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.h
}

// fresh is the header, read again if another client has changed it.
func (i *Image) fresh(ctx context.Context) (*header, *rados.IOCtx, error) {
	if i.stale.Load() {
		if err := i.refresh(ctx); err != nil {
			return nil, nil, err
		}
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.h, i.data, nil
}

// closePatience is how long Close tries: a registration that is left behind keeps the image from
// being removed for as long as this client lives.
const closePatience = 5 * time.Second

// Close releases the lock and ends the registration, also when ctx is over: an operation that was
// given up is closed like any other. What a cache could not write back until ctx is over is lost,
// and the error says so.
func (i *Image) Close(ctx context.Context) error {
	lost := i.closeCache(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	select {
	case <-i.done:
		return lost
	default:
		close(i.done)
	}
	_ = i.lock.release(ctx, i, false) // there is nothing to be written any more
	i.mu.Lock()
	w := i.watch
	i.watch = nil
	i.mu.Unlock()
	if w == nil {
		return lost
	}
	return errors.Join(lost, w.Close(ctx))
}

// Name is the name that the image was opened with.
func (i *Image) Name() string { return i.name }

// ID is the image's id.
func (i *Image) ID() string { return i.id }

// Size is the image's size in bytes.
func (i *Image) Size() uint64 { return i.head().Size }

// An Info describes an image.
type Info struct {
	Name, ID             string
	Size                 uint64
	Order                uint8
	Objects              uint64 // how many it can have
	Prefix               string // of the data objects
	Features             Features
	Flags                uint64
	StripeUnit           uint64
	StripeCount          uint64
	DataPool             string // empty: the image's own
	Snapshots            int
	Overlap              uint64 // bytes that are read from the parent; 0 without one
	Operations           []string
	Created, Access, Mod time.Time
}

// Info describes the image as its header was last read.
func (i *Image) Info() Info {
	h := i.head()
	info := Info{
		Name: i.name, ID: i.id, Size: h.Size, Order: h.Order, Objects: h.Objects(h.Size),
		Prefix: h.Prefix, Features: h.Features, Flags: h.Flags, StripeUnit: h.StripeUnit,
		StripeCount: h.StripeCount, Overlap: h.Overlap, Created: h.Created,
		Access: h.Accessed, Mod: h.Modified,
	}
	info.Operations = layout.OperationNames(h.Operations)
	for _, s := range h.Snapshots {
		if s.Kind != SnapTrash {
			info.Snapshots++
		}
	}
	if h.DataPool >= 0 {
		info.DataPool = i.x.Cluster().Map().PoolName(h.DataPool)
	}
	return info
}

// Watchers lists the clients that have the image open for writing.
func (i *Image) Watchers(ctx context.Context) ([]rados.WatcherInfo, error) {
	return i.x.Watchers(ctx, layout.HeaderPrefix+i.id)
}
