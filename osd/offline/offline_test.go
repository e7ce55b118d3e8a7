package offline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/pglog"
	"glue/osd/records"
	"glue/store/memstore"
	"glue/store/objectstore"
)

var (
	thePG   = ceph.SPG{PGID: ceph.PGID{Pool: 1, Seed: 0}, Shard: ceph.NoShard}
	cluster = ceph.UUID{1, 2, 3}
)

// anOSD is the store of an OSD that has run, without PGs.
func anOSD(t *testing.T, id int32, fsid ceph.UUID) objectstore.Store {
	t.Helper()
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { s.Close() })
	m := &osdmap.Map{FSID: fsid, Epoch: 5, Crush: crush.New(), Pools: map[int64]*osdmap.Pool{
		1: {Type: 1, Size: 3, PGNum: 1, PGPNum: 1}}}
	super := records.Superblock{FSID: fsid, UUID: ceph.UUID{byte(id)}, Whoami: id, Oldest: 5,
		Newest: 5}
	var tr objectstore.Transaction
	tr.PutMeta("osd/superblock", denc.Marshal(&super, ceph.FeaturesAll))
	tr.PutMeta("osdmap/full/00000005", m.Encode())
	if err := do(s, &tr); err != nil {
		t.Fatal(err)
	}
	return s
}

// fill makes a PG with n objects of all shapes.
func fill(t *testing.T, s objectstore.Store, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var tr objectstore.Transaction
	tr.MkColl(thePG)
	var stats pginfo.Stats
	for i := range n {
		o := ceph.HObject{Pool: 1, Name: fmt.Sprint("object", i), Hash: rng.Uint32(),
			Snap: ceph.NoSnap}
		v := ceph.Eversion{Epoch: 5, Version: uint64(i + 1)}
		b := make([]byte, rng.IntN(20000))
		for j := range b {
			b[j] = byte(rng.Uint32())
		}
		info := pginfo.ObjectInfo{Object: o, Version: v, Size: uint64(len(b))}
		tr.Write(thePG, o, 0, b)
		tr.SetAttrs(thePG, o, map[string][]byte{"_": denc.Marshal(&info, ceph.FeaturesAll),
			"_user": b[:len(b)/100]})
		if i%3 == 0 {
			tr.OmapSetHeader(thePG, o, []byte("header"))
			tr.OmapSet(thePG, o, map[string][]byte{"a": b[:len(b)/2], "b": nil, "c": {1}})
		}
		stats.Objects++
		e := pglog.Entry{Op: pginfo.LogModify, Object: o, Version: v}
		tr.LogAppend(thePG, v, pglog.EncodeEntry(&e, ceph.Eversion{}, &stats))
	}
	st := records.PG{Info: pginfo.Info{PGID: thePG, LastBackfill: ceph.MaxHObject()}, Epoch: 5}
	tr.PutMeta(records.InfoKey(thePG), denc.Marshal(&st, ceph.FeaturesAll))
	if err := do(s, &tr); err != nil {
		t.Fatal(err)
	}
}

func exported(t *testing.T, s objectstore.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := Export(&b, s, thePG, func(_ ceph.HObject, err error) error { return err })
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// contents is everything of the PG in a form that can be compared.
func contents(t *testing.T, s objectstore.Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := eachObject(s, thePG, func(o ceph.HObject) error {
		b, err := s.Read(thePG, o, 0, 0)
		attrs, err2 := s.GetAttrs(thePG, o)
		head, err3 := s.OmapHeader(thePG, o)
		out[o.Name] = fmt.Sprintf("%x %x %x", b, attrs, head)
		for kv, err := range s.OmapScan(thePG, o, "") {
			out[o.Name+"/"+kv.Key] = fmt.Sprint(string(kv.Value), err)
		}
		return errors.Join(err, err2, err3)
	})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range s.Log(thePG, ceph.Eversion{}) {
		out["log "+e.Version.String()] = fmt.Sprint(e.Data, err)
	}
	for kv, err := range s.MetaScan(records.MetaPG) {
		out["meta "+kv.Key] = fmt.Sprint(kv.Value, err)
	}
	return out
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d things, want %d", len(got), len(want))
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %.100s, want %.100s", k, got[k], v)
		}
	}
}

