package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd"
	"glue/osd/endpoints"
	"glue/osd/pinger"
	"glue/sim/memdisk"
	"glue/sim/osdstore"
	"glue/store/objectstore"
	"glue/wire/msgr"
)

const (
	osdPort    = 6800
	maxOSDHeld = 50_000 // steps that may wait for an OSD that is stopped
)

// An osdHost runs one OSD.
type osdHost struct {
	w     *world
	c     *cluster
	id    int32
	end   int
	rng   *rand.Rand
	clock *clock
	uuid  ceph.UUID
	store osdstore.Store
	ail   ailment // of its disk
	lost  bool    // the disk is, and the number is not given to the new one yet
	// replacing: the monitors are being asked to
	replacing bool

	m       *osd.Member // nil while it is down
	dsk     *osdDisk    // as it has it
	mon     *monEdge
	life    int           // counts starts and ends
	inc     int           // counts addresses
	deaf    bool          // the machine is off as well: nobody refuses connections
	turns   []bool        // lanes whose turn is scheduled
	wakes   []int         // counts the alarms of lanes
	disking bool          // the disk works
	slow    int64         // how many times longer that takes
	hung    bool          // it does nothing
	stopped time.Duration // until then the process does nothing
	held    []func()
	tickDue bool
	log     *slog.Logger
}

func newOSDHost(c *cluster, id int32, end int) *osdHost {
	o := &osdHost{w: c.w, c: c, id: id, end: end,
		rng: rand.New(rand.NewPCG(c.w.opt.Seed, uint64(700+id)))}
	o.clock = newClock(&c.w.schedule, o.rng)
	o.log = c.w.log.With("osd", id)
	o.wipe()
	return o
}

// wipe gives the OSD an empty disk.
func (o *osdHost) wipe() {
	o.uuid = ceph.UUID{2, byte(o.id), byte(o.rng.IntN(256)), byte(o.rng.IntN(256))}
	var err error
	if o.store, err = osdstore.New(o.w.opt.Blocks, o.w.opt.Bug); err != nil {
		o.w.fail("new store of osd.%d: %v", o.id, err)
	}
	o.ail.rot = map[ceph.HObject]bool{}
}

func (o *osdHost) addrs() endpoints.Addrs { return osdAddrs(o.id, o.inc) }

// osdAddrs is where an OSD listens with its n-th addresses.
func osdAddrs(id int32, n int) endpoints.Addrs {
	at := func(port uint16) ceph.AddrVec {
		return ceph.AddrVec{{Type: ceph.AddrMsgr2, Nonce: uint32(n), AddrPort: netip.AddrPortFrom(
			netip.AddrFrom4([4]byte{127, 0, 2, byte(id)}), port)}}
	}
	return endpoints.Addrs{Public: at(osdPort), Cluster: at(osdPort + 1), Back: at(osdPort + 2),
		Front: at(osdPort + 3)}
}

// osdAt finds the OSD of an address, and which of its addresses it is.
func (c *cluster) osdAt(v ceph.AddrVec) (o *osdHost, inc int) {
	return c.osds[v[0].AddrPort.Addr().As4()[3]], int(v[0].Nonce)
}

// peer is the OSD as others see it.
func (o *osdHost) peer() msgr.Peer {
	return msgr.Peer{Name: ceph.EntityName{Type: ceph.TypeOSD, Num: int64(o.id)},
		AuthName: ceph.AuthName{Type: ceph.TypeOSD, ID: fmt.Sprint(o.id)}, AllowAll: true,
		Caps: "allow profile osd", Features: ceph.FeaturesAll, Addrs: o.addrs().Public,
		Socket: o.addrs().Public[0].AddrPort}
}

