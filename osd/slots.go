package osd

import (
	"sync"
	"sync/atomic"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/admin"
	"glue/osd/reserve"
	"glue/wire/message"
)

// A slotKey is an attempt of a PG to get a slot.
type slotKey struct {
	pg  ceph.SPG
	seq uint64
}

// slots are the OSD's recovery slots (osd_max_backfills): those of the PGs that it is the primary
// of, and those of the others that it takes part in. All shards share them.
type slots struct {
	mu            sync.Mutex
	local, remote reserve.Reserver[slotKey]
	bringing      map[slotKey]int64 // bytes that the backfills to this OSD will add
	active        atomic.Int64      // objects on their way
	starved       atomic.Bool       // a shard waits for active to fall
}

func (d *Daemon) setSlots(n int) {
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	d.tellSlots(d.slots.local.SetMax(n), (*pg).localSlot)
	d.tellSlots(d.slots.remote.SetMax(n), (*pg).remoteSlot)
}

// tellSlots brings the events of a reserver to their PGs, in their order.
func (d *Daemon) tellSlots(events []reserve.Event[slotKey], f func(*pg, uint64, bool)) {
	for _, e := range events {
		d.shardOf(e.Key.pg).post(event{kind: evCall, call: func(s *shard) {
			if p := s.pgs[e.Key.pg]; p != nil {
				f(p, e.Key.seq, e.Granted)
			}
		}})
	}
}

// localSlot hears of the PG's slot on its own OSD.
func (p *pg) localSlot(seq uint64, granted bool) {
	if granted {
		p.claimed(p.claim.Granted(reserve.Self, seq))
	} else {
		p.claimed(p.claim.Lost(reserve.Self, seq))
	}
	p.recover()
}

// remoteSlot hears of the slot that this copy holds for its primary, and passes it on.
func (p *pg) remoteSlot(seq uint64, granted bool) {
	if p.lent.Seq != seq || p.lent.Kind == reserve.None {
		return
	}
	kind := uint8(message.ReserveGrant)
	if !granted {
		kind = message.ReserveRevoke
	}
	_, primary := p.m.Acting()
	p.sendReserve(primary, kind, p.lent)
	if !granted {
		p.returnLent() // what it would have brought does not come
	}
}

// claimed carries out what the claim wants.
func (p *pg) claimed(effects []reserve.Effect) {
	for _, e := range effects {
		if e.OSD == reserve.Self {
			p.ownSlot(e)
			continue
		}
		kind := uint8(message.ReserveRequest)
		if e.Release {
			kind = message.ReserveRelease
		}
		p.sendReserve(e.OSD, kind, e)
	}
}

func (p *pg) ownSlot(e reserve.Effect) {
	d, key := p.s.d, slotKey{p.id, e.Seq}
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	if e.Release {
		d.tellSlots(d.slots.local.Release(key), (*pg).localSlot)
		return
	}
	d.tellSlots(d.slots.local.Request(key, e.Priority, false), (*pg).localSlot)
}

func (p *pg) sendReserve(to int32, kind uint8, e reserve.Effect) {
	r := message.Reserve{PGHead: p.headTo(), Kind: kind, Priority: e.Priority, Seq: e.Seq}
	if kind == message.ReserveRequest && e.Kind == reserve.Backfill {
		r.PrimaryBytes = p.stats.Bytes
		r.ShardBytes = int64(float64(p.stats.Bytes) * p.backfilledShare(to))
	}
	if e.Kind == reserve.Backfill {
		p.s.d.sendTo(p.s.osdmap, to, &message.MBackfillReserve{Reserve: r})
		return
	}
	p.s.d.sendTo(p.s.osdmap, to, &message.MRecoveryReserve{Reserve: r})
}

