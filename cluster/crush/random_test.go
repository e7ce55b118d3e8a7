package crush

import (
	"fmt"
	"math/rand/v2"
)

// randomMap is a legal map with much of everything: it is what the comparisons with the stock
// tools and the round trips run on.
func randomMap(r *rand.Rand) *Map {
	g := mapMaker{Rand: r, m: New()}
	g.tunables()
	for t, name := range []string{"osd", "host", "rack", "row", "root"} {
		g.m.Types[int32(t)] = name
	}
	g.classes = g.IntN(3) == 0
	g.algs = [][]Alg{{Straw2}, {Straw2}, {List}, {Tree}, {Straw}, {Uniform},
		{Straw2, Straw2, Straw, List, Tree, Uniform}}[g.IntN(7)]
	if g.classes { // stock can't shadow uniform buckets
		g.algs = [][]Alg{{Straw2}, {Straw2, List, Straw}}[g.IntN(2)]
	}
	g.hierarchy()
	if g.classes {
		must(g.m.RebuildShadows())
	}
	if err := g.m.finalize(); err != nil {
		panic(err)
	}
	for i := range 1 + g.IntN(3) {
		g.rule(i)
	}
	if g.IntN(3) == 0 {
		g.chooseArgs()
	}
	return g.m
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type mapMaker struct {
	*rand.Rand
	m       *Map
	algs    []Alg
	classes bool
	nextID  int32
}

func (g *mapMaker) tunables() {
	names := []string{"legacy", "bobtail", "firefly", "hammer", "jewel", "default"}
	g.m.Tunables = Profiles[names[g.IntN(len(names))]]
	if g.IntN(3) == 0 {
		t := &g.m.Tunables
		t.ChooseLocalTries, t.ChooseLocalFallbackTries = uint32(g.IntN(4)), uint32(g.IntN(7))
		t.ChooseTotalTries = uint32(g.IntN(60))
		t.ChooseleafDescendOnce = uint32(g.IntN(2))
		t.ChooseleafVaryR, t.ChooseleafStable = uint8(g.IntN(5)), uint8(g.IntN(2))
		t.StrawCalcVersion = uint8(g.IntN(2))
	}
}

// weight is a device's: mostly plain, sometimes odd, rarely zero.
func (g *mapMaker) weight(alg Alg) uint32 {
	switch {
	case g.IntN(20) == 0 && alg != Tree && alg != Uniform:
		return 0
	case g.IntN(3) == 0:
		return 1 + uint32(g.IntN(20<<16))
	case g.IntN(2) == 0:
		return uint32(1+g.IntN(4)) << 16
	}
	return 0x10000
}

func (g *mapMaker) hierarchy() {
	devices := 1 + g.IntN(500)
	if g.IntN(2) == 0 {
		devices = 1 + g.IntN(40)
	}
	var level []int32
	for id := range int32(devices) {
		if g.IntN(50) == 0 && len(level) > 0 {
			continue // a hole in the numbers
		}
		g.m.setName(id, fmt.Sprintf("osd.%d", id))
		if g.classes && g.IntN(8) > 0 {
			g.m.ItemClasses[id] = g.m.classFor([]string{"hdd", "ssd", "nvme"}[g.IntN(3)])
		}
		level = append(level, id)
	}
	g.Shuffle(len(level), func(i, j int) { level[i], level[j] = level[j], level[i] })
	for typ := uint16(1); typ < 4; typ++ {
		if g.IntN(3) > 0 {
			level = g.group(level, typ)
		}
	}
	for i, b := range level {
		if b < 0 && i%7 == 3 { // some roots of their own
			level = append(level[:i], level[i+1:]...)
			break
		}
	}
	if g.IntN(4) == 0 {
		level = append(level, g.bucket(nil, 1, "empty"))
	}
	if len(level) > 64 && g.algs[0] == Tree {
		level = level[:64]
	}
	g.bucket(level, 4, "default")
}

// group puts the items of a level into buckets.
func (g *mapMaker) group(level []int32, typ uint16) []int32 {
	var out []int32
	for most := 1 + g.IntN(24); len(level) > 0; {
		n := min(1+g.IntN(most), len(level))
		name := fmt.Sprintf("%s-%d", g.m.Types[int32(typ)], len(out))
		out = append(out, g.bucket(level[:n], typ, name))
		level = level[n:]
	}
	return out
}

func (g *mapMaker) bucket(items []int32, typ uint16, name string) int32 {
	alg := g.algs[g.IntN(len(g.algs))]
	if alg == Tree && len(items) > 64 {
		alg = Straw2
	}
	weights := make([]uint32, len(items))
	for i, id := range items {
		weights[i] = g.weight(alg)
		if b := g.m.Bucket(id); b != nil && alg != Uniform && (b.Weight > 0 || alg != Tree) {
			weights[i] = b.Weight
		}
		if alg == Uniform {
			weights[i] = weights[0]
		}
	}
	b, err := g.m.newBucket(alg, 0, typ, items, weights)
	must(err)
	if g.IntN(4) == 0 {
		g.nextID -= int32(g.IntN(3)) // slots may stay empty
	}
	g.nextID--
	must(g.m.place(b, g.nextID))
	g.m.setName(b.ID, name)
	return b.ID
}

func (g *mapMaker) rule(id int) {
	r := &Rule{Ruleset: uint8(id), Type: TypeReplicated, MinSize: 1, MaxSize: uint8(2 + g.IntN(5))}
	if g.IntN(2) == 0 {
		r.Type = TypeErasure
	}
	for range g.IntN(4) {
		if g.IntN(2) == 0 {
			ops := []Op{OpSetChooseTries, OpSetChooseLeafTries, OpSetChooseLocalTries,
				OpSetChooseLocalFallback, OpSetChooseLeafVaryR, OpSetChooseLeafStable}
			r.Steps = append(r.Steps, Step{ops[g.IntN(len(ops))], int32(g.IntN(7)), 0})
		}
	}
	for range 1 + g.IntN(2) {
		r.Steps = append(r.Steps, g.take()...)
	}
	g.m.placeRule(id, r)
	g.m.RuleNames[int32(id)] = fmt.Sprintf("rule-%d", id)
}

// take is one run of steps from a take to an emit.
func (g *mapMaker) take() []Step {
	root, _ := g.m.ItemID("default")
	if shadows := g.m.ClassBuckets[root]; len(shadows) > 0 && g.IntN(2) == 0 {
		for class := range int32(3) {
			if s, ok := shadows[class]; ok && g.IntN(2) == 0 {
				root = s
				break
			}
		}
	}
	out := []Step{{OpTake, root, 0}}
	choose, leaf := OpChooseFirstN, OpChooseLeafFirstN
	if g.IntN(2) == 0 {
		choose, leaf = OpChooseIndep, OpChooseLeafIndep
	}
	num := func() int32 { return int32(g.IntN(5) - 1) }
	switch g.IntN(4) {
	case 0:
		out = append(out, Step{choose, num(), 0})
	case 1:
		out = append(out, Step{choose, num(), int32(1 + g.IntN(3))}, Step{choose, num(), 0})
	case 2:
		out = append(out, Step{choose, num(), int32(2 + g.IntN(2))}, Step{leaf, num(), 1})
	default:
		out = append(out, Step{leaf, num(), int32(g.IntN(4))})
	}
	return append(out, Step{OpEmit, 0, 0})
}

func (g *mapMaker) chooseArgs() {
	for _, key := range []int64{DefaultArgs, 0, 5} {
		if g.IntN(2) == 0 {
			continue
		}
		args := map[int32]*ChooseArg{}
		positions := 1 + g.IntN(3)
		for _, b := range g.m.Buckets {
			if b == nil || b.Alg != Straw2 || len(b.Items) == 0 || g.IntN(4) == 0 {
				continue
			}
			a := &ChooseArg{}
			for range positions {
				var set []uint32
				for range b.Items {
					set = append(set, g.weight(Straw2))
				}
				a.WeightSets = append(a.WeightSets, set)
			}
			if g.IntN(3) == 0 {
				for range b.Items {
					a.IDs = append(a.IDs, int32(g.IntN(1000)-500))
				}
			}
			args[b.ID] = a
		}
		g.m.ChooseArgs[key] = args
	}
}
