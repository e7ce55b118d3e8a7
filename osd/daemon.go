package osd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/client/monc"
	"glue/cluster/osdmap"
	"glue/internal/admin"
	"glue/internal/daemon"
	"glue/internal/options"
	"glue/osd/class"
	"glue/osd/class/all"
	"glue/osd/counters"
	"glue/osd/endpoints"
	"glue/osd/heartbeat"
	"glue/osd/mapcache"
	"glue/osd/ops"
	"glue/osd/optrack"
	"glue/osd/pinger"
	"glue/osd/resize"
	"glue/osd/room"
	"glue/osd/sched"
	"glue/osd/scrub"
	"glue/store/objectstore"
	"glue/wire/message"
	"glue/wire/msgr"
)

// Options are what a daemon needs to start. All but Store come from the bootstrap of the OSD
// ("osd new" and its key).
type Options struct {
	ID    int32
	FSID  ceph.UUID // of the cluster; a store of another cluster is refused
	UUID  ceph.UUID // of this OSD; zero takes the store's own, or what the map says
	Store objectstore.Store
	// MonAddrs are the monitors to find first, one vector each.
	MonAddrs []ceph.AddrVec
	// Key is osd.ID's secret as a keyring has it: base64. Empty is authentication by nothing.
	Key string
	// Addrs are where to listen, Cluster for other OSDs: empty is at the IP of Addrs. Port 0
	// takes a free one.
	Addrs, Cluster ceph.AddrVec
	Log            *slog.Logger
	// Config overrides options by Ceph's names; the rest come from the table's defaults and the
	// monitors' configuration database.
	Config map[string]string
	// Rotational says that the store is on a disk that turns: the options of such disks apply.
	Rotational bool
	// LogFile is where Log writes, for the commands about it; it may be nil.
	LogFile *daemon.Log
	// Metadata is what "ceph osd metadata" says of the machine and the disk; its hostname is where
	// the OSD is in the CRUSH map.
	Metadata map[string]string
	// Classes are the object classes; nil has those of osd/class/all.
	Classes *class.Registry
	// ReadMap makes a map of its encoding, or of the map before it and that of the incremental, as
	// simulations share maps among their OSDs; nil is what osdmap does.
	ReadMap func(before *osdmap.Map, raw []byte) (*osdmap.Map, error)
	// OnFatal is called once, from a goroutine of its own, when the daemon can't go on: the store
	// failed, or the cluster refuses this OSD. The runner logs it and exits or closes the daemon.
	OnFatal func(error)
}

// A Daemon is one running OSD.
type Daemon struct {
	opt   Options
	log   *slog.Logger
	store objectstore.Store
	start time.Time

	conf   *daemon.Config
	config atomic.Pointer[config]
	monc   *monc.Client
	mon    Monitors
	ends   *endpoints.Endpoints
	send   func(m *osdmap.Map, osd int32, b message.Body)
	// connect gives a connection to a manager or another OSD, beat one for pings.
	connect func(t ceph.EntityType, to ceph.AddrVec) Link
	beat    func(over heartbeat.Net, to ceph.AddrVec) pinger.Beat
	now     func() time.Time
	addrs   endpoints.Addrs        // ours, of the control goroutine
	renew   func() endpoints.Addrs // makes it a new incarnation

	clientMessages, clientBytes *msgr.Throttle // of all clients' requests in memory

	room    room.Room
	slots   slots
	scrubs  atomic.Int64 // that this OSD takes part in
	load    daemon.Load
	shards  []*shard
	meeting meeting
	merges  resize.Merges // of the control goroutine
	maps    mapcache.Cache
	osdmap  atomic.Pointer[osdmap.Map]

	super    superblock // owned by the control goroutine once it runs
	inbox    chan func()
	stop     chan struct{}
	wg       sync.WaitGroup
	booted   atomic.Bool // the map has us up at our present address
	ending   atomic.Bool
	failed   sync.Once
	dead     atomic.Bool // failed: nothing is answered any more
	failure  error       // set before OnFatal is called
	benching atomic.Bool
	sendMu   sync.Mutex
	peers    map[int32]*peerConn

	pinger   *pinger.Pinger
	lane     pinger.Lane    // of the control goroutine
	backlog  pinger.Backlog // of the store
	trims    atomic.Int64   // PGs
	reporter reporter
	boot     bootState
	counters counters.Set
	slow     slowWatch
	logSeq   uint64 // of lines for the cluster log
	commands *admin.Table
	notifyID atomic.Uint64
}

