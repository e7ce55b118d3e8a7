// Package servicemap is the map of the daemons that are no daemons of Ceph's own kinds and register
// with the manager through librados: gateways, mirrors. It encodes the map as Ceph 16.2 does
// (mgr/ServiceMap.h) and prints it. It is pure; a Map belongs to one goroutine at a time.
package servicemap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/cephjson"
)

// A Map is all registered daemons: by service, then by name.
type Map struct {
	Epoch    ceph.Epoch
	Modified ceph.Time
	Services map[string]Service
}

// A Service is the daemons of one service by name.
type Service map[string]*Daemon

// A Daemon is what a daemon has said of itself when it registered.
type Daemon struct {
	GID      uint64
	Addr     ceph.Addr
	Epoch    ceph.Epoch // of the map that it came with
	Began    ceph.Time
	Metadata map[string]string
	Tasks    map[string]string
}

func strMap(c *denc.Coder, p *map[string]string) {
	denc.MapFunc(c, p, (*denc.Coder).Str, (*denc.Coder).Str)
}

// Denc is version 2.
func (d *Daemon) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	c.U64(&d.GID)
	d.Addr.Denc(c)
	d.Epoch.Denc(c)
	d.Began.Denc(c)
	strMap(c, &d.Metadata)
	if s.V >= 2 {
		strMap(c, &d.Tasks)
	}
	s.End()
}

func (v *Service) denc(c *denc.Coder) {
	summary := ""
	s := c.Begin(1, 1)
	denc.MapFunc(c, (*map[string]*Daemon)(v), (*denc.Coder).Str,
		func(c *denc.Coder, d **Daemon) {
			if *d == nil {
				*d = &Daemon{}
			}
			(*d).Denc(c)
		})
	c.Str(&summary)
	s.End()
}

// Denc is version 1.
func (m *Map) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	m.Epoch.Denc(c)
	m.Modified.Denc(c)
	denc.MapFunc(c, &m.Services, (*denc.Coder).Str, func(c *denc.Coder, v *Service) { v.denc(c) })
	s.End()
}

// Foreign says whether a name can be a service's: it is none of Ceph's own kinds of daemons.
func Foreign(name string) bool {
	_, err := ceph.ParseEntityType(name)
	return name != "" && err != nil
}

// Set puts a daemon into the map.
func (m *Map) Set(service, name string, d *Daemon) {
	if m.Services == nil {
		m.Services = map[string]Service{}
	}
	if m.Services[service] == nil {
		m.Services[service] = Service{}
	}
	m.Services[service][name] = d
}

// Remove takes a daemon out, and its service if it was the last.
func (m *Map) Remove(service, name string) {
	delete(m.Services[service], name)
	if len(m.Services[service]) == 0 {
		delete(m.Services, service)
	}
}

// Names lists the services in order.
func (m *Map) Names() []string { return slices.Sorted(maps.Keys(m.Services)) }

// Names lists a service's daemons in order.
func (v Service) Names() []string { return slices.Sorted(maps.Keys(v)) }

// groups are what daemons are counted by in a summary, and the metadata that tell it.
var groups = []struct{ name, key string }{{"host", "hostname"}, {"zone", "zone_id"}}

// Summary is a line such as "2 daemons active (1 hosts)".
func (v Service) Summary() string {
	kind := "daemon"
	counted := map[string]map[string]bool{}
	for _, name := range v.Names() {
		md := v[name].Metadata
		if k, ok := md["daemon_type"]; ok {
			kind = k
		}
		for _, g := range groups {
			if value, ok := md[g.key]; ok {
				if counted[g.name] == nil {
					counted[g.name] = map[string]bool{}
				}
				counted[g.name][value] = true
			}
		}
	}
	if len(v) > 1 {
		kind += "s"
	}
	var parts []string
	for _, g := range groups {
		if n := len(counted[g.name]); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %ss", n, g.name))
		}
	}
	out := fmt.Sprintf("%d %s active", len(v), kind)
	if len(parts) > 0 {
		out += " (" + strings.Join(parts, ", ") + ")"
	}
	return out
}

// Dump is the map as "ceph service dump" prints it.
func (m *Map) Dump() any {
	services := cephjson.Object{}
	for _, service := range m.Names() {
		list := cephjson.Object{{Key: "summary", Value: ""}}
		for _, name := range m.Services[service].Names() {
			list = append(list, cephjson.Member{Key: name,
				Value: m.Services[service][name].dump()})
		}
		services = append(services, cephjson.Member{Key: service,
			Value: cephjson.Object{{Key: "daemons", Value: list}}})
	}
	return cephjson.Object{{Key: "epoch", Value: m.Epoch},
		{Key: "modified", Value: m.Modified.String()}, {Key: "services", Value: services}}
}

func (d *Daemon) dump() any {
	return cephjson.Object{{Key: "start_epoch", Value: d.Epoch},
		{Key: "start_stamp", Value: d.Began.String()}, {Key: "gid", Value: d.GID},
		{Key: "addr", Value: d.Addr.LegacyString()}, {Key: "metadata", Value: filled(d.Metadata)},
		{Key: "task_status", Value: filled(d.Tasks)}}
}

func filled(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
