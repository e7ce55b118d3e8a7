package osd

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"glue/ceph"
	"glue/store/objectstore"
)

// Options are what a daemon needs to start. All but Store come from the bootstrap of the OSD
// ("osd new" and its key).
type Options struct {
	ID    int32
	FSID  ceph.UUID // of the cluster; a store of another cluster is refused
	UUID  ceph.UUID // of this OSD, as given to "osd new"; zero takes the store's own
	Store objectstore.Store
	// MonAddrs are the monitors to find first, one vector each.
	MonAddrs []ceph.AddrVec
	// Key is osd.ID's secret as a keyring has it: base64.
	Key string
	// Addr is where to listen; port 0 takes a free one.
	Addr netip.AddrPort
	Log  *slog.Logger
	// Config overrides options by Ceph's names; the rest come from the table's defaults and the
	// monitors' configuration database.
	Config map[string]string
	// OnFatal is called once, from a goroutine of its own, when the daemon can't go on: the store
	// failed, or the cluster refuses this OSD. The runner logs it and exits or closes the daemon.
	OnFatal func(error)
}

// A Daemon is one running OSD.
type Daemon struct {
	opt Options
}

// Start opens the superblock (or writes one into an empty store), binds, joins the cluster and
// returns when the daemon runs; it is up in the map a moment later. ctx bounds the start only.
// The caller keeps the store and closes it after Close.
func Start(ctx context.Context, opt Options) (*Daemon, error) {
	return nil, errors.New("osd: not built yet")
}

// Close tells the monitors that the OSD goes down (MOSDMarkMeDown), waits briefly for their
// answer and for writes in flight, and stops.
func (d *Daemon) Close() error { return nil }
