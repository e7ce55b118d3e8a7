package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd"
	"glue/osd/snaps"
	"glue/sim/plant"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A user is a client of the OSDs: several requests at a time, sent again when the map says so or a
// connection is lost, as librados does.
type user struct {
	caller
	c     *cluster
	n     int
	m     *osdmap.Map
	tid   uint64
	list  []*request // not answered, in their order
	pipes map[int32]*pipe
	depth int           // how many at a time
	pace  time.Duration // between two, on average
	quiet bool          // begins nothing
	addr  ceph.Addr
	life  int        // counts restarts
	deaf  bool       // hears of no maps
	fence ceph.Epoch // in which it was blocklisted, while it begins anew
	snaps snaps.Context

	watchRng *rand.Rand
	watches  []*watch
	notes    []*note
	stale    map[uint64]*watch // registrations that were given up and may be done all the same
}

// A request is an operation on its way.
type request struct {
	u      *user
	tid    uint64
	object string
	in     objInput
	call   time.Duration
	retry  int32
	sent   *pipe // nil: it has to be sent
	to     placed
	raw    uint32     // the object's hash
	epoch  ceph.Epoch // of the map when it was first sent
	first  time.Duration
	errand *errand // nil for what histories know
}

// reads says whether a request changes nothing.
func (r *request) reads() bool {
	if r.errand != nil {
		return !r.errand.write
	}
	return r.in.kind == readAll
}

// placed is what must stay the same for a request not to be sent again.
type placed struct {
	pg            ceph.PGID
	primary       int32
	up, acting    []int32
	upFrom        ceph.Epoch
	size, minSize uint8
	pgNum, fewer  uint32 // PGs, also when two are merged
}

func (a *placed) same(b *placed) bool {
	return a.pg == b.pg && a.primary == b.primary && slices.Equal(a.up, b.up) &&
		slices.Equal(a.acting, b.acting) && a.upFrom == b.upFrom && a.size == b.size &&
		a.minSize == b.minSize && a.pgNum == b.pgNum && a.fewer == b.fewer
}

func newUser(c *cluster, n, end int) *user {
	u := &user{c: c, n: n, pipes: map[int32]*pipe{},
		caller: newCaller(c.w, end, rand.New(rand.NewPCG(c.w.opt.Seed, uint64(900+n))))}
	u.depth = 1 + u.rng.IntN(5)
	u.pace = 50*time.Millisecond + u.wait(2*time.Second)
	u.stale = map[uint64]*watch{}
	u.watchRng = newWatchRng(c.w.opt.Seed, n)
	u.opened, u.heard, u.ended = u.connected, u.receive, func() {}
	u.addr = ceph.Addr{Type: ceph.AddrMsgr2, Nonce: uint32(1000 * (n + 1)),
		AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 3, byte(n)}), 0)}
	c.keepAlive(&u.caller)
	return u
}

func (u *user) begin() {
	u.seek()
	u.w.after(u.wait(u.pace), u.act)
	if u.c.roll != nil {
		u.watchAct()
	}
}

func (u *user) connected(k *conn) {
	u.peer.Name.Num = k.peer.Name.Num
	start := uint64(0)
	if u.m != nil {
		start = uint64(u.m.Epoch) + 1
	}
	k.submit(message.New(&message.MMonSubscribe{What: map[string]message.SubscribeItem{
		"osdmap": {Start: start}}}))
}

func (u *user) receive(k *conn, m *message.Message) {
	if u.conn != k {
		return
	}
	if b, ok := u.w.carried(m).Body.(*message.MOSDMap); ok {
		u.newMaps(b)
	}
}

// newMaps takes maps in their order; every one of them counts, as a change that was undone ends an
// interval too.
func (u *user) newMaps(b *message.MOSDMap) {
	if u.deaf {
		return
	}
	for e := b.First(); e <= b.Last(); e++ {
		if u.m != nil && e <= u.m.Epoch {
			continue
		}
		var m *osdmap.Map
		var err error
		if raw, ok := b.Maps[e]; ok {
			m, err = u.c.maps.read(nil, raw)
		} else if raw, ok := b.Incrementals[e]; ok && u.m != nil && u.m.Epoch == e-1 {
			m, err = u.c.maps.read(u.m, raw)
		}
		if err != nil {
			u.w.fail("user %d: map %d: %v", u.n, e, err)
			return
		}
		if m != nil && u.fenced(m) {
			return
		} else if m != nil {
			u.newMap(m)
		}
	}
	u.pump()
}

