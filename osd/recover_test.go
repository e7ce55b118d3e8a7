package osd

import (
	"bytes"
	"fmt"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/osd/snaps"
	"glue/store/memstore"
	"glue/wire/message"
)

// write runs a data operation on an object.
func (s *sim) write(c *simClient, object int, off uint64, data []byte) {
	s.t.Helper()
	op := message.OSDOp{Code: message.OpWrite, In: data}
	op.SetExtent(off, uint64(len(data)))
	s.update(c, object, op)
}

func (s *sim) update(c *simClient, object int, op message.OSDOp) {
	s.t.Helper()
	c.tid++
	c.op = &simOp{object: object, tid: c.tid, call: int64(s.steps), write: []message.OSDOp{op}}
	s.until("write", func() bool { return c.op == nil })
}

func quietSim(t *testing.T, seed uint64) (*sim, *simClient) {
	s := calm(t, seed)
	c := &simClient{s: s}
	s.cl = append(s.cl, c)
	s.quiet = true
	s.rest()
	return s, c
}

// replicaOf is a copy of an object that is not the primary's.
func (s *sim) replicaOf(object int) *simNode {
	n, p := s.pgOf(object)
	acting, _ := p.m.Acting()
	for _, o := range acting {
		if o != n.id {
			return s.nodes[o]
		}
	}
	return nil
}

// recovered sums up what all primaries have sent.
func (s *sim) recovered() (objects, sent int64) {
	for _, n := range s.nodes {
		if n.d == nil {
			continue
		}
		for _, sh := range n.d.shards {
			for _, p := range sh.pgs {
				objects += p.stats.Recovered
				sent += p.stats.RecoveredBytes
			}
		}
	}
	return objects, sent
}

// TestRecoveryMovesOnlyChanges: a copy that was away while a few blocks of a large object were
// written is sent these blocks.
func TestRecoveryMovesOnlyChanges(t *testing.T) {
	s, c := quietSim(t, 6)
	s.write(c, 0, 0, bytes.Repeat([]byte("glue"), 1<<20))
	s.until("clean", s.settled)
	s.stop(s.replicaOf(0))
	_, before := s.recovered()
	const blocks, size = 6, 4096
	for i := range uint64(blocks) {
		s.write(c, 0, i*600_000, bytes.Repeat([]byte{byte(i + 1)}, size))
	}
	for _, n := range s.nodes {
		if n.d == nil {
			s.restart(n)
		}
	}
	s.until("clean", s.settled)
	s.checkCopies(0)
	_, after := s.recovered()
	if ratio := float64(after-before) / (blocks * size); ratio < 1 || ratio > 1.05 {
		t.Errorf("%d bytes moved, %.3f of what changed", after-before, ratio)
	}
}

