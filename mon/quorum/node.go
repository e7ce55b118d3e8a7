package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// The election timeout in ticks, the log entries kept for members that lag, how many more make a
// compaction, and the bound on what is proposed and not committed yet.
const (
	// TickEvery is the time between two calls of Tick.
	TickEvery = 50 * time.Millisecond
	// ElectionTimeout is how long a member that does not hear from a leader votes for no other; it
	// stands for election after one to two of it.
	ElectionTimeout = electionTicks * TickEvery

	electionTicks = 20
	// A ticker that was late delivers one tick at once and the next on time, so that electionTicks
	// may take up to two ticks less than ElectionTimeout. The rest of the quarter is for clocks
	// that run unevenly.
	leaseFor         = ElectionTimeout * 3 / 4
	heartbeatTicks   = 4
	keepEntries      = 500
	compactEvery     = 250
	maxUncommitted   = 256 << 20
	maxMessageBytes  = 1 << 20
	maxInflight      = 256
	firstIndex       = 1 // of the log's base: the state that Create writes
	firstTerm        = 1
	maxApplyPerReady = 16 << 20
)

// ErrNotLeader is what Propose returns on a member that can't accept proposals now.
var ErrNotLeader = errors.New("not the leader")

// A Machine is the state that the log drives.
type Machine interface {
	// Apply carries out one proposal. It must depend on nothing but the state and data. An error
	// stops the member: it would differ from the others.
	Apply(index uint64, data []byte, b *Batch) error
	// Restored tells that the state was replaced as a whole.
	Restored(v View) error
}

// Options open a Node.
type Options struct {
	Machine Machine
	// Send passes a message to another member; it may be lost. nil for a lone member.
	Send func(to uint64, message []byte)
	// Now is a clock that never goes back and does not stop while the process is stopped.
	Now func() time.Duration
	Log *slog.Logger
	FS  vfs.FS // nil: the operating system's
}

// A Node is one member of the log.
type Node struct {
	opt     Options
	db      database
	ms      *raft.MemoryStorage
	rn      *raft.RawNode
	id      uint64
	term    uint64 // term that we lead in, 0 otherwise
	lead    uint64
	applied uint64
	base    uint64
	ready   bool            // leader, and an entry of our term is applied
	ticks   int             // since it was opened
	lease   time.Duration   // until when no other leader can exist
	heard   map[uint64]word // what each other member last said
	led     time.Duration   // when the leader that we follow last said something
	silent  int             // ticks for which we do not stand for election
	cs      *pb.ConfState
	failed  error
	broken  bool // the store can't even be closed
}

// A word is when a member last said something, and the newest term that it has spoken in.
type word struct {
	at   time.Duration
	term uint64
}

