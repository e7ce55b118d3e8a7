package msgr

import (
	"errors"
	"time"

	"glue/ceph"
)

var errSilent = errors.New("peer is silent")

// tickEvery is how often acknowledgements and silence are looked after.
const tickEvery = 100 * time.Millisecond

// A monitor's clients look for another one sooner than others give up a peer. In Ceph that takes
// 30 s (mon_client_ping_timeout), in which OSDs whose monitor's host is gone can't report that
// other OSDs of that host are.
const (
	monKeepaliveInterval = 2 * time.Second
	monKeepaliveTimeout  = 10 * time.Second
)

// patience is after how much silence a peer is asked for a sign of life, and given up.
func (c *Conn) patience() (ask, end time.Duration) {
	ask, end = c.m.opt.KeepaliveInterval, c.m.opt.KeepaliveTimeout
	if c.peerType == ceph.TypeMon && c.policy.Lossy {
		ask, end = min(ask, monKeepaliveInterval), min(end, monKeepaliveTimeout)
	}
	return ask, end
}

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
	ask, end := c.patience()
	switch {
	case client && quiet > c.m.opt.IdleTimeout, !client && quiet > end:
		l.close(errSilent)
	case !client && !l.asked && quiet > ask:
		l.asked = true
		c.Keepalive()
	}
}
