package osd

import (
	"sync/atomic"

	"glue/auth/caps"
	"glue/ceph"
	"glue/osd/class"
	"glue/wire/msgr"
)

// A session is one incoming connection. Its fields are fixed, except the atomic ones.
type session struct {
	conn   link
	peer   msgr.Peer
	caps   *caps.OSD     // nil for OSDs
	all    bool          // everything is allowed
	copier bool          // an OSD that copies an object
	epoch  atomic.Uint32 // the newest map that the client is known to have
	closed atomic.Bool
}

// name is the client's name in request ids.
func (s *session) name() ceph.EntityName { return s.peer.Name }

// origin is who sends, as object classes and watches see it.
func (s *session) origin() class.Entity {
	e := class.Entity{Name: s.peer.Name}
	if len(s.peer.Addrs) > 0 {
		e.Addr = s.peer.Addrs[0]
	}
	return e
}

// shareMap tells the client of maps that its request shows it lacks (maybe_share_map).
func (s *shard) shareMap(sess *session, have ceph.Epoch) {
	newest := s.osdmap.Epoch
	if sess == nil || have >= newest {
		return
	}
	for {
		known := sess.epoch.Load()
		if ceph.Epoch(known) >= newest {
			return
		}
		if sess.epoch.CompareAndSwap(known, uint32(newest)) {
			have = max(have, ceph.Epoch(known))
			break
		}
	}
	s.d.shareMaps(sess.conn, have, newest)
}
