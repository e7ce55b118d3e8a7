package rados

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/monc"
	"glue/client/objecter"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/wire/message"
	"glue/wire/msgr"
)

// connectTimeout bounds Connect when the context has no deadline (client_mount_timeout).
const connectTimeout = 5 * time.Minute

// A Cluster is a connection to a cluster.
type Cluster struct {
	cfg config
	net *msgr.Messenger
	mon *monc.Client
	obj *objecter.Objecter
}

// Connect reads the configuration and the key, authenticates with a monitor and waits for the
// first maps.
func Connect(ctx context.Context, opt Options) (*Cluster, error) {
	cfg, err := load(ctx, opt)
	if err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, connectTimeout)
		defer cancel()
	}
	c := &Cluster{cfg: cfg}
	c.mon = monc.New(monc.Options{
		Name: cfg.name, Key: cfg.key, Seeds: cfg.seeds, FSID: cfg.fsid, Hostname: cfg.host,
		Log: cfg.log,
	})
	c.obj = objecter.New(objecter.Options{Monitors: c.mon, Log: cfg.log, Location: c.location})
	c.net = msgr.New(msgr.Options{
		Entity: ceph.EntityName{Type: cfg.name.Type, Num: -1}, Log: cfg.log, Client: c.mon,
		ClientModes: msgr.ConfiguredModes(ceph.TypeClient, c.Option),
	})
	c.net.Start(dispatcher{c})
	c.mon.Start(c.net)
	c.obj.Start(c.net)
	if err := c.mon.Authenticate(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	if _, err := c.obj.WaitMap(ctx, 1); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return c, nil
}

// Close ends the connection. What is under way fails with objecter.ErrClosed.
func (c *Cluster) Close() error {
	c.obj.Close()
	c.mon.Close()
	return c.net.Close()
}

// A dispatcher passes what the messenger reports to the client's parts.
type dispatcher struct{ c *Cluster }

func (dispatcher) Accepted(conn *msgr.Conn) { conn.Close() }

func (d dispatcher) Connected(conn *msgr.Conn) {
	if !d.c.mon.Connected(conn) {
		d.c.obj.Connected(conn)
	}
}

func (d dispatcher) Dispatch(conn *msgr.Conn, m *message.Message) {
	if !d.c.mon.Dispatch(conn, m) && !d.c.obj.Dispatch(conn, m) {
		d.c.cfg.log.Debug("message is not expected", "type", m.Body.Type())
	}
}

func (d dispatcher) Reset(conn *msgr.Conn) {
	if !d.c.mon.Reset(conn) {
		d.c.obj.Reset(conn)
	}
}

func (d dispatcher) RemoteReset(conn *msgr.Conn) { d.Reset(conn) }

// FSID is the cluster's id.
func (c *Cluster) FSID() ceph.UUID { return c.mon.FSID() }

// Name is whose key we connected with.
func (c *Cluster) Name() ceph.AuthName { return c.cfg.name }

// InstanceID is the number that tells this connection from all others, ever.
func (c *Cluster) InstanceID() uint64 { return c.mon.GlobalID() }

// Addrs is this connection's own address, as lockers and watchers are listed.
func (c *Cluster) Addrs() ceph.AddrVec { return c.net.Addrs() }

// Option is a value of Options.Set, else of the cluster's central configuration, else of the
// configuration file; empty if none has it.
func (c *Cluster) Option(name string) string {
	if v, ok := c.cfg.set[name]; ok {
		return v
	}
	if v, ok := c.mon.Config()[name]; ok {
		return v
	}
	return c.cfg.values[name]
}

// location is where this client is in the CRUSH hierarchy: what crush_location says, else where the
// OSDs of its host are by default.
func (c *Cluster) location() (place []crush.Coordinate) {
	for _, at := range strings.FieldsFunc(c.Option("crush_location"), isSeparator) {
		if typ, name, ok := strings.Cut(at, "="); ok {
			place = append(place, crush.Coordinate{Type: typ, Name: name})
		}
	}
	if len(place) == 0 {
		host, _, _ := strings.Cut(c.cfg.host, ".")
		return []crush.Coordinate{{Type: "host", Name: host}, {Type: "root", Name: "default"}}
	}
	return place
}

