package mon

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/internal/admin"
	"glue/internal/daemon"
	"glue/internal/options"
	"glue/mon/authmon"
	"glue/mon/configmon"
	"glue/mon/healthmon"
	"glue/mon/logmon"
	"glue/mon/mgrmon"
	"glue/mon/monmon"
	"glue/mon/osdmon"
	"glue/mon/quorum"
	"glue/mon/service"
	"glue/wire/message"
)

// A core is the monitor's state. All of it but the gate and the inbox belongs to the loop.
type core struct {
	opt  Options
	log  *slog.Logger
	fsid ceph.UUID
	conf *daemon.Config
	set  options.Set // in force for this monitor; those of conf
	now  func() time.Time
	gate *gate
	node *quorum.Node
	// carry sends a message to another monitor; it may be lost.
	carry func(to ceph.AddrVec, b message.Body)
	arm   func(time.Duration) // asks for settle after a time

	mon     *monmon.Service
	auth    *authmon.Service
	config  *configmon.Service
	kv      *configmon.KV
	osd     *osdmon.Service
	mgr     *mgrmon.Service
	health  *healthmon.Service
	logs    *logmon.Service
	stats   stats
	disk    diskState
	mixed   time.Time // since when daemons of several versions run
	all     []service.Service
	byName  map[string]service.Service
	handler map[string]func(*service.Request) service.Answer
	index   commands.Index
	table   *admin.Table                   // of the commands to this monitor alone
	reports map[string]*message.MMgrReport // what the other monitors have in force

	sessions map[*session]uint64 // by when they began
	inbox    inbox
	flow     flow
	ledTerm  uint64    // the term whose leadership we have taken up, 0 when we do not lead
	ledSince time.Time // since when
	lastTick time.Time
	logSeq   uint64
	probing  probing
	proxying proxying
	told     told
	clocks   timecheck
	roll     rollcall
	born     time.Time
	// following is the leader that clients are passed on to, dial connects to it; without dial a
	// follower serves nobody.
	following following
	dial      func(to ceph.AddrVec) link
	serial    uint64                  // of the newest session
	nonce     uint64                  // of the last question for global ids
	own       bool                    // what is being applied is our own proposal
	routes    map[uint64]ceph.AddrVec // where members were last heard from
	gone      error                   // why this monitor has to stop
	leaving   leaving
	renamed   func(rank int) // takes the monitor's rank
	bound     ceph.AddrVec   // where it listens, unless its owner sees to that
}

// An event is one thing for the loop to do: a message of a session, or a function.
type event struct {
	s   *session
	m   *message.Message
	run func()
	end bool // the session is over
	at  time.Time
}

// An inbox is what messenger goroutines leave for the loop. Sessions bound it.
type inbox struct {
	mu     sync.Mutex
	events []event
	wake   chan struct{}
}

// post appends an event; any goroutine may call it.
func (c *core) post(e event) {
	e.at = c.now()
	c.inbox.mu.Lock()
	c.inbox.events = append(c.inbox.events, e)
	c.inbox.mu.Unlock()
	select {
	case c.inbox.wake <- struct{}{}:
	default:
	}
}

func (i *inbox) take() []event {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.events
	i.events = nil
	return list
}

// newCore opens the store in the options' folder and loads every service.
func newCore(o Options) (*core, error) {
	seal, err := readSealKey(o.Dir)
	if err != nil {
		return nil, err
	}
	return openCore(o, Edges{Seal: seal, Now: time.Now, Monotonic: o.monotonic})
}

// openCore opens the store at the given edges and loads every service.
func openCore(o Options, e Edges) (*core, error) {
	c := &core{
		opt: o, log: o.Log, now: e.Now, gate: &gate{name: o.Name}, carry: e.Carry, arm: e.Arm,
		dial:     e.Dial,
		sessions: map[*session]uint64{}, inbox: inbox{wake: make(chan struct{}, 1)},
		routes: map[uint64]ceph.AddrVec{}, renamed: func(int) {},
	}
	if c.carry == nil {
		c.carry = func(ceph.AddrVec, message.Body) {}
	}
	if c.arm == nil {
		c.arm = func(d time.Duration) { c.flow.timer.Reset(d) }
	}
	c.gate.conf.Store(&gateConf{})
	var unknown []string
	c.born = c.now()
	c.conf, unknown = daemon.NewConfig("mon", o.Name, o.Config)
	if len(unknown) > 0 {
		c.log.Debug("options are not known or not valid here", "options", unknown)
	}
	c.conf.OnChange(c.takeConfig)
	var err error
	c.node, err = quorum.Open(filepath.Join(o.Dir, storeDir), quorum.Options{
		Machine: c, Log: o.Log, Send: c.toPeer, Now: e.Monotonic, FS: e.FS,
	})
	if err != nil {
		return nil, err
	}
	c.build(e.Seal)
	if err := c.Restored(c.node.View()); err != nil {
		return nil, errJoin(err, c.node.Close())
	}
	c.fsid = c.mon.Map().FSID
	return c, nil
}

