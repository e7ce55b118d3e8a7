package monc

import (
	"math/rand/v2"
	"time"

	"glue/auth/cephx"
	"glue/ceph"
	"glue/wire/msgr"
)

const (
	huntParallel = 3 // mon_client_hunt_parallel
	// How long a monitor gets to answer, half as long again each time that none did in time.
	huntTimeoutMin = 3 * time.Second
	huntTimeoutMax = 30 * time.Second
	huntPauseMin   = 100 * time.Millisecond
	huntPauseMax   = 3 * time.Second
)

// An attempt is one connection to a monitor: a candidate while hunting, the active session, or
// one for commands to that monitor only.
type attempt struct {
	addrs   ceph.AddrVec
	conn    *msgr.Conn
	session *cephx.MonSession
	tell    bool // not a candidate
	authed  bool // its handshake won
	begun   time.Time
}

type huntState struct {
	limit  time.Duration // of one attempt
	pause  time.Duration
	next   time.Time      // not before
	failed map[string]int // rounds in which an address failed
}

// targets are the monitors' addresses, from the monmap if there is one.
func (c *Client) targets() []ceph.AddrVec {
	if c.monmap == nil {
		return c.opt.Seeds
	}
	var out []ceph.AddrVec
	for rank := range c.monmap.Ranks {
		out = append(out, dialable(c.monmap.Addrs(rank)))
	}
	return out
}

// dialable keeps the addresses that we can speak to: msgr2 if there is one.
func dialable(v ceph.AddrVec) ceph.AddrVec {
	if a := v.Of(ceph.AddrMsgr2); !a.IsBlank() {
		return ceph.AddrVec{a}
	}
	return v
}

// huntStep connects to a few monitors at a time until one accepts us; c.mu is held.
func (c *Client) huntStep(now time.Time) time.Duration {
	candidates, late := 0, false
	c.hunt.limit = max(c.hunt.limit, huntTimeoutMin)
	for key, a := range c.attempts {
		if a.tell {
			continue
		}
		if now.Sub(a.begun) > c.hunt.limit {
			late = true
			c.log.Debug("monitor does not answer", "peer", a.addrs)
			if err := a.conn.Err(); err != nil {
				c.lastErr = err
			}
			a.conn.Close()
			delete(c.attempts, key)
			c.failed(key)
			continue
		}
		candidates++
	}
	if late {
		c.hunt.limit = min(c.hunt.limit*3/2, huntTimeoutMax)
	}
	if candidates == 0 {
		if wait := c.hunt.next.Sub(now); wait > 0 {
			return wait
		}
		c.startRound(now)
	}
	return 500 * time.Millisecond
}

// startRound connects to the monitors that failed least, in random order.
func (c *Client) startRound(now time.Time) {
	c.hunt.pause = min(max(2*c.hunt.pause, huntPauseMin), huntPauseMax)
	c.hunt.next = now.Add(c.hunt.pause)
	targets := append([]ceph.AddrVec(nil), c.targets()...)
	rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	started := 0
	for round := 0; started < min(huntParallel, len(targets)) && round < 64; round++ {
		for _, t := range targets {
			_, busy := c.attempts[t.String()]
			if busy || c.hunt.failed[t.String()] != round || started == huntParallel {
				continue
			}
			c.connect(t, now, false)
			started++
		}
	}
	if started == 0 {
		c.hunt.failed = nil
	}
}

func (c *Client) failed(key string) {
	if c.hunt.failed == nil {
		c.hunt.failed = map[string]int{}
	}
	c.hunt.failed[key]++
}

// connect makes an attempt; c.mu is held, so that its handshake finds it.
func (c *Client) connect(addrs ceph.AddrVec, now time.Time, tell bool) *attempt {
	a := &attempt{addrs: addrs, tell: tell, begun: now}
	c.attempts[addrs.String()] = a
	a.conn = c.net.Connect(ceph.TypeMon, addrs)
	return a
}

// find is the attempt that a connection belongs to; c.mu is held.
func (c *Client) find(conn *msgr.Conn) *attempt {
	for _, a := range c.attempts {
		if a.conn == conn {
			return a
		}
	}
	return nil
}

// Connected takes the report of an outgoing connection and says whether it was a monitor's.
func (c *Client) Connected(conn *msgr.Conn) bool {
	c.mu.Lock()
	a := c.find(conn)
	if a == nil {
		c.mu.Unlock()
		return false
	}
	if a.tell || c.active != nil {
		c.mu.Unlock()
		return true
	}
	c.active = a
	c.refused, c.lastErr = nil, nil
	c.hunt = huntState{}
	for key, other := range c.attempts {
		if other != a && !other.tell {
			other.conn.Close()
			delete(c.attempts, key)
		}
	}
	if t := c.opt.Name.Type; t == ceph.TypeClient || t == ceph.TypeMgr {
		c.net.SetName(ceph.EntityName{Type: t, Num: int64(c.auth.GlobalID())})
	}
	c.renewal = renewalState{}
	c.sendSubs(true)
	c.resend()
	c.notify()
	c.mu.Unlock()
	c.log.Debug("monitor session", "peer", a.addrs)
	c.poke()
	if c.opt.OnActive != nil {
		c.opt.OnActive()
	}
	return true
}

// Reset takes the report of a connection's end and says whether it was a monitor's.
func (c *Client) Reset(conn *msgr.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.find(conn)
	if a == nil {
		return false
	}
	key := a.addrs.String()
	delete(c.attempts, key)
	if err := conn.Err(); err != nil {
		c.lastErr = err
	}
	if a == c.active {
		c.log.Debug("monitor session lost", "peer", a.addrs, "err", conn.Err())
		c.active = nil
	} else if !a.tell {
		c.failed(key)
	}
	c.failTold(conn, conn.Err())
	c.notify()
	c.poke()
	return true
}

// Reopen drops the present session and looks for a monitor again.
func (c *Client) Reopen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active != nil {
		c.leave()
	}
}

// leave drops the present session; c.mu is held.
func (c *Client) leave() {
	c.active.conn.Close()
	delete(c.attempts, c.active.addrs.String())
	c.active = nil
	c.poke()
}
