package rados

import (
	"context"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// Kinds of locks (ClsLockType).
const (
	LockExclusive          = 1
	LockShared             = 2
	LockExclusiveEphemeral = 3 // the object goes with the last unlock
)

// Flags of a Lock.
const (
	LockMayRenew  = 1 // extend if we hold it already
	LockMustRenew = 2 // fail with ENOENT unless we hold it
)

// A Lock is a request for an advisory lock on an object, by the name of the lock. Cookie tells the
// locks of one client apart; Tag must be the same among holders of a shared lock.
type Lock struct {
	Name, Cookie, Tag, Description string
	Kind                           uint8
	Duration                       time.Duration // 0: until it is unlocked or broken
	Flags                          uint8
}

func lockCall(f func(*denc.Coder)) []byte {
	return encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		f(c)
		s.End()
	})
}

// Encode is the input of the class's lock method.
func (l Lock) Encode() []byte {
	return lockCall(func(c *denc.Coder) {
		d := ceph.TimeSpan(l.Duration)
		c.Str(&l.Name)
		c.U8(&l.Kind)
		c.Str(&l.Cookie)
		c.Str(&l.Tag)
		c.Str(&l.Description)
		d.Denc(c)
		c.U8(&l.Flags)
	})
}

// Lock takes the lock. EBUSY if another holds it, EEXIST if this client and cookie do.
func (x *IOCtx) Lock(ctx context.Context, oid string, l Lock) error {
	return x.Operate(ctx, oid, new(WriteOp).Exec("lock", "lock", l.Encode()))
}

// Unlock releases a lock of this client; ENOENT if it does not hold it.
func (x *IOCtx) Unlock(ctx context.Context, oid, name, cookie string) error {
	return x.Operate(ctx, oid, new(WriteOp).Exec("lock", "unlock", lockCall(func(c *denc.Coder) {
		c.Str(&name)
		c.Str(&cookie)
	})))
}

// BreakLock releases another client's lock. That client is not told: blocklist it if it could
// still write.
func (x *IOCtx) BreakLock(
	ctx context.Context, oid, name, cookie string, locker ceph.EntityName,
) error {
	return x.Operate(ctx, oid, new(WriteOp).Exec("lock", "break_lock",
		lockCall(func(c *denc.Coder) {
			c.Str(&name)
			locker.Denc(c)
			c.Str(&cookie)
		})))
}

// AssertLocked adds to a vector that it fails with EBUSY unless this client holds the lock.
func (w *WriteOp) AssertLocked(name string, kind uint8, cookie, tag string) *WriteOp {
	return w.Exec("lock", "assert_locked", lockCall(func(c *denc.Coder) {
		c.Str(&name)
		c.U8(&kind)
		c.Str(&cookie)
		c.Str(&tag)
	}))
}

// A Locker is one holder of a lock.
type Locker struct {
	Name        ceph.EntityName
	Cookie      string
	Expires     time.Time // zero: never
	Addr        ceph.Addr
	Description string
}

// A LockInfo is the state of a lock; without holders it is not locked.
type LockInfo struct {
	Lockers []Locker
	Kind    uint8
	Tag     string
}

// LockInfo is the state of a lock of an object.
func (x *IOCtx) LockInfo(ctx context.Context, oid, name string) (LockInfo, error) {
	var info LockInfo
	out, err := x.Exec(ctx, oid, "lock", "get_info",
		lockCall(func(c *denc.Coder) { c.Str(&name) }))
	if err != nil {
		return info, err
	}
	err = decode(out, info.denc)
	return info, err
}

func (i *LockInfo) denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.ListFunc(c, &i.Lockers, func(c *denc.Coder, l *Locker) {
		var expires ceph.Time
		key := c.Begin(1, 1)
		l.Name.Denc(c)
		c.Str(&l.Cookie)
		key.End()
		val := c.Begin(1, 1)
		expires.Denc(c)
		l.Addr.Denc(c)
		c.Str(&l.Description)
		val.End()
		l.Expires = expires.Go()
	})
	c.U8(&i.Kind)
	c.Str(&i.Tag)
	s.End()
}

// Locks lists the names of an object's locks.
func (x *IOCtx) Locks(ctx context.Context, oid string) ([]string, error) {
	out, err := x.Exec(ctx, oid, "lock", "list_locks", nil)
	if err != nil {
		return nil, err
	}
	var names []string
	err = decode(out, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		denc.ListFunc(c, &names, (*denc.Coder).Str)
		s.End()
	})
	return names, err
}
