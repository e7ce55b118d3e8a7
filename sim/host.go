package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/mon"
	"glue/mon/quorum"
	"glue/sim/memdisk"
	"glue/sim/plant"
	"glue/wire/message"
	"glue/wire/msgr"
)

const (
	basePort = 3300
	storeDir = "mon"
	maxSteps = 20_000 // that may wait for a host that has stopped
)

// A host runs one monitor.
type host struct {
	w     *world
	id    int // its end of the network, and the order of the monitors' names
	name  string
	rng   *rand.Rand
	disk  *memdisk.Disk
	clock *clock
	seal  [keyring.SealKeyBytes]byte

	in      bool        // it has a store
	member  uint64      // the store's id, once it was opened
	m       *mon.Member // nil while it is down
	life    int         // counts starts and ends
	peers   map[int]*mon.Session
	cables  map[int]*cable
	armed   int
	stopped time.Duration // until then it does nothing, as when its process is stopped
	held    []func()      // what it has to do after that
	tickDue bool          // a tick among it; more than one are not kept
	lag     time.Duration // how long after the step that is done now its messages leave
	slow    time.Duration // how long a sync may take
	mute    bool          // what it sends of the log's entries is lost
	tail    tail          // for a planted bug
}

func (h *host) addrs() ceph.AddrVec {
	return ceph.AddrVec{{Type: ceph.AddrMsgr2, AddrPort: netip.AddrPortFrom(
		netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(basePort+h.id))}}
}

// makeHosts makes hosts, and the stores of the first monitors.
func (w *world) makeHosts(mons, n, osds int) {
	members, config := map[string]ceph.AddrVec{}, map[string]string{"mon_allow_pool_delete": "true"}
	leaf := 0
	if w.cluster != nil {
		maps.Copy(config, w.cluster.monConfig())
		leaf = 1
	}
	for i := range n {
		h := &host{w: w, id: i, name: string(rune('a' + i)), disk: memdisk.New(),
			rng: rand.New(rand.NewPCG(w.opt.Seed, uint64(100+i)))}
		h.clock = newClock(&w.schedule, h.rng)
		if w.opt.Bug == plant.LongLease {
			h.clock.lease = 4
		}
		if w.hosts = append(w.hosts, h); i < mons {
			members[h.name] = h.addrs()
		}
	}
	for _, h := range w.hosts[:mons] {
		var err error
		h.in = true
		h.seal, err = mon.MkfsOn(h.disk, storeDir, mon.Bootstrap{
			FSID: w.fsid, Name: h.name, Members: members, Keyring: ring(osds), Now: epoch,
			Config: config, CrushLeafType: leaf,
		})
		if err != nil {
			panic(err)
		}
		h.disk.Crash(memdisk.LoseAll, 0) // what mkfs has made is durable, or the daemon will tell
	}
}

// ring is the keys of the new cluster.
func ring(osds int) []byte {
	var key [32]byte
	key[0] = 1
	chance := rand.NewChaCha8(key)
	var text string
	names := []string{"mon.", "client.admin"}
	for i := range max(osds, 3) {
		names = append(names, fmt.Sprintf("osd.%d", i))
	}
	for _, n := range names {
		name, err := ceph.ParseAuthName(n)
		if err != nil {
			panic(err)
		}
		k, err := keyring.Generate(chance, epoch)
		if err != nil {
			panic(err)
		}
		e := keyring.Entry{Name: name, Key: k, Caps: map[string]string{"mon": "allow *"}}
		text += e.Format()
	}
	return []byte(text)
}

// start starts the daemon.
func (h *host) start() {
	if h.m != nil || !h.in || h.w.bad != nil {
		return
	}
	h.life++
	h.w.trace("start", "mon", h.name)
	h.disk.Started(false)
	h.peers, h.cables, h.held, h.tickDue = map[int]*mon.Session{}, map[int]*cable{}, nil, false
	h.stopped = 0
	if h.w.opt.Bug == plant.StaleTail {
		h.restoreTail()
	}
	m, err := mon.OpenMember(mon.Options{
		Dir: storeDir, Name: h.name, Log: h.w.log.With("mon", h.name), Hostname: "host-" + h.name,
		Listen: h.addrs(),
	}, mon.Edges{
		FS: h.disk, Seal: h.seal, Now: h.clock.timeOfDay, Monotonic: h.clock.monotonic,
		Arm: h.arm, Carry: h.carry, Dial: h.dial,
	})
	switch {
	case err != nil && h.disk.Failed():
		h.diskFailed(err)
		return
	case err != nil:
		h.w.fail("mon.%s does not start: %v", h.name, err)
		return
	}
	h.disk.Started(h.w.opt.Bug == plant.NotDurable)
	h.m, h.member = m, m.ID()
	h.w.check.reopened(h)
	h.w.check.started(h)
	h.do((*mon.Member).Settle)
	h.ticks(h.life, h.w.now+time.Duration(h.rng.Int64N(int64(quorum.TickEvery))))
}

// ticks lets Raft's time go by until this life ends.
func (h *host) ticks(life int, at time.Duration) {
	h.w.at(at, func() {
		if h.life != life || h.w.over() {
			return
		}
		if h.stopped > h.w.now {
			h.tickDue = true
		} else {
			h.do((*mon.Member).Tick)
		}
		if h.life == life {
			h.ticks(life, at+h.clock.stretch(quorum.TickEvery))
		}
	})
}

