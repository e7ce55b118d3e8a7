// Package daemon is what all daemons have in common for those who operate them: the options in
// force with their sources, the log, and the commands about both, about counters and about the Go
// runtime, which the admin socket and "ceph tell" share.
//
// A Config and a Log may be used from any goroutine.
package daemon

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"glue/internal/options"
)

// A Config is the options of one running daemon.
type Config struct {
	typ, id string
	mu      sync.Mutex // of writers
	layers  atomic.Pointer[options.Layers]
	changed []func(options.Set)
}

// NewConfig makes the options of a daemon such as "osd", "0" from the values of its file and
// command line; those that are not known or not legal are left out and named.
func NewConfig(typ, id string, file map[string]string) (*Config, []string) {
	c := &Config{typ: typ, id: id}
	l, bad := options.Layers{}.Replace(options.FromFile, file)
	c.layers.Store(&l)
	return c, bad
}

// Name is the daemon, such as "osd.0".
func (c *Config) Name() string { return c.typ + "." + c.id }

// Layers are the values by source.
func (c *Config) Layers() options.Layers { return *c.layers.Load() }

// Set is the values in force.
func (c *Config) Set() options.Set { return c.layers.Load().Set() }

// OnChange has f called with the values in force now, and after each change, by who changes them.
func (c *Config) OnChange(f func(options.Set)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = append(c.changed, f)
	f(c.Set())
}

// Central takes what the monitors' configuration says of this daemon; it returns the names that it
// has no use for.
func (c *Config) Central(values map[string]string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, bad := c.Layers().Replace(options.FromMon, values)
	c.store(l)
	return bad
}

// Override sets an option until the daemon restarts.
func (c *Config) Override(name, value string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, err := c.Layers().Put(options.FromOverride, name, value)
	if err != nil {
		return err
	}
	c.store(l)
	return nil
}

// Unset takes an override away.
func (c *Config) Unset(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(c.Layers().Drop(options.FromOverride, name))
}

func (c *Config) store(l options.Layers) {
	c.layers.Store(&l)
	for _, f := range c.changed {
		f(l.Set())
	}
}

// reads says whether the daemon looks at an option.
func (c *Config) reads(o *options.Option) bool {
	if o.Unused {
		return false
	}
	services := strings.Fields(o.Services)
	return slices.Contains(services, c.typ) || slices.Contains(services, "common")
}

// Report is the values by source as daemons report them to the manager: option, then source and
// value. Secrets are not in it.
func (c *Config) Report() map[string][]options.Sourced {
	l, out := c.Layers(), map[string][]options.Sourced{}
	for _, name := range l.Named() {
		o, ok := options.Lookup(name)
		if !ok {
			continue
		}
		all := l.Of(name)
		for i := range all {
			all[i].Value = o.Show(all[i].Value)
		}
		out[name] = all
	}
	return out
}
