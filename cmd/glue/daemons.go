package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/client/rados"
	"glue/internal/admin"
	"glue/internal/conffile"
	"glue/internal/daemon"
	"glue/internal/host"
	"glue/internal/options"
	"glue/internal/version"
	"glue/mgr"
	"glue/mon"
	"glue/osd"
	"glue/store/blockstore"
	"glue/store/disk"
)

// A daemonConf is what one daemon reads from ceph.conf.
type daemonConf struct {
	typ, id string
	name    ceph.AuthName
	set     options.Set
	values  map[string]string // as in the file, for options that the daemon looks up itself
	log     *slog.Logger
	logFile *daemon.Log
	anyPort bool // where it listens is to be free, whatever the file says
}

// loadConf reads the file for one daemon. Options that Glue does not have are named in the log
// and otherwise passed over, since stock clients share the file.
func loadConf(file, typ, id string) (*daemonConf, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w; name a ceph.conf with -c", err)
	}
	f, err := conffile.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	name, err := ceph.ParseAuthName(typ + "." + id)
	if err != nil {
		return nil, err
	}
	c := &daemonConf{typ: typ, id: id, name: name}
	var unknown []string
	c.set, unknown = options.Set{}.WithKnown(f.For(typ, id))
	if _, set := c.set.Overrides()["log_level"]; !set && os.Getenv("GLUE_LOG") != "" {
		c.set, _ = c.set.WithKnown(map[string]string{"log_level": os.Getenv("GLUE_LOG")})
	}
	if c.logFile, err = daemon.NewLog(os.Stderr, c.set.Str("log_file")); err != nil {
		return nil, err
	}
	c.logFile.Follow(c.set)
	c.log = c.logFile.Logger().With("entity", name.String())
	if len(unknown) > 0 {
		c.log.Warn("options of ceph.conf are not known or not valid here", "options", unknown)
	}
	c.values = c.set.Overrides()
	return c, nil
}

// defaultOSDData and an id are an OSD's folder where ceph.conf names none.
const defaultOSDData = "/var/lib/ceph/osd/ceph-"

// osdData is the folder of an OSD.
func (c *daemonConf) osdData() string {
	return or(c.set.Str("osd_data"), defaultOSDData+c.id)
}

// keyring is the file with the key of an OSD.
func (c *daemonConf) keyring() string {
	if c.typ == "osd" && c.set.Str("keyring") == "" {
		return filepath.Join(c.osdData(), "keyring")
	}
	return c.set.Str("keyring")
}

func (c *daemonConf) fsid() (ceph.UUID, error) {
	u, err := ceph.ParseUUID(c.set.Str("fsid"))
	if err != nil {
		return u, fmt.Errorf("fsid in ceph.conf: %w", err)
	}
	return u, nil
}

// addrs are the addresses to bind; port 0 if none is fixed.
func (c *daemonConf) addrs() (ceph.AddrVec, error) {
	v, err := c.addrsOf("public_addr", "public_network")
	if err == nil && v == nil {
		return ceph.ParseAddrVec("127.0.0.1:0")
	}
	return v, err
}

// addrsOf are the addresses that one option sets, or a free port in the network that another one
// does; nil for neither.
func (c *daemonConf) addrsOf(name, network string) (ceph.AddrVec, error) {
	text := c.set.Str(name)
	if networks := c.set.Str(network); text == "" && networks != "" {
		name = network
		ip, err := localIn(networks)
		if err != nil {
			return nil, fmt.Errorf("%s in ceph.conf: %w", name, err)
		}
		text = netip.AddrPortFrom(ip, 0).String()
	}
	if text == "" {
		return nil, nil
	}
	v, err := ceph.ParseAddrVec(text)
	if err != nil {
		return nil, fmt.Errorf("%s in ceph.conf: %w", name, err)
	}
	for i := range v {
		if c.anyPort {
			v[i].AddrPort = netip.AddrPortFrom(v[i].AddrPort.Addr(), 0)
		}
	}
	return v, nil
}

