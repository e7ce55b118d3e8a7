package storetest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"glue/ceph"
	"glue/store/objectstore"
)

// A Generator draws random transactions, most of them valid for the model, whose ranges like to
// overlap and to touch block borders.
type Generator struct {
	rng     *rand.Rand
	model   objectstore.Store
	opts    GeneratorOptions
	version uint64
	hot     []uint64 // offsets that recent changes began or ended at
	rows    []row
	weights int
}

// GeneratorOptions shape the transactions; the zero value is replaced by defaults.
type GeneratorOptions struct {
	Objects    int    // names per collection
	MaxBytes   uint64 // size of an object, more or less
	MaxOps     int    // per transaction
	Invalid    bool   // also transactions that must fail
	LargeWrite uint64 // now and then a write of up to this many bytes
}

// row is one kind of change with its share.
type row struct {
	weight int
	draw   func(*Generator, *objectstore.Transaction, ceph.SPG)
}

var rows = []row{
	{30, (*Generator).write},
	{6, (*Generator).zero},
	{6, (*Generator).truncate},
	{3, (*Generator).touch},
	{5, (*Generator).remove},
	{8, (*Generator).setAttrs},
	{2, (*Generator).rmAttr},
	{1, (*Generator).rmAttrs},
	{6, (*Generator).clone},
	{8, (*Generator).cloneRange},
	{3, (*Generator).rename},
	{10, (*Generator).omapSet},
	{4, (*Generator).omapRm},
	{2, (*Generator).omapRmRange},
	{1, (*Generator).omapClear},
	{2, (*Generator).omapHeader},
	{12, (*Generator).logAppend},
	{3, (*Generator).logTrim},
	{2, (*Generator).logRewind},
	{4, (*Generator).putMeta},
	{1, (*Generator).rmMeta},
	{2, (*Generator).collections},
}

// NewGenerator returns a generator that looks at the model to draw what is possible; the caller
// submits what it draws to the model.
func NewGenerator(
	rng *rand.Rand, model objectstore.Store, opts GeneratorOptions,
) *Generator {
	if opts.Objects == 0 {
		opts.Objects = 8
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = 300 << 10
	}
	if opts.MaxOps == 0 {
		opts.MaxOps = 5
	}
	g := &Generator{rng: rng, model: model, opts: opts, rows: rows}
	for _, r := range g.rows {
		g.weights += r.weight
	}
	return g
}

// Next draws a transaction.
func (g *Generator) Next() *objectstore.Transaction {
	t := new(objectstore.Transaction)
	colls, _ := g.model.Collections()
	if len(colls) == 0 {
		t.MkColl(spg(0))
		return t
	}
	c := colls[g.rng.IntN(len(colls))]
	for range 1 + g.rng.IntN(g.opts.MaxOps) {
		at := g.rng.IntN(g.weights)
		for _, r := range g.rows {
			if at -= r.weight; at < 0 {
				r.draw(g, t, c)
				break
			}
		}
	}
	if g.opts.Invalid && g.rng.IntN(20) == 0 {
		t.Remove(c, ceph.HObject{Pool: 1, Name: "never there", Snap: ceph.NoSnap})
	}
	return t
}

func spg(seed uint32) ceph.SPG {
	return ceph.SPG{PGID: ceph.PGID{Pool: 1, Seed: seed}, Shard: ceph.NoShard}
}

// Object is the i-th of the names that the generator uses.
func Object(i int) ceph.HObject {
	o := ceph.HObject{Pool: 1, Name: fmt.Sprintf("object%d", i), Snap: ceph.NoSnap}
	switch i % 7 {
	case 1:
		o.Namespace = "ns\x00x"
	case 2:
		o.Key = "locator"
	case 3:
		o.Snap = ceph.SnapID(i)
	case 4:
		o.Pool = -3
	case 5:
		o.Name = "\x00\xff" + o.Name + "\x00"
	}
	h := fnv.New32a()
	h.Write([]byte(o.EffectiveKey()))
	o.Hash = h.Sum32()
	return o
}

func (g *Generator) any() ceph.HObject { return Object(g.rng.IntN(g.opts.Objects)) }

// existing prefers an object that is there.
func (g *Generator) existing(c ceph.SPG) ceph.HObject {
	for range 4 {
		if o := g.any(); g.exists(c, o) {
			return o
		}
	}
	return g.any()
}

func (g *Generator) exists(c ceph.SPG, o ceph.HObject) bool {
	_, err := g.model.Stat(c, o)
	return err == nil
}

// present says whether a change that needs o may be drawn.
func (g *Generator) present(c ceph.SPG, o ceph.HObject) bool {
	return g.exists(c, o) || g.opts.Invalid && g.rng.IntN(10) == 0
}

