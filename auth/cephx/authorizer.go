package cephx

import (
	"fmt"
	"io"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
)

// An Authorizer is the client's side of one connection to a service.
type Authorizer struct {
	none    []byte // the whole request with method none
	head    authorizer
	session keyring.Key
	nonce   uint64
}

// NewAuthorizer starts a handshake with the ticket of a service. With method none it needs no
// ticket. Without a valid one it is ErrNoTicket.
func (c *Client) NewAuthorizer(service ceph.EntityType, now time.Time) (*Authorizer, error) {
	if c.Method() == MethodNone {
		e := denc.NewEncoder(nil, 0)
		e.U8Const(ModeAuthorizer)
		name := c.opt.Name
		name.Denc(e)
		e.U64Const(c.globalID)
		return &Authorizer{none: e.Bytes()}, nil
	}
	if !c.HasTicket(service, now) {
		return nil, fmt.Errorf("%w: %v", ErrNoTicket, service)
	}
	t := c.tickets[service]
	nonce, err := randomU64(c.opt.Rand)
	if err != nil {
		return nil, err
	}
	return &Authorizer{
		head:    authorizer{GlobalID: c.globalID, Service: uint32(service), Blob: t.Blob},
		session: t.Session, nonce: nonce,
	}, nil
}

// NewMonAuthorizer starts a monitor's handshake with another monitor: a ticket that it seals itself
// with the key of "mon.".
func NewMonAuthorizer(
	name ceph.AuthName, monKey keyring.Key, now time.Time, rand io.Reader,
) (*Authorizer, error) {
	if monKey.IsZero() {
		return nil, fmt.Errorf("%w: no key of the monitors", ErrNoTicket)
	}
	session, err := keyring.Generate(rand, now)
	if err != nil {
		return nil, err
	}
	nonce, err := randomU64(rand)
	if err != nil {
		return nil, err
	}
	t := Ticket{
		Name: name, Created: ceph.TimeOf(now), Expires: ceph.TimeOf(now.Add(selfIssuedLife)),
		AllowAll: true,
	}
	blob, err := sealTicket(ceph.TypeMon, monTicketKey(monKey), contents{t, session}, rand)
	if err != nil {
		return nil, err
	}
	return &Authorizer{
		head: authorizer{Service: uint32(ceph.TypeMon), Blob: blob}, session: session, nonce: nonce,
	}, nil
}

// selfIssuedLife is long, so that monitors whose clocks differ can still meet and say so.
const selfIssuedLife = 72 * time.Hour

// Method is what AUTH_REQUEST names.
func (a *Authorizer) Method() uint32 {
	if a.none != nil {
		return MethodNone
	}
	return MethodCephx
}

// Request is the payload of AUTH_REQUEST.
func (a *Authorizer) Request() []byte {
	if a.none != nil {
		return a.none
	}
	return a.encode(authorize{Nonce: a.nonce})
}

func (a *Authorizer) encode(msg authorize) []byte {
	e := denc.NewEncoder(nil, 0)
	a.head.Denc(e)
	encrypted(e, a.session, msg.Denc)
	return e.Bytes()
}

// More answers an AUTH_REPLY_MORE.
func (a *Authorizer) More(payload []byte) ([]byte, error) {
	if a.none != nil {
		return nil, fmt.Errorf("%w: challenge without a key", ErrProtocol)
	}
	var challenge uint64
	err := decrypt(a.session, payload, func(c *denc.Coder) { dencChallenge(c, &challenge) })
	if err != nil {
		return nil, fmt.Errorf("%w: challenge: %w", ErrProtocol, err)
	}
	return a.encode(authorize{Nonce: a.nonce, HaveChallenge: true, Answer: challenge + 1}), nil
}

// Done takes AUTH_DONE.
func (a *Authorizer) Done(payload []byte) (sessionKey, secret []byte, err error) {
	if a.none != nil {
		return nil, nil, nil
	}
	var r authorizeReply
	c := denc.NewDecoder(payload, 0)
	encrypted(c, a.session, r.Denc)
	if err := c.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: authorizer reply: %w", ErrProtocol, err)
	}
	if r.NoncePlusOne != a.nonce+1 {
		return nil, nil, fmt.Errorf("%w: authorizer reply to another request", ErrProtocol)
	}
	return a.session.Secret[:], r.Secret, nil
}
