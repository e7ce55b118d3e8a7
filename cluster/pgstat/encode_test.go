package pgstat

import (
	"bytes"
	"reflect"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
)

// decodePGMap reads what Encode writes.
func decodePGMap(t *testing.T, b []byte) *PGMap {
	t.Helper()
	p, c := NewPGMap(), denc.NewDecoder(b, ceph.FeaturesAll)
	s := c.Begin(8, 8)
	c.U64(&p.Version)
	for range count(c) {
		var id ceph.PGID
		pg := new(PG)
		id.Denc(c)
		pg.Denc(c)
		p.PGs[id] = pg
	}
	denc.MapFunc(c, &p.OSDs, (*denc.Coder).I32, func(c *denc.Coder, o **OSD) {
		*o = new(OSD)
		(*o).Denc(c)
	})
	p.OSDMapEpoch.Denc(c)
	count(c)
	p.Stamp.Denc(c)
	for range count(c) {
		var k PoolOSD
		var f Statfs
		c.I64(&k.Pool)
		c.I32(&k.OSD)
		f.Denc(c)
		p.PoolStatfs[k] = f
	}
	s.End()
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	return p
}

func count(c *denc.Coder) (n uint32) {
	c.U32(&n)
	return n
}

// TestEncode: of the same statistics we make what `ceph pg getmap` gave on a stock 16.2.15.
func TestEncode(t *testing.T) {
	stock := []byte(load(t, "pgmap.stock"))
	p := decodePGMap(t, stock)
	if len(p.PGs) < 5 || len(p.OSDs) != 3 || len(p.PoolStatfs) < 4 || p.Version == 0 {
		t.Fatalf("%d PGs, %d OSDs, %d pools on OSDs, version %d", len(p.PGs), len(p.OSDs),
			len(p.PoolStatfs), p.Version)
	}
	b := p.Encode()
	same := func(what any, one []byte) { // the order of a stock map's parts is any
		if !bytes.Contains(stock, one) || !bytes.Contains(b, one) {
			t.Errorf("%v is encoded otherwise", what)
		}
	}
	for id, pg := range p.PGs {
		same(id, append(denc.Marshal(&id, ceph.FeaturesAll), denc.Marshal(pg, ceph.FeaturesAll)...))
	}
	for osd, stat := range p.OSDs {
		same(osd, denc.Marshal(stat, ceph.FeaturesAll))
	}
	for k, f := range p.PoolStatfs {
		same(k, denc.Marshal(&f, ceph.FeaturesAll))
	}
	again := decodePGMap(t, b)
	if len(b) != len(stock) || !reflect.DeepEqual(again, p) {
		t.Errorf("%d bytes, stock has %d, or it is another map", len(b), len(stock))
	}
}
