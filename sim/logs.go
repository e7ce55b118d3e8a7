package sim

// closing notes what a member holds whose daemon ends. In the middle of a step it is not known what
// of the newest is durable.
func (c *checker) closing(h *host) {
	l, err := h.m.Log()
	switch {
	case err != nil:
		c.w.fail("log of mon.%s: %v", h.name, err)
	case h.disk.IsOff() || h.disk.Failed():
		delete(c.logs, h.member)
	default:
		c.logs[h.member] = l
	}
}

// reopened wants a member to have exactly the log that it had: what it said it has it must not
// forget, as one does that lost its disk and passes for the member that it was; and what was
// replaced by another leader's entries must not be back.
func (c *checker) reopened(h *host) {
	was, ok := c.logs[h.member]
	if !ok {
		return
	}
	now, err := h.m.Log()
	if err != nil {
		c.w.fail("log of mon.%s: %v", h.name, err)
		return
	}
	if now.Last() != was.Last() {
		c.w.fail("mon.%s had the log up to entry %d and comes back with entry %d", h.name,
			was.Last(), now.Last())
		return
	}
	for i := max(now.Base, was.Base) + 1; i <= now.Last(); i++ {
		if a, b := was.Terms[i-was.Base-1], now.Terms[i-now.Base-1]; a != b {
			c.w.fail("mon.%s had entry %d of term %d and comes back with one of term %d", h.name,
				i, a, b)
			return
		}
	}
}
