// Package osdmon keeps the OSD map: its history as full maps and incrementals, what OSDs say of
// themselves and of each other, the pools, the CRUSH map and all the commands on them.
//
// Invariants: an epoch never changes once it is committed, and every member computes the same bytes
// for it (the checksum in the incremental is checked); commands are prepared on the committed map
// while nothing else is pending, and daemons' wishes are gathered only as long as they touch
// different OSDs; the last epochs that OSDs may need are kept.
//
// A Service belongs to the monitor's loop; maps are immutable. The behaviour is that of Ceph
// 16.2's mon/OSDMonitor.cc.
package osdmon

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/internal/options"
	"glue/mon/service"
)

const (
	name    = "osd"
	fullKey = name + "/full/"
	incKey  = name + "/inc/"
	metaKey = name + "/meta/"

	newestKey = name + "/newest"
)

// ErrBusy says that a request touches what is pending already: try again after the commit.
var ErrBusy = errors.New("a change of it is pending")

// Options is what a Service needs.
type Options struct {
	Read    service.Reader
	Options func() options.Set
	Log     *slog.Logger
	// Usage is how much a pool holds; known is false while nobody has told.
	Usage func(pool int64) (objects, bytes int64, known bool)
	// Purged are the removed snapshots of a pool that no PG has clones of, by the manager.
	Purged func(pool int64) []osdmap.SnapRange
	// LastSeq is the number of an OSD's last report to the manager.
	LastSeq func(osd int32) uint64
	// ClusterLog writes a line to the cluster log.
	ClusterLog func(priority uint16, text string)
	// Vault keeps the OSDs' keys.
	Vault Vault
}

// A Service is the OSD map's service.
type Service struct {
	opt   Options
	m     *osdmap.Map
	first ceph.Epoch // oldest epoch kept
	meta  map[int32]map[string]string

	pending  *osdmap.Incremental
	touched  map[int32]bool // OSDs in pending
	facts    service.Edit   // metadata by OSD number
	proposed *osdmap.Map    // what the proposed change results in, on its proposer

	failures map[int32]reports // by the OSD that is said not to answer
	beacons  map[int32]beacon
	spared   map[int32]time.Time // when an OSD was last not put out, as all around it was down
	since    time.Time           // when this member began to lead
}

// New makes a service.
func New(opt Options) *Service {
	s := &Service{opt: opt, meta: map[int32]map[string]string{}}
	s.forget()
	return s
}

// forget drops what only a leader knows.
func (s *Service) forget() {
	s.failures, s.beacons = map[int32]reports{}, map[int32]beacon{}
	s.spared, s.since = map[int32]time.Time{}, time.Time{}
}

// Name is "osd".
func (s *Service) Name() string { return name }

// Map is the committed map.
func (s *Service) Map() *osdmap.Map { return s.m }

// Metadata is what an OSD said of its machine when it booted.
func (s *Service) Metadata(id int32) map[string]string { return s.meta[id] }

// Range is the oldest and the newest epoch that is kept.
func (s *Service) Range() (first, last ceph.Epoch) { return s.first, s.m.Epoch }

func epochKey(prefix string, e ceph.Epoch) string {
	return fmt.Sprintf("%s%08x", prefix,
		uint32(e))
}

// Initial writes the first map into a new store: no pools, and the OSDs of the given numbers,
// which exist and are down.
func Initial(w service.Writer, fsid ceph.UUID, now time.Time, leafType int, osds []int32,
	set options.Set,
) error {
	domain := map[int]string{0: "osd", 1: "host"}[leafType]
	if domain == "" {
		return fmt.Errorf("osd_crush_chooseleaf_type %d: only 0 (osd) and 1 (host) are known",
			leafType)
	}
	cm, err := crush.Default(0, domain)
	if err != nil {
		return fmt.Errorf("initial CRUSH map: %w", err)
	}
	empty := osdmap.Empty()
	empty.FSID, empty.Created = fsid, ceph.TimeOf(now)
	inc := osdmap.NewIncremental(empty, ceph.TimeOf(now))
	inc.NewFlags = int32(osdmap.FlagsFresh)
	inc.SetCrush(cm)
	inc.NewMaxOSD = 0
	for _, id := range osds {
		inc.NewMaxOSD = max(inc.NewMaxOSD, id+1)
		put(&inc.NewState, id, osdmap.OSDExists|osdmap.OSDNew)
		put(&inc.NewWeight, id, 0)
	}
	inc.NewFullRatio = float32(set.Float("mon_osd_full_ratio"))
	inc.NewBackfillfullRatio = float32(set.Float("mon_osd_backfillfull_ratio"))
	inc.NewNearfullRatio = float32(set.Float("mon_osd_nearfull_ratio"))
	inc.NewRequireOSDRelease = osdmap.Pacific
	inc.NewRequireMinCompatClient = osdmap.Luminous
	put(&inc.NewECProfiles, "default", map[string]string(maps.Clone(defaultProfile)))
	m, b, err := empty.Commit(inc)
	if err != nil {
		return fmt.Errorf("initial OSD map: %w", err)
	}
	w.Set(newestKey, m.Encode())
	w.Set(epochKey(fullKey, 1), m.Encode())
	w.Set(epochKey(incKey, 1), b)
	return nil
}