func (u *user) newMap(m *osdmap.Map) {
	gap := u.m != nil && m.Epoch > u.m.Epoch+1
	u.m = m
	for osd, p := range u.pipes {
		if !m.IsUp(osd) || !m.Addrs(osd).Equal(osdAddrs(osd, p.inc).Public) {
			p.close()
		}
	}
	for _, r := range u.list {
		to, pool := u.place(r), m.Pools[u.c.pool]
		if gap || !r.to.same(&to) || pool != nil && pool.LastForceResend == m.Epoch ||
			u.full() && !r.reads() { // OSDs drop writes to what is full
			r.to, r.sent = to, nil
		}
	}
	u.moved(gap)
}

// place says where a request belongs.
func (u *user) place(r *request) placed {
	p := u.m.Pools[u.c.pool]
	if p == nil {
		return placed{primary: -1}
	}
	raw, err := u.m.ObjectPG(u.c.pool, r.object, "", "")
	if err != nil {
		return placed{primary: -1}
	}
	r.raw = raw.Seed
	pg := u.m.RawToPG(raw)
	x := u.m.PGMapping(pg)
	to := placed{pg: pg, primary: x.ActingPrimary, up: x.Up, acting: x.Acting, size: p.Size,
		minSize: p.MinSize, pgNum: p.PGNum, fewer: p.PGNumPending}
	if to.primary >= 0 {
		to.upFrom = u.m.Info[to.primary].UpFrom
	}
	return to
}

// pump sends what has to be sent.
func (u *user) pump() {
	if u.m == nil {
		return
	}
	if u.c.roll != nil {
		u.dropOnce()
		u.linger()
	}
	for _, r := range u.list {
		if r.sent != nil || r.to.primary < 0 || u.paused(r) {
			continue
		}
		if p := u.pipe(r.to.primary); p != nil && !p.backedOff(r) {
			r.sent = p
			p.submit(r.message())
		}
	}
}

func (u *user) full() bool {
	pool := u.m.Pools[u.c.pool]
	return u.m.Flags.Has(osdmap.FlagFull) || pool != nil && pool.Flags.Has(osdmap.PoolFull)
}

func (u *user) paused(r *request) bool {
	f, pool := u.m.Flags, u.m.Pools[u.c.pool]
	if r.reads() {
		return f.Has(osdmap.FlagPauseRD)
	}
	return f.Has(osdmap.FlagPauseWR) || pool == nil || u.full() && r.in.kind != deleteIt
}

func (r *request) message() *message.Message {
	u := r.u
	m := &message.MOSDOp{PG: ceph.SPG{PGID: r.to.pg, Shard: ceph.NoShard}, Hash: r.raw,
		Epoch: u.m.Epoch, Object: r.object, Snap: ceph.NoSnap,
		Locator: ceph.Locator{Pool: u.c.pool, Hash: -1}, MTime: ceph.TimeOf(epoch.Add(u.w.now)),
		Retry: r.retry}
	if r.in.kind == readAll && r.in.at > 0 {
		m.Snap = r.in.at
	}
	if u.w.opt.Bug != plant.NoClones {
		m.SnapSeq, m.Snaps = r.in.snaps.Seq, r.in.snaps.Snaps
	}
	if r.retry == 0 {
		r.epoch, r.first = u.m.Epoch, u.w.now
	}
	r.retry++
	if e := r.errand; e != nil {
		if m.Ops, m.Flags = e.ops, message.FlagRead; u.w.opt.Bug == plant.AnswersForAll {
			m.Ops = plant.ForAll(e.ops)
		}
		if e.write {
			m.Flags |= message.FlagWrite
		}
	} else {
		m.Ops, m.Flags = r.in.ops()
	}
	msg := message.New(m)
	msg.TID = r.tid
	if u.w.opt.Bug == plant.OtherID {
		msg.TID += uint64(r.retry) << 32
	}
	return msg
}

// act begins a request, now and then.
func (u *user) act() {
	if u.w.over() {
		return
	}
	if !u.quiet && u.m != nil && u.m.Pools[u.c.pool] != nil && u.begun() < u.depth {
		u.tid++
		r := &request{u: u, tid: u.tid, call: u.w.now}
		r.object = u.c.objectName(u.rng)
		r.in = u.withSnaps(newInput(u.rng, fmt.Sprintf("%d.%d.%d", u.n, u.life, u.tid)))
		r.to = u.place(r)
		u.list = append(u.list, r)
		u.w.result.Requests++
		u.w.trace("request", "user", u.n, "tid", r.tid, "object", r.object, "in", r.in)
		u.pump()
	}
	u.w.after(time.Duration(float64(u.pace)*u.rng.ExpFloat64())+time.Millisecond, u.act)
}

