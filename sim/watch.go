package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

const (
	watchObjects = 3
	mostWatches  = 2                      // of a user
	mostNotes    = 2                      // of a user, under way
	watchPace    = 3 * time.Second        // between two things that a user does, on average
	watchAgain   = 300 * time.Millisecond // after an error
)

// watchTimeouts are after how many seconds without a sign of life a watch ends.
var watchTimeouts = []uint32{3, 6}

// An errand is a request of a user that is in no object's history.
type errand struct {
	ops   []message.OSDOp
	write bool
	once  bool // only on the connection on which it was sent first, as long as that leads there
	// then gets the answer, or nil when a once has been lost.
	then func(r *request, b *message.MOSDOpReply)
}

// A watch is what a user has of one, as librados does it: it is registered again whenever its
// object's PG has another interval or the connection is another one, and pinged.
type watch struct {
	u       *user
	object  string
	name    ceph.EntityName
	cookie  uint64
	timeout uint32 // seconds
	since   time.Duration
	leaving bool // it is being given up
	over    bool // it is gone
	linger
	// good is when the request was sent that was the last to be answered well.
	good, renewed time.Duration
	seen          map[uint64]time.Duration // notifies, by id
	owed          []owed
}

// owed is a notify that ended well without the watch. If the watch turns out to have been there
// all the time, it should have been told.
type owed struct {
	id uint64
	at time.Duration
}

// A linger is where a watch is registered, or a notify is under way.
type linger struct {
	asked bool  // it is being registered
	at    *pipe // nil: it has to be
	to    placed
}

// A note is a notify of a user's.
type note struct {
	u       *user
	object  string
	text    string
	cookie  uint64
	id      uint64 // the OSD's
	call    time.Duration
	timeout uint32
	linger
	told func(n *note, acks []message.NotifyAck) // when it has ended well; may be nil
}

// lapsed says whether a linger has to be registered again.
func (l *linger) lapsed() bool { return !l.asked && (l.at == nil || l.at.over) }

// moved looks at every map for lingers whose PGs have another interval, also one that is over.
func (u *user) moved(gap bool) {
	look := func(l *linger, object string) {
		if to := u.aim(object); l.at != nil && (gap || !l.to.same(&to)) {
			l.at = nil
		}
	}
	for _, w := range u.watches {
		look(&w.linger, w.object)
	}
	for _, n := range u.notes {
		look(&n.linger, n.object)
	}
}

// aim is where an object is.
func (u *user) aim(object string) placed { return u.place(&request{u: u, object: object}) }

// errand sends a request.
func (u *user) errand(object, what string, e *errand) {
	u.tid++
	r := &request{u: u, tid: u.tid, call: u.w.now, object: object, in: objInput{text: what},
		errand: e}
	r.to = u.place(r)
	u.list = append(u.list, r)
	u.w.trace("errand", "user", u.n, "tid", r.tid, "object", object, "what", what)
}

// begun is how many requests of histories are under way.
func (u *user) begun() int {
	n := 0
	for _, r := range u.list {
		if r.errand == nil {
			n++
		}
	}
	return n
}

// linger registers what has to be registered again.
func (u *user) linger() {
	if u.m == nil || u.m.Pools[u.c.pool] == nil {
		return
	}
	for _, w := range slices.Clone(u.watches) {
		if w.lapsed() && !w.leaving {
			w.register()
		}
	}
	for _, n := range slices.Clone(u.notes) {
		if n.lapsed() {
			n.send()
		}
	}
}

// dropOnce gives up what is not sent a second time.
func (u *user) dropOnce() {
	var lost []*request
	u.list = slices.DeleteFunc(u.list, func(r *request) bool {
		gone := r.errand != nil && r.errand.once && r.retry > 0 && r.sent == nil
		if gone {
			lost = append(lost, r)
		}
		return gone
	})
	for _, r := range lost {
		r.errand.then(r, nil)
	}
}

