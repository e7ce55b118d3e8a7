package cephx

import (
	"errors"
	"fmt"
	"io"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
)

// Errors of the client's side.
var (
	// ErrNoTicket is the answer when there is no valid ticket for a service.
	ErrNoTicket = errors.New("no ticket for the service")
	// ErrProtocol is a reply that makes no sense or does not decrypt: the peer is not who it
	// should be, or does not have our key.
	ErrProtocol = errors.New("authentication reply is not valid")
)

// ClientOptions is what a Client needs.
type ClientOptions struct {
	Name ceph.AuthName
	Key  keyring.Key // zero: method none
	Rand io.Reader
	Want ceph.EntityType // the set of services to get tickets for; TypeAuth is always added
}

// A Client is an entity with its tickets. Its owner serialises all calls, also those to its
// MonSessions and Authorizers.
type Client struct {
	opt      ClientOptions
	globalID uint64
	tickets  map[ceph.EntityType]heldTicket
	refused  ceph.EntityType // services whose daemons refused a ticket; a new one is needed
}

// A heldTicket is a ticket as its owner has it: opaque, with the session key.
type heldTicket struct {
	Session    keyring.Key
	Blob       ticketBlob
	RenewAfter time.Time
	Expires    time.Time // zero: never
}

// NewClient makes a client without tickets.
func NewClient(opt ClientOptions) *Client {
	return &Client{opt: opt, tickets: make(map[ceph.EntityType]heldTicket)}
}

// Method is what AUTH_REQUEST names: cephx if there is a key.
func (c *Client) Method() uint32 {
	if c.opt.Key.IsZero() {
		return MethodNone
	}
	return MethodCephx
}

// GlobalID is the id that the monitors gave, 0 before that.
func (c *Client) GlobalID() uint64 { return c.globalID }

// NeedRenewal says whether a ticket is past three quarters of its life or is missing.
func (c *Client) NeedRenewal(now time.Time) bool {
	return c.Method() == MethodCephx && c.needed(now) != 0
}

// needed is the set of services whose ticket has to be fetched. A manager's ticket alone is no
// reason, unless we had one: a cluster may have no key for it yet.
func (c *Client) needed(now time.Time) ceph.EntityType {
	var set ceph.EntityType
	for _, service := range Services {
		if (c.opt.Want|ceph.TypeAuth)&service == 0 {
			continue
		}
		t, ok := c.tickets[service]
		if !ok || !t.Expires.IsZero() && !now.Before(t.RenewAfter) {
			set |= service
		}
	}
	if set == ceph.TypeMgr && c.refused&ceph.TypeMgr == 0 {
		return 0
	}
	return set
}

// HasTicket says whether a connection to the service can be authorized at now.
func (c *Client) HasTicket(service ceph.EntityType, now time.Time) bool {
	if c.Method() == MethodNone {
		return true
	}
	t, ok := c.tickets[service]
	return ok && (t.Expires.IsZero() || now.Before(t.Expires))
}

// DropTicket forgets a service's ticket, after a daemon refused it.
func (c *Client) DropTicket(service ceph.EntityType) {
	delete(c.tickets, service)
	c.refused |= service
}

// Forget drops all tickets and the global id, so that the next handshake starts as a new entity:
// after the monitors have refused to give the old id back.
func (c *Client) Forget() {
	c.globalID = 0
	clear(c.tickets)
}

// take stores the tickets of a reply whose session keys are encrypted under key.
func (c *Client) take(d *denc.Coder, key keyring.Key, now time.Time) error {
	var list []grant
	dencGrants(d, &list, key, func(s ceph.EntityType) keyring.Key { return c.tickets[s].Session })
	if err := d.Err(); err != nil {
		return fmt.Errorf("%w: tickets: %w", ErrProtocol, err)
	}
	for _, g := range list {
		t := heldTicket{Session: g.Session, Blob: g.Blob}
		t.Blob.Blob = append([]byte(nil), g.Blob.Blob...)
		if life := g.Validity.Duration(); life > 0 {
			t.Expires = now.Add(life)
			t.RenewAfter = t.Expires.Add(-life / 4)
		}
		c.tickets[g.Service] = t
		c.refused &^= g.Service
	}
	return nil
}
