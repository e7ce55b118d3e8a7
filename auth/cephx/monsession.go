package cephx

import (
	"fmt"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
)

// A MonSession is the client's side of one connection to a monitor.
type MonSession struct {
	c         *Client
	challenge uint64 // of the handshake; renewals prove the key against it again
	globalID  uint64 // that was asked for, or is ours once Done; 0: a new one
}

// NewMonSession starts a handshake.
func (c *Client) NewMonSession() *MonSession { return &MonSession{c: c} }

// Request is the payload of AUTH_REQUEST.
func (s *MonSession) Request() []byte {
	s.globalID = s.c.globalID
	return HelloPayload(s.c.opt.Name, s.globalID)
}

// HelloPayload is the payload of the AUTH_REQUEST of who wants a global id, 0 for a new one.
func HelloPayload(name ceph.AuthName, globalID uint64) []byte {
	e := denc.NewEncoder(nil, 0)
	e.U8Const(ModeMon)
	name.Denc(e)
	e.U64Const(globalID)
	return e.Bytes()
}

// More answers an AUTH_REPLY_MORE.
func (s *MonSession) More(now time.Time, payload []byte) ([]byte, error) {
	c := denc.NewDecoder(payload, 0)
	dencChallenge(c, &s.challenge)
	if err := c.Err(); err != nil || s.challenge == 0 {
		return nil, fmt.Errorf("%w: challenge", ErrProtocol)
	}
	return s.authenticate(s.c.needed(now) | ceph.TypeAuth)
}

// authenticate proves the key and asks for the auth ticket together with others. The old ticket
// goes along, which is what makes the global id ours when we come back.
func (s *MonSession) authenticate(others ceph.EntityType) ([]byte, error) {
	client, err := randomU64(s.c.opt.Rand)
	if err != nil {
		return nil, err
	}
	req := authenticate{
		V: 3, Challenge: client, Proof: proof(s.c.opt.Key, s.challenge, client),
		Old: s.c.tickets[ceph.TypeAuth].Blob, OtherKeys: uint32(others),
	}
	if s.globalID == 0 {
		req.Old = ticketBlob{}
	}
	request := requestAuth
	e := denc.NewEncoder(nil, 0)
	e.U16(&request)
	req.Denc(e)
	return e.Bytes(), nil
}

// Done takes AUTH_DONE: the client has its global id and tickets now. It gives the key of the
// signatures and the connection secret (empty in crc mode).
func (s *MonSession) Done(
	now time.Time, globalID uint64, payload []byte,
) (sessionKey, secret []byte, err error) {
	if s.c.Method() == MethodNone {
		s.c.globalID, s.globalID = globalID, globalID
		return nil, nil, nil
	}
	if s.challenge == 0 {
		return nil, nil, fmt.Errorf("%w: no proof was asked for", ErrProtocol)
	}
	d, err := response(payload, requestAuth)
	if err != nil {
		return nil, nil, err
	}
	if err := s.c.take(d, s.c.opt.Key, now); err != nil {
		return nil, nil, err
	}
	auth, ok := s.c.tickets[ceph.TypeAuth]
	if !ok {
		return nil, nil, fmt.Errorf("%w: no auth ticket", ErrProtocol)
	}
	s.c.globalID, s.globalID = globalID, globalID
	if d.Remaining() > 0 {
		if secret, err = s.takeExtra(d, auth.Session, now); err != nil {
			return nil, nil, err
		}
	}
	return auth.Session.Secret[:], secret, nil
}

// takeExtra reads the connection secret and the other services' tickets.
func (s *MonSession) takeExtra(
	d *denc.Coder, session keyring.Key, now time.Time,
) (secret []byte, err error) {
	var box, extra []byte
	d.Blob(&box)
	d.Blob(&extra)
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("%w: extra tickets: %w", ErrProtocol, err)
	}
	if len(box) > 0 {
		c := denc.NewDecoder(box, 0)
		encrypted(c, session, func(c *denc.Coder) { c.Blob(&secret) })
		if err := c.Err(); err != nil {
			return nil, fmt.Errorf("%w: connection secret: %w", ErrProtocol, err)
		}
	}
	if len(extra) > 0 {
		if err := s.c.take(denc.NewDecoder(extra, 0), session, now); err != nil {
			return nil, err
		}
	}
	return secret, nil
}

