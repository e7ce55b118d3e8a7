package ops

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/class"
	"glue/wire/message"
)

// InOrder are the values of a map in the order of its keys: what clients are sent must not depend
// on Go's order.
func InOrder[K comparable, V any](m map[K]V, compare func(a, b K) int) []V {
	out := make([]V, 0, len(m))
	for _, k := range slices.SortedFunc(maps.Keys(m), compare) {
		out = append(out, m[k])
	}
	return out
}

// Unwatch is the request that ends a watch of an object.
func Unwatch(o ceph.HObject, cookie uint64) *message.MOSDOp {
	op := message.OSDOp{Code: message.OpWatch}
	op.SetWatch(message.WatchArgs{Cookie: cookie, Action: message.WatchUnwatch})
	return &message.MOSDOp{Hash: o.Hash, Flags: message.FlagWrite, Object: o.Name,
		Ops: []message.OSDOp{op}, Locator: ceph.Locator{Pool: o.Pool, Key: o.Key,
			Namespace: o.Namespace, Hash: -1}}
}

// IsPing says whether a request is the ping of a watch and nothing else.
func IsPing(list []message.OSDOp) bool {
	return len(list) == 1 && list[0].Code == message.OpWatch &&
		list[0].Watch().Action == message.WatchPing
}

// Watched says whether a request wants nothing but watches that an object has already.
func Watched(list []message.OSDOp, who ceph.EntityName, st *State) bool {
	return !slices.ContainsFunc(list, func(o message.OSDOp) bool {
		w := o.Watch()
		_, known := st.Info.Watchers[WatchKey{Cookie: w.Cookie, Name: who}]
		return !known || w.Action == message.WatchUnwatch
	})
}

func sortDisconnects(d []WatchDisconnect) {
	slices.SortFunc(d, func(a, b WatchDisconnect) int { return a.Key.Compare(b.Key) })
}

// opWatch registers, renews or ends a watch of the sender. The object's info keeps the watch, the
// effects bind it to the connection.
func opWatch(x *exec, op *message.OSDOp) int32 {
	x.writes++
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	w := op.Watch()
	k := WatchKey{Cookie: w.Cookie, Name: x.req.ReqID.Name}
	was, known := x.info.Watchers[k]
	timeout := w.TimeoutSec
	switch {
	case known:
		timeout = was.TimeoutSeconds // clients don't say it again when they reconnect
	case timeout == 0:
		timeout = x.env.Limits.WatchSeconds
	}
	connect := WatchConnect{Key: k, TimeoutSeconds: timeout, Addr: x.req.Origin.Addr,
		WillPing: w.Action != message.WatchLegacy}
	switch w.Action {
	case message.WatchWatch, message.WatchLegacy:
		if !known {
			x.setWatcher(k, &pginfo.WatchInfo{TimeoutSeconds: timeout, Addr: connect.Addr})
			x.touched = true
		}
		x.effects.Connects = append(x.effects.Connects, connect)
		x.effects.Alive = append(x.effects.Alive, k)
	case message.WatchReconnect:
		if !known {
			return ceph.ENOTCONN.Result()
		}
		x.effects.Connects = append(x.effects.Connects, connect)
		x.effects.Alive = append(x.effects.Alive, k)
	case message.WatchPing:
		if !known {
			return ceph.ENOTCONN.Result()
		}
		if x.env.WatchConnected == nil || !x.env.WatchConnected(x.req.Object, k) {
			return ceph.ETIMEDOUT.Result() // the client has to reconnect
		}
		x.effects.Alive = append(x.effects.Alive, k)
	case message.WatchUnwatch:
		if known {
			x.setWatcher(k, nil)
			x.touched = true
			x.effects.Disconnects = append(x.effects.Disconnects, WatchDisconnect{Key: k})
		}
	}
	return 0
}

func opNotify(x *exec, op *message.OSDOp) int32 {
	x.reads++
	n := Notify{Cookie: op.Cookie(), UserVersion: x.old.Info.UserVersion}
	var version uint32
	in := denc.NewDecoder(op.In, 0)
	in.U32(&version)
	in.U32(&n.TimeoutSeconds)
	if in.Blob(&n.Payload); in.Err() != nil {
		n.TimeoutSeconds, n.Payload = 0, nil
	}
	if n.TimeoutSeconds == 0 {
		n.TimeoutSeconds = x.env.Limits.NotifySeconds
	}
	n.ID = x.env.NotifyID()
	x.effects.Notifies = append(x.effects.Notifies, n)
	op.Out = le.AppendUint64(nil, n.ID)
	return same
}

func opNotifyAck(x *exec, op *message.OSDOp) int32 {
	x.reads++
	var ack NotifyAck
	in := denc.NewDecoder(op.In, 0)
	in.U64(&ack.ID)
	in.U64(&ack.Cookie)
	if in.Err() == nil && in.Remaining() > 0 {
		in.Blob(&ack.Reply)
	}
	if in.Err() != nil {
		// Old clients put the notify's id where the cookie is.
		ack = NotifyAck{ID: op.Cookie(), AnyCookie: true}
	}
	x.effects.Acks = append(x.effects.Acks, ack)
	return same
}

// watchers lists the watches as the vector leaves them.
func (x *exec) watchers() []class.Watcher {
	var out []class.Watcher
	for _, k := range slices.SortedFunc(maps.Keys(x.info.Watchers), WatchKey.Compare) {
		w := x.info.Watchers[k]
		out = append(out, class.Watcher{
			Entity: class.Entity{Name: k.Name, Addr: w.Addr}, Cookie: k.Cookie,
			Timeout: w.TimeoutSeconds,
		})
	}
	return out
}

// opListWatchers answers with obj_list_watch_response_t.
func opListWatchers(x *exec, op *message.OSDOp) int32 {
	x.reads++
	x.stats.Reads++
	c := denc.NewEncoder(nil, x.req.Features)
	list := x.watchers()
	s := c.Begin(1, 1)
	denc.ListFunc(c, &list, func(c *denc.Coder, w *class.Watcher) {
		s := c.Begin(2, 1)
		name, addr := w.Name, w.Addr
		name.Denc(c)
		c.U64Const(w.Cookie)
		c.U32Const(w.Timeout)
		addr.Denc(c)
		s.End()
	})
	s.End()
	op.Out = c.Bytes()
	return 0
}
