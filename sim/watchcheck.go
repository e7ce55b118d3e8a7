package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/osd/class"
	"glue/wire/message"
)

const (
	// fencedFor is how long an OSD may know of a blocklisting and still tell of notifies: it looks
	// at its watches every second.
	fencedFor = 3 * time.Second
	// rollWithin is how long, after all is clean, watches of clients that are gone may be there.
	rollWithin = 12 * time.Second
)

// A roll is all watches of a run, and what must be true of them.
type roll struct {
	c      *cluster
	all    []*watch // that were registered, since the last rest or still there
	cookie uint64
	fenced []ceph.Addr // blocklisted users
	knows  map[fence]time.Duration
}

// A fence is what an OSD knows of a blocklisted user, in one of its lives.
type fence struct {
	osd  int32
	life int
	addr ceph.Addr
}

// heard notes that an OSD has a map.
func (r *roll) heard(o *osdHost, m *osdmap.Map) {
	if r == nil {
		return
	}
	for _, a := range r.fenced {
		k := fence{o.id, o.life, a}
		if _, ok := r.knows[k]; !ok && m.Blocklisted(a) {
			r.knows[k] = o.w.now
		}
	}
}

// sends looks at what an OSD sends to a watcher: one that is blocklisted gets nothing more.
func (r *roll) sends(p *pipe, b *message.MWatchNotify) {
	at, ok := r.knows[fence{p.o.id, p.o.life, p.addr}]
	at = max(at, p.o.stopped)
	if ok && b.Event == message.WatchEventNotify && p.u.w.now > at+fencedFor {
		p.u.w.fail("osd.%d tells user %d of a notify, of whose blocklisting it knows since %v",
			p.o.id, p.u.n, at)
	}
}

// event takes what an OSD tells of watches and notifies.
func (u *user) event(p *pipe, m *message.Message, b *message.MWatchNotify) {
	switch b.Event {
	case message.WatchEventNotify, message.WatchEventDisconnect:
		i := slices.IndexFunc(u.watches, func(w *watch) bool { return w.cookie == b.Cookie })
		switch {
		case i < 0: // not any more
		case b.Event == message.WatchEventDisconnect:
			u.watches[i].disconnected(p)
		default:
			u.watches[i].notified(b)
		}
	case message.WatchEventComplete:
		for _, n := range u.notes {
			if n.cookie == b.Cookie && (n.id == 0 || n.id == b.NotifyID) {
				n.end()
				n.complete(m, b)
				return
			}
		}
	}
}

// disconnected ends a watch, as librados does wherever it is told from. That a watch has ended
// where it was before it moved is true, though it may come late, and is not its OSD's loss.
func (w *watch) disconnected(p *pipe) {
	if w.at != nil && w.at != p {
		w.u.w.trace("watch ended by where it was before", "user", w.u.n, "cookie", w.cookie)
		w.end()
		return
	}
	w.lost("disconnect")
}

// notified answers a notify, most of the time. It comes once, unless the watch was registered anew
// meanwhile.
func (w *watch) notified(b *message.MWatchNotify) {
	u := w.u
	if of, _, _ := strings.Cut(string(b.Payload), " "); of != w.object {
		u.w.fail("user %d's watch of %s is told %q", u.n, w.object, b.Payload)
	}
	if at, ok := w.seen[b.NotifyID]; ok && w.renewed < at {
		u.w.fail("user %d's watch %d of %s is told of notify %x at %v and again", u.n, w.cookie,
			w.object, b.NotifyID, at)
	}
	w.seen[b.NotifyID] = u.w.now
	u.w.result.Notified++
	if !u.quiet && u.watchRng.IntN(20) == 0 {
		return // it has something else to do
	}
	u.errand(w.object, "ack", &errand{ops: ackOp(b.NotifyID, w.cookie, w.reply()),
		then: func(_ *request, b *message.MOSDOpReply) {
			if b.Result != 0 && !u.mayFail(ceph.Errno(-b.Result)) {
				u.w.fail("user %d can't acknowledge a notify: %d", u.n, b.Result)
			}
		}})
	u.pump()
}

func ackOp(id, cookie uint64, text string) []message.OSDOp {
	c := denc.NewEncoder(nil, 0)
	reply := []byte(text)
	c.U64Const(id)
	c.U64Const(cookie)
	c.Blob(&reply)
	return []message.OSDOp{{Code: message.OpNotifyAck, In: c.Bytes()}}
}

func (w *watch) reply() string { return fmt.Sprint("watch ", w.cookie) }

