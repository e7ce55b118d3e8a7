package objecter

import (
	"errors"
	"fmt"
	"slices"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/wire/message"
	"glue/wire/msgr"
)

// errMoved ends what depended on a connection to an OSD that is down or elsewhere now.
var errMoved = errors.New("the OSD is down or has moved")

// HandleMap takes in osdmaps, from a monitor or from an OSD, one epoch after the other.
func (o *Objecter) HandleMap(b *message.MOSDMap) {
	o.mapping.Lock()
	defer o.mapping.Unlock()
	if fsid := o.mon.FSID(); !fsid.IsZero() && b.FSID != fsid {
		o.log.Warn("osdmap of another cluster", "fsid", b.FSID)
		return
	}
	m := o.Map()
	for {
		next, err := nextMap(m, b)
		if err != nil {
			o.log.Error("osdmap is unusable, asking for a full one", "err", err)
			o.mon.Subscribe("osdmap", 0, true)
			return
		}
		if next == nil {
			break
		}
		m = next
		o.publish(m)
	}
	if m == nil || m.Epoch < b.Last() {
		o.mon.Unsubscribe("osdmap") // a gap: ask from where we are
		o.requestMap()
		return
	}
	o.mon.Got("osdmap", uint64(m.Epoch))
}

// nextMap is the map after m that a message has, nil at its end. Without a map the newest full one
// is taken; a full one bridges a gap.
func nextMap(m *osdmap.Map, b *message.MOSDMap) (*osdmap.Map, error) {
	var have ceph.Epoch
	if m != nil {
		have = m.Epoch
		if raw, ok := b.Incrementals[have+1]; ok {
			inc, err := osdmap.DecodeIncremental(raw)
			if err != nil {
				return nil, fmt.Errorf("incremental %d: %w", have+1, err)
			}
			return m.Apply(inc)
		}
		if raw, ok := b.Maps[have+1]; ok {
			return decodeFull(have+1, raw)
		}
	}
	var full []ceph.Epoch
	for e := range b.Maps {
		if e > have {
			full = append(full, e)
		}
	}
	if len(full) == 0 {
		return nil, nil
	}
	e := slices.Max(full)
	return decodeFull(e, b.Maps[e])
}

func decodeFull(e ceph.Epoch, raw []byte) (*osdmap.Map, error) {
	m, err := osdmap.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("map %d: %w", e, err)
	}
	return m, nil
}

// publish makes a map the present one and moves and resends the requests that it concerns.
func (o *Objecter) publish(m *osdmap.Map) {
	o.mu.Lock()
	o.state = newMapState(m, o.opt.Location)
	dropped := o.checkSessions()
	lost := o.scan()
	close(o.changed)
	o.changed = make(chan struct{})
	o.mu.Unlock()
	for _, op := range lost {
		go o.checkPool(op)
	}
	for _, conn := range dropped {
		o.failCommands(conn, errMoved)
	}
	o.scanLingers()
	if o.opt.Mapped != nil {
		o.opt.Mapped(m)
	}
}

// checkSessions drops the connections to OSDs that are down or elsewhere now; o.mu is held.
func (o *Objecter) checkSessions() (dropped []*msgr.Conn) {
	m := o.state.m
	for osd, s := range o.sessions {
		s.mu.Lock()
		up := m.IsUp(osd)
		moved := up && s.conn != nil && !sameAddrs(s.addrs, m.Addrs(osd))
		if s.conn != nil && (!up || moved) {
			s.conn.Close()
			dropped = append(dropped, s.conn)
			s.conn, s.backoffs, s.pause = nil, nil, 0
			for tid, op := range s.ops {
				op.sent = false
				if op.fixed {
					delete(s.ops, tid)
				}
			}
		}
		s.mu.Unlock()
		if up && s.conn == nil {
			o.dial(s)
		}
	}
	return dropped
}

// sameAddrs says whether one of the addresses we dialled is still the OSD's.
func sameAddrs(dialled, now ceph.AddrVec) bool {
	return len(dialled) > 0 && slices.Contains(now, dialled[0])
}

// scan aims all requests anew, moves them to their sessions and sends what must be sent, in order.
// It returns those whose pool is not in the map. o.mu is held for writing.
func (o *Objecter) scan() (lost []*Op) {
	var again []*Op
	for _, s := range append([]*session{o.homeless}, o.sessionList()...) {
		s.mu.Lock()
		for tid, op := range s.ops {
			changed := o.state.aim(op)
			to := o.home(op)
			switch {
			case to != s || changed:
				delete(s.ops, tid)
				again = append(again, op)
			case !op.sent:
				again = append(again, op)
			}
			if op.target.lost {
				lost = append(lost, op)
			}
		}
		s.mu.Unlock()
	}
	sortByTID(again)
	for _, op := range again {
		if op.fixed && op.sess != o.home(op) {
			continue
		}
		o.home(op).add(o, op)
	}
	return lost
}

func (o *Objecter) sessionList() []*session {
	out := make([]*session, 0, len(o.sessions))
	for _, s := range o.sessions {
		out = append(out, s)
	}
	return out
}

// home is the session that a request belongs to, made if need be; o.mu is held for writing.
func (o *Objecter) home(op *Op) *session {
	if op.target.pl == nil || op.target.osd == noOSD {
		return o.homeless
	}
	osd := op.target.osd
	s := o.sessions[osd]
	if s == nil {
		s = newSession(osd)
		o.sessions[osd] = s
		o.dial(s)
	}
	return s
}
