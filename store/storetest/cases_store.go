package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"glue/ceph"
	"glue/store/objectstore"
)

func caseList(e *env) {
	c := spg(0)
	var want []ceph.HObject
	e.do(func(t *tx) {
		t.MkColl(c)
		t.MkColl(spg(1))
		t.Touch(spg(1), Object(3))
		for i := range 60 {
			t.Touch(c, Object(i))
			want = append(want, Object(i))
		}
	})
	slices.SortFunc(want, ceph.HObject.Compare)
	e.reopen()
	for _, page := range []int{1, 2, 7, 59, 60, 61} {
		got, err := ListAll(e, c, page)
		if err != nil || !slices.Equal(got, want) {
			e.Fatalf("pages of %d: %v, %v", page, got, err)
		}
	}
	got, next, err := e.List(c, want[30], 2)
	if err != nil || !slices.Equal(got, want[30:32]) || next != want[32] {
		e.Fatalf("from the middle: %v, %v, %v", got, next, err)
	}
	if got, next, err := e.List(c, ceph.MaxHObject(), 5); err != nil || len(got) != 0 || !next.Max {
		e.Fatalf("from the end: %v, %v, %v", got, next, err)
	}
	if _, _, err := e.List(spg(7), ceph.HObject{}, 5); err != ceph.ENOENT {
		e.Fatalf("list of no collection: %v", err)
	}
}

func caseSplit(e *env) {
	var all []ceph.HObject
	e.do(func(t *tx) {
		t.MkColl(spg(0))
		t.MkColl(spg(1))
		t.MkColl(spg(3))
		for i := range 40 {
			t.Write(spg(0), Object(i), 0, pattern(5000, byte(i)))
			t.OmapSet(spg(0), Object(i), map[string][]byte{"k": nil})
			all = append(all, Object(i))
		}
		t.LogAppend(spg(0), ceph.Eversion{Epoch: 1, Version: 5}, []byte("stays"))
	})
	e.do(func(t *tx) { t.SplitColl(spg(0), spg(1), 1); t.SplitColl(spg(1), spg(3), 2) })
	e.fails(ceph.ENOTEMPTY, func(t *tx) { t.SplitColl(spg(0), spg(1), 1) })
	e.reopen()
	slices.SortFunc(all, ceph.HObject.Compare)
	seen := 0
	for _, c := range []uint32{0, 1, 3} {
		var want []ceph.HObject
		for _, o := range all {
			if c == 0 && o.Hash&1 == 0 || c > 0 && o.Hash&3 == c {
				want = append(want, o)
			}
		}
		got, err := ListAll(e, spg(c), 3)
		if err != nil || !slices.Equal(got, want) {
			e.Fatalf("collection %d: want %v, got %v, %v", c, want, got, err)
		}
		for _, o := range got {
			data, err := e.Read(spg(c), o, 0, 0)
			list, err2 := collectPairs(e.OmapScan(spg(c), o, ""))
			if err != nil || err2 != nil || len(data) != 5000 || len(list) != 1 {
				e.Fatalf("%v: %d bytes, %v, %v, %v", o, len(data), list, err, err2)
			}
			seen++
		}
	}
	if seen != 40 {
		e.Fatalf("%d of 40 objects after the split", seen)
	}
	e.do(func(t *tx) { t.RmColl(spg(1)); t.Touch(spg(0), all[0]) })
	if list, err := ListAll(e, spg(3), 100); err != nil || len(list) == 0 {
		e.Fatalf("the sibling after a removal: %v, %v", list, err)
	}
}

