package peering

import (
	"testing"

	"glue/cluster/osdmap"
)

// TestEarlierNotifyIsNoAnswer: what an OSD said before it came up is not taken, so it is no answer
// either: the primary does not choose a log before it has heard of the OSD as it is now.
func TestEarlierNotifyIsNoAnswer(t *testing.T) {
	w := &world{t: t, machines: map[int32]*Machine{}, copies: map[int32]bool{},
		temp: nil, thru: map[int32]bool{}}
	w.cluster(4, 3, 2)
	w.run()
	w.mon()
	w.write("a", []int32{1, 0, 2})
	w.commit(func(inc *osdmap.Incremental) { // acting [1 2 3], and 0 took part before
		inc.NewWeight = map[int32]uint32{0: 0}
		inc.NewState = map[int32]osdmap.State{0: osdmap.OSDUp}
	})
	since := w.now().Epoch
	w.commit(func(inc *osdmap.Incremental) { up(inc, 0, w.now().Epoch) })
	w.publish()
	primary := w.machines[1]
	if primary.State() != GetInfo || !primary.asked[0] {
		t.Fatalf("osd.1 is %v and asks %v", primary.State(), primary.asked)
	}
	say := func(o int32) {
		n := Notify{Head: Head{From: o, Epoch: since, Interval: since}}
		if ma := w.machines[o]; ma != nil {
			n.Info = *ma.Info()
		}
		w.step(1, n)
	}
	for o := range int32(4) {
		if o != 1 {
			say(o)
		}
	}
	if primary.State() != GetInfo || !primary.asked[0] || primary.Peer(0) != nil {
		t.Fatalf("osd.1 is %v without osd.0, and asks %v", primary.State(), primary.asked)
	}
	since++
	say(0)
	if primary.State() == GetInfo || primary.Peer(0) == nil {
		t.Fatalf("osd.1 is %v when all have answered", primary.State())
	}
}
