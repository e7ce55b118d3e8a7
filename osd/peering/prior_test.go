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
	const up = osdmap.OSDExists | osdmap.OSDUp
	m := &osdmap.Map{MaxOSD: 3, Info: make([]osdmap.OSDInfo, 3)}
	for _, x := range []struct {
		acting []int32
		lost   ceph.Epoch // of osd.1
		state  osdmap.State
		down   bool
	}{
		{[]int32{0, 1}, 0, up, false},
		{[]int32{0, 1}, first, up, false}, // before the interval
		{[]int32{0, 1}, first + 1, up, true},
		{[]int32{0, 1}, first + 1, osdmap.OSDExists, true}, // seed 1795788690178707370
		{[]int32{0, 1, 2}, first + 1, up, false},
		{[]int32{0, 1, 2}, first + 1, osdmap.OSDExists, false},
		{[]int32{1}, first + 1, up, false}, // nobody is left
		{[]int32{1}, first + 1, osdmap.OSDExists, false},
	} {
		m.State = []osdmap.State{osdmap.OSDExists, x.state, up}
		m.Info[1].LostAt = x.lost
		p := priorSet{blocked: map[int32]ceph.Epoch{}}
		if p.interval(m, first, x.acting); p.pgDown != x.down {
			t.Errorf("%+v: down %v, blocked by %v", x, p.pgDown, p.blocked)
		}
	}
}