func caseMerge(e *env) {
	var all []ceph.HObject
	e.do(func(t *tx) {
		t.MkColl(spg(0))
		t.MkColl(spg(1))
		for i := range 40 {
			t.Write(spg(0), Object(i), 0, pattern(5000, byte(i)))
			t.OmapSet(spg(0), Object(i), map[string][]byte{"k": nil})
			all = append(all, Object(i))
		}
		t.LogAppend(spg(0), ceph.Eversion{Epoch: 1, Version: 5}, []byte("stays"))
	})
	slices.SortFunc(all, ceph.HObject.Compare)
	e.fails(ceph.ENOTEMPTY, func(t *tx) { t.MergeColl(spg(0), spg(1), 1) })
	e.fails(ceph.ENOENT, func(t *tx) { t.MergeColl(spg(3), spg(1), 2) })
	e.do(func(t *tx) {
		t.SplitColl(spg(0), spg(1), 1)
		t.LogAppend(spg(1), ceph.Eversion{Epoch: 1, Version: 7}, []byte("goes"))
	})
	e.fails(ceph.EINVAL, func(t *tx) { t.MergeColl(spg(1), spg(1), 1) })
	odd := Object(1)
	for i := 2; odd.Hash&1 == 0; i++ {
		odd = Object(i)
	}
	e.fails(ceph.ENOTEMPTY, func(t *tx) { t.Touch(spg(0), odd); t.MergeColl(spg(1), spg(0), 1) })
	e.reopen()
	changed := all[7]
	home := spg(changed.Hash & 1)
	e.do(func(t *tx) { t.Write(home, changed, 0, []byte("new")); t.MergeColl(spg(1), spg(0), 1) })
	if list, _ := e.Collections(); !slices.Equal(list, []ceph.SPG{spg(0)}) {
		e.Fatalf("collections after a merge: %v", list)
	}
	e.reopen()
	got, err := ListAll(e, spg(0), 3)
	if err != nil || !slices.Equal(got, all) {
		e.Fatalf("want %v, got %v, %v", all, got, err)
	}
	for _, o := range got {
		data, err := e.Read(spg(0), o, 0, 0)
		list, err2 := collectPairs(e.OmapScan(spg(0), o, ""))
		if err != nil || err2 != nil || len(data) != 5000 || len(list) != 1 {
			e.Fatalf("%v: %d bytes, %v, %v, %v", o, len(data), list, err, err2)
		}
		if o == changed != (string(data[:3]) == "new") {
			e.Fatalf("%v begins with %q", o, data[:3])
		}
	}
	log, err := collect(e.Log(spg(0), ceph.Eversion{}))
	if err != nil || len(log) != 1 || log[0].Version.Version != 5 {
		e.Fatalf("log after a merge: %v, %v", log, err)
	}
	// Again, and the name is free.
	e.do(func(t *tx) { t.MkColl(spg(1)); t.SplitColl(spg(0), spg(1), 1); t.Remove(home, changed) })
	e.do(func(t *tx) { t.MergeColl(spg(1), spg(0), 1) })
	e.reopen()
	if got, err := ListAll(e, spg(0), 100); err != nil || len(got) != 39 {
		e.Fatalf("%d objects, %v", len(got), err)
	}
}

func caseLog(e *env) {
	c := spg(0)
	v := func(n uint64) ceph.Eversion { return ceph.Eversion{Epoch: 2, Version: n} }
	want := func(lo, hi uint64) {
		e.Helper()
		got, err := collect(e.Log(c, ceph.Eversion{}))
		if err != nil || len(got) != int(hi-lo+1) {
			e.Fatalf("want %d to %d, got %v, %v", lo, hi, versions(got), err)
		}
		for i, entry := range got {
			n := lo + uint64(i)
			if entry.Version != v(n) || !bytes.Equal(entry.Data, pattern(int(n%300), byte(n))) {
				e.Fatalf("entry %d is %v", n, entry.Version)
			}
		}
	}
	e.do(func(t *tx) {
		t.MkColl(c)
		for n := uint64(1); n <= 500; n++ {
			t.LogAppend(c, v(n), pattern(int(n%300), byte(n)))
		}
	})
	want(1, 500)
	e.reopen()
	want(1, 500)
	e.do(func(t *tx) { t.LogTrim(c, v(100)); t.LogRewind(c, v(450)) })
	want(101, 450)
	e.fails(ceph.EINVAL, func(t *tx) { t.LogAppend(c, v(450), nil) })
	e.do(func(t *tx) { t.LogAppend(c, v(451), pattern(451%300, 451%256)) })
	e.reopen()
	want(101, 451)
	tail, err := collect(e.Log(c, v(449)))
	if err != nil || len(tail) != 2 || tail[0].Version != v(450) {
		e.Fatalf("after 449: %v, %v", versions(tail), err)
	}
	e.do(func(t *tx) { t.LogTrim(c, v(1000)) })
	e.fails(ceph.EINVAL, func(t *tx) { t.LogAppend(c, v(451), nil) })
	e.do(func(t *tx) { t.LogRewind(c, v(10)); t.LogAppend(c, v(11), pattern(11, 11)) })
	e.reopen()
	want(11, 11)
}

