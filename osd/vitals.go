package osd

import (
	"fmt"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/options"
	"glue/osd/heartbeat"
	"glue/osd/pinger"
)

// newPinger makes the heartbeats of a daemon, which has its edges later.
func (d *Daemon) newPinger() *pinger.Pinger {
	list := []pinger.Watched{{Name: "the store", Mark: d.backlog.Mark},
		{Name: "the control goroutine", Mark: d.lane.Mark}}
	for i, s := range d.shards {
		list = append(list, pinger.Watched{Name: fmt.Sprint("shard ", i), Mark: s.lane.Mark})
	}
	return pinger.New(pinger.Config{ID: d.opt.ID, Log: d.log, Start: d.start, Now: d.now,
		Map:     func() *osdmap.Map { return d.osdmap.Load() },
		Booted:  func() bool { return d.booted.Load() && !d.ending.Load() },
		Options: func() options.Set { return d.config.Load().set },
		Mon:     func() pinger.Monitors { return d.mon },
		Connect: func(over heartbeat.Net, to ceph.AddrVec) pinger.Beat { return d.beat(over, to) },
		Watched: func() []pinger.Watched { return list }, Fail: d.fail})
}
