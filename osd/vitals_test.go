package osd

import (
	"errors"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/heartbeat"
	"glue/osd/pinger"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A noBeat is a connection for pings on which none arrive.
type noBeat struct{}

func (noBeat) Send(*message.Message)       {}
func (noBeat) Close()                      {}
func (noBeat) Ended() (gone, refused bool) { return false, false }

// boot marks a node up at its address.
func (s *sim) boot(n *simNode) {
	inc := s.change()
	inc.NewUpClient = map[int32]ceph.AddrVec{n.id: n.addrs}
	inc.NewUpCluster = map[int32]ceph.AddrVec{n.id: n.addrs}
	inc.NewHBBack = map[int32]ceph.AddrVec{n.id: n.addrs}
	inc.NewHBFront = map[int32]ceph.AddrVec{n.id: n.addrs}
	s.commit(inc)
}

func (s *sim) markDown(osd int32) {
	inc := s.change()
	inc.NewState = map[int32]osdmap.State{osd: osdmap.OSDUp}
	s.commit(inc)
}

// A pong counts answers to pings.
type pong struct{ n int }

func (p *pong) Send(*message.Message) { p.n++ }

// answers says whether a node answers a ping after time has gone by, while its goroutines do
// nothing but what hangs.
func (n *simNode) answers(after time.Duration) bool {
	for end := n.s.clock.Add(after); n.s.clock.Before(end); {
		n.s.clock = n.s.clock.Add(pinger.TickEvery)
		n.d.pinger.Tick()
	}
	var p pong
	n.d.pinger.Heard(heartbeat.Front, &p, &message.MOSDPing{FSID: n.s.m.FSID, OSD: 1,
		Epoch: n.epoch, Kind: message.PingPing})
	return p.n == 1
}

// TestHungOSDDoesNotAnswer: an idle OSD answers pings, also after long; one whose store or shard
// hangs does not, until it goes on.
func TestHungOSDDoesNotAnswer(t *testing.T) {
	s, _ := quietSim(t, 3)
	n := s.nodes[0]
	sh := n.d.shards[0]
	if !n.answers(time.Hour) {
		t.Fatal("an idle OSD does not answer")
	}
	sh.post(event{kind: evCall, call: func(sh *shard) {
		var txn objectstore.Transaction
		txn.PutMeta("test", []byte("1"))
		sh.submit(pending{txn: &txn})
	}})
	sh.turn()
	if !n.answers(10 * time.Second) {
		t.Error("no answer although the store is only slow")
	}
	if n.answers(6 * time.Second) {
		t.Error("an OSD answers whose store has done nothing for 16 s")
	}
	n.store.Complete(n.store.Pending())
	if !n.answers(pinger.TickEvery) {
		t.Error("no answer although the store goes on")
	}
	begun, end, ended := make(chan bool), make(chan bool), make(chan bool)
	sh.post(event{kind: evCall, call: func(*shard) {
		close(begun)
		<-end
	}})
	go func() {
		sh.turn()
		close(ended)
	}()
	<-begun
	if n.answers(16 * time.Second) {
		t.Error("an OSD answers whose shard hangs")
	}
	close(end)
	<-ended
	if !n.answers(pinger.TickEvery) {
		t.Error("no answer although the shard goes on")
	}
}

// TestMarkedDownTooOften: an OSD that others find dead more than osd_max_markdown_count times ends
// instead of booting again. That it has asked for it itself does not count.
func TestMarkedDownTooOften(t *testing.T) {
	s, _ := quietSim(t, 3)
	n := s.nodes[0]
	set, err := n.d.config.Load().set.With(map[string]string{"osd_max_markdown_count": "2"})
	if err != nil {
		t.Fatal(err)
	}
	n.d.takeConfig(set)
	fatal := make(chan error, 1)
	n.d.opt.OnFatal = func(err error) { fatal <- err }
	flap := func() {
		for n.epoch < s.m.Epoch {
			s.publish(n)
		}
		s.markDown(n.id)
		for n.epoch < s.m.Epoch {
			s.publish(n)
		}
		s.boot(n)
		for n.epoch < s.m.Epoch {
			s.publish(n)
		}
	}
	for i := range 4 {
		n.d.boot.rejoin = i == 1 || i == 2
		flap()
		if !n.d.booted.Load() || n.d.dead.Load() {
			t.Fatalf("down for good after %d", i+1)
		}
	}
	s.clock = s.clock.Add(11 * time.Minute)
	for i := range 2 {
		flap()
		if n.d.dead.Load() {
			t.Fatalf("those of eleven minutes ago count, at %d", i)
		}
	}
	flap()
	if err := <-fatal; !errors.Is(err, ErrMarkedDown) {
		t.Errorf("ends with %v", err)
	}
	n.d.boot.target, n.d.boot.sent = 1, time.Time{}
	n.d.booted.Store(false)
	if n.d.tryBoot(); !n.d.boot.sent.IsZero() {
		t.Error("it boots again all the same")
	}
}
