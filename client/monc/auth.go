package monc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"glue/auth/cephx"
	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// errSuperseded ends the handshakes of the candidates that lost.
var errSuperseded = errors.New("another monitor answered first")

// Connect starts the authentication of one outgoing connection (msgr.ClientAuth).
func (c *Client) Connect(peer ceph.EntityType, addrs ceph.AddrVec) (msgr.ClientHandshake, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if peer == ceph.TypeMon {
		a := c.attempts[addrs.String()]
		if a == nil {
			return nil, fmt.Errorf("no monitor is wanted at %v", addrs)
		}
		a.session = c.auth.NewMonSession()
		return &monHandshake{c: c, a: a}, nil
	}
	auth, err := c.auth.NewAuthorizer(peer, time.Now())
	if err != nil {
		c.poke()
		return nil, fmt.Errorf("authorize towards %v at %v: %w", peer, addrs, err)
	}
	return &serviceHandshake{c: c, peer: peer, auth: auth}, nil
}

// A monHandshake authenticates us to a monitor with our key.
type monHandshake struct {
	c *Client
	a *attempt
}

func (h *monHandshake) Request() (uint32, []byte, error) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.c.auth.Method(), h.a.session.Request(), nil
}

func (h *monHandshake) BadMethod(
	method uint32, result int32, methods []uint32, modes []msgr.Mode,
) error {
	errno := ceph.EACCES
	if result < 0 {
		errno = ceph.Errno(-result)
	}
	err := fmt.Errorf("monitor at %v refuses %v: %w", h.a.addrs, h.c.opt.Name, errno)
	if !slices.Contains(methods, method) {
		err = fmt.Errorf("monitor at %v does not allow authentication method %d, only %v: %w",
			h.a.addrs, method, methods, ceph.EACCES)
	}
	h.c.refuse(err)
	return err
}

// refuse remembers why a monitor does not let us in, for Authenticate.
func (c *Client) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = err
	c.notify()
}

func (h *monHandshake) More(payload []byte) ([]byte, error) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.a.session.More(time.Now(), payload)
}

func (h *monHandshake) Done(
	globalID uint64, _ msgr.Mode, payload []byte,
) (key, secret []byte, err error) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if !h.a.tell {
		for _, other := range h.c.attempts {
			if other != h.a && other.authed && !other.tell {
				return nil, nil, errSuperseded
			}
		}
	}
	key, secret, err = h.a.session.Done(time.Now(), globalID, payload)
	h.a.authed = err == nil
	return key, secret, err
}

// A serviceHandshake authenticates us to an OSD, manager or metadata server with a ticket.
type serviceHandshake struct {
	c    *Client
	peer ceph.EntityType
	auth *cephx.Authorizer
}

func (h *serviceHandshake) Request() (uint32, []byte, error) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.c.auth.Method(), h.auth.Request(), nil
}

// BadMethod forgets the ticket, which the daemon no longer takes, and has a new one fetched.
func (h *serviceHandshake) BadMethod(
	method uint32, result int32, methods []uint32, modes []msgr.Mode,
) error {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	h.c.auth.DropTicket(h.peer)
	h.c.poke()
	return fmt.Errorf("%v refuses the ticket of %v: %w", h.peer, h.c.opt.Name,
		ceph.Errno(max(-result, 1)))
}

func (h *serviceHandshake) More(payload []byte) ([]byte, error) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.auth.More(payload)
}

func (h *serviceHandshake) Done(
	_ uint64, _ msgr.Mode, payload []byte,
) (key, secret []byte, err error) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return h.auth.Done(payload)
}

// Kinds of MAuth that are under way.
const (
	renewNone = iota
	renewTickets
	renewRotating
)

const renewTimeout = 15 * time.Second

type renewalState struct {
	kind     int // what the monitor is working on
	sent     time.Time
	rotateAt time.Time // when to fetch the rotating keys again
}

// renewStep asks for new tickets or keys when it is time; c.mu is held. One request is under way
// at a time, since replies carry no number.
func (c *Client) renewStep(now time.Time) time.Duration {
	const pollEvery = time.Second
	r := &c.renewal
	if r.kind != renewNone {
		if now.Sub(r.sent) > renewTimeout {
			c.log.Warn("monitor does not renew tickets", "peer", c.active.addrs)
			c.leave()
		}
		return pollEvery
	}
	payload, kind := []byte(nil), renewTickets
	if c.opt.Key.IsZero() {
		return pollEvery
	}
	if c.auth.NeedRenewal(now) {
		var err error
		if payload, err = c.active.session.Renewal(now); err != nil {
			c.log.Error("cannot ask for new tickets", "err", err)
			return pollEvery
		}
	}
	if payload == nil && c.opt.Rotating && !now.Before(r.rotateAt) {
		payload, kind = c.active.session.RotatingRequest(), renewRotating
	}
	if payload != nil {
		r.kind, r.sent = kind, now
		c.active.conn.Send(message.New(&message.MAuth{
			Protocol: cephx.MethodCephx, Payload: payload,
		}))
	}
	return pollEvery
}

func (c *Client) handleAuthReply(conn *msgr.Conn, b *message.MAuthReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active == nil || c.active.conn != conn {
		return
	}
	kind, now := c.renewal.kind, time.Now()
	c.renewal.kind = renewNone
	err := ceph.ErrorOf(b.Result)
	if err == nil {
		switch kind {
		case renewTickets:
			err = c.active.session.Renewed(now, b.Payload)
		case renewRotating:
			err = c.takeRotating(now, b.Payload)
		}
	}
	if err != nil {
		c.log.Warn("renewal failed", "peer", c.active.addrs, "err", err)
		c.renewal.rotateAt = now.Add(time.Second)
		return
	}
	c.notify()
	c.poke()
}

// takeRotating keeps the keys and plans the next fetch for well before the current key ends.
func (c *Client) takeRotating(now time.Time, payload []byte) error {
	keys, err := c.active.session.RotatingReply(payload)
	if err != nil {
		return err
	}
	c.rotating = keys
	wait := 30 * time.Second
	if len(keys.Keys) > 1 {
		wait = min(wait, keys.Keys[1].Expires.Go().Sub(now)/4)
	}
	c.renewal.rotateAt = now.Add(max(wait, time.Second))
	return nil
}

// WaitRotating waits until the keys of the daemon's service are known.
func (c *Client) WaitRotating(ctx context.Context) error {
	for {
		c.mu.Lock()
		have, changed, closed := len(c.rotating.Keys) > 0, c.changed, c.closed
		have = have || c.opt.Key.IsZero()
		c.mu.Unlock()
		if closed {
			return ErrClosed
		}
		if have {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the rotating keys: %w", ctx.Err())
		}
	}
}

// Rotating is the keys of the daemon's own service as last fetched.
func (c *Client) Rotating() cephx.Rotating {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rotating
}