func caseMeta(e *env) {
	e.do(func(t *tx) {
		t.PutMeta("osdmap.1", []byte("one"))
		t.PutMeta("osdmap.2", []byte("two"))
		t.PutMeta("osdmaq", nil)
		t.PutMeta("gone", nil)
		t.RmMeta("gone")
		t.RmMeta("never")
	})
	e.reopen()
	if v, err := e.Meta("osdmap.2"); err != nil || string(v) != "two" {
		e.Fatalf("%q, %v", v, err)
	}
	if _, err := e.Meta("gone"); err != ceph.ENOENT {
		e.Fatal(err)
	}
	list, err := collectPairs(e.MetaScan("osdmap."))
	if err != nil || len(list) != 2 || list[1].Key != "osdmap.2" {
		e.Fatalf("%v, %v", list, err)
	}
	e.do(func(t *tx) { t.PutMeta("\xff\xff", []byte("last")) })
	if list, err := collectPairs(e.MetaScan("\xff")); err != nil || len(list) != 1 {
		e.Fatalf("%v, %v", list, err)
	}
}

func caseRecreate(e *env) {
	c, o := spg(0), Object(0)
	e.do(func(t *tx) { t.MkColl(c) })
	for i := range 30 {
		e.do(func(t *tx) {
			t.Write(c, o, 0, pattern(100_000-i*1000, byte(i)))
			t.OmapSet(c, o, map[string][]byte{fmt.Sprint(i): nil})
			t.SetAttr(c, o, fmt.Sprint(i), nil)
		})
		e.do(func(t *tx) {
			t.Remove(c, o)
			t.Write(c, o, 3, pattern(10, byte(i)))
		})
		e.wantData(o, append(make([]byte, 3), pattern(10, byte(i))...))
		list, err := collectPairs(e.OmapScan(c, o, ""))
		attrs, err2 := e.GetAttrs(c, o)
		if err != nil || err2 != nil || len(list) != 0 || len(attrs) != 0 {
			e.Fatalf("left over: %v %v, %v, %v", list, attrs, err, err2)
		}
	}
}

func caseCollections(e *env) {
	ec := ceph.SPG{PGID: ceph.PGID{Pool: 2, Seed: 1}, Shard: 3}
	all := []ceph.SPG{spg(0), spg(255), ec}
	e.do(func(t *tx) {
		for _, c := range slices.Backward(all) {
			t.MkColl(c)
			t.Touch(c, Object(0))
			t.LogAppend(c, ceph.Eversion{Epoch: 1, Version: 1}, nil)
		}
	})
	e.fails(ceph.EEXIST, func(t *tx) { t.MkColl(ec) })
	e.reopen()
	if got, err := e.Collections(); err != nil || !slices.Equal(got, all) {
		e.Fatalf("%v, %v", got, err)
	}
	e.do(func(t *tx) { t.RmColl(ec); t.MkColl(ec) })
	if list, err := ListAll(e, ec, 10); err != nil || len(list) != 0 {
		e.Fatalf("%v, %v", list, err)
	}
	if log, err := collect(e.Log(ec, ceph.Eversion{})); err != nil || len(log) != 0 {
		e.Fatalf("%v, %v", log, err)
	}
	e.do(func(t *tx) { t.RmColl(ec) })
	e.reopen()
	if got, err := e.Collections(); err != nil || !slices.Equal(got, all[:2]) {
		e.Fatalf("%v, %v", got, err)
	}
}

func caseDoneOrder(e *env) {
	e.do(func(t *tx) { t.MkColl(spg(0)) })
	var mu sync.Mutex
	var order []int
	ch := make(chan struct{})
	for i := range 300 {
		var batch []objectstore.Submission
		for j := range 2 {
			var t tx
			t.Write(spg(0), Object(i%9), uint64(i)*100, pattern(1+i*i%9000, byte(i)))
			batch = append(batch, objectstore.Submission{Transaction: &t, Done: func(err error) {
				mu.Lock()
				order = append(order, i*2+j)
				mu.Unlock()
				if err != nil {
					e.Errorf("done %d: %v", i, err)
				}
				if i == 299 && j == 1 {
					close(ch)
				}
			}})
		}
		if errs := e.SubmitAll(batch); errs != nil {
			e.Fatal(errs)
		}
	}
	<-ch
	if !slices.IsSorted(order) || len(order) != 600 {
		e.Fatalf("%d done calls, in order: %v", len(order), slices.IsSorted(order))
	}
	var bad, good tx
	bad.Remove(spg(0), Object(20))
	good.Touch(spg(0), Object(21))
	ok := make(chan error, 1)
	errs := e.SubmitAll([]objectstore.Submission{
		{Transaction: &bad}, {Transaction: &good, Done: func(err error) { ok <- err }}})
	if len(errs) != 2 || ceph.ResultOf(errs[0]) != ceph.ENOENT.Result() || errs[1] != nil {
		e.Fatal(errs)
	}
	if err := <-ok; err != nil {
		e.Fatal(err)
	}
	caseChains(e)
}

