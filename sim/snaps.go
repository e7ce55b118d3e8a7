package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/snaps"
	"glue/wire/message"
)

const (
	mostSnaps   = 4                // at a time
	snapPause   = 12 * time.Second // between two changes of the list, at most
	trimsWithin = 10 * time.Second // of the moment in which all PGs are clean
)

// snapshots is what the users' application knows: which snapshots there are. Users look at it now
// and then, so that some write under contexts that are old. Those of a pool are named, and OSDs
// take what there is of them from their maps.
type snapshots struct {
	c       *cluster
	ofPool  bool
	names   map[ceph.SnapID]string
	maps    map[ceph.Epoch]snaps.Context // what the pool had, by all maps that anybody has
	newest  ceph.Epoch                   // of these
	context snaps.Context
	gone    []ceph.SnapID // removed, all that there ever were
	removed time.Duration // when the last one was
	trims   time.Duration // when the manager last heard of a PG that had something to trim
}

// begin takes and removes snapshots until the end.
func (s *snapshots) begin() {
	w := s.c.w
	if w.over() {
		return
	}
	again := func() {
		w.after(time.Second+time.Duration(s.c.rng.Int64N(int64(snapPause))), s.begin)
	}
	list := s.context.Snaps
	switch {
	case s.c.calm:
		again()
	case len(list) < 1+s.c.rng.IntN(mostSnaps):
		s.take(again)
	default:
		s.remove(list[s.c.rng.IntN(len(list))], again)
	}
}

func (s *snapshots) take(then func()) {
	if s.ofPool {
		s.takeOfPool(then)
		return
	}
	s.c.operator.doPool(&message.MPoolOp{Pool: uint32(s.c.pool), Op: message.PoolCreateOwnSnap},
		func(b *message.MPoolOpReply) {
			if b.Result != 0 || len(b.Data) != 8 {
				s.c.w.fail("no snapshot: %d, %x", b.Result, b.Data)
				return
			}
			id := ceph.SnapID(binary.LittleEndian.Uint64(b.Data))
			if id <= s.context.Seq {
				s.c.w.fail("snapshot %d is given after %d", id, s.context.Seq)
			}
			s.context = snaps.Context{Seq: id,
				Snaps: append([]ceph.SnapID{id}, s.context.Snaps...)}
			s.c.w.result.Snaps++
			s.c.w.trace("snapshot", "id", id)
			then()
		})
}

// remove removes a snapshot that nobody is reading at or rolling back to.
func (s *snapshots) remove(id ceph.SnapID, then func()) {
	if s.c.inputs(func(i objInput) bool { return i.at == id }) {
		then()
		return
	}
	s.context.Snaps = slices.DeleteFunc(slices.Clone(s.context.Snaps),
		func(o ceph.SnapID) bool { return o == id })
	s.c.w.trace("snapshot is removed", "id", id)
	if s.ofPool {
		s.order("rmsnap", s.names[id], func(*osdmap.Pool) {
			s.gone, s.removed = append(s.gone, id), s.c.w.now
			then()
		})
		return
	}
	s.c.operator.doPool(&message.MPoolOp{Pool: uint32(s.c.pool), Op: message.PoolDeleteOwnSnap,
		SnapID: id}, func(b *message.MPoolOpReply) {
		if b.Result != 0 {
			s.c.w.fail("snapshot %d can't be removed: %d", id, b.Result)
			return
		}
		s.gone, s.removed = append(s.gone, id), s.c.w.now
		then()
	})
}

// takeOfPool takes a snapshot of the pool.
func (s *snapshots) takeOfPool(then func()) {
	name := fmt.Sprint("s", len(s.names))
	s.order("mksnap", name, func(p *osdmap.Pool) {
		id := s.find(p, name)
		if id != p.SnapSeq || id <= s.context.Seq {
			s.c.w.fail("snapshot %s is not the newest: %+v", name, p.Snaps)
		}
		s.c.w.result.Snaps++
		s.c.w.trace("snapshot", "id", id)
		then()
	})
}

// order has a snapshot of the pool made or removed.
func (s *snapshots) order(what, name string, then func(p *osdmap.Pool)) {
	s.c.operator.do(cmd(`{"prefix":"osd pool `+what+`","pool":%q,"snap":%q}`, poolName, name),
		func(result int32) {
			if result != 0 {
				s.c.w.fail("osd pool %s %s: %d", what, name, result)
				return
			}
			s.await(name, what == "mksnap", then)
		})
}

