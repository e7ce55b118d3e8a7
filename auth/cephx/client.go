package cephx

import (
	"errors"
	"io"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
)

// ErrNoTicket is the answer when there is no valid ticket for a service.
var ErrNoTicket = errors.New("no ticket for the service")

// ClientOptions is what a Client needs.
type ClientOptions struct {
	Name ceph.AuthName
	Key  keyring.Key // zero: method none
	Rand io.Reader
	Want ceph.EntityType // the set of services to get tickets for; TypeAuth is always added
}

// A Client is an entity with its tickets. Its owner serialises all calls, also those to its
// MonSessions and Authorizers.
type Client struct{ opt ClientOptions }

// NewClient makes a client without tickets.
func NewClient(opt ClientOptions) *Client { return &Client{opt: opt} }

// Method is what AUTH_REQUEST names: cephx if there is a key.
func (c *Client) Method() uint32 { return MethodCephx }

// GlobalID is the id that the monitors gave, 0 before that.
func (c *Client) GlobalID() uint64 { return 0 }

// NeedRenewal says whether a ticket is past three quarters of its life or is missing.
func (c *Client) NeedRenewal(now time.Time) bool { return false }

// HasTicket says whether a connection to the service can be authorized at now.
func (c *Client) HasTicket(service ceph.EntityType, now time.Time) bool { return false }

// DropTicket forgets a service's ticket, after a daemon refused it.
func (c *Client) DropTicket(service ceph.EntityType) {}

// A MonSession is the client's side of one connection to a monitor.
type MonSession struct{ c *Client }

// NewMonSession starts a handshake.
func (c *Client) NewMonSession() *MonSession { return &MonSession{c: c} }

// Request is the payload of AUTH_REQUEST.
func (s *MonSession) Request() []byte { return nil }

// More answers an AUTH_REPLY_MORE.
func (s *MonSession) More(now time.Time, payload []byte) ([]byte, error) { return nil, nil }

// Done takes AUTH_DONE: the client has its global id and tickets now. It gives the key of the
// signatures and the connection secret (empty in crc mode).
func (s *MonSession) Done(
	now time.Time, globalID uint64, payload []byte,
) (sessionKey, secret []byte, err error) {
	return nil, nil, nil
}

// Renewal is the payload of the next MAuth when tickets need renewing, nil when none does. After
// each reply handled by Renewed it is asked again, until it is nil.
func (s *MonSession) Renewal(now time.Time) ([]byte, error) { return nil, nil }

// Renewed takes the payload of an MAuthReply to a Renewal.
func (s *MonSession) Renewed(now time.Time, payload []byte) error { return nil }

// RotatingRequest is the payload of an MAuth that asks for the rotating keys of a daemon's own
// service.
func (s *MonSession) RotatingRequest() []byte { return nil }

// RotatingReply takes the payload of the MAuthReply to a RotatingRequest.
func (s *MonSession) RotatingReply(payload []byte) (Rotating, error) { return Rotating{}, nil }

// An Authorizer is the client's side of one connection to a service.
type Authorizer struct{}

// NewAuthorizer starts a handshake with the ticket of a service. With method none it needs no
// ticket. Without a valid one it is ErrNoTicket.
func (c *Client) NewAuthorizer(service ceph.EntityType, now time.Time) (*Authorizer, error) {
	return nil, ErrNoTicket
}

// NewMonAuthorizer starts a monitor's handshake with another monitor: a ticket that it seals itself
// with the key of "mon.".
func NewMonAuthorizer(
	name ceph.AuthName, monKey keyring.Key, now time.Time, rand io.Reader,
) (*Authorizer, error) {
	return nil, ErrNoTicket
}

// Request is the payload of AUTH_REQUEST.
func (a *Authorizer) Request() []byte { return nil }

// More answers an AUTH_REPLY_MORE.
func (a *Authorizer) More(payload []byte) ([]byte, error) { return nil, nil }

// Done takes AUTH_DONE.
func (a *Authorizer) Done(payload []byte) (sessionKey, secret []byte, err error) {
	return nil, nil, nil
}
