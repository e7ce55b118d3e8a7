package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/osd/snaps"
	"glue/sim/loglen"
	"glue/sim/memdisk"
	"glue/store/objectstore"
	"glue/wire/message"
)

// cleanWithin is how soon after the end of all faults every PG is active and clean.
const cleanWithin = 30 * time.Second

// A cluster is the OSDs of a run, and who uses them.
type cluster struct {
	w         *world
	rng       *rand.Rand
	osds      []*osdHost
	users     []*user
	operator  *operator
	snaps     *snapshots // nil: users take none
	manager   *manager   // nil likewise
	roll      *roll      // nil: users don't watch
	cleanAt   time.Duration
	objects   objects
	lines     map[lineKey]*line
	maps      sharedMaps
	count     int
	pool      int64
	size      int
	perHost   int
	thin      map[thinPG]ceph.Epoch // PGs that served with too few copies when last looked at
	calm      bool                  // nothing is changed by itself
	osdConfig map[string]string
	grace     string
	rotten    *osdHost   // whose disk may be damaged, until the next rest
	scrubbing *scrubbing // at a rest
	// tamper may change a message between OSDs, as if its sender had a bug, or lose it: true.
	tamper func(from, to *osdHost, b message.Body) bool
	// hasty says which transactions are called durable at once, spoil changes one, as bugs do.
	hasty func(t *objectstore.Transaction) bool
	spoil func(t *objectstore.Transaction)
}

const poolName = "p"

// newCluster makes the OSDs and users of a run; their ends begin at a number.
func newCluster(w *world, osds, users int) *cluster {
	c := &cluster{w: w, rng: rand.New(rand.NewPCG(w.opt.Seed, 600)), lines: map[lineKey]*line{},
		maps: sharedMaps{list: map[string]*osdmap.Map{}}}
	c.objects = objects{w: w, before: map[string]snapState{}}
	if w.opt.Snaps {
		c.snaps = &snapshots{c: c, ofPool: w.opt.PoolSnaps, names: map[ceph.SnapID]string{},
			maps: map[ceph.Epoch]snaps.Context{}}
	}
	if w.opt.Snaps && w.opt.PoolSnaps {
		c.maps.seen = c.snaps.heard
	}
	if w.opt.Watches {
		c.roll = &roll{c: c, knows: map[fence]time.Duration{}}
	}
	c.plant(w.opt.Bug)
	c.objects.forget()
	c.grace = []string{"2", "5", "20"}[c.rng.IntN(3)]
	c.perHost = 1 + c.rng.IntN(2)
	c.size = 2 + c.rng.IntN(2)
	if c.size > (osds+c.perHost-1)/c.perHost {
		c.perHost = 1
	}
	c.osdConfig = map[string]string{"osd_heartbeat_grace": c.grace,
		"osd_heartbeat_interval":        []string{"0.5", "2", "6"}[c.rng.IntN(3)],
		"osd_min_pg_log_entries":        "20",
		"osd_max_pg_log_entries":        strconv.Itoa(loglen.Entries),
		"osd_pg_log_dups_tracked":       strconv.Itoa(cmp.Or(w.opt.Dups, 3000)),
		"osd_backfill_retry_interval":   "2",
		"osd_beacon_report_interval":    "30",
		"osd_op_queue":                  []string{"mclock_scheduler", "wpq"}[c.rng.IntN(2)],
		"osd_mclock_profile":            []string{"balanced", "high_client_ops"}[c.rng.IntN(2)],
		"osd_max_backfills":             fmt.Sprint(1 + c.rng.IntN(2)),
		"osd_recovery_sleep":            []string{"0", "0.01", "0.03"}[c.rng.IntN(3)],
		"osd_op_num_shards":             fmt.Sprint(1 + c.rng.IntN(3)),
		"osd_max_markdown_count":        []string{"1", "5", "1000"}[c.rng.IntN(3)],
		"osd_max_scrubs":                fmt.Sprint(1 + c.rng.IntN(4)),
		"osd_scrub_auto_repair":         fmt.Sprint(c.rng.IntN(2) == 0),
		"osd_scrub_chunk_min":           "3",
		"osd_scrub_chunk_max":           []string{"5", "25"}[c.rng.IntN(2)],
		"osd_recovery_max_single_start": fmt.Sprint(1 + c.rng.IntN(2)),
	}
	c.osdConfig["osd_target_pg_log_entries_per_osd"] = []string{"40", "400"}[c.rng.IntN(2)]
	c.scheduleScrubs()
	return c
}

// monConfig is the central configuration.
func (c *cluster) monConfig() map[string]string {
	return map[string]string{"osd_heartbeat_grace": c.grace,
		"mon_osd_down_out_interval": []string{"20", "600"}[c.rng.IntN(2)],
		"mon_max_pg_per_osd":        "1000"}
}

