package monmon

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"glue/ceph"
	"glue/cluster/monmap"
	"glue/mon/quorum"
	"glue/mon/service"
)

// The monitor map says who may take part and where they listen; the members of the quorum's log
// say who counts. A monitor that is added is in the map at once and becomes a member when its
// process asks to join. A member's id belongs to a store and not to a name: a monitor that comes
// back without its store has forgotten its votes and what it had acknowledged, so it must never
// pass for the old one.

// A Step is a change of the members that goes into the log together with what is prepared.
type Step struct {
	Kind quorum.Step
	ID   uint64
}

// InitialID is the member id of a monitor that was there when the cluster was made.
func InitialID(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return max(h.Sum64()&^(1<<63), 1)
}

func memberOf(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("a member id of %d bytes", len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// ID is the member id of a monitor, 0 for one that has not joined yet.
func (s *Service) ID(monitor string) uint64 {
	if id, ok := s.ids[monitor]; ok {
		return id
	}
	return InitialID(monitor)
}

// Rank is the rank of the monitor with a member id, -1 for none.
func (s *Service) Rank(id uint64) int {
	for rank, monitor := range s.m.Ranks {
		if id != 0 && s.ID(monitor) == id {
			return rank
		}
	}
	return -1
}

// Edit is the next map, to be edited.
func (s *Service) Edit(now ceph.Time) *monmap.Map {
	if s.next == nil {
		s.next = s.m.Clone()
		s.next.Epoch++
		s.next.LastChanged = now
	}
	return s.next
}

// Add wishes a new monitor, which has not joined yet.
func (s *Service) Add(now ceph.Time, m monmap.Mon) {
	s.Edit(now).Add(m)
	s.SetID(m.Name, 0)
}

// Remove wishes a monitor gone from the map, and its member from the log if it has one.
func (s *Service) Remove(now ceph.Time, monitor string) {
	s.Edit(now).Remove(monitor)
	s.facts.Remove(monitor)
	s.member.Remove(monitor)
}

// SetID wishes a monitor to be the member with an id.
func (s *Service) SetID(monitor string, id uint64) {
	s.member.Put(monitor, binary.BigEndian.AppendUint64(nil, id))
}

// SetStep wishes a change of the members.
func (s *Service) SetStep(kind quorum.Step, id uint64) { s.step = &Step{kind, id} }

// Step is the change of the members that is prepared, nil for none.
func (s *Service) Step() *Step { return s.step }

// applyMembers takes up new ids.
func (s *Service) applyMembers(e *service.Edit, out service.Writer) error {
	for monitor, b := range e.Set {
		if b == nil {
			delete(s.ids, monitor)
			continue
		}
		id, err := memberOf(b)
		if err != nil {
			return fmt.Errorf("change of monitors' members: %w", err)
		}
		s.ids[monitor] = id
	}
	e.Write(out, memberKey)
	return nil
}