// Map is the newest osdmap.
func (c *Cluster) Map() *osdmap.Map { return c.obj.Map() }

// WaitLatestMap waits until our osdmap is as new as the monitors' is now.
func (c *Cluster) WaitLatestMap(ctx context.Context) error {
	_, err := c.obj.WaitLatestMap(ctx)
	return err
}

// Objecter is the part that sends requests, for packages that build on it.
func (c *Cluster) Objecter() *objecter.Objecter { return c.obj }

// MonCommand runs a monitor command such as {"prefix": "osd pool ls", "format": "json"}. cmd is
// JSON text or a value to encode. status is the line that the stock tools print to stderr. A
// refusal is a *monc.CommandError, which is a ceph.Errno.
func (c *Cluster) MonCommand(
	ctx context.Context, cmd any, in []byte,
) (out []byte, status string, err error) {
	r, err := c.mon.Command(ctx, cmd, in)
	return r.Output, r.Status, err
}

// MgrCommand runs a command of the manager.
func (c *Cluster) MgrCommand(
	ctx context.Context, cmd any, in []byte,
) (out []byte, status string, err error) {
	r, err := c.obj.MgrCommand(ctx, cmd, in, false)
	return r.Output, r.Status, err
}

// TellMgr runs a command on the active manager itself.
func (c *Cluster) TellMgr(
	ctx context.Context, cmd any, in []byte,
) (out []byte, status string, err error) {
	r, err := c.obj.MgrCommand(ctx, cmd, in, true)
	return r.Output, r.Status, err
}

// OSDCommand runs a command on an OSD.
func (c *Cluster) OSDCommand(
	ctx context.Context, osd int32, cmd any, in []byte,
) (out []byte, status string, err error) {
	r, err := c.obj.OSDCommand(ctx, osd, cmd, in)
	return r.Output, r.Status, err
}

// PGCommand runs a command on a PG's primary.
func (c *Cluster) PGCommand(
	ctx context.Context, pg ceph.PGID, cmd any, in []byte,
) (out []byte, status string, err error) {
	r, err := c.obj.PGCommand(ctx, pg, cmd, in)
	return r.Output, r.Status, err
}

// TellMon runs a command on one monitor, by name or rank.
func (c *Cluster) TellMon(
	ctx context.Context, mon string, cmd any, in []byte,
) (out []byte, status string, err error) {
	r, err := c.mon.TellMon(ctx, mon, cmd, in)
	return r.Output, r.Status, err
}

// PingMon asks one monitor, by name or rank, how it is, also one that is not in the quorum: JSON
// with "mon_status" and "health". ENOENT if there is none of the name.
func (c *Cluster) PingMon(ctx context.Context, mon string) (string, error) {
	return c.mon.Ping(ctx, mon)
}

// Blocklist keeps a client, whose address Addrs or Watchers say, from every OSD for a while (0: the
// monitors' default, an hour), and waits for the map that says so. An OSD that has not heard of it
// yet does with the next request of ours.
func (c *Cluster) Blocklist(ctx context.Context, addr ceph.Addr, expire time.Duration) error {
	cmd := map[string]any{"prefix": "osd blocklist", "blocklistop": "add",
		"addr": addr.LegacyString()}
	if expire > 0 {
		cmd["expire"] = json.RawMessage(fmt.Sprintf("%.3f", expire.Seconds())) // never whole
	}
	if _, status, err := c.MonCommand(ctx, cmd, nil); err != nil {
		return fmt.Errorf("blocklist %v: %w (%s)", addr, err, status)
	}
	return c.WaitLatestMap(ctx)
}

// MinCompatibleOSD is the release that every OSD of the cluster has to be of, or newer.
func (c *Cluster) MinCompatibleOSD() osdmap.Release { return c.Map().RequireOSDRelease }

// MinCompatibleClient is the oldest release whose clients can use the map as it is, and the oldest
// one that settings may require (osd set-require-min-compat-client).
func (c *Cluster) MinCompatibleClient() (uses, requires osdmap.Release) {
	m := c.Map()
	return m.MinCompatClient(), m.RequireMinCompatClient
}

