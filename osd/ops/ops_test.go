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
