package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Work does everything that is due: it makes new log entries durable, sends messages, applies what
// is committed. An error is a failure of the disk or of the machine and final: the member must
// stop.
func (n *Node) Work() (err error) {
	defer func() {
		if why := storeBroken(recover()); why != nil {
			n.failed, n.broken = why, true
			err = why
		}
	}()
	if n.failed == nil {
		n.failed = n.db.fs.failure()
	}
	for n.failed == nil && n.rn.HasReady() {
		rd := n.rn.Ready()
		if rd.SoftState != nil {
			n.lead = rd.SoftState.Lead
			if n.lead != 0 {
				n.silent = 0
			}
			if rd.SoftState.RaftState != raft.StateLeader {
				n.term, n.ready = 0, false
			} else {
				n.term = n.rn.BasicStatus().GetTerm()
			}
		}
		for _, s := range rd.ReadStates {
			n.confirmed(time.Duration(be64(s.RequestCtx)))
		}
		n.failed = errors.Join(n.save(&rd), n.apply(rd.CommittedEntries))
		if n.failed == nil {
			n.rn.Advance(rd)
			n.failed = n.compact()
		}
	}
	return n.failed
}

// save writes what must be durable before messages leave, then sends them.
func (n *Node) save(rd *raft.Ready) error {
	b := n.db.NewBatch()
	changes := false // members
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := n.install(b, rd.Snapshot); err != nil {
			return err
		}
	}
	if err := n.appendEntries(b, rd.Entries); err != nil {
		return err
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		hs, err := proto.Marshal(rd.HardState)
		if err = errors.Join(err, b.Set(keyHardState, hs, nil)); err != nil {
			return fmt.Errorf("write the vote: %w", err)
		}
		if changes, err = n.commitsChange(rd.HardState.GetCommit()); err != nil {
			return err
		}
		if err := n.ms.SetHardState(rd.HardState); err != nil {
			return err
		}
	}
	sync := pebble.NoSync
	if rd.MustSync || changes || !raft.IsEmptySnap(rd.Snapshot) {
		sync = pebble.Sync
	}
	if !b.Empty() {
		if err := n.db.commit(b, sync); err != nil {
			return fmt.Errorf("write the log: %w", err)
		}
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := n.opt.Machine.Restored(n.View()); err != nil {
			return fmt.Errorf("load the received state: %w", err)
		}
	}
	return n.send(rd.Messages)
}

// commitsChange says whether a change of members is committed that was not before. That has to be
// durable before a monitor which is removed hears of it and goes: two have made the change, and the
// one that is left could not find out alone that they had.
func (n *Node) commitsChange(commit uint64) (bool, error) {
	hs, _, err := n.ms.InitialState()
	first, err2 := n.ms.FirstIndex()
	if err = errors.Join(err, err2); err != nil {
		return false, err
	}
	from := max(hs.GetCommit()+1, first)
	if from > commit {
		return false, nil
	}
	entries, err := n.ms.Entries(from, commit+1, math.MaxUint64)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(entries, func(e *pb.Entry) bool {
		return e.GetType() != pb.EntryType_EntryNormal
	}), nil
}

// appendEntries puts entries into the log; a conflicting tail of an earlier term goes away.
func (n *Node) appendEntries(b *pebble.Batch, entries []*pb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	last, err := n.ms.LastIndex()
	if err != nil {
		return err
	}
	if first := entries[0].GetIndex(); first <= last {
		if err := b.DeleteRange(entryKey(first), entryKey(last+1), nil); err != nil {
			return err
		}
	}
	for _, e := range entries {
		v, err := proto.Marshal(e)
		if err = errors.Join(err, b.Set(entryKey(e.GetIndex()), v, nil)); err != nil {
			return fmt.Errorf("write log entry %d: %w", e.GetIndex(), err)
		}
	}
	return n.ms.Append(entries)
}

// install replaces log and state by a snapshot.
func (n *Node) install(b *pebble.Batch, s *pb.Snapshot) error {
	index, term := s.GetMetadata().GetIndex(), s.GetMetadata().GetTerm()
	cs, err := proto.Marshal(s.GetMetadata().GetConfState())
	err = errors.Join(err, restore(b, s.Data),
		b.DeleteRange(entryPrefix, prefixEnd(entryPrefix), nil),
		b.Set(keyConfState, cs, nil),
		b.Set(keyApplied, u64s(index), nil),
		b.Set(keyBase, u64s(index, term), nil))
	if err != nil {
		return fmt.Errorf("install snapshot %d: %w", index, err)
	}
	n.applied, n.base, n.cs = index, index, s.GetMetadata().GetConfState()
	head := &pb.Snapshot{Metadata: s.Metadata}
	return n.ms.ApplySnapshot(head)
}

