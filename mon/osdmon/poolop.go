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
		return 0, nil, s.poolSnap(p, b.Name)
	case message.PoolDeleteSnap:
		return 0, nil, s.deletePoolSnap(now, id, p, b.Name)
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
	snap := p.SnapSeq + 1
	s.change(now, id, func(p *osdmap.Pool) {
		p.Flags |= osdmap.PoolSelfmanagedSnaps
		p.SnapSeq, p.SnapEpoch = snap, s.m.Epoch+1
	})
	return snap, denc.Marshal(&snap, ceph.FeaturesAll), 0
}

func (s *Service) deleteOwnSnap(now time.Time, id int64, p *osdmap.Pool,
	snap ceph.SnapID) ceph.Errno {
	switch {
	case p.Flags.Has(osdmap.PoolPoolSnaps) || !p.Flags.Has(osdmap.PoolSelfmanagedSnaps):
		return ceph.EINVAL
	case snap == 0 || snap > p.SnapSeq:
		return ceph.ENOENT
	case osdmap.ContainsSnap(s.m.RemovedSnapsQueue[id], snap):
		return 0
	}
	s.change(now, id, func(p *osdmap.Pool) { p.SnapEpoch = s.m.Epoch + 1 })
	inc := s.inc(now)
	put(&inc.NewRemovedSnaps, id, osdmap.AddSnap(inc.NewRemovedSnaps[id], snap))
	return 0
}

func (s *Service) findSnap(p *osdmap.Pool, name string) (ceph.SnapID, bool) {
	for id, sn := range p.Snaps {
		if sn.Name == name {
			return id, true
		}
	}
	return 0, false
}

func (s *Service) poolSnap(p *osdmap.Pool, name string) ceph.Errno {
	if p.Flags.Has(osdmap.PoolSelfmanagedSnaps) {
		return ceph.EINVAL
	}
	if _, ok := s.findSnap(p, name); ok {
		return ceph.EEXIST
	}
	return ceph.EOPNOTSUPP // OSDs make no clones yet, so no object of the pool could be written
}

func (s *Service) deletePoolSnap(now time.Time, id int64, p *osdmap.Pool, name string) ceph.Errno {
	snap, ok := s.findSnap(p, name)
	if !ok {
		return ceph.ENOENT
	}
	s.change(now, id, func(p *osdmap.Pool) {
		delete(p.Snaps, snap)
		p.SnapEpoch = s.m.Epoch + 1
	})
	inc := s.inc(now)
	put(&inc.NewRemovedSnaps, id, osdmap.AddSnap(inc.NewRemovedSnaps[id], snap))
	return 0
}

// createByName makes a pool for a client library, with all settings at their defaults.
func (s *Service) createByName(now time.Time, b *message.MPoolOp) ceph.Errno {
	if _, ok := s.m.PoolByName(b.Name); ok {
		return ceph.EEXIST
	}
	cmd, err := commands.Parse([]string{`{"prefix":"osd pool create"}`})
	if err != nil {
		return ceph.EINVAL
	}
	r := &service.Request{Command: cmd, Now: now}
	plan, bad := s.planPool(r, b.Name)
	if bad != nil {
		return bad.Err
	}
	s.makePool(r, plan)
	return 0
}