// complete looks at the end of a notify: whoever has answered was told, once; and if it has ended
// well, everybody has answered who watched all the time.
func (n *note) complete(m *message.Message, b *message.MWatchNotify) {
	u, res := n.u, message.NotifyResult{}
	if err := denc.Unmarshal(m.Data, &res, 0); err != nil {
		u.w.fail("user %d: end of a notify: %v", u.n, err)
		return
	}
	if late := ceph.ETIMEDOUT.Result(); b.Result != 0 && b.Result != late ||
		(len(res.Missed) > 0) != (b.Result == late) {
		u.w.fail("user %d: notify %x ends with %d and %d missed", u.n, b.NotifyID, b.Result,
			len(res.Missed))
	}
	acked := map[*watch]bool{}
	for _, a := range res.Acks {
		i := slices.IndexFunc(u.c.roll.all, func(w *watch) bool {
			return w.cookie == a.Cookie && uint64(w.name.Num) == a.GID
		})
		if i < 0 {
			u.w.fail("notify %x is answered by watch %d, which nobody has", b.NotifyID, a.Cookie)
			return
		}
		w := u.c.roll.all[i]
		if _, told := w.seen[b.NotifyID]; !told || acked[w] || string(a.Reply) != w.reply() ||
			w.object != n.object {
			u.w.fail("notify %x of %s: answer %q of user %d's watch %d of %s, told %v, twice %v",
				b.NotifyID, n.object, a.Reply, w.u.n, w.cookie, w.object, told, acked[w])
		}
		acked[w] = true
	}
	if b.Result != 0 {
		u.w.result.NotifiesLate++
		if n.told != nil {
			u.w.fail("notify %x at rest: %d watches of %s have not answered", b.NotifyID,
				len(res.Missed), n.object)
		}
		return
	}
	for _, w := range u.c.roll.all {
		if !w.over && !w.leaving && w.object == n.object && w.since > 0 && w.since <= n.call &&
			!acked[w] {
			w.owed = append(w.owed, owed{b.NotifyID, u.w.now})
		}
	}
	if n.told != nil {
		n.told(n, res.Acks)
	}
}

// call has the roll called at a rest, and then what comes after it: every watch that is there is
// listed, no other one, and a notify reaches exactly these.
func (r *roll) call(then func()) {
	if r == nil {
		then()
		return
	}
	c, until := r.c, r.c.w.now+rollWithin
	var look func(object int)
	look = func(object int) {
		if c.w.bad != nil {
			return
		}
		if object == watchObjects {
			r.all = slices.DeleteFunc(r.all, func(w *watch) bool { return w.over })
			then()
			return
		}
		why := r.unrest()
		u, name := c.users[0], fmt.Sprintf("w%d", object)
		if why != "" {
			r.again(why, until, func() { look(object) })
			return
		}
		u.errand(name, "list", &errand{ops: []message.OSDOp{{Code: message.OpListWatchers}},
			then: func(_ *request, b *message.MOSDOpReply) {
				if b.Result == ceph.ENOENT.Result() {
					look(object + 1)
				} else if why := r.compare(name, b); why != "" {
					r.again(why, until, func() { look(object) })
				} else {
					u.notify(name, 2, func(n *note, acks []message.NotifyAck) {
						if len(acks) != len(r.of(name)) {
							c.w.fail("at rest %d watches of %s answer of %d", len(acks), name,
								len(r.of(name)))
						}
						look(object + 1)
					})
					u.pump()
				}
			}})
		u.pump()
	}
	look(0)
}

func (r *roll) again(why string, until time.Duration, f func()) {
	if w := r.c.w; w.now > until {
		w.fail("watches at rest: %s\n%s", why, r.c.status())
	} else {
		w.after(500*time.Millisecond, f)
	}
}

// unrest is why the roll can't be called yet.
func (r *roll) unrest() string {
	for _, u := range r.c.users {
		for _, w := range u.watches {
			if w.leaving || w.since == 0 || w.asked || w.at == nil || w.at.over {
				return fmt.Sprintf("user %d's watch %d of %s is being changed", u.n, w.cookie,
					w.object)
			}
		}
		if len(u.notes) > 0 {
			return fmt.Sprintf("user %d's notify of %s has no end", u.n, u.notes[0].object)
		}
	}
	return ""
}

// of is the watches of an object.
func (r *roll) of(object string) []*watch {
	var out []*watch
	for _, u := range r.c.users {
		for _, w := range u.watches {
			if w.object == object {
				out = append(out, w)
			}
		}
	}
	return out
}

// compare is what is wrong with a list of watches. One that is missing is at once.
func (r *roll) compare(object string, b *message.MOSDOpReply) string {
	w, listed := r.c.w, []class.Watcher{}
	if b.Result != 0 || len(b.Ops) != 1 {
		w.fail("watches of %s: %d", object, b.Result)
		return ""
	}
	d := denc.NewDecoder(b.Ops[0].Out, 0)
	s := d.Begin(1, 1)
	denc.ListFunc(d, &listed, func(d *denc.Coder, x *class.Watcher) {
		s := d.Begin(2, 1)
		x.Name.Denc(d)
		d.U64(&x.Cookie)
		d.U32(&x.Timeout)
		x.Addr.Denc(d)
		s.End()
	})
	if s.End(); d.Err() != nil {
		w.fail("watches of %s: %v", object, d.Err())
	}
	for _, x := range r.of(object) {
		i := slices.IndexFunc(listed, func(l class.Watcher) bool {
			return l.Cookie == x.cookie && l.Name == x.name && l.Timeout == x.timeout &&
				l.Addr == x.u.addr
		})
		if i < 0 {
			w.fail("user %d's watch %d of %s is not listed: %+v", x.u.n, x.cookie, object, listed)
			return ""
		}
		listed = slices.Delete(listed, i, i+1)
	}
	if len(listed) > 0 {
		return fmt.Sprintf("%s is watched by %+v, which are gone", object, listed)
	}
	return ""
}
