package peering

import (
	"testing"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// TestOtherDiskIsNoSurvivor: an OSD whose disk was replaced after an interval can't tell what was
// written then. While somebody who can is down, the PG waits.
func TestOtherDiskIsNoSurvivor(t *testing.T) {
	const first = ceph.Epoch(10)
	m := &osdmap.Map{MaxOSD: 3, Info: make([]osdmap.OSDInfo, 3), State: []osdmap.State{
		osdmap.OSDExists, osdmap.OSDExists | osdmap.OSDUp, osdmap.OSDExists | osdmap.OSDUp}}
	for _, x := range []struct {
		acting []int32
		lost   ceph.Epoch // of osd.1
		down   bool
	}{
		{[]int32{0, 1}, 0, false},
		{[]int32{0, 1}, first, false}, // before the interval
		{[]int32{0, 1}, first + 1, true},
		{[]int32{0, 1, 2}, first + 1, false},
		{[]int32{1}, first + 1, false}, // nobody is left
	} {
		m.Info[1].LostAt = x.lost
		p := priorSet{blocked: map[int32]ceph.Epoch{}}
		if p.interval(m, first, x.acting); p.pgDown != x.down {
			t.Errorf("%+v: down %v, blocked by %v", x, p.pgDown, p.blocked)
		}
	}
}
