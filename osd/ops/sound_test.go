package ops

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
	"glue/osd/snaps"
	"glue/store/objectstore"
	"glue/wire/message"
)

// What has to hold of every request, whatever it asks for and whatever the object holds.

// A content is all that a client can put into an object.
type content struct {
	data, header []byte
	attrs, omap  map[string][]byte
}

// Denc is for the corpus only. What does not decode is left out.
func (s *content) Denc(c *denc.Coder) {
	c.Blob(&s.data)
	c.Blob(&s.header)
	denc.MapFunc(c, &s.attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
	denc.MapFunc(c, &s.omap, (*denc.Coder).Str, (*denc.Coder).Blob)
}

func (s *content) bytes() []byte { return denc.Marshal(s, ceph.FeaturesAll) }

// put makes an object of some content. What the limits do not allow is left out.
func (p *pg) put(name string, raw []byte) {
	p.t.Helper()
	var s content
	s.Denc(denc.NewDecoder(raw, ceph.FeaturesAll))
	p.want(p.do(name, writeFull(string(s.data))), 0)
	for _, k := range slices.Sorted(maps.Keys(s.attrs)) {
		p.do(name, setXattr(k, string(s.attrs[k])))
	}
	if len(s.header) > 0 {
		p.do(name, message.OSDOp{Code: message.OpOmapSetHeader, In: s.header})
	}
	if len(s.omap) > 0 {
		p.do(name, message.OSDOp{Code: message.OpOmapSetVals, In: encodePairs(s.omap)})
	}
}

// objects are all that the collection holds.
func (p *pg) objects() []ceph.HObject {
	p.t.Helper()
	out, next, err := p.store.List(testColl, ceph.HObject{}, 1000)
	if err != nil || !next.Max {
		p.t.Fatal(next, err)
	}
	return out
}

// dump is everything that the store holds, infos included.
func (p *pg) dump() string {
	p.t.Helper()
	var s bytes.Buffer
	for _, o := range p.objects() {
		data, err := p.store.Read(testColl, o, 0, 0)
		attrs, err1 := p.store.GetAttrs(testColl, o)
		header, err2 := p.store.OmapHeader(testColl, o)
		if err := errors.Join(err, err1, err2); err != nil {
			p.t.Fatal(err)
		}
		fmt.Fprintf(&s, "%v %x %x", o, data, header)
		for _, k := range slices.Sorted(maps.Keys(attrs)) {
			fmt.Fprintf(&s, " %q=%x", k, attrs[k])
		}
		for kv, err := range p.store.OmapScan(testColl, o, "") {
			if err != nil {
				p.t.Fatal(err)
			}
			fmt.Fprintf(&s, " %q:%x", kv.Key, kv.Value)
		}
		s.WriteByte('\n')
	}
	return s.String()
}

// sound runs a request and checks what has to hold of it; room is the bytes that it may work on
// besides its own. It returns the result.
func (p *pg) sound(r *Request, room int) int32 {
	p.t.Helper()
	p.last = Outcome{}
	n, err := Inspect(p.env.Classes, r.Flags, r.Ops)
	if err == nil {
		err = Check(p.env.Limits, &n, r)
	}
	if err != nil {
		return p.checkResult(&message.OSDOp{}, ceph.ResultOf(err))
	}
	if r.State, err = LoadState(p.store, testColl, r.Object); err != nil {
		p.t.Fatal(err)
	}
	for i := range r.Ops {
		room += len(r.Ops[i].In)
	}
	before, asked := p.dump(), fmt.Sprintf("%+v %+v", r.State, r.Ops)
	counts, past := p.counts(), p.history(r.Object)
	bounded(p.t, room, func() { p.last = Execute(p.env, r, &n) })
	if again := Execute(p.env, r, &n); !same2(&p.last, &again) {
		p.t.Errorf("two runs differ:\n%+v\n%+v", p.last, again)
	}
	if now := fmt.Sprintf("%+v %+v", r.State, r.Ops); now != asked {
		p.t.Errorf("the request or the state that it got was changed:\n%s\n%s", asked, now)
	}
	out := &p.last
	if out.Source != nil || out.Drop {
		return 0
	}
	if out.Failure != nil {
		p.t.Fatalf("store: %v", out.Failure)
	}
	if !n.MayWrite() && out.Log != LogNothing {
		p.t.Errorf("a read logs %v", out.Log)
	}
	for i := range out.Ops {
		p.checkResult(&out.Ops[i], out.Ops[i].Result)
	}
	result := p.checkResult(&out.Ops[compared(out.Ops)], out.Result)
	if out.Transaction == nil {
		if out.State != r.State && out.Log != LogNothing {
			p.t.Error("another state without a change")
		}
		return result
	}
	if result < 0 && out.Result == result {
		p.t.Errorf("a refused request (%d) has a transaction", result)
	}
	p.apply()
	if out.Clone != nil {
		p.ver++
	}
	p.checkStored(r.Object, counts.plus(out.Stats))
	p.checkHistory(r, past)
	if result < 0 && p.dump() != before {
		p.t.Errorf("a refused request (%d) changed the object", result)
	}
	return result
}

// someSnaps is up to which snapshot a test looks at the past.
const someSnaps = 12

// history is what readers at the first snapshots see.
func (p *pg) history(o ceph.HObject) (out [someSnaps]string) {
	p.t.Helper()
	for snap := range out {
		out[snap] = p.at(o, ceph.SnapID(snap))
	}
	return out
}

// checkHistory: a change leaves what a reader at a snapshot sees that the object has been written
// under, and what was there is what a reader at a new one sees.
func (p *pg) checkHistory(r *Request, past [someSnaps]string) {
	p.t.Helper()
	c := snaps.Context{Seq: r.SnapSeq, Snaps: r.Snaps}
	if p.env.PoolSnaps != nil && r.Flags&message.FlagEnforceSnapC == 0 {
		c = *p.env.PoolSnaps
	}
	c = c.Without(p.env.Removed)
	for snap, was := range past {
		id := ceph.SnapID(snap)
		old := id <= snaps.Seq(r.State.Info.Snaps)
		if !old && !slices.Contains(c.Snaps, id) {
			continue
		}
		if now := p.at(r.Object, id); now != was {
			p.t.Errorf("at snapshot %d there was %s, now %s", id, was, now)
		}
	}
}

// checkResult holds a result to the range of error numbers, beyond which CMPEXT says where the
// first difference is.
func (p *pg) checkResult(op *message.OSDOp, r int32) int32 {
	p.t.Helper()
	if r < -maxErrno && op.Code != message.OpCmpExt && r != same {
		p.t.Errorf("op %v: result %d is no error number", op.Code, r)
	}
	return r
}

// compared is the first CMPEXT of a vector, whose result is the vector's if it fails.
func compared(ops []message.OSDOp) int {
	return max(0, slices.IndexFunc(ops, func(op message.OSDOp) bool {
		return op.Code == message.OpCmpExt
	}))
}

// same2 says whether two outcomes are the same.
func same2(a, b *Outcome) bool {
	x, y := *a, *b
	same := bytes.Equal(x.Loan.Data, y.Loan.Data)
	x.Loan, y.Loan = objectstore.Loan{}, objectstore.Loan{}
	return same && reflect.DeepEqual(x, y)
}

// counts counts what the statistics of a PG count.
func (p *pg) counts() (s Stats) {
	p.t.Helper()
	for _, o := range p.objects() {
		st, err := LoadState(p.store, testColl, o)
		if err != nil {
			p.t.Fatal(err)
		}
		s.Objects++
		s.Clones += one(o.Snap != ceph.NoSnap)
		s.Whiteouts += one(st.Info.IsWhiteout())
		s.ObjectsOmap += one(st.Info.IsOmap())
		s.ObjectsDirty += one(st.Info.IsDirty())
		if o.Snap != ceph.NoSnap {
			continue
		}
		s.Bytes += int64(st.Info.Size)
		s.Bytes += snaps.AllBytes(st.Info.Snaps)
	}
	return s
}

// plus is what the counts are after a request.
func (s Stats) plus(d Stats) Stats {
	return Stats{Bytes: s.Bytes + d.Bytes, Objects: s.Objects + d.Objects,
		ObjectsOmap: s.ObjectsOmap + d.ObjectsOmap, ObjectsDirty: s.ObjectsDirty + d.ObjectsDirty,
		Clones: s.Clones + d.Clones, Whiteouts: s.Whiteouts + d.Whiteouts}
}

// checkStored holds an object's info against what the store has, and the counts against counting.
func (p *pg) checkStored(o ceph.HObject, want Stats) {
	p.t.Helper()
	if got := p.counts(); got != want {
		p.t.Errorf("counted %+v, by the statistics %+v", got, want)
	}
	st, err := LoadState(p.store, testColl, o)
	if err != nil {
		p.t.Fatal(err)
	}
	said := denc.Marshal(&p.last.State.Info, ceph.FeaturesAll)
	if st.Exists != p.last.State.Exists ||
		st.Exists && !bytes.Equal(denc.Marshal(&st.Info, ceph.FeaturesAll), said) {
		p.t.Errorf("stored %+v, said %+v", st, p.last.State)
	}
	if !st.Exists {
		return
	}
	p.checkSize(o, st.Info.Size, st.Info.IsOmap())
	if st.Info.Snaps == nil {
		return
	}
	p.checkClones(o, st.Info.Snaps)
}

// checkClones holds a set of snapshots against the clones that are stored: sizes, order, and that
// what two neighbours have in common is the same.
func (p *pg) checkClones(o ceph.HObject, set *snaps.Set) {
	p.t.Helper()
	newer := p.data(o)
	for i := len(set.Clones) - 1; i >= 0; i-- {
		c := &set.Clones[i]
		o.Snap = c.ID
		p.checkSize(o, c.Size, true)
		if c.ID > set.Seq || len(c.Snaps) == 0 || c.Snaps[0] > c.ID ||
			i > 0 && set.Clones[i-1].ID >= c.Snaps[len(c.Snaps)-1] {
			p.t.Errorf("clones out of order: %+v", set)
		}
		data := p.data(o)
		for _, r := range c.Overlap {
			if r.Begin >= r.End || r.End > uint64(min(len(data), len(newer))) ||
				!bytes.Equal(data[r.Begin:r.End], newer[r.Begin:r.End]) {
				p.t.Errorf("clone %d and what came after it differ in %v: %+v", c.ID, r, set)
			}
		}
		newer = data
	}
}

func (p *pg) data(o ceph.HObject) []byte {
	p.t.Helper()
	data, err := p.store.Read(testColl, o, 0, 0)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		p.t.Fatal(err)
	}
	return data
}

