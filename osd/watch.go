package osd

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
	"glue/osd/ops"
	"glue/wire/message"
)

// A watch is a client's wish to hear of notifies of an object. It is in the object's info too and
// outlives its connection for its timeout.
type watch struct {
	key        ops.WatchKey
	object     ceph.HObject
	addr       ceph.Addr
	timeout    time.Duration
	conn       link // nil while disconnected
	connecting bool // by a request that waits to be answered
	willPing   bool
	deadline   time.Time // zero: lives as its connection
	pending    map[uint64]*notify
	removing   bool
}

// A notify is a message to the watchers of an object that waits for their answers.
type notify struct {
	id       uint64
	cookie   uint64 // of the notifier
	conn     link
	gid      uint64
	version  uint64
	payload  []byte
	deadline time.Time
	waiting  map[ops.WatchKey]*watch
	acks     []message.NotifyAck
	done     bool
}

// adoptWatches makes the watches of an object's info known, as when its PG has a new primary:
// watchers that don't come back in time are removed.
func (p *pg) adoptWatches(o ceph.HObject, st *ops.State) {
	for k, w := range st.Info.Watchers { // their order does not matter
		if p.watches[o][k] != nil {
			continue
		}
		timeout := time.Duration(w.TimeoutSeconds) * time.Second
		p.addWatch(&watch{key: k, object: o, addr: w.Addr, timeout: timeout,
			deadline: p.s.now.Add(timeout), pending: map[uint64]*notify{}})
	}
}

func (p *pg) addWatch(w *watch) {
	if p.watches[w.object] == nil {
		p.watches[w.object] = map[ops.WatchKey]*watch{}
	}
	p.watches[w.object][w.key] = w
}

// watchConnected says whether a watch has a live connection, or has one when the requests before
// have been answered.
func (p *pg) watchConnected(o ceph.HObject, k ops.WatchKey) bool {
	w := p.watches[o][k]
	return w != nil && (w.conn != nil || w.connecting)
}

// watchEffects does what a request wanted of watches, after it was answered.
func (p *pg) watchEffects(wr *write) {
	e, o := &wr.effects, wr.op.object
	for _, d := range e.Disconnects {
		p.endWatch(o, d.Key, d.Tell)
	}
	for _, c := range e.Connects {
		p.connectWatch(o, &c, wr.op.conn)
	}
	for i := range e.Notifies {
		p.startNotify(o, &e.Notifies[i], wr.op)
	}
	for i := range e.Acks {
		p.ackNotify(o, &e.Acks[i], wr.op)
	}
}

// signsOfLife takes up at once what a request says of watches that live, also when its answer has
// to wait for writes before it: a removal that is queued behind it must not come to pass.
func (p *pg) signsOfLife(o ceph.HObject, e *ops.Effects) {
	for _, k := range e.Alive {
		if w := p.watches[o][k]; w != nil {
			w.deadline, w.removing = p.s.now.Add(w.timeout), false
		}
	}
	for i := range e.Connects {
		if w := p.watches[o][e.Connects[i].Key]; w != nil {
			w.connecting = true
		}
	}
}

func (p *pg) connectWatch(o ceph.HObject, c *ops.WatchConnect, conn link) {
	w := p.watches[o][c.Key]
	if w == nil {
		w = &watch{key: c.Key, object: o, pending: map[uint64]*notify{}}
		p.addWatch(w)
	}
	w.addr, w.conn, w.willPing, w.removing = c.Addr, conn, c.WillPing, false
	w.connecting = false
	w.timeout = time.Duration(c.TimeoutSeconds) * time.Second
	w.deadline = time.Time{}
	if w.willPing {
		w.deadline = p.s.now.Add(w.timeout)
	}
	for _, n := range ops.InOrder(w.pending, cmp.Compare) {
		p.sendNotify(w, n) // it came while the watcher was away
	}
}

// endWatch forgets a watch; tell sends the watcher a disconnect, as its object is gone. One that
// has not pinged for too long may still be there and hears of it too.
func (p *pg) endWatch(o ceph.HObject, k ops.WatchKey, tell bool) {
	w := p.watches[o][k]
	if w == nil {
		return
	}
	delete(p.watches[o], k)
	if len(p.watches[o]) == 0 {
		delete(p.watches, o)
	}
	if (tell || w.removing) && w.conn != nil {
		w.conn.Send(message.New(&message.MWatchNotify{Event: message.WatchEventDisconnect,
			Cookie: k.Cookie}))
	}
	w.removing = false
	for _, n := range ops.InOrder(w.pending, cmp.Compare) {
		delete(n.waiting, k)
		p.checkNotify(n)
	}
}