func (h *host) arm(d time.Duration) {
	h.armed++
	armed, life := h.armed, h.life
	h.w.after(h.clock.stretch(d), func() {
		if h.armed == armed && h.life == life {
			h.do((*mon.Member).Settle)
		}
	})
}

// do has the daemon do one step, now or when it runs again.
func (h *host) do(step func(m *mon.Member) error) {
	if h.m == nil || h.w.bad != nil {
		return
	}
	if h.stopped > h.w.now {
		if life := h.life; len(h.held) < maxSteps {
			h.held = append(h.held, func() {
				if h.life == life {
					h.do(step)
				}
			})
		}
		return
	}
	h.lag = 0
	if h.slow > 0 && h.rng.IntN(3) == 0 {
		h.lag = time.Duration(h.rng.Int64N(int64(h.slow)))
	}
	err, panicked := h.guarded(step)
	h.w.mix(uint64(h.w.now), uint64(h.id), h.m.Applied())
	if h.disk.IsOff() {
		h.crash(memdisk.TearSome)
		return
	}
	if errors.Is(err, mon.ErrRemoved) {
		h.w.members.removed(h, err)
		return
	}
	switch {
	case err != nil && !panicked && h.disk.Failed():
		h.diskFailed(err)
		return
	case err != nil:
		h.w.fail("mon.%s stops by itself: %v", h.name, err)
		return
	}
	h.disk.Settled()
	h.w.check.stepped(h)
	if h.w.opt.Bug == plant.StaleTail {
		h.noteTail()
	}
	if h.lag > 0 {
		h.stop(h.lag)
	}
}

// guarded turns a panic into an error.
func (h *host) guarded(step func(m *mon.Member) error) (err error, panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			panicked = true
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return step(h.m), false
}

// stop keeps the daemon from doing anything for a while: its process is stopped, or waits for its
// disk.
func (h *host) stop(d time.Duration) {
	if h.m == nil {
		return
	}
	life := h.life
	h.stopped = max(h.stopped, h.w.now+d)
	h.w.at(h.stopped, func() {
		if h.life == life && h.stopped <= h.w.now {
			h.resume()
		}
	})
}

// resume does what has come up meanwhile. Whether it hears of the time or of messages first is
// chance.
func (h *host) resume() {
	list, due := h.held, h.tickDue
	h.held, h.tickDue = nil, false
	first := h.rng.IntN(2) == 0
	if due && first {
		h.do((*mon.Member).Tick)
	}
	for _, f := range list {
		f()
	}
	if due && !first {
		h.do((*mon.Member).Tick)
	}
}

// crash ends the daemon, with what was not synced lost as said.
func (h *host) crash(l memdisk.Loss) {
	if h.m == nil {
		return
	}
	h.w.trace("crash", "mon", h.name, "loss", int(l))
	h.w.result.Crashes++
	m := h.m
	h.w.check.closing(h)
	h.m, h.slow, h.lag = nil, 0, 0
	h.life++
	h.disk.Cut()
	_ = m.Close()
	h.disk.Crash(l, h.rng.Uint64())
	for end := range h.w.net.Links {
		h.w.net.Links[end][h.id].Reset()
		if h.rng.IntN(2) == 0 {
			h.w.net.Links[h.id][end].Reset()
		}
	}
	h.snapCables()
	for _, c := range h.w.clients {
		c.hostGone(h)
	}
	h.w.cluster.monGone(h)
}

// carry sends a message to another monitor: mon.Edges.
func (h *host) carry(to ceph.AddrVec, b message.Body) {
	i := int(to[0].AddrPort.Port()) - basePort
	if h.disk.IsOff() || i < 0 || i >= len(h.w.hosts) {
		return
	}
	if h.mute && carriesEntries(b) {
		return
	}
	b = h.w.tamper(b)
	other := h.w.hosts[i]
	h.w.net.Links[h.id][i].Send(h.lag, func() {
		other.do(func(m *mon.Member) error {
			s, err := other.peer(h)
			if err != nil {
				return err
			}
			return m.Deliver(s, message.New(b))
		})
	}, nil)
}

// peer is the session of another monitor.
func (h *host) peer(o *host) (*mon.Session, error) {
	if s := h.peers[o.id]; s != nil {
		return s, nil
	}
	s, err := h.m.Accept(&peerLink{h, o})
	h.peers[o.id] = s
	return s, err
}

// A peerLink is how a monitor answers another one.
type peerLink struct{ h, o *host }

func (l *peerLink) Send(m *message.Message) { l.h.carry(l.o.addrs(), m.Body) }
func (l *peerLink) Close()                  { delete(l.h.peers, l.o.id) }
func (l *peerLink) Peer() msgr.Peer {
	return msgr.Peer{
		Name:     ceph.EntityName{Type: ceph.TypeMon, Num: int64(l.o.id)},
		AuthName: ceph.AuthName{Type: ceph.TypeMon, ID: l.o.name}, AllowAll: true,
		Features: ceph.FeaturesAll, Socket: l.o.addrs()[0].AddrPort,
	}
}
