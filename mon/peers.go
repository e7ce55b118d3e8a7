package mon

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/auth/cephx"
	"glue/ceph"
	"glue/mon/healthmon"
	"glue/wire/message"
	"glue/wire/msgr"
)

// The monitors' own traffic is Raft's, one message of the log in one of ours. It may be lost: Raft
// says everything again.

// toPeer sends a message of the log to another member: to where the map has it, and, if that was
// somewhere else, to where it was last heard from, since one of both may not know the newest map.
func (c *core) toPeer(to uint64, b []byte) {
	m := &message.MMonRaft{FSID: c.fsid, From: int32(c.rank()), Addrs: c.addrs(), Message: b}
	at := c.mon.Map().Addrs(c.mon.Rank(to))
	if len(at) > 0 {
		c.carry(at, m)
	}
	if heard := c.routes[to]; len(heard) > 0 && !heard.Equal(at) {
		c.carry(heard, m)
	}
}

// fromPeer takes a message of the log. Only who has proven the monitors' own key may send one.
func (c *core) fromPeer(s *session, b *message.MMonRaft) {
	if !s.isMon() || b.FSID != c.fsid {
		return
	}
	if from := c.node.Step(b.Message); from != 0 && (len(c.routes) < 4*maxMons ||
		c.routes[from] != nil) {
		c.routes[from] = b.Addrs
	}
}

// introduce tells the leader what this monitor's machine is like.
func (c *core) introduce() {
	if rank := c.Leader(); rank >= 0 && rank != c.rank() {
		c.carry(c.mon.Map().Addrs(rank), &message.MMonProbe{FSID: c.fsid,
			Kind: message.ProbeFacts, Name: c.opt.Name, Rank: int32(c.rank()),
			Metadata: c.metadata()})
		c.carry(c.mon.Map().Addrs(rank), c.configReport())
	}
}

// introduced takes what another monitor says of its machine.
func (c *core) introduced(e event, b *message.MMonProbe) {
	if e.s.peer.AuthName.ID != b.Name || c.mon.Map().Rank(b.Name) < 0 || !c.node.Leads() ||
		c.flow.inflight {
		return
	}
	c.mon.SetMetadata(b.Name, b.Metadata)
}

// dismiss ends the sessions of all clients and daemons: another monitor leads now.
func (c *core) dismiss() {
	for _, s := range c.ordered() {
		if !s.isMon() {
			s.conn.Close()
			c.end(s)
		}
	}
	c.flow.blocked = slices.DeleteFunc(c.flow.blocked, func(e event) bool {
		return e.s != nil && e.s.closed
	})
}

// Connect authenticates us to another monitor with the key that all of them have.
func (g *gate) Connect(peer ceph.EntityType, addrs ceph.AddrVec) (msgr.ClientHandshake, error) {
	e, ok := g.keys.Load().Entity(monName)
	if !ok || peer != ceph.TypeMon {
		return nil, fmt.Errorf("no key to authenticate to %v %v with", peer, addrs)
	}
	a, err := cephx.NewMonAuthorizer(ceph.AuthName{Type: ceph.TypeMon, ID: g.name}, e.Key,
		time.Now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return peerHandshake{a}, nil
}

// A peerHandshake is our side of a connection to another monitor.
type peerHandshake struct{ auth *cephx.Authorizer }

// Request begins with a ticket that we made ourselves.
func (h peerHandshake) Request() (uint32, []byte, error) {
	return cephx.MethodCephx, h.auth.Request(), nil
}

// BadMethod gives up: the other has another key of "mon.".
func (h peerHandshake) BadMethod(_ uint32, result int32, _ []uint32, _ []msgr.Mode) error {
	return fmt.Errorf("monitor refuses our key: %w", ceph.Errno(max(-result, 1)))
}

// More answers the challenge.
func (h peerHandshake) More(payload []byte) ([]byte, error) { return h.auth.More(payload) }

// Done checks that the other knows the key too.
func (h peerHandshake) Done(_ uint64, _ msgr.Mode, payload []byte) (key, secret []byte, err error) {
	return h.auth.Done(payload)
}

// quorumChecks tells of monitors that do not take part.
func (c *core) quorumChecks(out healthmon.Checks) {
	in, all := c.Members(), c.mon.Map().Ranks
	if len(in) >= len(all) || len(in) == 0 {
		return
	}
	var lines []string
	for rank, name := range all {
		if !slices.Contains(in, rank) {
			lines = append(lines, fmt.Sprintf("mon.%s (rank %d) addr %v is down (out of quorum)",
				name,
				rank, c.mon.Map().Addrs(rank)))
		}
	}
	out.Add("MON_DOWN", healthmon.Warn, int64(len(lines)), fmt.Sprintf("%d/%d mons down, quorum %s",
		len(lines), len(all), strings.Join(c.quorumNames(), ",")), lines...)
}
