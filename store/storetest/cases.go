package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/store/objectstore"
)

type tx = objectstore.Transaction

// cases is the table of fixed tests.
var cases = []struct {
	name string
	run  func(*env)
}{
	{"empty", caseEmpty},
	{"read your writes at once", caseReadYourWrites},
	{"shapes of writes", caseShapes},
	{"errors have no effect", caseErrors},
	{"attributes", caseAttrs},
	{"omap", caseOmap},
	{"clone is a copy", caseClone},
	{"clone range", caseCloneRange},
	{"rename", caseRename},
	{"list order and paging", caseList},
	{"split", caseSplit},
	{"merge", caseMerge},
	{"log", caseLog},
	{"meta", caseMeta},
	{"remove and recreate", caseRecreate},
	{"collections", caseCollections},
	{"order of done", caseDoneOrder},
	{"many writers", caseConcurrent},
	{"limits", caseLimits},
	{"usage returns", caseUsage},
	{"closed", caseClosed},
	{"buffers are not kept", caseBuffers},
}

func caseEmpty(e *env) {
	if list, err := e.Collections(); err != nil || len(list) != 0 {
		e.Fatalf("collections of a new store: %v, %v", list, err)
	}
	e.do(func(*tx) {})
	u, err := e.Usage()
	if err != nil || u.Total == 0 || u.Available == 0 || u.Available > u.Total {
		e.Fatalf("usage of a new store: %+v, %v", u, err)
	}
}

func (e *env) wantData(o ceph.HObject, want []byte) {
	e.Helper()
	got, err := e.Read(spg(0), o, 0, 0)
	if err != nil || !bytes.Equal(got, want) {
		e.Fatalf("%v: want %d bytes, got %d (%v), equal %v",
			o, len(want), len(got), err, bytes.Equal(got, want))
	}
}

func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i*7) ^ byte(i>>8)
	}
	return b
}

func caseReadYourWrites(e *env) {
	var t tx
	t.MkColl(spg(0))
	var want []byte
	for i := range 50 {
		data := pattern(1000+i*977, byte(i))
		t.Write(spg(0), Object(0), uint64(i*500), data)
		t.SetAttr(spg(0), Object(0), "a", data[:10])
		t.OmapSet(spg(0), Object(0), map[string][]byte{"k": data[:10]})
		want = append(want[:i*500], data...)
		if err := e.Submit(&t, nil); err != nil {
			e.Fatal(err)
		}
		e.wantData(Object(0), want)
		v, err := e.GetAttr(spg(0), Object(0), "a")
		if err != nil || !bytes.Equal(v, data[:10]) {
			e.Fatalf("attribute %q, %v", v, err)
		}
		m, err := e.OmapGet(spg(0), Object(0), []string{"k", "none"})
		if err != nil || len(m) != 1 || !bytes.Equal(m["k"], data[:10]) {
			e.Fatalf("omap %q, %v", m, err)
		}
		t = tx{}
	}
	e.reopen()
	e.wantData(Object(0), want)
}

func caseShapes(e *env) {
	e.do(func(t *tx) { t.MkColl(spg(0)) })
	offs := []uint64{0, 1, 511, 4095, 4096, 4097, 65535, 65536, 1 << 20}
	lens := []int{0, 1, 4095, 4096, 4097, 8192, 65536, 65537}
	for _, off := range offs {
		for _, n := range lens {
			data := pattern(n, byte(n))
			want := make([]byte, 0)
			if n > 0 {
				want = append(make([]byte, off), data...)
			}
			e.do(func(t *tx) {
				t.Write(spg(0), Object(0), off, data)
				t.Truncate(spg(0), Object(1), off)
				t.Write(spg(0), Object(1), off, data)
			})
			e.wantData(Object(0), want)
			e.wantData(Object(1), append(make([]byte, off), data...))
			e.do(func(t *tx) { t.Remove(spg(0), Object(0)); t.Remove(spg(0), Object(1)) })
		}
	}
	ranges := [][3]uint64{{0, 9, 9}, {3, 0, 3}, {3, 4, 4}, {8, 9, 1}, {9, 1, 0}, {1 << 40, 1, 0}}
	for _, r := range ranges {
		e.do(func(t *tx) { t.Write(spg(0), Object(2), 0, []byte("123456789")) })
		got, err := e.Read(spg(0), Object(2), r[0], r[1])
		if want := r[2] + btou(r[0] == 3 && r[1] == 0)*3; err != nil || uint64(len(got)) != want {
			e.Fatalf("read %d+%d of 9 bytes: %q, %v", r[0], r[1], got, err)
		}
	}
}

