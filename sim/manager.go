package sim

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/osd"
	"glue/sim/plant"
	"glue/wire/message"
)

// A manager takes the statistics of OSDs and tells the monitors their sum, as managers do; nothing
// else of a manager is simulated. Sessions end and begin as those of other callers.
type manager struct {
	caller
	c     *cluster
	m     *osdmap.Map
	pgs   *pgstat.PGMap
	addrs ceph.AddrVec
	spoil func(p *pgstat.PG, m *osdmap.Map) // as an OSD with a bug would
}

func newManager(c *cluster, end int) *manager {
	g := &manager{c: c, pgs: pgstat.NewPGMap(), caller: newCaller(c.w, end,
		rand.New(rand.NewPCG(c.w.opt.Seed, uint64(591))))}
	g.addrs = ceph.AddrVec{{Type: ceph.AddrMsgr2, Nonce: 1,
		AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 4, 1}), 6800)}}
	g.peer.AuthName = ceph.AuthName{Type: ceph.TypeMgr, ID: "x"}
	g.peer.Name.Type, g.peer.Addrs = ceph.TypeMgr, g.addrs
	g.opened, g.heard, g.ended = g.connected, g.receive, func() {}
	g.spoil = plant.Stats[c.w.opt.Bug]
	c.keepAlive(&g.caller)
	return g
}

func (g *manager) begin() {
	g.seek()
	g.work()
}

func (g *manager) connected(k *conn) {
	g.peer.GlobalID, g.peer.Name.Num = k.peer.GlobalID, int64(k.peer.GlobalID) // kept from now on
	start := uint64(0)
	if g.m != nil {
		start = uint64(g.m.Epoch) + 1
	}
	k.submit(message.New(&message.MMonSubscribe{What: map[string]message.SubscribeItem{
		"osdmap": {Start: start}}}))
}

func (g *manager) receive(k *conn, m *message.Message) {
	b, ok := g.w.carried(m).Body.(*message.MOSDMap)
	if !ok || g.conn != k {
		return
	}
	for e := b.First(); e <= b.Last(); e++ {
		var next *osdmap.Map
		var err error
		switch raw, full := b.Maps[e]; {
		case g.m != nil && e <= g.m.Epoch:
			continue
		case full:
			next, err = g.c.maps.read(nil, raw)
		case g.m != nil && g.m.Epoch == e-1:
			next, err = g.c.maps.read(g.m, b.Incrementals[e])
		}
		if err != nil {
			g.w.fail("the manager: map %d: %v", e, err)
			return
		}
		if next != nil {
			g.m = next
			g.pgs.TakeMap(next, ceph.TimeOf(epoch.Add(g.w.now)))
		}
	}
}

// work tells the monitors what there is to tell, every few seconds.
func (g *manager) work() {
	if g.w.over() {
		return
	}
	g.w.after(500*time.Millisecond+g.wait(3*time.Second), g.work)
	if g.conn == nil || g.m == nil {
		return
	}
	g.conn.submit(message.New(&message.MMgrBeacon{FSID: g.w.fsid, GID: g.peer.GlobalID, Name: "x",
		Addrs: g.addrs, Available: true, Features: ceph.FeaturesAll}))
	g.pgs.Refresh(g.m)
	d := g.pgs.Digest
	d.PurgedSnaps = maps.Clone(d.PurgedSnaps)
	for pool, list := range d.PurgedSnaps {
		for _, id := range g.c.snaps.gone {
			if g.c.snaps.known(id) {
				list = osdmap.SubtractSnaps(list, []osdmap.SnapRange{{Start: id, Len: 1}})
			}
		}
		d.PurgedSnaps[pool] = list
	}
	g.conn.submit(message.New(&message.MMonMgrReport{GID: g.peer.GlobalID,
		Digest: denc.Marshal(&d, ceph.FeaturesAll)}))
}

// take takes an OSD's statistics.
func (g *manager) take(o *osdHost, wire message.Wrapped) {
	m, err := wire.Unwrap(ceph.FeaturesAll)
	if err != nil {
		g.w.fail("osd.%d sends the manager what it can't read: %v", o.id, err)
		return
	}
	b, ok := m.Body.(*message.MPGStats)
	if !ok || g.m == nil {
		return
	}
	stat, list := &pgstat.OSD{}, map[ceph.PGID]*pgstat.PG{}
	err = denc.Unmarshal(b.OSDStat, stat, ceph.FeaturesAll)
	for id, section := range b.PGs {
		p := &pgstat.PG{}
		if e := denc.Unmarshal(section, p, ceph.FeaturesAll); e != nil {
			err = e
		}
		if g.spoil != nil {
			g.spoil(p, g.m)
		}
		list[id] = p
		if s := g.c.snaps; s != nil && p.State&(pgstat.SnapTrim|pgstat.SnapTrimWait) != 0 {
			s.trims = g.w.now
		}
	}
	if err != nil {
		g.w.fail("osd.%d reports what can't be read: %v", o.id, err)
		return
	}
	g.pgs.TakeReport(o.id, stat, list, g.m, ceph.TimeOf(epoch.Add(g.w.now)))
}

// A mgrLink is the connection of an OSD to the manager.
type mgrLink struct {
	o    *osdHost
	life int
	over bool
}

// Send sends: osd.Link.
func (l *mgrLink) Send(m *message.Message) {
	if l.over {
		return
	}
	wire, g := message.Wrap(m, ceph.FeaturesAll), l.o.c.manager
	l.o.w.net.Links[l.o.end][g.end].Send(0, func() { g.take(l.o, wire) }, l.snap)
}

// Close ends it: osd.Link.
func (l *mgrLink) Close() { l.over = true }

// snap breaks it, which the OSD learns some time later.
func (l *mgrLink) snap() {
	if l.over {
		return
	}
	l.over = true
	l.o.w.after(l.o.c.manager.wait(breakSeen), func() {
		if l.o.life == l.life {
			l.o.do(func(m *osd.Member) { m.Broken(l) })
		}
	})
}
