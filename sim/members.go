package sim

import (
	"fmt"
	"slices"
	"time"

	"glue/mon"
	"glue/mon/monmon"
)

// minVoters is how many monitors are always left: one of them may fail then.
const minVoters = 3

// members changes who the monitors are, one change at a time: two at once, with a disk lost for
// good among them, are more than a quorum has to survive.
type members struct {
	w      *world
	busy   string // the change under way, "" for none
	joins  *host  // who is to become a voter
	leaves *host  // who may be removed, as far as is known
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
	h.crash(loseAll)
	m.begin(h, at, "disk lost")
	m.w.result.DisksLost++
}

// begin gives a host a new store and starts it. Until it is a voter no other change is made.
func (m *members) begin(h *host, monmap []byte, what string) {
	m.w.trace(what, "mon", h.name)
	h.disk, h.in, h.member = newDisk(), true, 0
	var err error
	h.seal, err = mon.MkfsJoinOn(h.disk, storeDir, mon.Joining{Name: h.name, Monmap: monmap,
		Keyring: ring(), Member: m.w.rng.Uint64()>>1 | 1})
	if err != nil {
		m.w.fail("mon.%s: no store to join with: %v", h.name, err)
		return
	}
	h.disk.crash(loseAll, 0)
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
		m.busy, m.joins = "", nil
		return
	}
	m.w.after(time.Second, m.watch)
}

// removal is a command that removes a monitor, if one may be.
func (m *members) removal(pick int) (o op, ok bool) {
	lead := m.w.leader()
	if m.busy != "" || lead == nil {
		return op{}, false
	}
	voters, known := m.w.voters(lead)
	if !known || len(voters) <= minVoters {
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
	h.crash(loseAll)
	h.in, h.member = false, 0
	m.busy, m.leaves = "", nil
}

// answered takes the answer to a removal.
func (m *members) answered(h *host, result int32) {
	m.w.trace("removal answered", "mon", h.name, "result", result)
	if m.leaves == h && result != 0 {
		m.busy, m.leaves = "", nil
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
		m.busy, m.leaves = "", nil
	default:
		m.w.fail("%s: it is none any more, and goes on", m.busy)
	}
}
