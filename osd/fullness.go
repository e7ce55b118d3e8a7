package osd

import (
	"cmp"
	"time"

	"glue/cluster/osdmap"
	"glue/internal/admin"
	"glue/wire/message"
)

// fullEvery is how often the monitors are asked for a state that the map does not have.
const fullEvery = time.Second

// fullTick tells the monitors when the store has become fuller or emptier than the map says.
func (d *Daemon) fullTick(now time.Time) {
	m := d.osdmap.Load()
	if now.Sub(d.boot.fullAt) < fullEvery {
		return
	}
	u, err := d.store.Usage()
	if err != nil || u.Total == 0 {
		return
	}
	d.boot.fullAt = now
	have := m.State[d.opt.ID] &
		(osdmap.OSDFull | osdmap.OSDBackfillfull | osdmap.OSDNearfull)
	want := d.room.State(u, m, float32(d.config.Load().set.Float("osd_failsafe_full_ratio")), have)
	if want == have {
		return
	}
	d.log.Warn("fullness has changed", "state", want, "was", have,
		"available", u.Available, "total", u.Total)
	d.mon.Send(&message.MOSDFull{Paxos: message.Paxos{Version: uint64(m.Epoch)},
		OSD: d.opt.ID, Addrs: d.addrs.Public, State: uint32(want)})
}

func (d *Daemon) cmdInjectFull(a admin.Args) (any, error) {
	count, err := a.Int("count", -1)
	if err != nil {
		return nil, err
	}
	kind := cmp.Or(a.Str("type"), "full")
	if err = d.room.Pretend(kind, count); err == nil {
		d.log.Warn("fullness is injected", "state", kind, "count", count)
	}
	return nil, err
}
