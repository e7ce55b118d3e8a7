package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/snaps"
	"glue/wire/message"
)

// What users do to objects.
type objKind int

const (
	readAll objKind = iota // data, attributes and omap
	writeFull
	appendTo
	writeAt
	truncateTo
	deleteIt
	setAttr
	setOmap
	rmOmap
	compareWrite // if the beginning of the data is as expected
	addTo        // class numops
	rollBack     // to a snapshot
	objKinds
	asBefore // nobody does that: what it was at the rest before
)

var objKindNames = [objKinds]string{"read", "write_full", "append", "write", "truncate", "delete",
	"setxattr", "omap_set", "omap_rm", "cmpext+write", "numops.add", "rollback"}

var objWeights = [objKinds]int{readAll: 30, writeFull: 8, appendTo: 16, writeAt: 8, truncateTo: 4,
	deleteIt: 6, setAttr: 6, setOmap: 8, rmOmap: 4, compareWrite: 6, addTo: 10}

// An objInput is an operation on an object.
type objInput struct {
	kind objKind
	text string
	n    int // offset, size, key
	// at is the snapshot that is read at or rolled back to, 0 for none; snaps is what a writer
	// knows of.
	at    ceph.SnapID
	snaps snaps.Context
	// from and to are the epochs in which it may have been done, where snapshots are the pool's;
	// among is the contexts of these.
	from, to ceph.Epoch
	among    []snaps.Context
}

func (i objInput) String() string {
	if i.kind == asBefore {
		return "rest"
	}
	text := fmt.Sprintf("%s(%d,%q)", objKindNames[i.kind], i.n, i.text)
	if i.at > 0 {
		text = fmt.Sprintf("%s of %d", objKindNames[i.kind], i.at)
	}
	if i.snaps.Seq > 0 {
		text += fmt.Sprintf(" with %d%d", i.snaps.Seq, i.snaps.Snaps)
	}
	if len(i.among) > 0 {
		text += fmt.Sprintf(" in %d to %d with %v", i.from, i.to, i.among)
	}
	return text
}

// An objState is what an object looks like.
type objState struct {
	exists     bool
	data, attr string
	omap       [3]string // keys 0 and 1, and the number
}

// An objOutput is what an operation gave.
type objOutput struct {
	result int32
	state  objState   // of a read
	was    snapState  // of asBefore
	anyway bool       // it is not known
	epoch  ceph.Epoch // of the map with which it was first sent
}

func newInput(rng *rand.Rand, tag string) objInput {
	total := 0
	for _, w := range objWeights {
		total += w
	}
	in := objInput{text: "<" + tag + ">"}
	pick := rng.IntN(total)
	for k, w := range objWeights {
		if pick -= w; pick < 0 {
			in.kind = objKind(k)
			break
		}
	}
	switch in.kind {
	case writeAt, truncateTo:
		in.n = rng.IntN(24)
	case setOmap, rmOmap:
		in.n = rng.IntN(2)
	case addTo:
		in.n = 1 + rng.IntN(9)
	case compareWrite:
		in.n = rng.IntN(3) // "<0", "<1", "<2": which user wrote last
	}
	return in
}

func omapKey(n int) string { return []string{"k0", "k1", "num"}[n] }

// expected is what compareWrite compares with.
func (i objInput) expected() string { return "<" + strconv.Itoa(i.n) }

