package sim

import (
	"fmt"
	"slices"
	"time"

	"glue/mon"
	"glue/mon/monmon"
	"glue/sim/memdisk"
	"glue/sim/plant"
)

// minVoters is how many monitors are always left: one of them may fail then.
const minVoters = 3

// members changes who the monitors are, one change at a time: two at once, with a disk lost for
// good among them, are more than a quorum has to survive.
type members struct {
	w      *world
	busy   string        // the change under way, "" for none
	joins  *host         // who is to become a voter
	leaves *host         // who may be removed, as far as is known
	lost   time.Duration // when a disk was lost last
}

// leader is who certainly leads, nil for nobody.
func (w *world) leader() *host {
	for _, h := range w.hosts {
		if h.m != nil && h.m.Leading() {
			return h
		}
	}
	return nil
}

// voters are the hosts whose stores count, as the leader has it; known says whether all of them are
// hosts that have their store.
func (w *world) voters(lead *host) (list []*host, known bool) {
	ids := lead.m.Voters()
	for _, h := range w.hosts {
		if h.in && slices.Contains(ids, h.member) {
			list = append(list, h)
		}
	}
	return list, len(list) == len(ids)
}

// join has a host without a store become a monitor.
func (m *members) join() {
	lead := m.w.leader()
	i := slices.IndexFunc(m.w.hosts, func(h *host) bool { return !h.in })
	if m.busy != "" || lead == nil || i < 0 {
		return
	}
	m.begin(m.w.hosts[i], monmon.Encode(lead.m.MonMap()), "join")
	m.w.result.Joined++
}

// loseDisk takes a monitor's disk away for good and gives it a new one.
func (m *members) loseDisk() {
	lead := m.w.leader()
	if m.busy != "" || lead == nil {
		return
	}
	voters, known := m.w.voters(lead)
	if !known || len(voters) < minVoters {
		return
	}
	h, at := voters[m.w.rng.IntN(len(voters))], monmon.Encode(lead.m.MonMap())
	h.crash(memdisk.LoseAll)
	m.lost = m.w.now
	m.begin(h, at, "disk lost")
	if m.w.rng.IntN(2) == 0 {
		m.w.after(m.w.jitter(removeSoon/2), m.removeNow)
	}
	m.w.result.DisksLost++
}

// removeSoon is how soon after the loss of a disk another monitor may be removed.
const removeSoon = 5 * time.Second

// removeNow has a client remove a monitor while nobody may have noticed yet that another has lost
// its disk: of the two that would be left of three, one would be gone for good.
func (m *members) removeNow() {
	for _, c := range m.w.clients {
		if c.conn == nil || c.op != nil || c.quiet {
			continue
		}
		if o, ok := m.removal(c.rng.IntN(60)); ok {
			o.kind = &kinds[len(kinds)-1]
			c.invoke(&o)
		}
		return
	}
}

// begin gives a host a new store and starts it. Until it is a voter no other change is made.
func (m *members) begin(h *host, monmap []byte, what string) {
	m.w.trace(what, "mon", h.name)
	id := m.w.rng.Uint64()>>1 | 1
	if m.w.opt.Bug == plant.OldMember && h.member != 0 {
		id = h.member
	}
	h.disk, h.in, h.member = memdisk.New(), true, 0
	var err error
	h.seal, err = mon.MkfsJoinOn(h.disk, storeDir, mon.Joining{Name: h.name, Monmap: monmap,
		Keyring: ring(0), Member: id})
	if err != nil {
		m.w.fail("mon.%s: no store to join with: %v", h.name, err)
		return
	}
	h.disk.Crash(memdisk.LoseAll, 0)
	m.busy, m.joins = fmt.Sprintf("mon.%s: %s", h.name, what), h
	m.w.after(m.w.jitter(5*time.Second), h.start)
	m.watch()
}

// watch waits until the host that joins is a voter.
func (m *members) watch() {
	if m.w.over() || m.joins == nil {
		return
	}
	lead := m.w.leader()
	if lead != nil && slices.Contains(lead.m.Voters(), m.joins.member) {
		m.w.trace("joined", "mon", m.joins.name)
		m.joins = nil
		m.settled()
		return
	}
	m.w.after(time.Second, m.watch)
}

// removal is a command that removes a monitor, if one may be.
func (m *members) removal(pick int) (o op, ok bool) {
	lead := m.w.leader()
	if lead == nil || m.leaves != nil {
		return op{}, false
	}
	voters, known := m.w.voters(lead)
	if m.joins != nil { // its old store may still count
		known = m.lost > 0 && m.w.now < m.lost+removeSoon
		voters = slices.DeleteFunc(voters, func(h *host) bool { return h == m.joins })
	} else if len(voters) <= minVoters {
		return op{}, false
	}
	if !known || len(voters) < 2 {
		return op{}, false
	}
	h := voters[pick%len(voters)]
	m.busy, m.leaves = fmt.Sprintf("mon.%s: removal", h.name), h
	return op{text: cmd(`{"prefix":"mon rm","name":%q}`, h.name), removes: h}, true
}

// removed is told by a host that it was removed. Its store is of no more use.
func (m *members) removed(h *host, err error) {
	m.w.trace("removed", "mon", h.name, "why", err)
	if m.leaves != h {
		m.w.fail("mon.%s ends, but nobody has removed it: %v", h.name, err)
		return
	}
	m.w.result.Removed++
	h.crash(memdisk.LoseAll)
	h.in, h.member = false, 0
	m.leaves = nil
	m.settled()
}

// answered takes the answer to a removal.
func (m *members) answered(h *host, result int32) {
	m.w.trace("removal answered", "mon", h.name, "result", result)
	if m.leaves == h && result != 0 {
		m.leaves = nil
		m.settled()
	}
}

// settled notes that a change is over.
func (m *members) settled() {
	if m.joins == nil && m.leaves == nil {
		m.busy = ""
	}
}

// rest wants what was begun to be over when all is well. A removal without an answer may not have
// been done.
func (m *members) rest(lead *host) {
	switch {
	case m.joins != nil:
		m.w.fail("%s: is no voter long after healing", m.busy)
	case m.leaves == nil:
	case slices.Contains(lead.m.Voters(), m.leaves.member):
		m.leaves = nil
		m.settled()
	default:
		m.w.fail("%s: it is none any more, and goes on", m.busy)
	}
}
