package mgr

import (
	"net/netip"

	"glue/auth/caps"
	"glue/ceph"
	"glue/cluster/commands"
	"glue/wire/msgr"
)

// A session is what one client may do.
type session struct {
	name ceph.AuthName
	peer netip.Addr
	all  bool
	caps *caps.Mgr
}

func newSession(p msgr.Peer) (*session, error) {
	s := &session{name: p.AuthName, peer: p.Socket.Addr(), all: p.AllowAll}
	var err error
	s.caps, err = caps.ParseMgr(p.Caps)
	return s, err
}

// mayRun says whether the session may run a command of our table.
func (s *session) mayRun(d *commands.Descriptor, c *commands.Command) bool {
	if s.all {
		return true
	}
	need := caps.Perm(0)
	for _, p := range d.Perm {
		switch p {
		case 'r':
			need |= caps.R
		case 'w':
			need |= caps.W
		case 'x':
			need |= caps.X
		}
	}
	return s.caps.Allowed(caps.MgrQuery{Service: d.Module, Command: c.Prefix, Args: c.Args(),
		Need: need, Peer: s.peer})
}
