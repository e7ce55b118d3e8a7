package quorum

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// Changes of who is a member come through the log like everything else, one at a time, each
// together with a proposal in one entry: whatever the machine writes of it is never apart from it.
// A new member is a learner, which gets the log and the state but does not count, until it has all.

// A Step is one change of the members.
type Step int

// The steps.
const (
	AddLearner Step = iota + 1
	Promote         // a learner becomes a voter
	Remove
)

var stepTypes = map[Step]pb.ConfChangeType{
	AddLearner: pb.ConfChangeType_ConfChangeAddLearnerNode,
	Promote:    pb.ConfChangeType_ConfChangeAddNode,
	Remove:     pb.ConfChangeType_ConfChangeRemoveNode,
}

// nearEnough is how many entries a learner may lack when it becomes a voter: fewer than a leader
// sends in one go.
const nearEnough = 16

// ErrLast is what ProposeStep answers to the removal of the only voter.
var ErrLast = errors.New("the last voter can't be removed")

// ProposeStep is Propose of data together with a change of the members.
func (n *Node) ProposeStep(s Step, id uint64, data []byte) error {
	if !n.Leads() {
		return ErrNotLeader
	}
	if v := n.cs.GetVoters(); s == Remove && len(v) == 1 && v[0] == id {
		return ErrLast
	}
	err := n.rn.ProposeConfChange(&pb.ConfChange{Type: stepTypes[s].Enum(), NodeId: &id,
		Context: data})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return nil
}

// Voters are the members whose majority decides; Learners only follow.
func (n *Node) Voters() []uint64 { return n.cs.GetVoters() }

// Learners are the members that do not count.
func (n *Node) Learners() []uint64 { return n.cs.GetLearners() }

// Joined says whether this member is one, as far as its own log goes.
func (n *Node) Joined() bool {
	return slices.Contains(n.cs.GetVoters(), n.id) || slices.Contains(n.cs.GetLearners(), n.id)
}

// Empty says whether this member has not got the state yet: it was made to be added.
func (n *Node) Empty() bool { return n.applied == 0 }

// alone says whether this member is the only voter.
func (n *Node) alone() bool {
	v := n.cs.GetVoters()
	return len(v) == 1 && v[0] == n.id
}

// CaughtUp are the learners that have all but the last few entries, as far as a leader knows.
func (n *Node) CaughtUp() []uint64 {
	if !n.ready {
		return nil
	}
	last, err := n.ms.LastIndex()
	if err != nil {
		return nil
	}
	var out []uint64
	n.rn.WithProgress(func(id uint64, kind raft.ProgressType, p tracker.Progress) {
		w, ok := n.heard[id]
		if kind == raft.ProgressTypeLearner && p.Match > 0 && p.Match+nearEnough >= last && ok &&
			n.recent(w.at) {
			out = append(out, id)
		}
	})
	return out
}

// Yield makes a leader step down and not stand for election for a while, so that another member is
// elected. (Raft's own transfer of the lead would not do: it has a vote that does not respect
// leases.)
func (n *Node) Yield() error {
	others := slices.DeleteFunc(slices.Clone(n.cs.GetVoters()), func(id uint64) bool {
		return id == n.id
	})
	if n.term == 0 || len(others) == 0 {
		return nil
	}
	n.silent = 4 * electionTicks
	// A newer term is what makes a leader step down; it need not come from anybody.
	return n.rn.Step(&pb.Message{Type: pb.MessageType_MsgHeartbeatResp.Enum(), To: &n.id,
		From: &others[0], Term: ptr(n.term + 1)})
}
