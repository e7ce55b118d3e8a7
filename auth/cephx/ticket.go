package cephx

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
)

// Methods of authentication (CEPH_AUTH_*).
const (
	MethodNone  uint32 = 1
	MethodCephx uint32 = 2
)

// The first byte of an AUTH_REQUEST payload tells what follows (AUTH_MODE_*).
const (
	ModeAuthorizer byte = 1  // a ticket: OSD, manager, metadata server, monitor to monitor
	ModeMon        byte = 10 // an entity's name: a monitor
)

// Requests to a monitor (CEPHX_GET_*).
const (
	requestAuth     uint16 = 0x0100 // prove the key, get the auth ticket
	requestServices uint16 = 0x0200 // get tickets of services for the auth ticket
	requestRotating uint16 = 0x0400 // a daemon gets its service's rotating keys
)

// selfIssued is the secret id of a ticket that a monitor seals with the key of "mon.".
const selfIssued = ^uint64(0)

// A Ticket is who a session's peer is proven to be (AuthTicket).
type Ticket struct {
	Name     ceph.AuthName
	GlobalID uint64
	Created  ceph.Time
	Expires  ceph.Time
	AllowAll bool
	Caps     string // caps text towards the service that the ticket is for
	Flags    uint32
}

// Denc is a section of the fields.
func (t *Ticket) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	t.Name.Denc(c)
	c.U64(&t.GlobalID)
	t.Created.Denc(c)
	t.Expires.Denc(c)
	c.Bool(&t.AllowAll)
	c.Str(&t.Caps)
	c.U32(&t.Flags)
	s.End()
}

// expired says whether the ticket is past its end by more than clocks may differ: a quarter of
// its life.
func (t *Ticket) expired(now time.Time) bool {
	end := t.Expires.Go()
	return now.After(end.Add(end.Sub(t.Created.Go()) / 4))
}

// An Outcome is what a server's step gives.
type Outcome struct {
	Done       bool   // authenticated: the other fields are valid. False: send Reply and wait
	Reply      []byte // payload of AUTH_REPLY_MORE or AUTH_DONE
	Ticket     Ticket
	SessionKey []byte // key of the signatures; nil with method none
	Secret     []byte // connection secret, of the length asked for
}

// A ticketBlob is a sealed ticket with the id of the key that opens it (CephXTicketBlob).
type ticketBlob struct {
	SecretID uint64
	Blob     []byte
}

func (t *ticketBlob) Denc(c *denc.Coder) {
	if v := c.U8Const(1); v != 1 && c.Err() == nil {
		c.Invalid("ticket of version %d", v)
	}
	c.U64(&t.SecretID)
	c.Blob(&t.Blob)
}

// contents is what a service reads out of a ticket.
type contents struct {
	Ticket  Ticket
	Session keyring.Key
}

func (t *contents) Denc(c *denc.Coder) {
	t.Ticket.Denc(c)
	t.Session.Denc(c)
}

// ticketLabel binds a sealed ticket to its service and its key's id.
func ticketLabel(service ceph.EntityType, id uint64) []byte {
	b := append([]byte("glue ticket 1 "), byte(service))
	return binary.LittleEndian.AppendUint64(b, id)
}

func sealTicket(
	service ceph.EntityType, key RotatingKey, t contents, rand io.Reader,
) (ticketBlob, error) {
	b, err := seal(key.Secret[:], ticketLabel(service, key.ID), denc.Marshal(&t, 0), rand)
	return ticketBlob{SecretID: key.ID, Blob: b}, err
}

func openTicket(service ceph.EntityType, key RotatingKey, b ticketBlob) (contents, error) {
	var t contents
	plain, err := open(key.Secret[:], ticketLabel(service, b.SecretID), b.Blob)
	if err != nil {
		return t, err
	}
	if err := denc.Unmarshal(plain, &t, 0); err != nil {
		return t, fmt.Errorf("decode a ticket: %w", err)
	}
	if t.Session.IsZero() {
		return t, errCrypt
	}
	return t, nil
}

// monTicketKey is the key of the tickets that monitors seal for themselves.
func monTicketKey(mon keyring.Key) RotatingKey {
	k := RotatingKey{ID: selfIssued}
	copy(k.Secret[:], derive(mon, "glue monitor ticket"))
	return k
}

// A grant is one ticket on its way to the entity: what a ticket reply has for each service.
type grant struct {
	Service  ceph.EntityType
	Session  keyring.Key
	Validity ceph.Time
	Blob     ticketBlob
}

// dencGrants is a ticket reply. The session keys are encrypted under key; if old is set, the
// blobs are encrypted under old. Decoding asks oldKey for the key that a blob is encrypted under.
func dencGrants(
	c *denc.Coder, list *[]grant, key keyring.Key, old func(ceph.EntityType) keyring.Key,
) {
	c.U8Const(1)
	denc.ListFunc(c, list, func(c *denc.Coder, g *grant) {
		service := c.U32Const(uint32(g.Service))
		if service > 0xff {
			c.Invalid("ticket of service %#x", service)
			return
		}
		g.Service = ceph.EntityType(service)
		c.U8Const(1)
		encrypted(c, key, func(c *denc.Coder) {
			c.U8Const(1)
			g.Session.Denc(c)
			g.Validity.Denc(c)
		})
		oldKey := old(g.Service)
		hidden := c.Encoding() && !oldKey.IsZero()
		c.Bool(&hidden)
		nested := func(c *denc.Coder) { denc.Nested(c, &g.Blob) }
		switch {
		case c.Err() != nil:
		case hidden:
			encrypted(c, oldKey, nested)
		default:
			nested(c)
		}
	})
}

func noOldKey(ceph.EntityType) keyring.Key { return keyring.Key{} }

// An authorize is the part of an authorizer that shows knowledge of the session key
// (CephXAuthorize).
type authorize struct {
	Nonce         uint64
	HaveChallenge bool
	Answer        uint64 // the server's challenge plus one
}

func (a *authorize) Denc(c *denc.Coder) {
	v := c.U8Const(2)
	c.U64(&a.Nonce)
	if v >= 2 {
		c.Bool(&a.HaveChallenge)
		c.U64(&a.Answer)
	}
}

// An authorizer is what a client presents to a service, up to its encrypted part.
type authorizer struct {
	GlobalID uint64
	Service  uint32
	Blob     ticketBlob
}

func (a *authorizer) Denc(c *denc.Coder) {
	if m := c.U8Const(ModeAuthorizer); m != ModeAuthorizer && c.Err() == nil {
		c.Invalid("authorizer of mode %d", m)
	}
	c.U64(&a.GlobalID)
	c.U32(&a.Service)
	a.Blob.Denc(c)
}

func dencChallenge(c *denc.Coder, challenge *uint64) {
	c.U8Const(1)
	c.U64(challenge)
}

// An authorizeReply is the service's answer (CephXAuthorizeReply).
type authorizeReply struct {
	NoncePlusOne uint64
	Secret       []byte
}

func (r *authorizeReply) Denc(c *denc.Coder) {
	v := uint8(1)
	if len(r.Secret) > 0 {
		v = 2
	}
	c.U8(&v)
	c.U64(&r.NoncePlusOne)
	if v >= 2 {
		c.Blob(&r.Secret)
	}
}
