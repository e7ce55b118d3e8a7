package cephx

import "glue/ceph"

// Methods of authentication (CEPH_AUTH_*).
const (
	MethodNone  uint32 = 1
	MethodCephx uint32 = 2
)

// The first byte of an AUTH_REQUEST payload tells what follows (AUTH_MODE_*).
const (
	ModeAuthorizer byte = 1  // a ticket: OSD, manager, metadata server, monitor to monitor
	ModeMon        byte = 10 // an entity's name: a monitor
)

// A Ticket is who a session's peer is proven to be (AuthTicket).
type Ticket struct {
	Name     ceph.AuthName
	GlobalID uint64
	Created  ceph.Time
	Expires  ceph.Time
	AllowAll bool
	Caps     string // caps text towards the service that the ticket is for
	Flags    uint32
}

// An Outcome is what a server's step gives.
type Outcome struct {
	Done       bool   // authenticated: the other fields are valid. False: send Reply and wait
	Reply      []byte // payload of AUTH_REPLY_MORE or AUTH_DONE
	Ticket     Ticket
	SessionKey []byte // key of the signatures; nil with method none
	Secret     []byte // connection secret, of the length asked for
}