// caseChains has a refused transaction stop what is behind it in its chain, also in later batches.
func caseChains(e *env) {
	var one, other objectstore.Chain
	var batch []objectstore.Submission
	ok := make(chan error, 3)
	add := func(o int, remove bool, c *objectstore.Chain) {
		var t tx
		if remove {
			t.Remove(spg(0), Object(o))
		} else {
			t.Touch(spg(0), Object(o))
		}
		batch = append(batch, objectstore.Submission{Transaction: &t, Chain: c,
			Done: func(err error) { ok <- err }})
	}
	add(30, false, &one)
	add(31, true, &one) // there is none
	add(32, false, &one)
	add(33, false, &other)
	add(34, false, nil)
	errs := e.SubmitAll(batch)
	if len(errs) != 5 || errs[0] != nil || !errors.Is(errs[1], ceph.ENOENT) ||
		!errors.Is(errs[2], objectstore.ErrBehind) || errs[3] != nil || errs[4] != nil {
		e.Fatal(errs)
	}
	for range 3 {
		if err := <-ok; err != nil {
			e.Fatal(err)
		}
	}
	batch = nil
	add(35, false, &one)
	if errs := e.SubmitAll(batch); len(errs) != 1 || !errors.Is(errs[0], objectstore.ErrBehind) {
		e.Fatal(errs)
	}
	for o, want := range map[int]bool{30: true, 32: false, 33: true, 34: true, 35: false} {
		if _, err := e.Stat(spg(0), Object(o)); (err == nil) != want {
			e.Errorf("object %d: %v", o, err)
		}
	}
}

// caseConcurrent has writers and readers of their own objects in every goroutine.
func caseConcurrent(e *env) {
	var wg sync.WaitGroup
	for w := range 8 {
		c := spg(uint32(w))
		e.do(func(t *tx) { t.MkColl(c) })
		wg.Go(func() {
			for i := range 100 {
				o := Object(i % 3)
				data := pattern(1+(i*7919+w)%20000, byte(i+w))
				var t tx
				t.Truncate(c, o, 0)
				t.Write(c, o, 0, data)
				t.LogAppend(c, ceph.Eversion{Epoch: 1, Version: uint64(i + 1)}, data[:1])
				if err := e.Submit(&t, nil); err != nil {
					e.Error(err)
				}
				if got, err := e.Read(c, o, 0, 0); err != nil || !bytes.Equal(got, data) {
					e.Errorf("writer %d, round %d: %d bytes of %d, %v",
						w, i, len(got), len(data), err)
				}
			}
		})
	}
	wg.Wait()
}

func caseLimits(e *env) {
	c, o := spg(0), Object(0)
	e.do(func(t *tx) { t.MkColl(c); t.Touch(c, o) })
	long := string(make([]byte, objectstore.MaxKeyBytes+1))
	name := o
	name.Name = long
	for _, f := range []func(*tx){
		func(t *tx) { t.Write(c, o, objectstore.MaxObjectBytes, []byte{1}) },
		func(t *tx) { t.Write(c, o, 1<<63, []byte{1}) },
		func(t *tx) { t.Zero(c, o, 1<<63, 1<<63) },
		func(t *tx) { t.Truncate(c, o, objectstore.MaxObjectBytes+1) },
		func(t *tx) { t.CloneRange(c, o, o, 1<<63, 1<<63, 0) },
		func(t *tx) { t.Touch(c, name) },
		func(t *tx) { t.Touch(c, ceph.MaxHObject()) },
		func(t *tx) { t.OmapSet(c, o, map[string][]byte{long: nil}) },
		func(t *tx) { t.SetAttr(c, o, long, nil) },
		func(t *tx) { t.SetAttr(c, o, "a", make([]byte, objectstore.MaxAttrBytes+1)) },
		func(t *tx) { t.PutMeta(long, nil) },
		func(t *tx) { t.Ops = append(t.Ops, objectstore.Op{Code: 99, Coll: c, Object: o}) },
	} {
		e.fails(ceph.EINVAL, f)
	}
	name.Name = long[:objectstore.MaxNameBytes]
	e.do(func(t *tx) {
		t.Truncate(c, o, objectstore.MaxObjectBytes)
		t.OmapSet(c, name, map[string][]byte{long[1:]: pattern(1<<20, 1)})
	})
	e.reopen()
	if st, err := e.Stat(c, o); err != nil || st.Size != objectstore.MaxObjectBytes {
		e.Fatalf("%+v, %v", st, err)
	}
	if list, err := collectPairs(e.OmapScan(c, name, "")); err != nil || len(list) != 1 {
		e.Fatalf("%d pairs, %v", len(list), err)
	}
	e.do(func(t *tx) { t.Truncate(c, o, 0); t.Remove(c, name) })
}

