package crush

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
)

// Decompile writes the text form, byte for byte as `crushtool -d` does. It fails on a rule that
// takes an item without a name.
func Decompile(w io.Writer, m *Map) error {
	d := decompiler{m: m}
	d.printf("# begin crush map\n")
	d.tunables()
	d.devices()
	d.printf("\n# buckets\n")
	d.done = make([]bool, len(m.Buckets))
	for i := range m.Buckets {
		d.bucketTree(int32(-1 - i))
	}
	d.printf("\n# rules\n")
	for i, r := range m.Rules {
		if r == nil {
			continue
		}
		if err := d.rule(i, r); err != nil {
			return err
		}
	}
	d.chooseArgs()
	d.printf("\n# end crush map\n")
	_, err := w.Write(d.out.Bytes())
	return err
}

type decompiler struct {
	m    *Map
	out  bytes.Buffer
	done []bool // bucket slots that are written, or about to be
}

func (d *decompiler) printf(format string, args ...any) { fmt.Fprintf(&d.out, format, args...) }

// fixed is a weight as the text form has it.
func fixed(w uint32) string { return fmt.Sprintf("%.3f", float32(int32(w))/0x10000) }

// tunables prints those that differ from the oldest release's.
func (d *decompiler) tunables() {
	t := d.m.Tunables
	for _, v := range []struct {
		name        string
		value, skip int64
	}{
		{"choose_local_tries", int64(int32(t.ChooseLocalTries)), 2},
		{"choose_local_fallback_tries", int64(int32(t.ChooseLocalFallbackTries)), 5},
		{"choose_total_tries", int64(int32(t.ChooseTotalTries)), 19},
		{"chooseleaf_descend_once", int64(int32(t.ChooseleafDescendOnce)), 0},
		{"chooseleaf_vary_r", int64(t.ChooseleafVaryR), 0},
		{"chooseleaf_stable", int64(t.ChooseleafStable), 0},
		{"straw_calc_version", int64(t.StrawCalcVersion), 0},
		{"allowed_bucket_algs", int64(t.AllowedBucketAlgs), legacyAlgs},
	} {
		if v.value != v.skip {
			d.printf("tunable %s %d\n", v.name, v.value)
		}
	}
}

// devices prints the devices and the types.
func (d *decompiler) devices() {
	m := d.m
	d.printf("\n# devices\n")
	for _, id := range slices.Sorted(maps.Keys(m.Names)) {
		if id < 0 || id >= m.MaxDevices {
			continue
		}
		d.printf("device %d %s", id, m.Names[id])
		if class := m.ItemClass(id); class != "" {
			d.printf(" class %s", class)
		}
		d.printf("\n")
	}
	d.printf("\n# types\n")
	if _, ok := m.Types[0]; !ok && len(m.Types) > 0 {
		d.printf("type 0 osd\n")
	}
	for _, t := range slices.Sorted(maps.Keys(m.Types)) {
		d.printf("type %d %s\n", t, m.Types[t])
	}
}

// typeName is a type's name, made up where there is none.
func (m *Map) typeName(t int32) string {
	if name, ok := m.Types[t]; ok {
		return name
	}
	if t == 0 {
		return "device"
	}
	return fmt.Sprintf("type%d", t)
}

// itemName is an item's name, made up where there is none.
func (m *Map) itemName(id int32) string {
	if name, ok := m.Names[id]; ok {
		return name
	}
	if id >= 0 {
		return fmt.Sprintf("device%d", id)
	}
	return fmt.Sprintf("bucket%d", -1-id)
}

// bucketTree writes a bucket after all that are below it.
func (d *decompiler) bucketTree(id int32) {
	b := d.m.Bucket(id)
	if b == nil || d.done[-1-id] {
		return
	}
	d.done[-1-id] = true
	for _, item := range b.Items {
		d.bucketTree(item)
	}
	if !d.m.IsShadow(id) {
		d.bucket(b)
	}
}

// algNotes warn editors of the text form.
var algNotes = map[Alg]string{
	List: "\t# add new items at the end; do not change order unnecessarily",
	Tree: "\t# do not change pos for existing items unnecessarily",
}

func (d *decompiler) bucket(b *Bucket) {
	m := d.m
	d.printf("%s %s {\n", m.typeName(int32(b.Type)), m.itemName(b.ID))
	d.printf("\tid %d\t\t# do not change unnecessarily\n", b.ID)
	classes := m.ClassBuckets[b.ID]
	for _, c := range slices.Sorted(maps.Keys(classes)) {
		d.printf("\tid %d class %s\t\t# do not change unnecessarily\n", classes[c], m.ClassNames[c])
	}
	d.printf("\t# weight %s\n", fixed(b.Weight))
	d.printf("\talg %s", b.Alg)
	if b.Alg == Uniform {
		d.printf("\t# do not change bucket size (%d) unnecessarily", len(b.Items))
	}
	d.printf("%s\n\thash %d\t# %s\n", algNotes[b.Alg], b.Hash, hashName(b.Hash))
	for i, item := range b.Items {
		d.printf("\titem %s weight %s", m.itemName(item), fixed(b.ItemWeight(i)))
		if b.Alg == Uniform || b.Alg == Tree {
			d.printf(" pos %d", i)
		}
		d.printf("\n")
	}
	d.printf("}\n")
}

