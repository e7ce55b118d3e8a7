// Package configmon keeps the central configuration, with the log of its changes, and the
// config-key store.
//
// Invariant: only values that the options table accepts get in. A Service belongs to the monitor's
// loop. The commands are those of Ceph 16.2's mon/ConfigMonitor.cc and mon/KVMonitor.cc.
package configmon

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/options"
	"glue/mon/service"
)

const (
	name      = "config"
	valueKey  = "value/"
	logKey    = "log/"
	keepLog   = 500
	maxValues = 100_000
)

// A value is one stored setting. Section is global, a daemon type or a daemon; the masks narrow
// it.
type value struct {
	Section, Class, Host string
	Name, Value          string
}

// id is the key of the setting: section[/mask]/name.
func (v *value) id() string { return v.where() + "/" + v.Name }

func (v *value) where() string {
	out := v.Section
	if m := v.mask(); m != "" {
		out += "/" + m
	}
	return out
}

func (v *value) mask() string {
	switch {
	case v.Class != "":
		return "class:" + v.Class
	case v.Host != "":
		return "host:" + v.Host
	}
	return ""
}

// Denc is a section of the five strings.
func (v *value) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	for _, p := range []*string{&v.Section, &v.Class, &v.Host, &v.Name, &v.Value} {
		c.Str(p)
	}
	s.End()
}

// A record is one step of the change log.
type record struct {
	Version uint64
	Stamp   ceph.Time
	Who     string
	Changes []change
}

type change struct {
	ID       string
	Old, New *string
}

// Denc is a section of the fields.
func (r *record) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U64(&r.Version)
	r.Stamp.Denc(c)
	c.Str(&r.Who)
	denc.ListFunc(c, &r.Changes, func(c *denc.Coder, g *change) {
		c.Str(&g.ID)
		denc.OptionalFunc(c, &g.Old, (*denc.Coder).Str)
		denc.OptionalFunc(c, &g.New, (*denc.Coder).Str)
	})
	s.End()
}

// A Service is the configuration service.
type Service struct {
	env    Env
	values map[string]*value
	log    []*record // ascending
	set    map[string]*value
	gone   map[string]bool
	entry  *record
}

// Env is what a Service asks of the rest of the monitor.
type Env struct {
	FSID    func() ceph.UUID
	MonHost func() string // the monitors' addresses
	// Find tells where a daemon runs and on what kind of disk.
	Find func(name ceph.AuthName) Entity
}

// New makes a service.
func New(env Env) *Service { return &Service{env: env, values: map[string]*value{}} }

// Name is "config".
func (s *Service) Name() string { return name }

// Version counts the changes.
func (s *Service) Version() uint64 {
	if len(s.log) == 0 {
		return 1
	}
	return s.log[len(s.log)-1].Version
}

// Load reads the configuration.
func (s *Service) Load(r service.Reader) error {
	s.values, s.log = map[string]*value{}, nil
	var failed error
	err := r.Scan(name+"/", func(key string, b []byte) bool {
		key = key[len(name)+1:]
		b = append([]byte{}, b...)
		if strings.HasPrefix(key, valueKey) {
			v := &value{}
			failed = denc.Unmarshal(b, v, ceph.FeaturesAll)
			s.values[v.id()] = v
		} else {
			e := &record{}
			failed = denc.Unmarshal(b, e, ceph.FeaturesAll)
			s.log = append(s.log, e)
		}
		return failed == nil
	})
	if err = cmp.Or(err, failed); err != nil {
		return fmt.Errorf("load configuration: %w", err)
	}
	return nil
}

// Dirty says whether something is prepared.
func (s *Service) Dirty() bool { return s.entry != nil }

// Discard forgets what is prepared.
func (s *Service) Discard() { s.entry = nil }

// prepare wishes a setting; nil removes it.
func (s *Service) prepare(now time.Time, who, id string, v *value) {
	if s.entry == nil {
		s.entry = &record{Version: s.Version() + 1, Stamp: ceph.TimeOf(now), Who: who}
		s.set, s.gone = map[string]*value{}, map[string]bool{}
	}
	c := change{ID: id}
	if old := s.values[id]; old != nil {
		c.Old = &old.Value
	}
	if v != nil {
		c.New = &v.Value
		s.set[id] = v
	} else {
		s.gone[id] = true
	}
	s.entry.Changes = append(s.entry.Changes, c)
}