func (n *Node) send(messages []*pb.Message) error {
	for _, m := range messages {
		b, err := proto.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode raft message: %w", err)
		}
		if n.opt.Send != nil {
			n.opt.Send(m.GetTo(), b)
		}
		if m.GetType() == pb.MessageType_MsgSnap {
			n.rn.ReportSnapshot(m.GetTo(), raft.SnapshotFinish)
		}
	}
	return nil
}

// apply hands committed entries to the machine, each with its index in one batch. Their
// durability is the log's: what is lost with the memory is applied again.
func (n *Node) apply(entries []*pb.Entry) error {
	for _, e := range entries {
		b := &Batch{b: n.db.NewBatch()}
		if err := n.applyOne(e, b); err != nil {
			return fmt.Errorf("apply log entry %d: %w", e.GetIndex(), err)
		}
		err := errors.Join(b.err, b.b.Set(keyApplied, u64s(e.GetIndex()), nil))
		if err == nil {
			err = n.db.commit(b.b, pebble.NoSync)
		}
		if err != nil {
			return fmt.Errorf("write state of entry %d: %w", e.GetIndex(), err)
		}
		n.applied = e.GetIndex()
		if n.term != 0 && e.GetTerm() == n.term && !n.ready {
			n.ready, n.lease = true, 0
			n.confirm()
		}
	}
	return nil
}

func (n *Node) applyOne(e *pb.Entry, b *Batch) error {
	if e.GetType() == pb.EntryType_EntryNormal {
		if len(e.Data) == 0 {
			return nil // the first entry of a new leader
		}
		return n.opt.Machine.Apply(e.GetIndex(), e.Data, b)
	}
	m := new(pb.ConfChange)
	if e.GetType() != pb.EntryType_EntryConfChange {
		return fmt.Errorf("change of members of an unknown kind %v", e.GetType())
	}
	if err := proto.Unmarshal(e.Data, m); err != nil {
		return err
	}
	n.cs = n.rn.ApplyConfChange(m)
	// The lease was confirmed by a majority of other members.
	n.lease = 0
	if n.ready {
		n.confirm()
	}
	v, err := proto.Marshal(n.cs)
	if err = errors.Join(err, b.b.Set(keyConfState, v, nil)); err != nil {
		return err
	}
	if len(m.Context) == 0 {
		return nil
	}
	return n.opt.Machine.Apply(e.GetIndex(), m.Context, b)
}

// compact drops old log entries.
func (n *Node) compact() error {
	if n.applied < n.base+keepEntries+compactEvery {
		return nil
	}
	to := n.applied - keepEntries
	term, err := n.ms.Term(to)
	if err != nil {
		return fmt.Errorf("compact the log: %w", err)
	}
	b := n.db.NewBatch()
	err = errors.Join(
		b.DeleteRange(entryPrefix, entryKey(to+1), nil),
		b.Set(keyBase, u64s(to, term), nil),
		n.ms.Compact(to))
	if err == nil {
		err = n.db.commit(b, pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("compact the log: %w", err)
	}
	n.base = to
	return nil
}

// raftLogger passes Raft's messages on; they are formatted already.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) put(f func(string, ...any), text string) {
	if l.log != nil {
		f("raft", "text", text)
	}
}
func (l raftLogger) Debug(v ...any)              {}
func (l raftLogger) Debugf(string, ...any)       {}
func (l raftLogger) Info(v ...any)               { l.put(l.debug, fmt.Sprint(v...)) }
func (l raftLogger) Infof(f string, v ...any)    { l.put(l.debug, fmt.Sprintf(f, v...)) }
func (l raftLogger) Warning(v ...any)            { l.put(l.warn, fmt.Sprint(v...)) }
func (l raftLogger) Warningf(f string, v ...any) { l.put(l.warn, fmt.Sprintf(f, v...)) }
func (l raftLogger) Error(v ...any)              { l.put(l.warn, fmt.Sprint(v...)) }
func (l raftLogger) Errorf(f string, v ...any)   { l.put(l.warn, fmt.Sprintf(f, v...)) }
func (l raftLogger) Fatal(v ...any)              { panic("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any)   { panic("raft: " + fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)              { panic("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any)   { panic("raft: " + fmt.Sprintf(f, v...)) }

func (l raftLogger) debug(m string, a ...any) { l.log.Debug(m, a...) }
func (l raftLogger) warn(m string, a ...any)  { l.log.Warn(m, a...) }
