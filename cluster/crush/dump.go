package crush

import (
	"fmt"
	"maps"
	"slices"

	"glue/internal/cephjson"
)

// A Dump is the JSON of `osd crush dump`.
type Dump struct {
	Devices    []DumpDevice    `json:"devices"`
	Types      []DumpType      `json:"types"`
	Buckets    []DumpBucket    `json:"buckets"`
	Rules      []DumpRule      `json:"rules"`
	Tunables   DumpTunables    `json:"tunables"`
	ChooseArgs cephjson.Object `json:"choose_args"` // set -> []DumpChooseArg
}

// A DumpDevice is one device.
type DumpDevice struct {
	ID    int32  `json:"id"`
	Name  string `json:"name"`
	Class string `json:"class,omitempty"`
}

// A DumpType is one type of bucket.
type DumpType struct {
	ID   int32  `json:"type_id"`
	Name string `json:"name"`
}

// A DumpBucket is one bucket; weights are 16.16.
type DumpBucket struct {
	ID       int32      `json:"id"`
	Name     string     `json:"name"`
	TypeID   uint16     `json:"type_id"`
	TypeName string     `json:"type_name"`
	Weight   uint32     `json:"weight"`
	Alg      string     `json:"alg"`
	Hash     string     `json:"hash"`
	Items    []DumpItem `json:"items"`
}

// A DumpItem is one item of a bucket.
type DumpItem struct {
	ID     int32  `json:"id"`
	Weight uint32 `json:"weight"`
	Pos    int    `json:"pos"`
}

// A DumpRule is one rule, the JSON of `osd crush rule dump`.
type DumpRule struct {
	ID      int        `json:"rule_id"`
	Name    string     `json:"rule_name"`
	Ruleset uint8      `json:"ruleset"`
	Type    uint8      `json:"type"`
	MinSize uint8      `json:"min_size"`
	MaxSize uint8      `json:"max_size"`
	Steps   []DumpStep `json:"steps"`
}

// A DumpStep is one step; which fields it has depends on the step.
type DumpStep struct {
	Op       string  `json:"op,omitempty"`
	Item     *int32  `json:"item,omitempty"`
	ItemName *string `json:"item_name,omitempty"`
	Num      *int32  `json:"num,omitempty"`
	Type     *string `json:"type,omitempty"`
	Opcode   *Op     `json:"opcode,omitempty"`
	Arg1     *int32  `json:"arg1,omitempty"`
	Arg2     *int32  `json:"arg2,omitempty"`
}

// DumpTunables are the tunables and what they ask of clients, the JSON of
// `osd crush show-tunables`.
type DumpTunables struct {
	ChooseLocalTries         int32  `json:"choose_local_tries"`
	ChooseLocalFallbackTries int32  `json:"choose_local_fallback_tries"`
	ChooseTotalTries         int32  `json:"choose_total_tries"`
	ChooseleafDescendOnce    int32  `json:"chooseleaf_descend_once"`
	ChooseleafVaryR          uint8  `json:"chooseleaf_vary_r"`
	ChooseleafStable         uint8  `json:"chooseleaf_stable"`
	StrawCalcVersion         uint8  `json:"straw_calc_version"`
	AllowedBucketAlgs        uint32 `json:"allowed_bucket_algs"`
	Profile                  string `json:"profile"`
	Optimal                  int    `json:"optimal_tunables"`
	Legacy                   int    `json:"legacy_tunables"`
	MinVersion               string `json:"minimum_required_version"`
	NeedTunables             int    `json:"require_feature_tunables"`
	NeedTunables2            int    `json:"require_feature_tunables2"`
	V2Rules                  int    `json:"has_v2_rules"`
	NeedTunables3            int    `json:"require_feature_tunables3"`
	V3Rules                  int    `json:"has_v3_rules"`
	V4Buckets                int    `json:"has_v4_buckets"`
	NeedTunables5            int    `json:"require_feature_tunables5"`
	V5Rules                  int    `json:"has_v5_rules"`
}

// A DumpChooseArg is what choose_args replace in one bucket.
type DumpChooseArg struct {
	BucketID  int32              `json:"bucket_id"`
	WeightSet [][]cephjson.Float `json:"weight_set,omitempty"`
	IDs       []int32            `json:"ids,omitempty"`
}

// Dump gives the whole map.
func (m *Map) Dump() Dump {
	return Dump{
		Devices: m.DumpDevices(), Types: m.dumpTypes(), Buckets: m.dumpBuckets(),
		Rules: m.DumpRules(), Tunables: m.DumpTunables(), ChooseArgs: m.dumpChooseArgs(),
	}
}

// DumpDevices gives all devices up to the highest.
func (m *Map) DumpDevices() []DumpDevice {
	out := []DumpDevice{}
	for id := range m.MaxDevices {
		out = append(out, DumpDevice{ID: id, Name: m.itemName(id), Class: m.ItemClass(id)})
	}
	return out
}

func (m *Map) dumpTypes() []DumpType {
	out := []DumpType{}
	if _, ok := m.Types[0]; !ok && len(m.Types) > 0 {
		out = append(out, DumpType{0, "device"})
	}
	for _, t := range slices.Sorted(maps.Keys(m.Types)) {
		out = append(out, DumpType{t, m.Types[t]})
	}
	return out
}

