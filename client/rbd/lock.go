package rbd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd/journal"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/client/rbd/objectmap"
)

// The image's lock: its tag, and what cookies begin with that were taken by clients on their own.
const (
	lockTag    = "internal"
	autoCookie = "auto "
)

// waitForLock is how long a holder that has said it would release gets before it is asked again.
const waitForLock = time.Second

// An exclusive is this client's hold of an image's lock. Writers enter and leave; the lock is
// released when none is inside.
type exclusive struct {
	mu        sync.Mutex
	locked    bool
	busy      bool // being taken or released
	releasing bool
	inside    int
	changed   chan struct{}
	poked     chan struct{} // another client released or took the lock
	cookie    string
	objects   *objectmap.Map                  // nil without the feature
	journal   atomic.Pointer[journal.Journal] // nil without the feature
}

func (l *exclusive) init() {
	l.changed = make(chan struct{})
	l.poked = make(chan struct{}, 1)
}

func (l *exclusive) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *exclusive) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.locked
}

// poke tells who waits for the lock that its holder has changed.
func (l *exclusive) poke() {
	select {
	case l.poked <- struct{}{}:
	default:
	}
}

// enter waits for the lock, taking it if need be, and keeps it until leave. It returns the
// object map, nil if the image has none.
func (l *exclusive) enter(ctx context.Context, i *Image) (*objectmap.Map, error) {
	for {
		l.mu.Lock()
		switch {
		case l.locked && !l.releasing:
			l.inside++
			m := l.objects
			l.mu.Unlock()
			return m, nil
		case !l.busy && !l.locked:
			l.busy = true
			l.mu.Unlock()
			m, err := i.acquire(ctx)
			l.mu.Lock()
			l.busy = false
			if err == nil {
				l.locked, l.objects = true, m
			}
			l.notify()
			l.mu.Unlock()
			if err != nil {
				return nil, err
			}
			continue
		}
		wait := l.changed
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the image's lock: %w", ctx.Err())
		}
	}
}

func (l *exclusive) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside--
	if l.inside == 0 {
		l.notify()
	}
}

// release gives the lock back once nobody is inside and the image's cache has nothing to be
// written. It is kept if that fails: the data would be lost.
func (l *exclusive) release(ctx context.Context, i *Image, asked bool) error {
	l.mu.Lock()
	for l.releasing && !asked { // the watch has to outlast the lock
		wait := l.changed
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
		l.mu.Lock()
	}
	if !l.locked || l.releasing {
		l.mu.Unlock()
		return nil
	}
	l.releasing = true
	for l.inside > 0 {
		wait := l.changed
		l.mu.Unlock()
		<-wait
		l.mu.Lock()
	}
	l.mu.Unlock()
	err := i.giveUpCache(ctx)
	l.mu.Lock()
	if err != nil {
		l.releasing = false
		l.notify()
		l.mu.Unlock()
		return err
	}
	l.busy = true
	m, cookie := l.objects, l.cookie
	l.mu.Unlock()
	i.closeJournal(ctx)
	told := i.unlock(ctx, m, cookie)
	if asked && told != nil { // who asked is to have it before this client takes it back
		select {
		case <-told:
		case <-time.After(waitForLock):
		}
	}
	l.mu.Lock()
	l.locked, l.busy, l.releasing, l.objects = false, false, false, nil
	l.notify()
	l.mu.Unlock()
	return nil
}

// acquire takes the image's lock, asking its holder for it, and opens the object map.
func (i *Image) acquire(ctx context.Context) (*objectmap.Map, error) {
	cookie := autoCookie + strconv.FormatUint(i.me().Handle, 10)
	if i.journaling(i.head()) { // nobody is to give the lock up for nothing
		if err := journal.Primary(ctx, i.x, i.id); err != nil {
			return nil, fmt.Errorf("image %s: %w", i.name, err)
		}
	}
	for {
		err := i.x.Lock(ctx, layout.HeaderPrefix+i.id, rados.Lock{
			Name: objectmap.LockName, Cookie: cookie, Tag: lockTag, Kind: rados.LockExclusive,
		})
		if err == nil || errors.Is(err, ceph.EEXIST) {
			break
		}
		if !errors.Is(err, ceph.EBUSY) {
			if ctx.Err() != nil { // it may have been taken all the same
				i.unlock(ctx, nil, cookie)
			}
			return nil, fmt.Errorf("lock image %s: %w", i.name, err)
		}
		if err := i.requestLock(ctx); err != nil {
			return nil, err
		}
	}
	if err := i.refresh(ctx); err != nil {
		i.unlock(ctx, nil, cookie)
		return nil, err
	}
	h := i.head()
	var m *objectmap.Map
	if h.Features.Has(ObjectMap) {
		var err error
		m, err = objectmap.Open(ctx, i.x, i.id)
		if m != nil && errors.Is(err, ceph.ENOENT) {
			err = i.newObjectMap(ctx, m)
			h = i.head()
		}
		if err == nil {
			m.Trust(h.Flags&FlagObjectMapInvalid == 0)
			err = i.repairObjectMap(ctx, h, m)
		}
		if err != nil {
			i.unlock(ctx, m, cookie)
			return nil, err
		}
	}
	i.lock.mu.Lock()
	i.lock.cookie = cookie
	i.lock.mu.Unlock()
	if i.journaling(h) {
		j, err := i.openJournal(ctx, m)
		if err != nil {
			i.unlock(ctx, m, cookie)
			if errors.Is(err, errLockAgain) {
				return i.acquire(ctx)
			}
			return nil, err
		}
		i.lock.journal.Store(j)
	}
	go i.tell(notice.Message{Op: notice.AcquiredLock, Client: i.me()})
	return m, nil
}