func (u *user) answered(b *message.MOSDOpReply, tid uint64) {
	tid &= 1<<32 - 1 // what is above is a planted bug's
	i := slices.IndexFunc(u.list, func(r *request) bool { return r.tid == tid })
	if i < 0 { // of a request that was sent twice
		if w := u.stale[tid]; w != nil {
			w.renewed = u.w.now
			delete(u.stale, tid)
		}
		return
	}
	r := u.list[i]
	if r.errand != nil && b.Result != ceph.EBLOCKLISTED.Result() {
		u.w.trace("errand answered", "user", u.n, "tid", tid, "what", r.in.text, "result", b.Result)
		u.list = slices.Delete(u.list, i, i+1)
		r.errand.then(r, b)
		return
	}
	if b.Result == ceph.EBLOCKLISTED.Result() {
		return // the map will tell
	}
	u.list = slices.Delete(u.list, i, i+1)
	if b.Result == ceph.ENOSPC.Result() {
		u.w.result.Refused++ // has not happened
		return
	}
	if b.Result == ceph.EIO.Result() && u.c.rotten != nil {
		u.w.result.Unread++ // nor has this: the only copy that is there is rotten
		return
	}
	out, err := r.in.output(b)
	if err != nil {
		u.w.fail("user %d: %v of %s: %v", u.n, r.in, r.object, err)
		return
	}
	u.w.mix(uint64(u.w.now), uint64(u.end), tid, uint64(uint32(b.Result)))
	u.w.trace("reply", "user", u.n, "tid", tid, "object", r.object, "out", out)
	u.c.objects.known(r, out)
}

// restart ends the client's process and begins another one; what it was doing may be done or not.
func (u *user) restart() {
	u.life++
	for _, r := range u.list {
		if r.errand == nil {
			u.c.objects.unknown(r)
			u.w.result.GivenUp++
		}
	}
	u.abandon()
	u.list, u.m = nil, nil
	for _, p := range u.pipes {
		p.close()
	}
	u.addr.Nonce++
	u.tries++
	u.peer.Name.Num = 0
	if k := u.conn; k != nil {
		u.drop()
	} else {
		u.seek()
	}
}

// osdGone tells that an OSD has ended.
func (u *user) osdGone(o *osdHost, deaf bool) {
	p := u.pipes[o.id]
	if p == nil {
		return
	}
	if deaf {
		p.snap()
		return
	}
	u.w.net.Links[o.end][u.end].Send(0, p.lost, nil)
	p.broken = true
}

// A pipe is the connection of a user to an OSD.
type pipe struct {
	u        *user
	o        *osdHost
	inc      int
	life     int // of the user
	addr     ceph.Addr
	s        *osd.Session
	open     bool // the OSD has not ended it
	broken   bool // nothing gets through
	over     bool // the user has given it up
	backoffs map[uint64]*message.MOSDBackoff
}

// pipe is the connection to an OSD where the map says that it is, nil if there can't be one now.
func (u *user) pipe(id int32) *pipe {
	if p := u.pipes[id]; p != nil {
		if p.over {
			return nil // to be made again in a moment
		}
		return p
	}
	if !u.m.IsUp(id) {
		return nil
	}
	o, inc := u.c.osdAt(u.m.Addrs(id))
	p := &pipe{u: u, o: o, inc: inc, life: u.life, addr: u.addr, open: true,
		backoffs: map[uint64]*message.MOSDBackoff{}}
	u.pipes[id] = p
	return p
}

// close ends the connection from the user's side.
func (p *pipe) close() {
	if u := p.u; u.pipes[p.o.id] == p {
		delete(u.pipes, p.o.id)
		for _, r := range u.list {
			if r.sent == p {
				r.sent = nil
			}
		}
	}
	if p.over = true; p.broken {
		return
	}
	p.broken = true
	hear := func() {
		if p.o.inc == p.inc {
			p.o.do(p.end)
		}
	}
	u := p.u
	u.w.net.Links[u.end][p.o.end].Send(0, hear, func() { u.w.after(u.wait(breakSeen), hear) })
}

func (p *pipe) end(m *osd.Member) {
	if p.open && p.s != nil {
		p.open = false
		m.End(p.s)
	}
	p.open = false
}

// lost is told to the user; it connects again after a while.
func (p *pipe) lost() {
	u := p.u
	if u.pipes[p.o.id] != p || p.over {
		return
	}
	p.over, p.broken = true, true
	for _, r := range u.list {
		if r.sent == p {
			r.sent = nil
		}
	}
	u.w.after(20*time.Millisecond+u.wait(500*time.Millisecond), func() {
		if u.pipes[p.o.id] == p {
			delete(u.pipes, p.o.id)
			u.pump()
		}
	})
}

