package osd

import (
	"glue/auth/caps"
	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/copies"
	"glue/osd/ops"
	"glue/wire/message"
	"glue/wire/msgr"
)

// startCopy has a request wait for the object that it copies, and other requests behind it.
func (p *pg) startCopy(ob *object, op *clientOp, source *ops.CopySource) {
	epoch, c := p.resetEpoch, &copies.Copy{Source: *source}
	c.Alive = func() bool {
		return p.s.pgs[p.id] == p && epoch == p.resetEpoch && ob.copying == c
	}
	c.Allowed = func(pool *osdmap.Pool, o ceph.HObject) bool {
		s := op.sess
		return s == nil || s.all || s.caps != nil && s.caps.Allowed(&caps.OSDQuery{
			Pool: p.s.osdmap.PoolName(o.Pool), Namespace: o.Namespace, Object: o.Name,
			Application: pool.Applications, Read: true, Peer: s.peer.Socket.Addr()})
	}
	c.Done = func() {
		if op.copies == nil {
			op.copies = map[int]*ops.Copied{}
		}
		op.copies[source.Op], ob.copying = c.Got, nil
		if !ob.isBlocked() {
			p.runWaiting(ob)
		}
	}
	ob.copying = c
	p.queueFirst(ob, op)
	p.s.copies.Start(c)
	p.runCopyGets(ob)
}

// runCopyGets serves the requests of copies on an object that itself waits for a copy: two objects
// that are copied onto each other would wait for ever.
func (p *pg) runCopyGets(ob *object) {
	if ob.copying == nil || len(ob.blocked) > 0 || ob.inflight > 0 {
		return
	}
	queue := ob.waiting
	ob.waiting = nil
	var gets []*clientOp
	for _, op := range queue {
		if op.copier() {
			gets = append(gets, op)
		} else {
			ob.waiting = append(ob.waiting, op)
		}
	}
	for _, op := range gets {
		p.doObject(ob, op)
	}
}

// copier says whether the request comes from an OSD that copies an object.
func (op *clientOp) copier() bool { return op.sess != nil && op.sess.copier }

// A copyHost is the shard for its copies.
type copyHost struct{ s *shard }

func (h copyHost) Map() *osdmap.Map { return h.s.osdmap }
func (h copyHost) Limit() uint64    { return h.s.d.config.Load().limits.ObjectSize }

func (h copyHost) Ask(primary int32, id uint64, b *message.MOSDCopyGet) {
	d := h.s.d
	b.ID, b.OSD, b.Epoch = id<<8|uint64(h.s.index), d.opt.ID, h.s.osdmap.Epoch
	if primary == d.opt.ID {
		d.copyGet(b)
		return
	}
	d.sendTo(h.s.osdmap, primary, b)
}

// copyPiece gives an answer to the shard that waits for it.
func (d *Daemon) copyPiece(b *message.MOSDCopyPiece) {
	if i := b.ID & 0xff; i < uint64(len(d.shards)) {
		d.shards[i].post(event{kind: evCall, call: func(s *shard) { s.copies.Piece(b.ID>>8, b) }})
	}
}

// copyGet queues an OSD's request for a piece like a client's.
func (d *Daemon) copyGet(b *message.MOSDCopyGet) {
	sess := &session{conn: &copyAnswer{d: d, osd: b.OSD, id: b.ID}, all: true, copier: true,
		peer: msgr.Peer{Name: ceph.EntityName{Type: ceph.TypeOSD, Num: int64(b.OSD)}}}
	msg := message.New(copies.Request(b))
	msg.TID = b.ID
	d.route(b.PG, event{kind: evOp, sess: sess, msg: msg})
}

// A copyAnswer sends what a piece's request gives to the OSD that asked.
type copyAnswer struct {
	d   *Daemon
	osd int32
	id  uint64
}

// Send sends a reply, or maps that the other OSD lacks.
func (a *copyAnswer) Send(m *message.Message) {
	body := m.Body
	if r, ok := body.(*message.MOSDOpReply); ok {
		body = copies.Answer(a.id, r)
	}
	if a.osd != a.d.opt.ID {
		a.d.sendTo(a.d.osdmap.Load(), a.osd, body)
	} else if p, ok := body.(*message.MOSDCopyPiece); ok {
		a.d.copyPiece(p)
	}
}
