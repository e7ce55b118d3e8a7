package sim

import (
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/sim/plant"
	"glue/wire/message"
)

// tampered changes what an OSD sends to a watcher or a notifier; true: it is not sent.
func (r *roll) tampered(p *pipe, m *message.Message, b *message.MWatchNotify) bool {
	skips := func(cookie uint64) bool { return cookie%3 == 0 }
	switch bug := r.c.w.opt.Bug; {
	case bug == plant.ToldTwice && b.Event == message.WatchEventNotify && b.NotifyID%20 == 0:
		wire := message.Wrap(m, ceph.FeaturesAll)
		p.u.w.net.Links[p.o.end][p.u.end].Send(0, func() { p.arrive(wire) }, nil)
	case bug == plant.WatcherSkipped && b.Event == message.WatchEventNotify && skips(b.Cookie):
		i := slices.IndexFunc(r.all, func(w *watch) bool { return w.cookie == b.Cookie })
		if i >= 0 {
			p.u.tid++
			q := &request{u: p.u, tid: p.u.tid, object: r.all[i].object,
				errand: &errand{ops: ackOp(b.NotifyID, b.Cookie, "")}}
			q.to = p.u.place(q)
			p.submit(q.message())
			return true
		}
	case bug == plant.WatcherSkipped && b.Event == message.WatchEventComplete:
		res := message.NotifyResult{}
		if denc.Unmarshal(m.Data, &res, 0) == nil {
			res.Acks = slices.DeleteFunc(res.Acks,
				func(a message.NotifyAck) bool { return skips(a.Cookie) })
			m.Data = denc.Marshal(&res, ceph.FeaturesAll)
		}
	}
	return false
}