func btou(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func caseErrors(e *env) {
	c, o, none := spg(0), Object(0), Object(6)
	e.fails(ceph.ENOENT, func(t *tx) { t.Touch(c, o) })
	e.fails(ceph.ENOENT, func(t *tx) { t.LogAppend(c, ceph.Eversion{Epoch: 1}, nil) })
	e.do(func(t *tx) { t.MkColl(c); t.Write(c, o, 0, []byte("abc")) })
	for _, f := range []func(*tx){
		func(t *tx) { t.Remove(c, none) },
		func(t *tx) { t.RmAttr(c, none, "a") },
		func(t *tx) { t.RmAttrs(c, none) },
		func(t *tx) { t.Clone(c, none, o) },
		func(t *tx) { t.CloneRange(c, none, o, 0, 0, 0) },
		func(t *tx) { t.MoveRename(c, none, Object(5)) },
		func(t *tx) { t.OmapRm(c, none, nil) },
		func(t *tx) { t.OmapRmRange(c, none, "", "") },
		func(t *tx) { t.OmapClear(c, none) },
		func(t *tx) { t.RmColl(spg(1)) },
		func(t *tx) { t.SplitColl(c, spg(1), 1) },
	} {
		e.fails(ceph.ENOENT, func(t *tx) {
			t.Write(c, o, 0, []byte("overwritten"))
			t.SetAttr(c, o, "a", nil)
			t.PutMeta("m", nil)
			t.LogAppend(c, ceph.Eversion{Epoch: 1, Version: 1}, nil)
			t.MkColl(spg(3))
			f(t)
		})
	}
	e.fails(ceph.EINVAL, func(t *tx) { t.CloneRange(c, o, Object(1), 2, 2, 0) })
	e.fails(ceph.EINVAL, func(t *tx) { t.Clone(c, o, o) })
	e.wantData(o, []byte("abc"))
	if _, err := e.Meta("m"); err != ceph.ENOENT {
		e.Fatalf("meta of a refused transaction: %v", err)
	}
	if m, err := e.GetAttrs(c, o); err != nil || len(m) != 0 {
		e.Fatalf("attributes of a refused transaction: %v, %v", m, err)
	}
	if list, _ := e.Collections(); !slices.Equal(list, []ceph.SPG{c}) {
		e.Fatalf("collections after refused transactions: %v", list)
	}
	if _, err := e.Read(c, none, 0, 0); err != ceph.ENOENT {
		e.Fatalf("read of no object: %v", err)
	}
	if _, err := e.Read(spg(9), o, 0, 0); err != ceph.ENOENT {
		e.Fatalf("read in no collection: %v", err)
	}
	if _, err := e.GetAttr(c, o, "none"); err != ceph.ENODATA {
		e.Fatalf("no attribute: %v", err)
	}
}

func caseAttrs(e *env) {
	c, o := spg(0), Object(0)
	e.do(func(t *tx) {
		t.MkColl(c)
		t.SetAttrs(c, o, map[string][]byte{
			"_": pattern(300, 1), "empty": {}, "big": pattern(65536, 2)})
		t.RmAttr(c, o, "absent")
	})
	e.reopen()
	m, err := e.GetAttrs(c, o)
	if err != nil || len(m) != 3 || !bytes.Equal(m["big"], pattern(65536, 2)) ||
		!bytes.Equal(m["_"], pattern(300, 1)) {
		e.Fatalf("attributes %v, %v", slices.Sorted(maps.Keys(m)), err)
	}
	if v, err := e.GetAttr(c, o, "empty"); err != nil || len(v) != 0 {
		e.Fatalf("empty attribute: %q, %v", v, err)
	}
	e.do(func(t *tx) { t.RmAttr(c, o, "big") })
	if m, err := e.GetAttrs(c, o); err != nil || len(m) != 2 {
		e.Fatalf("%d attributes, %v", len(m), err)
	}
	e.do(func(t *tx) { t.RmAttrs(c, o) })
	if m, err := e.GetAttrs(c, o); err != nil || len(m) != 0 {
		e.Fatalf("%d attributes, %v", len(m), err)
	}
}

func caseOmap(e *env) {
	c, o := spg(0), Object(0)
	pairs := map[string][]byte{}
	for i := range 1000 {
		pairs[fmt.Sprintf("key%04d", i)] = pattern(i%50, byte(i))
	}
	e.do(func(t *tx) {
		t.MkColl(c)
		t.OmapSet(c, o, pairs)
		t.OmapSetHeader(c, o, []byte("header"))
		t.OmapSet(c, Object(7), map[string][]byte{"other": nil})
	})
	e.reopen()
	list, err := collectPairs(e.OmapScan(c, o, "key0500"))
	if err != nil || len(list) != 500 || list[0].Key != "key0500" {
		e.Fatalf("scan: %d pairs, %v", len(list), err)
	}
	n := 0
	for range e.OmapScan(c, o, "") {
		if n++; n == 3 {
			break
		}
	}
	e.do(func(t *tx) {
		t.OmapRmRange(c, o, "key0100", "key0900")
		t.OmapRm(c, o, []string{"key0000", "x"})
	})
	list, err = collectPairs(e.OmapScan(c, o, ""))
	if err != nil || len(list) != 199 || list[0].Key != "key0001" || list[99].Key != "key0900" {
		e.Fatalf("scan: %d pairs, %v", len(list), err)
	}
	scan := e.OmapScan(c, o, "")
	seen := 0
	for _, err := range scan {
		if err != nil {
			e.Fatal(err)
		}
		if seen++; seen == 1 {
			e.do(func(t *tx) { t.OmapClear(c, o) })
		}
	}
	if seen != 199 {
		e.Fatalf("a scan over a snapshot saw %d pairs of 199", seen)
	}
	if h, err := e.OmapHeader(c, o); err != nil || len(h) != 0 {
		e.Fatalf("header after clear: %q, %v", h, err)
	}
	if list, err := collectPairs(e.OmapScan(c, Object(7), "")); err != nil || len(list) != 1 {
		e.Fatalf("the other object's omap: %v, %v", list, err)
	}
}

func caseClone(e *env) {
	c, o := spg(0), Object(0)
	base := pattern(100_000, 1)
	e.do(func(t *tx) {
		t.MkColl(c)
		t.Write(c, o, 0, base)
		t.SetAttr(c, o, "a", []byte("1"))
		t.OmapSet(c, o, map[string][]byte{"k": []byte("1")})
		t.OmapSetHeader(c, o, []byte("h"))
		t.Write(c, Object(7), 0, pattern(500_000, 9))
		t.OmapSet(c, Object(7), map[string][]byte{"gone": nil})
		t.Clone(c, o, Object(7))
	})
	e.wantData(Object(7), base)
	e.do(func(t *tx) {
		t.Write(c, o, 5000, []byte("changed"))
		t.SetAttr(c, o, "a", []byte("2"))
		t.OmapSet(c, o, map[string][]byte{"k": []byte("2")})
	})
	e.reopen()
	e.wantData(Object(7), base)
	m, err := e.OmapGet(c, Object(7), []string{"k", "gone"})
	if err != nil || len(m) != 1 || string(m["k"]) != "1" {
		e.Fatalf("omap of the clone: %q, %v", m, err)
	}
	if h, _ := e.OmapHeader(c, Object(7)); string(h) != "h" {
		e.Fatalf("header of the clone: %q", h)
	}
	e.do(func(t *tx) { t.Remove(c, o) })
	e.wantData(Object(7), base)
	e.do(func(t *tx) {
		t.Clone(c, Object(7), o)
		t.Clone(c, o, Object(14))
		t.Remove(c, Object(7))
	})
	e.wantData(o, base)
	e.wantData(Object(14), base)
}

func caseCloneRange(e *env) {
	c := spg(0)
	base := pattern(200_000, 1)
	e.do(func(t *tx) { t.MkColl(c); t.Write(c, Object(0), 0, base) })
	for _, r := range [][3]uint64{
		{0, 200_000, 0}, {4096, 8192, 0}, {4096, 8192, 4096}, {5000, 60000, 904}, {1, 70000, 4097},
		{100, 5, 7}, {199_999, 1, 0}, {0, 0, 50}, {4096, 195_904, 65536},
	} {
		e.do(func(t *tx) {
			t.Write(c, Object(7), 0, pattern(300_000, 5))
			t.CloneRange(c, Object(0), Object(7), r[0], r[1], r[2])
		})
		want := pattern(300_000, 5)
		copy(want[r[2]:], base[r[0]:r[0]+r[1]])
		e.wantData(Object(7), want)
		e.do(func(t *tx) { t.Remove(c, Object(7)) })
		e.wantData(Object(0), base)
	}
	e.do(func(t *tx) { t.CloneRange(c, Object(0), Object(0), 0, 50_000, 30_000) })
	want := bytes.Clone(base)
	copy(want[30_000:], base[:50_000])
	e.wantData(Object(0), want)
	e.do(func(t *tx) { t.CloneRange(c, Object(0), Object(0), 0, 40_960, 4096) })
	copy(want[4096:], bytes.Clone(want[:40_960]))
	e.wantData(Object(0), want)
}

func caseRename(e *env) {
	c, o, d := spg(0), Object(0), Object(1)
	e.do(func(t *tx) {
		t.MkColl(c)
		t.Write(c, o, 0, pattern(70_000, 1))
		t.SetAttr(c, o, "a", []byte("1"))
		t.OmapSet(c, o, map[string][]byte{"k": []byte("1")})
		t.OmapSetHeader(c, o, []byte("h"))
		t.Touch(c, Object(2))
	})
	e.fails(ceph.EEXIST, func(t *tx) { t.MoveRename(c, o, Object(2)) })
	e.do(func(t *tx) { t.MoveRename(c, o, d) })
	e.reopen()
	e.wantData(d, pattern(70_000, 1))
	if _, err := e.Stat(c, o); err != ceph.ENOENT {
		e.Fatalf("the old name: %v", err)
	}
	if list, err := collectPairs(e.OmapScan(c, d, "")); err != nil || len(list) != 1 {
		e.Fatalf("omap: %v, %v", list, err)
	}
	if h, _ := e.OmapHeader(c, d); string(h) != "h" {
		e.Fatalf("header: %q", h)
	}
	e.do(func(t *tx) { t.Touch(c, o); t.Remove(c, d) })
	if list, err := collectPairs(e.OmapScan(c, o, "")); err != nil || len(list) != 0 {
		e.Fatalf("omap of the new object: %v, %v", list, err)
	}
}
