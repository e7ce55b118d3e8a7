// Package mgrmon keeps the manager map: which manager is active, which stand by.
//
// Invariant: at most one manager is active at an epoch; it becomes available only when it says so
// itself under its own global id. A Service belongs to the monitor's loop; its Map is immutable.
// The behaviour is that of Ceph 16.2's mon/MgrMonitor.cc.
package mgrmon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/mgrmap"
	"glue/mon/service"
	"glue/wire/message"
)

const (
	name    = "mgr"
	mapKey  = name + "/map"
	metaKey = name + "/meta/"
	maxMgrs = 64 // active and standby
)

// Options is what a Service needs.
type Options struct {
	// Log writes a line to the cluster log.
	Log func(priority uint16, text string)
	// Fenced is called when a manager is failed, with its addresses.
	Fenced func(addrs ceph.AddrVec)
}

// A Service is the manager map's service.
type Service struct {
	opt   Options
	m     *mgrmap.Map
	meta  map[string]map[string]string
	next  *mgrmap.Map
	facts service.Edit
	seen  map[uint64]time.Time // last beacon by global id; only the leader's
	since time.Time            // when we began to listen
}

// New makes a service.
func New(opt Options) *Service {
	return &Service{opt: opt, m: &mgrmap.Map{}, meta: map[string]map[string]string{},
		seen: map[uint64]time.Time{}}
}

// Name is "mgr".
func (s *Service) Name() string { return name }

// Map is the committed map.
func (s *Service) Map() *mgrmap.Map { return s.m }

// Encode is the map's bytes for subscribers.
func Encode(m *mgrmap.Map) []byte { return denc.Marshal(m, ceph.FeaturesAll) }

// Initial writes the first map into a new store.
func Initial(w service.Writer) {
	w.Set(mapKey, Encode(&mgrmap.Map{Epoch: 1}))
}

