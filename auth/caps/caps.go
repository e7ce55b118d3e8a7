package caps

import (
	"errors"
	"net/netip"

	"glue/ceph"
)

// A Perm is a set of permissions.
type Perm uint8

// The permissions.
const (
	R          Perm = 1 << iota // read
	W                           // write
	X                           // execute: object-class methods, or commands
	ClassRead                   // OSD: methods that read
	ClassWrite                  // OSD: methods that write
	All        Perm = 0xff      // "*"
)

// ErrParse is what every grammar error wraps.
var ErrParse = errors.New("caps do not parse")

// Validate checks the text of a service's caps ("mon", "osd", "mgr", "mds"). The error's text is
// what the stock monitor answers after "Error EINVAL: ".
func Validate(service, text string) error { return ErrParse }

// A Mon is the parsed caps of an entity towards monitors (MonCap).
type Mon struct{ grants []monGrant }

type monGrant struct{}

// ParseMon reads "mon" caps. The empty text allows nothing.
func ParseMon(text string) (*Mon, error) { return nil, ErrParse }

// A MonQuery is what an entity wants of the monitors.
type MonQuery struct {
	Entity  ceph.AuthName     // who asks: profiles name its own keys
	Service string            // "mon", "osd", "auth", "mds", "mgr", "log", "config-key", "pg", ...
	Command string            // command prefix; empty for messages and subscriptions
	Args    map[string]string // the command's arguments as text
	Need    Perm              // R, W and X that the operation needs
	Peer    netip.Addr        // where the session comes from, for "network"
}

// Allowed says whether the caps allow the whole of the query (MonCap::is_capable).
func (m *Mon) Allowed(q MonQuery) bool { return false }

// AllowAll says whether the caps are "allow *".
func (m *Mon) AllowAll() bool { return false }

// An OSD is the parsed caps of an entity towards OSDs (OSDCap).
type OSD struct{ grants []osdGrant }

type osdGrant struct{}

// ParseOSD reads "osd" caps. The empty text allows nothing.
func ParseOSD(text string) (*OSD, error) { return nil, ErrParse }

// A ClassCall is one object-class method of an op vector.
type ClassCall struct {
	Class, Method string
	Read, Write   bool // what the method does
	Allowed       bool // the class is in osd_class_default_list
}

// An OSDQuery is what a client wants to do to an object.
type OSDQuery struct {
	Pool        string
	Namespace   string
	Application map[string]map[string]string // the pool's application metadata
	Object      string
	Read, Write bool
	Classes     []ClassCall
	Peer        netip.Addr
}

// Allowed says whether one of the grants, or several together, allow the whole query
// (OSDCap::is_capable).
func (o *OSD) Allowed(q *OSDQuery) bool { return false }

// AllowAll says whether the caps are "allow *" without a restriction.
func (o *OSD) AllowAll() bool { return false }

// A Mgr is the parsed caps of an entity towards managers (MgrCap).
type Mgr struct{ grants []mgrGrant }

type mgrGrant struct{}

// ParseMgr reads "mgr" caps. The empty text allows nothing.
func ParseMgr(text string) (*Mgr, error) { return nil, ErrParse }

// A MgrQuery is what an entity wants of the manager.
type MgrQuery struct {
	Service string // "mgr", "pg", "osd", ...
	Module  string // of a module's command, else empty
	Command string
	Args    map[string]string
	Need    Perm
	Peer    netip.Addr
}

// Allowed says whether the caps allow the whole of the query (MgrCap::is_capable).
func (m *Mgr) Allowed(q MgrQuery) bool { return false }

// AllowAll says whether the caps are "allow *".
func (m *Mgr) AllowAll() bool { return false }
