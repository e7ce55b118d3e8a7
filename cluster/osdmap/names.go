package osdmap

import (
	"slices"
	"strings"
)

// Flags are cluster-wide switches (CEPH_OSDMAP_*).
type Flags uint32

// The flags.
const (
	FlagNearfull Flags = 1 << iota
	FlagFull
	FlagPauseRD
	FlagPauseWR
	FlagPauseRec
	FlagNoUp
	FlagNoDown
	FlagNoOut
	FlagNoIn
	FlagNoBackfill
	FlagNoRecover
	FlagNoScrub
	FlagNoDeepScrub
	FlagNoTierAgent
	FlagNoRebalance
	FlagSortBitwise
	FlagRequireJewel
	FlagRequireKraken
	FlagRequireLuminous
	FlagRecoveryDeletes
	FlagPurgedSnapdirs
	FlagNoSnapTrim
	FlagPGLogHardLimit

	legacyRequireFlags = FlagRequireJewel | FlagRequireKraken | FlagRequireLuminous
	semiHiddenFlags    = legacyRequireFlags | FlagRecoveryDeletes | FlagSortBitwise |
		FlagPurgedSnapdirs | FlagPGLogHardLimit
)

// FlagsFresh are the flags of a cluster that Pacific created.
const FlagsFresh = FlagSortBitwise | FlagRecoveryDeletes | FlagPurgedSnapdirs | FlagPGLogHardLimit

// flagTable is in the order in which Ceph prints the names.
var flagTable = []struct {
	bit  Flags
	name string
}{
	{FlagPauseRD, "pauserd"}, {FlagPauseWR, "pausewr"}, {FlagPauseRec, "pauserec"},
	{FlagNoUp, "noup"}, {FlagNoDown, "nodown"}, {FlagNoOut, "noout"}, {FlagNoIn, "noin"},
	{FlagNoBackfill, "nobackfill"}, {FlagNoRebalance, "norebalance"},
	{FlagNoRecover, "norecover"}, {FlagNoScrub, "noscrub"}, {FlagNoDeepScrub, "nodeep-scrub"},
	{FlagNoTierAgent, "notieragent"}, {FlagNoSnapTrim, "nosnaptrim"},
	{FlagSortBitwise, "sortbitwise"}, {FlagRequireJewel, "require_jewel_osds"},
	{FlagRequireKraken, "require_kraken_osds"}, {FlagRequireLuminous, "require_luminous_osds"},
	{FlagRecoveryDeletes, "recovery_deletes"}, {FlagPurgedSnapdirs, "purged_snapdirs"},
	{FlagPGLogHardLimit, "pglog_hardlimit"},
}

// Has says whether all bits of mask are set.
func (f Flags) Has(mask Flags) bool { return f&mask == mask }

func (f Flags) names() []string {
	out := []string{}
	for _, row := range flagTable {
		if f&row.bit != 0 {
			out = append(out, row.name)
		}
	}
	return out
}

// String lists the names in Ceph's order, separated by commas.
func (f Flags) String() string { return strings.Join(f.names(), ",") }

// Set lists the names alphabetically.
func (f Flags) Set() []string {
	names := f.names()
	slices.Sort(names)
	return names
}

// ParseFlag finds a flag by its name.
func ParseFlag(name string) (Flags, bool) {
	for _, row := range flagTable {
		if row.name == name {
			return row.bit, true
		}
	}
	return 0, false
}

// bitNames never returns nil, so that it prints as an empty list.
func bitNames(bits uint64, names []string) []string {
	out := []string{}
	for i := range 64 {
		if bits&(1<<i) == 0 {
			continue
		}
		if i < len(names) {
			out = append(out, names[i])
		} else {
			out = append(out, "???")
		}
	}
	return out
}

// A State is what an OSD is, or must not become (CEPH_OSD_*).
type State uint32

// The states.
const (
	OSDExists State = 1 << iota
	OSDUp
	OSDAutoOut
	OSDNew
	OSDFull
	OSDNearfull
	OSDBackfillfull
	OSDDestroyed
	OSDNoUp
	OSDNoDown
	OSDNoIn
	OSDNoOut
	OSDStop
)

var stateNames = []string{
	"exists", "up", "autoout", "new", "full", "nearfull", "backfillfull", "destroyed", "noup",
	"nodown", "noin", "noout", "stop",
}

// Has says whether all bits of mask are set.
func (s State) Has(mask State) bool { return s&mask == mask }

// Set lists the names alphabetically.
func (s State) Set() []string {
	names := bitNames(uint64(s), stateNames)
	slices.Sort(names)
	return names
}

// String lists the names alphabetically, separated by commas.
func (s State) String() string { return strings.Join(s.Set(), ",") }

// A Release is a major version of Ceph (ceph_release_t); 0xff means "unchanged" in incrementals.
type Release uint8

// Releases that matter here.
const (
	ReleaseUnknown   Release = 0
	Jewel            Release = 10
	Kraken           Release = 11
	Luminous         Release = 12
	Mimic            Release = 13
	Nautilus         Release = 14
	Octopus          Release = 15
	Pacific          Release = 16
	ReleaseUnchanged Release = 0xff
)

var releaseNames = []string{
	"unknown", "argonaut", "bobtail", "cuttlefish", "dumpling", "emperor", "firefly", "giant",
	"hammer", "infernalis", "jewel", "kraken", "luminous", "mimic", "nautilus", "octopus",
	"pacific", "quincy", "reef", "squid", "tentacle",
}

// String is the release's name.
func (r Release) String() string {
	if int(r) < len(releaseNames) {
		return releaseNames[r]
	}
	return "unknown"
}

// ParseRelease finds a release by its name.
func ParseRelease(name string) (Release, bool) {
	i := slices.Index(releaseNames, name)
	if i <= 0 {
		return 0, false
	}
	return Release(i), true
}
