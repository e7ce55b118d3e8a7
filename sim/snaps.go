package sim

import (
	"encoding/binary"
	"slices"
	"time"

	"glue/ceph"
	"glue/osd/snaps"
	"glue/wire/message"
)

const (
	mostSnaps   = 4                // at a time
	snapPause   = 12 * time.Second // between two changes of the list, at most
	trimsWithin = 10 * time.Second // of the moment in which all PGs are clean
)

// snapshots is what the users' application knows: which snapshots there are. Users look at it now
// and then, so that some write under contexts that are old.
type snapshots struct {
	c       *cluster
	context snaps.Context
	gone    []ceph.SnapID // removed, all that there ever were
	removed time.Duration // when the last one was
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
	if in.kind != readAll {
		in.snaps = u.snaps
	}
	return in
}