func watchOp(w *watch, action uint8, timeout uint32) []message.OSDOp {
	op := message.OSDOp{Code: message.OpWatch}
	op.SetWatch(message.WatchArgs{Cookie: w.cookie, Action: action, TimeoutSec: timeout})
	return []message.OSDOp{op}
}

// register makes the watch known, or says that it lives on.
func (w *watch) register() {
	w.asked, w.at = true, nil
	ops := watchOp(w, message.WatchWatch, w.timeout)
	if w.since > 0 {
		ops = watchOp(w, message.WatchReconnect, 0) // as librados says it
	}
	w.u.errand(w.object, "watch", &errand{ops: ops, write: true, once: true,
		then: func(r *request, b *message.MOSDOpReply) {
			if w.asked = false; b == nil {
				w.u.stale[r.tid] = w
			}
			if w.over || b == nil {
				return
			}
			switch e := ceph.Errno(-b.Result); {
			case b.Result == 0:
				w.well(r)
				w.renewed, w.at, w.to = w.u.w.now, r.sent, r.to
				if w.since == 0 {
					w.since = w.u.w.now
					w.beat()
				}
			case e == ceph.ENOENT && w.since == 0:
				w.u.create(w.object)
				w.end()
			case w.u.mayFail(e):
				w.asked = true
				w.u.w.after(watchAgain, func() {
					w.asked = false
					w.u.pump()
				})
			default:
				w.lost(fmt.Sprint("register: ", b.Result))
			}
		}})
}

// mayFail says whether the state of the disks explains an error.
func (u *user) mayFail(e ceph.Errno) bool {
	return e == ceph.ENOSPC || e == ceph.EIO && u.c.rotten != nil
}

func (u *user) create(object string) {
	u.errand(object, "create", &errand{ops: []message.OSDOp{{Code: message.OpCreate}}, write: true,
		then: func(*request, *message.MOSDOpReply) {}})
}

// well is that a request that needs the watch was answered: it was there, and is.
func (w *watch) well(r *request) {
	w.good = max(w.good, r.first)
	w.owed = slices.DeleteFunc(w.owed, func(o owed) bool {
		if r.first > o.at {
			w.u.w.fail("notify %x of %s ended well without user %d's watch %d, which was there "+
				"since %v and is at %v", o.id, w.object, w.u.n, w.cookie, w.since, r.first)
		}
		return false
	})
}

// beat pings, as long as the watch is there.
func (w *watch) beat() {
	u := w.u
	u.w.after(time.Duration(w.timeout)*time.Second/4+
		time.Duration(u.watchRng.Int64N(int64(time.Second)/4)), func() {
		if w.over || u.w.over() {
			return
		}
		w.beat()
		if w.leaving || w.asked || w.at == nil || w.at.over {
			return
		}
		at := w.at
		u.errand(w.object, "ping", &errand{ops: watchOp(w, message.WatchPing, 0), once: true,
			then: func(r *request, b *message.MOSDOpReply) {
				switch {
				case b == nil || w.over || w.leaving:
				case b.Result == 0:
					w.well(r)
				case w.at == at && !u.mayFail(ceph.Errno(-b.Result)):
					w.lost(fmt.Sprint("ping: ", b.Result))
				}
			}})
		u.pump()
	})
}

// lost is that the user is told that the watch is gone, which is right only if the OSDs had no sign
// of life for its timeout, or if the user is on the blocklist.
func (w *watch) lost(why string) {
	if w.over || w.leaving {
		return
	}
	u := w.u
	u.w.trace("watch lost", "user", u.n, "cookie", w.cookie, "why", why)
	u.w.result.WatchesLost++
	least := time.Duration(w.timeout) * time.Second * 999 / 1000 // clocks
	m := u.c.newestMap()
	if w.since > 0 && u.w.now < w.good+least && !(m != nil && m.Blocklisted(u.addr)) {
		u.w.fail("user %d has lost watch %d of %s, of %d s, by %q: a request of %v was answered",
			u.n, w.cookie, w.object, w.timeout, why, w.good)
	}
	w.end()
}

func (w *watch) end() {
	w.over = true
	w.u.watches = slices.DeleteFunc(w.u.watches, func(o *watch) bool { return o == w })
}