// newObjectMap makes a map that is missing, as one that is not to be trusted: whoever made the
// image died before, or the object was lost.
func (i *Image) newObjectMap(ctx context.Context, m *objectmap.Map) error {
	if err := i.invalidate(ctx, new(header), ceph.NoSnap); err != nil {
		return err
	}
	if err := i.refresh(ctx); err != nil {
		return err
	}
	h := i.head()
	return m.Resize(ctx, h.Objects(h.Size))
}

// repairObjectMap brings a map to the image's size that a crash left at another one.
func (i *Image) repairObjectMap(ctx context.Context, h *header, m *objectmap.Map) error {
	want := h.Objects(h.Size)
	if m.Len() >= want {
		return nil
	}
	return m.Resize(ctx, want)
}

// tell notifies the other clients and does not care for answers.
func (i *Image) tell(n notice.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), notice.Timeout)
	defer cancel()
	_, _ = i.x.Notify(ctx, layout.HeaderPrefix+i.id, n.Encode(), notice.Timeout)
}

// unlock gives the locks back, also when ctx is over. The other clients have heard of it when told
// is closed.
func (i *Image) unlock(
	ctx context.Context, m *objectmap.Map, cookie string,
) (told chan struct{}) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	if m != nil {
		_ = m.Unlock(ctx) // the next holder breaks it
	}
	if err := i.x.Unlock(ctx, layout.HeaderPrefix+i.id, objectmap.LockName, cookie); err != nil {
		return nil // lost already, or the cluster does not answer: the holder's watch will end
	}
	told = make(chan struct{})
	go func() {
		defer close(told)
		i.tell(notice.Message{Op: notice.ReleasedLock, Client: i.me()})
	}()
	return told
}

// requestLock asks the lock's holder to release it, and breaks the lock of one that is dead.
func (i *Image) requestLock(ctx context.Context) error {
	oid := layout.HeaderPrefix + i.id
	info, err := i.x.LockInfo(ctx, oid, objectmap.LockName)
	if err != nil {
		return fmt.Errorf("look at the lock of image %s: %w", i.name, err)
	}
	if len(info.Lockers) == 0 {
		return nil
	}
	holder := info.Lockers[0]
	handle, err := strconv.ParseUint(strings.TrimPrefix(holder.Cookie, autoCookie), 10, 64)
	if info.Tag != lockTag || err != nil || !strings.HasPrefix(holder.Cookie, autoCookie) {
		return fmt.Errorf("image %s is locked by %v (lock %q); see: glue rbd lock ls %s: %w",
			i.name, holder.Name, holder.Cookie, i.name, ceph.EROFS)
	}
	watchers, err := i.x.Watchers(ctx, oid)
	if err != nil {
		return fmt.Errorf("look at the watchers of image %s: %w", i.name, err)
	}
	for _, w := range watchers {
		if w.Name == holder.Name && w.Cookie == handle {
			return i.askHolder(ctx, holder)
		}
	}
	// It may have released the lock and gone, between the two looks.
	again, err := i.x.LockInfo(ctx, oid, objectmap.LockName)
	if err != nil {
		return fmt.Errorf("look at the lock of image %s: %w", i.name, err)
	}
	if len(again.Lockers) == 0 || again.Lockers[0].Name != holder.Name ||
		again.Lockers[0].Cookie != holder.Cookie {
		return nil
	}
	return i.fence(ctx, holder)
}

// askHolder asks a holder that is alive, and gives it a moment to release.
func (i *Image) askHolder(ctx context.Context, holder rados.Locker) error {
	if i.migrating && !i.remote.refused.Load() {
		return errHeld
	}
	select {
	case <-i.lock.poked:
	default:
	}
	r, err := i.x.Notify(ctx, layout.HeaderPrefix+i.id,
		notice.Message{Op: notice.RequestLock, Client: i.me()}.Encode(), notice.Timeout)
	if err != nil && !errors.Is(err, ceph.ETIMEDOUT) {
		return fmt.Errorf("ask for the lock of image %s: %w", i.name, err)
	}
	var refused error
	for _, a := range r.Acks {
		if result, ok := notice.ParseResponse(a.Reply); ok && result < 0 {
			refused = fmt.Errorf("%v does not give the lock of image %s away: %w", holder.Name,
				i.name, ceph.Errno(-result))
		}
	}
	if refused != nil && (i.holdsOthers || !errors.Is(refused, ceph.EBUSY)) {
		return refused
	}
	t := time.NewTimer(waitForLock)
	defer t.Stop()
	select {
	case <-i.lock.poked:
	case <-t.C:
	case <-ctx.Done():
		return fmt.Errorf("wait for %v to release image %s: %w", holder.Name, i.name, ctx.Err())
	}
	return nil // asked again, also one that is busy for now
}

// fence makes sure that a dead holder cannot write any more, then breaks its lock. A lock of this
// client that nothing holds any more is only broken: a blocklist entry would end the client.
func (i *Image) fence(ctx context.Context, holder rados.Locker) error {
	c := i.x.Cluster()
	if uint64(holder.Name.Num) != c.InstanceID() { // it is not what this client left behind
		if err := c.Blocklist(ctx, holder.Addr, 0); err != nil {
			return fmt.Errorf("the dead holder of image %s: %w", i.name, err)
		}
	}
	err := i.x.BreakLock(ctx, layout.HeaderPrefix+i.id, objectmap.LockName, holder.Cookie,
		holder.Name)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return fmt.Errorf("break the lock of image %s: %w", i.name, err)
	}
	return nil
}
