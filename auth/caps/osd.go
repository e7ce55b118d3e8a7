package caps

import (
	"net/netip"
	"slices"
	"strings"
)

// An OSD is the parsed caps of an entity towards OSDs (OSDCap).
type OSD struct {
	text   string
	grants []osdGrant
}

// An osdGrant is what may be done to which objects. Of a profile, expand has the grants.
type osdGrant struct {
	match   osdMatch
	allow   Perm
	class   string // "allow class CLASS [METHOD]"
	method  string
	profile string
	expand  []osdGrant
	network network
}

// An osdMatch selects objects; an empty field selects all.
type osdMatch struct {
	pool         string
	namespace    string
	hasNamespace bool
	prefix       string // of the object's name
	tag          osdTag
}

// An osdTag selects pools by their application metadata; "*" is any key or value.
type osdTag struct{ app, key, value string }

// ParseOSD reads "osd" caps. The empty text allows nothing.
func ParseOSD(text string) (*OSD, error) {
	if text == "" {
		return &OSD{}, nil
	}
	return parseOSD(text)
}

func parseOSD(text string) (*OSD, error) {
	s := &scanner{s: text}
	o := &OSD{text: text}
	separator := func() bool { return s.lit(";") || s.lit(",") }
	ok := s.separated(separator, func() bool { return o.grant(s) })
	if ok {
		s.maySpaces()
	}
	if !ok || !s.end() {
		return nil, s.failed("osd", false)
	}
	return o, nil
}

func (o *OSD) grant(s *scanner) bool {
	blanks := func() { s.many(isBlank) }
	blanks()
	for _, form := range []func(*osdGrant, *scanner) bool{
		(*osdGrant).specFirst, (*osdGrant).matchFirst, (*osdGrant).profileForm,
	} {
		var g osdGrant
		if s.try(func() bool { return form(&g, s) }) {
			blanks()
			g.expandProfile()
			o.grants = append(o.grants, g)
			return true
		}
	}
	return false
}

// specFirst is the older order: "allow rw pool=x".
func (g *osdGrant) specFirst(s *scanner) bool {
	return s.lit("allow") && g.spec(s) && g.match.scan(s) && s.network(&g.network)
}

// matchFirst is "allow pool x rw".
func (g *osdGrant) matchFirst(s *scanner) bool {
	return s.lit("allow") && g.match.scan(s) && g.spec(s) && s.network(&g.network)
}

func (g *osdGrant) profileForm(s *scanner) bool {
	if !s.lit("profile") || !s.equalsOrSpaces() || !s.str(&g.profile) {
		return false
	}
	g.match.scanPool(s)
	s.try(func() bool { return g.match.scanNamespace(s) })
	return s.network(&g.network)
}

// spec is "*", "rwx" with "class-read" and "class-write", or "class NAME [METHOD]".
func (g *osdGrant) spec(s *scanner) bool {
	return s.try(func() bool { return g.rwx(s) }) || s.try(func() bool {
		return s.spaces() && s.lit("class") && s.spaces() && s.str(&g.class) &&
			s.optional(func() bool { return s.spaces() && s.str(&g.method) })
	})
}

func (g *osdGrant) rwx(s *scanner) bool {
	s.try(func() bool { return s.spaces() && s.rwx(&g.allow) })
	if g.allow == All {
		return true
	}
	if g.allow&X != 0 {
		g.allow |= ClassRead | ClassWrite
	}
	for _, c := range []struct {
		word string
		perm Perm
	}{{"class-read", ClassRead}, {"class-write", ClassWrite}} {
		if s.try(func() bool { return s.spaces() && s.lit(c.word) }) {
			g.allow |= c.perm
		}
	}
	return g.allow != 0
}

// scan takes a match: a pool tag, a namespace and a pool tag, or pool, namespace and prefix, each
// of which may be missing.
func (m *osdMatch) scan(s *scanner) bool {
	if s.try(func() bool { return m.scanTag(s) }) {
		return true
	}
	if s.try(func() bool { return m.scanNamespace(s) && m.scanTag(s) }) {
		return true
	}
	*m = osdMatch{}
	m.scanPool(s)
	s.try(func() bool { return m.scanNamespace(s) })
	return s.optional(func() bool {
		return s.spaces() && s.lit("object_prefix") && s.spaces() && s.str(&m.prefix)
	})
}

func (m *osdMatch) scanPool(s *scanner) {
	s.try(func() bool {
		return s.spaces() && s.lit("pool") && s.equalsOrSpaces() && s.str(&m.pool)
	})
}

func (m *osdMatch) scanNamespace(s *scanner) bool {
	var name string
	if !s.spaces() || !s.lit("namespace") || !s.equalsOrSpaces() {
		return false
	}
	if !s.quoted(&name, true) && !s.str(&name) {
		return false
	}
	if s.lit("*") {
		name += "*"
	}
	m.namespace, m.hasNamespace = name, true
	return true
}

