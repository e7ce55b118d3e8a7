package lock

import (
	"cmp"

	"glue/ceph"
	"glue/ceph/denc"
)

// A Type is the kind of a lock (ClsLockType).
type Type uint8

// The kinds of locks.
const (
	None      Type = 0
	Exclusive Type = 1
	Shared    Type = 2
	// Ephemeral is exclusive, and the object goes away with it.
	Ephemeral Type = 3
)

func (t Type) valid() bool     { return t >= Exclusive && t <= Ephemeral }
func (t Type) exclusive() bool { return t == Exclusive || t == Ephemeral }

// Flags of a lock request.
const (
	MayRenew  = 1 // taking it again is no error
	MustRenew = 2 // only if it is held already
)

// A LockerID names a holder of a lock (locker_id_t).
type LockerID struct {
	Name   ceph.EntityName
	Cookie string
}

// Denc is locker_id_t version 1.
func (l *LockerID) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	l.Name.Denc(c)
	c.Str(&l.Cookie)
	s.End()
}

func compareLockers(a, b LockerID) int {
	return cmp.Or(a.Name.Compare(b.Name), cmp.Compare(a.Cookie, b.Cookie))
}

// A Locker is a holder of a lock (locker_info_t). A zero Expiration is for ever.
type Locker struct {
	Expiration  ceph.Time
	Addr        ceph.Addr
	Description string
}

// Denc is locker_info_t version 1.
func (l *Locker) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	l.Expiration.Denc(c)
	l.Addr.Denc(c)
	c.Str(&l.Description)
	s.End()
}

// An Info is the state of a lock (lock_info_t), which is also the answer of get_info.
type Info struct {
	Lockers map[LockerID]Locker
	Type    Type
	Tag     string
}

// Denc is lock_info_t version 1.
func (i *Info) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	denc.MapCmp(c, &i.Lockers, compareLockers,
		func(c *denc.Coder, k *LockerID) { k.Denc(c) },
		func(c *denc.Coder, v *Locker) { v.Denc(c) })
	c.U8((*uint8)(&i.Type))
	c.Str(&i.Tag)
	s.End()
}

// A Request is the input of lock (cls_lock_lock_op).
type Request struct {
	Name        string
	Type        Type
	Cookie      string
	Tag         string
	Description string
	Duration    ceph.Time // 0 for ever
	Flags       uint8
}

// Denc is cls_lock_lock_op version 1.
func (r *Request) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&r.Name)
	c.U8((*uint8)(&r.Type))
	c.Str(&r.Cookie)
	c.Str(&r.Tag)
	c.Str(&r.Description)
	r.Duration.Denc(c)
	c.U8(&r.Flags)
	s.End()
}

// A Held is the input of assert_locked and, with NewCookie, of set_cookie: a lock as the caller
// believes to hold it.
type Held struct {
	Name      string
	Type      Type
	Cookie    string
	Tag       string
	NewCookie *string
}

// Denc is cls_lock_assert_op or cls_lock_set_cookie_op version 1.
func (h *Held) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&h.Name)
	c.U8((*uint8)(&h.Type))
	c.Str(&h.Cookie)
	c.Str(&h.Tag)
	if h.NewCookie != nil {
		c.Str(h.NewCookie)
	}
	s.End()
}
