package monc

import "glue/wire/message"

// A sub is one subscription.
type sub struct {
	start uint64
	once  bool
	sent  bool // within the present session
}

// Subscribe asks for a map ("osdmap", "mgrmap", "config", …) from version start on: its next
// version if once, else all of them for as long as the client lives. A subscription that is
// there already is only moved forward, and one that is lasting stays so.
func (c *Client) Subscribe(what string, start uint64, once bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subs[what]
	switch {
	case s == nil:
		c.subs[what] = &sub{start: start, once: once}
	case start <= s.start && (once || !s.once) && s.sent:
		return
	default:
		s.start = max(s.start, start)
		s.once = s.once && once
		s.sent = false
	}
	c.sendSubs(false)
}

// Unsubscribe ends a subscription on our side.
func (c *Client) Unsubscribe(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subs, what)
}

// Got says that version have of a map has arrived, so that the next session asks for later ones.
func (c *Client) Got(what string, have uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got(what, have)
}

func (c *Client) got(what string, have uint64) {
	s := c.subs[what]
	if s == nil || have < s.start {
		return
	}
	if s.once {
		delete(c.subs, what)
		return
	}
	s.start = have + 1
}

// sendSubs sends the subscriptions that the monitor does not have; all of them to a new one.
// c.mu is held.
func (c *Client) sendSubs(all bool) {
	if c.active == nil {
		return
	}
	m := &message.MMonSubscribe{
		What: map[string]message.SubscribeItem{}, Hostname: c.opt.Hostname,
	}
	for what, s := range c.subs {
		if s.sent && !all {
			continue
		}
		item := message.SubscribeItem{Start: s.start}
		if s.once {
			item.Flags = message.SubscribeOnce
		}
		m.What[what] = item
		s.sent = true
	}
	if len(m.What) > 0 {
		c.active.conn.Send(message.New(m))
	}
}
