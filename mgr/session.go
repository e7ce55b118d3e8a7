package mgr

import (
	"cmp"
	"net/netip"
	"strings"

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
	q := caps.MgrQuery{Service: d.Module, Module: modules[c.Prefix], Command: c.Prefix,
		Args: c.Args(), Need: needs(d), Peer: s.peer}
	if q.Module != "" {
		q.Service = ""
	}
	return s.all || s.caps.Allowed(q)
}

// mayTouch says whether the session may run a module's command on what it names
// (ActivePyModule::is_authorized).
func (s *session) mayTouch(d *commands.Descriptor, args map[string]string) bool {
	return s.all || s.caps.Allowed(caps.MgrQuery{Module: modules[d.Prefix()], Args: args,
		Need: needs(d), Peer: s.peer})
}

// modules is the stock module of each command that a module answers, as caps name it: mostly the
// command's first word.
var modules = func() map[string]string {
	out := map[string]string{}
	for i := range commands.Modules {
		prefix := commands.Modules[i].Prefix()
		first, _, _ := strings.Cut(prefix, " ")
		out[prefix] = cmp.Or(map[string]string{"rbd": "rbd_support", "device": "devicehealth",
			"orch": "orchestrator", "fs": "status", "osd": "status"}[first], first)
	}
	out["osd pool autoscale-status"], out["fs volume ls"] = "pg_autoscaler", "volumes"
	return out
}()

// needs is what caps have to grant for a command.
func needs(d *commands.Descriptor) caps.Perm {
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
	return need
}
