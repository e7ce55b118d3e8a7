package objecter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"glue/auth/cephx"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/monc"
	"glue/cluster/crush"
	"glue/cluster/monmap"
	"glue/cluster/osdmap"
	"glue/wire/message"
	"glue/wire/msgr"
)

var fsid = ceph.UUID{1, 2, 3}

// A world is a monitor and a few OSDs of one process, which do what the test says.
type world struct {
	t    *testing.T
	mon  *msgr.Messenger
	osds []*fakeOSD
	c    *monc.Client
	o    *Objecter

	place []crush.Coordinate // where the client is

	mu   sync.Mutex
	m    *osdmap.Map
	maps map[ceph.Epoch][]byte // incrementals
	subs map[*msgr.Conn]uint64 // waiting for maps from this epoch on
}

// A fakeOSD keeps the requests it gets.
type fakeOSD struct {
	w   *world
	id  int32
	net *msgr.Messenger
	got chan request
}

// A request is what an OSD was sent.
type request struct {
	conn *msgr.Conn
	m    *message.Message
	op   *message.MOSDOp
}

// reply answers a request with a result.
func (r request) reply(result int32) {
	r.conn.Send(r.m.Reply(message.ReplyTo(r.op, result, 1)))
}

// everybody lets every peer in.
type everybody struct{ gid uint64 }

func (everybody) Methods(ceph.EntityType) []uint32 { return []uint32{cephx.MethodNone} }
func (e everybody) Accept(ceph.EntityType, netip.AddrPort) msgr.ServerHandshake {
	return e
}
func (e everybody) Step(uint32, []byte, int) (msgr.AuthStep, error) {
	return msgr.AuthStep{Done: true, GlobalID: e.gid,
		Name: ceph.AuthName{Type: ceph.TypeClient, ID: "test"}}, nil
}

func (w *world) listen(typ ceph.EntityType, num int64) *msgr.Messenger {
	net := msgr.New(msgr.Options{Entity: ceph.EntityName{Type: typ, Num: num},
		Server: everybody{gid: 4711}})
	if err := net.Bind(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { net.Close() })
	return net
}

// newWorld has n OSDs that are up and in, and a pool 1 of size 1 with 8 PGs.
func newWorld(t *testing.T, n int) *world {
	t.Helper()
	w := &world{t: t, maps: map[ceph.Epoch][]byte{}, subs: map[*msgr.Conn]uint64{}}
	w.mon = w.listen(ceph.TypeMon, 0)
	for id := range n {
		d := &fakeOSD{w: w, id: int32(id), got: make(chan request, 100)}
		d.net = w.listen(ceph.TypeOSD, int64(id))
		w.osds = append(w.osds, d)
	}
	w.firstMap(n)
	for _, d := range w.osds {
		d.net.Start(d)
	}
	w.mon.Start(w)
	w.connect()
	return w
}

