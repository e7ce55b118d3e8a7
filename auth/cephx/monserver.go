package cephx

import (
	"io"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
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
	// Allowed says whether an entity may use a method (auth_*_required).
	Allowed              func(name ceph.AuthName, method uint32) bool
	AuthTTL              time.Duration // auth_mon_ticket_ttl
	ServiceTTL           time.Duration // auth_service_ticket_ttl
	AllowInsecureReclaim bool          // auth_allow_insecure_global_id_reclaim
	MonKey               keyring.Key   // of "mon.", for other monitors' authorizers
}

// A MonServer is the monitor's side of one connection, from AUTH_REQUEST to the end of the
// session.
type MonServer struct{ opt MonOptions }

// NewMonServer starts a machine.
func NewMonServer(opt MonOptions) *MonServer { return &MonServer{opt: opt} }

// Step handles the payload of AUTH_REQUEST and then of each AUTH_REQUEST_MORE. secretBytes is the
// length of the connection secret that the chosen mode needs: 0 or 64. An error is a ceph.Errno
// for AUTH_BAD_METHOD; EBUSY means to close the connection instead.
func (s *MonServer) Step(
	now time.Time, method uint32, payload []byte, secretBytes int,
) (Outcome, error) {
	return Outcome{}, ceph.EACCES
}

// Renew handles the payload of an MAuth in an authenticated session: new tickets, or rotating keys
// for a daemon. The reply goes into MAuthReply, as does the error's number.
func (s *MonServer) Renew(now time.Time, payload []byte) (reply []byte, err error) {
	return nil, ceph.EACCES
}