var edges = []uint64{1, 2, 511, 512, 513, 4095, 4096, 4097, 8192, 65535, 65536, 65537}

func (g *Generator) offset() uint64 {
	switch g.rng.IntN(4) {
	case 0:
		return g.rng.Uint64N(g.opts.MaxBytes)
	case 1:
		return g.rng.Uint64N(g.opts.MaxBytes/4096+1) * 4096
	case 2:
		if len(g.hot) > 0 {
			at := g.hot[g.rng.IntN(len(g.hot))] + g.rng.Uint64N(3)
			return at - min(at, 1)
		}
	}
	return edges[g.rng.IntN(len(edges))] - 1
}

func (g *Generator) length() uint64 {
	switch g.rng.IntN(4) {
	case 0:
		return 1 + g.rng.Uint64N(g.opts.MaxBytes/2+1)
	case 1:
		return (1 + g.rng.Uint64N(8)) * 4096
	case 2:
		return 1 + g.rng.Uint64N(200)
	}
	return min(edges[g.rng.IntN(len(edges))], g.opts.MaxBytes/2+1)
}

func (g *Generator) span() (off, length uint64) {
	off, length = g.offset(), g.length()
	g.hot = append(g.hot, off, off+length)
	if len(g.hot) > 16 {
		g.hot = g.hot[2:]
	}
	return off, length
}

func (g *Generator) bytes(n uint64) []byte {
	b := make([]byte, n)
	seed := byte(g.rng.Uint32())
	for i := range b {
		b[i] = seed + byte(i) ^ byte(i>>8)
	}
	return b
}

func (g *Generator) write(t *objectstore.Transaction, c ceph.SPG) {
	off, length := g.span()
	if g.opts.LargeWrite > 0 && g.rng.IntN(20) == 0 {
		off, length = 0, 1+g.rng.Uint64N(g.opts.LargeWrite)
	}
	t.Write(c, g.any(), off, g.bytes(length))
}

func (g *Generator) zero(t *objectstore.Transaction, c ceph.SPG) {
	off, length := g.span()
	t.Zero(c, g.existing(c), off, length)
}

func (g *Generator) truncate(t *objectstore.Transaction, c ceph.SPG) {
	off, _ := g.span()
	t.Truncate(c, g.existing(c), off)
}

func (g *Generator) touch(t *objectstore.Transaction, c ceph.SPG) { t.Touch(c, g.any()) }

// remove is followed by a new object of the name half the time.
func (g *Generator) remove(t *objectstore.Transaction, c ceph.SPG) {
	o := g.existing(c)
	if !g.present(c, o) {
		return
	}
	t.Remove(c, o)
	if g.rng.IntN(2) == 0 {
		t.Write(c, o, g.offset(), g.bytes(g.length()))
		t.OmapSet(c, o, g.pairs())
	}
}

func (g *Generator) pairs() map[string][]byte {
	m := map[string][]byte{}
	for range 1 + g.rng.IntN(6) {
		m[g.key()] = g.bytes(g.rng.Uint64N(100))
	}
	return m
}

func (g *Generator) key() string {
	return []string{"", "\x00", "k", "k\x00", "\xff\xff"}[g.rng.IntN(5)] +
		fmt.Sprint(g.rng.IntN(20))
}

func (g *Generator) setAttrs(t *objectstore.Transaction, c ceph.SPG) {
	pairs := g.pairs()
	if g.rng.IntN(2) == 0 {
		tags := make([]byte, 0, 32)
		for range g.rng.IntN(4) {
			tags = binary.BigEndian.AppendUint64(tags, g.rng.Uint64N(Tags))
		}
		pairs[objectstore.TagAttr] = tags
	}
	t.SetAttrs(c, g.any(), pairs)
}

// Tags is how many different ones the generator uses.
const Tags = 5

func (g *Generator) rmAttr(t *objectstore.Transaction, c ceph.SPG) {
	if o := g.existing(c); g.present(c, o) {
		t.RmAttr(c, o, []string{g.key(), objectstore.TagAttr}[g.rng.IntN(2)])
	}
}

func (g *Generator) rmAttrs(t *objectstore.Transaction, c ceph.SPG) {
	if o := g.existing(c); g.present(c, o) {
		t.RmAttrs(c, o)
	}
}

func (g *Generator) clone(t *objectstore.Transaction, c ceph.SPG) {
	o, dest := g.existing(c), g.any()
	if o != dest && g.present(c, o) {
		t.Clone(c, o, dest)
	}
}

