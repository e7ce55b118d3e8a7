package sim

import (
	"hash/maphash"
	"time"

	"glue/ceph"
	"glue/mon/monmon"
	"glue/mon/quorum"
	"glue/wire/message"
)

const (
	stateEvery = time.Minute // how often all states are compared
	healWithin = 10 * time.Second
)

// A checker looks for what must never happen while it happens.
type checker struct {
	w         *world
	seed      maphash.Seed
	maps      map[string]map[ceph.Epoch]uint64 // by kind: what every epoch looks like
	newest    map[*host]seen                   // in this life
	states    map[uint64]stateAt               // by index of the log
	ids       map[uint64]string                // who gave a global id
	lastTerm  uint64                           // of the leader that answered last
	leaders   map[uint64]string                // by term
	logs      map[uint64]quorum.Log            // by member: what it held when it ended
	epochSeen uint64                           // newest epoch that anybody was told of
	lastAsked time.Duration                    // when the command was begun that was answered last
}

// A seen is the newest epochs of a host.
type seen struct{ osdmap, monmap ceph.Epoch }

// A stateAt is what the state is like after an entry of the log.
type stateAt struct {
	hash uint64
	who  string
}

func (c *checker) init(w *world) {
	*c = checker{w: w, seed: maphash.MakeSeed(), maps: map[string]map[ceph.Epoch]uint64{},
		newest: map[*host]seen{}, states: map[uint64]stateAt{}, ids: map[uint64]string{},
		leaders: map[uint64]string{}, logs: map[uint64]quorum.Log{}}
	for _, k := range []string{"osdmap", "monmap", "step of the osdmap"} {
		c.maps[k] = map[ceph.Epoch]uint64{}
	}
}

func (c *checker) started(h *host) { delete(c.newest, h) }

// stepped looks at a host after each of its steps.
func (c *checker) stepped(h *host) {
	if h.m.Applied() == 0 {
		return // it has no state yet
	}
	was, om, mm := c.newest[h], h.m.OSDMap(), h.m.MonMap()
	if om.Epoch < was.osdmap || mm.Epoch < was.monmap {
		c.w.fail("mon.%s goes from epochs %v back to %d and %d", h.name, was, om.Epoch, mm.Epoch)
	}
	if om.Epoch != was.osdmap {
		c.epoch("osdmap", om.Epoch, om.Encode(), "mon."+h.name)
		c.w.result.Epochs = max(c.w.result.Epochs, int(om.Epoch))
	}
	if mm.Epoch != was.monmap {
		c.epoch("monmap", mm.Epoch, monmon.Encode(mm), "mon."+h.name)
	}
	c.newest[h] = seen{om.Epoch, mm.Epoch}
	if h.m.Leads() {
		c.leads(h)
	}
}

// leads wants one leader in each term, and one that is certain of it at any time.
func (c *checker) leads(h *host) {
	term := h.m.Term()
	switch who := c.leaders[term]; who {
	case "":
		c.leaders[term] = h.name
		c.w.result.Elections++
		c.w.trace("elected", "mon", h.name, "term", term)
	case h.name:
	default:
		c.w.fail("mon.%s and mon.%s lead in term %d", who, h.name, term)
	}
	if !h.m.Leading() {
		return
	}
	for _, o := range c.w.hosts {
		if o != h && o.m != nil && o.m.Leading() {
			c.w.fail("mon.%s leads in term %d and mon.%s leads in term %d: both answer", h.name,
				term, o.name, o.m.Term())
		}
	}
}

// epoch wants every epoch of a map to be the same wherever it is seen.
func (c *checker) epoch(kind string, e ceph.Epoch, raw []byte, who string) {
	sum := maphash.Bytes(c.seed, raw)
	if was, ok := c.maps[kind][e]; !ok {
		c.maps[kind][e] = sum
	} else if was != sum {
		c.w.fail("%s has another epoch %d of the %s than was seen before", who, e, kind)
	}
}

// globalID wants every id to be given once.
func (c *checker) globalID(h *host, id uint64) {
	if who, ok := c.ids[id]; ok {
		c.w.fail("mon.%s gives global id %d, which mon.%s has given", h.name, id, who)
	}
	c.ids[id] = h.name
}

