package cephx

import (
	"io"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// ServiceOptions is what a ServiceServer needs.
type ServiceOptions struct {
	Service ceph.EntityType
	// Rotating is the service's keys as the daemon last got them from the monitors.
	Rotating func() Rotating
	Rand     io.Reader
	// AllowNone accepts method none (auth_service_required has it).
	AllowNone bool
}

// A ServiceServer is a daemon's side of one connection: it checks an authorizer.
type ServiceServer struct {
	opt       ServiceOptions
	stage     serviceStage
	challenge uint64
}

type serviceStage int

const (
	serviceStart serviceStage = iota
	serviceChallenged
	serviceOver
)

// NewServiceServer starts a machine.
func NewServiceServer(opt ServiceOptions) *ServiceServer { return &ServiceServer{opt: opt} }

// newSelfIssuedServer checks the authorizers that monitors make for each other.
func newSelfIssuedServer(opt MonOptions) *ServiceServer {
	keys := Rotating{}
	if !opt.MonKey.IsZero() {
		keys.Keys = []RotatingKey{monTicketKey(opt.MonKey)}
	}
	monitor := ceph.AuthName{Type: ceph.TypeMon}
	return NewServiceServer(ServiceOptions{
		Service: ceph.TypeMon, Rand: opt.Rand,
		Rotating:  func() Rotating { return keys },
		AllowNone: opt.Allowed != nil && opt.Allowed(monitor, MethodNone),
	})
}

// Step handles the payload of AUTH_REQUEST and then of each AUTH_REQUEST_MORE. See MonServer.Step.
func (s *ServiceServer) Step(
	now time.Time, method uint32, payload []byte, secretBytes int,
) (Outcome, error) {
	stage := s.stage
	s.stage = serviceOver
	if len(payload) == 0 || payload[0] != ModeAuthorizer || stage == serviceOver {
		return Outcome{}, ceph.EACCES
	}
	switch {
	case method == MethodNone && s.opt.AllowNone:
		return unproven(payload)
	case method != MethodCephx:
		return Outcome{}, ceph.EOPNOTSUPP
	}
	t, msg, err := s.verify(now, payload)
	if err != nil {
		return Outcome{}, err
	}
	if stage == serviceStart {
		return s.ask(t)
	}
	if !msg.HaveChallenge || msg.Answer != s.challenge+1 {
		return Outcome{}, ceph.EACCES
	}
	secret, err := randomBytes(s.opt.Rand, secretBytes)
	if err != nil {
		return Outcome{}, ceph.EIO
	}
	e := denc.NewEncoder(nil, 0)
	reply := authorizeReply{NoncePlusOne: msg.Nonce + 1, Secret: secret}
	encrypted(e, t.Session, reply.Denc)
	return Outcome{
		Done: true, Reply: e.Bytes(), Ticket: t.Ticket,
		SessionKey: t.Session.Secret[:], Secret: secret,
	}, nil
}

// ask challenges the client, so that an authorizer that was recorded elsewhere is worth nothing.
func (s *ServiceServer) ask(t contents) (Outcome, error) {
	challenge, err := randomU64(s.opt.Rand)
	if err != nil {
		return Outcome{}, ceph.EIO
	}
	s.challenge, s.stage = challenge, serviceChallenged
	reply := encrypt(t.Session, func(c *denc.Coder) { dencChallenge(c, &challenge) })
	return Outcome{Reply: reply}, nil
}

// verify opens the ticket and what the client encrypted with the ticket's session key.
func (s *ServiceServer) verify(now time.Time, payload []byte) (contents, authorize, error) {
	c := denc.NewDecoder(payload, 0)
	var a authorizer
	var msg authorize
	if a.Denc(c); c.Err() != nil || a.Service != uint32(s.opt.Service) {
		return contents{}, msg, ceph.EACCES
	}
	rotating := s.opt.Rotating()
	key, ok := rotating.Find(a.Blob.SecretID)
	if !ok && len(rotating.Keys) == 0 {
		return contents{}, msg, ceph.EBUSY // we have just started: the ticket may be good
	}
	if !ok {
		return contents{}, msg, ceph.EACCES
	}
	t, err := openTicket(s.opt.Service, key, a.Blob)
	if err != nil || t.Ticket.GlobalID != a.GlobalID || t.Ticket.expired(now) {
		return contents{}, msg, ceph.EACCES
	}
	if encrypted(c, t.Session, msg.Denc); c.Err() != nil {
		return contents{}, msg, ceph.EACCES
	}
	return t, msg, nil
}

// unproven takes a client at its word, as method none means.
func unproven(payload []byte) (Outcome, error) {
	c := denc.NewDecoder(payload, 0)
	t := Ticket{AllowAll: true}
	c.U8Const(ModeAuthorizer)
	t.Name.Denc(c)
	c.U64(&t.GlobalID)
	if c.Err() != nil {
		return Outcome{}, ceph.EACCES
	}
	return Outcome{Done: true, Ticket: t}, nil
}