func (m *osdMatch) scanTag(s *scanner) bool {
	wild := func(out *string) bool {
		if s.lit("*") || s.lit("all") {
			*out = "*"
			return true
		}
		return s.str(out)
	}
	var t osdTag
	if !s.spaces() || !s.lit("tag") || !s.spaces() || !s.str(&t.app) || !s.spaces() ||
		!wild(&t.key) || !s.maySpaces() || !s.lit("=") || !s.maySpaces() || !wild(&t.value) {
		return false
	}
	m.tag = t
	return true
}

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

// Allowed says whether one of the grants allows the whole query. Only methods add up: each may be
// allowed by another grant, all of which allow the reading and writing (OSDCap::is_capable).
func (o *OSD) Allowed(q *OSDQuery) bool {
	var few [8]bool
	done := few[:]
	if len(q.Classes) > len(few) {
		done = make([]bool, len(q.Classes))
	}
	done = done[:len(q.Classes)]
	for i := range o.grants {
		if o.grants[i].allows(q, done) {
			return true
		}
	}
	return false
}

// allows notes the methods that the grant allows in done.
func (g *osdGrant) allows(q *OSDQuery, done []bool) bool {
	if !g.network.admits(q.Peer) {
		return false
	}
	if g.profile != "" {
		for i := range g.expand {
			if g.expand[i].allows(q, done) {
				return true
			}
		}
		return false
	}
	if !g.match.admits(q) || q.Read && g.allow&R == 0 || q.Write && g.allow&W == 0 {
		return false
	}
	if g.allow == All {
		return true
	}
	all := true
	for i := range q.Classes {
		if g.allowsCall(&q.Classes[i]) {
			done[i] = true
		}
		all = all && done[i]
	}
	return all
}

func (g *osdGrant) allowsCall(c *ClassCall) bool {
	if g.class != "" && g.class == c.Class && (g.method == "" || g.method == c.Method) {
		return true
	}
	return c.Allowed && (!c.Read || g.allow&ClassRead != 0) &&
		(!c.Write || g.allow&ClassWrite != 0)
}

func (m *osdMatch) admits(q *OSDQuery) bool {
	if m.pool != "" && m.pool != q.Pool {
		return false
	}
	if m.hasNamespace && m.namespace != q.Namespace {
		start, ok := strings.CutSuffix(m.namespace, "*")
		if !ok || !strings.HasPrefix(q.Namespace, start) {
			return false
		}
	}
	return m.tag.admits(q.Application) && strings.HasPrefix(q.Object, m.prefix)
}

func (t *osdTag) admits(apps map[string]map[string]string) bool {
	if t.app == "" {
		return true
	}
	pairs, ok := apps[t.app]
	if !ok || t.key == "*" && t.value == "*" {
		return ok
	}
	if t.key == "*" {
		for _, v := range pairs {
			if v == t.value {
				return true
			}
		}
		return false
	}
	v, ok := pairs[t.key]
	return ok && (t.value == "*" || t.value == v)
}

// AllowAll says whether the caps are "allow *" without a restriction.
func (o *OSD) AllowAll() bool {
	for i := range o.grants {
		g := &o.grants[i]
		if g.allow == All && g.match == (osdMatch{}) && !g.network.set {
			return true
		}
	}
	return false
}

// WritesPool says whether a grant lets the entity write something of a pool, which it names, or of
// every pool: then it may make snapshots of its own there (is_osd_writable). Pools that grants
// select by a tag do not count.
func (o *OSD) WritesPool(pool string, peer netip.Addr) bool {
	return writesPool(o.grants, pool, peer)
}

func writesPool(list []osdGrant, pool string, peer netip.Addr) bool {
	return slices.ContainsFunc(list, func(g osdGrant) bool {
		if !g.network.admits(peer) {
			return false
		}
		here := g.match == (osdMatch{}) || pool != "" && g.match.pool == pool
		return here && g.allow&W != 0 || writesPool(g.expand, pool, peer)
	})
}

// String is the text that was parsed.
func (o *OSD) String() string { return o.text }

// expandProfile fills in what a profile stands for; one that is not known stands for nothing.
func (g *osdGrant) expandProfile() {
	const x = X | ClassRead | ClassWrite
	where := g.match
	method := func(m osdMatch, name string) osdGrant {
		return osdGrant{match: m, class: "rbd", method: name}
	}
	header := where
	header.prefix = "rbd_header."
	switch g.profile {
	case "read-only":
		g.expand = []osdGrant{{match: where, allow: R}}
	case "read-write":
		g.expand = []osdGrant{{match: where, allow: R | W}}
	case "rbd":
		g.expand = []osdGrant{
			{match: osdMatch{prefix: "rbd_info"}, allow: R},
			{match: osdMatch{prefix: "rbd_children"}, allow: ClassRead},
			{match: osdMatch{prefix: "rbd_mirroring"}, allow: ClassRead},
			method(osdMatch{pool: where.pool}, "metadata_list"),
			{match: where, allow: R | W | x},
		}
	case "rbd-read-only":
		g.expand = []osdGrant{
			{match: where, allow: R | ClassRead},
			method(header, "child_attach"),
			method(header, "child_detach"),
		}
	}
}