// A link is where answers go: a connection.
type link interface{ Send(m *message.Message) }

// config is the options as of now.
type config struct {
	set    options.Set
	limits ops.Limits
	// of the PG log: entries of all PGs, of one at least and at most, and requests beyond
	logTarget, logMin, logMax, dups int
	lease                           time.Duration // of reads
	complaint                       time.Duration // from when on a request is slow
	history                         optrack.Limits
	reportEvery                     time.Duration // to the manager, without news
	background                      sched.Config
	scrub                           scrub.Options
}

func newConfig(set options.Set, rotational bool) *config {
	return &config{set: set, limits: limitsOf(set),
		logTarget: int(set.Int("osd_target_pg_log_entries_per_osd")),
		logMin:    int(set.Int("osd_min_pg_log_entries")),
		logMax:    int(set.Int("osd_max_pg_log_entries")),
		dups:      int(set.Int("osd_pg_log_dups_tracked")),

		lease: time.Duration(float64(set.Duration("osd_heartbeat_grace")) *
			set.Float("osd_pool_default_read_lease_ratio")),

		complaint: set.Duration("osd_op_complaint_time"),
		history: optrack.Limits{
			SlowOp:  set.Duration("osd_op_history_slow_op_threshold"),
			For:     set.Duration("osd_op_history_duration"),
			SlowOps: int(set.Int("osd_op_history_slow_op_size")),
			Ops:     int(set.Int("osd_op_history_size")),
		},

		reportEvery: set.Duration("mgr_stats_period"),
		background:  sched.NewConfig(set, rotational),
		scrub:       scrub.OptionsOf(set),
	}
}

// Start opens the superblock (or writes one into an empty store), binds, joins the cluster and
// returns when the daemon runs; it is up in the map a moment later. ctx bounds the start only.
// The caller keeps the store and closes it after Close.
func Start(ctx context.Context, opt Options) (*Daemon, error) {
	d, err := newDaemon(opt, time.Now)
	if err != nil {
		return nil, err
	}
	d.send, d.load.Read = d.sendPeer, daemon.LoadPerCPU
	if err := d.listen(); err != nil {
		return nil, err
	}
	if err := d.join(ctx); err != nil {
		d.monc.Close()
		return nil, errors.Join(err, d.ends.Close())
	}
	return d, nil
}

// newDaemon makes a daemon with its shards and the PGs of its store, without anything that runs.
func newDaemon(opt Options, now func() time.Time) (*Daemon, error) {
	d := &Daemon{opt: opt, store: opt.Store, start: now(), now: now,
		inbox: make(chan func(), 1024), stop: make(chan struct{}),
		merges: resize.Merges{}, peers: map[int32]*peerConn{}}
	if d.opt.Log == nil {
		d.opt.Log = slog.New(slog.DiscardHandler)
	}
	d.log = d.opt.Log
	if d.opt.Classes == nil {
		d.opt.Classes = all.Registry()
	}
	if d.opt.ReadMap == nil {
		d.opt.ReadMap = osdmap.Read
	}
	d.notifyID.Store(uint64(now().UnixNano()) << 8)
	d.counters.Init()
	var unknown []string
	d.conf, unknown = daemon.NewConfig("osd", fmt.Sprint(opt.ID), opt.Config)
	if len(unknown) > 0 {
		d.log.Warn("options are not known or not valid here", "options", unknown)
	}
	d.conf.OnChange(d.takeConfig)
	d.commands = d.table()
	if err := d.openSuper(); err != nil {
		return nil, err
	}
	d.shards = make([]*shard, d.shardCount())
	for i := range d.shards {
		d.shards[i] = newShard(d, i)
	}
	d.pinger = d.newPinger()
	return d, d.loadPGs()
}