func (w *world) firstMap(n int) {
	cm, err := crush.Default(0, "host")
	if err != nil {
		w.t.Fatal(err)
	}
	inc := osdmap.NewIncremental(osdmap.Empty(), ceph.Time{Sec: 1})
	inc.FSID, inc.NewMaxOSD = fsid, int32(n)
	inc.NewFlags = int32(osdmap.FlagsFresh)
	inc.NewState, inc.NewWeight = map[int32]osdmap.State{}, map[int32]uint32{}
	inc.NewUpClient, inc.NewUpCluster = map[int32]ceph.AddrVec{}, map[int32]ceph.AddrVec{}
	inc.NewHBBack, inc.NewHBFront = map[int32]ceph.AddrVec{}, map[int32]ceph.AddrVec{}
	inc.NewUUID = map[int32]ceph.UUID{}
	for _, d := range w.osds {
		name := fmt.Sprintf("osd.%d", d.id)
		if err := cm.InsertItem(d.id, 1<<16, name,
			crush.Location{"host": "h" + name, "root": "default"}); err != nil {
			w.t.Fatal(err)
		}
		addrs := d.net.Addrs()
		inc.NewState[d.id], inc.NewWeight[d.id] = osdmap.OSDExists, osdmap.WeightIn
		inc.NewUpClient[d.id], inc.NewUpCluster[d.id] = addrs, addrs
		inc.NewHBBack[d.id], inc.NewHBFront[d.id] = addrs, addrs
		inc.NewUUID[d.id] = ceph.UUID{byte(d.id + 1)}
	}
	inc.SetCrush(cm)
	inc.NewPoolMax = 1
	inc.NewPools = map[int64]*osdmap.Pool{1: {Type: osdmap.Replicated, Size: 1, MinSize: 1,
		ObjectHash: 2, PGNum: 8, PGPNum: 8, PGNumTarget: 8, PGPNumTarget: 8, PGNumPending: 8,
		Flags: osdmap.PoolHashPSPool, TierOf: -1, ReadTier: -1, WriteTier: -1}}
	inc.NewPoolNames = map[int64]string{1: "p"}
	m, _, err := osdmap.Empty().Commit(inc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.m = m
}

// change makes the next map and tells those who wait for it.
func (w *world) change(f func(*osdmap.Incremental)) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	inc := osdmap.NewIncremental(w.m, ceph.Time{Sec: 2})
	f(inc)
	m, raw, err := w.m.Commit(inc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.m, w.maps[m.Epoch] = m, raw
	for c, start := range w.subs {
		w.sendMaps(c, start)
	}
}

// sendMaps sends the maps from start on, or waits until there are some. w.mu is held.
func (w *world) sendMaps(c *msgr.Conn, start uint64) {
	w.subs[c] = start
	if start > uint64(w.m.Epoch) {
		return
	}
	b := &message.MOSDMap{FSID: fsid, Oldest: 1, Newest: w.m.Epoch}
	if start == 0 {
		b.Maps = map[ceph.Epoch][]byte{w.m.Epoch: w.m.Encode()}
	} else {
		b.Incrementals = map[ceph.Epoch][]byte{}
		for e := ceph.Epoch(start); e <= w.m.Epoch; e++ {
			b.Incrementals[e] = w.maps[e]
		}
	}
	delete(w.subs, c)
	c.Send(message.New(b))
}

func (w *world) Accepted(*msgr.Conn)    {}
func (w *world) Connected(*msgr.Conn)   {}
func (w *world) Reset(*msgr.Conn)       {}
func (w *world) RemoteReset(*msgr.Conn) {}

// Dispatch is the monitor.
func (w *world) Dispatch(c *msgr.Conn, in *message.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch b := in.Body.(type) {
	case *message.MMonSubscribe:
		if _, ok := b.What["monmap"]; ok {
			mm := monmap.New(fsid, ceph.Time{})
			mm.Epoch = 1
			mm.Add(monmap.Mon{Name: "a", Addrs: w.mon.Addrs()})
			c.Send(message.New(&message.MMonMap{Map: denc.Marshal(mm, ceph.FeaturesAll)}))
		}
		if item, ok := b.What["osdmap"]; ok {
			w.sendMaps(c, item.Start)
		}
	case *message.MMonGetVersion:
		c.Send(in.Reply(&message.MMonGetVersionReply{Handle: b.Handle,
			Version: uint64(w.m.Epoch), Oldest: 1}))
	}
}

func (d *fakeOSD) Accepted(*msgr.Conn)    {}
func (d *fakeOSD) Connected(*msgr.Conn)   {}
func (d *fakeOSD) Reset(*msgr.Conn)       {}
func (d *fakeOSD) RemoteReset(*msgr.Conn) {}
func (d *fakeOSD) Dispatch(c *msgr.Conn, m *message.Message) {
	if op, ok := m.Body.(*message.MOSDOp); ok {
		d.got <- request{c, m, op}
	}
}

// A program passes what arrives to the parts of a client.
type program struct{ w *world }

func (program) Accepted(*msgr.Conn) {}
func (p program) Connected(c *msgr.Conn) {
	if !p.w.c.Connected(c) {
		p.w.o.Connected(c)
	}
}
func (p program) Dispatch(c *msgr.Conn, m *message.Message) {
	if !p.w.c.Dispatch(c, m) {
		p.w.o.Dispatch(c, m)
	}
}
func (p program) Reset(c *msgr.Conn) {
	if !p.w.c.Reset(c) {
		p.w.o.Reset(c)
	}
}
func (p program) RemoteReset(c *msgr.Conn) { p.Reset(c) }

func (w *world) connect() {
	w.c = monc.New(monc.Options{Seeds: []ceph.AddrVec{w.mon.Addrs()},
		Name: ceph.AuthName{Type: ceph.TypeClient, ID: "test"}})
	w.o = New(Options{Monitors: w.c, Location: func() []crush.Coordinate { return w.place }})
	net := msgr.New(msgr.Options{
		Entity: ceph.EntityName{Type: ceph.TypeClient, Num: -1}, Client: w.c})
	net.Start(program{w})
	w.c.Start(net)
	w.o.Start(net)
	w.t.Cleanup(func() {
		w.o.Close()
		w.c.Close()
		net.Close()
	})
	if _, err := w.o.WaitMap(within(w.t, 10*time.Second), 1); err != nil {
		w.t.Fatal(err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// next is the next request that an OSD gets.
func (d *fakeOSD) next() request {
	d.w.t.Helper()
	select {
	case r := <-d.got:
		return r
	case <-time.After(10 * time.Second):
		d.w.t.Fatalf("osd.%d gets no request", d.id)
	}
	return request{}
}

// quiet fails if an OSD gets a request soon.
func (d *fakeOSD) quiet() {
	d.w.t.Helper()
	select {
	case r := <-d.got:
		d.w.t.Fatalf("osd.%d gets %s, flags %x", d.id, r.op.Object, r.op.Flags)
	case <-time.After(50 * time.Millisecond):
	}
}

// write submits a write and gives the channel of its end.
func (w *world) write(object string) (*Op, chan error) {
	end := make(chan error, 2)
	op := &Op{Pool: 1, Object: object, Flags: message.FlagWrite,
		Ops: []message.OSDOp{{Code: message.OpWriteFull, In: []byte(object)}},
		Done: func(r *message.MOSDOpReply, err error) {
			if err == nil {
				err = ceph.ErrorOf(r.Result)
			}
			end <- err
		}}
	w.o.Submit(op)
	return op, end
}

// home is the OSD that holds an object now.
func (w *world) home(object string) *fakeOSD {
	w.mu.Lock()
	defer w.mu.Unlock()
	raw, err := w.m.ObjectPG(1, object, "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	_, _, _, primary := w.m.PGToUpActing(w.m.RawToPG(raw))
	return w.osds[primary]
}

func finished(t *testing.T, end chan error, want error) {
	t.Helper()
	select {
	case err := <-end:
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("ended with %v, want %v", err, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the request does not end")
	}
}

func TestAnswerAndRefusal(t *testing.T) {
	w := newWorld(t, 3)
	_, end := w.write("a")
	r := w.home("a").next()
	if r.op.Flags != message.FlagWrite|message.FlagOnDisk|message.FlagKnownRedirect ||
		r.op.Retry != 0 || r.op.Snap != ceph.NoSnap || string(r.op.Ops[0].In) != "a" {
		t.Errorf("request %+v", r.op)
	}
	r.reply(0)
	finished(t, end, nil)
	_, end = w.write("b")
	w.home("b").next().reply(ceph.ENOSPC.Result())
	finished(t, end, ceph.ENOSPC)
}

// When the primary goes down the request goes to the new one, marked as a retry, and an answer
// of the old one counts no more.
func TestMovesWithTheMap(t *testing.T) {
	w := newWorld(t, 3)
	_, end := w.write("a")
	old := w.home("a")
	first := old.next()
	w.change(func(inc *osdmap.Incremental) {
		inc.NewState = map[int32]osdmap.State{old.id: osdmap.OSDUp}
		inc.NewWeight = map[int32]uint32{old.id: 0}
	})
	w.o.requestMap()
	now := w.home("a")
	if now == old {
		t.Fatal("the object has not moved")
	}
	second := now.next()
	if second.op.Flags&message.FlagRetry == 0 || second.op.Retry != 1 ||
		second.m.TID != first.m.TID || second.op.Epoch != first.op.Epoch+1 {
		t.Errorf("request %+v", second.op)
	}
	first.reply(ceph.EIO.Result())
	second.reply(0)
	finished(t, end, nil)
}

func TestNoOSDIsUp(t *testing.T) {
	w := newWorld(t, 1)
	w.change(func(inc *osdmap.Incremental) {
		inc.NewState = map[int32]osdmap.State{0: osdmap.OSDUp}
	})
	w.o.requestMap()
	if _, err := w.o.WaitMap(within(t, 10*time.Second), 2); err != nil {
		t.Fatal(err)
	}
	op := &Op{Pool: 1, Object: "a", Flags: message.FlagRead,
		Ops: []message.OSDOp{{Code: message.OpStat}}}
	_, err := w.o.Do(within(t, 100*time.Millisecond), op)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no OSD") {
		t.Errorf("got %v", err)
	}
	_, end := w.write("b")
	w.change(func(inc *osdmap.Incremental) {
		v := w.osds[0].net.Addrs()
		one := map[int32]ceph.AddrVec{0: v}
		inc.NewUpClient, inc.NewUpCluster, inc.NewHBBack, inc.NewHBFront = one, one, one, one
	})
	w.osds[0].next().reply(0)
	finished(t, end, nil)
}

// A lost connection to an OSD that is up is made again, and all requests go out again in order.
func TestLostConnection(t *testing.T) {
	w := newWorld(t, 1)
	var ends []chan error
	for i := range 5 {
		_, end := w.write(fmt.Sprint("o", i))
		ends = append(ends, end)
	}
	d := w.osds[0]
	var conn *msgr.Conn
	for range 5 {
		conn = d.next().conn
	}
	conn.Close()
	for i := range 5 {
		r := d.next()
		if r.op.Object != fmt.Sprint("o", i) || r.op.Retry != 1 {
			t.Errorf("request %d is %s, retry %d", i, r.op.Object, r.op.Retry)
		}
		r.reply(0)
		finished(t, ends[i], nil)
	}
}

// A backoff holds back the requests of its range until it ends, and no others.
func TestBackoff(t *testing.T) {
	w := newWorld(t, 1)
	d := w.osds[0]
	_, end := w.write("a")
	r := d.next()
	h := r.op.HObject()
	b := &message.MOSDBackoff{PG: r.op.PG, Epoch: 1, Action: message.BackoffBlock, ID: 5,
		Begin: h, End: h}
	r.conn.Send(message.New(b))
	_, other := w.write("other")
	d.next().reply(0)
	finished(t, other, nil)
	_, again := w.write("a")
	d.quiet()
	un := *b
	un.Action = message.BackoffUnblock
	r.conn.Send(message.New(&un))
	d.next().reply(0)
	finished(t, end, nil)
	d.next().reply(0)
	finished(t, again, nil)
}

// A full pool holds writes back, but not reads nor what asks to be tried.
func TestFullPool(t *testing.T) {
	w := newWorld(t, 1)
	d := w.osds[0]
	full := func(on bool) {
		w.change(func(inc *osdmap.Incremental) {
			p := *w.m.Pools[1]
			p.Flags &^= osdmap.PoolFull
			if on {
				p.Flags |= osdmap.PoolFull
			}
			inc.NewPools = map[int64]*osdmap.Pool{1: &p}
		})
	}
	full(true)
	w.o.requestMap()
	if _, err := w.o.WaitMap(within(t, 10*time.Second), 2); err != nil {
		t.Fatal(err)
	}
	_, end := w.write("a")
	d.quiet()
	go func() { d.next().reply(0) }()
	if _, err := w.o.Do(within(t, 10*time.Second), &Op{Pool: 1, Object: "a",
		Flags: message.FlagRead, Ops: []message.OSDOp{{Code: message.OpStat}}}); err != nil {
		t.Errorf("read of a full pool: %v", err)
	}
	_, err := w.o.Do(within(t, 100*time.Millisecond), &Op{Pool: 1, Object: "b",
		Flags: message.FlagWrite, Ops: []message.OSDOp{{Code: message.OpCreate}}})
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("write to a full pool: %v", err)
	}
	full(false)
	d.next().reply(0)
	finished(t, end, nil)
}

func TestUnknownPool(t *testing.T) {
	w := newWorld(t, 1)
	_, err := w.o.Do(within(t, 10*time.Second), &Op{Pool: 7, Object: "a",
		Flags: message.FlagRead, Ops: []message.OSDOp{{Code: message.OpStat}}})
	if !errors.Is(err, ceph.ENOENT) {
		t.Errorf("got %v", err)
	}
}

// The watch is registered anew when its PG moves, with a higher generation.
func TestWatchMoves(t *testing.T) {
	w := newWorld(t, 3)
	old := w.home("a")
	go func() { old.next().reply(0) }()
	events := make(chan Notification, 1)
	lost := make(chan error, 1)
	l, err := w.o.Watch(within(t, 10*time.Second), Target{Pool: 1, Object: "a"}, 0, Watcher{
		Notify: func(n Notification) { events <- n },
		Error:  func(err error) { lost <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.change(func(inc *osdmap.Incremental) {
		inc.NewState = map[int32]osdmap.State{old.id: osdmap.OSDUp}
		inc.NewWeight = map[int32]uint32{old.id: 0}
	})
	w.o.requestMap()
	r := w.home("a").next()
	args := r.op.Ops[0].Watch()
	if args.Action != message.WatchReconnect || args.Cookie != l.Cookie() || args.Generation != 1 {
		t.Errorf("watch %+v", args)
	}
	r.reply(0)
	r.conn.Send(message.New(&message.MWatchNotify{Event: message.WatchEventNotify,
		Cookie: l.Cookie(), NotifyID: 3, Payload: []byte("hi")}))
	if n := <-events; n.NotifyID != 3 || string(n.Payload) != "hi" {
		t.Errorf("notification %+v", n)
	}
	r.conn.Send(message.New(&message.MWatchNotify{Event: message.WatchEventDisconnect,
		Cookie: l.Cookie()}))
	finished(t, lost, ceph.ENOTCONN)
	if _, err := l.Check(); !errors.Is(err, ceph.ENOTCONN) {
		t.Errorf("check: %v", err)
	}
}

// TestLateDisconnect: that a watch was ended where it was before it moved is not its end.
func TestLateDisconnect(t *testing.T) {
	w := newWorld(t, 3)
	old := w.home("a")
	first := make(chan *msgr.Conn, 1)
	go func() {
		r := old.next()
		first <- r.conn
		r.reply(0)
	}()
	lost := make(chan error, 1)
	l, err := w.o.Watch(within(t, 10*time.Second), Target{Pool: 1, Object: "a"}, 0,
		Watcher{Notify: func(Notification) {}, Error: func(err error) { lost <- err }})
	if err != nil {
		t.Fatal(err)
	}
	w.change(func(inc *osdmap.Incremental) { inc.NewWeight = map[int32]uint32{old.id: 0} })
	w.o.requestMap()
	r := w.home("a").next()
	r.reply(0)
	ctx := within(t, 10*time.Second)
	for moved := false; !moved; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		moved = l.registered && l.aim.pl.osd != old.id
		l.mu.Unlock()
		if ctx.Err() != nil {
			t.Fatal("the watch has not moved")
		}
	}
	end := func() *message.Message {
		return message.New(&message.MWatchNotify{Event: message.WatchEventDisconnect,
			Cookie: l.Cookie()})
	}
	(<-first).Send(end())
	select {
	case err := <-lost:
		t.Errorf("lost by what its old OSD says: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	r.conn.Send(end())
	finished(t, lost, ceph.ENOTCONN)
}

func TestCloseEndsEverything(t *testing.T) {
	w := newWorld(t, 1)
	_, end := w.write("a")
	w.osds[0].next()
	w.o.Close()
	finished(t, end, ErrClosed)
	_, end = w.write("b")
	finished(t, end, ErrClosed)
}

func TestCancelForgetsTheRequest(t *testing.T) {
	w := newWorld(t, 1)
	op, end := w.write("a")
	r := w.osds[0].next()
	if why := w.o.Cancel(op); !strings.Contains(why, "osd.0") {
		t.Errorf("waits for %q", why)
	}
	r.reply(0)
	select {
	case err := <-end:
		t.Errorf("a cancelled request ended with %v", err)
	case <-time.After(50 * time.Millisecond):
	}
}
