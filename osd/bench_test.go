package osd

import (
	"fmt"
	"testing"

	"glue/auth/caps"
	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

// benchLink drops the answers.
type benchLink struct{ n int }

func (l *benchLink) Send(*message.Message) { l.n++ }

// BenchmarkWrite is the cost of a 4 KiB write in the primary and two replicas, all in one
// goroutine,
// over stores in memory and without messengers.
func BenchmarkWrite(b *testing.B) {
	s := newSim(b, 1, 3)
	s.quiet = true
	s.forward = true
	for range 3000 {
		s.step()
	}
	all, _ := caps.ParseOSD("allow *")
	l := &benchLink{}
	sess := &session{conn: l, caps: all, all: true, peer: msgr.Peer{
		Name: ceph.EntityName{Type: ceph.TypeClient, Num: 1}, Features: ceph.FeaturesAll}}
	data := make([]byte, 4096)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; {
		for range 16 {
			s.benchOp(sess, fmt.Sprintf("obj%d", i%1000), uint64(i+1), data)
			i++
		}
		s.drain()
	}
	b.StopTimer()
	if l.n < b.N {
		b.Fatalf("%d answers to %d requests", l.n, b.N)
	}
}

func (s *sim) benchOp(sess *session, name string, tid uint64, data []byte) {
	raw, _ := s.m.ObjectPG(simPool, name, "", "")
	pg := s.m.RawToPG(raw)
	_, _, _, primary := s.m.PGToUpActing(pg)
	m := &message.MOSDOp{PG: ceph.SPG{PGID: pg, Shard: ceph.NoShard}, Hash: raw.Seed,
		Epoch: s.m.Epoch, Flags: message.FlagWrite, Object: name, Snap: ceph.NoSnap,
		Locator: ceph.Locator{Pool: simPool, Hash: -1}, MTime: ceph.TimeOf(s.clock)}
	m.Ops = []message.OSDOp{{Code: message.OpWriteFull, In: data}}
	m.Ops[0].SetExtent(0, uint64(len(data)))
	msg := message.New(m)
	msg.TID = tid
	s.nodes[primary].d.route(m.PG, event{kind: evOp, sess: sess, msg: msg})
}

// drain runs everything that can run.
func (s *sim) drain() {
	for busy := true; busy; {
		busy = false
		for _, n := range s.nodes {
			for _, sh := range n.d.shards {
				busy = sh.turn() || busy
			}
			if p := n.store.Pending(); p > 0 {
				n.store.Complete(p)
				busy = true
			}
		}
		for _, k := range s.names {
			for len(s.links[k]) > 0 {
				s.deliver(k)
				busy = true
			}
		}
	}
}