func caseUsage(e *env) {
	c := spg(0)
	e.do(func(t *tx) { t.MkColl(c) })
	for i := range 20 {
		e.do(func(t *tx) {
			t.Write(c, Object(0), 0, pattern(1<<20, byte(i)))
			t.Clone(c, Object(0), Object(7))
		})
	}
	u, err := e.Usage()
	if err != nil || u.Data < 1<<20 || u.Data > 2<<20 {
		e.Fatalf("two objects of 1 MiB that share: %+v, %v", u, err)
	}
	want := objectstore.PoolUsage{Allocated: 1 << 20, Stored: 2 << 20}
	if p, err := e.PoolUsage(); err != nil || len(p) != 1 || p[c.Pool] != want {
		e.Fatalf("two objects of 1 MiB that share: %+v, %v", p, err)
	}
	// Zeros behind the end, though in the last block, leave it shared.
	e.do(func(t *tx) {
		t.Truncate(c, Object(0), 100)
		t.Clone(c, Object(0), Object(7))
		t.Zero(c, Object(7), 200, 50)
	})
	want = objectstore.PoolUsage{Allocated: 4096, Stored: 100 + 250}
	if p, err := e.PoolUsage(); err != nil || p[c.Pool] != want {
		e.Fatalf("zeros behind the end of a clone: %+v, %v", p, err)
	}
	e.do(func(t *tx) { t.Remove(c, Object(0)); t.Remove(c, Object(7)) })
	if u, err := e.Usage(); err != nil || u.Data != 0 {
		e.Fatalf("after all was removed: %+v, %v", u, err)
	}
}

func caseClosed(e *env) {
	s := e.Store
	e.do(func(t *tx) { t.MkColl(spg(0)) })
	if err := s.Close(); err != nil {
		e.Fatal(err)
	}
	var t tx
	t.Touch(spg(0), Object(0))
	_, err := s.Read(spg(0), Object(0), 0, 0)
	for i, err := range []error{s.Submit(&t, nil), s.Close(), err} {
		if err != objectstore.ErrFailed {
			e.Fatalf("call %d on a closed store: %v", i, err)
		}
	}
	e.Store = e.target.New(e.tb, e.rng)
}

// caseBuffers reuses its buffer as soon as done was called.
func caseBuffers(e *env) {
	c := spg(0)
	e.do(func(t *tx) { t.MkColl(c) })
	buf := make([]byte, 1<<20)
	for _, n := range []int{100, 4096, 16384, 1 << 20} {
		b := buf[:n]
		copy(b, pattern(n, byte(n)))
		pairs := map[string][]byte{"k": b[:50]}
		e.do(func(t *tx) {
			t.Write(c, Object(n%7), 0, b)
			t.OmapSet(c, Object(n%7), pairs)
			t.SetAttrs(c, Object(n%7), pairs)
			t.LogAppend(c, ceph.Eversion{Epoch: 1, Version: uint64(n)}, b[:50])
		})
		clear(b)
		e.wantData(Object(n%7), pattern(n, byte(n)))
		v, err := e.GetAttr(c, Object(n%7), "k")
		if err != nil || !bytes.Equal(v, pattern(n, byte(n))[:50]) {
			e.Fatalf("attribute %q, %v", v, err)
		}
		m, err := e.OmapGet(c, Object(n%7), []string{"k"})
		if err != nil || !bytes.Equal(m["k"], pattern(n, byte(n))[:50]) {
			e.Fatalf("omap %q, %v", m, err)
		}
		for entry := range e.Log(c, ceph.Eversion{Epoch: 1, Version: uint64(n - 1)}) {
			if !bytes.Equal(entry.Data, pattern(n, byte(n))[:50]) {
				e.Fatal("log entry changed")
			}
		}
		e.do(func(t *tx) { t.Remove(c, Object(n%7)) })
	}
}