// start starts the daemon on what its disk holds.
func (o *osdHost) start() {
	if o.m != nil || o.lost || o.w.over() {
		return
	}
	o.life++
	o.w.trace("start", "osd", o.id)
	o.renew()
	o.forgetLost()
	o.dsk = &osdDisk{Store: o.disk(), o: o}
	o.held, o.tickDue, o.stopped, o.disking, o.deaf = nil, false, 0, false, false
	o.mon = newMonEdge(o)
	m, err := osd.OpenMember(osd.Options{ID: o.id, FSID: o.w.fsid, UUID: o.uuid, Store: o.dsk,
		Log: o.log, Config: o.c.osdConfig,
		Metadata: map[string]string{"hostname": o.c.hostname(o.id)},
		ReadMap: func(before *osdmap.Map, raw []byte) (*osdmap.Map, error) {
			return o.c.maps.readFor(o, before, raw)
		}},
		osd.Edges{Now: o.clock.timeOfDay, Addrs: o.addrs(), Renew: o.renew, Mon: o.mon,
			Connect: o.connect, Beat: o.beat})
	if err != nil {
		o.life++
		if o.mon.gone(); !o.dsk.failed {
			o.w.fail("osd.%d does not start: %v", o.id, err)
		}
		return
	}
	o.m = m
	o.turns, o.wakes = make([]bool, m.Lanes()), make([]int, m.Lanes())
	o.mon.caller.seek()
	o.settle()
	o.ticks(o.life, o.w.now+time.Duration(o.rng.Int64N(int64(osd.ControlTick))))
}

// disk is the store, with the bug of the run.
func (o *osdHost) disk() objectstore.Store {
	if f := o.c.hasty; f != nil {
		return hastyStore{o.store, o, o.life, f}
	}
	if f := o.c.spoil; f != nil {
		return spoiledStore{o.store, f}
	}
	return o.store
}

// renew gives the OSD another address: osd.Edges.
func (o *osdHost) renew() endpoints.Addrs {
	o.c.hangUp(o)
	o.inc++
	return o.addrs()
}

func (o *osdHost) ticks(life int, at time.Duration) {
	o.w.at(at, func() {
		if o.life != life || o.w.over() {
			return
		}
		if o.stopped > o.w.now {
			o.tickDue = true
		} else {
			o.do((*osd.Member).Tick)
		}
		if o.life == life {
			o.ticks(life, at+o.clock.stretch(osd.ControlTick))
		}
	})
}

// do has the daemon do one step, now or when it runs again.
func (o *osdHost) do(step func(m *osd.Member)) {
	if o.m == nil || o.w.bad != nil {
		return
	}
	if o.stopped > o.w.now {
		if life := o.life; len(o.held) < maxOSDHeld {
			o.held = append(o.held, func() {
				if o.life == life {
					o.do(step)
				}
			})
		}
		return
	}
	defer func() {
		if p := recover(); p != nil {
			o.w.fail("osd.%d: panic: %v\n%s", o.id, p, debug.Stack())
		}
	}()
	step(o.m)
	o.settle()
}

// settle sees to what the daemon wants to do next.
func (o *osdHost) settle() {
	o.w.mix(uint64(o.w.now), uint64(o.end))
	if err := o.m.Err(); err != nil {
		switch {
		case errors.Is(err, osd.ErrMarkedDown), o.hung && errors.Is(err, pinger.ErrHangs):
			o.gaveUp(err)
		case !o.dsk.failed:
			o.w.fail("osd.%d stops by itself: %v", o.id, err)
		}
		return
	}
	life := o.life
	for lane := range o.turns {
		ready, wait := o.m.Ready(lane)
		switch {
		case o.turns[lane]:
		case ready:
			o.turns[lane] = true
			o.w.after(o.latency(), func() { o.turn(life, lane) })
		case wait > 0:
			o.wakes[lane]++
			n := o.wakes[lane]
			o.w.after(o.clock.stretch(wait), func() {
				if o.life == life && o.wakes[lane] == n && !o.turns[lane] {
					o.turn(life, lane)
				}
			})
		}
	}
	o.write()
}

// latency is how long it takes until a goroutine runs.
func (o *osdHost) latency() time.Duration {
	most := int64(50 * time.Microsecond)
	if o.rng.IntN(100) == 0 {
		most = int64(5 * time.Millisecond)
	}
	return time.Duration(1 + o.rng.Int64N(most))
}

