package mgr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/client/monc"
	"glue/internal/admin"
	"glue/internal/daemon"
	"glue/internal/options"
	"glue/internal/version"
	"glue/mgr/schedule"
	"glue/wire/message"
	"glue/wire/msgr"
)

// Options are what a manager needs to start.
type Options struct {
	Name     string // its id, such as "x"
	FSID     ceph.UUID
	MonAddrs []ceph.AddrVec
	Key      keyring.Key
	Addrs    ceph.AddrVec // to bind; port 0 takes a free one
	Log      *slog.Logger
	Config   map[string]string // option values of the file and the command line
	LogFile  *daemon.Log       // where Log writes, for the commands about it; may be nil
	Hostname string
	Metadata map[string]string // what "ceph mgr metadata" says of this machine
	// Crashes calls post for each report of a crash that lies on this machine, and takes those
	// away for which it has returned nil; may be nil.
	Crashes func(post func(meta []byte) error) error
}

// queueLimit bounds the events that wait for the loop; readers block on a full queue, which the
// connections' throttles turn into back-pressure on the senders.
const queueLimit = 1024

// A Manager is a running manager.
type Manager struct {
	opt    Options
	log    *slog.Logger
	client *monc.Client
	msgr   *msgr.Messenger
	events chan event
	done   chan struct{} // closed to end the loop
	wg     sync.WaitGroup
	state  state // of the loop

	conf     *daemon.Config
	commands *admin.Table
	relayed  atomic.Int32 // commands that wait for the monitors
}

// An event is something for the loop to do.
type event func(*Manager)

// Start binds, authenticates with the monitors and begins to send beacons; it returns when the
// monitors know the manager, which they may keep as a standby. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Manager, error) {
	m := &Manager{opt: o, log: o.Log, events: make(chan event, queueLimit),
		done: make(chan struct{})}
	conf, unknown := daemon.NewConfig("mgr", o.Name, o.Config)
	if len(unknown) > 0 {
		o.Log.Warn("options are not known here", "options", unknown)
	}
	m.conf = conf
	m.state.init(o.Name, conf)
	conf.OnChange(func(set options.Set) { m.post(func(m *Manager) { m.state.set = set }) })
	m.state.tasks = m.newTasks()
	images := schedule.Options{Log: o.Log, Cluster: m.state.tasks.Cluster}
	m.state.purges = schedule.New(schedule.Purge, images)
	m.state.mirrors = schedule.New(schedule.MirrorSnapshots, images)
	m.commands = m.table()
	m.client = monc.New(monc.Options{
		Name: ceph.AuthName{Type: ceph.TypeMgr, ID: o.Name}, Key: o.Key, Seeds: o.MonAddrs,
		FSID: o.FSID, Hostname: o.Hostname, Log: o.Log, Rotating: true,
		OnConfig: func(values map[string]string) {
			if unknown := conf.Central(values); len(unknown) > 0 {
				o.Log.Debug("options of the central configuration are not known here", "options",
					unknown)
			}
		},
		OnActive: func() { m.post((*Manager).beacon) },
	})
	option := func(name string) string { return conf.Set().Str(name) }
	modes := msgr.ConfiguredModes(ceph.TypeMgr, option)
	m.msgr = msgr.New(msgr.Options{
		Entity: ceph.EntityName{Type: ceph.TypeMgr, Num: -1}, Log: o.Log,
		Client: m.client, Server: monc.NewServiceAuth(m.client, ceph.TypeMgr, false),
		Policy: policy, ClientModes: modes, ServerModes: modes,
		Sign: msgr.ConfiguredSigning(option),
	})
	if err := m.msgr.BindAll(o.Addrs, option, true); err != nil {
		return nil, errors.Join(err, m.msgr.Close())
	}
	m.wg.Go(m.loop)
	m.msgr.Start(m)
	m.client.Start(m.msgr)
	if err := m.join(ctx); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func policy(peer ceph.EntityType) msgr.Policy {
	if peer == ceph.TypeMon {
		return msgr.LossyClient
	}
	return msgr.StatelessServer
}

// join authenticates and subscribes.
func (m *Manager) join(ctx context.Context) error {
	if err := m.client.Authenticate(ctx); err != nil {
		return fmt.Errorf("authenticate with the monitors: %w", err)
	}
	if err := m.client.WaitRotating(ctx); err != nil {
		return fmt.Errorf("fetch the service keys: %w", err)
	}
	gid := m.client.GlobalID()
	m.msgr.SetName(ceph.EntityName{Type: ceph.TypeMgr, Num: int64(gid)})
	for _, what := range []string{"mgrmap", "osdmap", "mgrdigest", "config"} {
		m.client.Subscribe(what, 0, false)
	}
	m.post((*Manager).beacon)
	return nil
}

// Close stops the manager.
func (m *Manager) Close() error {
	m.client.Close()
	err := m.msgr.Close()
	close(m.done)
	m.state.mirrors.Close()
	m.state.purges.Close()
	m.state.tasks.Close()
	m.wg.Wait()
	return err
}

// post hands an event to the loop; it waits while the queue is full.
func (m *Manager) post(e event) {
	select {
	case m.events <- e:
	case <-m.done:
	}
}

// loop runs events and the timers until Close.
func (m *Manager) loop() {
	tick := time.NewTicker(tickPeriod)
	defer tick.Stop()
	var soon <-chan time.Time // armed while a report is due
	for {
		select {
		case <-m.done:
			return
		case e := <-m.events:
			e(m)
		case <-tick.C:
			m.state.tick(m, time.Now())
		case <-soon:
			soon = nil
			m.report(time.Now())
		}
		if m.state.dirty && soon == nil {
			soon = time.After(reportDelay)
		}
	}
}

const (
	tickPeriod  = time.Second
	reportDelay = 50 * time.Millisecond // from a change to the report that has it
)

// beacon tells the monitors that this manager lives, and whether it serves.
func (m *Manager) beacon() {
	gid := m.client.GlobalID()
	if gid == 0 {
		return
	}
	b := &message.MMgrBeacon{FSID: m.opt.FSID, GID: gid, Name: m.opt.Name, Addrs: m.msgr.Addrs(),
		Available: m.state.active, Features: ceph.FeaturesAll, Metadata: m.metadata()}
	m.client.Send(b)
	m.state.beaconAt, m.state.gid = time.Now(), gid
}

func (m *Manager) metadata() map[string]string {
	md := map[string]string{"addr": m.msgr.Addrs().String(), "addrs": m.msgr.Addrs().String(),
		"ceph_version": version.Long, "hostname": m.opt.Hostname}
	for k, v := range m.opt.Metadata {
		md[k] = v
	}
	return md
}

// inLoop runs f on the loop and returns its value.
func (m *Manager) inLoop(f func(*Manager) any) (any, error) {
	out := make(chan any, 1)
	m.post(func(m *Manager) { out <- f(m) })
	select {
	case v := <-out:
		return v, nil
	case <-m.done:
		return nil, monc.ErrClosed
	}
}

// A statusAnswer is what "status" prints.
type statusAnswer struct {
	Name   string     `json:"name"`
	GID    uint64     `json:"gid"`
	Active bool       `json:"active"`
	OSDMap ceph.Epoch `json:"osdmap_epoch"`
}

func statusOf(s *state) statusAnswer {
	return statusAnswer{s.name, s.gid, s.active, s.epoch()}
}
