// Package mon is the monitor: the small, consistent brain of a cluster. It keeps the maps, the
// keys, the configuration, the cluster log and the health, and serves them to clients and daemons
// over sessions with subscriptions, commands and reports.
//
// Invariants: replicated state changes only by applying entries of the quorum's log, each
// deterministic; a reply that promises a change is sent after the change is committed and durable;
// every command, subscription and message is checked against the session's capabilities first,
// and what is not allowed explicitly is refused.
//
// One goroutine, the loop, owns all state; messenger goroutines only append to its inbox.
// Mkfs, Start and Close may be called from any goroutine. The protocol is that of Ceph 16.2's
// src/mon; monitor-to-monitor traffic is Glue's own.
package mon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"glue/ceph"
)

// A Bootstrap is what a new monitor's store is created from.
type Bootstrap struct {
	FSID ceph.UUID
	Name string // this monitor's own id, such as "a"
	// Members are the addresses of all initial monitors by id, this one included.
	Members map[string]ceph.AddrVec
	// Keyring is a keyring file's text with at least "mon." and "client.admin".
	Keyring []byte
	// CrushLeafType is the failure domain of the initial rule: 0 (osd) when all OSDs are on one
	// host, 1 (host) otherwise.
	CrushLeafType int
	// Config goes into the central configuration, section "global", as if by "config set".
	Config map[string]string
	Now    time.Time
}

// Options start a monitor.
type Options struct {
	Dir  string // of the store, as Mkfs made it
	Name string // the monitor's id
	// Listen is the address to bind; the zero value means the address in the monitor map.
	Listen netip.AddrPort
	Log    *slog.Logger
	// Config are option values of the file and the command line, by Ceph's names; the central
	// configuration is laid under them.
	Config map[string]string
	// Hostname and Metadata are what "ceph mon metadata" says of this machine.
	Hostname string
	Metadata map[string]string
}

// A Monitor is a running monitor.
type Monitor struct{}

// ErrExists says that the folder holds a monitor's store already.
var ErrExists = errors.New("a monitor's store is there already")

// Mkfs creates the store of a new monitor in dir. It refuses to touch a folder that holds one.
func Mkfs(dir string, b Bootstrap) error { return errors.ErrUnsupported }

// Start opens the store, binds the address and serves until Close or until ctx ends.
func Start(ctx context.Context, o Options) (*Monitor, error) { return nil, errors.ErrUnsupported }

// Addrs are the addresses that the monitor listens on.
func (m *Monitor) Addrs() ceph.AddrVec { return nil }

// FSID is the cluster's id.
func (m *Monitor) FSID() ceph.UUID { return ceph.UUID{} }

// Failed is closed when the monitor has stopped by itself; Err then says why.
func (m *Monitor) Failed() <-chan struct{} { return nil }

// Err is why the monitor stopped by itself.
func (m *Monitor) Err() error { return nil }

// Close stops serving, flushes the store and releases the port.
func (m *Monitor) Close() error { return nil }