// Renewal is the payload of the next MAuth when tickets need renewing, nil when none does. After
// each reply handled by Renewed it is asked again, until it is nil.
func (s *MonSession) Renewal(now time.Time) ([]byte, error) {
	if s.c.Method() == MethodNone || s.challenge == 0 {
		return nil, nil
	}
	need := s.c.needed(now)
	switch {
	case need == 0:
		return nil, nil
	case need&ceph.TypeAuth != 0:
		return s.authenticate(need)
	}
	auth := s.c.tickets[ceph.TypeAuth]
	nonce, err := randomU64(s.c.opt.Rand)
	if err != nil {
		return nil, err
	}
	request := requestServices
	e := denc.NewEncoder(nil, 0)
	e.U16(&request)
	a := authorizer{GlobalID: s.c.globalID, Service: uint32(ceph.TypeAuth), Blob: auth.Blob}
	a.Denc(e)
	msg := authorize{Nonce: nonce}
	encrypted(e, auth.Session, msg.Denc)
	e.U8Const(1)
	e.U32Const(uint32(need))
	return e.Bytes(), nil
}

// Renewed takes the payload of an MAuthReply to a Renewal.
func (s *MonSession) Renewed(now time.Time, payload []byte) error {
	d := denc.NewDecoder(payload, 0)
	request, err := header(d)
	if err != nil {
		return err
	}
	switch request {
	case requestAuth:
		return s.c.take(d, s.c.opt.Key, now)
	case requestServices:
		return s.c.take(d, s.c.tickets[ceph.TypeAuth].Session, now)
	}
	return fmt.Errorf("%w: reply to request %#x", ErrProtocol, request)
}

// RotatingRequest is the payload of an MAuth that asks for the rotating keys of a daemon's own
// service.
func (s *MonSession) RotatingRequest() []byte {
	request := requestRotating
	e := denc.NewEncoder(nil, 0)
	e.U16(&request)
	return e.Bytes()
}

// IsRotatingReply tells the reply to a RotatingRequest from one to a Renewal.
func IsRotatingReply(payload []byte) bool {
	d := denc.NewDecoder(payload, 0)
	var request uint16
	d.U16(&request)
	return d.Err() == nil && request == requestRotating
}

// RotatingReply takes the payload of the MAuthReply to a RotatingRequest.
func (s *MonSession) RotatingReply(payload []byte) (Rotating, error) {
	var r Rotating
	d, err := response(payload, requestRotating)
	if err != nil {
		return r, err
	}
	var b []byte
	if d.Blob(&b); d.Err() != nil {
		return r, fmt.Errorf("%w: rotating keys: %w", ErrProtocol, d.Err())
	}
	key := derive(s.c.opt.Key, rotatingPurpose)
	plain, err := open(key, rotatingLabel(s.c.opt.Name), b)
	if err != nil {
		return r, fmt.Errorf("%w: rotating keys: %w", ErrProtocol, err)
	}
	if err := denc.Unmarshal(plain, &r, 0); err != nil {
		return r, fmt.Errorf("%w: rotating keys: %w", ErrProtocol, err)
	}
	return r, nil
}

// header reads what every reply of a monitor starts with (CephXResponseHeader).
func header(d *denc.Coder) (request uint16, err error) {
	var status int32
	d.U16(&request)
	d.I32(&status)
	if err := d.Err(); err != nil {
		return 0, fmt.Errorf("%w: header: %w", ErrProtocol, err)
	}
	if status > 0 {
		return 0, fmt.Errorf("%w: status %d", ErrProtocol, status)
	}
	return request, ceph.ErrorOf(status)
}

func response(payload []byte, want uint16) (*denc.Coder, error) {
	d := denc.NewDecoder(payload, 0)
	request, err := header(d)
	if err == nil && request != want {
		err = fmt.Errorf("%w: reply to request %#x", ErrProtocol, request)
	}
	return d, err
}
