package cephx

import (
	"io"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
)

// A KeyDB is what a monitor knows, as of what is committed. Calls come from the goroutine that
// steps the machine.
type KeyDB interface {
	// Entity is the entry of a name with its key and caps.
	Entity(name ceph.AuthName) (keyring.Entry, bool)
	// Rotating is the keys of a service.
	Rotating(service ceph.EntityType) Rotating
}

// MonOptions is what a MonServer needs.
type MonOptions struct {
	Keys KeyDB
	Rand io.Reader
	// NewGlobalID gives an id that no entity ever had; false: none now, come back later.
	NewGlobalID func() (uint64, bool)
	// Allowed says whether an entity may use a method (auth_*_required); nil: cephx only.
	Allowed              func(name ceph.AuthName, method uint32) bool
	AuthTTL              time.Duration // auth_mon_ticket_ttl
	ServiceTTL           time.Duration // auth_service_ticket_ttl
	AllowInsecureReclaim bool          // auth_allow_insecure_global_id_reclaim
	MonKey               keyring.Key   // of "mon.", for other monitors' authorizers
}

// A MonServer is the monitor's side of one connection, from AUTH_REQUEST to the end of the
// session.
type MonServer struct {
	opt       MonOptions
	stage     monStage
	name      ceph.AuthName
	globalID  uint64
	newID     bool // the global id was made in this handshake, so no ticket for it exists
	challenge uint64
	peer      *ServiceServer // another monitor's authorizer
	insecure  bool           // the global id was taken without the ticket for it
}

type monStage int

const (
	monStart monStage = iota
	monChallenged
	monAuthorizer
	monDone
	monFailed
)

// Insecure says whether the peer has come back under its global id without its old ticket, which
// AllowInsecureReclaim permits.
func (s *MonServer) Insecure() bool { return s.insecure }

// GlobalID is the id that the peer has asked for or was given, 0 before the first step.
func (s *MonServer) GlobalID() uint64 { return s.globalID }

// NewMonServer starts a machine.
func NewMonServer(opt MonOptions) *MonServer { return &MonServer{opt: opt} }

// Step handles the payload of AUTH_REQUEST and then of each AUTH_REQUEST_MORE. secretBytes is the
// length of the connection secret that the chosen mode needs: 0 or 64. An error is a ceph.Errno
// for AUTH_BAD_METHOD; EBUSY means to close the connection instead. After an error the machine
// is of no use.
func (s *MonServer) Step(
	now time.Time, method uint32, payload []byte, secretBytes int,
) (Outcome, error) {
	out, err := s.step(now, method, payload, secretBytes)
	if err != nil {
		s.stage = monFailed
	}
	return out, err
}

func (s *MonServer) step(
	now time.Time, method uint32, payload []byte, secretBytes int,
) (Outcome, error) {
	switch {
	case len(payload) == 0:
		return Outcome{}, ceph.EACCES
	case s.stage == monStart && payload[0] == ModeAuthorizer:
		s.peer = newSelfIssuedServer(s.opt)
		s.stage = monAuthorizer
		return s.peer.Step(now, method, payload, secretBytes)
	case s.stage == monStart && payload[0] == ModeMon:
		return s.start(method, payload)
	case s.stage == monAuthorizer:
		return s.peer.Step(now, method, payload, secretBytes)
	case s.stage == monChallenged:
		return s.prove(now, payload, secretBytes)
	}
	return Outcome{}, ceph.EACCES
}

func (s *MonServer) start(method uint32, payload []byte) (Outcome, error) {
	c := denc.NewDecoder(payload, 0)
	c.U8Const(ModeMon)
	s.name.Denc(c)
	c.U64(&s.globalID)
	if c.Err() != nil {
		return Outcome{}, ceph.EACCES
	}
	if method != MethodCephx && method != MethodNone || !s.allowed(method) {
		return Outcome{}, ceph.EOPNOTSUPP
	}
	if s.globalID == 0 {
		id, ok := s.opt.NewGlobalID()
		if !ok {
			return Outcome{}, ceph.EBUSY
		}
		s.globalID, s.newID = id, true
	}
	if method == MethodNone {
		s.stage = monDone
		t := Ticket{Name: s.name, GlobalID: s.globalID, AllowAll: true}
		return Outcome{Done: true, Ticket: t}, nil
	}
	challenge, err := randomU64(s.opt.Rand)
	if err != nil {
		return Outcome{}, ceph.EIO
	}
	s.challenge, s.stage = challenge, monChallenged
	e := denc.NewEncoder(nil, 0)
	dencChallenge(e, &challenge)
	return Outcome{Reply: e.Bytes()}, nil
}

func (s *MonServer) allowed(method uint32) bool {
	if s.opt.Allowed == nil {
		return method == MethodCephx
	}
	return s.opt.Allowed(s.name, method)
}

func (s *MonServer) prove(now time.Time, payload []byte, secretBytes int) (Outcome, error) {
	c := denc.NewDecoder(payload, 0)
	var request uint16
	if c.U16(&request); c.Err() != nil {
		return Outcome{}, ceph.EPERM
	}
	if request != requestAuth {
		return Outcome{}, ceph.EACCES
	}
	out, err := s.authenticate(now, c, secretBytes)
	if err == nil {
		s.stage = monDone
	}
	return out, err
}

// An authenticate is the proof of the key (CephXAuthenticate). Writers below version 3 may leave
// the old ticket out when they come back.
type authenticate struct {
	V         uint8
	Challenge uint64
	Proof     uint64
	Old       ticketBlob
	OtherKeys uint32
}

