package mgrmap

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
)

// A Dump is `ceph mgr dump`.
type Dump struct {
	Epoch               ceph.Epoch        `json:"epoch"`
	ActiveGID           uint64            `json:"active_gid"`
	ActiveName          string            `json:"active_name"`
	ActiveAddrs         ceph.AddrVec      `json:"active_addrs"`
	ActiveAddr          string            `json:"active_addr"`
	ActiveChange        string            `json:"active_change"`
	ActiveFeatures      uint64            `json:"active_mgr_features"`
	Available           bool              `json:"available"`
	Standbys            []StandbyDump     `json:"standbys"`
	Modules             []string          `json:"modules"`
	AvailableModules    []ModuleDump      `json:"available_modules"`
	Services            map[string]string `json:"services"`
	AlwaysOn            cephjson.Object   `json:"always_on_modules"`
	LastFailureOSDEpoch ceph.Epoch        `json:"last_failure_osd_epoch"`
	ActiveClients       []ClientDump      `json:"active_clients"`
}

// StandbyDump is one element of "standbys".
type StandbyDump struct {
	GID              uint64       `json:"gid"`
	Name             string       `json:"name"`
	Features         uint64       `json:"mgr_features"`
	AvailableModules []ModuleDump `json:"available_modules"`
}

// ModuleDump is one element of "available_modules".
type ModuleDump struct {
	Name    string                `json:"name"`
	CanRun  bool                  `json:"can_run"`
	Error   string                `json:"error_string"`
	Options map[string]OptionDump `json:"module_options"`
}

// OptionDump is one element of "module_options".
type OptionDump struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Level       string   `json:"level"`
	Flags       uint32   `json:"flags"`
	Default     string   `json:"default_value"`
	Min         string   `json:"min"`
	Max         string   `json:"max"`
	EnumAllowed []string `json:"enum_allowed"`
	Desc        string   `json:"desc"`
	LongDesc    string   `json:"long_desc"`
	Tags        []string `json:"tags"`
	SeeAlso     []string `json:"see_also"`
}

// ClientDump is one element of "active_clients".
type ClientDump struct {
	Name    string      `json:"name"`
	AddrVec []ceph.Addr `json:"addrvec"`
}

// Dump is the map as `ceph mgr dump` shows it.
func (m *Map) Dump() Dump {
	d := Dump{
		Epoch: m.Epoch, ActiveGID: m.ActiveGID, ActiveName: m.ActiveName,
		ActiveAddrs: m.ActiveAddrs, ActiveAddr: m.ActiveAddrs.Legacy().LegacyString(),
		ActiveChange: m.ActiveChange.String(), ActiveFeatures: m.ActiveFeatures,
		Available: m.Available, Standbys: []StandbyDump{}, Modules: sorted(m.Modules),
		AvailableModules: dumpModules(m.AvailableModules), Services: m.services(),
		AlwaysOn: cephjson.Object{}, LastFailureOSDEpoch: m.LastFailureOSDEpoch,
		ActiveClients: []ClientDump{},
	}
	for _, gid := range slices.Sorted(maps.Keys(m.Standbys)) {
		s := m.Standbys[gid]
		d.Standbys = append(d.Standbys,
			StandbyDump{s.GID, s.Name, s.Features, dumpModules(s.AvailableModules)})
	}
	for _, r := range slices.Sorted(maps.Keys(m.AlwaysOn)) {
		d.AlwaysOn = append(d.AlwaysOn, cephjson.Member{
			Key: osdmap.Release(r).String(), Value: sorted(m.AlwaysOn[r]),
		})
	}
	for _, c := range m.Clients {
		d.ActiveClients = append(d.ActiveClients,
			ClientDump{c.Name, append([]ceph.Addr{}, c.Addrs...)})
	}
	return d
}

// sorted is never nil, so that it prints as an empty list.
func sorted(set map[string]struct{}) []string {
	return append([]string{}, slices.Sorted(maps.Keys(set))...)
}

func (m *Map) services() map[string]string {
	if m.Services == nil {
		return map[string]string{}
	}
	return m.Services
}

var (
	optionTypes = []string{"uint", "int", "str", "float", "bool", "addr", "addrvec", "uuid",
		"size", "secs", "millisecs"}
	optionLevels = []string{"basic", "advanced", "dev"}
)

func nameAt(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return "unknown"
}

func dumpModules(modules []Module) []ModuleDump {
	out := []ModuleDump{}
	for _, m := range modules {
		d := ModuleDump{m.Name, m.CanRun, m.Error, map[string]OptionDump{}}
		for name, o := range m.Opts {
			d.Options[name] = OptionDump{
				o.Name, nameAt(optionTypes, o.Type), nameAt(optionLevels, o.Level), o.Flags,
				o.Default, o.Min, o.Max, sorted(o.EnumAllowed), o.Desc, o.LongDesc,
				sorted(o.Tags), sorted(o.SeeAlso),
			}
		}
		out = append(out, d)
	}
	return out
}

// A Stat is `ceph mgr stat`.
type Stat struct {
	Epoch      ceph.Epoch `json:"epoch"`
	Available  bool       `json:"available"`
	ActiveName string     `json:"active_name"`
	NumStandby int        `json:"num_standby"`
}

// Stat sums up the map.
func (m *Map) Stat() Stat { return Stat{m.Epoch, m.Available, m.ActiveName, len(m.Standbys)} }

// A Summary is the "mgrmap" part of `ceph -s -f json`.
type Summary struct {
	Available   bool              `json:"available"`
	NumStandbys int               `json:"num_standbys"`
	Modules     []string          `json:"modules"`
	Services    map[string]string `json:"services"`
}

// Summary is the map's part of `ceph -s -f json`.
func (m *Map) Summary() Summary {
	return Summary{m.Available, len(m.Standbys), sorted(m.Modules), m.services()}
}

// SummaryText is what follows "mgr: " in `ceph -s`.
func (m *Map) SummaryText(now ceph.Time) string {
	var b strings.Builder
	age := func(format string) {
		if m.ActiveChange != (ceph.Time{}) {
			fmt.Fprintf(&b, format, osdmap.Timespan(between(m.ActiveChange, now)))
		}
	}
	if m.ActiveGID == 0 {
		b.WriteString("no daemons active")
		age(" (since %s)")
	} else {
		b.WriteString(m.ActiveName + "(active")
		if !m.Available {
			b.WriteString(", starting")
		}
		age(", since %s")
		b.WriteString(")")
	}
	for i, gid := range slices.Sorted(maps.Keys(m.Standbys)) {
		if i == 0 {
			b.WriteString(", standbys: ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(m.Standbys[gid].Name)
	}
	return b.String()
}

func between(from, to ceph.Time) time.Duration { return to.Go().Sub(from.Go()) }