// TestRecoveryMovesOnlyKeys: a copy that was away while a few keys of a large omap were set and
// removed is sent these keys.
func TestRecoveryMovesOnlyKeys(t *testing.T) {
	s, c := quietSim(t, 6)
	set := func(pairs map[string][]byte) {
		e := denc.NewEncoder(nil, 0)
		denc.MapFunc(e, &pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
		s.update(c, 0, message.OSDOp{Code: message.OpOmapSetVals, In: e.Bytes()})
	}
	all := map[string][]byte{}
	for i := range 300 {
		all[fmt.Sprint("key-", i)] = []byte("value")
	}
	set(all)
	s.until("clean", s.settled)
	s.stop(s.replicaOf(0))
	set(map[string][]byte{"key-7": []byte("other"), "new": []byte("value")})
	gone, e := []string{"key-8"}, denc.NewEncoder(nil, 0)
	denc.ListFunc(e, &gone, (*denc.Coder).Str)
	s.update(c, 0, message.OSDOp{Code: message.OpOmapRmKeys, In: e.Bytes()})
	for _, n := range s.nodes {
		if n.d == nil {
			s.restart(n)
		}
	}
	s.until("clean", s.settled)
	s.checkCopies(0)
	_, p := s.pgOf(0)
	if p.stats.RecoveredKeys != 2 {
		t.Errorf("%d keys moved, two were set", p.stats.RecoveredKeys)
	}
}

// overSnap is a write of a few bytes under a new snapshot.
func (s *sim) overSnap(c *simClient, object int, id ceph.SnapID, off uint64) {
	s.t.Helper()
	s.snaps = snaps.Context{Seq: id, Snaps: append([]ceph.SnapID{id}, s.snaps.Snaps...)}
	op := message.OSDOp{Code: message.OpWrite, In: bytes.Repeat([]byte{byte(id)}, 4096)}
	op.SetExtent(off, 4096)
	c.tid++
	c.op = &simOp{object: object, tid: c.tid, call: int64(s.steps), snaps: s.snaps,
		write: []message.OSDOp{op}}
	s.until("write", func() bool { return c.op == nil })
}

// TestFamiliesMoveOnce: a copy that was away while an object was cloned and written makes the clone
// of what it has, and one that is filled anew gets what clones have in common once.
func TestFamiliesMoveOnce(t *testing.T) {
	for _, anew := range []bool{false, true} {
		s, c := quietSim(t, 6)
		s.write(c, 0, 0, bytes.Repeat([]byte("glue"), 1<<20))
		s.until("clean", s.settled)
		away, want := s.replicaOf(0), 4096
		s.stop(away)
		s.overSnap(c, 0, 1, 100_000)
		if anew {
			want = 4<<20 + 3*4096
			s.overSnap(c, 0, 2, 300_000)
			s.overSnap(c, 0, 3, 3_000_000)
			away.store = memstore.New(memstore.Options{Manual: true}) // another disk
		}
		_, before := s.recovered()
		s.restart(away)
		s.until("clean", s.settled)
		s.checkCopies(0)
		s.checkSnaps()
		_, after := s.recovered()
		if moved := after - before; float64(moved) > 1.05*float64(want) {
			t.Errorf("filled anew %v: %d bytes moved, %d have changed", anew, moved, want)
		}
	}
}

// TestBackfillGoesOn: a backfill that is interrupted goes on where it was, and copies nothing
// twice but what was on its way.
func TestBackfillGoesOn(t *testing.T) {
	s, c := quietSim(t, 6)
	pushed := map[ceph.HObject]int{}
	s.tamper = func(b message.Body) {
		if m, ok := b.(*message.MOSDPGPush); ok {
			pushed[m.Pushes[0].Object]++
		}
	}
	const objects = 1200
	away := s.nodes[2]
	s.stop(away)
	for i := range objects {
		s.put(c, i, simValue(0, i))
	}
	away.off = false
	s.start(away)
	half := func() *pg { // a PG that is about half backfilled
		for _, n := range s.nodes {
			for _, sh := range n.d.shards {
				for _, p := range sh.pgs {
					if p.active && p.primary && p.m.NeedsBackfill() &&
						!p.m.Peer(away.id).Info.LastBackfill.IsMin() {
						return p
					}
				}
			}
		}
		return nil
	}
	s.until("half of a PG", func() bool { return half() != nil })
	p := half()
	id, reached := p.id, p.m.Peer(away.id).Info.LastBackfill
	clear(pushed)
	other := s.replicaOf(0)
	if other == away {
		other, _ = s.pgOf(0)
	}
	s.markDown(other.id)
	s.until("clean", s.settled)
	again, total := 0, 0
	for o, n := range pushed {
		if s.m.Pools[simPool].FoldSeed(o.Hash) != id.Seed {
			continue
		}
		total += n
		if o.Compare(reached) <= 0 {
			again += n
		}
	}
	if again > 0 || total == 0 {
		t.Errorf("%d of %d objects were copied again", again, total)
	}
	for i := range objects {
		s.checkCopies(i)
	}
}

// TestRequestsDoNotWaitForOthers: with a backlog that is not even recovered, a write to one of its
// objects waits for that object alone.
func TestRequestsDoNotWaitForOthers(t *testing.T) {
	s, c := quietSim(t, 6)
	const objects = 60
	away := s.nodes[1]
	s.stop(away)
	for i := range objects {
		s.put(c, i, simValue(0, i))
	}
	s.flags(osdmap.FlagNoRecover | osdmap.FlagNoBackfill)
	s.restart(away)
	waiting := 0
	for _, n := range s.nodes {
		for _, sh := range n.d.shards {
			for _, p := range sh.pgs {
				if p.primary && p.state().Any(pgstat.RecoveryWait|pgstat.BackfillWait) {
					waiting++
				}
			}
		}
	}
	before, _ := s.recovered()
	for i := range 5 {
		s.put(c, i, simValue(1, i))
		if got := s.get(c, i); got != simValue(1, i) {
			t.Errorf("read %q", got)
		}
	}
	after, _ := s.recovered()
	if waiting == 0 || after-before > 10 { // at most to the primary, and from there
		t.Errorf("%d PGs wait, %d objects were recovered for 5", waiting, after-before)
	}
	s.flags(0)
	s.until("clean", s.settled)
	for i := range objects {
		s.checkCopies(i)
	}
}

// TestRecoveryLimit: a PG that begins several objects at a time keeps within what may be under way.
func TestRecoveryLimit(t *testing.T) {
	s, c := quietSim(t, 6)
	const objects, limit = 60, 3
	away := s.nodes[1]
	s.stop(away)
	for i := range objects {
		s.put(c, i, simValue(0, i))
	}
	set := func(n *simNode) {
		config := *n.d.config.Load()
		config.background.SingleStart, config.background.MaxActive = 8, limit
		config.background.Depth = limit
		n.d.config.Store(&config)
	}
	for _, n := range s.nodes {
		if n != away {
			set(n)
		}
	}
	away.off = false
	s.start(away)
	set(away)
	most := int64(0)
	s.until("clean", func() bool {
		for _, n := range s.nodes {
			most = max(most, n.d.slots.active.Load())
		}
		return s.settled()
	})
	if most != limit {
		t.Errorf("%d objects were under way, the limit is %d", most, limit)
	}
}
