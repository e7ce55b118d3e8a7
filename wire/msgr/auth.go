package msgr

import (
	"net/netip"

	"glue/ceph"
)

// A ServerAuth authenticates who connects to us. Its methods are called from many goroutines.
type ServerAuth interface {
	// Methods are the authentication methods that a type of peer may use (cephx.Method*), best
	// first.
	Methods(peer ceph.EntityType) []uint32
	// Accept starts the authentication of one connection.
	Accept(peer ceph.EntityType, from netip.AddrPort) ServerHandshake
}

// A ServerHandshake is the authentication of one incoming connection. Its calls come from one
// goroutine at a time.
type ServerHandshake interface {
	// Step takes the payload of AUTH_REQUEST, then of each AUTH_REQUEST_MORE. secretBytes is
	// the length of the connection secret to make, 0 in crc mode. An error is a ceph.Errno and
	// refuses with AUTH_BAD_METHOD; EBUSY closes the connection, so that the peer tries again.
	Step(method uint32, payload []byte, secretBytes int) (AuthStep, error)
}

// An AuthStep is what a ServerHandshake's step gives.
type AuthStep struct {
	Done       bool   // authenticated; false: send Reply and wait for more
	Reply      []byte // payload of AUTH_REPLY_MORE or AUTH_DONE
	SessionKey []byte // key of the signatures; nil with method none
	Secret     []byte // connection secret
	Name       ceph.AuthName
	GlobalID   uint64
	// Caps is the caps text towards us, AllowAll the ticket's flag, and Auth whatever the
	// ServerAuth wants to find at the Conn later (Peer.Auth), such as its MonServer.
	Caps     string
	AllowAll bool
	Auth     any
}

// A ClientAuth authenticates us to whom we connect. Its methods are called from many goroutines.
type ClientAuth interface {
	// Connect starts the authentication of one outgoing connection. An error gives the attempt up:
	// a lossy connection is reset, a lossless one tries again after a while.
	Connect(peer ceph.EntityType, addrs ceph.AddrVec) (ClientHandshake, error)
}

// A ClientHandshake is the authentication of one outgoing connection. Its calls come from one
// goroutine at a time.
type ClientHandshake interface {
	// Request is the method and payload of AUTH_REQUEST.
	Request() (method uint32, payload []byte, err error)
	// BadMethod takes a refusal: result is a negative errno. nil asks for another Request; an
	// error ends the attempt and is what Conn.Err gives.
	BadMethod(method uint32, result int32, methods []uint32, modes []Mode) error
	// More answers AUTH_REPLY_MORE.
	More(payload []byte) ([]byte, error)
	// Done takes AUTH_DONE and gives the key of the signatures and the connection secret.
	Done(globalID uint64, mode Mode, payload []byte) (sessionKey, secret []byte, err error)
}
