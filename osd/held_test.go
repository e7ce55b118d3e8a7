package osd

import (
	"testing"

	"glue/auth/caps"
	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// TestMessagesOfClientsAreReleased: whatever a client sends counts against osd_client_message_cap
// only until it is done with. A stock client pings every OSD with one of its watches every five
// seconds and acknowledges each backoff: with 256 of these held, an OSD would hear no client again.
func TestMessagesOfClientsAreReleased(t *testing.T) {
	s, c := quietSim(t, 6)
	s.put(c, 0, "value")
	n, _ := s.pgOf(0)
	all, _ := caps.ParseOSD("allow *")
	for _, row := range message.Table {
		if row.Name == "MCommand" {
			continue // has a goroutine of its own
		}
		for _, typ := range []ceph.EntityType{ceph.TypeClient, ceph.TypeMDS} {
			peer := msgr.Peer{Name: ceph.EntityName{Type: typ, Num: 9},
				Features: ceph.FeaturesAll}
			sess := &session{conn: &simLink{c, 0, n}, caps: all, all: true, peer: peer}
			m := message.New(row.New())
			held := true
			m.OnDone(func() { held = false })
			n.d.dispatch(&simLink{c, 0, n}, peer, sess, m)
			for range 3 {
				for _, sh := range n.d.shards {
					sh.turn()
				}
			}
			if held {
				t.Errorf("%s of a %v is held for ever", row.Name, typ)
			}
		}
	}
}

// hold counts a request among those that a daemon has not released.
func (s *sim) hold(d *Daemon, m *message.Message) {
	s.held[d]++
	m.OnDone(func() { s.held[d]-- })
}

// checkHeld wants all requests to be released.
func (s *sim) checkHeld() {
	for _, n := range s.nodes {
		if n.d != nil && s.held[n.d] != 0 {
			s.t.Errorf("osd.%d holds %d requests that nobody waits for", n.id, s.held[n.d])
		}
	}
}