// leave gives the watch up.
func (w *watch) leave() {
	if w.over {
		return
	}
	w.leaving = true
	w.u.errand(w.object, "unwatch", &errand{ops: watchOp(w, message.WatchUnwatch, 0), write: true,
		then: func(_ *request, b *message.MOSDOpReply) {
			if w.u.mayFail(ceph.Errno(-b.Result)) {
				w.u.w.after(watchAgain, w.leave)
				return
			}
			if w.end(); b.Result != 0 {
				w.u.w.fail("user %d can't give up a watch: %d", w.u.n, b.Result)
			}
		}})
}

// send sends the notify, again if need be: then watchers may get it a second time, as another one.
func (n *note) send() {
	c := denc.NewEncoder(nil, 0)
	c.U32Const(1)
	c.U32Const(n.timeout)
	text := []byte(n.text)
	c.Blob(&text)
	op := message.OSDOp{Code: message.OpNotify, In: c.Bytes()}
	op.SetCookie(n.cookie)
	n.asked, n.at, n.id = true, nil, 0
	n.u.errand(n.object, "notify", &errand{ops: []message.OSDOp{op}, once: true,
		then: func(r *request, b *message.MOSDOpReply) {
			if n.asked = false; b == nil || !slices.Contains(n.u.notes, n) {
				return
			}
			switch e := ceph.Errno(-b.Result); {
			case b.Result == 0 && len(b.Ops) == 1 && len(b.Ops[0].Out) == 8:
				n.id, n.at, n.to = binary.LittleEndian.Uint64(b.Ops[0].Out), r.sent, r.to
			case e == ceph.ENOENT:
				n.u.create(n.object)
				n.end()
			case n.u.mayFail(e):
				n.end()
			default:
				n.u.w.fail("user %d can't notify: %d", n.u.n, b.Result)
			}
		}})
}

func (n *note) end() {
	n.u.notes = slices.DeleteFunc(n.u.notes, func(o *note) bool { return o == n })
}

// watchAct begins to watch, gives a watch up or notifies, now and then.
func (u *user) watchAct() {
	if u.w.over() {
		return
	}
	if !u.quiet && u.m != nil && u.m.Pools[u.c.pool] != nil {
		object := fmt.Sprintf("w%d", u.watchRng.IntN(watchObjects))
		switch k := u.watchRng.IntN(8); {
		case k < 2 && len(u.watches) < mostWatches:
			u.c.roll.cookie++
			w := &watch{u: u, object: object, name: u.peer.Name, cookie: u.c.roll.cookie,
				timeout: watchTimeouts[u.watchRng.IntN(2)], seen: map[uint64]time.Duration{}}
			u.watches, u.c.roll.all = append(u.watches, w), append(u.c.roll.all, w)
			u.w.result.Watches++
		case k == 2 && len(u.watches) > 0:
			if w := u.watches[u.watchRng.IntN(len(u.watches))]; w.since > 0 && !w.leaving {
				w.leave()
			}
		case k > 3 && len(u.notes) < mostNotes:
			u.notify(object, uint32(1+u.watchRng.IntN(5)), nil)
		}
		u.pump()
	}
	pause := time.Duration(float64(watchPace) * u.watchRng.ExpFloat64())
	u.w.after(time.Millisecond+pause, u.watchAct)
}

func (u *user) notify(object string, timeout uint32,
	told func(n *note, acks []message.NotifyAck)) {
	r := u.c.roll
	r.cookie++
	n := &note{u: u, object: object, cookie: r.cookie, call: u.w.now, timeout: timeout, told: told,
		text: fmt.Sprintf("%s %d.%d", object, u.n, r.cookie)}
	u.notes = append(u.notes, n)
	u.w.result.Notifies++
}

// abandon is that the user's process ends.
func (u *user) abandon() {
	for _, w := range u.watches {
		w.over = true
	}
	u.watches, u.notes = nil, nil
	clear(u.stale)
}

func newWatchRng(seed uint64, user int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(960+user)))
}
