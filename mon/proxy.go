package mon

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/mon/service"
	"glue/wire/message"
)

// A proxied command is one for the manager that a client has sent to the monitors. They check the
// client's caps, pass the command on with their own authority and bring the answer back. A command
// whose manager is gone before it has answered goes to the next one.
type proxied struct {
	ev    event
	body  *message.MMonCommand
	bytes int64
	to    *session // the manager's; nil while there is none
}

// proxying is the commands that have not been answered, by the number that their copies have.
type proxying struct {
	waiting map[uint64]*proxied
	last    uint64
	bytes   int64
}

// proxy passes a command on to the active manager.
func (c *core) proxy(e event, b *message.MMonCommand) {
	p := &c.proxying
	size := int64(len(e.m.Data))
	for _, s := range b.Cmd {
		size += int64(len(s))
	}
	limit := float64(c.set.Int("mon_client_bytes")) *
		c.set.Float("mon_mgr_proxy_client_bytes_ratio")
	if float64(p.bytes+size) > limit || len(p.waiting) >= maxBlocked {
		c.answer(e, b, service.Fail(ceph.EAGAIN, "hit limit on proxied mgr commands"))
		return
	}
	if p.waiting == nil {
		p.waiting = map[uint64]*proxied{}
	}
	p.last++
	p.bytes += size
	p.waiting[p.last] = &proxied{ev: e, body: b, bytes: size}
	c.proxySend()
}

// proxySend sends what is not at the active manager yet, and forgets what nobody waits for.
func (c *core) proxySend() {
	if len(c.proxying.waiting) == 0 {
		return
	}
	manager := c.activeManager()
	for _, n := range slices.Sorted(maps.Keys(c.proxying.waiting)) {
		switch p := c.proxying.waiting[n]; {
		case p.ev.s.closed:
			c.proxyEnd(n)
		case manager != nil && p.to != manager:
			p.to = manager
			m := message.New(&message.MMgrCommand{Cmd: p.body.Cmd})
			m.TID, m.Data = n, p.ev.m.Data
			manager.conn.Send(m)
		}
	}
}

func (c *core) proxyEnd(n uint64) {
	c.proxying.bytes -= c.proxying.waiting[n].bytes
	delete(c.proxying.waiting, n)
}

// activeManager is the session of the manager that serves, nil without one.
func (c *core) activeManager() *session {
	m := c.mgr.Map()
	if !m.Available {
		return nil
	}
	var newest *session
	for _, s := range c.ordered() {
		if s.peer.AuthName.Type == ceph.TypeMgr && s.peer.GlobalID == m.ActiveGID &&
			s.subs["mgrdigest"] != nil {
			newest = s
		}
	}
	return newest
}

// proxyReply brings the manager's answer to the client.
func (c *core) proxyReply(e event, b *message.MMgrCommandReply) {
	p := c.proxying.waiting[e.m.TID]
	if p == nil || e.s != p.to {
		return
	}
	c.proxyEnd(e.m.TID)
	if p.ev.s.closed {
		return
	}
	m := p.ev.m.Reply(&message.MMonCommandAck{Result: b.Result, Status: b.Status, Cmd: p.body.Cmd})
	m.Data = e.m.Data
	p.ev.s.conn.Send(m)
}
