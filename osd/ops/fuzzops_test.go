package ops

import (
	"encoding/binary"
	"iter"
	"slices"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/osd/class"
	"glue/osd/class/all"
	"glue/osd/snaps"
	"glue/wire/message"
)

// opWith is an op with its arguments.
func opWith(code message.OpCode, set func(op *message.OSDOp)) message.OSDOp {
	o := plain(code)
	set(&o)
	return o
}

// opIn is an op with a payload.
func opIn(code message.OpCode, body func(c *denc.Coder)) message.OSDOp {
	return message.OSDOp{Code: code, In: class.Encode(body)}
}

// realOps are ops as clients send them. TestEveryOpHasASeed holds them to the tables.
func realOps() []message.OSDOp {
	return slices.Concat(realData(), realAttrs(), realWatches(), []message.OSDOp{
		rollback(2), rollback(4), rollback(9),
		NewCopyGet(CopyCursor{}), copyFrom("source"),
		opWith(message.OpCopyFrom2, func(o *message.OSDOp) {
			*o = copyFrom("source")
			o.Code = message.OpCopyFrom2
			o.SetCopyFrom(ceph.NoSnap, 0, copyTruncates, 0)
			o.In = binary.LittleEndian.AppendUint64(append(o.In, 5, 0, 0, 0), 3)
		}),
		plain(message.OpUndirty), plain(message.OpCachePin), plain(message.OpCacheUnpin),
		plain(message.OpCacheFlush), plain(message.OpCacheTryFlush), plain(message.OpCacheEvict),
		plain(message.OpTierPromote), plain(message.OpTierFlush), plain(message.OpTierEvict),
		plain(message.OpUnsetManifest), plain(message.OpSetRedirect), plain(message.OpSetChunk),
	})
}

func realData() []message.OSDOp {
	return []message.OSDOp{
		read(1, 5), extent(message.OpSyncRead, 0, 0, nil),
		extent(message.OpSparseRead, 0, 4096, nil),
		extent(message.OpMapExt, 0, 4096, nil), plain(message.OpStat),
		opWith(message.OpChecksum, func(o *message.OSDOp) {
			o.In = make([]byte, 4)
			o.SetChecksum(0, 8, 4, 2)
		}),
		extent(message.OpCmpExt, 0, 4, []byte("0123")),
		extent(message.OpCmpExt, 2, 4, []byte("xxxx")),
		opWith(message.OpAssertVer, func(o *message.OSDOp) { o.SetAssertVersion(3) }),
		plain(message.OpIsDirty), plain(message.OpListSnaps),
		plain(message.OpCreate),
		opWith(message.OpSetAllocHint, func(o *message.OSDOp) { o.SetAllocHint(4<<20, 4096, 1) }),
		write(3, "xyz"), writeFull("other"),
		opWith(message.OpWriteSame, func(o *message.OSDOp) {
			o.In = []byte("ab")
			o.SetWriteSame(2, 6, 2)
		}),
		extent(message.OpAppend, 0, 3, []byte("end")), extent(message.OpTruncate, 4, 0, nil),
		opWith(message.OpTrimTrunc, func(o *message.OSDOp) {
			o.SetExtent(0, 0)
			setTruncate(o, 2, 7)
		}),
		extent(message.OpZero, 2, 4, nil), plain(message.OpDelete), plain(message.OpStartSync),
	}
}

