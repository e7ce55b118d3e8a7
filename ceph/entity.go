package ceph

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"glue/ceph/denc"
)

// An EntityType is the kind of a daemon or client; the values are bits, so that a service set is
// their union.
type EntityType uint8

// The entity types (CEPH_ENTITY_TYPE_*).
const (
	TypeMon    EntityType = 0x01
	TypeMDS    EntityType = 0x02
	TypeOSD    EntityType = 0x04
	TypeClient EntityType = 0x08
	TypeMgr    EntityType = 0x10
	TypeAuth   EntityType = 0x20
	TypeAny    EntityType = 0xff
)

var entityTypes = map[EntityType]string{
	TypeMon: "mon", TypeMDS: "mds", TypeOSD: "osd", TypeClient: "client", TypeMgr: "mgr",
	TypeAuth: "auth",
}

// String is the type's word, such as "osd".
func (t EntityType) String() string {
	if s, ok := entityTypes[t]; ok {
		return s
	}
	return fmt.Sprintf("type%d", uint8(t))
}

// ParseEntityType reads a type's word.
func ParseEntityType(s string) (EntityType, error) {
	for t, name := range entityTypes {
		if name == s {
			return t, nil
		}
	}
	return 0, fmt.Errorf("%q is not an entity type (mon, mds, osd, client, mgr)", s)
}

// An EntityName is a session's name (entity_name_t): an OSD's number, a monitor's rank, a
// client's or manager's global id.
type EntityName struct {
	Type EntityType
	Num  int64
}

// Denc is u8 type, s64 number.
func (n *EntityName) Denc(c *denc.Coder) {
	c.U8((*uint8)(&n.Type))
	c.I64(&n.Num)
}

// String is TYPE.NUM, "?" for a number that is not known.
func (n EntityName) String() string {
	if n.Num < 0 {
		return n.Type.String() + ".?"
	}
	return n.Type.String() + "." + strconv.FormatInt(n.Num, 10)
}

// Compare orders by type, then by number.
func (n EntityName) Compare(m EntityName) int {
	return cmp.Or(cmp.Compare(n.Type, m.Type), cmp.Compare(n.Num, m.Num))
}

// An AuthName is the name a key belongs to (EntityName): "client.admin", "osd.3", "mon.".
type AuthName struct {
	Type EntityType
	ID   string
}

// Denc is u32 type, str id.
func (n *AuthName) Denc(c *denc.Coder) {
	t := uint32(n.Type)
	c.U32(&t)
	c.Str(&n.ID)
	if !c.Encoding() {
		if t > 0xff {
			c.Invalid("entity type %d", t)
		}
		n.Type = EntityType(t)
	}
}

// String is TYPE.ID.
func (n AuthName) String() string { return n.Type.String() + "." + n.ID }

// ParseAuthName reads TYPE.ID.
func ParseAuthName(s string) (AuthName, error) {
	word, id, ok := strings.Cut(s, ".")
	t, err := ParseEntityType(word)
	if !ok || err != nil {
		return AuthName{}, fmt.Errorf("%q is not an entity of the form TYPE.ID", s)
	}
	return AuthName{Type: t, ID: id}, nil
}

// A ReqID names a client's request for ever (osd_reqid_t): resending keeps it, which is how a
// duplicate is known.
type ReqID struct {
	Name EntityName
	TID  uint64
	Inc  int32
}

// Denc is osd_reqid_t version 2.
func (r *ReqID) Denc(c *denc.Coder) {
	s := c.Begin(2, 2)
	r.Name.Denc(c)
	c.U64(&r.TID)
	c.I32(&r.Inc)
	s.End()
}

// String is NAME.INC:TID.
func (r ReqID) String() string { return fmt.Sprintf("%v.%d:%d", r.Name, r.Inc, r.TID) }
