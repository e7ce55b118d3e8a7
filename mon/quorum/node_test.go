package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand"
	randv2 "math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// counter is a machine that keeps every proposal under its index and the list in memory.
type counter struct {
	seen []string
	fail bool
}

func (m *counter) Apply(index uint64, data []byte, b *Batch) error {
	if m.fail {
		return errors.New("made to fail")
	}
	m.seen = append(m.seen, string(data))
	b.Set(fmt.Sprintf("log/%08d", index), data)
	return nil
}

func (m *counter) Restored(v View) error {
	m.seen = nil
	return v.Scan("log/", func(_ string, value []byte) bool {
		m.seen = append(m.seen, string(value))
		return true
	})
}

func lone(t *testing.T, fs vfs.FS) (*Node, *counter) {
	t.Helper()
	m := &counter{}
	n, err := Open("mon", Options{Machine: m, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Restored(n.View()), n.Work()); err != nil {
		t.Fatal(err)
	}
	return n, m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func nothing(*Batch) error { return nil }

// TestCrash cuts the power at random points: what was applied before must be there, in order.
func TestCrash(t *testing.T) {
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		fs := vfs.NewCrashableMem()
		must(t, Create("mon", fs, 7, []uint64{7}, nothing))
		var want []string
		for range 5 {
			n, m := lone(t, fs)
			if !n.Leading() || n.Leader() != 7 {
				t.Fatalf("seed %d: a lone member does not lead", seed)
			}
			if !slices.Equal(m.seen, want) {
				t.Fatalf("seed %d: %d entries after restart, want %d", seed, len(m.seen), len(want))
			}
			for range r.Intn(400) {
				p := fmt.Sprint("p", len(want))
				must(t, n.Propose([]byte(p)))
				must(t, n.Work())
				want = append(want, p)
			}
			next := fs.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: r.Intn(101), RNG: newRand(uint64(seed)),
			})
			must(t, n.Close())
			fs = next
		}
	}
}

func TestCreateTwiceAndForeign(t *testing.T) {
	fs := vfs.NewMem()
	if _, err := Open("mon", Options{FS: fs, Machine: &counter{}}); !errors.Is(err, ErrNoStore) {
		t.Errorf("open of nothing: %v", err)
	}
	must(t, Create("mon", fs, 1, []uint64{1}, nothing))
	if err := Create("mon", fs, 1, []uint64{1}, nothing); err == nil {
		t.Error("a second Create on the same folder succeeded")
	}
}

func TestMachineFailureIsFinal(t *testing.T) {
	fs := vfs.NewMem()
	must(t, Create("mon", fs, 1, []uint64{1}, nothing))
	n, m := lone(t, fs)
	m.fail = true
	must(t, n.Propose([]byte("x")))
	if err := n.Work(); err == nil {
		t.Fatal("a failed Apply went unnoticed")
	}
	if err := n.Close(); err == nil {
		t.Error("Close hides the failure")
	}
	n, m = lone(t, fs)
	if !slices.Equal(m.seen, []string{"x"}) {
		t.Errorf("the entry is not applied again after the restart: %q", m.seen)
	}
	must(t, n.Close())
}

