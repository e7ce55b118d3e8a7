// Package mon is the monitor: the small, consistent brain of a cluster. It keeps the maps, the
// keys, the configuration, the cluster log and the health, and serves them to clients and daemons
// over sessions with subscriptions, commands and reports.
//
// Invariants: replicated state changes only by applying entries of the quorum's log, each
// deterministic; a reply that promises a change is sent after the change is committed and durable;
// every command, subscription and message is checked against the session's capabilities first,
// and what is not allowed explicitly is refused; all queues are bounded.
//
// One goroutine, the loop, owns all state; messenger goroutines only append to its inbox and read
// the published keys. Mkfs, Start and Close may be called from any goroutine. The protocol is
// that of Ceph 16.2's src/mon; monitor-to-monitor traffic is Glue's own.
package mon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"glue/ceph"
	"glue/cluster/monmap"
	"glue/internal/admin"
	"glue/internal/daemon"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A Bootstrap is what a new monitor's store is created from.
type Bootstrap struct {
	FSID ceph.UUID
	Name string // this monitor's own id, such as "a"
	// Members are the addresses of all initial monitors by id, this one included.
	Members map[string]ceph.AddrVec
	// Keyring is a keyring file's text with at least "mon." and "client.admin". An OSD that has a
	// key in it exists in the first OSD map.
	Keyring []byte
	// CrushLeafType is the failure domain of the initial rule: 0 (osd) when all OSDs are on one
	// host, 1 (host) otherwise.
	CrushLeafType int
	// Config goes into the central configuration, section "global", as if by "config set".
	Config map[string]string
	Now    time.Time

	join   *monmap.Map // of the quorum that this monitor will join
	member uint64      // as in Joining
}

// Options start a monitor.
type Options struct {
	Dir  string // of the store, as Mkfs made it
	Name string // the monitor's id
	// Listen are the addresses of a monitor that joins; one that is in the quorum's map listens
	// where the map says.
	Listen ceph.AddrVec
	Log    *slog.Logger
	// Config are option values of the file and the command line, by Ceph's names; they go over
	// the central configuration.
	Config map[string]string
	// LogFile is where Log writes, for the commands about it; it may be nil.
	LogFile *daemon.Log
	// Hostname and Metadata are what "ceph mon metadata" says of this machine.
	Hostname string
	Metadata map[string]string

	monotonic func() time.Duration // replaces the clock of leases in tests
}

// A Monitor is a running monitor.
type Monitor struct {
	core   *core
	net    *msgr.Messenger
	cancel context.CancelFunc
	done   chan struct{} // the loop has ended
	failed chan struct{} // it ended by itself
	once   sync.Once
	err    error // why; set before failed is closed
}

// Start opens the store, binds the address and serves until Close or until ctx ends.
func Start(ctx context.Context, o Options) (*Monitor, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := newCore(o)
	if err != nil {
		return nil, fmt.Errorf("start mon.%s: %w", o.Name, err)
	}
	m := &Monitor{core: c, done: make(chan struct{}), failed: make(chan struct{})}
	if err := m.listen(o); err != nil {
		return nil, errors.Join(fmt.Errorf("start mon.%s: %w", o.Name, err), c.node.Close())
	}
	ctx, m.cancel = context.WithCancel(ctx)
	m.net.Start(dispatcher{c})
	go m.run(ctx)
	return m, nil
}

// listen binds the messenger.
func (m *Monitor) listen(o Options) error {
	c := m.core
	rank := c.rank()
	if rank < 0 && !c.node.Empty() && len(o.Listen) == 0 {
		return fmt.Errorf("%w: mon.%s is not in the monitor map", ErrRemoved, o.Name)
	}
	addrs := c.addrs()
	at := addrs.Of(ceph.AddrMsgr2).AddrPort
	if !at.IsValid() {
		return fmt.Errorf("mon.%s has no msgr2 address: name one with --addr, or public addr in "+
			"ceph.conf", o.Name)
	}
	if len(o.Listen) > 0 && !o.Listen.Equal(addrs) {
		o.Log.Warn("the address in the configuration is not the monitor map's, which counts",
			"configured", o.Listen, "map", addrs)
	}
	c.bound = addrs
	m.net = msgr.New(msgr.Options{
		Entity: ceph.EntityName{Type: ceph.TypeMon, Num: int64(rank)},
		Log:    o.Log,
		Server: c.gate, ClientModes: c.gate.modes, ServerModes: c.gate.modes,
		Client: c.gate,
		Policy: func(peer ceph.EntityType) msgr.Policy {
			if peer == ceph.TypeMon {
				return msgr.Policy{Lossy: true, Supported: ceph.FeaturesAll,
					Required: ceph.FeaturesRequired}
			}
			return msgr.StatelessServer
		},
	})
	if err := m.net.BindAll(addrs, c.conf.Set().Str, false); err != nil {
		return errors.Join(err, m.net.Close())
	}
	c.renamed = func(rank int) {
		m.net.SetName(ceph.EntityName{Type: ceph.TypeMon, Num: int64(rank)})
	}
	c.dial = func(to ceph.AddrVec) link { return m.net.Connect(ceph.TypeMon, to) }
	c.carry = func(to ceph.AddrVec, b message.Body) {
		m.net.Connect(ceph.TypeMon, to).Send(message.New(b))
	}
	return nil
}

func (m *Monitor) run(ctx context.Context) {
	err := m.core.loop(ctx)
	if err == nil && ctx.Err() != nil {
		close(m.done)
		return
	}
	m.core.log.Error("monitor stops", "err", err)
	m.err = err
	close(m.done)
	close(m.failed)
}

// Addrs are the addresses that the monitor listens on.
func (m *Monitor) Addrs() ceph.AddrVec { return m.net.Addrs() }

// FSID is the cluster's id.
func (m *Monitor) FSID() ceph.UUID { return m.core.fsid }

// Failed is closed when the monitor has stopped by itself; Err then says why.
func (m *Monitor) Failed() <-chan struct{} { return m.failed }

// Err is why the monitor stopped by itself.
func (m *Monitor) Err() error {
	select {
	case <-m.failed:
		return m.err
	default:
		return nil
	}
}

// Close stops serving, flushes the store and releases the port.
func (m *Monitor) Close() error {
	var err error
	m.once.Do(func() {
		m.cancel()
		<-m.done
		err = errors.Join(m.net.Close(), m.core.node.Close())
	})
	return err
}

// Commands is the table of the admin socket: each command runs on the loop.
func (m *Monitor) Commands() *admin.Table {
	return m.core.table.Via(func(run func() (any, error)) (any, error) {
		type answer struct {
			v   any
			err error
		}
		out := make(chan answer, 1)
		m.core.post(event{run: func() {
			v, err := run()
			out <- answer{v, err}
		}})
		select {
		case a := <-out:
			return a.v, a.err
		case <-m.done:
			return nil, errors.New("the monitor has stopped")
		}
	})
}
