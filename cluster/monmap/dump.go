package monmap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// A Dump is `ceph mon dump -f json` without the quorum, which the monitor adds.
type Dump struct {
	Epoch             ceph.Epoch   `json:"epoch"`
	FSID              string       `json:"fsid"`
	Modified          string       `json:"modified"`
	Created           string       `json:"created"`
	MinMonRelease     uint8        `json:"min_mon_release"`
	MinMonReleaseName string       `json:"min_mon_release_name"`
	ElectionStrategy  uint8        `json:"election_strategy"`
	DisallowedLeaders string       `json:"disallowed_leaders: "`
	StretchMode       bool         `json:"stretch_mode"`
	Tiebreaker        string       `json:"tiebreaker_mon"`
	RemovedRanks      string       `json:"removed_ranks: "`
	Features          FeaturesDump `json:"features"`
	Mons              []MonDump    `json:"mons"`
}

// FeaturesDump is "features".
type FeaturesDump struct {
	Persistent []string `json:"persistent"`
	Optional   []string `json:"optional"`
}

// MonDump is one element of "mons".
type MonDump struct {
	Rank          int          `json:"rank"`
	Name          string       `json:"name"`
	PublicAddrs   ceph.AddrVec `json:"public_addrs"`
	Addr          string       `json:"addr"`
	PublicAddr    string       `json:"public_addr"`
	Priority      uint16       `json:"priority"`
	Weight        uint16       `json:"weight"`
	CrushLocation string       `json:"crush_location"`
}

// Dump is the map as `ceph mon dump` shows it.
func (m *Map) Dump() Dump {
	d := Dump{
		Epoch: m.Epoch, FSID: m.FSID.String(), Modified: zulu(m.LastChanged),
		Created: zulu(m.Created), MinMonRelease: m.MinMonRelease,
		MinMonReleaseName: osdmap.Release(m.MinMonRelease).String(),
		ElectionStrategy:  m.Strategy, DisallowedLeaders: join(m.DisallowedLeaders),
		StretchMode: m.StretchMode, Tiebreaker: m.Tiebreaker,
		RemovedRanks: join(m.RemovedRanks), Mons: []MonDump{},
		Features: FeaturesDump{FeatureNames(m.PersistentFeatures),
			FeatureNames(m.OptionalFeatures)},
	}
	for rank, name := range m.Ranks {
		mon := m.Mons[name]
		addr := mon.Addrs.Legacy().LegacyString()
		d.Mons = append(d.Mons, MonDump{rank, name, mon.Addrs, addr, addr, mon.Priority,
			mon.Weight, location(mon.CrushLoc)})
	}
	return d
}

// zulu is a moment with a Z at its end, as this dump alone has it.
func zulu(t ceph.Time) string { return strings.TrimSuffix(t.String(), "+0000") + "Z" }

func join[K string | uint32](set map[K]struct{}) string {
	parts := []string{}
	for _, k := range slices.Sorted(maps.Keys(set)) {
		parts = append(parts, fmt.Sprint(k))
	}
	return strings.Join(parts, ",")
}

func location(loc map[string]string) string {
	parts := []string{}
	for _, k := range slices.Sorted(maps.Keys(loc)) {
		parts = append(parts, k+"="+loc[k])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

var featureNames = []string{"kraken", "luminous", "mimic", "osdmap-prune", "nautilus", "octopus",
	"pacific", "elector-pinging"}

// FeatureNames lists monitor features in bit order.
func FeatureNames(features uint64) []string {
	out := []string{}
	for i := range 64 {
		if features&(1<<i) == 0 {
			continue
		}
		if i < len(featureNames) {
			out = append(out, featureNames[i])
		} else {
			out = append(out, "unknown")
		}
	}
	return out
}

// Text is `ceph mon dump`.
func (m *Map) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d\nfsid %v\nlast_changed %v\ncreated %v\n",
		m.Epoch, m.FSID, m.LastChanged, m.Created)
	fmt.Fprintf(&b, "min_mon_release %d (%v)\nelection_strategy: %d\n",
		m.MinMonRelease, osdmap.Release(m.MinMonRelease), m.Strategy)
	if m.StretchMode {
		fmt.Fprintf(&b, "stretch_mode_enabled 1\ntiebreaker_mon %s\n", m.Tiebreaker)
	}
	if m.StretchMode || len(m.DisallowedLeaders) > 0 {
		fmt.Fprintf(&b, "disallowed_leaders %s\n", join(m.DisallowedLeaders))
	}
	for rank, name := range m.Ranks {
		mon := m.Mons[name]
		fmt.Fprintf(&b, "%d: %v mon.%s", rank, mon.Addrs, name)
		if len(mon.CrushLoc) > 0 {
			b.WriteString("; crush_location " + location(mon.CrushLoc))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Summary is the first part of `ceph mon stat`, before the quorum.
func (m *Map) Summary() string {
	parts := []string{}
	for _, name := range slices.Sorted(maps.Keys(m.Mons)) {
		parts = append(parts, fmt.Sprintf("%s=%v", name, m.Mons[name].Addrs))
	}
	return fmt.Sprintf("e%d: %d mons at {%s} removed_ranks: {%s}", m.Epoch, len(m.Mons),
		strings.Join(parts, ","), join(m.RemovedRanks))
}

// A SummaryDump is the "monmap" part of `ceph -s -f json`.
type SummaryDump struct {
	Epoch             ceph.Epoch `json:"epoch"`
	MinMonReleaseName string     `json:"min_mon_release_name"`
	NumMons           int        `json:"num_mons"`
}

// SummaryDump is the map's part of `ceph -s -f json`.
func (m *Map) SummaryDump() SummaryDump {
	return SummaryDump{m.Epoch, osdmap.Release(m.MinMonRelease).String(), len(m.Ranks)}
}
