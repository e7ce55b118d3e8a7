package crush

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
)

// An edit is one change, as arguments of the stock tool and as a call.
type edit struct {
	args  []string
	apply func(m *Map) error
}

// TestEditsAsStock makes the same changes with the stock tool and compares the maps to the byte.
func TestEditsAsStock(t *testing.T) {
	if _, err := exec.LookPath("crushtool"); err != nil {
		t.Skip("crushtool is not installed (Debian package ceph-base)")
	}
	for i := range max(*mapCount/6, 1) {
		seed := *mapSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := seeded(seed)
			m := randomMap(r)
			for hasAlg(m, Tree) || hasAlg(m, Uniform) || hasAlg(m, List) || m.MaxDevices > 100 {
				// Stock can't shadow uniform buckets and corrupts its memory emptying a list.
				m = randomMap(r)
			}
			if m.ChooseArgs = map[int64]map[int32]*ChooseArg{}; onlyStraw2(m) {
				if _, err := m.CreateWeightSet(DefaultArgs, 1); err != nil {
					t.Fatal(err)
				}
			}
			dir := t.TempDir()
			for step := range 10 {
				e := randomEdit(r, m)
				next := compareEdit(t, dir, step, m, e)
				if next != nil {
					m = next
				}
			}
		})
	}
}

// onlyStraw2 says whether weight sets can be compared: stock sums garbage through other buckets.
func onlyStraw2(m *Map) bool {
	return m.DefaultAlg() == Straw2 && !hasAlg(m, Straw)
}

func hasAlg(m *Map, alg Alg) bool {
	for _, b := range m.Buckets {
		if b != nil && b.Alg == alg {
			return true
		}
	}
	return false
}

// compareEdit applies an edit on both sides and returns the changed map, or nil if both refuse.
func compareEdit(t *testing.T, dir string, step int, m *Map, e edit) *Map {
	t.Helper()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, fmt.Sprint("out", step))
	if err := os.WriteFile(in, encode(m), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-i", in, "-o", out}, e.args...)
	said, stockErr := exec.Command("crushtool", args...).CombinedOutput()
	stock, readErr := os.ReadFile(out)
	n := m.Clone()
	err := e.apply(n)
	if err == nil {
		err = n.finalize() // as the tool does, and every decoder
	}
	var exit *exec.ExitError
	if errors.As(stockErr, &exit) && !exit.Exited() {
		t.Logf("step %d %v: stock crashes, ours says %v", step, e.args, err)
		return nil
	}
	if stockErr != nil || readErr != nil {
		if err == nil {
			t.Fatalf("step %d %v: stock refuses: %v %s", step, e.args, stockErr, said)
		}
		return nil
	}
	if err != nil {
		t.Fatalf("step %d %v: %v, stock accepts: %s", step, e.args, err, said)
	}
	if !bytes.Equal(encode(n), stock) {
		var again Map
		if err := denc.Unmarshal(stock, &again, ceph.FeaturesAll); err != nil {
			t.Fatal(err)
		}
		firstDiff(t, fmt.Sprint("step ", step, " ", e.args), describe(n), describe(&again))
		t.Fatalf("step %d %v: the maps differ in their bytes only", step, e.args)
	}
	return n
}

// picker chooses things of a map at random.
type picker struct {
	*rand.Rand
	m *Map
}

func (p picker) bucket(least uint16) string {
	var names []string
	for _, b := range p.m.Buckets {
		if b != nil && b.Type >= least && !p.m.IsShadow(b.ID) {
			names = append(names, p.m.Names[b.ID])
		}
	}
	return names[p.IntN(len(names))]
}