// monGone tells callers that a monitor has ended.
func (c *cluster) monGone(h *host) {
	if c == nil {
		return
	}
	for _, o := range c.osds {
		if o.mon != nil && o.m != nil {
			o.mon.caller.hostGone(h)
		}
	}
	for _, u := range c.users {
		u.hostGone(h)
	}
	c.operator.hostGone(h)
	if c.manager != nil {
		c.manager.hostGone(h)
	}
}

func (c *cluster) hostname(osd int32) string { return fmt.Sprintf("rack%d", int(osd)/c.perHost) }

// populate makes the OSDs and the users at the network's ends from one on.
func (c *cluster) populate(first, osds, users int) {
	for i := range osds {
		c.osds = append(c.osds, newOSDHost(c, int32(i), first+i))
	}
	for i := range users {
		c.users = append(c.users, newUser(c, i, first+osds+i))
	}
	c.operator = newOperator(c, first+osds+users)
	if c.snaps != nil {
		c.manager = newManager(c, first+osds+users+1)
	}
}

// start begins everything.
func (c *cluster) start() {
	for _, o := range c.osds {
		c.w.at(c.w.now+time.Duration(c.rng.Int64N(int64(3*time.Second))), o.start)
	}
	c.operator.seek()
	pgs := 1 << c.rng.IntN(4)
	c.operator.do(cmd(`{"prefix":"osd pool create","pool":%q,"pg_num":%d,"size":%d}`, poolName,
		pgs, c.size), func(result int32) {
		if result != 0 {
			c.w.fail("pool create: %d", result)
		}
	})
	c.operator.do(cmd(`{"prefix":"osd dump","format":"json"}`), func(int32) {
		m := c.newestMap()
		c.pool, _ = m.PoolByName(poolName)
		for _, u := range c.users {
			u.begin()
		}
		if c.snaps != nil {
			c.manager.begin()
			c.snaps.begin()
		}
		c.resizes()
		c.audit()
	})
}

// newestMap is the newest OSD map of any monitor.
func (c *cluster) newestMap() *osdmap.Map {
	var newest *osdmap.Map
	for _, h := range c.w.hosts {
		if h.m != nil && h.m.Applied() > 0 {
			if m := h.m.OSDMap(); newest == nil || m.Epoch > newest.Epoch {
				newest = m
			}
		}
	}
	return newest
}

// objectName is one of the few objects in use, others every 20 s. They come again after more time
// than is between two rests, which keeps histories short.
func (c *cluster) objectName(rng *rand.Rand) string {
	const sets = 30
	return fmt.Sprintf("o%d-%d", c.w.now/(20*time.Second)%sets, rng.IntN(5))
}

// heal ends all faults of OSDs.
func (c *cluster) heal() {
	c.calm = true
	for _, o := range c.osds {
		o.slow, o.stopped, o.clock.step = 0, min(o.stopped, c.w.now), 0
		o.unhang()
		o.ail.fails, o.ail.fill = memdisk.Fine, 0
		switch {
		case o.lost:
			o.replace()
		case o.m == nil:
			o.start()
		default:
			o.resume()
		}
	}
	c.operator.heal()
}

// watch sees to it that all PGs get clean in time.
func (c *cluster) watch(healed time.Duration) {
	var look func()
	look = func() {
		switch took := c.w.now - healed; {
		case c.w.bad != nil:
		case c.clean() == "":
			c.cleanAt = c.w.now
			c.w.result.SlowestClean = max(c.w.result.SlowestClean, took)
		case took > cleanWithin:
			c.w.fail("not clean within %v of healing: %s\n%s", cleanWithin, c.clean(), c.status())
		default:
			c.w.after(100*time.Millisecond, look)
		}
	}
	look()
}

// clean says why not all PGs are active and clean, "" if they are.
func (c *cluster) clean() string {
	m := c.newestMap()
	if m == nil {
		return "no map"
	}
	if why := c.operator.busy(); why != "" {
		return why
	}
	count := map[ceph.PGID]bool{}
	for _, o := range c.osds {
		if o.m == nil || !o.m.Booted() || o.m.OSDMap().Epoch < m.Epoch {
			return fmt.Sprintf("osd.%d is not up to date", o.id)
		}
		for _, p := range o.m.PGs() {
			if p.Primary && p.Clean && !p.Stats.Estimated {
				count[p.ID.PGID] = true
			}
		}
	}
	want := 0
	for _, id := range m.PoolIDs() {
		want += int(m.Pools[id].PGNum)
		if m.Pools[id].PGNumPending < m.Pools[id].PGNum {
			return "two PGs are to be merged"
		}
	}
	if len(count) != want {
		return fmt.Sprintf("%d of %d PGs are clean", len(count), want)
	}
	return ""
}

func (c *cluster) status() string {
	var out strings.Builder
	if m := c.newestMap(); m != nil {
		fmt.Fprintf(&out, "epoch %d flags %v temp %v\n", m.Epoch, m.Flags, m.PGTemp)
	}
	for _, o := range c.osds {
		out.WriteString(o.status())
	}
	for _, u := range c.users {
		for _, r := range u.list {
			fmt.Fprintf(&out, "user %d tid %d %s %v since %v to %v, sent %v\n", u.n, r.tid,
				r.object, r.in, r.call, r.to, r.sent != nil)
		}
	}
	return out.String()
}

