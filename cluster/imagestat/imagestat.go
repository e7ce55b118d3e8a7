// Package imagestat is what clients do to each image of a block device pool, as OSDs count it for
// the manager while somebody asks ("rbd perf image iostat"). The layout of what travels is our own.
// It is pure; any goroutine may use it.
package imagestat

import (
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
)

// Names are what is counted, in the order of Counters and by the names that the stock manager
// prints. Latencies are sums in nanoseconds.
var Names = [...]string{"write_ops", "read_ops", "write_bytes", "read_bytes", "write_latency",
	"read_latency"}

// Indexes of Counters.
const (
	WriteOps = iota
	ReadOps
	WriteBytes
	ReadBytes
	WriteLatency
	ReadLatency
)

// Counters are sums since the last report.
type Counters [len(Names)]uint64

// Add adds.
func (c *Counters) Add(d *Counters) {
	for i, n := range d {
		c[i] += n
	}
}

// A Key is an image by its id: Pool is the one that has its header.
type Key struct {
	Pool      int64
	Namespace string
	Image     string
}

// MaxImages bounds the images of one report.
const MaxImages = 4096

// Parse says which image a data object belongs to; pool is the object's.
func Parse(pool int64, namespace, object string) (Key, bool) {
	rest, ok := strings.CutPrefix(object, "rbd_data.")
	if !ok {
		if rest, ok = strings.CutPrefix(object, "journal_data."); !ok {
			return Key{}, false
		}
	}
	first, rest, ok := strings.Cut(rest, ".")
	if !ok || first == "" {
		return Key{}, false
	}
	// rbd_data.POOL.ID.NUMBER of an image with a data pool, else rbd_data.ID.NUMBER
	if id, _, three := strings.Cut(rest, "."); three && id != "" {
		if n, err := strconv.ParseInt(first, 10, 64); err == nil && n >= 0 {
			return Key{n, namespace, id}, true
		}
	}
	return Key{pool, namespace, first}, true
}

// A row is one image of a report.
type row struct {
	key      Key
	counters Counters
}

// Denc is our own layout.
func (r *row) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.I64(&r.key.Pool)
	c.Str(&r.key.Namespace)
	c.Str(&r.key.Image)
	for i := range r.counters {
		c.U64(&r.counters[i])
	}
	s.End()
}

// Encode is a report.
func Encode(images map[Key]*Counters) []byte {
	var rows []row
	for k, n := range images {
		rows = append(rows, row{k, *n})
	}
	e := denc.NewEncoder(nil, ceph.FeaturesAll)
	denc.List(e, &rows)
	return e.Bytes()
}

// Decode reads a report.
func Decode(b []byte) (map[Key]*Counters, error) {
	var rows []row
	d := denc.NewDecoder(b, ceph.FeaturesAll)
	if denc.List(d, &rows); d.Err() != nil {
		return nil, d.Err()
	}
	out := make(map[Key]*Counters, len(rows))
	for i := range rows {
		out[rows[i].key] = &rows[i].counters
	}
	return out, nil
}