// await waits until a monitor is there that has the map of what was answered.
func (s *snapshots) await(name string, there bool, then func(p *osdmap.Pool)) {
	if m := s.c.newestMap(); m != nil && m.Pools[s.c.pool] != nil {
		p := m.Pools[s.c.pool]
		if (p.Snaps[s.find(p, name)].Name == name) == there {
			then(p)
			s.context = snaps.PoolContext(p)
			return
		}
	}
	if !s.c.w.over() {
		s.c.w.after(100*time.Millisecond, func() { s.await(name, there, then) })
	}
}

// find is the snapshot of a name, 0 for none.
func (s *snapshots) find(p *osdmap.Pool, name string) ceph.SnapID {
	for id, x := range p.Snaps {
		if x.Name == name {
			return id
		}
	}
	return 0
}

// heard notes what a map says of the pool's snapshots.
func (s *snapshots) heard(m *osdmap.Map) {
	id, ok := m.PoolByName(poolName)
	if !ok {
		return
	}
	s.maps[m.Epoch], s.newest = snaps.PoolContext(m.Pools[id]), max(s.newest, m.Epoch)
	for id, x := range m.Pools[id].Snaps { // OSDs may know before the operator has an answer
		s.names[id] = x.Name
	}
}

// among is under which of the pool's snapshots an OSD may have done what was sent with the map of
// one epoch and answered by that of another one.
func (s *snapshots) among(from, to ceph.Epoch) []snaps.Context {
	out := []snaps.Context{}
	for e := from; e <= to; e++ {
		x, ok := s.maps[e]
		x.Seq = s.taken(x.Seq)
		if n := len(out); ok && (n == 0 || out[n-1].Seq != x.Seq ||
			!slices.Equal(out[n-1].Snaps, x.Snaps)) {
			out = append(out, x)
		}
	}
	return out
}

// taken is the newest snapshot up to a number of the pool's: removals count there, too, and make no
// difference.
func (s *snapshots) taken(seq ceph.SnapID) ceph.SnapID {
	for seq > 0 && s.names[seq] == "" {
		seq--
	}
	return seq
}

// inputs says whether any request that may still be done is like that.
func (c *cluster) inputs(like func(i objInput) bool) bool {
	for _, u := range c.users {
		if slices.ContainsFunc(u.list, func(r *request) bool { return like(r.in) }) {
			return true
		}
	}
	for _, list := range c.objects.lost {
		for _, l := range list {
			if like(l.op.Input.(objInput)) {
				return true
			}
		}
	}
	return false
}

// known says whether anybody who knows of a snapshot may still write: he would make another clone
// for it if it were taken off the map's queue, as in Ceph.
func (s *snapshots) known(id ceph.SnapID) bool {
	if s.ofPool {
		return false // PGs have purged it under maps that say that it is gone
	}
	has := func(list []ceph.SnapID) bool { return slices.Contains(list, id) }
	for _, u := range s.c.users {
		if has(u.snaps.Snaps) {
			return true
		}
	}
	return s.c.inputs(func(i objInput) bool { return has(i.snaps.Snaps) })
}

// live says whether a snapshot was never removed.
func (s *snapshots) live(id ceph.SnapID) bool { return slices.Contains(s.context.Snaps, id) }

// look lets a user hear of snapshots, or not.
func (u *user) look() {
	if u.c.snaps != nil && u.rng.IntN(2) == 0 {
		u.snaps = u.c.snaps.context
	}
}

// withSnaps makes some reads those of snapshots, some writes rollbacks, and all others writes under
// a context.
func (u *user) withSnaps(in objInput) objInput {
	if u.c.snaps == nil {
		return in
	}
	u.look()
	list := u.c.snaps.context.Snaps
	if n := len(list); n > 0 {
		at := list[u.rng.IntN(n)]
		switch {
		case in.kind == readAll && u.rng.IntN(2) == 0:
			in.at = at
		case in.kind != readAll && u.rng.IntN(12) == 0:
			in.kind, in.at = rollBack, at
		}
	}
	if in.kind != readAll && !u.c.snaps.ofPool {
		in.snaps = u.snaps
	}
	return in
}