// startNotify sends a notify to every watcher of the object.
func (p *pg) startNotify(o ceph.HObject, e *ops.Notify, op *clientOp) {
	n := &notify{id: e.ID, cookie: e.Cookie, conn: op.conn, gid: uint64(op.reqid.Name.Num),
		version: e.UserVersion, payload: bytes.Clone(e.Payload),
		deadline: p.s.now.Add(time.Duration(e.TimeoutSeconds) * time.Second),
		waiting:  map[ops.WatchKey]*watch{}}
	p.notifies[n.id] = n
	for _, w := range ops.InOrder(p.watches[o], ops.WatchKey.Compare) {
		n.waiting[w.key] = w
		w.pending[n.id] = n
		p.sendNotify(w, n)
	}
	p.checkNotify(n)
}

// sendNotify tells a watcher. One that is blocklisted hears nothing more, also while the removal of
// its watch has to wait.
func (p *pg) sendNotify(w *watch, n *notify) {
	if w.conn == nil || p.s.osdmap.Blocklisted(w.addr) {
		return
	}
	w.conn.Send(message.New(&message.MWatchNotify{Event: message.WatchEventNotify,
		Cookie: w.key.Cookie, Version: n.version, NotifyID: n.id, Payload: n.payload,
		NotifierGID: n.gid}))
}

// ackNotify takes a watcher's answer.
func (p *pg) ackNotify(o ceph.HObject, a *ops.NotifyAck, op *clientOp) {
	n := p.notifies[a.ID]
	if n == nil {
		return
	}
	for _, w := range ops.InOrder(p.watches[o], ops.WatchKey.Compare) {
		k := w.key
		if k.Name != op.reqid.Name || !a.AnyCookie && k.Cookie != a.Cookie || n.waiting[k] == nil {
			continue
		}
		delete(n.waiting, k)
		delete(w.pending, n.id)
		n.acks = append(n.acks, message.NotifyAck{
			NotifyPeer: message.NotifyPeer{GID: uint64(k.Name.Num), Cookie: k.Cookie},
			Reply:      bytes.Clone(a.Reply)})
	}
	p.checkNotify(n)
}

// checkNotify ends a notify that nobody owes an answer to.
func (p *pg) checkNotify(n *notify) {
	if len(n.waiting) == 0 {
		p.endNotify(n, 0)
	}
}

// endNotify tells the notifier who has answered and who has not.
func (p *pg) endNotify(n *notify, result int32) {
	if n.done {
		return
	}
	n.done = true
	delete(p.notifies, n.id)
	r := message.NotifyResult{Acks: n.acks}
	for k, w := range n.waiting {
		delete(w.pending, n.id)
		r.Missed = append(r.Missed, message.NotifyPeer{GID: uint64(k.Name.Num), Cookie: k.Cookie})
	}
	if r.Sort(); n.conn == nil {
		return
	}
	m := message.New(&message.MWatchNotify{Event: message.WatchEventComplete, Cookie: n.cookie,
		Version: n.version, NotifyID: n.id, Result: result})
	m.Data = denc.Marshal(&r, ceph.FeaturesAll)
	n.conn.Send(m)
}

// watchTick ends notifies and watches whose time is over, and watches of clients that are on the
// blocklist (check_blocklisted_watchers).
func (p *pg) watchTick() {
	for _, n := range ops.InOrder(p.notifies, cmp.Compare) {
		if n.deadline.Before(p.s.now) {
			p.endNotify(n, ceph.ETIMEDOUT.Result())
		}
	}
	if !p.active || !p.writeable {
		return
	}
	for _, o := range slices.SortedFunc(maps.Keys(p.watches), ceph.HObject.Compare) {
		for _, w := range ops.InOrder(p.watches[o], ops.WatchKey.Compare) {
			late := !w.deadline.IsZero() && w.deadline.Before(p.s.now)
			if !w.removing && (late || p.s.osdmap.Blocklisted(w.addr)) {
				p.removeWatch(w)
			}
		}
	}
}

// removeWatch takes a watcher that did not come back, or does not ping, out of the object's info,
// by a request of its own (handle_watch_timeout).
func (p *pg) removeWatch(w *watch) {
	w.removing = true
	m := ops.Unwatch(w.object, w.key.Cookie)
	m.PG, m.Epoch = p.id, p.s.osdmap.Epoch
	op := &clientOp{m: m, object: w.object, ends: w,
		from: class.Entity{Name: w.key.Name, Addr: w.addr}}
	op.reqid = ceph.ReqID{Name: w.key.Name}
	p.do(op)
}

// connGone makes the watches of a connection wait for their client's return.
func (p *pg) connGone(c link) {
	for _, watches := range p.watches {
		for _, w := range watches {
			if w.conn == c {
				w.conn = nil
				w.deadline = p.s.now.Add(w.timeout)
			}
		}
	}
	for _, n := range p.notifies {
		if n.conn == c {
			n.conn = nil
		}
	}
}

// dropWatches forgets all at the end of an interval; clients watch again at the new primary.
func (p *pg) dropWatches() {
	clear(p.watches)
	clear(p.notifies)
}