// Create makes a new store in dir with the given members and initial state, which must be the same
// for all initial members. Without members it is the store of one that will be added to a quorum
// that exists: it takes no part until a leader sends it the state, which replaces its own.
func Create(
	dir string, fs vfs.FS, member uint64, members []uint64, state func(b *Batch) error,
) error {
	index, term := uint64(firstIndex), uint64(firstTerm)
	if len(members) == 0 {
		index, term = 0, 0
	}
	db, err := openDB(dir, fs, true)
	if err != nil {
		return err
	}
	b := db.NewBatch()
	batch := &Batch{b: b}
	cs, err := proto.Marshal(&pb.ConfState{Voters: members})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	hs, err := proto.Marshal(&pb.HardState{Term: &term, Commit: &index})
	err = errors.Join(err, state(batch), batch.err,
		b.Set(keyConfState, cs, nil),
		b.Set(keyHardState, hs, nil),
		b.Set(keyApplied, u64s(index), nil),
		b.Set(keyBase, u64s(index, term), nil),
		b.Set(keyMember, u64s(member), nil))
	if err == nil {
		err = db.commit(b, pebble.Sync)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("create monitor store %s: %w", dir, err)
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// Open opens a store. The machine must not be used before the View's state is loaded into it.
func Open(dir string, o Options) (*Node, error) {
	db, err := openDB(dir, o.FS, false)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		start := time.Now()
		o.Now = func() time.Duration { return time.Since(start) }
	}
	n := &Node{opt: o, db: db, heard: map[uint64]word{}}
	if err := n.start(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return n, nil
}

func (n *Node) start() error {
	id, err := getU64(n.db, keyMember, 1)
	if err != nil {
		return err
	}
	n.id = id[0]
	if n.ms, n.applied, err = load(n.db); err != nil {
		return err
	}
	first, err := n.ms.FirstIndex()
	if err != nil {
		return err
	}
	n.base = first - 1
	if _, n.cs, err = n.ms.InitialState(); err != nil {
		return err
	}
	n.rn, err = raft.NewRawNode(&raft.Config{
		ID:                        n.id,
		ElectionTick:              electionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   storage{n.ms, n},
		Applied:                   n.applied,
		MaxSizePerMsg:             maxMessageBytes,
		MaxCommittedSizePerReady:  maxApplyPerReady,
		MaxUncommittedEntriesSize: maxUncommitted,
		MaxInflightMsgs:           maxInflight,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		DisableProposalForwarding: true,
		Logger:                    raftLogger{n.opt.Log},
	})
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	if n.alone() {
		return n.rn.Campaign() // nobody else could win: no need to wait for a timeout
	}
	return nil
}

// storage gives Raft snapshots of the state as it is.
type storage struct {
	*raft.MemoryStorage
	n *Node
}

// Snapshot is the applied state with its index.
func (s storage) Snapshot() (*pb.Snapshot, error) {
	img, err := image(s.n.db)
	if err != nil {
		return nil, err
	}
	term, err := s.Term(s.n.applied)
	if err != nil {
		return nil, err
	}
	return &pb.Snapshot{Data: img, Metadata: &pb.SnapshotMetadata{
		ConfState: s.n.cs, Index: ptr(s.n.applied), Term: &term,
	}}, nil
}

// Tick advances Raft's time by one step of TickEvery. A leader of several has the lease confirmed
// with its heartbeats.
func (n *Node) Tick() {
	if n.silent > 0 {
		n.silent--
		return
	}
	n.rn.Tick()
	if n.ticks++; n.ready && n.ticks%heartbeatTicks == 0 {
		n.confirm()
	}
}

// confirm asks the others whether we still lead. The answer carries the time of the question back.
func (n *Node) confirm() {
	n.rn.ReadIndex(binary.BigEndian.AppendUint64(nil, uint64(n.opt.Now())))
}

// confirmed takes an answer: until an election timeout after the question, less a margin for
// clocks that run unevenly, a majority will vote for nobody else.
func (n *Node) confirmed(asked time.Duration) {
	n.lease = max(n.lease, asked+leaseFor)
}

// Propose asks that data be appended to the log. That it returns nil promises nothing: the entry
// may be lost with the leadership. Only a leader accepts.
func (n *Node) Propose(data []byte) error {
	if !n.Leads() {
		return ErrNotLeader
	}
	if err := n.rn.Propose(data); err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return nil
}

// Step takes a message of another member and says whose it is. What is not one is dropped.
func (n *Node) Step(message []byte) (from uint64) {
	m := new(pb.Message)
	if proto.Unmarshal(message, m) != nil || raft.IsLocalMsg(m.GetType()) || m.GetTo() != n.id {
		return 0
	}
	if t := m.GetType(); n.ticks < electionTicks &&
		(t == pb.MessageType_MsgVote || t == pb.MessageType_MsgPreVote) {
		return m.GetFrom() // what we promised a leader before we were restarted, we keep
	}
	_ = n.rn.Step(m) // an error means "ignored", such as a message of a removed member
	now := n.opt.Now()
	n.heard[m.GetFrom()] = word{now, max(m.GetTerm(), n.heard[m.GetFrom()].term)}
	if st := n.rn.BasicStatus(); st.Lead == m.GetFrom() && st.GetTerm() == m.GetTerm() {
		n.led = now
	}
	return m.GetFrom()
}

// Follows says whether this member follows a leader that it has heard from so recently that it
// would vote for no other.
func (n *Node) Follows() bool {
	return n.term == 0 && n.lead != 0 && n.lead != n.id && n.recent(n.led)
}

// Hears says whether a majority of the voters, this member among them, has said something within
// an election timeout.
func (n *Node) Hears() bool {
	count := 0
	for _, id := range n.cs.GetVoters() {
		if w, ok := n.heard[id]; id == n.id || ok && n.recent(w.at) {
			count++
		}
	}
	return count > len(n.cs.GetVoters())/2
}

func (n *Node) recent(at time.Duration) bool { return n.opt.Now()-at < ElectionTimeout }

// ID is our own member id.
func (n *Node) ID() uint64 { return n.id }

// Leader is the leader's id as far as we know, 0 for none.
func (n *Node) Leader() uint64 { return n.lead }

// Active are the voters that take part as far as we know: on a leader itself and who has said
// something within two election timeouts and since it was elected, on a follower the leader and
// itself.
func (n *Node) Active() []uint64 {
	if n.term == 0 {
		if n.lead == 0 || n.lead == n.id {
			return nil
		}
		return []uint64{n.lead, n.id}
	}
	out := []uint64{}
	for _, id := range n.cs.GetVoters() {
		w := n.heard[id]
		if id == n.id || w.term >= n.term && n.opt.Now()-w.at < 2*ElectionTimeout {
			out = append(out, id)
		}
	}
	return out
}

// Leads says whether this member is the leader, as far as it knows, and has applied all that
// earlier leaders committed: it may propose. One that was removed goes on with the log for a
// while, but does not lead.
func (n *Node) Leads() bool { return n.ready && n.silent == 0 && n.Joined() }

// Leading says whether this member certainly leads now, so that its state is the newest there is:
// besides Leads, a majority has confirmed it so recently that no other can have been elected since.
func (n *Node) Leading() bool {
	return n.Leads() && (n.alone() || n.opt.Now() < n.lease)
}

// Term is the term we lead in; 0 when we do not.
func (n *Node) Term() uint64 { return n.term }

// CurrentTerm is the newest term that this member knows of.
func (n *Node) CurrentTerm() uint64 { return n.rn.BasicStatus().GetTerm() }

// Applied is the index of the last applied entry.
func (n *Node) Applied() uint64 { return n.applied }

// A Log is what a member holds of the log: the term of every entry behind index Base.
type Log struct {
	Base  uint64
	Terms []uint64
}

// Last is the index of the last entry.
func (l Log) Last() uint64 { return l.Base + uint64(len(l.Terms)) }

// Log is for tests and tools.
func (n *Node) Log() (Log, error) {
	first, err1 := n.ms.FirstIndex()
	last, err2 := n.ms.LastIndex()
	if err := errors.Join(err1, err2); err != nil || last < first {
		return Log{Base: last}, err
	}
	entries, err := n.ms.Entries(first, last+1, math.MaxUint64)
	l := Log{Base: first - 1}
	for _, e := range entries {
		l.Terms = append(l.Terms, e.GetTerm())
	}
	return l, err
}

// View reads the applied state.
func (n *Node) View() View { return View{n.db} }

// Close flushes and closes the store.
func (n *Node) Close() error {
	if n.failed != nil {
		if !n.broken {
			_ = n.db.Close()
		}
		return n.failed
	}
	if err := n.db.Close(); err != nil {
		return fmt.Errorf("close monitor store: %w", err)
	}
	return nil
}

// Entries calls f with the data of every proposal behind an index that the log holds, in order; for
// tests and tools.
func (n *Node) Entries(after uint64, f func(data []byte)) error {
	return scan(n.db, entryPrefix, func(_, value []byte) (bool, error) {
		e := new(pb.Entry)
		if err := proto.Unmarshal(value, e); err != nil {
			return false, err
		}
		if e.GetIndex() > after && e.GetType() == pb.EntryType_EntryNormal && len(e.Data) > 0 {
			f(e.Data)
		}
		return true, nil
	})
}
