package caps

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// A Mgr is the parsed caps of an entity towards managers (MgrCap).
type Mgr struct {
	text   string
	grants []mgrGrant
}

// A mgrGrant is one "allow ..." or "profile ..."; at most one of service, module, profile and
// command is set.
type mgrGrant struct {
	service, module, profile, command string

	args    constraints
	allow   Perm
	network network
	expand  []mgrGrant
}

// ParseMgr reads "mgr" caps. The empty text allows nothing.
func ParseMgr(text string) (*Mgr, error) {
	if text == "" {
		return &Mgr{}, nil
	}
	return parseMgr(text)
}

func parseMgr(text string) (*Mgr, error) {
	s := &scanner{s: text}
	m := &Mgr{text: text}
	if !s.separated(s.monSeparator, func() bool { return m.grant(s) }) || !s.end() {
		return nil, s.failed("mgr", true)
	}
	for i := range m.grants {
		if err := m.grants[i].expandProfile(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Mgr) grant(s *scanner) bool {
	s.maySpaces()
	for _, form := range []func(*mgrGrant, *scanner) bool{
		(*mgrGrant).rwxForm, (*mgrGrant).profileForm, (*mgrGrant).serviceForm,
		(*mgrGrant).moduleForm, (*mgrGrant).commandForm,
	} {
		var g mgrGrant
		if s.try(func() bool { return form(&g, s) }) {
			s.maySpaces()
			m.grants = append(m.grants, g)
			return true
		}
	}
	return false
}

func (g *mgrGrant) rwxForm(s *scanner) bool {
	return s.lit("allow") && s.spaces() && s.rwx(&g.allow) && s.network(&g.network)
}

func (g *mgrGrant) profileForm(s *scanner) bool {
	s.optional(func() bool { return s.lit("allow") && s.spaces() })
	return s.lit("profile") && s.equalsOrSpaces() && s.str(&g.profile) &&
		s.optional(func() bool { return s.spaces() && s.keyValues(&g.args, true) }) &&
		s.network(&g.network)
}

func (g *mgrGrant) serviceForm(s *scanner) bool {
	return s.lit("allow") && s.spaces() && s.lit("service") && s.equalsOrSpaces() &&
		s.str(&g.service) && s.spaces() && s.rwx(&g.allow) && s.network(&g.network)
}

func (g *mgrGrant) with(s *scanner) bool {
	return s.optional(func() bool {
		return s.spaces() && s.lit("with") && s.spaces() && s.keyValues(&g.args, true)
	})
}

func (g *mgrGrant) moduleForm(s *scanner) bool {
	return s.lit("allow") && s.spaces() && s.lit("module") && s.equalsOrSpaces() &&
		s.str(&g.module) && g.with(s) && s.spaces() && s.rwx(&g.allow) && s.network(&g.network)
}

func (g *mgrGrant) commandForm(s *scanner) bool {
	return s.lit("allow") && s.spaces() && s.lit("command") && s.equalsOrSpaces() &&
		s.str(&g.command) && g.with(s) && s.network(&g.network)
}

// expandProfile fills in what a profile stands for; one that is not known is an error here.
func (g *mgrGrant) expandProfile() error {
	switch g.profile {
	case "", "osd", "mds": // the latter two are known and stand for nothing
	case "read-only":
		g.expand = []mgrGrant{{allow: R}}
	case "read-write":
		g.expand = []mgrGrant{{allow: R | W}}
	case "crash":
		g.expand = []mgrGrant{{command: "crash post"}}
	case "rbd", "rbd-read-only":
		for _, key := range slices.Sorted(maps.Keys(g.args)) {
			if key != "pool" && key != "namespace" {
				return profileError("profile '%s' does not recognize key '%s'", g.profile, key)
			}
		}
		p := R
		if g.profile == "rbd" {
			p |= W
		}
		g.expand = []mgrGrant{{module: "rbd_support", args: g.args, allow: p}}
	default:
		return profileError("unrecognized profile '%s'", g.profile)
	}
	return nil
}

func profileError(format string, args ...any) error {
	return &parseError{"mgr capability parse failed during profile evaluation: " +
		fmt.Sprintf(format, args...)}
}

func (g *mgrGrant) isAll() bool {
	return g.allow == All && g.service == "" && g.module == "" && g.profile == "" &&
		g.command == ""
}

// A MgrQuery is what an entity wants of the manager.
type MgrQuery struct {
	Service string // "mgr", "pg", "osd", ...
	Module  string // of a module's command, else empty
	Command string
	Args    map[string]string
	Need    Perm
	Peer    netip.Addr
}

// Allowed says whether the grants together allow the whole of the query (MgrCap::is_capable).
func (m *Mgr) Allowed(q MgrQuery) bool {
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

func (g *mgrGrant) allows(q *MgrQuery) Perm {
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
	case g.module != "":
		// A module checks the arguments of its commands by itself.
		if g.module != q.Module || q.Command == "" && !g.args.admit(q.Args, "") {
			return 0
		}
	case g.command != "":
		if g.command != q.Command || !g.args.admit(q.Args, "") {
			return 0
		}
		return All
	}
	return g.allow
}

// AllowAll says whether the caps are "allow *".
func (m *Mgr) AllowAll() bool {
	for i := range m.grants {
		if m.grants[i].isAll() && !m.grants[i].network.set {
			return true
		}
	}
	return false
}

// String is the text that was parsed.
func (m *Mgr) String() string { return m.text }
