package sim

import (
	"glue/ceph"
	"glue/cluster/osdmap"
)

// sharedMaps are the OSD maps of all OSDs and users, which make each of them once together.
type sharedMaps struct {
	list map[string]*osdmap.Map // by encoding, or that of the incremental
	seen func(m *osdmap.Map)    // gets all, once at least; may be nil
	// warp changes what an OSD takes a map for, as if it had a bug; honest then has the real ones.
	warp   func(osd int32, m *osdmap.Map)
	honest map[ceph.Epoch]*osdmap.Map
}

// maxShared bounds the list.
const maxShared = 1000

// read makes a map of its encoding, or of the one before it and that of the incremental.
func (s *sharedMaps) read(before *osdmap.Map, raw []byte) (*osdmap.Map, error) {
	if m := s.list[string(raw)]; m != nil {
		return m, nil
	}
	m, err := osdmap.Read(before, raw)
	if err != nil {
		return nil, err
	}
	if len(s.list) >= maxShared {
		clear(s.list)
	}
	if s.list[string(raw)] = m; s.seen != nil {
		s.seen(m)
	}
	return m, nil
}

// seenBy is the real map of what an OSD has.
func (s *sharedMaps) seenBy(m *osdmap.Map) *osdmap.Map {
	if h := s.honest[m.Epoch]; h != nil {
		return h
	}
	return m
}

// readFor is read as an OSD does it.
func (s *sharedMaps) readFor(o *osdHost, before *osdmap.Map, raw []byte) (*osdmap.Map, error) {
	if s.warp == nil {
		m, err := s.read(before, raw)
		if err == nil {
			o.c.roll.heard(o, m)
		}
		return m, err
	}
	if before != nil && s.honest[before.Epoch] != nil {
		before = s.honest[before.Epoch]
	}
	m, err := s.read(before, raw)
	if err != nil {
		return nil, err
	}
	if s.honest[m.Epoch] == nil {
		s.honest[m.Epoch] = m
	}
	o.c.roll.heard(o, m)
	m = m.Clone()
	s.warp(o.id, m)
	return m, nil
}
