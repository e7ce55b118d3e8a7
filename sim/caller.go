package sim

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A caller is an end of the network that wants a session with some monitor, at any time: it looks
// for another one whenever its session is over.
type caller struct {
	w      *world
	end    int
	rng    *rand.Rand
	peer   msgr.Peer // who it is; the first monitor gives clients their global id
	conn   *conn
	tries  int // counts attempts to connect
	off    bool
	opened func(k *conn)                     // a session has begun
	heard  func(k *conn, m *message.Message) // something has come on it
	ended  func()                            // it is over
}

// admin is who every client is.
var admin = ceph.AuthName{Type: ceph.TypeClient, ID: "admin"}

func newCaller(w *world, end int, rng *rand.Rand) caller {
	return caller{w: w, end: end, rng: rng, peer: msgr.Peer{AuthName: admin, Caps: "allow *",
		Name: ceph.EntityName{Type: ceph.TypeClient}, Features: ceph.FeaturesAll,
		Socket: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 9}), uint16(end))}}
}

func (c *caller) wait(d time.Duration) time.Duration {
	return time.Duration(c.rng.Int64N(int64(d)))
}

// seek tries a monitor.
func (c *caller) seek() {
	c.tries++
	try := c.tries
	h := c.w.hosts[c.rng.IntN(len(c.w.hosts))]
	again := func() {
		if c.tries == try && c.conn == nil && !c.off && !c.w.over() {
			c.seek()
		}
	}
	c.w.net.Links[c.end][h.id].Send(0, func() {
		h.accept(c, func(k *conn) {
			switch {
			case k == nil:
				c.w.after(50*time.Millisecond+c.wait(100*time.Millisecond), again)
			case c.tries != try || c.conn != nil || c.off:
				k.leave()
			default:
				c.conn = k
				c.opened(k)
			}
		})
	}, nil)
	c.w.after(tryFor, again)
}

// lost is told that a session is over.
func (c *caller) lost(k *conn) {
	if c.conn != k || c.off {
		return
	}
	c.ended()
	c.conn = nil
	c.w.after(c.wait(50*time.Millisecond), func() {
		if c.conn == nil && !c.off {
			c.seek()
		}
	})
}

// carried is a message as it arrives: what a follower passes on is encoded.
func (w *world) carried(m *message.Message) *message.Message {
	wire := message.Wrap(m, ceph.FeaturesAll)
	out, err := wire.Unwrap(ceph.FeaturesAll)
	if err != nil {
		w.fail("a message of type %d can't be read: %v", m.Body.Type(), err)
		return m
	}
	return out
}

// drop ends the session itself.
func (c *caller) drop() {
	k := c.conn
	if k == nil {
		return
	}
	k.leave()
	c.lost(k)
}

// hostGone tells that a daemon has ended. A client whose connection was broken learns it at once,
// but for one in three, as when the machine went with it.
func (c *caller) hostGone(h *host) {
	if k := c.conn; k != nil && k.h == h && c.rng.IntN(3) > 0 {
		c.w.net.Links[h.id][c.end].Send(0, func() { c.lost(k) }, nil)
	}
}
