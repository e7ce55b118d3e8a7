package sim

import (
	"time"

	"glue/ceph"
	"glue/mon"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A cable is a connection that one monitor has made to another, on which it passes its clients on:
// what is sent on it arrives in order, or the connection breaks. There is one from each host to
// each other, as a messenger has it, which is made anew when it is needed after it broke.
type cable struct {
	w         *world
	from, to  *host
	life      int          // of from, in which it was made
	there     *mon.Session // of to, once it has heard of the connection
	thereLife int          // of to
	here      *mon.Session
	broken    bool // nothing gets through any more
	open      bool // from has not been told that it is broken
}

// dial connects to another monitor: mon.Edges.
func (h *host) dial(to ceph.AddrVec) mon.Link {
	return h.cableTo(h.w.hosts[int(to[0].AddrPort.Port())-basePort])
}

// A backLink is the end of a cable at the monitor that was connected to.
type backLink struct{ *cable }

// cableTo is the host's connection to another.
func (h *host) cableTo(o *host) *cable {
	if k := h.cables[o.id]; k != nil {
		return k
	}
	k := &cable{w: h.w, from: h, to: o, life: h.life, open: true}
	k.here = h.m.Dialed(k)
	h.cables[o.id] = k
	return k
}

func peerOf(h *host) msgr.Peer { return (&peerLink{o: h}).Peer() }

// Peer is the monitor that was connected to.
func (k *cable) Peer() msgr.Peer { return peerOf(k.to) }

// Send sends to the monitor that was connected to.
func (k *cable) Send(m *message.Message) {
	if k.from.disk.IsOff() || k.from.life != k.life {
		return
	}
	k.w.net.Links[k.from.id][k.to.id].Send(k.from.lag, func() { k.arrive(m) }, k.snap)
}

// arrive hands a message over at the other end.
func (k *cable) arrive(m *message.Message) {
	if k.broken {
		return
	}
	if k.to.m == nil || k.there != nil && k.to.life != k.thereLife {
		k.snap()
		return
	}
	k.to.do(func(x *mon.Member) error {
		if k.there == nil {
			var err error
			if k.there, err = x.Accept(backLink{k}); err != nil {
				return err
			}
			k.thereLife = k.to.life
		}
		return x.Deliver(k.there, m)
	})
}

// Close ends the connection from the side that made it.
func (k *cable) Close() { k.snap() }

// Peer is the monitor that has connected.
func (k backLink) Peer() msgr.Peer { return peerOf(k.from) }

// Close ends the connection from the other side.
func (k backLink) Close() { k.snap() }

// Send sends back.
func (k backLink) Send(m *message.Message) {
	if k.to.disk.IsOff() || k.to.life != k.thereLife {
		return
	}
	k.w.check.routed(k.to, m)
	k.w.net.Links[k.to.id][k.from.id].Send(k.to.lag, func() {
		if k.broken || k.from.life != k.life {
			return
		}
		k.from.do(func(x *mon.Member) error { return x.Deliver(k.here, m) })
	}, k.snap)
}

// snap breaks the connection. Each end learns of it some time later.
func (k *cable) snap() {
	if k.broken {
		return
	}
	k.broken = true
	k.w.after(k.w.jitter(breakSeen), k.lost)
	k.w.after(k.w.jitter(breakSeen), func() {
		if k.there != nil && k.to.life == k.thereLife {
			k.to.do(func(x *mon.Member) error { return x.End(k.there) })
		}
	})
}

// lost tells the side that made the connection that it is broken.
func (k *cable) lost() {
	if k.from.life != k.life || !k.open {
		return
	}
	k.open = false
	k.from.do(func(x *mon.Member) error {
		if k.from.cables[k.to.id] == k {
			delete(k.from.cables, k.to.id)
		}
		return x.Broken(k, k.here)
	})
}

// snapCables breaks the connections of a host whose daemon has ended; the others may learn it at
// once.
func (h *host) snapCables() {
	for _, o := range h.w.hosts {
		k := o.cables[h.id]
		if k == nil || o == h {
			continue
		}
		k.snap()
		if h.rng.IntN(3) > 0 {
			h.w.after(time.Millisecond+h.w.jitter(5*time.Millisecond), k.lost)
		}
	}
	for _, k := range h.cables { // no chance here: the order is the map's
		k.broken = true
	}
}
