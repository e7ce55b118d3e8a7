package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/client/rados"
	"glue/internal/host"
	"glue/mon"
)

func monCommand() *cobra.Command {
	var join bool
	var addr, ring string
	cmd := daemonCommand("mon", "Run one monitor")
	run := cmd.RunE
	cmd.Use = "mon --id ID [--data DIR | -c CONF] [--join]"
	cmd.Long = "Run one monitor. With --join it is new, or its store is lost: what it needs to\n" +
		"reach the quorum is fetched from there with the administrator's key, or with the\n" +
		"key of \"mon.\". It gets the state and counts as a member once it has all of it.\n" +
		"Without --join it goes on with the store that it has."
	cmd.Flags().BoolVar(&join, "join", false, "make a store and join the quorum")
	cmd.Flags().StringVar(&addr, "addr", "", "where a monitor that joins listens, as IP:PORT "+
		"or [v2:IP:PORT,v1:IP:PORT] (default: public addr in ceph.conf)")
	cmd.Flags().StringVarP(&ring, "keyring", "k", "", "keyring file for --join (default: what "+
		"ceph.conf says for client.admin)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !join && (addr != "" || ring != "") {
			return errors.New("--addr and --keyring are for --join")
		}
		if join {
			get := func(name string) string { return cmd.Flag(name).Value.String() }
			err := joinQuorum(cmd.Context(), get("id"), get("data"), get("conf"), addr, ring)
			if err != nil {
				return err
			}
		}
		return run(cmd, args)
	}
	cmd.AddCommand(rescueCommand())
	return cmd
}

// joinFile holds the address of a monitor that joins, until the quorum's map has it.
const joinFile = "join.addr"

// joinQuorum makes the store of a monitor that will join.
func joinQuorum(ctx context.Context, id, data, conf, addr, ring string) error {
	conf, err := confFile(data, conf)
	if err != nil {
		return err
	}
	c, err := loadConf(conf, "mon", id)
	if err != nil {
		return err
	}
	if addr != "" {
		at, err := ceph.ParseAddrVec(addr)
		if err != nil {
			return fmt.Errorf("--addr: %w", err)
		}
		addr = at.String()
	}
	dir := c.set.Str("mon_data")
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err = makeJoiner(ctx, conf, id, dir, ring)
	if errors.Is(err, mon.ErrExists) {
		return fmt.Errorf("%w: start it without --join, or move %s away if its store is lost", err,
			dir)
	}
	if err == nil && addr != "" {
		err = writeFile(filepath.Join(dir, joinFile), []byte(addr+"\n"), 0o644)
	}
	return err
}

// makeJoiner fetches the quorum's map and key and makes the store in dir.
func makeJoiner(ctx context.Context, conf, id, dir, ring string) error {
	o := rados.Options{ConfFile: conf, Keyring: ring}
	monEntity := ceph.AuthName{Type: ceph.TypeMon}
	var keys []byte
	if ring != "" {
		if k, err := readKey(ring, monEntity); err == nil {
			o.Name = monEntity
			var r keyring.Keyring
			r.Set(keyring.Entry{Name: monEntity, Key: k, Caps: monCaps})
			keys = []byte(r.Format())
		}
	}
	c, err := rados.Connect(ctx, o)
	if err != nil {
		return fmt.Errorf("fetch the quorum's map and key: %w", err)
	}
	defer c.Close()
	fetch := func(cmd map[string]any) []byte {
		var out []byte
		if err == nil {
			if out, _, err = c.MonCommand(ctx, cmd, nil); err != nil {
				err = fmt.Errorf("fetch the quorum's map and key: %s: %w", cmd["prefix"], err)
			}
		}
		return out
	}
	monmap := fetch(map[string]any{"prefix": "mon getmap"})
	if keys == nil {
		keys = fetch(map[string]any{"prefix": "auth get", "entity": "mon."})
	}
	if err != nil {
		return err
	}
	return mon.MkfsJoin(dir, mon.Joining{Name: id, Monmap: monmap, Keyring: keys})
}

// monAddrs are the addresses that a monitor was given, if any: the quorum's map has its own.
func (c *daemonConf) monAddrs() (ceph.AddrVec, error) {
	b, err := os.ReadFile(filepath.Join(c.set.Str("mon_data"), joinFile))
	if err == nil {
		return ceph.ParseAddrVec(strings.TrimSpace(string(b)))
	}
	if c.set.Str("public_addr") == "" {
		return nil, nil
	}
	return c.addrs()
}

// A monRun is one monitor over its restarts.
type monRun struct {
	mu      sync.Mutex
	m       *mon.Monitor
	stopped bool
}

func startMon(ctx context.Context, c *daemonConf) (*runner, error) {
	at, err := c.monAddrs()
	if err != nil {
		return nil, err
	}
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	o := mon.Options{Dir: c.set.Str("mon_data"), Name: c.id, Listen: at, Log: c.log,
		LogFile: c.logFile, Config: c.values, Hostname: name, Metadata: host.Metadata(name)}
	r := &monRun{}
	if r.m, err = mon.Start(ctx, o); errors.Is(err, mon.ErrRemoved) {
		return nil, errors.Join(err, markRemoved(o.Dir, err))
	} else if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	d := &runner{name: c.name.String(), close: r.close, failed: failed}
	d.listenAdmin(c, r.m.Commands())
	go func() {
		if err := r.watch(ctx, c, d, o); err != nil {
			failed <- err
		}
	}()
	return d, nil
}

// watch waits until the monitor ends by itself. One that was given another address starts anew.
func (r *monRun) watch(ctx context.Context, c *daemonConf, d *runner, o mon.Options) error {
	for {
		<-r.m.Failed()
		err := r.m.Err()
		r.mu.Lock()
		if errors.Is(err, mon.ErrRemoved) {
			err = errors.Join(err, markRemoved(o.Dir, err))
		}
		if r.stopped || !errors.Is(err, mon.ErrMoved) {
			r.mu.Unlock()
			return err
		}
		c.log.Info("the monitor starts again", "err", err)
		if d.socket != nil {
			d.socket.Close()
		}
		if err = r.m.Close(); err == nil {
			r.m, err = mon.Start(ctx, o)
		}
		if err == nil {
			d.listenAdmin(c, r.m.Commands())
		}
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (r *monRun) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	return r.m.Close()
}
