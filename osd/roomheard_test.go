package osd

import "testing"

// TestRoomIsHeardAgain: a primary that has heard that a copy has no room hears that there is some
// again although no request comes, and so refuses none that fits. Else the first one would be
// refused, whose answer tells it.
func TestRoomIsHeardAgain(t *testing.T) {
	s, c := quietSim(t, 6)
	s.put(c, 1, "before")
	s.until("clean", s.settled)
	n, _ := s.pgOf(1)
	copies := []int32{s.replicaOf(1).id}
	n.d.room.Heard(copies[0], 0)
	s.until("room", func() bool { return n.d.room.Peers(copies) > 0 })
	s.put(c, 1, "after")
	if got := s.get(c, 1); got != "after" {
		t.Errorf("%q was written", got)
	}
}
