package crush

import (
	"slices"

	"glue/ceph"
)

// Tunables steer the retries of a draw. ChooseTotalTries counts retries: one more try is made.
type Tunables struct {
	ChooseLocalTries         uint32
	ChooseLocalFallbackTries uint32
	ChooseTotalTries         uint32
	ChooseleafDescendOnce    uint32
	ChooseleafVaryR          uint8
	ChooseleafStable         uint8
	StrawCalcVersion         uint8
	AllowedBucketAlgs        uint32 // bit per Alg
}

// Sets of bucket algorithms that the profiles allow.
const (
	legacyAlgs = 1<<Uniform | 1<<List | 1<<Straw
	hammerAlgs = legacyAlgs | 1<<Straw2
)

// Profiles are the named sets of tunables that `osd crush tunables` takes: each is the best of
// one release.
var Profiles = map[string]Tunables{
	"legacy":   {2, 5, 19, 0, 0, 0, 0, legacyAlgs},
	"argonaut": {2, 5, 19, 0, 0, 0, 0, legacyAlgs},
	"bobtail":  {0, 0, 50, 1, 0, 0, 0, legacyAlgs},
	"firefly":  {0, 0, 50, 1, 1, 0, 0, legacyAlgs},
	"hammer":   {0, 0, 50, 1, 1, 0, 0, hammerAlgs},
	"jewel":    {0, 0, 50, 1, 1, 1, 0, hammerAlgs},
	"optimal":  {0, 0, 50, 1, 1, 1, 1, hammerAlgs},
	"default":  {0, 0, 50, 1, 1, 1, 1, hammerAlgs},
}

// SetProfile sets the tunables of a named profile (`osd crush tunables`). Only legacy, optimal
// and default say how straws are computed; the others leave that as it was.
func (m *Map) SetProfile(name string) error {
	t, ok := Profiles[name]
	if !ok {
		return fail(ceph.EINVAL, "unrecognized profile '%s'", name)
	}
	if name != "legacy" && name != "optimal" && name != "default" {
		t.StrawCalcVersion = m.StrawCalcVersion
	}
	m.Tunables = t
	return nil
}

// is says whether the tunables are a profile's, the computation of straws aside.
func (t Tunables) is(name string) bool {
	t.StrawCalcVersion = Profiles[name].StrawCalcVersion
	return t == Profiles[name]
}

// Profile is the newest profile that the tunables are, or "unknown".
func (t Tunables) Profile() string {
	for _, name := range []string{"jewel", "hammer", "firefly", "bobtail", "argonaut"} {
		if t.is(name) {
			return name
		}
	}
	return "unknown"
}

// Needs are the abilities that a map asks of clients.
type Needs struct {
	Tunables, Tunables2, Tunables3, Tunables5 bool
	V2Rules, V3Rules, V5Rules                 bool
	V4Buckets                                 bool
	ChooseArgs                                bool // that no old client can be shown in another way
}

// Needs says what clients must know to compute this map.
func (m *Map) Needs() Needs {
	t := m.Tunables
	return Needs{
		Tunables: t.ChooseLocalTries != 2 || t.ChooseLocalFallbackTries != 5 ||
			t.ChooseTotalTries != 19,
		Tunables2: t.ChooseleafDescendOnce != 0,
		Tunables3: t.ChooseleafVaryR != 0,
		Tunables5: t.ChooseleafStable != 0,
		V2Rules: m.hasStep(OpChooseIndep, OpChooseLeafIndep, OpSetChooseTries,
			OpSetChooseLeafTries),
		V3Rules: m.hasStep(OpSetChooseLeafVaryR),
		V5Rules: m.hasStep(OpSetChooseLeafStable),
		V4Buckets: slices.ContainsFunc(m.Buckets, func(b *Bucket) bool {
			return b != nil && b.Alg == Straw2
		}),
		ChooseArgs: m.incompatArgs(),
	}
}

func (m *Map) hasStep(ops ...Op) bool {
	return slices.ContainsFunc(m.Rules, func(r *Rule) bool {
		return r != nil && slices.ContainsFunc(r.Steps, func(s Step) bool {
			return slices.Contains(ops, s.Op)
		})
	})
}

// incompatArgs says whether there are choose_args beyond one default set of weights, which a
// client that knows none can be shown as bucket weights.
func (m *Map) incompatArgs() bool {
	for key, args := range m.ChooseArgs {
		if key != DefaultArgs {
			return true
		}
		for _, a := range args {
			if !a.empty() && (len(a.WeightSets) != 1 || len(a.IDs) > 0) {
				return true
			}
		}
	}
	return false
}

// MinVersion is the oldest release whose clients can compute the map.
func (n Needs) MinVersion() string {
	switch {
	case n.V5Rules || n.Tunables5:
		return "jewel"
	case n.V4Buckets:
		return "hammer"
	case n.Tunables3:
		return "firefly"
	case n.Tunables2 || n.Tunables:
		return "bobtail"
	}
	return "argonaut"
}
