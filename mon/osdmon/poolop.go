package osdmon

import (
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/commands"
	"glue/cluster/osdmap"
	"glue/mon/service"
	"glue/wire/message"
)

// PoolOp prepares a client library's change of a pool. The reply's data of a new snapshot is its
// id, which is returned as well.
func (s *Service) PoolOp(now time.Time, b *message.MPoolOp) (ceph.SnapID, []byte, ceph.Errno) {
	id := int64(b.Pool)
	p := s.m.Pool(id)
	if b.Op != message.PoolCreate && p == nil {
		return 0, nil, ceph.ENOENT
	}
	switch b.Op {
	case message.PoolCreateOwnSnap:
		return s.ownSnap(now, id, p)
	case message.PoolDeleteOwnSnap:
		return 0, nil, s.deleteOwnSnap(now, id, p, b.SnapID)
	case message.PoolCreateSnap:
		return 0, nil, done(s.makePoolSnap(now, id, p, b.Name), ceph.EEXIST)
	case message.PoolDeleteSnap:
		return 0, nil, done(s.removePoolSnap(now, id, p, b.Name), ceph.ENOENT)
	case message.PoolDelete:
		if s.mayRemove(p) != nil {
			return 0, nil, ceph.EPERM
		}
		if s.dropPool(now, id) != nil {
			return 0, nil, ceph.EINVAL
		}
		return 0, nil, 0
	case message.PoolCreate:
		return 0, nil, s.createByName(now, b)
	}
	return 0, nil, ceph.EINVAL
}

// change prepares an edited copy of a pool.
func (s *Service) change(now time.Time, id int64, f func(p *osdmap.Pool)) {
	inc := s.inc(now)
	p := s.m.Pool(id).Clone()
	f(p)
	p.LastChange = inc.Epoch
	put(&inc.NewPools, id, p)
}

func (s *Service) ownSnap(now time.Time, id int64, p *osdmap.Pool) (ceph.SnapID, []byte,
	ceph.Errno) {
	if p.Flags.Has(osdmap.PoolPoolSnaps) {
		return 0, nil, ceph.EINVAL // one pool has snapshots of one kind
	}
	snap := max(p.SnapSeq, 1) + 1 // the first is 2, as in Ceph
	s.changeSnaps(now, id, func(p *osdmap.Pool) {
		p.Flags |= osdmap.PoolSelfmanagedSnaps
		p.SnapSeq = snap
	})
	return snap, denc.Marshal(&snap, ceph.FeaturesAll), 0
}

// changeSnaps prepares a change of a pool's snapshots.
func (s *Service) changeSnaps(now time.Time, id int64, f func(p *osdmap.Pool)) {
	s.change(now, id, func(p *osdmap.Pool) {
		f(p)
		p.SnapEpoch = s.m.Epoch + 1
	})
}

// removeSnap queues a snapshot whose clones OSDs have to trim. The pool's sequence goes on, so that
// who writes next knows of it.
func (s *Service) removeSnap(now time.Time, id int64, snap ceph.SnapID) {
	s.changeSnaps(now, id, func(p *osdmap.Pool) {
		delete(p.Snaps, snap)
		p.SnapSeq++
	})
	inc := s.inc(now)
	put(&inc.NewRemovedSnaps, id, osdmap.AddSnap(inc.NewRemovedSnaps[id], snap))
}

// deleteOwnSnap removes a snapshot that a client manages itself. One that is gone already is queued
// again: OSDs find nothing to trim.
func (s *Service) deleteOwnSnap(now time.Time, id int64, p *osdmap.Pool,
	snap ceph.SnapID) ceph.Errno {
	switch {
	case p.Flags.Has(osdmap.PoolPoolSnaps):
		return ceph.EINVAL
	case !p.Flags.Has(osdmap.PoolSelfmanagedSnaps):
		return ceph.EOPNOTSUPP
	case snap == 0 || snap > p.SnapSeq:
		return ceph.ENOENT
	case osdmap.ContainsSnap(s.m.RemovedSnapsQueue[id], snap):
		return 0
	}
	s.removeSnap(now, id, snap)
	return 0
}

func findSnap(p *osdmap.Pool, name string) (ceph.SnapID, bool) {
	for id, sn := range p.Snaps {
		if sn.Name == name {
			return id, true
		}
	}
	return 0, false
}

// makePoolSnap gives a pool a snapshot of its own: EINVAL if clients manage theirs there, EEXIST
// for a name that there is.
func (s *Service) makePoolSnap(now time.Time, id int64, p *osdmap.Pool, name string) ceph.Errno {
	if p.Flags.Has(osdmap.PoolSelfmanagedSnaps) {
		return ceph.EINVAL
	}
	if _, ok := findSnap(p, name); ok {
		return ceph.EEXIST
	}
	s.changeSnaps(now, id, func(p *osdmap.Pool) {
		p.Flags |= osdmap.PoolPoolSnaps
		p.SnapSeq++
		put(&p.Snaps, p.SnapSeq, osdmap.PoolSnap{ID: p.SnapSeq, Name: name,
			Stamp: ceph.TimeOf(now)})
	})
	return 0
}

// removePoolSnap removes one: EINVAL likewise, ENOENT if there is none of the name.
func (s *Service) removePoolSnap(now time.Time, id int64, p *osdmap.Pool, name string) ceph.Errno {
	if p.Flags.Has(osdmap.PoolSelfmanagedSnaps) {
		return ceph.EINVAL
	}
	snap, ok := findSnap(p, name)
	if !ok {
		return ceph.ENOENT
	}
	s.removeSnap(now, id, snap)
	return 0
}

// done is the answer to a client library that wants what is so already.
func done(e, already ceph.Errno) ceph.Errno {
	if e == already {
		return 0
	}
	return e
}

// tickSnaps takes removed snapshots off the map's queue that no PG has clones of any more.
func (s *Service) tickSnaps(now time.Time) {
	left := uint64(s.opt.Options().Int("mon_max_snap_prune_per_epoch"))
	if left == 0 {
		left = 1 << 62
	}
	for _, id := range s.m.PoolIDs() {
		queue := s.m.RemovedSnapsQueue[id]
		if len(queue) == 0 {
			continue
		}
		purged := osdmap.FirstSnaps(osdmap.IntersectSnaps(queue, s.opt.Purged(id)), left)
		if len(purged) > 0 {
			left -= osdmap.CountSnaps(purged)
			put(&s.inc(now).NewPurgedSnaps, id, purged)
		}
	}
}

// createByName makes a pool for a client library, with all settings at their defaults but the rule:
// ENOENT for one that there is not, EINVAL for one that is not for replicated pools.
func (s *Service) createByName(now time.Time, b *message.MPoolOp) ceph.Errno {
	if _, ok := s.m.PoolByName(b.Name); ok {
		return ceph.EEXIST
	}
	cmd, err := commands.Parse([]string{`{"prefix":"osd pool create"}`})
	if err != nil {
		return ceph.EINVAL
	}
	r := &service.Request{Command: cmd, Now: now}
	plan, bad := s.planPool(r, b.Name, int(b.Rule))
	if bad != nil {
		return bad.Err
	}
	s.makePool(r, plan)
	return 0
}