// TestExportImport carries a PG over, and finds it there as it was.
func TestExportImport(t *testing.T) {
	from, to := anOSD(t, 1, cluster), anOSD(t, 2, cluster)
	fill(t, from, 50)
	want := contents(t, from)
	file := exported(t, from)
	h, sum, err := Import(bytes.NewReader(file), to, false)
	if err != nil || h.OSD != 1 || h.PG != thePG || sum.Objects != 50 || sum.LogEntries != 50 {
		t.Fatalf("%+v %+v %v", h, sum, err)
	}
	same(t, contents(t, to), want)
	a, err := Look(to, func(ceph.SPG, int, int) error { return nil })
	if err != nil || len(a.Wrong) > 0 || len(a.PGs) != 1 || len(a.PGs[0].Wrong) > 0 ||
		a.PGs[0].Objects != 50 || a.PGs[0].Head.Version != 50 {
		t.Errorf("%+v %v", a, err)
	}
	for store, says := range map[objectstore.Store]string{
		to:                               "has a copy of PG 1.0",
		anOSD(t, 3, ceph.UUID{9}):        "the export is of cluster",
		memstore.New(memstore.Options{}): "never run",
	} {
		if _, _, err := Import(bytes.NewReader(file), store, false); err == nil ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if err := Remove(to, thePG); err != nil {
		t.Fatal(err)
	}
	if got := contents2(to); len(got) > 0 {
		t.Errorf("left after removing: %v", got)
	}
	if _, _, err := Import(bytes.NewReader(file), to, false); err != nil {
		t.Error(err)
	}
}

// contents2 lists what a store has of PGs.
func contents2(s objectstore.Store) (out []string) {
	colls, _ := s.Collections()
	for _, c := range colls {
		out = append(out, c.String())
	}
	for kv := range s.MetaScan(records.MetaPG) {
		out = append(out, kv.Key)
	}
	for kv := range s.MetaScan("import/") {
		out = append(out, kv.Key)
	}
	return out
}

// TestDamagedExport: a file that was cut anywhere, or has any byte changed, changes nothing.
func TestDamagedExport(t *testing.T) {
	from, to := anOSD(t, 1, cluster), anOSD(t, 2, cluster)
	fill(t, from, 4)
	file := exported(t, from)
	before := contents2(to)
	refused := func(b []byte, what string, at int) {
		if _, _, err := Import(bytes.NewReader(b), to, false); err == nil {
			t.Fatalf("%s at %d of %d was imported", what, at, len(file))
		}
	}
	for at := 0; at < len(file); at += 1 + at/300 {
		refused(file[:at], "cut", at)
		bad := bytes.Clone(file)
		bad[at] ^= 1 << (at % 8)
		refused(bad, "changed", at)
	}
	refused(append(bytes.Clone(file), 0), "longer", len(file))
	if got := contents2(to); !reflect.DeepEqual(got, before) {
		t.Errorf("left behind: %v", got)
	}
}

// A cutReader ends the second time that the file is read.
type cutReader struct {
	*bytes.Reader
	passes, left int
}

func (c *cutReader) Seek(off int64, whence int) (int64, error) {
	c.passes++
	return c.Reader.Seek(off, whence)
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.passes > 0 {
		if c.left -= len(p); c.left < 0 {
			return 0, io.ErrClosedPipe
		}
	}
	return c.Reader.Read(p[:min(len(p), 4096)])
}

// TestInterruptedImport: what is left is marked, is no PG, and is replaced by the next import.
func TestInterruptedImport(t *testing.T) {
	from, to := anOSD(t, 1, cluster), anOSD(t, 2, cluster)
	fill(t, from, 50)
	file := exported(t, from)
	r := &cutReader{Reader: bytes.NewReader(file), left: 5 << 20}
	if _, _, err := Import(r, to, false); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("interrupted: %v", err)
	}
	a, err := Look(to, func(ceph.SPG, int, int) error { return nil })
	if err != nil || len(a.PGs) != 1 || !a.PGs[0].Importing || len(a.PGs[0].Wrong) > 0 {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := Export(io.Discard, to, thePG, nil); err == nil {
		t.Error("an interrupted import was exported")
	}
	if _, _, err := Import(bytes.NewReader(file), to, false); err != nil {
		t.Fatal(err)
	}
	same(t, contents(t, to), contents(t, from))
}

// TestLookFinds breaks one thing at a time.
func TestLookFinds(t *testing.T) {
	o := ceph.HObject{Pool: 1, Name: "extra", Hash: 7, Snap: ceph.NoSnap}
	for says, breaking := range map[string]func(*objectstore.Transaction){
		"51 objects, its info counts 50": func(tr *objectstore.Transaction) {
			info := pginfo.ObjectInfo{Object: o}
			tr.SetAttr(thePG, o, "_", denc.Marshal(&info, ceph.FeaturesAll))
		},
		"has 5 bytes, its info says 3": func(tr *objectstore.Transaction) {
			info := pginfo.ObjectInfo{Object: o, Size: 3}
			tr.SetAttr(thePG, o, "_", denc.Marshal(&info, ceph.FeaturesAll))
			tr.Write(thePG, o, 0, []byte("12345"))
		},
		"info of 1:": func(tr *objectstore.Transaction) { tr.Touch(thePG, o) },
		"log entry 5'99": func(tr *objectstore.Transaction) {
			tr.LogAppend(thePG, ceph.Eversion{Epoch: 5, Version: 99}, []byte{77})
		},
		"pg/1.7/info is of no PG": func(tr *objectstore.Transaction) {
			tr.PutMeta("pg/1.7/info", nil)
		},
		"OSD map 5": func(tr *objectstore.Transaction) { tr.RmMeta("osdmap/full/00000005") },
		"info: ":    func(tr *objectstore.Transaction) { tr.RmMeta(records.InfoKey(thePG)) },
		"missing set": func(tr *objectstore.Transaction) {
			tr.PutMeta("pg/1.0/missing/x", []byte("x"))
		},
	} {
		s := anOSD(t, 1, cluster)
		fill(t, s, 50)
		var tr objectstore.Transaction
		breaking(&tr)
		if err := do(s, &tr); err != nil {
			t.Fatal(err)
		}
		a, err := Look(s, func(ceph.SPG, int, int) error { return nil })
		if err != nil || len(a.PGs) != 1 {
			t.Fatalf("%q: %+v %v", says, a, err)
		}
		all := strings.Join(append(a.Wrong, a.PGs[0].Wrong...), "\n")
		if !strings.Contains(all, says) {
			t.Errorf("%q is not in:\n%s", says, all)
		}
	}
}
