package crush

import (
	"maps"
	"slices"
)

// None fills a place of a result for which no device was found (CRUSH_ITEM_NONE).
const None int32 = 0x7fffffff

// DefaultArgs is the id of the choose_args that apply where a pool has none of its own: the
// "compat" weight set (DEFAULT_CHOOSE_ARGS).
const DefaultArgs int64 = -1

// Limits of the format and of the text compiler, as in stock.
const (
	MaxRules        = 256         // rules in one map (CRUSH_MAX_RULES)
	MaxDevice       = 1<<20 - 1   // highest device id; stock has none, mon_max_osd is 10,000
	MaxBuckets      = 1 << 20     // bucket slots that ids in text or commands may ask for
	MaxDeviceWeight = 100 << 16   // weight of one device in the text form
	MaxBucketWeight = 65535 << 16 // weight of one bucket in the text form
)

// Types of rules, the same numbers as the pools' types.
const (
	TypeReplicated = 1
	TypeErasure    = 3
)

// An Alg is how a bucket chooses among its items.
type Alg uint8

// The bucket algorithms (crush_algorithm).
const (
	Uniform Alg = 1
	List    Alg = 2
	Tree    Alg = 3
	Straw   Alg = 4
	Straw2  Alg = 5
)

// algNames are the words of the text form and of the dumps.
var algNames = map[Alg]string{
	Uniform: "uniform", List: "list", Tree: "tree", Straw: "straw", Straw2: "straw2",
}

// String is the algorithm's word in the text form.
func (a Alg) String() string {
	if s, ok := algNames[a]; ok {
		return s
	}
	return "unknown"
}

// A Bucket is an inner node of the hierarchy (crush_bucket).
type Bucket struct {
	ID     int32 // negative; the map's slot -1-ID
	Type   uint16
	Alg    Alg
	Hash   uint8  // 0, rjenkins1, is the only one there is
	Weight uint32 // 16.16 fixed point, as all weights here
	Items  []int32
	// Weights has one weight per item; a uniform bucket has one for all, a tree bucket none.
	Weights []uint32
	// Aux is what the algorithm keeps beside: running sums of a list, straw lengths, and the
	// weights of all nodes of a tree.
	Aux []uint32
}

// An Op is what a step of a rule does.
type Op uint32

// The steps (crush_opcodes).
const (
	OpNoop                   Op = 0
	OpTake                   Op = 1
	OpChooseFirstN           Op = 2
	OpChooseIndep            Op = 3
	OpEmit                   Op = 4
	OpChooseLeafFirstN       Op = 6
	OpChooseLeafIndep        Op = 7
	OpSetChooseTries         Op = 8
	OpSetChooseLeafTries     Op = 9
	OpSetChooseLocalTries    Op = 10
	OpSetChooseLocalFallback Op = 11
	OpSetChooseLeafVaryR     Op = 12
	OpSetChooseLeafStable    Op = 13
)

// A Step is one step of a rule. Arg1 is the item to take, the number of items to choose, or the
// value to set; Arg2 the type to choose.
type Step struct {
	Op         Op
	Arg1, Arg2 int32
}

// A Rule says how to place (crush_rule). Ruleset is the rule's own number in maps made since
// 2017.
type Rule struct {
	Ruleset, Type    uint8
	MinSize, MaxSize uint8
	Steps            []Step
}

// A ChooseArg replaces what draws in one bucket see (crush_choose_arg): the weights of the items,
// one set per place in the result (the last set serves all further places), and the ids that are
// hashed.
type ChooseArg struct {
	WeightSets [][]uint32
	IDs        []int32
}

// A Map is a CRUSH map (CrushWrapper). The maps are keyed by number; change names only through
// methods, which keep the reverse index.
type Map struct {
	Buckets    []*Bucket // slot i holds id -1-i, or nil
	Rules      []*Rule   // nil where a rule was removed
	MaxDevices int32
	Tunables

	Types     map[int32]string
	Names     map[int32]string // of devices and buckets, shadow buckets too
	RuleNames map[int32]string

	ItemClasses  map[int32]int32           // device or shadow bucket -> class
	ClassNames   map[int32]string          // class -> name
	ClassBuckets map[int32]map[int32]int32 // bucket -> class -> shadow bucket

	ChooseArgs map[int64]map[int32]*ChooseArg // set -> bucket id -> replacement

	ids map[string]int32 // reverse of Names
}

// New is an empty map with the tunables of new clusters.
func New() *Map {
	return &Map{
		Tunables:     Profiles["default"],
		Types:        map[int32]string{},
		Names:        map[int32]string{},
		RuleNames:    map[int32]string{},
		ItemClasses:  map[int32]int32{},
		ClassNames:   map[int32]string{},
		ClassBuckets: map[int32]map[int32]int32{},
		ChooseArgs:   map[int64]map[int32]*ChooseArg{},
		ids:          map[string]int32{},
	}
}

// Clone is a deep copy, to be edited and published in place of m.
func (m *Map) Clone() *Map {
	n := *m
	n.Buckets = make([]*Bucket, len(m.Buckets))
	for i, b := range m.Buckets {
		if b != nil {
			n.Buckets[i] = b.clone()
		}
	}
	n.Rules = make([]*Rule, len(m.Rules))
	for i, r := range m.Rules {
		if r != nil {
			c := *r
			c.Steps = slices.Clone(r.Steps)
			n.Rules[i] = &c
		}
	}
	n.Types, n.Names = copyOf(m.Types), copyOf(m.Names)
	n.RuleNames = copyOf(m.RuleNames)
	n.ItemClasses, n.ClassNames = copyOf(m.ItemClasses), copyOf(m.ClassNames)
	n.ClassBuckets = make(map[int32]map[int32]int32, len(m.ClassBuckets))
	for id, classes := range m.ClassBuckets {
		n.ClassBuckets[id] = maps.Clone(classes)
	}
	n.ChooseArgs = make(map[int64]map[int32]*ChooseArg, len(m.ChooseArgs))
	for id, args := range m.ChooseArgs {
		n.ChooseArgs[id] = cloneArgs(args)
	}
	n.ids = copyOf(m.ids)
	return &n
}

// copyOf never returns nil, also not for the nil maps that a decoder leaves: the copy is to be
// edited.
func copyOf[K comparable, V any](m map[K]V) map[K]V {
	out := make(map[K]V, len(m))
	maps.Copy(out, m)
	return out
}

func (b *Bucket) clone() *Bucket {
	c := *b
	c.Items, c.Weights, c.Aux = slices.Clone(b.Items), slices.Clone(b.Weights), slices.Clone(b.Aux)
	return &c
}

func cloneArgs(args map[int32]*ChooseArg) map[int32]*ChooseArg {
	out := make(map[int32]*ChooseArg, len(args))
	for id, a := range args {
		c := &ChooseArg{IDs: slices.Clone(a.IDs), WeightSets: make([][]uint32, len(a.WeightSets))}
		for i, w := range a.WeightSets {
			c.WeightSets[i] = slices.Clone(w)
		}
		out[id] = c
	}
	return out
}

// reindex rebuilds the reverse index of names; of two items with one name the higher id wins.
func (m *Map) reindex() {
	m.ids = make(map[string]int32, len(m.Names))
	for id, name := range m.Names {
		if old, ok := m.ids[name]; !ok || id > old {
			m.ids[name] = id
		}
	}
}
