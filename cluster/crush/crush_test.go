package crush

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
)

// TestHashes holds the hashes against values of the C functions.
func TestHashes(t *testing.T) {
	const name = "rbd_data.10226b8b4567.0000000000000000"
	var rjenkins, linux uint32
	for i := range len(name) + 1 {
		rjenkins = rjenkins*31 + HashString(name[:i])
		linux = linux*31 + HashStringLinux(name[:i])
	}
	for what, c := range map[string][2]uint32{
		"Hash1":              {Hash1(1), 0xd5082851},
		"Hash2":              {Hash2(1, 2), 0xb78dee9c},
		"Hash3":              {Hash3(1, 2, 3), 0x735ad42b},
		"Hash4":              {Hash4(1, 2, 3, 4), 0x696d1f16},
		"Hash5":              {Hash5(1, 2, 3, 4, 5), 0x4b42a1a1},
		"strings, all tails": {rjenkins, 0x20db48a4},
		"linux":              {linux, 0x75f68233},
		"foo":                {HashString("foo"), 0x7fc1f406},
		"bytes above 0x7f":   {HashString("\xff\x80 high bytes \xfe"[:14]), 0x00e25195},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %#x, want %#x", what, c[0], c[1])
		}
	}
}

// TestLogarithm checks the tables by what they stand for: the curve stays within its known error
// and below the number that the draws subtract from.
func TestLogarithm(t *testing.T) {
	for u := range uint32(1 << 16) {
		got := ln(u)
		want := math.Log2(float64(u)+1) * (1 << 44)
		if math.Abs(float64(got)-want) > 1<<44/2000.0 {
			t.Fatalf("ln(%d) is %d, far from %.0f", u, got, want)
		}
		if got > 1<<48 {
			t.Fatalf("ln(%d) is above 2^48", u)
		}
	}
}

// TestPow checks the roots where math.Pow is a unit off.
func TestPow(t *testing.T) {
	for n := 2.0; n < 60; n++ {
		for x := 2.0; x < 6; x++ {
			if got := pow(math.Pow(x, n), 1/n); math.Abs(got-x) > 4e-16*x {
				t.Errorf("%v-th root of %v**%v is %v", n, x, n, got)
			}
		}
	}
	if got := pow(672, 1.0/20); got != 1.384740720953003 && got != 1.3847407209530027 {
		t.Errorf("20th root of 672 is %v", got)
	}
}

