package fsmap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/internal/cephjson"
)

// Dump is `ceph fs dump -f json`.
func (m *Map) Dump() cephjson.Object {
	return cephjson.Object{
		{Key: "epoch", Value: m.Epoch}, {Key: "default_fscid", Value: m.Legacy},
		{Key: "compat", Value: cephjson.Object{
			{Key: "compat", Value: named(m.Compat.Compat)},
			{Key: "ro_compat", Value: named(m.Compat.ReadOnly)},
			{Key: "incompat", Value: named(m.Compat.Incompat)}}},
		{Key: "feature_flags", Value: cephjson.Object{
			{Key: "enable_multiple", Value: m.Multiple},
			{Key: "ever_enabled_multiple", Value: m.EverMultiple}}},
		{Key: "standbys", Value: []string{}}, {Key: "filesystems", Value: []string{}},
	}
}

func named(features map[uint64]string) cephjson.Object {
	out := cephjson.Object{}
	for _, n := range slices.Sorted(maps.Keys(features)) {
		out = append(out, cephjson.Member{Key: fmt.Sprintf("feature_%d", n), Value: features[n]})
	}
	return out
}

// Text is `ceph fs dump`.
func (m *Map) Text() string {
	return fmt.Sprintf("e%d\nenable_multiple, ever_enabled_multiple: %d,%d\n"+
		"default compat: %s\nlegacy client fscid: %d\n \nNo filesystems configured\n", m.Epoch,
		digit(m.Multiple), digit(m.EverMultiple), m.Compat, m.Legacy)
}

func digit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// String is the form of "default compat" in `ceph fs dump`.
func (p Compat) String() string {
	set := func(features map[uint64]string) string {
		var out []string
		for _, n := range slices.Sorted(maps.Keys(features)) {
			out = append(out, fmt.Sprintf("%d=%s", n, features[n]))
		}
		return "{" + strings.Join(out, ",") + "}"
	}
	return fmt.Sprintf("compat=%s,rocompat=%s,incompat=%s", set(p.Compat), set(p.ReadOnly),
		set(p.Incompat))
}