// wish is the encoded form of a change.
type wish struct {
	Entry record
	Set   []*value
	Gone  []string
}

// Denc is a section of the parts.
func (w *wish) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	w.Entry.Denc(c)
	denc.ListFunc(c, &w.Set, func(c *denc.Coder, v **value) {
		if !c.Encoding() {
			*v = &value{}
		}
		(*v).Denc(c)
	})
	denc.ListFunc(c, &w.Gone, (*denc.Coder).Str)
	s.End()
}

// Change encodes what is prepared.
func (s *Service) Change() ([]byte, error) {
	w := wish{Entry: *s.entry, Gone: slices.Sorted(maps.Keys(s.gone))}
	for _, id := range slices.Sorted(maps.Keys(s.set)) {
		w.Set = append(w.Set, s.set[id])
	}
	s.entry = nil
	return denc.Marshal(&w, ceph.FeaturesAll), nil
}

// Apply carries out a change.
func (s *Service) Apply(b []byte, out service.Writer) error {
	var w wish
	if err := denc.Unmarshal(b, &w, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("change of configuration: %w", err)
	}
	for _, v := range w.Set {
		s.values[v.id()] = v
		out.Set(name+"/"+valueKey+v.id(), denc.Marshal(v, ceph.FeaturesAll))
	}
	for _, id := range w.Gone {
		delete(s.values, id)
		out.Delete(name + "/" + valueKey + id)
	}
	s.log = append(s.log, &w.Entry)
	out.Set(logName(w.Entry.Version), denc.Marshal(&w.Entry, ceph.FeaturesAll))
	for len(s.log) > keepLog {
		out.Delete(logName(s.log[0].Version))
		s.log = slices.Clone(s.log[1:])
	}
	return nil
}

func logName(version uint64) string { return fmt.Sprintf("%s/%s%016x", name, logKey, version) }

// Initial writes settings of section "global" into a new store.
func Initial(w service.Writer, values map[string]string, now time.Time) error {
	s := New(Env{})
	for _, n := range slices.Sorted(maps.Keys(values)) {
		o, ok := options.Lookup(n)
		if !ok {
			return fmt.Errorf("unrecognized config option '%s'", n)
		}
		text, err := o.Check(values[n])
		if err != nil {
			return err
		}
		v := &value{Section: "global", Name: o.Name, Value: text}
		s.prepare(now, "", v.id(), v)
	}
	if !s.Dirty() {
		return nil
	}
	b, err := s.Change()
	if err != nil {
		return err
	}
	return s.Apply(b, w)
}

// An Entity is who asks for its configuration.
type Entity struct {
	Name  ceph.AuthName
	Host  string
	Class string // device class of an OSD
}

// rank orders settings for an entity: the higher one wins; -1 does not apply. A setting with a
// mask beats those without, a host's those of a device class; after that the narrower section wins.
func (v *value) rank(e Entity) int {
	base := -1
	switch {
	case v.Section == "global":
		base = 0
	case v.Section == e.Name.Type.String():
		base = 1
	case v.Section == e.Name.String():
		base = 3
	case clientParent(v.Section, e.Name):
		base = 2
	}
	if base < 0 || v.Host != "" && v.Host != e.Host || v.Class != "" && v.Class != e.Class {
		return -1
	}
	if v.Host != "" {
		base += 20
	} else if v.Class != "" {
		base += 10
	}
	return base
}

// clientParent says whether a section such as client.rgw covers client.rgw.a.
func clientParent(section string, n ceph.AuthName) bool {
	return strings.Contains(section, ".") && strings.HasPrefix(n.String(), section+".")
}

// chosen is the settings that hold for an entity, by name.
func (s *Service) chosen(e Entity) map[string]*value {
	best := map[string]*value{}
	for _, id := range slices.Sorted(maps.Keys(s.values)) {
		v := s.values[id]
		r := v.rank(e)
		if old := best[v.Name]; r >= 0 && (old == nil || old.rank(e) <= r) {
			best[v.Name] = v
		}
	}
	return best
}

// For is the configuration of an entity.
func (s *Service) For(e Entity) map[string]string {
	out := map[string]string{}
	for n, v := range s.chosen(e) {
		out[n] = v.Value
	}
	return out
}