// ops are the operations of the request, and its flags.
func (i objInput) ops() ([]message.OSDOp, uint32) {
	data := func(code message.OpCode, off int, text string) message.OSDOp {
		op := message.OSDOp{Code: code, In: []byte(text)}
		op.SetExtent(uint64(off), uint64(len(text)))
		return op
	}
	enc := func(f func(c *denc.Coder)) []byte {
		c := denc.NewEncoder(nil, 0)
		f(c)
		return c.Bytes()
	}
	write, both := uint32(message.FlagWrite), uint32(message.FlagWrite|message.FlagRead)
	switch i.kind {
	case writeFull:
		return []message.OSDOp{data(message.OpWriteFull, 0, i.text)}, write
	case appendTo:
		return []message.OSDOp{data(message.OpAppend, 0, i.text)}, write
	case writeAt:
		return []message.OSDOp{data(message.OpWrite, i.n, i.text)}, write
	case truncateTo:
		return []message.OSDOp{data(message.OpTruncate, i.n, "")}, write
	case deleteIt:
		return []message.OSDOp{{Code: message.OpDelete}}, write | message.FlagFullTry
	case setAttr:
		op := message.OSDOp{Code: message.OpSetXattr}
		op.SetXattr("a", []byte(i.text), 0, 0)
		return []message.OSDOp{op}, write
	case setOmap:
		pairs := map[string][]byte{omapKey(i.n): []byte(i.text)}
		return []message.OSDOp{{Code: message.OpOmapSetVals, In: enc(func(c *denc.Coder) {
			denc.MapFunc(c, &pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
		})}}, write
	case rmOmap:
		keys := []string{omapKey(i.n)}
		return []message.OSDOp{{Code: message.OpOmapRmKeys, In: enc(func(c *denc.Coder) {
			denc.ListFunc(c, &keys, (*denc.Coder).Str)
		})}}, write
	case compareWrite:
		return []message.OSDOp{data(message.OpCmpExt, 0, i.expected()),
			data(message.OpWrite, 0, i.text)}, both
	case addTo:
		key, by := omapKey(2), strconv.Itoa(i.n)
		op := message.OSDOp{Code: message.OpCall}
		op.SetCall("numops", "add", enc(func(c *denc.Coder) {
			c.Str(&key)
			c.Str(&by)
		}))
		return []message.OSDOp{op}, both
	case rollBack:
		op := message.OSDOp{Code: message.OpRollback}
		op.SetSnapID(i.at)
		return []message.OSDOp{op}, write
	}
	return []message.OSDOp{{Code: message.OpRead}, {Code: message.OpGetXattrs},
		{Code: message.OpOmapGetVals, In: enc(func(c *denc.Coder) {
			none, limit := "", uint64(100)
			c.Str(&none)
			c.U64(&limit)
			c.Str(&none)
		})}}, message.FlagRead
}

// output reads the answer.
func (i objInput) output(b *message.MOSDOpReply) (objOutput, error) {
	out := objOutput{result: b.Result}
	if i.kind != readAll || b.Result < 0 {
		return out, nil
	}
	if len(b.Ops) != 3 {
		return out, fmt.Errorf("%d results", len(b.Ops))
	}
	attrs, omap, more := map[string][]byte{}, map[string][]byte{}, false
	d := denc.NewDecoder(b.Ops[1].Out, 0)
	denc.MapFunc(d, &attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
	if d.Err() != nil {
		return out, fmt.Errorf("attributes: %w", d.Err())
	}
	d = denc.NewDecoder(b.Ops[2].Out, 0)
	denc.MapFunc(d, &omap, (*denc.Coder).Str, (*denc.Coder).Blob)
	d.Bool(&more)
	if d.Err() != nil {
		return out, fmt.Errorf("omap: %w", d.Err())
	}
	out.state = stateOf(b.Ops[0].Out, attrs["a"], omap)
	return out, nil
}

// stateOf is an object that exists.
func stateOf(data, attr []byte, omap map[string][]byte) objState {
	s := objState{exists: true, data: string(data), attr: string(attr)}
	for k := range s.omap {
		s.omap[k] = string(omap[omapKey(k)])
	}
	return s
}

// apply is the model of an object: what an operation makes of it, and what it gives.
func (i objInput) apply(s objState) (objState, int32) {
	if i.kind == readAll {
		if !s.exists {
			return s, ceph.ENOENT.Result()
		}
		return s, 0
	}
	if !s.exists {
		switch i.kind {
		case deleteIt, rmOmap:
			return s, ceph.ENOENT.Result()
		case truncateTo:
			return s, 0
		case compareWrite:
			return s, -4095
		}
		s = objState{exists: true}
	}
	switch i.kind {
	case writeFull:
		s.data = i.text
	case appendTo:
		s.data += i.text
	case writeAt:
		s.data = overwrite(s.data, i.n, i.text)
	case truncateTo:
		s.data = overwrite(s.data, i.n, "")[:i.n]
	case deleteIt:
		s = objState{}
	case setAttr:
		s.attr = i.text
	case setOmap:
		s.omap[i.n] = i.text
	case rmOmap:
		s.omap[i.n] = ""
	case compareWrite:
		want := i.expected()
		for at := range len(want) {
			if at >= len(s.data) || s.data[at] != want[at] {
				return s, int32(-4095 - at)
			}
		}
		s.data = overwrite(s.data, 0, i.text)
	case addTo:
		v, _ := strconv.Atoi(s.omap[2])
		s.omap[2] = strconv.Itoa(v + i.n)
	}
	return s, 0
}

// overwrite puts text at an offset, behind zeros if need be.
func overwrite(data string, off int, text string) string {
	if n := off + len(text); n > len(data) {
		data += strings.Repeat("\x00", n-len(data))
	}
	return data[:off] + text + data[off+len(text):]
}

// objects is the history of all objects.
type objects struct {
	w      *world
	ops    map[string][]porcupine.Operation
	lost   map[string][]lostOp
	before map[string]snapState // at the last rest
	rested time.Duration        // when that was
}

// known records an answered request.
func (h *objects) known(r *request, out objOutput) {
	out.epoch = r.epoch
	if s := h.w.cluster.snaps; s != nil {
		r.in.from, r.in.to = r.epoch, s.newest
	}
	h.ops[r.object] = append(h.ops[r.object], porcupine.Operation{ClientId: r.u.n, Input: r.in,
		Call: int64(r.call), Output: out, Return: int64(h.w.now)})
}

// unknown records one that was given up: it may be done at any later time, or never.
func (h *objects) unknown(r *request) {
	if r.in.from = r.epoch; r.in.kind != readAll {
		h.lost[r.object] = append(h.lost[r.object], lostOp{porcupine.Operation{
			ClientId: r.u.n, Input: r.in, Call: int64(r.call),
			Output: objOutput{anyway: true}}, r.u.fence})
	}
}

// checkObjectFor bounds the search for an order of one object's operations: where many requests
// waited at once and users gave up, there are too many orders.
const checkObjectFor = 2 * time.Second

// check wants an order in which the operations of each object since the last rest make sense, from
// what it was then to what is stored now. What was never answered may be in it or not.
func (h *objects) check(stored func(object string) snapState, list []ceph.SnapID) {
	end := int64(h.w.now) + 1
	names := maps.Clone(h.before)
	model := objModel(func(id ceph.SnapID) bool { return slices.Contains(list, id) })
	for name := range h.ops {
		names[name] = h.before[name]
	}
	for name := range h.lost {
		names[name] = h.before[name]
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		now := stored(name)
		h.before[name] = now
		ops := append([]porcupine.Operation{{ClientId: 999, Input: objInput{kind: asBefore},
			Call: int64(h.rested) - 2, Output: objOutput{was: names[name]},
			Return: int64(h.rested) - 1}}, h.ops[name]...)
		for _, at := range append([]ceph.SnapID{0}, list...) {
			was := now.find(at)
			ops = append(ops, porcupine.Operation{ClientId: 1000, Input: objInput{at: at},
				Call: end, Output: objOutput{result: resultOf(was), state: was}, Return: end + 1})
		}
		h.w.result.Objects++
		verdict, orders := porcupine.Illegal, h.orders(name, ops, end+2)
		for _, ops := range orders {
			h.w.cluster.snaps.fill(ops)
			v := porcupine.CheckOperationsTimeout(model, ops, checkObjectFor)
			if v != porcupine.Illegal {
				verdict = v
			}
			if v == porcupine.Ok {
				break
			}
		}
		switch verdict {
		case porcupine.Illegal:
			h.w.fail("the history of %s makes no sense:\n%s", name,
				objStory(orders[len(orders)-1]))
			return
		case porcupine.Unknown:
			h.w.result.Unchecked++
		}
	}
	h.rested = h.w.now
}

func resultOf(s objState) int32 {
	if !s.exists {
		return ceph.ENOENT.Result()
	}
	return 0
}

// objStory is a history in words, for people.
func objStory(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var out strings.Builder
	for _, o := range ops {
		x := o.Output.(objOutput)
		fmt.Fprintf(&out, "  %12v to %12v  user %d  %v  ", time.Duration(o.Call),
			time.Duration(o.Return), o.ClientId, o.Input)
		switch {
		case o.Input.(objInput).kind == asBefore:
			fmt.Fprintf(&out, "it was %v\n", x.was)
		case x.anyway:
			fmt.Fprintln(&out, "no answer")
		case o.Input.(objInput).kind == readAll && x.result == 0:
			fmt.Fprintf(&out, "%+v\n", x.state)
		default:
			fmt.Fprintln(&out, x.result)
		}
	}
	return out.String()
}