func (c *cluster) hush(yes bool) {
	for _, u := range c.users {
		u.quiet = yes
		if c.snaps != nil {
			u.snaps = c.snaps.context
		}
	}
}

// rest is when all is well and nobody does anything: then everything can be looked at, and then is
// called.
func (c *cluster) rest(by time.Duration, then func()) {
	switch why := c.clean(); {
	case why == "":
	case c.rotten != nil && c.w.now < by: // a scrub from before has what is rotten repaired
		c.w.after(100*time.Millisecond, func() { c.rest(by, then) })
		return
	default:
		c.w.fail("not clean at rest: %s\n%s", why, c.status())
		return
	}
	for _, u := range c.users {
		if u.begun() > 0 {
			c.w.fail("user %d waits at rest\n%s", u.n, c.status())
			return
		}
	}
	c.compareCopies()
	c.checkSnaps()
	if c.w.bad == nil {
		c.objects.check(c.stored, c.snapList())
	}
	if c.objects.forget(); c.w.bad == nil {
		c.scrub(then)
	}
}

// An operator says commands one after the other until they are answered.
type operator struct {
	caller
	c     *cluster
	tid   uint64
	queue []order
	sent  bool
	reign int // pending undos of map changes
}

type order struct {
	text string
	then func(result int32)
	pool *message.MPoolOp // instead of a text
	told func(b *message.MPoolOpReply)
}

func newOperator(c *cluster, end int) *operator {
	p := &operator{c: c, caller: newCaller(c.w, end,
		rand.New(rand.NewPCG(c.w.opt.Seed, uint64(590))))}
	p.opened = func(k *conn) {
		p.w.trace("operator connected", "mon", k.h.name)
		p.say()
	}
	p.ended = func() {
		p.w.trace("operator's session is over")
		p.sent = false
	}
	p.heard = p.receive
	c.keepAlive(&p.caller)
	return p
}

// do has a command said after those before it. then may be nil.
func (p *operator) do(text string, then func(result int32)) {
	p.queue = append(p.queue, order{text: text, then: then})
	p.say()
}

// doPool is do for what client libraries ask for in a message of its own.
func (p *operator) doPool(b *message.MPoolOp, told func(b *message.MPoolOpReply)) {
	b.FSID = p.w.fsid
	p.queue = append(p.queue, order{pool: b, told: told, then: func(int32) {}})
	p.say()
}

func (p *operator) say() {
	if p.sent || len(p.queue) == 0 || p.conn == nil {
		return
	}
	p.sent = true
	p.tid++
	p.w.trace("order", "cmd", p.queue[0].text)
	m := message.New(&message.MMonCommand{FSID: p.w.fsid, Cmd: []string{p.queue[0].text}})
	if b := p.queue[0].pool; b != nil {
		m = message.New(b)
	}
	m.TID = p.tid
	p.conn.submit(m)
}

func (p *operator) receive(k *conn, m *message.Message) {
	m = p.w.carried(m)
	reply, ofPool := m.Body.(*message.MPoolOpReply)
	b, ok := m.Body.(*message.MMonCommandAck)
	if !ok && !ofPool || p.conn != k || m.TID != p.tid || !p.sent {
		return
	}
	p.sent = false
	o := p.queue[0]
	p.queue = p.queue[1:]
	if ofPool {
		o.told(reply)
		p.say()
		return
	}
	p.w.trace("order answered", "cmd", o.text, "result", b.Result, "text", b.Status)
	if o.then != nil {
		o.then(b.Result)
	}
	p.say()
}

// busy says what is still to be said.
func (p *operator) busy() string {
	if len(p.queue) == 0 {
		return ""
	}
	return "the operator waits for an answer to " + p.queue[0].text
}

// heal takes back what was changed in the map.
func (p *operator) heal() {
	p.queue = slices.DeleteFunc(p.queue, func(o order) bool { return o.then == nil && !p.sent })
	for _, f := range mapFlags {
		p.do(cmd(`{"prefix":"osd unset","key":%q}`, f), func(int32) {})
	}
	p.do(cmd(`{"prefix":"osd set","key":%q}`, restFlag), func(int32) {})
	for _, o := range p.c.osds {
		p.do(cmd(`{"prefix":"osd in","ids":["%d"]}`, o.id), func(int32) {})
		p.do(cmd(`{"prefix":"osd reweight","id":%d,"weight":1.0}`, o.id), func(int32) {})
	}
}

const restFlag = "nodeep-scrub" // has nothing repaired by schedule while all is looked at

// mapFlags are flags that faults set.
var mapFlags = []string{"noout", "nodown", "nobackfill", "norecover", "norebalance", "pause"}