func realAttrs() []message.OSDOp {
	keys := []string{"a", "k"}
	list := func(c *denc.Coder) { denc.ListFunc(c, &keys, (*denc.Coder).Str) }
	page := func(c *denc.Coder) { // after, how many, prefix
		after := "a"
		c.Str(&after)
		c.U64Const(10)
		c.Str(new(string))
	}
	pairs := encodePairs(map[string][]byte{"k": []byte("v2"), "new": nil})
	return []message.OSDOp{
		opWith(message.OpGetXattr, func(o *message.OSDOp) { o.SetXattr("x", nil, 0, 0) }),
		plain(message.OpGetXattrs),
		opWith(message.OpCmpXattr, func(o *message.OSDOp) {
			o.SetXattr("x", []byte("1"), 1, message.CmpModeString)
		}),
		opWith(message.OpCmpXattr, func(o *message.OSDOp) {
			o.SetXattr("x", binary.LittleEndian.AppendUint64(nil, 1), 4, message.CmpModeU64)
		}),
		setXattr("y", "2"), opWith(message.OpRmXattr, func(o *message.OSDOp) {
			o.SetXattr("x", nil, 0, 0)
		}),
		opIn(message.OpOmapGetKeys, func(c *denc.Coder) {
			c.Str(new(string))
			c.U64Const(10)
		}),
		opIn(message.OpOmapGetVals, page), plain(message.OpOmapGetHeader),
		opIn(message.OpOmapGetValsByKeys, list),
		opIn(message.OpOmapCmp, func(c *denc.Coder) {
			v := []byte("v")
			c.U32Const(1)
			c.Str(&keys[1])
			c.Blob(&v)
			c.U32Const(1)
		}),
		{Code: message.OpOmapSetVals, In: pairs}, {Code: message.OpOmapSetHeader, In: []byte("h")},
		plain(message.OpOmapClear), opIn(message.OpOmapRmKeys, list),
		opIn(message.OpOmapRmKeyRange, func(c *denc.Coder) {
			c.Str(&keys[0])
			c.Str(&keys[1])
		}),
		plain(message.OpTMapGet), {Code: message.OpTMapPut, In: tmapBytes()},
		{Code: message.OpTMapUp, In: tmapChange()}, plain(message.OpTMap2Omap),
	}
}

// realWatches are the ops of watchers and notifiers, and a call.
func realWatches() (out []message.OSDOp) {
	for _, action := range []uint8{message.WatchWatch, message.WatchReconnect, message.WatchPing,
		message.WatchUnwatch, message.WatchLegacy} {
		op := plain(message.OpWatch)
		op.SetWatch(message.WatchArgs{Cookie: 7, Action: action, TimeoutSec: 5})
		out = append(out, op)
	}
	payload := []byte("hello")
	notify := message.OSDOp{Code: message.OpNotify, In: class.Encode(func(c *denc.Coder) {
		c.U32Const(1)
		c.U32Const(10)
		c.Blob(&payload)
	})}
	ack := message.OSDOp{Code: message.OpNotifyAck, In: class.Encode(func(c *denc.Coder) {
		c.U64Const(1)
		c.U64Const(7)
		c.Blob(&payload)
	})}
	call := message.OSDOp{}
	call.SetCall("hello", "record_hello", payload)
	return append(out, notify, ack, plain(message.OpListWatchers), call)
}