// ruleTypes are the words for rule types that have one.
var ruleTypes = map[uint8]string{TypeReplicated: "replicated", TypeErasure: "erasure"}

func (d *decompiler) rule(id int, r *Rule) error {
	d.printf("rule %s {\n\tid %d\n", d.m.RuleNames[int32(id)], id)
	if int(r.Ruleset) != id {
		d.printf("\t# WARNING: ruleset %d != id %d; this will not recompile to the same map\n",
			r.Ruleset, id)
	}
	if name, ok := ruleTypes[r.Type]; ok {
		d.printf("\ttype %s\n", name)
	} else {
		d.printf("\ttype %d\n", r.Type)
	}
	d.printf("\tmin_size %d\n\tmax_size %d\n", r.MinSize, r.MaxSize)
	for _, s := range r.Steps {
		if err := d.step(s); err != nil {
			return fmt.Errorf("rule %d: %w", id, err)
		}
	}
	d.printf("}\n")
	return nil
}

// A stepText is how a step looks in the text form.
type stepText struct {
	op    Op
	words string
	args  int // 0; 1: a number; 2: a number and a type; 3: an item
}

// stepTexts are all the steps there are; both directions use them.
var stepTexts = []stepText{
	{OpNoop, "noop", 0},
	{OpTake, "take", 3},
	{OpEmit, "emit", 0},
	{OpSetChooseTries, "set_choose_tries", 1},
	{OpSetChooseLocalTries, "set_choose_local_tries", 1},
	{OpSetChooseLocalFallback, "set_choose_local_fallback_tries", 1},
	{OpSetChooseLeafTries, "set_chooseleaf_tries", 1},
	{OpSetChooseLeafVaryR, "set_chooseleaf_vary_r", 1},
	{OpSetChooseLeafStable, "set_chooseleaf_stable", 1},
	{OpChooseFirstN, "choose firstn", 2},
	{OpChooseIndep, "choose indep", 2},
	{OpChooseLeafFirstN, "chooseleaf firstn", 2},
	{OpChooseLeafIndep, "chooseleaf indep", 2},
}

func (d *decompiler) step(s Step) error {
	for _, t := range stepTexts {
		if t.op != s.Op {
			continue
		}
		d.printf("\tstep %s", t.words)
		switch t.args {
		case 1:
			d.printf(" %d", s.Arg1)
		case 2:
			d.printf(" %d type %s", s.Arg1, d.m.typeName(s.Arg2))
		case 3:
			id, class, err := d.m.splitClass(s.Arg1)
			if err != nil {
				return err
			}
			d.printf(" %s", d.m.itemName(id))
			if class >= 0 {
				d.printf(" class %s", d.m.ClassNames[class])
			}
		}
		d.printf("\n")
	}
	return nil
}

// splitClass gives the bucket and the class that a shadow bucket stands for; class is -1 for any
// other item.
func (m *Map) splitClass(id int32) (orig, class int32, err error) {
	name, ok := m.Names[id]
	if !ok {
		return 0, 0, fail(ceph.EINVAL, "item %d has no name", id)
	}
	base, className, found := strings.Cut(name, "~")
	if !found {
		return id, -1, nil
	}
	orig, ok = m.ItemID(base)
	class, okClass := m.ClassID(className)
	if !ok || !okClass {
		return 0, 0, fail(ceph.ENOENT, "shadow bucket %s has lost its bucket or class", name)
	}
	return orig, class, nil
}

func (d *decompiler) chooseArgs() {
	if len(d.m.ChooseArgs) == 0 {
		return
	}
	d.printf("\n# choose_args\n")
	for _, id := range slices.Sorted(maps.Keys(d.m.ChooseArgs)) {
		d.printf("choose_args %d {\n", uint64(id))
		args := d.m.ChooseArgs[id]
		for _, bucket := range argIDs(args) {
			d.chooseArg(bucket, args[bucket])
		}
		d.printf("}\n")
	}
}

func (d *decompiler) chooseArg(bucket int32, a *ChooseArg) {
	d.printf("  {\n    bucket_id %d\n", bucket)
	if len(a.WeightSets) > 0 {
		d.printf("    weight_set [\n")
		for _, set := range a.WeightSets {
			d.printf("      [ ")
			for _, w := range set {
				d.printf("%s ", fixed(w))
			}
			d.printf("]\n")
		}
		d.printf("    ]\n")
	}
	if len(a.IDs) > 0 {
		d.printf("    ids [ ")
		for _, id := range a.IDs {
			d.printf("%d ", id)
		}
		d.printf("]\n")
	}
	d.printf("  }\n")
}