// takeConfig puts the options into force, also for what PGs keep of them.
func (d *Daemon) takeConfig(set options.Set) {
	c := newConfig(set, d.opt.Rotational)
	d.config.Store(c)
	d.reporter.configDue.Store(true)
	for _, s := range d.shards {
		s.post(event{kind: evCall, call: func(s *shard) {
			s.bg.SetShares(c.background.Shares, c.background.Capacity)
			for _, p := range s.pgs {
				p.setEnv()
			}
		}})
	}
	d.setSlots(c.background.MaxBackfills)
	for _, t := range []struct {
		limit  *msgr.Throttle
		option string
	}{{d.clientMessages, "osd_client_message_cap"},
		{d.clientBytes, "osd_client_message_size_cap"}} {
		if t.limit != nil {
			t.limit.SetLimit(set.Int(t.option))
		}
	}
}

func limitsOf(set options.Set) ops.Limits {
	l := ops.DefaultLimits()
	l.ObjectSize = uint64(set.Int("osd_max_object_size"))
	l.WriteSize = uint64(set.Int("osd_max_write_size"))
	if l.WriteSize < 1<<20 {
		l.WriteSize <<= 20 // Ceph counts this option in MiB; 90M is taken as well
	}
	l.ObjectName = int(set.Int("osd_max_object_name_len"))
	l.Namespace = int(set.Int("osd_max_object_namespace_len"))
	l.AttrName = int(set.Int("osd_max_attr_name_len"))
	l.AttrSize = uint64(set.Int("osd_max_attr_size"))
	return l
}

// listen makes the messenger and the monitor client.
func (d *Daemon) listen() error {
	key := keyring.Key{}
	if d.opt.Key != "" {
		var err error
		if key, err = keyring.ParseKey(d.opt.Key); err != nil {
			return fmt.Errorf("key of osd.%d: %w", d.opt.ID, err)
		}
	}
	host, _ := os.Hostname()
	d.monc = monc.New(monc.Options{
		Name: ceph.AuthName{Type: ceph.TypeOSD, ID: fmt.Sprint(d.opt.ID)}, Key: key,
		Seeds: d.opt.MonAddrs, FSID: d.opt.FSID, Hostname: host, Log: d.log, Rotating: true,
		OnConfig: func(c map[string]string) { d.post(func() { d.newConfig(c) }) },
		OnActive: func() { d.post(d.monSession) },
	})
	d.mon = monitorClient{d.monc}
	option := func(name string) string { return d.config.Load().set.Str(name) }
	var err error
	d.ends, err = endpoints.Listen(endpoints.Options{ID: d.opt.ID, Public: d.opt.Addrs,
		Cluster: d.opt.Cluster, Option: option, Log: d.log, Policy: d.policy(), Client: d.monc,
		Server: monc.NewServiceAuth(d.monc, ceph.TypeOSD, false)})
	if err != nil {
		return err
	}
	d.addrs = d.ends.Addrs()
	d.connect, d.beat = d.ends.Connect, d.ends.Beat
	d.renew = func() endpoints.Addrs {
		defer d.forgetPeers()
		return d.ends.Renew()
	}
	return nil
}

// policy bounds what clients may have in memory; between OSDs sessions are lossless.
func (d *Daemon) policy() func(ceph.EntityType) msgr.Policy {
	set := d.config.Load().set
	clients := msgr.StatelessServer
	d.clientMessages = msgr.NewThrottle(set.Int("osd_client_message_cap"))
	d.clientBytes = msgr.NewThrottle(set.Int("osd_client_message_size_cap"))
	clients.Messages, clients.Bytes = d.clientMessages, d.clientBytes
	return func(peer ceph.EntityType) msgr.Policy {
		switch peer {
		case ceph.TypeMon:
			return msgr.LossyClient
		case ceph.TypeMgr:
			return msgr.LossyClient
		case ceph.TypeOSD:
			return msgr.LosslessPeer
		}
		return clients
	}
}

