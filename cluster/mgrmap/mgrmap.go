// Package mgrmap is the map of the managers: which one is active and where, who stands by, and
// which modules there are.
//
// A Map is a value that is never changed once it has been handed out; any goroutine may read it.
// The format is mon/MgrMap.h's of Ceph 16.2.
package mgrmap

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// A Map is one epoch of the managers (MgrMap).
type Map struct {
	Epoch               ceph.Epoch
	ActiveAddrs         ceph.AddrVec
	ActiveGID           uint64 // 0 when none is active
	Available           bool   // the active one serves commands
	ActiveName          string
	Standbys            map[uint64]Standby
	Modules             map[string]struct{} // enabled
	Services            map[string]string   // module -> URI
	AvailableModules    []Module
	ActiveChange        ceph.Time
	AlwaysOn            map[uint32]map[string]struct{} // release -> modules
	ActiveFeatures      uint64
	LastFailureOSDEpoch ceph.Epoch
	Clients             []Client // of the active one, to be blocklisted with it
}

// A Client is a session that a module of the active manager has with the cluster.
type Client struct {
	Name  string
	Addrs ceph.AddrVec
}

// A Standby is a manager that can take over (MgrMap::StandbyInfo).
type Standby struct {
	GID              uint64
	Name             string
	AvailableModules []Module
	Features         uint64
}

// A Module is a manager module that exists (MgrMap::ModuleInfo).
type Module struct {
	Name   string
	CanRun bool
	Error  string
	Opts   map[string]ModuleOption
}

// A ModuleOption is an option of a module (MgrMap::ModuleOption).
type ModuleOption struct {
	Name        string
	Type        uint8 // as in the option tables
	Level       uint8
	Flags       uint32
	Default     string
	Min, Max    string
	EnumAllowed map[string]struct{}
	Desc        string
	LongDesc    string
	Tags        map[string]struct{}
	SeeAlso     map[string]struct{}
}

// Denc is MgrMap version 12; versions from 6, nautilus, on are read.
func (m *Map) Denc(c *denc.Coder) {
	s := c.Begin(12, 6)
	if c.Err() == nil && s.V < 6 {
		c.Invalid("mgrmap of version %d, from before nautilus", s.V)
	}
	m.Epoch.Denc(c)
	m.ActiveAddrs.Denc(c)
	c.U64(&m.ActiveGID)
	c.Bool(&m.Available)
	c.Str(&m.ActiveName)
	denc.Map(c, &m.Standbys, (*denc.Coder).U64)
	set(c, &m.Modules)
	denc.MapFunc(c, &m.Services, (*denc.Coder).Str, (*denc.Coder).Str)
	denc.List(c, &m.AvailableModules)
	if s.V >= 7 {
		m.ActiveChange.Denc(c)
	}
	if s.V >= 8 {
		denc.MapFunc(c, &m.AlwaysOn, (*denc.Coder).U32, set)
	}
	if s.V >= 9 {
		c.U64(&m.ActiveFeatures)
	}
	if s.V >= 10 {
		m.LastFailureOSDEpoch.Denc(c)
	}
	if s.V >= 11 {
		m.dencClients(c, s.V)
	}
	s.End()
}

// dencClients is the addresses, and since version 12 as many names.
func (m *Map) dencClients(c *denc.Coder, v uint8) {
	addrs := make([]ceph.AddrVec, len(m.Clients))
	names := make([]string, len(m.Clients))
	for i, cl := range m.Clients {
		addrs[i], names[i] = cl.Addrs, cl.Name
	}
	denc.List(c, &addrs)
	if v >= 12 {
		denc.ListFunc(c, &names, (*denc.Coder).Str)
	} else {
		names = make([]string, len(addrs))
	}
	if c.Encoding() || c.Err() != nil {
		return
	}
	if len(names) != len(addrs) {
		c.Invalid("mgrmap: %d clients with %d names", len(addrs), len(names))
		return
	}
	m.Clients = nil
	for i := range addrs {
		m.Clients = append(m.Clients, Client{names[i], addrs[i]})
	}
}

func set(c *denc.Coder, p *map[string]struct{}) { denc.SetFunc(c, p, (*denc.Coder).Str) }

// Denc is StandbyInfo version 4; the names of its modules come twice.
func (s *Standby) Denc(c *denc.Coder) {
	f := c.Begin(4, 1)
	c.U64(&s.GID)
	c.Str(&s.Name)
	names := map[string]struct{}{}
	for _, m := range s.AvailableModules {
		names[m.Name] = struct{}{}
	}
	if f.V >= 2 {
		set(c, &names)
	}
	if f.V >= 3 {
		denc.List(c, &s.AvailableModules)
	}
	if f.V >= 4 {
		c.U64(&s.Features)
	}
	f.End()
}

// Denc is ModuleInfo version 2.
func (m *Module) Denc(c *denc.Coder) {
	s := c.Begin(2, 1)
	c.Str(&m.Name)
	c.Bool(&m.CanRun)
	c.Str(&m.Error)
	if s.V >= 2 {
		denc.Map(c, &m.Opts, (*denc.Coder).Str)
	}
	s.End()
}

// Denc is ModuleOption version 1.
func (o *ModuleOption) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&o.Name)
	c.U8(&o.Type)
	c.U8(&o.Level)
	c.U32(&o.Flags)
	c.Str(&o.Default)
	c.Str(&o.Min)
	c.Str(&o.Max)
	set(c, &o.EnumAllowed)
	c.Str(&o.Desc)
	c.Str(&o.LongDesc)
	set(c, &o.Tags)
	set(c, &o.SeeAlso)
	s.End()
}

// HasName says whether a manager of this name is active or stands by.
func (m *Map) HasName(name string) bool {
	if m.ActiveName == name {
		return true
	}
	for _, s := range m.Standbys {
		if s.Name == name {
			return true
		}
	}
	return false
}
