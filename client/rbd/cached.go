package rbd

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/cache"
	"glue/client/stripe"
)

// StartCache lets the image's reads and writes go through memory from now on; it is called before
// they begin. A write is then durable once Flush has returned nil. The cache is written back before
// a snapshot or anything else that needs the image for itself, and before another client gets the
// lock. Without exclusive-lock, only one client may have the image open. EINVAL if it has one.
func (i *Image) StartCache(o cache.Options) error {
	if !i.cache.CompareAndSwap(nil, cache.New(cachedDisk{i}, o)) {
		return fmt.Errorf("image %s has a cache already: %w", i.name, ceph.EINVAL)
	}
	return nil
}

// Cluster is the cluster that the image is in.
func (i *Image) Cluster() *rados.Cluster { return i.x.Cluster() }

// CacheStats are the figures of the image's cache, zero without one.
func (i *Image) CacheStats() cache.Stats {
	if c := i.cache.Load(); c != nil {
		return c.Stats()
	}
	return cache.Stats{}
}

// Flush returns nil when every write that returned before it is durable. Without a cache they are.
func (i *Image) Flush(ctx context.Context) error {
	if c := i.cache.Load(); c != nil {
		return c.Flush(ctx)
	}
	return nil
}

// drain writes the cache back.
func (i *Image) drain(ctx context.Context) error {
	if c := i.cache.Load(); c != nil {
		return c.Drain(ctx)
	}
	return nil
}

// giveUpCache empties the cache before the lock is given up. Of a client that has been shut out of
// the cluster nothing can be written any more.
func (i *Image) giveUpCache(ctx context.Context) error {
	c := i.cache.Load()
	if c == nil {
		return nil
	}
	err := c.Drain(ctx)
	if errors.Is(err, ceph.EBLOCKLISTED) {
		c.Abandon(err)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("write back before the lock of image %s is released: %w", i.name, err)
	}
	c.Invalidate()
	return nil
}

// closeCache ends the cache; later calls do nothing.
func (i *Image) closeCache(ctx context.Context) error {
	c := i.cache.Swap(nil)
	if c == nil {
		return nil
	}
	return c.Close(ctx)
}

// A cachedDisk is an image to its cache. What holds it is inside of the lock, and nobody is alone
// with it; who gives up the lock or is alone drains the cache first, whose writes therefore need no
// lock of their own.
type cachedDisk struct{ i *Image }

func (d cachedDisk) Read(ctx context.Context, p []byte, off int64) (int, error) {
	return d.i.readDirect(ctx, p, off)
}

// target is where the holder writes.
func (d cachedDisk) target(ctx context.Context) (target, error) {
	h, data, err := d.i.fresh(ctx)
	d.i.lock.mu.Lock()
	m := d.i.lock.objects
	d.i.lock.mu.Unlock()
	return target{h, data, m}, err
}

func (d cachedDisk) Write(ctx context.Context, p []byte, off int64) (int, error) {
	t, err := d.target(ctx)
	if err != nil {
		return 0, err
	}
	return d.i.write(ctx, t, p, off)
}

func (d cachedDisk) WriteParts(ctx context.Context, parts []cache.Part) error {
	t, err := d.target(ctx)
	if err != nil {
		return err
	}
	if d.i.journal() == nil {
		return t.writeParts(ctx, parts)
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, p := range parts {
		g.Go(func() error {
			_, err := d.i.write(ctx, t, p.P, int64(p.Off))
			return err
		})
	}
	return g.Wait()
}

// writeParts writes ranges of the image, those of one object in one operation.
func (t target) writeParts(ctx context.Context, parts []cache.Part) error {
	var objects []stripe.Piece
	byObject := map[uint64][]chunk{}
	for _, p := range parts {
		for _, e := range t.h.Split(p.Off, uint64(len(p.P))) {
			if byObject[e.Object] == nil {
				objects = append(objects, stripe.Piece{Object: e.Object})
			}
			byObject[e.Object] = append(byObject[e.Object], chunk{e.Off, p.P[e.At : e.At+e.Len]})
		}
	}
	return each(ctx, objects, func(ctx context.Context, o stripe.Piece) error {
		return t.write(ctx, o.Object, byObject[o.Object])
	})
}

func (d cachedDisk) Hold(ctx context.Context, off int64, length uint64) (func(), error) {
	_, _, _, leave, err := d.i.writable(ctx, off, length)
	return leave, err
}

func (d cachedDisk) Size() uint64      { return d.i.Size() }
func (d cachedDisk) SpanBytes() uint64 { return d.i.head().ObjectBytes() }

// Keep: a snapshot never changes; the image does not while we have its lock. One without locks is
// ours by what StartCache asks for.
func (d cachedDisk) Keep() bool {
	h := d.i.head()
	switch {
	case h.Snap != ceph.NoSnap:
		return true
	case d.i.readOnly:
		return false
	case !h.Features.Has(ExclusiveLock):
		return true
	}
	l := &d.i.lock
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.locked && !l.releasing
}

// CacheOptions are the cache's defaults as the image's options change them; on is false if
// rbd_cache turns caches off.
func (i *Image) CacheOptions(ctx context.Context) (o cache.Options, on bool, err error) {
	values, err := i.Config().Read(ctx)
	if err != nil {
		return cache.Defaults(), true, err
	}
	return cache.OptionsOf(values.Get)
}
