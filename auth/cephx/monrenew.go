package cephx

import (
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
)

// Renew handles the payload of an MAuth in an authenticated session: new tickets, or rotating keys
// for a daemon. The reply goes into MAuthReply, as does the error's number.
func (s *MonServer) Renew(now time.Time, payload []byte) (reply []byte, err error) {
	if s.stage != monDone || s.challenge == 0 {
		return nil, ceph.EACCES
	}
	c := denc.NewDecoder(payload, 0)
	var request uint16
	if c.U16(&request); c.Err() != nil {
		return nil, ceph.EPERM
	}
	switch request {
	case requestAuth:
		out, err := s.authenticate(now, c, 0)
		return out.Reply, err
	case requestServices:
		return s.renewServices(now, c)
	case requestRotating:
		return s.rotating()
	}
	return nil, ceph.EINVAL
}

// renewServices gives tickets for an auth ticket that this session's entity holds.
func (s *MonServer) renewServices(now time.Time, c *denc.Coder) ([]byte, error) {
	var a authorizer
	if a.Denc(c); c.Err() != nil || a.Service != uint32(ceph.TypeAuth) {
		return nil, ceph.EACCES
	}
	key, ok := s.opt.Keys.Rotating(ceph.TypeAuth).Find(a.Blob.SecretID)
	if !ok {
		return nil, ceph.EACCES
	}
	auth, err := openTicket(ceph.TypeAuth, key, a.Blob)
	if err != nil || !s.owns(auth.Ticket, a.GlobalID) || auth.Ticket.expired(now) {
		return nil, ceph.EACCES
	}
	var msg authorize
	if encrypted(c, auth.Session, msg.Denc); c.Err() != nil {
		return nil, ceph.EACCES
	}
	c.U8Const(1)
	set := c.U32Const(0)
	if c.Err() != nil {
		return nil, ceph.EPERM
	}
	entry, ok := s.opt.Keys.Entity(s.name)
	if !ok {
		return nil, ceph.EACCES
	}
	reply := newServicesReply(s.services(now, set, entry), auth.Session)
	return reply, nil
}

// owns says whether a ticket is this session's.
func (s *MonServer) owns(t Ticket, claimed uint64) bool {
	return t.GlobalID == claimed && claimed == s.globalID && t.Name == s.name
}

func newServicesReply(list []grant, session keyring.Key) []byte {
	e := responseTo(requestServices)
	dencGrants(e, &list, session, noOldKey)
	return e.Bytes()
}

// rotating gives a daemon the keys of its own service, sealed under its key.
func (s *MonServer) rotating() ([]byte, error) {
	switch s.name.Type {
	case ceph.TypeOSD, ceph.TypeMDS, ceph.TypeMgr:
	default:
		return nil, ceph.EACCES
	}
	entry, ok := s.opt.Keys.Entity(s.name)
	if !ok || entry.Key.IsZero() {
		return nil, ceph.EACCES
	}
	r := s.opt.Keys.Rotating(s.name.Type)
	b, err := seal(derive(entry.Key, rotatingPurpose), rotatingLabel(s.name),
		denc.Marshal(&r, 0), s.opt.Rand)
	if err != nil {
		return nil, ceph.EIO
	}
	e := responseTo(requestRotating)
	e.Blob(&b)
	return e.Bytes(), nil
}

const rotatingPurpose = "glue rotating keys"

func rotatingLabel(name ceph.AuthName) []byte { return []byte("rotating " + name.String()) }
