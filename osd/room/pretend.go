package room

import (
	"fmt"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/store/objectstore"
)

// failsafeFull is as full as the map can say, and the OSD takes nothing from clients.
const failsafeFull = "failsafe"

var pretences = map[string]osdmap.State{"none": 0, "nearfull": osdmap.OSDNearfull,
	"backfillfull": osdmap.OSDBackfillfull, "full": osdmap.OSDFull, failsafeFull: osdmap.OSDFull}

// Pretend has the store look as full as an operator wants to see it, for so many looks of State or,
// below 0, until the next call (injectfull). Deletes work and nothing is lost. EINVAL for a kind
// that there is not.
func (r *Room) Pretend(kind string, looks int64) error {
	if _, ok := pretences[kind]; !ok {
		return fmt.Errorf("%q is not one of none, nearfull, backfillfull, full, failsafe: %w",
			kind, ceph.EINVAL)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pretended, r.looks = kind, looks; kind == "none" || looks == 0 {
		r.pretended = ""
	}
	return nil
}

// State is how full the map is to say that the store is, of which it says have now.
func (r *Room) State(
	u objectstore.Usage, m *osdmap.Map, failsafe float32, have osdmap.State,
) osdmap.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pretended == "" {
		return state(u, m, failsafe, have)
	}
	want := pretences[r.pretended]
	if r.looks--; r.looks == 0 {
		r.pretended = ""
	}
	return want
}
