package msgr

import (
	"errors"
	"time"
)

var errSilent = errors.New("peer is silent")

// tickEvery is how often acknowledgements and silence are looked after.
const tickEvery = 100 * time.Millisecond

// tick looks after all connections until the messenger is closed.
func (m *Messenger) tick() {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-m.stop:
			return
		case now := <-t.C:
			for _, c := range m.Conns() {
				c.tick(now)
			}
		}
	}
}

// tick acknowledges what is due, asks a silent peer for a sign of life and gives up on one that
// stays silent.
func (c *Conn) tick(now time.Time) {
	c.mu.Lock()
	l, state := c.link, c.state
	client := c.policy.Lossy && c.policy.Server
	c.mu.Unlock()
	if state != stateReady {
		return
	}
	if c.ackDue.Load() > 0 && !c.policy.Lossy {
		c.poke(func(p *pending) { p.ack = true })
	}
	if l.active.Swap(false) {
		l.quiet, l.asked = now, false
		return
	}
	quiet := now.Sub(l.quiet)
	switch {
	case client && quiet > c.m.opt.IdleTimeout, !client && quiet > c.m.opt.KeepaliveTimeout:
		l.close(errSilent)
	case !client && !l.asked && quiet > c.m.opt.KeepaliveInterval:
		l.asked = true
		c.Keepalive()
	}
}