func (p picker) device() string {
	var names []string
	for id := range p.m.MaxDevices {
		if n, ok := p.m.Names[id]; ok {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return "osd.0"
	}
	return names[p.IntN(len(names))]
}

// loc is a location: an existing bucket, or a new one below the root.
func (p picker) loc(least uint16) (Location, []string) {
	name := p.bucket(least)
	loc := Location{}
	args := []string{"--loc"}
	if p.IntN(3) == 0 {
		typ := p.m.Types[int32(least)+int32(p.IntN(2))]
		name = fmt.Sprintf("new-%s-%d", typ, p.IntN(4))
		loc[typ], loc["root"] = name, "default"
		return loc, append(args, typ, name, "--loc", "root", "default")
	}
	typ := p.m.typeName(int32(p.m.named(name).Type))
	loc[typ] = name
	return loc, append(args, typ, name)
}

func randomEdit(r *rand.Rand, m *Map) edit {
	p := picker{r, m}
	weight := float64(r.IntN(40)) / 8
	w, _ := WeightOf(weight)
	text := fmt.Sprint(weight)
	switch r.IntN(11) {
	case 0:
		id := int32(r.IntN(200))
		name := fmt.Sprintf("osd.%d", id)
		loc, args := p.loc(1)
		return edit{append([]string{"--add-item", fmt.Sprint(id), text, name}, args...),
			func(m *Map) error { return m.InsertItem(id, w, name, loc) }}
	case 1:
		name := p.device()
		id := m.ids[name]
		loc, args := p.loc(1)
		return edit{append([]string{"--update-item", fmt.Sprint(id), text, name}, args...),
			func(m *Map) error { _, err := m.UpdateItem(id, w, name, loc); return err }}
	case 2:
		name := p.device()
		if r.IntN(3) == 0 {
			name = p.bucket(1)
		}
		return edit{[]string{"--remove-item", name},
			func(m *Map) error {
				id, ok := m.ItemID(name)
				if !ok {
					return fail(ceph.ENOENT, "no item %s", name)
				}
				return m.RemoveItem(id, false)
			}}
	case 3, 4:
		name := p.device()
		return edit{[]string{"--reweight-item", name, text},
			func(m *Map) error {
				id, ok := m.ItemID(name)
				if !ok {
					return fail(ceph.ENOENT, "no item %s", name)
				}
				_, err := m.AdjustItemWeight(id, w)
				return err
			}}
	case 5:
		return p.moveEdit()
	case 6:
		return p.addBucketEdit()
	case 7, 8:
		return p.ruleEdit()
	case 9:
		return edit{[]string{"--reweight"}, (*Map).ReweightAll}
	}
	return edit{[]string{"--rebuild-class-roots"}, (*Map).RebuildShadows}
}

func (p picker) moveEdit() edit {
	name := p.bucket(1)
	if p.IntN(2) == 0 {
		name = p.device()
	}
	loc, args := p.loc(2)
	return edit{append([]string{"--move", name}, args...), func(m *Map) error {
		id, ok := m.ItemID(name)
		if _, there := m.CheckLocation(id, loc); there || !ok {
			return fail(ceph.EINVAL, "already there, or nowhere")
		}
		if id < 0 {
			return m.MoveBucket(id, loc)
		}
		_, err := m.CreateOrMove(id, 0, name, loc)
		return err
	}}
}

func (p picker) addBucketEdit() edit {
	typ := int32(1 + p.IntN(2))
	name := fmt.Sprintf("fresh-%d", p.IntN(1000))
	loc, args := p.loc(3)
	return edit{append([]string{"--add-bucket", name, p.m.Types[typ]}, args...),
		func(m *Map) error {
			id, err := m.AddBucket(0, 0, uint16(typ), name)
			if err != nil {
				return err
			}
			return m.MoveBucket(id, loc)
		}}
}

func (p picker) ruleEdit() edit {
	if p.IntN(3) == 0 && len(p.m.RuleNames) > 0 {
		name := p.m.RuleNames[int32(p.IntN(len(p.m.RuleNames)))]
		if id, ok := p.m.RuleID(name); ok {
			return edit{[]string{"--remove-rule", name},
				func(m *Map) error { return m.RemoveRule(id) }}
		}
	}
	r := SimpleRule{
		Name: fmt.Sprintf("made-%d", p.IntN(100)), Root: p.bucket(2), FailureDomain: "host",
		Indep: p.IntN(2) == 0, Type: TypeReplicated,
	}
	mode := "firstn"
	if r.Indep {
		mode = "indep"
	}
	args := []string{"--create-simple-rule", r.Name, r.Root, r.FailureDomain, mode}
	if p.IntN(2) == 0 {
		r.Class = "ssd"
		args = append(args, "--device-class", "ssd")
	}
	return edit{args, func(m *Map) error { _, err := m.AddSimpleRule(r); return err }}
}