// tmapBytes is a trivial map: a header, a count and pairs.
func tmapBytes() []byte {
	return class.Encode(func(c *denc.Coder) {
		header := []byte("head")
		pairs := map[string][]byte{"a": []byte("1"), "b": []byte("2")}
		c.Blob(&header)
		denc.MapFunc(c, &pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
	})
}

// tmapChange sets a key of a trivial map and removes another.
func tmapChange() []byte {
	return class.Encode(func(c *denc.Coder) {
		key, gone, value := "c", "a", []byte("3")
		c.U8Const('s')
		c.Str(&key)
		c.Blob(&value)
		c.U8Const('r')
		c.Str(&gone)
	})
}

func TestEveryOpHasASeed(t *testing.T) {
	seen := map[message.OpCode]bool{}
	for _, op := range slices.Concat(realOps(), realLists()) {
		seen[op.Code] = true
	}
	for _, row := range Table {
		if !seen[row.Code] {
			t.Errorf("no real op %v", row.Code)
		}
	}
	for _, row := range pgTable {
		if !seen[row.Code] {
			t.Errorf("no real op %v of a PG", row.Code)
		}
	}
}

// newHistory is a PG whose object "o" has clones, "gone" is there for its clones only and "source"
// is what copies copy.
func newHistory(t testing.TB) *pg {
	p := newPG(t, watched(t, all.Classes)...)
	p.env.WatchConnected = func(ceph.HObject, WatchKey) bool { return true }
	p.env.Limits.ObjectSize = 64 << 10 // what is checked is copied often
	s := content{data: []byte("0123456789"), header: []byte("header"),
		attrs: map[string][]byte{"x": []byte("1")}, omap: map[string][]byte{"k": []byte("v")}}
	for _, name := range []string{"o", "gone", "source"} {
		p.put(name, s.bytes())
	}
	p.under("o", under(2, 2), write(2, "ab"))
	p.under("o", under(4, 4, 2), extent(message.OpTruncate, 6, 0, nil), setXattr("x", "2"))
	p.under("gone", under(3, 3), plain(message.OpDelete))
	source, _ := p.fetch("source", 1<<20)
	p.copies = map[int]*Copied{0: source, 1: source}
	return p
}

// under runs a vector on any object under a snapshot context.
func (p *pg) under(name string, c snaps.Context, ops ...message.OSDOp) {
	p.t.Helper()
	r := p.request(head(name), message.FlagReturnVec, ops)
	r.SnapSeq, r.Snaps = c.Seq, c.Snaps
	p.want(min(p.sound(r, 0), 0), 0)
}

// A vectorCase is what the fuzzer chooses besides an op, in the bits of one number.
type vectorCase uint32

// objects that a request may be for.
var fuzzObjects = []string{"o", "gone", "none", "source"}

func (v vectorCase) object() ceph.HObject {
	o := head(fuzzObjects[v&3])
	switch at := v >> 2 & 15; at {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8: // a request for the head is the usual one
	case 15:
		o.Snap = ceph.SnapDir
	default:
		o.Snap = ceph.SnapID(at - 8)
	}
	return o
}

// context is a snapshot context: mostly a valid one.
func (v vectorCase) context() snaps.Context {
	return [...]snaps.Context{under(0), under(4, 4, 2), under(6, 6, 4, 2), under(7),
		under(8, 8, 7, 1), under(3, 3, 2), under(5, 6), under(9, 2, 4)}[v>>6&7]
}

// setUp changes what the PG and the request are like.
func (v vectorCase) setUp(p *pg, r *Request) {
	if v>>9&3 == 3 {
		p.env.PoolSnaps = &snaps.Context{Seq: 6, Snaps: []ceph.SnapID{6, 3}}
	}
	if v>>11&3 == 3 {
		p.env.Removed = []osdmap.SnapRange{{Start: 4, Len: 1}}
	}
	if v>>13&3 == 3 {
		p.env.Full, p.env.FullQuota = true, v>>15&1 == 1
	}
	r.Flags = uint32(v) >> 16 & (message.FlagReturnVec | message.FlagOrderSnap |
		message.FlagEnforceSnapC | message.FlagFullTry | message.FlagFullForce)
	if v>>31 == 0 {
		r.Flags |= message.FlagReturnVec
	}
	c := v.context()
	r.SnapSeq, r.Snaps = c.Seq, c.Snaps
}

// FuzzOps gives any arguments and payload to any op, on objects with clones, on one that has been
// deleted and on none, at any snapshot and under any context, alone, behind another op and twice.
func FuzzOps(f *testing.F) {
	index := map[message.OpCode]int{}
	for i := range Table {
		index[Table[i].Code] = i
		f.Add(uint16(i), make([]byte, 28), []byte{1, 0, 0, 0, 'a'}, uint32(0), uint32(0),
			uint16(0))
	}
	for i, op := range realOps() {
		for _, v := range []uint32{0, 1 << 6, 2<<6 | 1, 2 << 6, 10 << 2, 15 << 2} {
			f.Add(uint16(index[op.Code]), op.Union[:], op.In, op.Flags, v, uint16(i))
		}
	}
	real := realOps()
	f.Fuzz(func(t *testing.T, which uint16, args, in []byte, flags, choice uint32, other uint16) {
		op := message.OSDOp{Code: Table[int(which)%len(Table)].Code, Flags: flags, In: in}
		copy(op.Union[:], args)
		neighbour := real[int(other)%len(real)]
		for _, ops := range [][]message.OSDOp{{op}, {neighbour, op}, {op, neighbour}, {op, op}} {
			p := newHistory(t)
			v := vectorCase(choice)
			r := p.request(v.object(), 0, ops)
			v.setUp(p, r)
			p.sound(r, 1024)
		}
	})
}

// realLists are listings as clients send them.
func realLists() (out []message.OSDOp) {
	filter := class.Encode(func(c *denc.Coder) {
		none, kind, attr, value := "", "plain", "_x", "1"
		c.Str(&none)
		c.Str(&none)
		c.Str(&kind)
		c.Str(&attr)
		c.Str(&value)
	})
	for _, row := range pgTable {
		op := message.OSDOp{Code: row.Code}
		op.SetList(10, 1)
		if row.Code == message.OpPGNLSFilter || row.Code == message.OpPGLSFilter {
			op.In = filter
		}
		op.In = append(slices.Clone(op.In), class.EncodeValue(&ceph.HObject{})...)
		out = append(out, op)
	}
	return out
}

// FuzzList gives any arguments, cursor and filter to the listings, of a PG that misses an object.
func FuzzList(f *testing.F) {
	for i, op := range realLists() {
		f.Add(uint8(i), uint64(10), op.In, "", true)
		f.Add(uint8(i), uint64(1), op.In, "\x01", false)
	}
	p := newHistory(f)
	f.Fuzz(func(t *testing.T, which uint8, count uint64, in []byte, ns string, missing bool) {
		p.t = t
		p.env.Missing = nil
		if missing {
			p.env.Missing = missingOne
		}
		op := message.OSDOp{Code: pgTable[int(which)%len(pgTable)].Code, In: in}
		op.SetList(count, 1)
		r := p.request(head(""), 0, []message.OSDOp{op})
		r.Object.Namespace = ns
		var out Outcome
		bounded(t, len(in), func() { out = ExecutePG(p.env, r) })
		if out.Failure != nil || out.Transaction != nil {
			t.Fatal(out.Failure, out.Transaction)
		}
		p.checkResult(&op, out.Result)
		if out.Result >= 0 && op.Code == message.OpPGNLS {
			checkPage(t, count, in, ns, missing, out.Ops[0].Out)
		}
	})
}

// missingOne is a PG's missing object, which is listed like the others.
func missingOne(from ceph.HObject) iter.Seq[ceph.HObject] {
	return func(yield func(ceph.HObject) bool) {
		if o := head("missing"); o.Compare(from) >= 0 {
			yield(o)
		}
	}
}

// checkPage: a listing moves on, and gives what lies between where it began and where it goes on.
func checkPage(t *testing.T, count uint64, in []byte, ns string, missing bool, out []byte) {
	var from, next ceph.HObject
	from.Denc(denc.NewDecoder(in, 0))
	c := denc.NewDecoder(out, 0)
	s := c.Begin(1, 1)
	next.Denc(c)
	got := []string{}
	for range c.Count(0, 12) {
		var space, name, key string
		c.Str(&space)
		c.Str(&name)
		c.Str(&key)
		got = append(got, name)
	}
	if s.End(); c.Err() != nil {
		t.Fatal(c.Err())
	}
	if count > 0 && !from.Max && next.Compare(from) <= 0 {
		t.Errorf("from %v it goes on at %v", from, next)
	}
	want := []string{}
	// As with Ceph, what is there for its clones only is listed too.
	for _, name := range []string{"o", "gone", "source", "missing"} {
		o := head(name)
		if (name != "missing" || missing) && (ns == "" || ns == allNamespaces) &&
			o.Compare(from) >= 0 && o.Compare(next) < 0 {
			want = append(want, name)
		}
	}
	slices.SortFunc(want, func(a, b string) int { return head(a).Compare(head(b)) })
	if !slices.Equal(got, want) {
		t.Errorf("from %v to %v: %q, want %q", from, next, got, want)
	}
}
