package ceph

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"

	"glue/ceph/denc"
)

// An HObject names an object with what places it (hobject_t). Its order is the order of objects
// within a PG's listing and backfill: by pool, by bit-reversed hash, then by namespace, key, name
// and snap.
type HObject struct {
	Key       string // locator key; empty when it is the name
	Name      string
	Snap      SnapID
	Hash      uint32 // the full hash of the key or name, not folded to the PG
	Max       bool   // past all objects
	Namespace string
	Pool      int64
}

// MaxHObject sorts after every object.
func MaxHObject() HObject { return HObject{Max: true, Pool: math.MinInt64} }

// IsMin says whether h is the zero value, which sorts before every object.
func (h HObject) IsMin() bool {
	return h == HObject{} || h == HObject{Pool: math.MinInt64}
}

// EffectiveKey is the string that was hashed: the key if there is one, else the name.
func (h HObject) EffectiveKey() string {
	if h.Key != "" {
		return h.Key
	}
	return h.Name
}

// Denc is hobject_t version 4.
func (h *HObject) Denc(c *denc.Coder) {
	s := c.Begin(4, 3)
	c.Str(&h.Key)
	c.Str(&h.Name)
	h.Snap.Denc(c)
	c.U32(&h.Hash)
	c.Bool(&h.Max)
	c.Str(&h.Namespace)
	c.I64(&h.Pool)
	s.End()
	if !c.Encoding() && !h.Max && *h == (HObject{Pool: -1}) {
		h.Pool = math.MinInt64 // what pre-hammer writers meant by the minimum
	}
}

// Compare orders as Ceph's cmp(hobject_t, hobject_t) with bitwise sorting.
func (h HObject) Compare(o HObject) int {
	if h.Max || o.Max {
		return cmp.Compare(btoi(h.Max), btoi(o.Max))
	}
	return cmp.Or(
		cmp.Compare(h.Pool, o.Pool),
		cmp.Compare(bits.Reverse32(h.Hash), bits.Reverse32(o.Hash)),
		cmp.Compare(h.Namespace, o.Namespace),
		cmp.Compare(h.EffectiveKey(), o.EffectiveKey()),
		cmp.Compare(h.Name, o.Name),
		cmp.Compare(h.Snap, o.Snap),
	)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Head is the same object without its snap.
func (h HObject) Head() HObject {
	h.Snap = NoSnap
	return h
}

// String is POOL:REVERSED-HASH:NAMESPACE:KEY:NAME:SNAP.
func (h HObject) String() string {
	switch {
	case h.Max:
		return "MAX"
	case h.IsMin():
		return "MIN"
	}
	return fmt.Sprintf("%d:%08x:%s:%s:%s:%v",
		h.Pool, bits.Reverse32(h.Hash), h.Namespace, h.Key, h.Name, h.Snap)
}

// A Locator says where an object is to be placed (object_locator_t): Key, or Hash if it is not
// negative, replaces the name's hash.
type Locator struct {
	Pool      int64
	Key       string
	Namespace string
	Hash      int64 // -1 for none
}

// Denc is object_locator_t version 6, which readers must know only if there is a hash.
func (l *Locator) Denc(c *denc.Coder) {
	compat := uint8(3)
	if c.Encoding() && l.Hash != -1 {
		compat = 6
	}
	s := c.Begin(6, compat)
	c.I64(&l.Pool)
	c.U32Const(^uint32(0))
	c.Str(&l.Key)
	c.Str(&l.Namespace)
	if s.V >= 6 {
		c.I64(&l.Hash)
	} else { // kernel clients write version 5
		l.Hash = -1
	}
	s.End()
}