// at is what a reader at a snapshot sees of an object, "-" for nothing.
func (p *pg) at(o ceph.HObject, snap ceph.SnapID) string {
	p.t.Helper()
	st, err := LoadState(p.store, testColl, o)
	if err != nil {
		p.t.Fatal(err)
	}
	id, ok := snaps.Find(st.Info.Snaps, snap)
	if !ok {
		return "-"
	}
	o.Snap = id
	if st, err = LoadState(p.store, testColl, o); err != nil {
		p.t.Fatal(err)
	}
	if !st.Visible() {
		return "-"
	}
	attrs, err := p.store.GetAttrs(testColl, o)
	if err != nil {
		p.t.Fatal(err)
	}
	delete(attrs, InfoAttr)
	delete(attrs, objectstore.TagAttr)
	return fmt.Sprintf("%x %v", p.data(o), attrs)
}

// checkSize holds an object's size against its data, and keys against the flag that says so.
func (p *pg) checkSize(o ceph.HObject, size uint64, omap bool) {
	p.t.Helper()
	data, err := p.store.Read(testColl, o, 0, 0)
	if err != nil || uint64(len(data)) != size {
		p.t.Errorf("%v has %d bytes, by its info %d: %v", o, len(data), size, err)
	}
	for kv := range p.store.OmapScan(testColl, o, "") {
		if !omap {
			p.t.Errorf("%v has key %q, by its info none", o, kv.Key)
		}
	}
}