func (m *Map) dumpBuckets() []DumpBucket {
	out := []DumpBucket{}
	for _, b := range m.Buckets {
		if b == nil {
			continue
		}
		d := DumpBucket{
			ID: b.ID, Name: m.Names[b.ID], TypeID: b.Type, TypeName: m.Types[int32(b.Type)],
			Weight: b.Weight, Alg: b.Alg.String(), Hash: hashName(b.Hash), Items: []DumpItem{},
		}
		for i, id := range b.Items {
			d.Items = append(d.Items, DumpItem{id, b.ItemWeight(i), i})
		}
		out = append(out, d)
	}
	return out
}

// hashName is the word for a bucket's hash.
func hashName(h uint8) string {
	if h == 0 {
		return "rjenkins1"
	}
	return "unknown"
}

// DumpRules gives all rules.
func (m *Map) DumpRules() []DumpRule {
	out := []DumpRule{}
	for i := range m.Rules {
		if m.Rules[i] != nil {
			out = append(out, m.DumpRule(i))
		}
	}
	return out
}

// DumpRule gives one rule, which must exist.
func (m *Map) DumpRule(id int) DumpRule {
	r := m.Rules[id]
	d := DumpRule{
		ID: id, Name: m.RuleNames[int32(id)], Ruleset: r.Ruleset, Type: r.Type,
		MinSize: r.MinSize, MaxSize: r.MaxSize, Steps: []DumpStep{},
	}
	for _, s := range r.Steps {
		d.Steps = append(d.Steps, m.dumpStep(s))
	}
	return d
}

// dumpOps are the steps that the dump has words for.
var dumpOps = map[Op]string{
	OpNoop: "noop", OpTake: "take", OpEmit: "emit",
	OpChooseFirstN: "choose_firstn", OpChooseIndep: "choose_indep",
	OpChooseLeafFirstN: "chooseleaf_firstn", OpChooseLeafIndep: "chooseleaf_indep",
	OpSetChooseTries: "set_choose_tries", OpSetChooseLeafTries: "set_chooseleaf_tries",
}

func (m *Map) dumpStep(s Step) DumpStep {
	d := DumpStep{Op: dumpOps[s.Op]}
	switch s.Op {
	case OpNoop, OpEmit:
	case OpTake:
		name := m.Names[s.Arg1]
		d.Item, d.ItemName = &s.Arg1, &name
	case OpSetChooseTries, OpSetChooseLeafTries:
		d.Num = &s.Arg1
	case OpChooseFirstN, OpChooseIndep, OpChooseLeafFirstN, OpChooseLeafIndep:
		name := m.typeName(s.Arg2)
		d.Num, d.Type = &s.Arg1, &name
	default:
		d.Opcode, d.Arg1, d.Arg2 = &s.Op, &s.Arg1, &s.Arg2
	}
	return d
}

// DumpTunables gives the tunables.
func (m *Map) DumpTunables() DumpTunables {
	bit := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	t, n := m.Tunables, m.Needs()
	return DumpTunables{
		ChooseLocalTries:         int32(t.ChooseLocalTries),
		ChooseLocalFallbackTries: int32(t.ChooseLocalFallbackTries),
		ChooseTotalTries:         int32(t.ChooseTotalTries),
		ChooseleafDescendOnce:    int32(t.ChooseleafDescendOnce),
		ChooseleafVaryR:          t.ChooseleafVaryR,
		ChooseleafStable:         t.ChooseleafStable,
		StrawCalcVersion:         t.StrawCalcVersion,
		AllowedBucketAlgs:        t.AllowedBucketAlgs,
		Profile:                  t.Profile(),
		Optimal:                  bit(t.is("jewel")),
		Legacy:                   bit(t.is("argonaut")),
		MinVersion:               n.MinVersion(),
		NeedTunables:             bit(n.Tunables),
		NeedTunables2:            bit(n.Tunables2),
		V2Rules:                  bit(n.V2Rules),
		NeedTunables3:            bit(n.Tunables3),
		V3Rules:                  bit(n.V3Rules),
		V4Buckets:                bit(n.V4Buckets),
		NeedTunables5:            bit(n.Tunables5),
		V5Rules:                  bit(n.V5Rules),
	}
}

func (m *Map) dumpChooseArgs() cephjson.Object {
	out := cephjson.Object{}
	for _, key := range slices.Sorted(maps.Keys(m.ChooseArgs)) {
		args := m.ChooseArgs[key]
		list := []DumpChooseArg{}
		for _, id := range argIDs(args) {
			d := DumpChooseArg{BucketID: id, IDs: args[id].IDs}
			for _, set := range args[id].WeightSets {
				row := []cephjson.Float{}
				for _, w := range set {
					row = append(row, cephjson.Float(toFloat(w)))
				}
				d.WeightSet = append(d.WeightSet, row)
			}
			list = append(list, d)
		}
		out = append(out, cephjson.Member{Key: fmt.Sprint(key), Value: list})
	}
	return out
}