// put sets an element of a map that may be nil.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// Load reads the newest map and the metadata.
func (s *Service) Load(r service.Reader) error {
	s.first, s.m = 0, nil
	newest, ok, err := r.Get(newestKey)
	if err == nil && !ok {
		err = errors.New("the store has none")
	}
	if err == nil {
		s.m, err = osdmap.Decode(newest)
	}
	if err == nil {
		err = r.Scan(fullKey, func(key string, _ []byte) bool {
			var e uint32
			if _, err := fmt.Sscanf(key[len(fullKey):], "%x", &e); err == nil {
				s.first = ceph.Epoch(e)
			}
			return false // the first key is the oldest
		})
	}
	if err == nil && s.first == 0 {
		err = errors.New("the history has no beginning")
	}
	if err != nil {
		return fmt.Errorf("load OSD map: %w", err)
	}
	s.meta = map[int32]map[string]string{}
	var failed error
	err = r.Scan(metaKey, func(key string, value []byte) bool {
		failed = s.takeMeta(key[len(metaKey):], value)
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("load OSD metadata: %w", err)
	}
	return nil
}

func (s *Service) takeMeta(id string, value []byte) error {
	var n int32
	if _, err := fmt.Sscanf(id, "%d", &n); err != nil {
		return fmt.Errorf("OSD number %q: %w", id, err)
	}
	if value == nil {
		delete(s.meta, n)
		return nil
	}
	facts := map[string]string{}
	if err := json.Unmarshal(value, &facts); err != nil {
		return err
	}
	s.meta[n] = facts
	return nil
}

// inc is the incremental that is being prepared.
func (s *Service) inc(now time.Time) *osdmap.Incremental {
	if s.pending == nil {
		s.pending = osdmap.NewIncremental(s.m, ceph.TimeOf(now))
		s.touched = map[int32]bool{}
	}
	s.pending.Modified = ceph.TimeOf(now)
	return s.pending
}

// touch claims an OSD for a change; ErrBusy when another one has it.
func (s *Service) touch(id int32) error {
	if s.touched[id] {
		return ErrBusy
	}
	if s.touched == nil {
		s.touched = map[int32]bool{}
	}
	s.touched[id] = true
	return nil
}

// Dirty says whether something is prepared.
func (s *Service) Dirty() bool { return s.pending != nil || !s.facts.Empty() }

// Discard forgets what is prepared, and what only a leader knows.
func (s *Service) Discard() {
	s.pending, s.touched, s.facts, s.proposed = nil, nil, service.Edit{}, nil
	s.forget()
}

// Drop forgets what is prepared: a command failed half way.
func (s *Service) Drop() { s.pending, s.touched, s.facts = nil, nil, service.Edit{} }

// wish is the encoded form of a change.
type wish struct {
	Inc   []byte
	Facts service.Edit
}

// Denc is a section of the parts.
func (w *wish) Denc(c *denc.Coder) {
	f := c.Begin(1, 1)
	c.Blob(&w.Inc)
	w.Facts.Denc(c)
	f.End()
}

// Change encodes what is prepared.
func (s *Service) Change() ([]byte, error) {
	w := wish{Facts: s.facts}
	if s.pending != nil {
		s.tidy(s.pending)
		var m *osdmap.Map
		var b []byte
		err := s.fillPools(s.pending)
		if err == nil {
			err = s.m.Clean(s.pending)
		}
		if err == nil {
			err = pginfo.AbandonMerges(s.m, s.pending)
		}
		if err == nil {
			m, b, err = s.m.Commit(s.pending)
		}
		if err != nil {
			s.Drop()
			return nil, fmt.Errorf("prepare OSD map %d: %w", s.m.Epoch+1, err)
		}
		w.Inc, s.proposed = b, m
	}
	s.pending, s.touched, s.facts = nil, nil, service.Edit{}
	return denc.Marshal(&w, ceph.FeaturesAll), nil
}

// tidy adds what follows from the rest of an incremental.
func (s *Service) tidy(inc *osdmap.Incremental) {
	for id, x := range inc.NewState {
		if x.Has(osdmap.OSDUp) || x == 0 {
			inc.NewLastUpChange = inc.Modified
		}
		if x.Has(osdmap.OSDExists) && s.m.Exists(id) {
			s.facts.Remove(fmt.Sprint(id))
		} else if s.m.IsUp(id) && (x.Has(osdmap.OSDUp) || x == 0) {
			s.forgive(inc, id)
		}
	}
	if len(inc.NewUpClient) > 0 {
		inc.NewLastUpChange = inc.Modified
	}
	for id, w := range inc.NewWeight {
		was := s.m.IsIn(id)
		if was != (w != 0) {
			inc.NewLastInChange = inc.Modified
		}
	}
}

// Apply carries out a change.
func (s *Service) Apply(change []byte, out service.Writer) error {
	var w wish
	if err := denc.Unmarshal(change, &w, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("change of OSD map: %w", err)
	}
	for _, id := range w.Facts.Keys() {
		if err := s.takeMeta(id, w.Facts.Set[id]); err != nil {
			return fmt.Errorf("change of OSD metadata: %w", err)
		}
	}
	w.Facts.Write(out, metaKey)
	if len(w.Inc) == 0 {
		return nil
	}
	inc, err := osdmap.DecodeIncremental(w.Inc)
	if err != nil {
		return err
	}
	m := s.proposed
	s.proposed = nil
	if m == nil || m.Epoch != inc.Epoch || m.CRC() != inc.FullCRC {
		if m, err = s.m.Apply(inc); err != nil {
			return err
		}
	}
	out.Set(newestKey, m.Encode())
	if m.Epoch%fullEvery == 0 {
		out.Set(epochKey(fullKey, m.Epoch), m.Encode())
	}
	out.Set(epochKey(incKey, m.Epoch), w.Inc)
	s.m = m
	s.trim(out)
	s.settle()
	return nil
}

// trim drops the oldest epochs; the oldest that is left has a whole map. It depends on the map
// alone, so all members do the same.
func (s *Service) trim(out service.Writer) {
	if s.m.Epoch <= keepEpochs {
		return
	}
	oldest := (s.m.Epoch - keepEpochs) / fullEvery * fullEvery
	for ; s.first < oldest; s.first++ {
		out.Delete(epochKey(fullKey, s.first))
		out.Delete(epochKey(incKey, s.first))
	}
}

// keepEpochs is how many epochs of history there are at least (mon_min_osdmap_epochs), fullEvery
// how many of them one whole map is kept for; the others follow from it by their incrementals.
const (
	keepEpochs = 500
	fullEvery  = 50
)

// settle drops what was noted of OSDs that the new map makes pointless.
func (s *Service) settle() {
	for id := range s.failures {
		if s.m.IsDown(id) {
			delete(s.failures, id)
		}
	}
	for id := range s.beacons {
		if s.m.IsDown(id) {
			delete(s.beacons, id)
		}
	}
	for id := range s.spared {
		if s.m.IsUp(id) || s.m.IsOut(id) {
			delete(s.spared, id)
		}
	}
}

// Full is the encoding of an epoch; ENOENT for one that is not kept.
func (s *Service) Full(e ceph.Epoch) ([]byte, error) {
	m, err := s.At(e)
	if err != nil {
		return nil, err
	}
	return m.Encode(), nil
}

// Incremental is the encoding of the step to an epoch; ENOENT for one that is not kept.
func (s *Service) Incremental(e ceph.Epoch) ([]byte, error) { return s.stored(incKey, e) }

func (s *Service) stored(prefix string, e ceph.Epoch) ([]byte, error) {
	b, ok, err := s.opt.Read.Get(epochKey(prefix, e))
	if err == nil && !ok {
		err = ceph.ENOENT
	}
	return b, err
}

// At is the map of an epoch, 0 for the newest; ENOENT for one that is not kept.
func (s *Service) At(e ceph.Epoch) (*osdmap.Map, error) {
	switch {
	case e == 0 || e == s.m.Epoch:
		return s.m, nil
	case e < s.first || e > s.m.Epoch:
		return nil, ceph.ENOENT
	}
	b, err := s.stored(fullKey, max(e/fullEvery*fullEvery, s.first))
	if err != nil {
		return nil, err
	}
	m, err := osdmap.Decode(b)
	for err == nil && m.Epoch < e {
		if b, err = s.Incremental(m.Epoch + 1); err != nil {
			break
		}
		var inc *osdmap.Incremental
		if inc, err = osdmap.DecodeIncremental(b); err == nil {
			m, err = m.Apply(inc)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("OSD map %d: %w", e, err)
	}
	return m, nil
}

// editCrush prepares an edited CRUSH map.
func (s *Service) editCrush(now time.Time, f func(c *crush.Map) error) error {
	c := s.m.Crush
	if s.pending != nil && len(s.pending.Crush) > 0 {
		c = crush.New()
		if err := denc.Unmarshal(s.pending.Crush, c, ceph.FeaturesAll); err != nil {
			return fmt.Errorf("decode the pending CRUSH map: %w", err)
		}
	}
	c = c.Clone()
	if err := f(c); err != nil {
		return err
	}
	s.inc(now).SetCrush(c)
	return nil
}
