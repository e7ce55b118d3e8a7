package mon

import (
	"fmt"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/monmap"
	"glue/mon/monmon"
	"glue/wire/message"
)

// A monitor that was removed may be among those who made the removal, or lead: if it ended at once,
// those who are left might need its vote to find out that they do not need it. So it goes on with
// the log, serves nobody, and asks the others, until a majority of those who are left have said
// that they know.

// A leaving is what a monitor that was removed has heard about it.
type leaving struct {
	why  error           // nil: it was not removed, as far as it knows
	mons *monmap.Map     // the newest heard of; those who joined since ours are in it
	told map[string]bool // the others that have a map without us
}

// leave notes that we are not in a map; rank is that of who has our name in it.
func (c *core) leave(m *monmap.Map, rank int) {
	if c.leaving.why == nil {
		c.log.Info("this monitor was removed; it ends when a majority of the others knows",
			"map", m.Epoch)
		c.leaving.told = map[string]bool{}
		c.probing.at = time.Time{} // ask at the next tick
	}
	if c.leaving.mons == nil || c.leaving.mons.Epoch < m.Epoch {
		c.leaving.mons = m
	}
	c.leaving.why = fmt.Errorf("%w (map %d)", ErrRemoved, m.Epoch)
	if rank >= 0 {
		c.leaving.why = fmt.Errorf("%w: another store has taken the place of mon.%s", ErrRemoved,
			c.opt.Name)
	}
}

// answerProbe tells another monitor, which may have been removed, who we are.
func (c *core) answerProbe(e event, b *message.MMonProbe) {
	r := &message.MMonProbe{FSID: c.fsid, Kind: message.ProbeReply, Name: c.opt.Name,
		Monmap: monmon.Encode(c.mon.Map()), Member: c.mon.ID(b.Name)}
	for _, id := range c.node.Voters() {
		r.Quorum = append(r.Quorum, int32(c.mon.Rank(id)))
	}
	e.s.reply(e.m, r)
}

// probed takes the answer of a monitor in a quorum: a newer map without us, or with another store
// in our place, means that we were removed.
func (c *core) probed(b *message.MMonProbe) {
	m := &monmap.Map{}
	if err := denc.Unmarshal(b.Monmap, m, ceph.FeaturesAll); err != nil {
		c.log.Warn("another monitor's map can't be read", "by", b.Name, "err", err)
		return
	}
	rank := m.Rank(c.opt.Name)
	if m.FSID != c.fsid || m.Epoch < c.mon.Map().Epoch || c.node.Empty() ||
		rank >= 0 && b.Member == c.node.ID() {
		return
	}
	c.leave(m, rank)
	if m.Epoch < c.leaving.mons.Epoch || m.Rank(b.Name) < 0 {
		return
	}
	c.leaving.told[b.Name] = true
	know, of := 0, 0
	for _, voter := range b.Quorum {
		if voter < 0 || int(voter) >= len(m.Ranks) || int(voter) == rank {
			continue
		}
		of++
		if c.leaving.told[m.Ranks[voter]] {
			know++
		}
	}
	if know > of/2 {
		c.gone = c.leaving.why
	}
}