// TestBadDisk has the disk fail from some change on, of every kind, while logs are begun and ended:
// the member stops with an error that says so, never with a panic, and what it had applied is there
// when the disk works again.
func TestBadDisk(t *testing.T) {
	kinds := map[string][]errorfs.OpKind{
		"full":    {errorfs.OpFileWrite},
		"no sync": {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
		"no file": {errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpRename},
		"no end":  {errorfs.OpFileClose},
		"nothing": {errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpCreate,
			errorfs.OpFileSyncData, errorfs.OpReuseForWrite, errorfs.OpRename,
			errorfs.OpFileSyncTo, errorfs.OpRemove},
	}
	failed := 0
	for name, ops := range kinds {
		for after := range 12 {
			if badDisk(t, fmt.Sprintf("%s after %d", name, after), ops, after) {
				failed++
			}
		}
	}
	if failed < 40 {
		t.Errorf("the disk failed in %d cases only", failed)
	}
}

// badDisk says whether the member met the failure.
func badDisk(t *testing.T, name string, ops []errorfs.OpKind, after int) bool {
	mem, count := vfs.NewMem(), atomic.Int64{}
	count.Store(math.MaxInt64)
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if slices.Contains(ops, op.Kind) && count.Add(-1) < 0 {
			return syscall.ENOSPC
		}
		return nil
	}))
	must(t, Create("mon", fs, 1, []uint64{1}, nothing))
	n, _ := lone(t, fs)
	count.Store(int64(after))
	var kept int
	var err error
	for ; kept < 24 && err == nil; kept++ {
		must(t, n.Propose(bytes.Repeat([]byte{byte(kept)}, 1<<20)))
		err = n.Work()
	}
	if err == nil {
		must(t, n.Close())
		return false
	}
	if !strings.Contains(err.Error(), "no space left on device") {
		t.Fatalf("%s: with a bad disk: %v", name, err)
	}
	if again := n.Work(); again != err {
		t.Fatalf("%s: it goes on: %v", name, again)
	}
	if n.Close() == nil {
		t.Fatalf("%s: Close hides the failure", name)
	}
	copied := vfs.NewMem() // the broken store holds the lock for as long as its process lives
	if ok, err := vfs.Clone(mem, copied, "mon", "mon"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	n, m := lone(t, copied)
	if len(m.seen) < kept-1 {
		t.Fatalf("%s: after the restart there are %d of %d", name, len(m.seen), kept-1)
	}
	must(t, n.Close())
	return true
}

// TestBadDiskAtStart has the disk fail while a store is opened whose log has to become a table: it
// is not opened, with an error that says why, instead of waiting for a table for ever.
func TestBadDiskAtStart(t *testing.T) {
	mem := vfs.NewMem()
	must(t, Create("mon", mem, 1, []uint64{1}, nothing))
	n, _ := lone(t, mem)
	for i := range 4 {
		must(t, n.Propose(bytes.Repeat([]byte{byte(i)}, 1<<20)))
		must(t, n.Work())
	}
	failed := 0
	for after := range 12 {
		copied, count := vfs.NewMem(), atomic.Int64{}
		if ok, err := vfs.Clone(mem, copied, "mon", "mon"); err != nil || !ok {
			t.Fatal(ok, err)
		}
		count.Store(int64(after))
		fs := errorfs.Wrap(copied, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileWrite && count.Add(-1) < 0 {
				return syscall.ENOSPC
			}
			return nil
		}))
		switch _, err := openDB("mon", fs, false); {
		case err == nil:
		case !errors.Is(err, syscall.ENOSPC):
			t.Fatalf("after %d: %v", after, err)
		default:
			failed++
		}
	}
	if failed < 6 {
		t.Errorf("the disk failed in %d cases only", failed)
	}
	must(t, n.Close())
}

// trio is three members that pass messages through a lossy network.
type trio struct {
	t     *testing.T
	nodes map[uint64]*Node
	ms    map[uint64]*counter
	mail  []letter
	r     *rand.Rand
	cut   uint64 // member that hears nothing
}

type letter struct {
	from, to uint64
	m        []byte
}

func newTrio(t *testing.T) *trio {
	x := &trio{t: t, nodes: map[uint64]*Node{}, ms: map[uint64]*counter{},
		r: rand.New(rand.NewSource(1))}
	ids := []uint64{1, 2, 3}
	for _, id := range ids {
		fs := vfs.NewMem()
		must(t, Create("mon", fs, id, ids, nothing))
		x.ms[id] = &counter{}
		n, err := Open("mon", Options{Machine: x.ms[id], FS: fs, Send: func(to uint64, m []byte) {
			x.mail = append(x.mail, letter{id, to, m})
		}})
		must(t, err)
		x.nodes[id] = n
	}
	return x
}

