package sim

import (
	"glue/ceph"
	"glue/osd"
	"glue/osd/heartbeat"
	"glue/osd/pinger"
	"glue/sim/network"
	"glue/wire/message"
)

// A beat is a lossy connection for pings, from one OSD as it is now to another one at an address.
type beat struct {
	over   heartbeat.Net
	o, t   *osdHost
	oi, ti int // their addresses
}

// beat gives a connection for pings: osd.Edges.
func (o *osdHost) beat(over heartbeat.Net, to ceph.AddrVec) pinger.Beat {
	t, inc := o.c.osdAt(to)
	return beat{over, o, t, o.inc, inc}
}

// links are those that it uses, in one direction.
func (b beat) links() [][]*network.Link {
	if b.over == heartbeat.Front {
		return b.o.w.net.Front
	}
	return b.o.w.net.Links
}

// Send sends a ping or its answer: it arrives, or is lost.
func (b beat) Send(m *message.Message) {
	w := message.Wrap(m, ceph.FeaturesAll)
	b.links()[b.o.end][b.t.end].Send(0, func() {
		m, err := w.Unwrap(ceph.FeaturesAll)
		if err != nil {
			b.o.w.fail("osd.%d pings with what can't be read: %v", b.o.id, err)
			return
		}
		if b.t.m != nil && b.t.inc == b.ti {
			back := beat{b.over, b.t, b.o, b.ti, b.oi}
			b.t.do(func(x *osd.Member) { x.Beat(b.over, back, m.Body.(*message.MOSDPing)) })
		}
	}, nil)
}

// Close does nothing: what was sent may still arrive.
func (b beat) Close() {}

// Ended says whether the address refuses connections: nobody is there, and the machine says so.
func (b beat) Ended() (gone, refused bool) {
	there, back := b.links()[b.o.end][b.t.end], b.links()[b.t.end][b.o.end]
	if there.Cut() || back.Cut() {
		return false, false
	}
	r := b.t.m != nil && b.t.inc != b.ti || b.t.m == nil && !b.t.deaf
	return r, r
}
