package osd

import (
	"cmp"
	"maps"
	"slices"

	"glue/osd/ops"
	"glue/osd/peering"
	"glue/wire/message"
)

// A backoff tells a client to send nothing for a PG until it is told otherwise.
type backoff struct {
	id   uint64
	conn link
}

// backsOff says whether a PG is in a state that may last: requests are then sent back to where
// they came from, instead of piling up here (PG::add_pg_backoff).
func (p *pg) backsOff() bool {
	switch p.m.State() {
	case peering.Down, peering.Incomplete:
		return true
	}
	return p.active && !p.writeable
}

// backOff answers a request with a backoff of the whole PG. The client sends it again later.
func (p *pg) backOff(op *clientOp) {
	if p.backoffs[op.sess] == nil {
		p.s.backoffs++
		b := &backoff{id: p.s.backoffs<<8 | uint64(p.s.index), conn: op.conn}
		if p.backoffs == nil {
			p.backoffs = map[*session]*backoff{}
		}
		p.backoffs[op.sess] = b
		p.sendBackoff(b, message.BackoffBlock)
	}
	op.release(p)
}

// backOffWaiting sends back what waits, when the PG has got into a state that may last.
func (p *pg) backOffWaiting() {
	if len(p.waiting) == 0 || !p.backsOff() {
		return
	}
	waiting := p.waiting
	p.waiting = nil
	for _, op := range waiting {
		switch {
		case op.copier():
			p.waiting = append(p.waiting, op) // an OSD knows no backoffs
		case op.sess != nil:
			p.backOff(op)
		}
	}
}

// releaseBackoffs lets the clients send again.
func (p *pg) releaseBackoffs() {
	list := slices.SortedFunc(maps.Values(p.backoffs),
		func(a, b *backoff) int { return cmp.Compare(a.id, b.id) })
	for _, b := range list {
		p.sendBackoff(b, message.BackoffUnblock)
	}
	p.backoffs = nil
}

func (p *pg) sendBackoff(b *backoff, action uint8) {
	begin, end := ops.Bounds(p.id.PGID, p.pool.PGNum)
	b.conn.Send(message.New(&message.MOSDBackoff{PG: p.id, Epoch: p.s.osdmap.Epoch,
		Action: action, ID: b.id, Begin: begin, End: end}))
}