func (x *trio) step() {
	for _, id := range []uint64{1, 2, 3} {
		x.nodes[id].Tick()
		must(x.t, x.nodes[id].Work())
	}
	for range 20 {
		mail := x.mail
		x.mail = nil
		for _, l := range mail {
			if l.to == x.cut || l.from == x.cut || x.r.Intn(20) == 0 {
				continue
			}
			x.nodes[l.to].Step(l.m)
			must(x.t, x.nodes[l.to].Work())
		}
	}
}

func (x *trio) leader() *Node {
	for range 500 {
		for id, n := range x.nodes {
			if n.Leading() && id != x.cut {
				return n
			}
		}
		x.step()
	}
	x.t.Fatal("no leader")
	return nil
}

// TestThreeMembers loses messages, cuts a member off until it needs the whole state, and wants the
// same state everywhere in the end.
func TestThreeMembers(t *testing.T) {
	x := newTrio(t)
	x.leader()
	x.cut = x.leader().ID() // the old leader must step down and lose nothing that was applied
	for i := range 900 {
		if err := x.leader().Propose(fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		x.step()
	}
	cut := x.cut
	if x.nodes[cut].Leading() {
		t.Error("a leader without majority still leads")
	}
	x.cut = 0
	for range 300 {
		x.step()
	}
	want := x.ms[x.leader().ID()].seen
	if len(want) < 850 {
		t.Fatalf("only %d of 900 proposals applied", len(want))
	}
	for id, m := range x.ms {
		if !slices.Equal(m.seen, want) {
			t.Errorf("member %d has %d entries, the leader %d", id, len(m.seen), len(want))
		}
	}
	for _, n := range x.nodes {
		must(t, n.Close())
	}
}

// TestNewLeaderCountsWhoElectedIt: whom a new leader has last heard of before it was elected, as
// its predecessor, is not there as far as it knows, until it speaks again.
func TestNewLeaderCountsWhoElectedIt(t *testing.T) {
	x := newTrio(t)
	old := x.leader()
	x.cut = old.ID()
	n := x.leader()
	if active := n.Active(); len(active) != 2 || slices.Contains(active, old.ID()) {
		t.Errorf("after the election %v are there, of which %d is cut off", active, old.ID())
	}
	x.cut = 0
	for range 2 * electionTicks {
		x.step()
	}
	if active := x.leader().Active(); len(active) != 3 {
		t.Errorf("in the end %v are there", active)
	}
	for _, n := range x.nodes {
		must(t, n.Close())
	}
}

// TestPromiseSurvivesRestart: a member has promised a leader with a lease to vote for nobody else.
// A restart within the lease must not free it.
func TestPromiseSurvivesRestart(t *testing.T) {
	fs := vfs.NewMem()
	ids := []uint64{1, 2, 3}
	must(t, Create("mon", fs, 2, ids, nothing))
	granted := 0
	n, err := Open("mon", Options{Machine: &counter{}, FS: fs, Send: func(_ uint64, b []byte) {
		m := new(pb.Message)
		must(t, proto.Unmarshal(b, m))
		if m.GetType() == pb.MessageType_MsgPreVoteResp && !m.GetReject() {
			granted++
		}
	}})
	must(t, err)
	defer n.Close()
	ask, err := proto.Marshal(&pb.Message{Type: pb.MessageType_MsgPreVote.Enum(),
		From: ptr[uint64](3), To: ptr[uint64](2), Term: ptr[uint64](2),
		Index: ptr[uint64](firstIndex), LogTerm: ptr[uint64](firstTerm)})
	must(t, err)
	for tick := range electionTicks + 1 {
		n.Step(ask)
		must(t, n.Work())
		if tick < electionTicks && granted > 0 {
			t.Fatalf("votes %d ticks after it was started", tick)
		}
		n.Tick()
	}
	n.Step(ask)
	must(t, n.Work())
	if granted == 0 {
		t.Error("never votes")
	}
}

func newRand(seed uint64) *randv2.Rand { return randv2.New(randv2.NewPCG(seed, 1)) }