// join authenticates and starts everything that runs.
func (d *Daemon) join(ctx context.Context) error {
	d.ends.Start(d, d.pinger.Dispatcher)
	d.monc.Start(d.ends.Public)
	if err := d.monc.Authenticate(ctx); err != nil {
		return err
	}
	if err := d.monc.WaitRotating(ctx); err != nil {
		return err
	}
	for _, s := range d.shards {
		d.wg.Go(s.run)
	}
	d.wg.Go(d.control)
	d.wg.Go(func() { d.pinger.Run(d.stop) })
	d.begun()
	return nil
}

// begun makes the first steps of a daemon that runs.
func (d *Daemon) begun() {
	d.mon.Subscribe("osdmap", uint64(d.super.Newest)+1, false)
	d.mon.Subscribe("mgrmap", 0, false)
	d.post(d.tryBoot)
}

func (d *Daemon) shardCount() int {
	if n := d.config.Load().set.Int("osd_op_num_shards"); n > 0 {
		return int(n)
	}
	return 2
}

// post hands f to the control goroutine, which owns maps, boot, heartbeats and reports.
func (d *Daemon) post(f func()) {
	select {
	case d.inbox <- f:
	case <-d.stop:
	}
}

const controlTick = 250 * time.Millisecond

// control is the control goroutine.
func (d *Daemon) control() {
	tick := time.NewTicker(controlTick)
	defer tick.Stop()
	for {
		select {
		case f := <-d.inbox:
			d.lane.Turn()
			f()
			d.lane.Turn()
		case now := <-tick.C:
			d.lane.Turn()
			d.tick(now)
			d.lane.Turn()
		case <-d.stop:
			return
		}
	}
}

func (d *Daemon) tick(now time.Time) {
	d.load.Tick(now)
	d.bootTick(now)
	d.slowTick(now)
	d.reportTick(now)
	for _, s := range d.shards {
		s.post(event{kind: evTick})
	}
}

// newConfig takes what the monitors' database says.
func (d *Daemon) newConfig(central map[string]string) {
	if unknown := d.conf.Central(central); len(unknown) > 0 {
		d.log.Debug("options of the central configuration are not known here", "options", unknown)
	}
}

// fail reports that the daemon can't go on, once.
func (d *Daemon) fail(err error) {
	d.dead.Store(true)
	d.failed.Do(func() {
		d.failure = err
		d.log.Error("the OSD stops", "err", err)
		if d.opt.OnFatal != nil {
			go d.opt.OnFatal(err)
		}
	})
}

// Close tells the monitors that the OSD goes down (MOSDMarkMeDown), waits briefly for their
// answer and for writes in flight, and stops.
func (d *Daemon) Close() error {
	if d.ending.Swap(true) {
		return nil
	}
	if !d.dead.Load() {
		for _, s := range d.shards {
			s.sync((*shard).endLeases)
		}
		d.markDown()
		for _, s := range d.shards {
			s.sync(func(s *shard) { s.flush() })
		}
	}
	close(d.stop)
	for _, s := range d.shards {
		s.wakeUp()
	}
	d.wg.Wait()
	d.monc.Close()
	return d.ends.Close()
}

// markDown asks to be marked down and waits until the map says so, at most two seconds.
func (d *Daemon) markDown() {
	m := d.osdmap.Load()
	if m == nil || !d.booted.Load() {
		return
	}
	d.mon.Send(&message.MOSDMarkMeDown{FSID: m.FSID, OSD: d.opt.ID, Addrs: d.ends.Public.Addrs(),
		Epoch: m.Epoch, RequestAck: true, AndDead: true})
	deadline := time.Now().Add(2 * time.Second)
	for time.Now().Before(deadline) {
		if m := d.osdmap.Load(); !m.IsUp(d.opt.ID) || !d.monc.Ready() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