// localIn is the first address of this host in one of some networks, which are separated by commas
// or blanks.
func localIn(networks string) (netip.Addr, error) {
	have, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list the addresses of this host: %w", err)
	}
	for _, text := range strings.Fields(strings.ReplaceAll(networks, ",", " ")) {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("%q is not a network such as 10.0.0.0/24", text)
		}
		for _, a := range have {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && prefix.Contains(p.Addr()) {
				return p.Addr(), nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("this host has no address in %s", networks)
}

// key is the daemon's secret from its keyring.
func (c *daemonConf) key() (keyring.Key, error) { return readKey(c.keyring(), c.name) }

// readKey is the key of an entity in a keyring file.
func readKey(path string, name ceph.AuthName) (keyring.Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return keyring.Key{}, fmt.Errorf("read the keyring: %w", err)
	}
	ring, err := keyring.Parse(string(text))
	if err != nil {
		return keyring.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	e, ok := ring.Get(name)
	if !ok {
		return keyring.Key{}, fmt.Errorf("%s has no key of %v", path, name)
	}
	return e.Key, nil
}

// A runner is one running part of a cluster.
type runner struct {
	name   string
	close  func() error
	failed <-chan error
	socket *admin.Server
}

// stop ends the daemon and its admin socket.
func (d *runner) stop() error {
	if d.socket != nil {
		d.socket.Close()
	}
	if err := d.close(); err != nil {
		return fmt.Errorf("stop %s: %w", d.name, err)
	}
	return nil
}

// listenAdmin opens the daemon's admin socket; a path that is too long costs the socket, not the
// daemon.
func (d *runner) listenAdmin(c *daemonConf, commands *admin.Table) {
	path := c.set.Str("admin_socket")
	if path == "" {
		return
	}
	s, err := admin.Listen(path, commands, c.log)
	if err != nil {
		c.log.Warn("no admin socket", "err", err)
		return
	}
	d.socket = s
}

// startDaemon starts the daemon that c is for. An OSD or manager whose ports stay taken takes
// others: all find it by the maps.
func startDaemon(ctx context.Context, c *daemonConf) (*runner, error) {
	start := map[string]func(context.Context, *daemonConf) (*runner, error){
		"mon": startMon, "mgr": startMgr, "osd": startOSD,
	}[c.typ]
	var d *runner
	err := patiently(ctx, func() (err error) {
		d, err = start(ctx, c)
		return err
	}, func(err error) bool {
		return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, disk.ErrLocked) ||
			errors.Is(err, syscall.EAGAIN)
	})
	if c.typ != "mon" && errors.Is(err, syscall.EADDRINUSE) {
		c.log.Warn("a port of ceph.conf is taken, the daemon listens at others", "err", err)
		c.anyPort = true
		d, err = start(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("start %v: %w", c.name, err)
	}
	c.log.Info("daemon runs", "version", version.Glue)
	return d, nil
}

func startMgr(ctx context.Context, c *daemonConf) (*runner, error) {
	o := mgr.Options{Name: c.id, Log: c.log, LogFile: c.logFile, Config: c.values}
	var err error
	if o.FSID, err = c.fsid(); err != nil {
		return nil, err
	}
	if o.Addrs, err = c.addrs(); err != nil {
		return nil, err
	}
	if o.Key, err = c.key(); err != nil {
		return nil, err
	}
	if o.MonAddrs, err = rados.ParseMonHosts(ctx, c.set.Str("mon_host")); err != nil {
		return nil, err
	}
	if o.Hostname, err = os.Hostname(); err != nil {
		return nil, err
	}
	o.Metadata = host.Metadata(o.Hostname)
	o.Crashes = func(post func(meta []byte) error) error {
		return crashReports(c.set.Str("crash_dir"), post)
	}
	m, err := mgr.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	d := &runner{name: c.name.String(), close: m.Close}
	d.listenAdmin(c, m.Commands())
	return d, nil
}

// osdMetadata is what "ceph osd metadata" says of this machine and an OSD's disk.
func osdMetadata(path string, rotational bool) map[string]string {
	name, _ := os.Hostname()
	m := host.Metadata(name)
	m["osd_data"], m["rotational"], m["default_device_class"] = path, "0", "ssd"
	if rotational {
		m["rotational"], m["default_device_class"] = "1", "hdd"
	}
	return m
}

func startOSD(ctx context.Context, c *daemonConf) (*runner, error) {
	id, err := strconv.ParseInt(c.id, 10, 32)
	if err != nil || id < 0 {
		return nil, fmt.Errorf("--id %s: an OSD's id is a number from 0", c.id)
	}
	o := osd.Options{ID: int32(id), Log: c.log, LogFile: c.logFile, Config: c.values}
	if o.FSID, err = c.fsid(); err != nil {
		return nil, err
	}
	if o.Addrs, err = c.addrs(); err != nil {
		return nil, err
	}
	if o.Cluster, err = c.addrsOf("cluster_addr", "cluster_network"); err != nil {
		return nil, err
	}
	k, err := c.key()
	if err != nil {
		return nil, err
	}
	o.Key = k.Base64()
	if o.MonAddrs, err = rados.ParseMonHosts(ctx, c.set.Str("mon_host")); err != nil {
		return nil, err
	}
	failed := make(chan error, 2)
	o.OnFatal = func(err error) { failed <- err }
	if o.UUID, err = diskUUID(c.osdData()); err != nil {
		return nil, err
	}
	store, err := blockstore.Open(c.osdData(),
		blockstore.Options{Log: c.log, OnFail: o.OnFatal})
	if err != nil {
		return nil, err
	}
	o.Store, o.Rotational = store, rotates(c.osdData()) == "hdd"
	o.Metadata = osdMetadata(c.osdData(), o.Rotational)
	d, err := osd.Start(ctx, o)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	out := &runner{name: c.name.String(), failed: failed,
		close: sync.OnceValue(func() error { return errors.Join(d.Close(), store.Close()) })}
	out.listenAdmin(c, d.Commands())
	return out, nil
}

// confFile is the ceph.conf that the flags name.
func confFile(data, conf string) (string, error) {
	if data != "" {
		l, err := newLayout(data)
		if err != nil {
			return "", err
		}
		if conf == "" {
			conf = l.conf()
		}
	}
	if conf == "" {
		conf = "/etc/ceph/ceph.conf"
	}
	return conf, nil
}

// endsWell says whether a daemon ends because it should: not to be started again by itself.
func endsWell(err error) bool {
	return errors.Is(err, mon.ErrRemoved) || errors.Is(err, osd.ErrMarkedDown)
}

// runDaemon is the body of `glue mon`, `glue osd` and `glue mgr`: one daemon until ctx ends.
func runDaemon(ctx context.Context, typ, id, data, conf string) error {
	conf, err := confFile(data, conf)
	if err != nil {
		return err
	}
	if id == "" {
		return fmt.Errorf("which %s? name it with --id", typ)
	}
	tuneRuntime()
	c, err := loadConf(conf, typ, id)
	if err != nil {
		return err
	}
	watchCrashes(c.set.Str("crash_dir"), c.name.String(), c.log)
	d, err := startDaemon(ctx, c)
	if errors.Is(err, mon.ErrRemoved) {
		c.log.Warn("the monitor ends", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return d.stop()
	case err := <-d.failed:
		if endsWell(err) {
			c.log.Warn("the daemon ends", "err", err)
			return d.stop()
		}
		// The store is in doubt: end at once, what was acknowledged is on the disk.
		return fmt.Errorf("%s failed: %w", d.name, err)
	}
}

func daemonCommand(typ, short string) *cobra.Command {
	var id, data, conf string
	cmd := &cobra.Command{
		Use:   typ + " --id ID [--data DIR | -c CONF]",
		Short: short,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDaemon(cmd.Context(), typ, id, data, conf)
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "which one: a, x, 0, …")
	cmd.Flags().StringVar(&data, "data", "", "folder of a cluster that glue up made")
	cmd.Flags().StringVarP(&conf, "conf", "c", "", "ceph.conf (default /etc/ceph/ceph.conf)")
	return cmd
}

func mgrCommand() *cobra.Command { return daemonCommand("mgr", "Run one manager") }

// tuneRuntime trades a little memory for fewer collections: a daemon's live heap is small, so
// doubling it before each collection would collect many times a second under load.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}