func (a *authenticate) Denc(c *denc.Coder) {
	c.U8(&a.V)
	c.U64(&a.Challenge)
	c.U64(&a.Proof)
	a.Old.Denc(c)
	if a.V >= 2 {
		c.U32(&a.OtherKeys)
	}
}

// authenticate checks the proof and answers with the auth ticket and what else was asked for.
func (s *MonServer) authenticate(
	now time.Time, c *denc.Coder, secretBytes int,
) (Outcome, error) {
	var req authenticate
	if req.Denc(c); c.Err() != nil {
		return Outcome{}, ceph.EPERM
	}
	entry, ok := s.opt.Keys.Entity(s.name)
	if !ok || entry.Key.IsZero() || s.challenge == 0 ||
		proof(entry.Key, s.challenge, req.Challenge) != req.Proof {
		return Outcome{}, ceph.EACCES
	}
	old, err := s.reclaim(&req)
	if err != nil {
		return Outcome{}, err
	}
	caps := entry.Caps["mon"]
	if caps == "" {
		return Outcome{}, ceph.EACCES
	}
	ticket := Ticket{Name: s.name, GlobalID: s.globalID}
	auth, end, err := s.grant(now, ceph.TypeAuth, ticket, s.opt.AuthTTL)
	if err != nil {
		return Outcome{}, err
	}
	secret, err := randomBytes(s.opt.Rand, secretBytes)
	if err != nil {
		return Outcome{}, ceph.EIO
	}
	e := responseTo(requestAuth)
	dencGrants(e, &[]grant{auth}, entry.Key, func(ceph.EntityType) keyring.Key { return old })
	if req.OtherKeys != 0 {
		s.others(now, e, &req, entry, auth.Session, secret)
	}
	ticket.Created, ticket.Expires, ticket.Caps = ceph.TimeOf(now), end, caps
	return Outcome{
		Done: true, Reply: e.Bytes(), Ticket: ticket,
		SessionKey: auth.Session.Secret[:], Secret: secret,
	}, nil
}

// others appends the connection secret and the tickets for other services, as clients since
// Nautilus want them.
func (s *MonServer) others(
	now time.Time, e *denc.Coder, req *authenticate, entry keyring.Entry,
	session keyring.Key, secret []byte,
) {
	denc.NestedFunc(e, func(c *denc.Coder) {
		encrypted(c, session, func(c *denc.Coder) { c.Blob(&secret) })
	})
	extra := s.services(now, req.OtherKeys, entry)
	denc.NestedFunc(e, func(c *denc.Coder) {
		if len(extra) > 0 {
			dencGrants(c, &extra, session, noOldKey)
		}
	})
}

// reclaim decides whether the entity may have its global id. It returns the session key of the
// old ticket, under which the new one is hidden, or no key when the id is new. The age of the
// ticket does not matter: the key was proven, and the ticket says only whose the id was. A stock
// client that is refused once never asks again, so one that was cut off for longer than tickets
// live would stay out until it is started anew.
func (s *MonServer) reclaim(req *authenticate) (keyring.Key, error) {
	mayOmit := req.V < 3
	if s.newID {
		s.newID = false // the next request in this session is a renewal
		if len(req.Old.Blob) > 0 {
			return keyring.Key{}, ceph.EINVAL
		}
		return keyring.Key{}, nil
	}
	key, ok := s.opt.Keys.Rotating(ceph.TypeAuth).Known(req.Old.SecretID)
	if ok && len(req.Old.Blob) > 0 {
		t, err := openTicket(ceph.TypeAuth, key, req.Old)
		if err == nil && t.Ticket.GlobalID == s.globalID && t.Ticket.Name == s.name {
			return t.Session, nil
		}
	}
	if mayOmit && s.opt.AllowInsecureReclaim {
		s.insecure = true
		return keyring.Key{}, nil
	}
	return keyring.Key{}, ceph.EACCES
}

// grant makes the ticket of a service for whom parent describes.
func (s *MonServer) grant(
	now time.Time, service ceph.EntityType, parent Ticket, ttl time.Duration,
) (grant, ceph.Time, error) {
	rotating := s.opt.Keys.Rotating(service)
	key, ok := rotating.Issue(now)
	if !ok {
		return grant{}, ceph.Time{}, ceph.EIO
	}
	session, err := keyring.Generate(s.opt.Rand, now)
	if err != nil {
		return grant{}, ceph.Time{}, ceph.EIO
	}
	life := rotating.life(now, ttl)
	parent.Created, parent.Expires = ceph.TimeOf(now), ceph.TimeOf(now.Add(life))
	blob, err := sealTicket(service, key, contents{parent, session}, s.opt.Rand)
	if err != nil {
		return grant{}, ceph.Time{}, ceph.EIO
	}
	g := grant{Service: service, Session: session, Validity: ceph.TimeSpan(life), Blob: blob}
	return g, parent.Expires, nil
}

// services makes the tickets of a set of services; those without keys are left out.
func (s *MonServer) services(now time.Time, set uint32, entry keyring.Entry) []grant {
	var out []grant
	for _, service := range Services {
		if set&uint32(service) == 0 || service == ceph.TypeAuth {
			continue
		}
		t := Ticket{Name: s.name, GlobalID: s.globalID, Caps: entry.Caps[service.String()]}
		if service == ceph.TypeMon {
			t.Caps = "" // monitors look caps up themselves
		}
		if g, _, err := s.grant(now, service, t, s.opt.ServiceTTL); err == nil {
			out = append(out, g)
		}
	}
	return out
}

func responseTo(request uint16) *denc.Coder {
	c := denc.NewEncoder(nil, 0)
	c.U16(&request)
	c.U32Const(0)
	return c
}