// watched wraps every method: it has to answer with an error number or a positive result, and to do
// no more than its flags say.
func watched(t testing.TB, classes []class.Class) []class.Class {
	out := slices.Clone(classes)
	for i := range out {
		out[i].Methods = slices.Clone(out[i].Methods)
		for j := range out[i].Methods {
			m := &out[i].Methods[j]
			m.Func = watchedMethod(t, out[i].Name+"."+m.Name, m.Flags, m.Func)
		}
	}
	return out
}

func watchedMethod(t testing.TB, name string, flags class.Flags, f class.Func) class.Func {
	return func(ctx class.Context, in []byte) ([]byte, error) {
		given := bytes.Clone(in)
		x := ctx.(*context).x
		reads, writes := x.reads, x.writes
		out, err := f(ctx, in)
		if !bytes.Equal(in, given) {
			t.Errorf("%s changed its input", name)
		}
		lies := x.reads > reads && flags&class.RD == 0 || x.writes > writes && flags&class.WR == 0
		if lies && !strings.HasPrefix(name, "hello.bad_") { // that is what these two are for
			t.Errorf("%s reads or writes, and its flags %d do not say so", name, flags)
		}
		var e ceph.Errno
		var r class.Result
		switch {
		case err == nil:
		case errors.As(err, &r):
			if r <= 0 {
				t.Errorf("%s: result %d", name, r)
			}
		case !errors.As(err, &e) || e <= 0 || e > maxErrno:
			t.Errorf("%s: %v is no error number", name, err)
		}
		return out, err
	}
}

// bounded fails if f allocates far more than its input could justify.
func bounded(t testing.TB, input int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(64*input)+1<<20 {
		t.Errorf("%d bytes allocated for an input of %d", n, input)
	}
}