func (g *Generator) cloneRange(t *objectstore.Transaction, c ceph.SPG) {
	o := g.existing(c)
	st, err := g.model.Stat(c, o)
	if err != nil {
		return
	}
	off, length := g.span()
	destOff := g.offset()
	if g.rng.IntN(2) == 0 {
		destOff = destOff&^4095 | off&4095
	}
	off = min(off, st.Size)
	length = min(length, st.Size-off)
	if g.opts.Invalid && g.rng.IntN(20) == 0 {
		length++
	}
	t.CloneRange(c, o, g.any(), off, length, destOff)
}

func (g *Generator) rename(t *objectstore.Transaction, c ceph.SPG) {
	o, dest := g.existing(c), g.any()
	if o == dest || !g.present(c, o) {
		return
	}
	if !g.exists(c, dest) || g.opts.Invalid && g.rng.IntN(5) == 0 {
		t.MoveRename(c, o, dest)
	}
}

func (g *Generator) omapSet(t *objectstore.Transaction, c ceph.SPG) {
	t.OmapSet(c, g.any(), g.pairs())
}

func (g *Generator) omapRm(t *objectstore.Transaction, c ceph.SPG) {
	if o := g.existing(c); g.present(c, o) {
		t.OmapRm(c, o, []string{g.key(), g.key(), g.key()})
	}
}

func (g *Generator) omapRmRange(t *objectstore.Transaction, c ceph.SPG) {
	if o := g.existing(c); g.present(c, o) {
		t.OmapRmRange(c, o, g.key(), g.key())
	}
}

func (g *Generator) omapClear(t *objectstore.Transaction, c ceph.SPG) {
	if o := g.existing(c); g.present(c, o) {
		t.OmapClear(c, o)
	}
}

func (g *Generator) omapHeader(t *objectstore.Transaction, c ceph.SPG) {
	t.OmapSetHeader(c, g.any(), g.bytes(g.rng.Uint64N(100)))
}

func (g *Generator) logAppend(t *objectstore.Transaction, c ceph.SPG) {
	g.version++
	t.LogAppend(c, ceph.Eversion{Epoch: 1, Version: g.version}, g.bytes(g.rng.Uint64N(300)))
}

// back is a version some way behind the last.
func (g *Generator) back() ceph.Eversion {
	return ceph.Eversion{Epoch: 1, Version: g.version - g.rng.Uint64N(min(g.version, 40)+1)}
}

func (g *Generator) logTrim(t *objectstore.Transaction, c ceph.SPG)   { t.LogTrim(c, g.back()) }
func (g *Generator) logRewind(t *objectstore.Transaction, c ceph.SPG) { t.LogRewind(c, g.back()) }

func (g *Generator) putMeta(t *objectstore.Transaction, _ ceph.SPG) {
	t.PutMeta(g.key(), g.bytes(g.rng.Uint64N(300)))
}

func (g *Generator) rmMeta(t *objectstore.Transaction, _ ceph.SPG) { t.RmMeta(g.key()) }

// collections makes, splits or removes collections, two at least and six at most.
func (g *Generator) collections(t *objectstore.Transaction, c ceph.SPG) {
	colls, _ := g.model.Collections()
	switch n := len(colls); {
	case n < 2 || n < 6 && g.rng.IntN(3) > 0:
		dest := spg(g.rng.Uint32N(8))
		if _, _, err := g.model.List(dest, ceph.HObject{}, 1); err == nil && !g.opts.Invalid {
			return
		}
		t.MkColl(dest)
		if g.rng.IntN(2) == 0 {
			t.SplitColl(c, dest, 1+g.rng.Uint32N(3))
		}
	case len(t.Ops) > 0:
	case g.rng.IntN(2) == 0:
		g.merge(t, colls)
	default:
		t.RmColl(c)
	}
}

// merge undoes a split: two collections of which one has only objects with the low bits of its
// seed, and the other none of these.
func (g *Generator) merge(t *objectstore.Transaction, colls []ceph.SPG) {
	for range 10 {
		src, dest := colls[g.rng.IntN(len(colls))], colls[g.rng.IntN(len(colls))]
		op := objectstore.Op{Coll: src, Bits: 1 + g.rng.Uint32N(3)}
		stray := func(c ceph.SPG, in bool) bool {
			list, _, _ := g.model.List(c, ceph.HObject{}, 1000)
			return slices.ContainsFunc(list, func(o ceph.HObject) bool {
				return op.MergeMoves(o.Hash) == in
			})
		}
		if src != dest && !stray(src, false) && !stray(dest, true) {
			t.MergeColl(src, dest, op.Bits)
			return
		}
	}
}