// RegisterService makes this connection a daemon of a service, such as a gateway's, which the
// manager lists ("ceph service dump", "ceph -s") while it hears of it. EEXIST if it is one already.
func (c *Cluster) RegisterService(service, daemon string, metadata map[string]string) error {
	return c.obj.RegisterService(service, daemon, metadata)
}

// SetServiceStatus replaces what "ceph service status" shows of this daemon, from its next report
// on (5 s); ENOENT before RegisterService.
func (c *Cluster) SetServiceStatus(status map[string]string) error {
	return c.obj.SetServiceStatus(status)
}

// UnregisterService says goodbye to the manager, which forgets the daemon at once.
func (c *Cluster) UnregisterService(ctx context.Context) error {
	return c.obj.UnregisterService(ctx)
}

// A ClusterStat is the space of a cluster.
type ClusterStat struct {
	KB, KBUsed, KBAvail, Objects uint64
}

// Stat is the space of the cluster.
func (c *Cluster) Stat(ctx context.Context) (ClusterStat, error) {
	r, err := c.obj.Statfs(ctx, nil)
	if err != nil {
		return ClusterStat{}, err
	}
	return ClusterStat{KB: r.KB, KBUsed: r.KBUsed, KBAvail: r.KBAvail, Objects: r.Num}, nil
}

// A PoolRef is a pool's number and name.
type PoolRef struct {
	ID   int64
	Name string
}

// Pools lists the pools by number.
func (c *Cluster) Pools() []PoolRef {
	m := c.Map()
	var out []PoolRef
	for _, id := range m.PoolIDs() {
		out = append(out, PoolRef{ID: id, Name: m.PoolName(id)})
	}
	return out
}

// PoolID finds a pool's number; one that our map does not have is looked for in the newest.
func (c *Cluster) PoolID(ctx context.Context, name string) (int64, error) {
	if id, ok := c.Map().PoolByName(name); ok {
		return id, nil
	}
	m, err := c.obj.WaitLatestMap(ctx)
	if err != nil {
		return 0, err
	}
	if id, ok := m.PoolByName(name); ok {
		return id, nil
	}
	return 0, fmt.Errorf("pool %q does not exist: %w", name, ceph.ENOENT)
}

// CreatePool makes a pool with the cluster's defaults.
func (c *Cluster) CreatePool(ctx context.Context, name string) error {
	return c.obj.CreatePool(ctx, name, -1)
}

// CreatePoolOfRule makes a pool that a CRUSH rule places, by its number; ENOENT without the rule,
// EINVAL if it is not for replicated pools.
func (c *Cluster) CreatePoolOfRule(ctx context.Context, name string, rule uint8) error {
	return c.obj.CreatePool(ctx, name, int16(rule))
}

// DeletePool removes a pool with all its objects, if the monitors allow it
// (mon_allow_pool_delete).
func (c *Cluster) DeletePool(ctx context.Context, name string) error {
	id, err := c.PoolID(ctx, name)
	if err != nil {
		return err
	}
	return c.obj.DeletePool(ctx, id)
}

// PoolStats is the statistics of pools, by name. perPool says that the stores account space
// per pool.
func (c *Cluster) PoolStats(
	ctx context.Context, names ...string,
) (stats map[string]pgstat.Pool, perPool bool, err error) {
	raw, perPool, err := c.obj.PoolStats(ctx, names)
	if err != nil {
		return nil, false, err
	}
	stats = make(map[string]pgstat.Pool, len(raw))
	for name, b := range raw {
		var s pgstat.Pool
		if err := denc.Unmarshal(b, &s, ceph.FeaturesAll); err != nil {
			return nil, false, fmt.Errorf("statistics of pool %q: %w", name, err)
		}
		stats[name] = s
	}
	return stats, perPool, nil
}

// OpenPool opens a pool by name.
func (c *Cluster) OpenPool(ctx context.Context, name string) (*IOCtx, error) {
	id, err := c.PoolID(ctx, name)
	if err != nil {
		return nil, err
	}
	return c.OpenPoolID(id), nil
}

// OpenPoolID opens a pool by number.
func (c *Cluster) OpenPoolID(id int64) *IOCtx {
	return &IOCtx{c: c, pool: id, flight: &flight{}}
}