// sent looks at what a host sends to a client. Questions are answered by one leader after the
// other, each certain that it leads. What is changed may be acknowledged late by an earlier leader:
// its majority may be older than the next leader.
func (c *checker) sent(h *host, m *message.Message) {
	ack, ok := m.Body.(*message.MMonCommandAck)
	if !ok || len(ack.Cmd) == 0 || !isQuestion(ack.Cmd[0]) || h.m.Term() == 0 {
		return
	}
	term := h.m.Term()
	if term < c.lastTerm || !h.m.Leading() {
		c.w.fail("mon.%s answers %s in term %d; certain %v; a leader of term %d answered before",
			h.name, ack.Cmd[0], term, h.m.Leading(), c.lastTerm)
	}
	c.lastTerm = term
}

// routed looks at what a leader sends to a client by way of a follower.
func (c *checker) routed(h *host, m *message.Message) {
	b, ok := m.Body.(*message.MRoute)
	if !ok || b.Close || b.Inner.Kind != (&message.MMonCommandAck{}).Type() {
		return
	}
	inner, err := b.Inner.Unwrap(ceph.FeaturesAll)
	if err != nil {
		c.w.fail("mon.%s routes an answer that can't be read: %v", h.name, err)
		return
	}
	c.w.result.Forwarded++
	c.sent(h, inner)
}

// acknowledged notes that a command was answered.
func (c *checker) acknowledged(o *op) { c.lastAsked = max(c.lastAsked, o.call) }

// read wants answers never to be older than what anybody was told before the question.
func (c *checker) read(k *client, o *op, epoch uint64) {
	if epoch < o.floor || epoch < k.seen {
		c.w.fail("client %d is told of epoch %d; epoch %d was known before it asked", k.end, epoch,
			max(o.floor, k.seen))
	}
	k.seen = max(k.seen, epoch)
	c.epochSeen = max(c.epochSeen, epoch)
}

// pushed looks at OSD maps that a client has subscribed to.
func (c *checker) pushed(k *client, b *message.MOSDMap) {
	if first := uint64(b.First()); k.maps > 0 && first > k.maps+1 && len(b.Maps) == 0 {
		c.w.fail("client %d has epoch %d and is sent the steps from %d on", k.end, k.maps, first)
	}
	for e, raw := range b.Maps {
		c.epoch("osdmap", e, raw, "a client")
	}
	for e, raw := range b.Incrementals {
		c.epoch("step of the osdmap", e, raw, "a client")
	}
	k.maps = max(k.maps, uint64(b.Last()))
}

// compareStates wants all hosts that stand at one entry of the log to have the same state.
func (c *checker) compareStates() {
	if c.w.over() {
		return
	}
	c.compareNow()
	c.w.after(stateEvery, c.compareStates)
}

func (c *checker) compareNow() {
	for _, h := range c.w.hosts {
		if h.m == nil || h.m.Applied() == 0 {
			continue
		}
		at, sum := h.m.Applied(), c.stateOf(h)
		if was, ok := c.states[at]; !ok {
			c.states[at] = stateAt{sum, h.name}
		} else if was.hash != sum {
			c.w.fail("after entry %d the state of mon.%s differs from mon.%s's", at, h.name,
				was.who)
		}
	}
}

func (c *checker) stateOf(h *host) uint64 {
	var sum maphash.Hash
	sum.SetSeed(c.seed)
	err := h.m.View().Scan("", func(key string, value []byte) bool {
		_, _ = sum.WriteString(key)
		_ = sum.WriteByte(0)
		_, _ = sum.Write(value)
		return true
	})
	if err != nil {
		c.w.fail("state of mon.%s: %v", h.name, err)
	}
	return sum.Sum64()
}

// agree wants all hosts to be up to date with each other, at rest.
func (c *checker) agree() {
	lead := c.w.leader()
	if lead == nil {
		c.w.fail("nobody leads at rest")
		return
	}
	c.w.members.rest(lead)
	for _, h := range c.w.hosts {
		if h.in && (h.m == nil || h.m.Applied()+20 < lead.m.Applied()) {
			c.w.fail("mon.%s is behind the leader, mon.%s, at rest", h.name, lead.name)
		}
	}
	c.compareNow()
}