func (o *osdHost) turn(life, lane int) {
	if o.life != life {
		return
	}
	o.do(func(m *osd.Member) {
		o.turns[lane] = false
		m.Turn(lane)
	})
}

// write lets the disk make some of what was submitted durable.
func (o *osdHost) write() {
	if o.disking || o.hung || o.store.Pending() == 0 {
		return
	}
	o.disking = true
	d := 50*time.Microsecond + time.Duration(o.rng.Int64N(int64(time.Millisecond)))
	d *= time.Duration(max(1, o.slow))
	if o.c.hasty != nil {
		d += 3 * time.Second
	}
	life := o.life
	o.w.after(d, func() {
		if o.life == life {
			o.do(func(*osd.Member) {
				n := o.store.Pending() // none, if a disk was damaged meanwhile
				if o.disking = false; n > 0 && !o.hung && o.dsk.touch(memdisk.NoWrites) == nil {
					o.store.Complete(1 + o.rng.IntN(n))
				}
			})
		}
	})
}

// unhang lets the disk work again.
func (o *osdHost) unhang() {
	if o.hung = false; o.m != nil {
		o.do(func(*osd.Member) {})
	}
}

// gaveUp takes that the daemon has ended because it was marked down too often, or its disk hangs.
// Somebody starts it again.
func (o *osdHost) gaveUp(err error) {
	o.w.trace("ended by itself", "osd", o.id, "err", err)
	o.w.result.OSDsGaveUp++
	o.crash(false)
	o.w.after(o.w.jitter(5*time.Second), o.start)
}

// stop keeps the process from running for a while.
func (o *osdHost) stop(d time.Duration) {
	if o.m == nil {
		return
	}
	life := o.life
	o.stopped = max(o.stopped, o.w.now+d)
	o.w.at(o.stopped, func() {
		if o.life == life && o.stopped <= o.w.now {
			o.resume()
		}
	})
}

// resume does what has come up meanwhile.
func (o *osdHost) resume() {
	list, due := o.held, o.tickDue
	o.held, o.tickDue = nil, false
	first := o.rng.IntN(2) == 0
	if due && first {
		o.do((*osd.Member).Tick)
	}
	for _, f := range list {
		f()
	}
	if due && !first {
		o.do((*osd.Member).Tick)
	}
}

// crash ends the daemon. Some beginning of what was not durable yet became so all the same. deaf:
// the machine goes with it, so that nobody refuses connections.
func (o *osdHost) crash(deaf bool) {
	if o.m == nil {
		return
	}
	o.w.trace("crash", "osd", o.id, "deaf", deaf)
	o.w.result.OSDCrashes++
	var err error
	if o.store, err = o.store.Crash(o.rng, deaf); err != nil {
		o.w.fail("the store of osd.%d after a crash: %v", o.id, err)
	}
	o.m, o.slow, o.deaf = nil, 0, deaf
	o.life++
	o.mon.gone()
	o.c.hangUp(o)
	for _, u := range o.c.users {
		u.osdGone(o, deaf)
	}
}

// status is what the OSD has, for people.
func (o *osdHost) status() string {
	if o.m == nil {
		return fmt.Sprintf("osd.%d is not there\n", o.id)
	}
	e := ceph.Epoch(0)
	if m := o.m.OSDMap(); m != nil {
		e = m.Epoch
	}
	text := fmt.Sprintf("osd.%d epoch %d booted %v, %d writes pending\n", o.id, e, o.m.Booted(),
		o.store.Pending())
	for _, p := range o.m.PGs() {
		if p.Primary {
			text += fmt.Sprintf("  %v %v up %v acting %v missing %d clean %v\n", p.ID, p.State,
				p.Up, p.Acting, p.Missing, p.Clean)
		}
	}
	return text
}

// sortedEnds is for walking through lines in a fixed order.
func sortedLines(lines map[lineKey]*line) []*line {
	return slices.SortedFunc(maps.Values(lines), func(a, b *line) int { return a.n - b.n })
}
