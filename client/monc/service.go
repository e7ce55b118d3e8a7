package monc

import (
	"crypto/rand"
	"net/netip"
	"sync"
	"time"

	"glue/auth/cephx"
	"glue/ceph"
	"glue/wire/msgr"
)

// ServiceAuth lets a daemon accept who has a ticket for its service (msgr.ServerAuth). It needs a
// client with Options.Rotating.
type ServiceAuth struct {
	client  *Client
	service ceph.EntityType
	none    bool
}

// NewServiceAuth makes the server side of a daemon's authentication. none accepts clients without
// keys as well (auth_service_required has none).
func NewServiceAuth(c *Client, service ceph.EntityType, none bool) *ServiceAuth {
	return &ServiceAuth{client: c, service: service, none: none || c.opt.Key.IsZero()}
}

// Methods are cephx, and none where it is allowed.
func (s *ServiceAuth) Methods(ceph.EntityType) []uint32 {
	if s.client.opt.Key.IsZero() {
		return []uint32{cephx.MethodNone}
	}
	if s.none {
		return []uint32{cephx.MethodCephx, cephx.MethodNone}
	}
	return []uint32{cephx.MethodCephx}
}

// Accept starts the authentication of one connection.
func (s *ServiceAuth) Accept(ceph.EntityType, netip.AddrPort) msgr.ServerHandshake {
	return &acceptHandshake{server: cephx.NewServiceServer(cephx.ServiceOptions{
		Service: s.service, Rotating: s.client.Rotating, Rand: rand.Reader, AllowNone: s.none,
	})}
}

// An acceptHandshake checks one authorizer.
type acceptHandshake struct {
	mu     sync.Mutex
	server *cephx.ServiceServer
}

// Step passes the payload on and turns the outcome into what the messenger wants.
func (h *acceptHandshake) Step(
	method uint32, payload []byte, secretBytes int,
) (msgr.AuthStep, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out, err := h.server.Step(time.Now(), method, payload, secretBytes)
	if err != nil {
		return msgr.AuthStep{}, err
	}
	return msgr.AuthStep{
		Done: out.Done, Reply: out.Reply, SessionKey: out.SessionKey, Secret: out.Secret,
		Name: out.Ticket.Name, GlobalID: out.Ticket.GlobalID,
		Caps: out.Ticket.Caps, AllowAll: out.Ticket.AllowAll,
	}, nil
}
