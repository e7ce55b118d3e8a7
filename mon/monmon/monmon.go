// Package monmon keeps the monitor map with its history, and what the monitors say of the machines
// they run on.
//
// A Service belongs to the monitor's loop; its Map is immutable. The commands are those of Ceph
// 16.2's mon/MonmapMonitor.cc.
package monmon

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/monmap"
	"glue/mon/service"
)

const (
	name      = "mon"
	mapKey    = name + "/map/"
	metaKey   = name + "/meta/"
	memberKey = name + "/member/" // u64 by monitor
	keep      = 100               // epochs
)

// A Quorum tells who leads and who is in.
type Quorum interface {
	Leader() int // rank, -1 for none
	Members() []int
	Term() uint64
}

// A Service is the monitor map's service.
type Service struct {
	read   service.Reader
	quorum Quorum
	m      *monmap.Map
	first  ceph.Epoch
	meta   map[string]map[string]string
	ids    map[string]uint64 // in the quorum's log
	next   *monmap.Map
	facts  service.Edit // metadata by monitor
	member service.Edit // ids
	step   *Step
}

// New makes a service; r reads earlier epochs.
func New(r service.Reader, q Quorum) *Service {
	return &Service{read: r, quorum: q, meta: map[string]map[string]string{},
		ids: map[string]uint64{}}
}

// Name is "mon".
func (s *Service) Name() string { return name }

// Map is the committed map.
func (s *Service) Map() *monmap.Map { return s.m }

// Metadata is what a monitor said of its machine.
func (s *Service) Metadata(id string) map[string]string { return s.meta[id] }

func key(e ceph.Epoch) string { return fmt.Sprintf("%s%08x", mapKey, uint32(e)) }

// Initial writes the first map into a new store.
func Initial(w service.Writer, m *monmap.Map) { w.Set(key(m.Epoch), Encode(m)) }

// Encode is the map's bytes.
func Encode(m *monmap.Map) []byte { return denc.Marshal(m, ceph.FeaturesAll) }

// Load reads the newest map.
func (s *Service) Load(r service.Reader) error {
	s.m, s.first, s.meta = nil, 0, map[string]map[string]string{}
	s.ids = map[string]uint64{}
	var failed error
	err := r.Scan(mapKey, func(_ string, value []byte) bool {
		m := &monmap.Map{}
		failed = denc.Unmarshal(append([]byte{}, value...), m, ceph.FeaturesAll)
		if s.first == 0 {
			s.first = m.Epoch
		}
		s.m = m
		return failed == nil
	})
	if err == nil && failed == nil {
		err = r.Scan(metaKey, func(key string, value []byte) bool {
			facts := map[string]string{}
			failed = json.Unmarshal(value, &facts)
			s.meta[key[len(metaKey):]] = facts
			return failed == nil
		})
	}
	if err == nil && failed == nil {
		err = r.Scan(memberKey, func(key string, value []byte) bool {
			s.ids[key[len(memberKey):]], failed = memberOf(value)
			return failed == nil
		})
	}
	switch {
	case err != nil:
		return fmt.Errorf("load monitor map: %w", err)
	case failed != nil:
		return fmt.Errorf("load monitor map: %w", failed)
	case s.m == nil:
		return fmt.Errorf("load monitor map: the store has none")
	}
	return nil
}

// SetMetadata wishes what a monitor says of its machine, if it differs.
func (s *Service) SetMetadata(id string, facts map[string]string) {
	if maps.Equal(s.meta[id], facts) {
		return
	}
	b, err := json.Marshal(facts)
	if err == nil {
		s.facts.Put(id, b)
	}
}

// Dirty says whether something is prepared.
func (s *Service) Dirty() bool {
	return s.next != nil || s.step != nil || !s.facts.Empty() || !s.member.Empty()
}

// Discard forgets what is prepared.
func (s *Service) Discard() {
	s.next, s.step, s.facts, s.member = nil, nil, service.Edit{}, service.Edit{}
}

// wish is the encoded form of a change.
type wish struct {
	Map     []byte
	Facts   service.Edit
	Members service.Edit
}

// Denc is a section of the parts.
func (w *wish) Denc(c *denc.Coder) {
	f := c.Begin(2, 1)
	c.Blob(&w.Map)
	w.Facts.Denc(c)
	if f.V >= 2 {
		w.Members.Denc(c)
	}
	f.End()
}

// Change encodes what is prepared.
func (s *Service) Change() ([]byte, error) {
	w := wish{Facts: s.facts, Members: s.member}
	if s.next != nil {
		w.Map = Encode(s.next)
	}
	s.Discard()
	return denc.Marshal(&w, ceph.FeaturesAll), nil
}

// Apply carries out a change.
func (s *Service) Apply(change []byte, out service.Writer) error {
	var w wish
	if err := denc.Unmarshal(change, &w, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("change of monitor map: %w", err)
	}
	for id, b := range w.Facts.Set {
		if b == nil {
			delete(s.meta, id)
			continue
		}
		facts := map[string]string{}
		if err := json.Unmarshal(b, &facts); err != nil {
			return fmt.Errorf("change of monitor metadata: %w", err)
		}
		s.meta[id] = facts
	}
	w.Facts.Write(out, metaKey)
	if err := s.applyMembers(&w.Members, out); err != nil {
		return err
	}
	if len(w.Map) == 0 {
		return nil
	}
	m := &monmap.Map{}
	if err := denc.Unmarshal(w.Map, m, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("change of monitor map: %w", err)
	}
	if m.Epoch != s.m.Epoch+1 {
		return fmt.Errorf("monitor map %d does not follow %d", m.Epoch, s.m.Epoch)
	}
	out.Set(key(m.Epoch), w.Map)
	for s.first+keep <= m.Epoch {
		out.Delete(key(s.first))
		s.first++
	}
	s.m = m
	return nil
}

// At is the map of an epoch; ENOENT for one that is not kept.
func (s *Service) At(e ceph.Epoch) (*monmap.Map, error) {
	if e == 0 || e == s.m.Epoch {
		return s.m, nil
	}
	b, ok, err := s.read.Get(key(e))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ceph.ENOENT
	}
	m := &monmap.Map{}
	return m, denc.Unmarshal(b, m, ceph.FeaturesAll)
}

// Range is the oldest and the newest epoch that is kept.
func (s *Service) Range() (first, last ceph.Epoch) { return s.first, s.m.Epoch }

// HostList is the monitors' addresses as mon_host takes them.
func (s *Service) HostList() string {
	var out []string
	for rank := range s.m.Ranks {
		out = append(out, s.m.Addrs(rank).String())
	}
	return strings.Join(out, " ")
}

// Commands are none: those on the monitor map need the quorum's state too.
func (s *Service) Commands() []service.Row { return nil }
