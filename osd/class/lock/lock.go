// Package lock is the class "lock": named advisory locks on an object, exclusive or shared, with an
// optional expiry. A lock is an attribute "lock.NAME" of the object. The methods are pure and run
// on the goroutine that executes the request. Specified by src/cls/lock of Ceph 16.2.
package lock

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// Class is the table of methods.
var Class = class.Class{Name: "lock", Methods: []class.Method{
	{Name: "lock", Flags: class.RD | class.WR | class.Promote, Func: take},
	{Name: "unlock", Flags: class.RD | class.WR | class.Promote, Func: unlock},
	{Name: "break_lock", Flags: class.RD | class.WR, Func: breakLock},
	{Name: "get_info", Flags: class.RD, Func: getInfo},
	{Name: "list_locks", Flags: class.RD, Func: list},
	{Name: "assert_locked", Flags: class.RD | class.Promote, Func: assertLocked},
	{Name: "set_cookie", Flags: class.RD | class.WR | class.Promote, Func: setCookie},
}}

const attrPrefix = "lock."

// load reads a lock without its expired holders; one that was never taken has none.
func load(ctx class.Context, name string) (Info, error) {
	var info Info
	raw, err := ctx.Xattr(attrPrefix + name)
	if errors.Is(err, ceph.ENODATA) {
		return info, nil
	}
	if err != nil {
		return info, err
	}
	if err := class.DecodeStored(raw, &info); err != nil {
		return Info{}, err
	}
	now := ctx.Now()
	maps.DeleteFunc(info.Lockers, func(_ LockerID, l Locker) bool {
		return l.Expiration != (ceph.Time{}) && l.Expiration.Compare(now) < 0
	})
	if len(info.Lockers) == 0 && info.Type == Ephemeral {
		// An error does not matter: the lock is free either way.
		_ = ctx.Remove()
	}
	return info, nil
}

func store(ctx class.Context, name string, info *Info) error {
	return ctx.SetXattr(attrPrefix+name, class.EncodeValue(info))
}

func take(ctx class.Context, in []byte) ([]byte, error) {
	var r Request
	if err := class.DecodeValue(in, &r); err != nil {
		return nil, err
	}
	may, must := r.Flags&MayRenew != 0, r.Flags&MustRenew != 0
	if !r.Type.valid() || r.Name == "" || (may && must) {
		return nil, ceph.EINVAL
	}
	info, err := load(ctx, r.Name)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return nil, err
	}
	origin := ctx.Origin()
	id := LockerID{Name: origin.Name, Cookie: r.Cookie}
	if err := info.admit(id, &r, may, must); err != nil {
		return nil, err
	}
	locker := Locker{Addr: origin.Addr, Description: r.Description}
	// What identifies a client is its address without the protocol it happened to use.
	locker.Addr.Type = ceph.AddrLegacy
	if r.Duration != (ceph.Time{}) {
		locker.Expiration = ctx.Now().Add(r.Duration)
	}
	if info.Lockers == nil {
		info.Lockers = make(map[LockerID]Locker, 1)
	}
	info.Type, info.Tag = r.Type, r.Tag
	info.Lockers[id] = locker
	return nil, store(ctx, r.Name, &info)
}

// admit removes the caller's own entry and says whether it may have the lock.
func (i *Info) admit(id LockerID, r *Request, may, must bool) error {
	if len(i.Lockers) > 0 && r.Tag != i.Tag {
		return ceph.EBUSY
	}
	_, held := i.Lockers[id]
	switch {
	case held && !may && !must:
		return ceph.EEXIST
	case !held && must:
		return ceph.ENOENT
	}
	delete(i.Lockers, id)
	if len(i.Lockers) > 0 && (r.Type.exclusive() || i.Type != r.Type) {
		return ceph.EBUSY
	}
	return nil
}

// release removes a holder.
func release(ctx class.Context, name string, id LockerID) error {
	info, err := load(ctx, name)
	if err != nil {
		return err
	}
	if _, held := info.Lockers[id]; !held {
		return ceph.ENOENT
	}
	delete(info.Lockers, id)
	if info.Type == Ephemeral {
		return ctx.Remove()
	}
	return store(ctx, name, &info)
}

func unlock(ctx class.Context, in []byte) ([]byte, error) {
	var name string
	id := LockerID{Name: ctx.Origin().Name}
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.Str(&name)
		c.Str(&id.Cookie)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	return nil, release(ctx, name, id)
}

func breakLock(ctx class.Context, in []byte) ([]byte, error) {
	var name string
	var id LockerID
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.Str(&name)
		id.Name.Denc(c)
		c.Str(&id.Cookie)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	return nil, release(ctx, name, id)
}

func getInfo(ctx class.Context, in []byte) ([]byte, error) {
	var name string
	err := class.Decode(in, func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.Str(&name)
		s.End()
	})
	if err != nil {
		return nil, err
	}
	info, err := load(ctx, name)
	if err != nil {
		return nil, err
	}
	return class.EncodeValue(&info), nil
}

func list(ctx class.Context, _ []byte) ([]byte, error) {
	attrs, err := ctx.Xattrs()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, attr := range slices.Sorted(maps.Keys(attrs)) {
		if name, ok := strings.CutPrefix(attr, attrPrefix); ok {
			names = append(names, name)
		}
	}
	return class.Encode(func(c *denc.Coder) {
		s := c.Begin(1, 1)
		denc.ListFunc(c, &names, (*denc.Coder).Str)
		s.End()
	}), nil
}

// held reads the lock that the caller says it holds; EBUSY if it does not.
func held(ctx class.Context, h *Held) (Info, LockerID, error) {
	id := LockerID{Name: ctx.Origin().Name, Cookie: h.Cookie}
	if !h.Type.valid() || h.Name == "" {
		return Info{}, id, ceph.EINVAL
	}
	info, err := load(ctx, h.Name)
	if err != nil {
		return info, id, err
	}
	if _, ok := info.Lockers[id]; !ok || info.Type != h.Type || info.Tag != h.Tag {
		return info, id, ceph.EBUSY
	}
	return info, id, nil
}

func assertLocked(ctx class.Context, in []byte) ([]byte, error) {
	var h Held
	if err := class.DecodeValue(in, &h); err != nil {
		return nil, err
	}
	_, _, err := held(ctx, &h)
	return nil, err
}

func setCookie(ctx class.Context, in []byte) ([]byte, error) {
	h := Held{NewCookie: new(string)}
	if err := class.DecodeValue(in, &h); err != nil {
		return nil, err
	}
	info, id, err := held(ctx, &h)
	if err != nil {
		return nil, err
	}
	renamed := LockerID{Name: id.Name, Cookie: *h.NewCookie}
	if _, taken := info.Lockers[renamed]; taken {
		return nil, ceph.EBUSY
	}
	info.Lockers[renamed] = info.Lockers[id]
	delete(info.Lockers, id)
	return nil, store(ctx, h.Name, &info)
}