// onReserve takes a request for a slot here, or an answer to one.
func (p *pg) onReserve(r *message.Reserve, kind reserve.Kind) {
	from := r.From.OSD
	switch r.Kind {
	case message.ReserveRequest, message.ReserveRelease:
		if p.m.IsReplicaOf(from) {
			p.lend(r, kind)
		}
		return
	case message.ReserveGrant:
		p.claimed(p.claim.Granted(from, r.Seq))
	case message.ReserveRevoke:
		p.claimed(p.claim.Lost(from, r.Seq))
	case message.ReserveTooFull:
		p.claimed(p.claim.Refused(from, r.Seq))
		p.retryAt = p.s.now.Add(p.s.d.config.Load().set.Duration("osd_backfill_retry_interval"))
		if c := p.recovery.targets[from]; c != nil && c.Scanning() {
			delete(p.recovery.targets, from)
		}
		p.changed, p.dirty = p.s.now, true
	}
	p.recover()
}

// lend asks for a slot here on behalf of the primary, unless a backfill would not fit.
func (p *pg) lend(r *message.Reserve, kind reserve.Kind) {
	d, key := p.s.d, slotKey{p.id, r.Seq}
	if r.Kind == message.ReserveRelease {
		d.returnSlot(key)
		if p.lent.Seq == r.Seq {
			p.lent = reserve.Effect{}
		}
		return
	}
	e := reserve.Effect{Kind: kind, Priority: r.Priority, Seq: r.Seq}
	if p.lent.Kind != reserve.None && p.lent.Seq != r.Seq {
		d.returnSlot(slotKey{p.id, p.lent.Seq})
	}
	p.lent = e
	if kind == reserve.Backfill && d.tooFullFor(p.s.osdmap, key, r.PrimaryBytes-r.ShardBytes) {
		p.refuseBackfill()
		return
	}
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	d.tellSlots(d.slots.remote.Request(key, r.Priority, false), (*pg).remoteSlot)
}

// refuseBackfill tells the primary that there is no room, and gives the slot back.
func (p *pg) refuseBackfill() {
	_, primary := p.m.Acting()
	p.sendReserve(primary, message.ReserveTooFull, p.lent)
	p.returnLent()
}

func (p *pg) returnLent() {
	if p.lent.Kind != reserve.None {
		p.s.d.returnSlot(slotKey{p.id, p.lent.Seq})
		p.lent = reserve.Effect{}
	}
}

func (d *Daemon) returnSlot(key slotKey) {
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	delete(d.slots.bringing, key)
	d.tellSlots(d.slots.remote.Release(key), (*pg).remoteSlot)
}

// endClaims gives all slots of the PG back, without a word to others: they end theirs themselves
// with the interval.
func (p *pg) endClaims() {
	for _, e := range p.claim.Drop() {
		if e.OSD == reserve.Self {
			p.ownSlot(e)
		}
	}
	p.returnLent()
}

// tooFullFor says whether the store would be above the backfillfull ratio with everything that the
// backfills to it will bring, and notes what one of them brings.
func (d *Daemon) tooFullFor(m *osdmap.Map, key slotKey, bytes int64) bool {
	u, err := d.store.Usage()
	if err != nil || u.Total == 0 {
		return err != nil
	}
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	coming := max(bytes, 0)
	for k, n := range d.slots.bringing {
		if k.pg != key.pg {
			coming += n
		}
	}
	used := float64(u.Total-u.Available) + float64(coming)
	ratio := float64(max(m.BackfillfullRatio, m.NearfullRatio))
	if ratio > 0 && used > ratio*float64(u.Total) ||
		m.State[d.opt.ID]&(osdmap.OSDBackfillfull|osdmap.OSDFull) != 0 {
		return true
	}
	if d.slots.bringing == nil {
		d.slots.bringing = map[slotKey]int64{}
	}
	d.slots.bringing[key] = max(bytes, 0)
	return false
}

func (d *Daemon) cmdReservations(admin.Args) (any, error) {
	d.slots.mu.Lock()
	defer d.slots.mu.Unlock()
	name := func(k slotKey) string { return k.pg.String() }
	return struct {
		Local  reserve.Dump `json:"local_reservations"`
		Remote reserve.Dump `json:"remote_reservations"`
	}{d.slots.local.Print(name), d.slots.remote.Print(name)}, nil
}
