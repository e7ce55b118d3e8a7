package ops

import (
	"bytes"
	"errors"
	"testing"

	"glue/ceph"
	"glue/osd/class"
	"glue/store/memstore"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A pg is a collection on a memory store that executes requests as a PG does.
type pg struct {
	t     testing.TB
	store objectstore.Store
	env   *Env
	ver   uint64
	user  uint64
	now   uint32
	last  Outcome

	copies map[int]*Copied // what the next requests copy
}

var testColl = ceph.SPG{PGID: ceph.PGID{Pool: 3}, Shard: ceph.NoShard}

func newPG(t testing.TB, classes ...class.Class) *pg {
	limits := DefaultLimits()
	p := &pg{t: t, store: memstore.New(memstore.Options{}), ver: 1, now: 1000}
	p.env = &Env{Store: p.store, Coll: testColl, Limits: &limits, Epoch: 5, PGNum: 1,
		Classes: class.New(classes...), RequiredRelease: 16, MinCompatClient: 12,
		NotifyID: func() uint64 { return 5<<32 | 1 }}
	p.submit(func(tx *objectstore.Transaction) { tx.MkColl(testColl) })
	return p
}

func (p *pg) submit(f func(*objectstore.Transaction)) {
	p.t.Helper()
	var tx objectstore.Transaction
	f(&tx)
	if err := p.store.Submit(&tx, func(error) {}); err != nil {
		p.t.Fatalf("submit: %v", err)
	}
}

func head(name string) ceph.HObject {
	return ceph.HObject{Pool: 3, Name: name, Snap: ceph.NoSnap, Hash: uint32(len(name))}
}

func (p *pg) request(o ceph.HObject, flags uint32, ops []message.OSDOp) *Request {
	return &Request{Object: o, Ops: ops, Flags: flags,
		ReqID:  ceph.ReqID{Name: ceph.EntityName{Type: ceph.TypeClient, Num: 4100}, TID: p.ver},
		Origin: class.Entity{Name: ceph.EntityName{Type: ceph.TypeClient, Num: 4100}},
		Copies: p.copies,
		MTime:  ceph.Time{Sec: p.now}, Now: ceph.Time{Sec: p.now}, Features: ceph.FeaturesAll,
		At: ceph.Eversion{Epoch: 5, Version: p.ver}, LastUserVersion: p.user,
		LastUpdate: ceph.Eversion{Epoch: 5, Version: p.ver - 1}}
}

// do runs a vector and applies its transaction; the outcome is also kept in last.
func (p *pg) do(name string, ops ...message.OSDOp) int32 {
	p.t.Helper()
	return p.doFlags(name, 0, ops...)
}

func (p *pg) doFlags(name string, flags uint32, ops ...message.OSDOp) int32 {
	p.t.Helper()
	p.last = Outcome{}
	r := p.request(head(name), flags, ops)
	n, err := Inspect(p.env.Classes, flags, ops)
	if err == nil {
		err = Check(p.env.Limits, &n, r)
	}
	if err != nil {
		p.last.Result = ceph.ResultOf(err)
		return p.last.Result
	}
	if r.State, err = LoadState(p.store, testColl, r.Object); err != nil {
		p.t.Fatalf("load %s: %v", name, err)
	}
	p.last = Execute(p.env, r, &n)
	p.apply()
	return p.last.Result
}

// apply submits the last outcome.
func (p *pg) apply() {
	p.t.Helper()
	if p.last.Failure != nil {
		p.t.Fatalf("store: %v", p.last.Failure)
	}
	if p.last.Log == LogNothing {
		return
	}
	p.ver++
	if tx := p.last.Transaction; tx != nil {
		p.user = max(p.user, p.last.UserVersion)
		if err := p.store.Submit(tx, func(error) {}); err != nil {
			p.t.Fatalf("submit %+v: %v", tx, err)
		}
	}
}

func (p *pg) out(i int) []byte { return p.last.Ops[i].Out }

func (p *pg) want(got, want int32) {
	p.t.Helper()
	if got != want {
		p.t.Fatalf("result %d, want %d", got, want)
	}
}

func (p *pg) wantData(name, want string) {
	p.t.Helper()
	p.want(p.do(name, read(0, 0)), 0)
	if string(p.out(0)) != want {
		p.t.Fatalf("%s holds %q, want %q", name, p.out(0), want)
	}
}

func extent(code message.OpCode, off, length uint64, in []byte) message.OSDOp {
	op := message.OSDOp{Code: code, In: in}
	op.SetExtent(off, length)
	return op
}

func read(off, length uint64) message.OSDOp { return extent(message.OpRead, off, length, nil) }

func write(off uint64, data string) message.OSDOp {
	return extent(message.OpWrite, off, uint64(len(data)), []byte(data))
}

func writeFull(data string) message.OSDOp {
	return extent(message.OpWriteFull, 0, uint64(len(data)), []byte(data))
}

func plain(code message.OpCode) message.OSDOp { return message.OSDOp{Code: code} }

func setXattr(name, value string) message.OSDOp {
	op := plain(message.OpSetXattr)
	op.SetXattr(name, []byte(value), 0, 0)
	return op
}

func TestReadsSeeStateBeforeVector(t *testing.T) {
	p := newPG(t)
	p.want(p.do("a", write(0, "old content")), 0)
	p.want(p.doFlags("a", message.FlagReturnVec, write(0, "new"), read(0, 0)), 0)
	if got := string(p.out(1)); got != "old content" {
		t.Errorf("read after write in one vector gave %q", got)
	}
	p.wantData("a", "new content")
	// An object that the vector creates can't be read in it, but has a size.
	p.want(p.do("b", write(0, "xyz"), read(0, 0)), ceph.ENOENT.Result())
	p.want(p.doFlags("b", message.FlagReturnVec, write(0, "xyz"), plain(message.OpStat)), 0)
	if !bytes.Equal(p.out(1)[:8], []byte{3, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("stat of a new object: % x", p.out(1))
	}
}

func TestErrorsHaveNoEffect(t *testing.T) {
	p := newPG(t)
	p.want(p.do("a", write(0, "one")), 0)
	excl := message.OSDOp{Code: message.OpCreate, Flags: message.OpFlagExcl}
	p.want(p.do("a", write(0, "two"), excl), ceph.EEXIST.Result())
	if p.last.Log != LogError || p.last.Transaction != nil || p.last.LogResult != -17 {
		t.Errorf("a failed write logs %+v", p.last)
	}
	p.wantData("a", "one")
	excl.Flags |= message.OpFlagFailOK
	p.want(p.do("a", excl, write(0, "two")), 0)
	if p.last.Ops[0].Result != -17 {
		t.Errorf("FAILOK op has result %d", p.last.Ops[0].Result)
	}
	p.wantData("a", "two")
	p.want(p.do("none", read(0, 0)), ceph.ENOENT.Result())
	if p.last.Log != LogNothing {
		t.Error("a failed read is logged")
	}
}

func TestUserVersions(t *testing.T) {
	p := newPG(t)
	p.ver = 40
	p.want(p.do("a", write(0, "x")), 0)
	if p.last.UserVersion != 40 || p.last.ReplayVersion.Version != 40 {
		t.Fatalf("first write has user version %d", p.last.UserVersion)
	}
	watch := plain(message.OpWatch)
	watch.SetWatch(message.WatchArgs{Cookie: 7, Action: message.WatchWatch})
	p.want(p.do("a", watch), 0)
	if p.last.UserVersion != 40 || p.last.Log != LogModify || p.last.BadReplay.Version != 40 ||
		p.last.ReplayVersion.Version != 41 {
		t.Errorf("a watch moves the user version: %+v", p.last)
	}
	if len(p.last.Effects.Connects) != 1 || p.last.Effects.Connects[0].TimeoutSeconds != 30 {
		t.Errorf("effects %+v", p.last.Effects)
	}
	assert := plain(message.OpAssertVer)
	for ver, want := range map[uint64]int32{40: 0, 39: ceph.ERANGE.Result(),
		41: ceph.EOVERFLOW.Result(), 0: ceph.EINVAL.Result()} {
		assert.SetAssertVersion(ver)
		p.want(p.do("a", assert), want)
	}
	p.want(p.do("a", plain(message.OpDelete)), 0)
	if p.last.Log != LogDelete || len(p.last.Effects.Disconnects) != 1 || p.last.State.Exists {
		t.Errorf("delete: %+v", p.last)
	}
}

func TestLoadStateOfDamagedInfo(t *testing.T) {
	p := newPG(t)
	p.want(p.do("a", write(0, "x")), 0)
	p.submit(func(tx *objectstore.Transaction) {
		tx.SetAttr(testColl, head("a"), InfoAttr, []byte("junk"))
	})
	_, err := LoadState(p.store, testColl, head("a"))
	if !errors.Is(err, objectstore.ErrCorrupt) {
		t.Errorf("damaged info gives %v", err)
	}
}

func TestCorruptReadIsNoAnswer(t *testing.T) {
	p := newPG(t)
	p.want(p.do("a", write(0, "x")), 0)
	r := p.request(head("a"), 0, []message.OSDOp{
		{Code: message.OpRead, Flags: message.OpFlagFailOK}, write(0, "y")})
	r.State = p.last.State
	p.env.Store = failingStore{p.env.Store}
	n, _ := Inspect(p.env.Classes, 0, r.Ops)
	out := Execute(p.env, r, &n)
	if !errors.Is(out.Failure, objectstore.ErrCorrupt) || out.Transaction != nil {
		t.Errorf("reading a damaged object: %+v", out)
	}
}

func TestFullPool(t *testing.T) {
	p := newPG(t)
	p.want(p.do("a", write(0, "x")), 0)
	p.env.Full = true
	p.do("b", write(0, "x"))
	if !p.last.Drop || p.last.Log != LogNothing {
		t.Errorf("a write to a full pool: %+v", p.last)
	}
	p.want(p.doFlags("b", message.FlagFullTry, write(0, "x")), ceph.ENOSPC.Result())
	p.env.FullQuota = true
	p.want(p.doFlags("b", message.FlagFullTry, write(0, "x")), ceph.EDQUOT.Result())
	if p.last.Log != LogError || p.last.LogResult != p.last.Result || p.last.Transaction != nil {
		t.Errorf("a refused write leaves %+v, not its answer", p.last)
	}
	p.want(p.doFlags("b", message.FlagFullForce, write(0, "x")), 0)
	p.want(p.do("a", write(0, "y")), 0) // no growth
	p.want(p.do("a", plain(message.OpDelete)), 0)
}

func TestReturnVec(t *testing.T) {
	p := newPG(t, class.Class{Name: "t", Methods: []class.Method{
		{Name: "m", Flags: class.WR, Func: func(c class.Context, in []byte) ([]byte, error) {
			return in, errors.Join(c.Create(false), class.Result(42))
		}},
		{Name: "liar", Flags: class.RD, Func: func(c class.Context, _ []byte) ([]byte, error) {
			return nil, c.Create(false)
		}},
	}})
	call := func(method string, in string) message.OSDOp {
		var op message.OSDOp
		op.SetCall("t", method, []byte(in))
		return op
	}
	p.want(p.do("a", call("m", "out")), 0)
	if p.last.Ops[0].Out != nil || p.last.Ops[0].Result != 42 {
		t.Errorf("without RETURNVEC: %+v", p.last.Ops[0])
	}
	p.want(p.doFlags("a", message.FlagReturnVec, call("m", "out")), 42)
	if string(p.out(0)) != "out" || p.last.LogResult != 42 {
		t.Errorf("with RETURNVEC: %+v", p.last)
	}
	long := call("m", string(make([]byte, 65)))
	p.want(p.doFlags("b", message.FlagReturnVec, long), ceph.EOVERFLOW.Result())
	p.want(p.do("b", plain(message.OpStat)), ceph.ENOENT.Result())
	// A method that writes without saying so has no effect, even if the client forgives it.
	liar := call("liar", "")
	p.want(p.do("a", liar), ceph.EIO.Result())
	liar.Flags = message.OpFlagFailOK
	p.want(p.do("a", liar), ceph.EIO.Result())
	if p.last.Log != LogNothing {
		t.Errorf("a lying method logs %v", p.last.Log)
	}
}

func TestWatchEffects(t *testing.T) {
	p := newPG(t)
	watch := func(action uint8, cookie uint64) message.OSDOp {
		op := plain(message.OpWatch)
		op.SetWatch(message.WatchArgs{Cookie: cookie, Action: action, TimeoutSec: 9})
		return op
	}
	p.want(p.do("a", watch(message.WatchWatch, 1)), ceph.ENOENT.Result())
	p.want(p.do("a", write(0, "x")), 0)
	p.want(p.do("a", watch(message.WatchReconnect, 1)), ceph.ENOTCONN.Result())
	p.want(p.do("a", watch(message.WatchPing, 1)), ceph.ENOTCONN.Result())
	p.want(p.do("a", watch(message.WatchWatch, 1)), 0)
	p.want(p.do("a", watch(message.WatchPing, 1)), ceph.ETIMEDOUT.Result())
	p.env.WatchConnected = func(_ ceph.HObject, k WatchKey) bool { return k.Cookie == 1 }
	p.want(p.do("a", watch(message.WatchPing, 1)), 0)
	if p.last.Log != LogNothing || len(p.last.Effects.Alive) != 1 {
		t.Errorf("a ping: %+v", p.last)
	}
	// A watch that is there is connected again, but nothing is written.
	p.want(p.do("a", watch(message.WatchWatch, 1)), 0)
	if p.last.Transaction != nil || len(p.last.Effects.Connects) != 1 {
		t.Errorf("a second watch: %+v", p.last)
	}
	// It keeps its timeout when a client reconnects, which does not say it again.
	again := plain(message.OpWatch)
	again.SetWatch(message.WatchArgs{Cookie: 1, Action: message.WatchReconnect})
	p.want(p.do("a", again), 0)
	if c := p.last.Effects.Connects; len(c) != 1 || c[0].TimeoutSeconds != 9 {
		t.Errorf("a watch of 9 s is connected again: %+v", c)
	}
	p.want(p.do("a", watch(message.WatchWatch, 2)), 0)
	p.want(p.do("a", plain(message.OpListWatchers)), 0)
	if got := len(p.out(0)); got != 6+4+2*(6+9+8+4+7+12) {
		t.Errorf("%d bytes of watchers: % x", got, p.out(0))
	}
	before := p.last.State
	p.want(p.do("a", watch(message.WatchUnwatch, 1)), 0)
	if len(before.Info.Watchers) != 2 || len(p.last.State.Info.Watchers) != 1 {
		t.Error("a state that was handed out has changed")
	}
	p.want(p.do("a", watch(message.WatchUnwatch, 1)), 0)
	notify := message.OSDOp{Code: message.OpNotify,
		In: []byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 'p'}}
	notify.SetCookie(77)
	p.want(p.do("a", notify), 0)
	n := p.last.Effects.Notifies[0]
	if n.Cookie != 77 || n.TimeoutSeconds != 30 || string(n.Payload) != "p" || n.ID != 5<<32|1 {
		t.Errorf("notify %+v", n)
	}
	ack := message.OSDOp{Code: message.OpNotifyAck, In: make([]byte, 16)}
	p.want(p.do("a", ack), 0)
	if len(p.last.Effects.Acks) != 1 || p.last.Effects.Acks[0].AnyCookie {
		t.Errorf("ack %+v", p.last.Effects.Acks)
	}
}

func TestTruncateSequence(t *testing.T) {
	p := newPG(t)
	at := func(op message.OSDOp, size uint64, seq uint32) message.OSDOp {
		setTruncate(&op, size, seq)
		return op
	}
	p.want(p.do("a", write(0, "0123456789")), 0)
	// A write that knows of a truncation to 4 which has not come yet.
	p.want(p.do("a", at(write(6, "ab"), 4, 5)), 0)
	p.wantData("a", "0123\x00\x00ab")
	// The truncation itself comes late: it is done already.
	p.want(p.do("a", at(extent(message.OpTrimTrunc, 0, 0, nil), 4, 5)), 0)
	p.wantData("a", "0123\x00\x00ab")
	// A write from before it must not bring back what was cut.
	p.want(p.do("a", at(write(6, "XYZ"), 0, 3)), 0)
	p.wantData("a", "0123\x00\x00XY")
	// One that starts past the end still moves the end, as it does in Ceph.
	p.want(p.do("a", at(write(10, "Z"), 0, 3)), 0)
	p.wantData("a", "0123\x00\x00XY\x00\x00")
	// A read that knows of a truncation sees it.
	p.want(p.do("a", at(read(0, 100), 2, 9)), 0)
	if string(p.out(0)) != "01" {
		t.Errorf("read before a truncation: %q", p.out(0))
	}
	p.want(p.do("a", at(extent(message.OpTrimTrunc, 0, 0, nil), 3, 9)), 0)
	p.wantData("a", "012")
	p.want(p.do("a", at(extent(message.OpTruncate, 3, 0, nil), 4, 11)), ceph.EINVAL.Result())
}

func TestLimits(t *testing.T) {
	p := newPG(t)
	long := func(n int) string { return string(bytes.Repeat([]byte("n"), n)) }
	p.want(p.do(long(2049), write(0, "x")), ceph.ENAMETOOLONG.Result())
	p.want(p.do(long(2048), write(0, "x")), 0)
	p.want(p.do("", write(0, "x")), ceph.EINVAL.Result())
	p.want(p.do("a", extent(message.OpWrite, 0, 5, []byte("four"))), ceph.EINVAL.Result())
	p.want(p.do("a", write(128<<20, "x")), ceph.EFBIG.Result())
	p.want(p.do("a", setXattr(long(101), "")), ceph.ENAMETOOLONG.Result())
	p.want(p.do("a", setXattr("", "v")), ceph.EINVAL.Result())
	p.env.Limits.WriteSize = 3
	p.want(p.do("a", write(0, "four")), ceph.EMSGSIZE.Result())
	p.want(p.do("a"), ceph.EINVAL.Result())
	huge := message.OSDOp{Code: message.OpWriteSame, In: []byte("x")}
	huge.SetWriteSame(0, 1<<50, 1)
	p.want(p.do("a", huge), ceph.EFBIG.Result())
	huge.SetWriteSame(0, 1<<20, 1)
	p.want(p.do("a", huge), 0)
	if p.last.Stats.Writes != 1 || p.last.State.Info.Size != 1<<20 {
		t.Errorf("WRITESAME: %+v", p.last.Stats)
	}
}

func TestStats(t *testing.T) {
	p := newPG(t)
	p.want(p.do("a", write(0, "0123456789")), 0)
	want := Stats{Bytes: 10, Objects: 1, ObjectsDirty: 1, Writes: 1, WrittenKiB: 1}
	if p.last.Stats != want {
		t.Errorf("write: %+v", p.last.Stats)
	}
	keys := message.OSDOp{Code: message.OpOmapSetVals, In: encodePairs(map[string][]byte{"k": nil})}
	p.want(p.do("a", keys), 0)
	if p.last.Stats.ObjectsOmap != 1 || p.last.Stats.Objects != 0 {
		t.Errorf("omap: %+v", p.last.Stats)
	}
	p.want(p.do("a", writeFull("abc")), 0)
	if p.last.Stats.Bytes != -7 {
		t.Errorf("writefull: %+v", p.last.Stats)
	}
	p.want(p.do("a", plain(message.OpDelete)), 0)
	want = Stats{Bytes: -3, Objects: -1, ObjectsDirty: -1, ObjectsOmap: -1, Writes: 1}
	if p.last.Stats != want {
		t.Errorf("delete: %+v", p.last.Stats)
	}
}