func testDefault(t *testing.T) *Map {
	t.Helper()
	m, err := Default(0, "host")
	if err != nil {
		t.Fatal(err)
	}
	for id := range int32(12) {
		host := string("abcd"[id%4])
		loc := Location{"host": "host-" + host, "root": "default"}
		name := "osd." + string("0123456789xy"[id])
		if _, err := m.CreateOrMove(id, 0x10000, name, loc); err != nil {
			t.Fatal(err)
		}
		class := []string{"ssd", "hdd"}[id/4%2]
		if _, err := m.SetDeviceClass(id, class); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestDefaultMap is the life of a small cluster's map.
func TestDefaultMap(t *testing.T) {
	m := testDefault(t)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	weights := slices.Repeat([]uint32{0x10000}, 12)
	hosts := map[int32]bool{}
	for _, id := range m.Do(0, 1234, 3, weights, 7) {
		hosts[id%4] = true
	}
	if len(hosts) != 3 {
		t.Errorf("three replicas on %d hosts", len(hosts))
	}
	rule, err := m.AddSimpleRule(SimpleRule{
		Name: "fast", Root: "default", FailureDomain: "host", Class: "ssd", Type: TypeReplicated,
	})
	if err != nil || rule != 1 {
		t.Fatalf("rule %d, %v", rule, err)
	}
	for x := range uint32(100) {
		for _, id := range m.Do(rule, x, 4, weights, 7) {
			if m.ItemClass(id) != "ssd" {
				t.Fatalf("osd.%d of class %s by a rule for ssd", id, m.ItemClass(id))
			}
		}
	}
	root, _ := m.ItemID("default")
	if w := m.Bucket(root).Weight; w != 12<<16 {
		t.Errorf("the root weighs %d", w)
	}
	want := []Coordinate{{"host", "host-b"}, {"root", "default"}}
	if got := m.FullLocation(5); !slices.Equal(got, want) {
		t.Errorf("osd.5 is at %v", got)
	}
	if got := m.Leaves(root); len(got) != 12 {
		t.Errorf("devices %v", got)
	}
}

// TestEditErrors checks the answers to wrong commands.
func TestEditErrors(t *testing.T) {
	m := testDefault(t)
	root, _ := m.ItemID("default")
	host, _ := m.ItemID("host-a")
	_, add := m.AddSimpleRule(SimpleRule{Name: "replicated_rule", Root: "default"})
	_, noRoot := m.AddSimpleRule(SimpleRule{Name: "r", Root: "nowhere"})
	_, noType := m.AddSimpleRule(SimpleRule{Name: "r", Root: "default", FailureDomain: "cage"})
	_, noClass := m.AddSimpleRule(SimpleRule{Name: "r", Root: "default", Class: "tape"})
	_, class := m.SetDeviceClass(0, "hdd")
	top := Location{"root": "default"}
	_, form := ParseLocation([]string{"host"})
	_, exists := m.AddBucket(0, 0, 1, "host-a")
	_, noItem := m.AdjustItemWeight(99, 1)
	for name, c := range map[string]struct {
		err  error
		want ceph.Errno
	}{
		"rule exists":       {add, ceph.EEXIST},
		"no such root":      {noRoot, ceph.ENOENT},
		"no such type":      {noType, ceph.EINVAL},
		"no such class":     {noClass, ceph.EINVAL},
		"class taken":       {class, ceph.EBUSY},
		"location form":     {form, ceph.EINVAL},
		"bucket exists":     {exists, ceph.EEXIST},
		"no such item":      {noItem, ceph.ENOENT},
		"bucket full":       {m.Clone().RemoveItem(host, false), ceph.ENOTEMPTY},
		"into itself":       {m.Clone().MoveBucket(root, Location{"host": "host-a"}), eloop},
		"bad name":          {m.Clone().InsertItem(50, 1, "a b", top), ceph.EINVAL},
		"name taken":        {m.Clone().InsertItem(50, 1, "osd.1", top), ceph.EEXIST},
		"nowhere":           {m.Clone().InsertItem(50, 1, "osd.z", Location{}), ceph.EINVAL},
		"device moved":      {m.Clone().MoveBucket(3, Location{"root": "default"}), ceph.EINVAL},
		"rename to taken":   {m.Clone().RenameBucket("host-a", "host-b"), ceph.EEXIST},
		"rename of nothing": {m.Clone().RenameBucket("host-z", "host-y"), ceph.ENOENT},
		"rename again":      {m.Clone().RenameBucket("host-z", "host-a"), ealready},
		"rename a device":   {m.Clone().RenameBucket("osd.1", "osd.one"), ceph.ENOTDIR},
		"no such rule":      {m.Clone().RemoveRule(9), ceph.ENOENT},
		"no such profile":   {m.Clone().SetProfile("luminous"), ceph.EINVAL},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
}

// TestRenameKeepsShadows: a rule on a class still works after its root was renamed.
func TestRenameKeepsShadows(t *testing.T) {
	m := testDefault(t)
	rule, err := m.AddSimpleRule(SimpleRule{
		Name: "fast", Root: "default", FailureDomain: "host", Class: "ssd", Type: TypeReplicated,
	})
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(m.Rules[rule].Steps)
	if err := m.RenameBucket("default", "main"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, m.Rules[rule].Steps) || m.Names[before[0].Arg1] != "main~ssd" {
		t.Errorf("rule takes %q, steps %v, were %v",
			m.Names[before[0].Arg1], m.Rules[rule].Steps, before)
	}
	if err := m.RenameClass("ssd", "flash"); err != nil {
		t.Fatal(err)
	}
	if m.Names[before[0].Arg1] != "main~flash" || len(m.ClassInUse("flash")) != 1 {
		t.Errorf("shadow is %q, in use by %v", m.Names[before[0].Arg1], m.ClassInUse("flash"))
	}
	var text bytes.Buffer
	if err := Decompile(&text, m); err != nil {
		t.Fatal(err)
	}
	again, err := Compile(text.String())
	if err != nil || !bytes.Equal(encode(again), encode(m)) {
		t.Errorf("the text form does not give the map back: %v", err)
	}
}

// TestOldForms decodes what older releases wrote: maps that end early, and names with 64-bit
// keys.
func TestOldForms(t *testing.T) {
	m := testDefault(t)
	noFeatures := denc.Marshal(m, 0)
	jewel := denc.Marshal(m, featureTunables5)
	if len(jewel) != len(noFeatures)+1 {
		t.Errorf("tunables5 adds %d bytes", len(jewel)-len(noFeatures))
	}
	// The tunables before chooseleaf_stable: 12, 4, 1, 1 and 4 bytes; each end is a whole map.
	for _, cut := range []int{0, 4, 5, 6, 10, 22} {
		var old Map
		if err := denc.Unmarshal(noFeatures[:len(noFeatures)-cut], &old, 0); err != nil {
			t.Errorf("map without its last %d bytes: %v", cut, err)
		}
		if cut == 22 && old.Tunables != Profiles["legacy"] {
			t.Errorf("tunables of the first release: %+v", old.Tunables)
		}
		if len(old.ClassNames) != 0 {
			t.Error("classes from a map that has none")
		}
	}
	c := denc.NewEncoder(nil, 0)
	c.U32Const(1)
	c.U64Const(3) // the key
	name := "osd.3"
	c.Str(&name)
	names := map[int32]string{}
	if d := denc.NewDecoder(c.Bytes(), 0); true {
		if dencNames(d, &names); d.Err() != nil || names[3] != "osd.3" {
			t.Errorf("64-bit key: %v, %v", names, d.Err())
		}
	}
}

// TestCompatWeights: a peer that knows no choose_args sees the default set as bucket weights.
func TestCompatWeights(t *testing.T) {
	m := testDefault(t)
	if _, err := m.CreateWeightSet(DefaultArgs, 1); err != nil {
		t.Fatal(err)
	}
	if err := m.AdjustWeightSet(DefaultArgs, 0, []uint32{0x8000}); err != nil {
		t.Fatal(err)
	}
	var old, full Map
	if err := denc.Unmarshal(denc.Marshal(m, featureTunables5), &old, 0); err != nil {
		t.Fatal(err)
	}
	if err := denc.Unmarshal(encode(m), &full, 0); err != nil {
		t.Fatal(err)
	}
	weights := slices.Repeat([]uint32{0x10000}, 12)
	for x := range uint32(200) {
		if a, b := old.Do(0, x, 3, weights, 1), full.Do(0, x, 3, weights, 1); !slices.Equal(a, b) {
			t.Fatalf("x %d: %v by the old form, %v by the new", x, a, b)
		}
	}
	root, _ := m.ItemID("default")
	sums := m.ChooseArgs[DefaultArgs][root].sums()
	if sums[0] != 12<<16-0x8000 {
		t.Errorf("the root weighs %d in the set", sums[0])
	}
}

// TestCompileErrors checks that wrong texts are refused with a reason.
func TestCompileErrors(t *testing.T) {
	types := "device 0 osd.0\ntype 0 osd\ntype 1 root\n"
	good := types + "root r {\nid -1\nalg straw2\nhash 0\nitem osd.0 weight 1.000\n}\n"
	if _, err := Compile(good); err != nil {
		t.Fatal(err)
	}
	const sets = "choose_args 0 { { "
	const rule = "rule x { id 0 type erasure min_size 1 max_size 2 "
	for text, want := range map[string]string{
		"nonsense":                                                  "parse error",
		"tunable speed 3":                                           "not recognized",
		"device 99999999 osd.9":                                     "out of range",
		types + "device 1 osd.0":                                    "defined twice",
		types + "cage c { alg straw2 }":                             "not defined",
		types + "root r { alg straw3 }":                             "unknown bucket alg",
		types + "root r { alg straw2 item x }":                      "not defined",
		types + "root r { id -99999999 alg straw2 }":                "out of range",
		types + "root r { alg straw2 item osd.0 weight 101 }":       "limited to 100",
		types + "root r { alg tree item osd.0 pos 7 }":              "pos 7 >= size 1",
		types + "root r { alg straw2 item r }":                      "not defined",
		good + "root r { alg straw2 }":                              "already defined",
		good + "rule x { id 0 type cage }":                          "parse error",
		good + "rule x { id 300 type erasure }":                     "out of range",
		good + rule + "step take q step emit }":                     "not defined",
		good + sets + "bucket_id -7 } }":                            "does not exist",
		good + sets + "bucket_id -1 ids [ 1 2 ] } }":                "exactly 1 ids but got 2",
		good + "\n %":                                               "error: parse error at",
		types + "root a {alg list item b} root b {alg list item a}": "included each other",
	} {
		_, err := Compile(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
