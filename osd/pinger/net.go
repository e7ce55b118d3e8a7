package pinger

import (
	"errors"
	"syscall"

	"glue/ceph"
	"glue/osd/heartbeat"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A Socket is a Beat of a messenger.
type Socket struct{ *msgr.Conn }

// Ended says whether it is gone, and whether that is because nothing listens there, or somebody
// else does: the port is that of another process or incarnation now.
func (s Socket) Ended() (gone, refused bool) {
	err := s.Err()
	return s.Closed(), errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, msgr.ErrOtherPeer)
}

// A dispatcher takes what comes over one network.
type dispatcher struct {
	p    *Pinger
	over heartbeat.Net
}

// Dispatcher is for the messenger of a network.
func (p *Pinger) Dispatcher(over heartbeat.Net) msgr.Dispatcher { return dispatcher{p, over} }

// Accepted lets in who has proven to be an OSD.
func (d dispatcher) Accepted(c *msgr.Conn) {
	peer := c.Peer()
	if !peer.IsOSD() {
		d.p.c.Log.Warn("connection for heartbeats refused", "peer", peer.AuthName,
			"network", d.over.String())
		c.Close()
	}
}

// Dispatch takes a ping or its answer.
func (d dispatcher) Dispatch(c *msgr.Conn, m *message.Message) {
	if b, ok := m.Body.(*message.MOSDPing); ok && c.PeerType() == ceph.TypeOSD {
		d.p.Heard(d.over, c, b)
	}
	m.Release()
}

// Connected, Reset and RemoteReset: a connection that has ended is looked at at once.
func (d dispatcher) Connected(*msgr.Conn)   {}
func (d dispatcher) Reset(*msgr.Conn)       { d.p.wake() }
func (d dispatcher) RemoteReset(*msgr.Conn) {}