// snap breaks the connection; both ends learn it some time later.
func (p *pipe) snap() {
	if p.broken {
		return
	}
	p.broken = true
	p.u.w.after(p.u.wait(breakSeen), p.lost)
	p.u.w.after(p.u.wait(breakSeen), func() {
		if p.o.inc == p.inc {
			p.o.do(p.end)
		}
	})
}

// toOSD has the OSD do something with the connection, if it is there.
func (p *pipe) toOSD(do func(m *osd.Member)) {
	if p.broken {
		return
	}
	p.u.w.net.Links[p.u.end][p.o.end].Send(0, func() {
		if p.broken {
			return
		}
		if p.o.m == nil || p.o.inc != p.inc {
			if p.o.m == nil && p.o.deaf {
				p.snap()
			} else { // refused
				p.broken = true
				p.u.w.net.Links[p.o.end][p.u.end].Send(0, p.lost, p.lost)
			}
			return
		}
		p.o.do(func(m *osd.Member) {
			if p.open && p.o.inc == p.inc {
				do(m)
			}
		})
	}, p.snap)
}

func (p *pipe) submit(msg *message.Message) {
	wire, peer := message.Wrap(msg, ceph.FeaturesAll), p.u.peer
	peer.Addrs = ceph.AddrVec{p.u.addr}
	p.toOSD(func(m *osd.Member) { p.take(m, peer, wire) })
}

// take gives a message to the OSD.
func (p *pipe) take(m *osd.Member, peer msgr.Peer, wire message.Wrapped) {
	if p.s == nil {
		var err error
		if p.s, err = m.Accept(p, peer); err != nil {
			p.u.w.fail("osd.%d refuses user %d: %v", p.o.id, p.u.n, err)
			return
		}
	}
	msg, err := wire.Unwrap(ceph.FeaturesAll)
	if err != nil {
		p.u.w.fail("user %d sends what can't be read: %v", p.u.n, err)
		return
	}
	m.Deliver(p, peer, p.s, msg)
}

// Send sends from the OSD to the user: osd.Link.
func (p *pipe) Send(m *message.Message) {
	if !p.open {
		return
	}
	if b, ok := m.Body.(*message.MWatchNotify); ok {
		p.u.w.trace("watch event", "osd", p.o.id, "user", p.u.n, "body", *b)
		if p.u.c.roll.sends(p, b); p.u.c.roll.tampered(p, m, b) {
			return
		}
	}
	wire := message.Wrap(m, ceph.FeaturesAll)
	p.u.w.net.Links[p.o.end][p.u.end].Send(0, func() { p.arrive(wire) }, p.snap)
}

// Close ends the connection from the OSD's side: osd.Link.
func (p *pipe) Close() {
	p.open = false
	p.u.w.net.Links[p.o.end][p.u.end].Send(0, p.lost, p.snap)
}

func (p *pipe) arrive(wire message.Wrapped) {
	u := p.u
	if p.broken || p.life != u.life || u.pipes[p.o.id] != p {
		return
	}
	m, err := wire.Unwrap(ceph.FeaturesAll)
	if err != nil {
		u.w.fail("osd.%d sends user %d what it can't read: %v", p.o.id, u.n, err)
		return
	}
	switch b := m.Body.(type) {
	case *message.MOSDOpReply:
		u.answered(b, m.TID)
	case *message.MOSDMap:
		u.newMaps(b)
	case *message.MOSDBackoff:
		p.backoff(b)
	case *message.MWatchNotify:
		u.event(p, m, b)
	}
}

func (p *pipe) backoff(b *message.MOSDBackoff) {
	switch b.Action {
	case message.BackoffBlock:
		p.backoffs[b.ID] = b
		ack := *b
		ack.Action = message.BackoffAckBlock
		p.submit(message.New(&ack))
	case message.BackoffUnblock:
		delete(p.backoffs, b.ID)
		for _, r := range p.u.list {
			if r.sent == p && r.to.pg == b.PG.PGID && covers(b, r) {
				r.sent = nil
			}
		}
		p.u.pump()
	}
}

func covers(b *message.MOSDBackoff, r *request) bool {
	h := ceph.HObject{Pool: r.to.pg.Pool, Name: r.object, Snap: ceph.NoSnap, Hash: r.raw}
	return h.Compare(b.Begin) >= 0 && h.Compare(b.End) < 0
}

func (p *pipe) backedOff(r *request) bool {
	for _, b := range p.backoffs {
		if b.PG.PGID == r.to.pg && covers(b, r) {
			return true
		}
	}
	return false
}