// build makes the services and the table of command handlers.
func (c *core) build(seal [32]byte) {
	read := c.node.View()
	c.mon = monmon.New(read, c)
	c.auth = authmon.New(authmon.Options{
		Seal: seal, Rand: rand.Reader, GlobalIDs: c.gate.give,
		Publish: c.gate.publish,
		Own:     func() bool { return c.own },
	}, c.gate.left)
	c.config = configmon.New(configmon.Env{
		FSID: func() ceph.UUID { return c.fsid }, MonHost: c.mon.HostList, Find: c.whereabouts,
	})
	c.kv = configmon.NewKV()
	c.osd = osdmon.New(osdmon.Options{
		Read: read, Options: func() options.Set { return c.set }, Log: c.log,
		ClusterLog: func(p uint16, text string) { c.clusterLog(p, text) },
		Usage:      c.poolUsage, Purged: c.purgedSnaps, Vault: vault{c}, LastSeq: c.lastSeq,
	})
	c.mgr = mgrmon.New(mgrmon.Options{
		Log: c.clusterLog, Fenced: func(a ceph.AddrVec) { c.osd.Fence(c.now(), a) },
	})
	c.health = healthmon.New(c.checks, func(text string) {
		c.clusterLog(message.LogInfo, text)
	})
	c.logs = logmon.New()
	c.all = []service.Service{
		c.mon, c.config, c.kv, c.auth, c.osd, c.mgr, c.health, c.logs,
	}
	c.byName = map[string]service.Service{}
	c.handler = map[string]func(*service.Request) service.Answer{}
	for _, s := range c.all {
		c.byName[s.Name()] = s
		c.addRows(s.Commands())
	}
	c.addRows(c.commands())
	c.addRows(c.memberCommands())
	c.addRows(fsCommands())
	c.table, c.reports = c.localTable(), map[string]*message.MMgrReport{}
	c.index = commands.NewIndex(commands.Manager, commands.Modules, commands.Monitor,
		commands.OSDMap)
}

func (c *core) addRows(rows []service.Row) {
	for _, r := range rows {
		c.handler[r.Prefix] = r.Run
	}
}

// Restored loads every service from the store.
func (c *core) Restored(v quorum.View) error {
	for _, s := range c.all {
		if err := s.Load(v); err != nil {
			return err
		}
	}
	c.checkPlace()
	return c.configure()
}

// configure takes the options in force: the central configuration under the local values.
func (c *core) configure() error {
	me := configmon.Entity{
		Name: ceph.AuthName{Type: ceph.TypeMon, ID: c.opt.Name}, Host: c.opt.Hostname,
	}
	if unknown := c.conf.Central(c.config.For(me)); len(unknown) > 0 {
		c.log.Debug("options of the central configuration are not known here", "options", unknown)
	}
	return nil
}

// rank is our place in the monitor map, -1 when we are not in it.
func (c *core) rank() int { return c.mon.Map().Rank(c.opt.Name) }

// clusterLog wishes a line in the cluster log.
func (c *core) clusterLog(priority uint16, text string) {
	c.logTo(priority, "cluster", text)
}

func (c *core) logTo(priority uint16, channel, text string) {
	c.logSeq++
	rank := c.rank()
	c.logs.Add(logmon.Own(ceph.AuthName{Type: ceph.TypeMon, ID: c.opt.Name}, rank,
		c.mon.Map().Addrs(rank), c.now(), c.logSeq, priority, channel, text))
}

// Leader is the leader's rank, -1 for none.
func (c *core) Leader() int {
	return c.mon.Rank(c.node.Leader())
}

// Members are the ranks in the quorum: the leader and who answers it, as the leader has told its
// followers.
func (c *core) Members() []int {
	if c.node.Follows() && c.told.term == c.node.CurrentTerm() {
		return c.told.quorum
	}
	out := []int{}
	for _, id := range c.node.Active() {
		if rank := c.mon.Rank(id); rank >= 0 {
			out = append(out, rank)
		}
	}
	slices.Sort(out)
	return out
}

// Term is the election epoch that the stock commands show: odd while electing, even when led.
func (c *core) Term() uint64 {
	if !c.node.Leads() && !c.node.Follows() {
		return c.node.CurrentTerm()*2 + 1
	}
	return c.node.CurrentTerm() * 2
}

var errNoService = fmt.Errorf("a log entry is for a service that does not exist")