// Load reads the map and the managers' metadata.
func (s *Service) Load(r service.Reader) error {
	s.meta = map[string]map[string]string{}
	b, ok, err := r.Get(mapKey)
	if err == nil && !ok {
		err = fmt.Errorf("the store has none")
	}
	m := &mgrmap.Map{}
	if err == nil {
		err = denc.Unmarshal(b, m, ceph.FeaturesAll)
	}
	if err != nil {
		return fmt.Errorf("load manager map: %w", err)
	}
	s.m = m
	var failed error
	err = r.Scan(metaKey, func(key string, value []byte) bool {
		facts := map[string]string{}
		failed = json.Unmarshal(value, &facts)
		s.meta[key[len(metaKey):]] = facts
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("load manager metadata: %w", err)
	}
	return nil
}

// Dirty says whether something is prepared.
func (s *Service) Dirty() bool { return s.next != nil || !s.facts.Empty() }

// Discard forgets what is prepared and who was heard of.
func (s *Service) Discard() {
	s.next, s.facts = nil, service.Edit{}
	s.seen, s.since = map[uint64]time.Time{}, time.Time{}
}

// wish is the encoded form of a change.
type wish struct {
	Map   []byte
	Facts service.Edit
}

// Denc is a section of the parts.
func (w *wish) Denc(c *denc.Coder) {
	f := c.Begin(1, 1)
	c.Blob(&w.Map)
	w.Facts.Denc(c)
	f.End()
}

// Change encodes what is prepared.
func (s *Service) Change() ([]byte, error) {
	w := wish{Facts: s.facts}
	if s.next != nil {
		w.Map = Encode(s.next)
	}
	s.next, s.facts = nil, service.Edit{}
	return denc.Marshal(&w, ceph.FeaturesAll), nil
}

// Apply carries out a change.
func (s *Service) Apply(change []byte, out service.Writer) error {
	var w wish
	if err := denc.Unmarshal(change, &w, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("change of manager map: %w", err)
	}
	for id, b := range w.Facts.Set {
		if b == nil {
			delete(s.meta, id)
			continue
		}
		facts := map[string]string{}
		if err := json.Unmarshal(b, &facts); err != nil {
			return fmt.Errorf("change of manager metadata: %w", err)
		}
		s.meta[id] = facts
	}
	w.Facts.Write(out, metaKey)
	if len(w.Map) == 0 {
		return nil
	}
	m := &mgrmap.Map{}
	if err := denc.Unmarshal(w.Map, m, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("change of manager map: %w", err)
	}
	if m.Epoch != s.m.Epoch+1 {
		return fmt.Errorf("manager map %d does not follow %d", m.Epoch, s.m.Epoch)
	}
	out.Set(mapKey, w.Map)
	s.m = m
	return nil
}

// edit is the map that is being prepared.
func (s *Service) edit() *mgrmap.Map {
	if s.next == nil {
		n := *s.m
		n.Epoch++
		n.Standbys = maps.Clone(s.m.Standbys)
		n.Modules = maps.Clone(s.m.Modules)
		n.Services = maps.Clone(s.m.Services)
		s.next = &n
	}
	return s.next
}

// view is the map that is being prepared, or the committed one.
func (s *Service) view() *mgrmap.Map {
	if s.next != nil {
		return s.next
	}
	return s.m
}

// Beacon takes a manager's sign of life.
func (s *Service) Beacon(now time.Time, b *message.MMgrBeacon) {
	m := s.view()
	known := m.ActiveGID == b.GID || m.Standbys[b.GID].GID == b.GID && b.GID != 0
	if !known && len(m.Standbys) >= maxMgrs {
		return
	}
	s.seen[b.GID] = now
	s.noteFacts(b)
	// A manager that came back under the same name replaces what it was.
	if m.ActiveName == b.Name && m.ActiveGID != 0 && m.ActiveGID != b.GID {
		s.opt.Log(message.LogInfo, fmt.Sprintf("Active manager daemon %s restarted", b.Name))
		s.failActive(now)
	}
	for gid, st := range m.Standbys {
		if st.Name == b.Name && gid != b.GID {
			delete(s.edit().Standbys, gid)
		}
	}
	switch m = s.view(); {
	case m.ActiveGID == b.GID:
		s.activeBeacon(b)
	case m.ActiveGID == 0:
		s.activate(now, b)
	default:
		if _, ok := m.Standbys[b.GID]; !ok {
			n := s.edit()
			if n.Standbys == nil {
				n.Standbys = map[uint64]mgrmap.Standby{}
			}
			n.Standbys[b.GID] = mgrmap.Standby{GID: b.GID, Name: b.Name, Features: b.Features}
			s.opt.Log(message.LogDebug, fmt.Sprintf("Standby manager daemon %s started", b.Name))
		}
	}
}

func (s *Service) noteFacts(b *message.MMgrBeacon) {
	if len(b.Metadata) == 0 || maps.Equal(s.meta[b.Name], b.Metadata) {
		return
	}
	if text, err := json.Marshal(b.Metadata); err == nil {
		s.facts.Put(b.Name, text)
	}
}

func (s *Service) activate(now time.Time, b *message.MMgrBeacon) {
	n := s.edit()
	delete(n.Standbys, b.GID)
	n.ActiveGID, n.ActiveName, n.ActiveAddrs = b.GID, b.Name, b.Addrs
	n.ActiveFeatures, n.ActiveChange = b.Features, ceph.TimeOf(now)
	n.Available, n.Services, n.Clients = false, nil, nil
	s.opt.Log(message.LogInfo, fmt.Sprintf("Activating manager daemon %s", b.Name))
	if b.Available {
		s.activeBeacon(b)
	}
}

func (s *Service) activeBeacon(b *message.MMgrBeacon) {
	m := s.view()
	if b.Available && !m.Available {
		s.edit().Available = true
		s.opt.Log(message.LogInfo, fmt.Sprintf("Manager daemon %s is now available", b.Name))
	}
	if !m.ActiveAddrs.Equal(b.Addrs) {
		s.edit().ActiveAddrs = b.Addrs
	}
	if !maps.Equal(m.Services, b.Services) {
		s.edit().Services = maps.Clone(b.Services)
	}
	want := map[string]struct{}{}
	for _, name := range b.Modules {
		want[name] = struct{}{}
	}
	if len(b.Modules) > 0 && !slices.Equal(moduleNames(m), slices.Sorted(maps.Keys(want))) {
		var list []mgrmap.Module
		for _, name := range slices.Sorted(maps.Keys(want)) {
			list = append(list, mgrmap.Module{Name: name, CanRun: true})
		}
		s.edit().AvailableModules = list
	}
}

func moduleNames(m *mgrmap.Map) []string {
	var out []string
	for _, mod := range m.AvailableModules {
		out = append(out, mod.Name)
	}
	return out
}

// failActive takes the active manager out of the map.
func (s *Service) failActive(now time.Time) {
	m := s.view()
	if s.opt.Fenced != nil {
		s.opt.Fenced(m.ActiveAddrs)
	}
	n := s.edit()
	delete(s.seen, n.ActiveGID)
	n.ActiveGID, n.ActiveName, n.ActiveAddrs = 0, "", nil
	n.Available, n.Services, n.Clients, n.ActiveFeatures = false, nil, nil, 0
	n.ActiveChange = ceph.TimeOf(now)
}

// promote makes the best standby active.
func (s *Service) promote(now time.Time) {
	m := s.view()
	if m.ActiveGID != 0 || len(m.Standbys) == 0 {
		return
	}
	gid := slices.Min(slices.Collect(maps.Keys(m.Standbys)))
	st := m.Standbys[gid]
	s.activate(now, &message.MMgrBeacon{GID: gid, Name: st.Name, Features: st.Features})
}

// Tick fails managers that were not heard of for grace.
func (s *Service) Tick(now time.Time, grace time.Duration) {
	if s.since.IsZero() {
		s.since = now // a new leader gives everybody a full grace
	}
	late := func(gid uint64) bool {
		last := s.seen[gid]
		if last.Before(s.since) {
			last = s.since
		}
		return now.Sub(last) > grace
	}
	m := s.view()
	for _, gid := range slices.Sorted(maps.Keys(m.Standbys)) {
		if late(gid) {
			s.opt.Log(message.LogInfo, fmt.Sprintf("Standby manager daemon %s went away",
				m.Standbys[gid].Name))
			delete(s.edit().Standbys, gid)
			delete(s.seen, gid)
		}
	}
	if m = s.view(); m.ActiveGID != 0 && late(m.ActiveGID) {
		s.opt.Log(message.LogWarn, fmt.Sprintf("Manager daemon %s is unresponsive, failing it",
			m.ActiveName))
		s.failActive(now)
	}
	s.promote(now)
}

// Metadata is what a manager said of its machine.
func (s *Service) Metadata(name string) map[string]string { return s.meta[name] }

// Names are the managers in the map, the active one first.
func (s *Service) Names() []string {
	var out []string
	if s.m.ActiveName != "" {
		out = append(out, s.m.ActiveName)
	}
	for _, gid := range slices.Sorted(maps.Keys(s.m.Standbys)) {
		out = append(out, s.m.Standbys[gid].Name)
	}
	return out
}
