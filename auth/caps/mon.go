package caps

import (
	"net/netip"
	"strings"

	"glue/ceph"
)

// A Mon is the parsed caps of an entity towards monitors (MonCap).
type Mon struct {
	text   string
	grants []monGrant
}

// A monGrant is one "allow ..." or "profile ..."; at most one of service, profile and command is
// set.
type monGrant struct {
	service string
	profile string
	command string
	args    constraints
	allow   Perm
	network network
	fsName  string
	expand  []monGrant // what the profile stands for
}

// ParseMon reads "mon" caps. The empty text allows nothing.
func ParseMon(text string) (*Mon, error) {
	if text == "" {
		return &Mon{}, nil
	}
	return parseMon(text)
}

func parseMon(text string) (*Mon, error) {
	s := &scanner{s: text}
	m := &Mon{text: text}
	if !s.separated(s.monSeparator, func() bool { return m.grant(s) }) || !s.end() {
		return nil, s.failed("mon", true)
	}
	return m, nil
}

func (m *Mon) grant(s *scanner) bool {
	var g monGrant
	s.maySpaces()
	for _, form := range []func(*monGrant, *scanner) bool{
		(*monGrant).rwxForm, (*monGrant).profileForm, (*monGrant).serviceForm,
		(*monGrant).commandForm,
	} {
		g = monGrant{}
		if s.try(func() bool { return form(&g, s) }) {
			s.maySpaces()
			g.expandProfile()
			m.grants = append(m.grants, g)
			return true
		}
	}
	return false
}

func (g *monGrant) rwxForm(s *scanner) bool {
	return s.lit("allow") && s.spaces() && s.rwx(&g.allow) && s.network(&g.network) &&
		s.optional(func() bool {
			if !s.spaces() || !s.lit("fsname") || !s.equalsOrSpaces() {
				return false
			}
			name, ok := s.many(func(c byte) bool { return c != '/' && isWord(c) })
			g.fsName = name
			return ok
		})
}

func (g *monGrant) profileForm(s *scanner) bool {
	s.optional(func() bool { return s.lit("allow") && s.spaces() })
	return s.lit("profile") && s.equalsOrSpaces() && s.str(&g.profile) && s.network(&g.network)
}

func (g *monGrant) serviceForm(s *scanner) bool {
	return s.lit("allow") && s.spaces() && s.lit("service") && s.equalsOrSpaces() &&
		s.str(&g.service) && s.spaces() && s.rwx(&g.allow) && s.network(&g.network)
}

func (g *monGrant) commandForm(s *scanner) bool {
	return s.lit("allow") && s.spaces() && s.lit("command") && s.equalsOrSpaces() &&
		s.str(&g.command) && s.optional(func() bool {
		return s.spaces() && s.lit("with") && s.spaces() && s.keyValues(&g.args, false)
	}) && s.network(&g.network)
}

// isAll says whether the grant is "allow *" of everything, wherever from.
func (g *monGrant) isAll() bool {
	return g.allow == All && g.service == "" && g.profile == "" && g.command == "" &&
		g.fsName == ""
}

// A MonQuery is what an entity wants of the monitors.
type MonQuery struct {
	Entity  ceph.AuthName     // who asks: profiles name its own keys
	Service string            // "mon", "osd", "auth", "mds", "mgr", "log", "config-key", "pg", ...
	Command string            // command prefix; empty for messages and subscriptions
	Args    map[string]string // the command's arguments as text
	Need    Perm              // R, W and X that the operation needs
	Peer    netip.Addr        // where the session comes from, for "network"
}

// Allowed says whether the grants together allow the whole of the query (MonCap::is_capable).
func (m *Mon) Allowed(q MonQuery) bool {
	var have Perm
	for i := range m.grants {
		g := &m.grants[i]
		if !g.network.admits(q.Peer) {
			continue
		}
		if g.isAll() {
			return true
		}
		if have |= g.allows(&q); have.has(q.Need) {
			return true
		}
	}
	return false
}

const monAll = R | W | X

func (g *monGrant) allows(q *MonQuery) Perm {
	switch {
	case g.profile != "":
		var p Perm
		for i := range g.expand {
			p |= g.expand[i].allows(q)
		}
		return p
	case g.service != "":
		if g.service != q.Service {
			return 0
		}
		return g.allow & monAll
	case g.command != "":
		if g.command != q.Command || !g.args.admit(q.Args, q.Entity.String()) {
			return 0
		}
		return monAll
	case q.Service == "config-key":
		return 0 // secrets are kept there: only "allow *" or a command of its own opens it
	}
	return g.allow & monAll
}

// AllowAll says whether the caps are "allow *".
func (m *Mon) AllowAll() bool {
	for i := range m.grants {
		if m.grants[i].isAll() && !m.grants[i].network.set {
			return true
		}
	}
	return false
}

// FSNames are the file systems that the caps are restricted to; all is true when one grant has no
// restriction.
func (m *Mon) FSNames() (names []string, all bool) {
	for i := range m.grants {
		if m.grants[i].fsName == "" {
			return nil, true
		}
		names = append(names, m.grants[i].fsName)
	}
	return names, false
}

// String is the text that was parsed.
func (m *Mon) String() string { return m.text }

func service(name string, p Perm) monGrant { return monGrant{service: name, allow: p} }

func command(name string) monGrant { return monGrant{command: name} }

func commandWith(name string, args constraints) monGrant {
	return monGrant{command: name, args: args}
}

func is(v string) constraint { return constraint{kind: equal, value: v} }

func starts(v string) constraint { return constraint{kind: prefix, value: v} }

// expandProfile fills in what a profile stands for.
func (g *monGrant) expandProfile() {
	g.expand = append(g.expand, monProfiles[g.profile]...)
	switch g.profile {
	case "mon", "osd", "mds", "mgr":
		own := constraint{kind: ownPrefix, value: "daemon-private/"}
		for _, verb := range []string{"get", "put", "set", "exists", "delete"} {
			g.expand = append(g.expand, commandWith("config-key "+verb, constraints{"key": own}))
		}
	}
	if strings.HasPrefix(g.profile, "rbd") {
		g.expand = append(g.expand, rbdClient...)
	}
}
