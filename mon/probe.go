package mon

import (
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/wire/message"
)

// ErrRemoved says that a monitor has stopped because the quorum has removed it.
var ErrRemoved = errors.New("this monitor was removed from the cluster")

// ErrMoved says that a monitor has stopped because the quorum has given it another address: it has
// to be started again.
var ErrMoved = errors.New("this monitor was moved")

// Once a second a monitor says what the others may not know: the leader who is in the quorum, a new
// one that it wants to join, and one that hears from no leader asks whether it still belongs.
const tellEvery = time.Second

// A probing is what a monitor outside a quorum does about it.
type probing struct {
	at    time.Time // of the last message about it
	alone time.Time // since when it has been without a leader
}

// A told is what the leader has said of the quorum.
type told struct {
	term   uint64
	quorum []int
	since  time.Time
}

// isMon says whether a session is another monitor's, which has proven the monitors' own key.
func (s *session) isMon() bool {
	return s.peer.AuthName.Type == ceph.TypeMon && s.peer.AllowAll
}

// state is the monitor's state by stock's names.
func (c *core) state() string {
	switch {
	case c.node.Leading():
		return "leader"
	case c.node.Follows() && c.learns():
		return "synchronizing"
	case c.node.Follows():
		return "peon"
	case c.node.Hears():
		return "electing"
	}
	return "probing"
}

// learns says whether this monitor does not count yet.
func (c *core) learns() bool {
	for _, id := range c.node.Voters() {
		if id == c.node.ID() {
			return false
		}
	}
	return true
}

// speak does what is to be done once a second. It never prepares anything on top of something.
func (c *core) speak(now time.Time) {
	if now.Sub(c.probing.at) < tellEvery {
		return
	}
	c.probing.at = now
	led := c.node.Leads() || c.node.Follows()
	if led {
		c.probing.alone = time.Time{}
	} else if c.probing.alone.IsZero() {
		c.probing.alone = now
	}
	switch {
	case c.node.Leads():
		c.tellQuorum(now)
		c.checkClocks(now)
		c.promote()
	case c.leaving.why != nil, !led && now.Sub(c.probing.alone) >= tellEvery && c.node.Joined():
		c.toOthers(&message.MMonProbe{FSID: c.fsid, Kind: message.ProbeAsk, Name: c.opt.Name,
			Rank: int32(c.rank()), Member: c.node.ID()})
	case !c.node.Joined():
		c.toOthers(&message.MMonJoin{FSID: c.fsid, Name: c.opt.Name, Addrs: c.addrs(),
			Member: c.node.ID()})
	}
}

// addrs is where this monitor listens, or wants to when it joins.
func (c *core) addrs() ceph.AddrVec {
	in := c.mon.Map().Addrs(c.rank())
	if at := c.opt.Listen; len(at) > 0 && (c.node.Empty() || len(in) == 0) {
		return at
	}
	return in
}

// toOthers sends to all other monitors.
func (c *core) toOthers(b message.Body) {
	m := c.mon.Map()
	if c.leaving.mons != nil {
		m = c.leaving.mons
	}
	for rank, name := range m.Ranks {
		if name != c.opt.Name {
			c.carry(m.Addrs(rank), b)
		}
	}
}

// tellQuorum tells the followers who is in the quorum.
func (c *core) tellQuorum(now time.Time) {
	var in []int32
	for _, rank := range c.Members() {
		in = append(in, int32(rank))
	}
	c.toOthers(&message.MMonProbe{FSID: c.fsid, Kind: message.ProbeQuorum, Name: c.opt.Name,
		Rank: int32(c.rank()), Leader: int32(c.rank()), Quorum: in, Member: c.node.Term(),
		Since: uint64(c.quorumAge(now))})
}

// probe takes what another monitor says of itself and of the quorum.
func (c *core) probe(e event, b *message.MMonProbe) {
	if !e.s.isMon() || b.FSID != c.fsid {
		return
	}
	switch b.Kind {
	case message.ProbeAsk:
		if c.node.Leading() || c.node.Follows() {
			c.answerProbe(e, b)
		}
	case message.ProbeReply:
		c.probed(b)
	case message.ProbeCall:
		if c.node.Follows() {
			e.s.reply(e.m, &message.MMonProbe{FSID: c.fsid, Kind: message.ProbePresent,
				Name: c.opt.Name, Since: b.Since, Member: c.node.ID()})
		}
	case message.ProbePresent:
		c.called(b)
	case message.ProbeFacts:
		c.introduced(e, b)
	case message.ProbeQuorum:
		if c.node.Follows() && b.Member == c.node.CurrentTerm() {
			c.told = told{term: b.Member, since: c.now().Add(-time.Duration(b.Since) * time.Second)}
			for _, rank := range b.Quorum {
				c.told.quorum = append(c.told.quorum, int(rank))
			}
		}
	case message.ProbeRefuse:
		c.log.Warn("the quorum does not let this monitor join", "by", b.Name, "err", b.Text)
	}
}

// checkPlace looks at our place in a map that was just applied, and shows it to the gate.
func (c *core) checkPlace() {
	rank := c.rank()
	c.gate.monmap.Store(c.mon.Map())
	c.renamed(rank)
	switch {
	case c.node.Empty():
	case rank < 0 || c.mon.ID(c.opt.Name) != c.node.ID():
		c.leave(c.mon.Map(), rank)
	case len(c.bound) > 0 && !c.bound.Equal(c.addrs()):
		c.gone = fmt.Errorf("%w to %v", ErrMoved, c.addrs())
	}
}
