package caps

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// A scanner walks through a caps text. Its methods move on when they match and stay where they
// are when they do not, so that alternatives are tried in order, as the stock parsers do.
type scanner struct {
	s string
	i int
}

func (s *scanner) end() bool { return s.i >= len(s.s) }

func (s *scanner) rest() string { return s.s[s.i:] }

// try runs a sequence and goes back when it fails.
func (s *scanner) try(f func() bool) bool {
	at := s.i
	if f() {
		return true
	}
	s.i = at
	return false
}

// optional runs a sequence and goes back when it fails; it always succeeds.
func (s *scanner) optional(f func() bool) bool {
	s.try(f)
	return true
}

func (s *scanner) lit(word string) bool {
	if strings.HasPrefix(s.rest(), word) {
		s.i += len(word)
		return true
	}
	return false
}

// many takes one or more characters of a set.
func (s *scanner) many(set func(c byte) bool) (string, bool) {
	at := s.i
	for !s.end() && set(s.s[s.i]) {
		s.i++
	}
	return s.s[at:s.i], s.i > at
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("_./-", c) >= 0
}

func isNetwork(c byte) bool {
	return c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' || c >= '0' && c <= '9' ||
		strings.IndexByte("/.:][", c) >= 0
}

func (s *scanner) spaces() bool {
	_, ok := s.many(isSpace)
	return ok
}

func (s *scanner) maySpaces() bool {
	s.many(isSpace)
	return true
}

// equalsOrSpaces is what stands between a keyword and its value.
func (s *scanner) equalsOrSpaces() bool { return s.lit("=") || s.spaces() }

// quoted is a text in double or single quotes.
func (s *scanner) quoted(out *string, mayBeEmpty bool) bool {
	if s.end() || s.s[s.i] != '"' && s.s[s.i] != '\'' {
		return false
	}
	n := strings.IndexByte(s.s[s.i+1:], s.s[s.i])
	if n < 0 || n == 0 && !mayBeEmpty {
		return false
	}
	*out = s.s[s.i+1 : s.i+1+n]
	s.i += n + 2
	return true
}

// str is a quoted text or a word.
func (s *scanner) str(out *string) bool {
	if s.quoted(out, false) {
		return true
	}
	w, ok := s.many(isWord)
	if ok {
		*out = w
	}
	return ok
}

// network is an optional "network CIDR" at the end of a grant.
func (s *scanner) network(out *network) bool {
	return s.optional(func() bool {
		if !s.spaces() || !s.lit("network") || !s.spaces() {
			return false
		}
		w, ok := s.many(isNetwork)
		if ok {
			*out = parseNetwork(w)
		}
		return ok
	})
}

// A network restricts a grant to peers of an address range. The zero value restricts nothing; a
// text that is no range lets nobody in.
type network struct {
	set    bool
	prefix netip.Prefix
}

func parseNetwork(text string) network {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return network{set: true}
	}
	return network{set: true, prefix: p.Masked()}
}

func (n network) admits(peer netip.Addr) bool {
	return !n.set || n.prefix.IsValid() && n.prefix.Contains(peer.Unmap())
}

// rwx is "*", "all" or some of r, w and x in this order.
func (s *scanner) rwx(out *Perm) bool {
	if s.lit("*") || s.lit("all") {
		*out = All
		return true
	}
	var p Perm
	for _, l := range []struct {
		word string
		perm Perm
	}{{"r", R}, {"w", W}, {"x", X}} {
		if s.lit(l.word) {
			p |= l.perm
		}
	}
	*out = p
	return p != 0
}

// separated takes grants with separators between them. A separator without a grant behind it is
// not taken.
func (s *scanner) separated(separator, grant func() bool) bool {
	if !s.try(grant) {
		return false
	}
	for s.try(func() bool { return separator() && grant() }) {
	}
	return true
}

// monSeparator is a comma or semicolon with blanks around it, between grants of monitor, manager
// and metadata server caps.
func (s *scanner) monSeparator() bool {
	s.many(func(c byte) bool { return c == ' ' })
	if !s.lit(";") && !s.lit(",") {
		return false
	}
	s.many(func(c byte) bool { return c == ' ' })
	return true
}

// A parseError has the text that the stock monitor answers.
type parseError struct{ text string }

func (e *parseError) Error() string { return e.text }

func (e *parseError) Unwrap() error { return ErrParse }

// failed is the error for where a scan stopped. Monitors and managers word it differently when
// the text has ended.
func (s *scanner) failed(service string, wordEnd bool) error {
	if s.end() && wordEnd {
		return &parseError{fmt.Sprintf("%s capability parse failed, stopped at end of '%s'",
			service, s.s)}
	}
	return &parseError{fmt.Sprintf("%s capability parse failed, stopped at '%s' of '%s'",
		service, s.rest(), s.s)}
}

// A constraint restricts one argument of a command (StringConstraint).
type constraint struct {
	kind    constraintKind
	value   string
	pattern *regexp.Regexp // of kind regex; nil if it does not compile, which matches nothing
}

type constraintKind int

const (
	equal constraintKind = iota
	prefix
	regex
	ownPrefix // prefix of the entity's private keys: value, the entity's name and "/"
)

func newRegex(value string) constraint {
	p, err := regexp.CompilePOSIX("^(" + value + ")$")
	if err != nil {
		p = nil
	}
	return constraint{kind: regex, value: value, pattern: p}
}

func (c constraint) admits(arg, entity string) bool {
	switch c.kind {
	case equal:
		return arg == c.value
	case prefix:
		return strings.HasPrefix(arg, c.value)
	case regex:
		return c.pattern != nil && c.pattern.MatchString(arg)
	case ownPrefix:
		return strings.HasPrefix(arg, c.value+entity+"/")
	}
	return false
}

// constraints are those of a command, by argument. An argument that has one must be given.
type constraints map[string]constraint

func (m constraints) admit(args map[string]string, entity string) bool {
	for name, c := range m {
		arg, ok := args[name]
		if !ok || !c.admits(arg, entity) {
			return false
		}
	}
	return true
}

// keyValues is "KEY=VALUE", "KEY prefix VALUE" or "KEY regex VALUE", repeated.
func (s *scanner) keyValues(out *constraints, spacedEquals bool) bool {
	m := make(constraints)
	pair := func() bool {
		var key string
		var c constraint
		if !s.str(&key) || !s.constraint(&c, spacedEquals) {
			return false
		}
		if _, ok := m[key]; !ok {
			m[key] = c
		}
		return true
	}
	ok := s.separated(s.spaces, pair)
	*out = m
	return ok
}

func (s *scanner) constraint(out *constraint, spacedEquals bool) bool {
	var v string
	switch {
	case s.try(func() bool {
		if spacedEquals {
			s.maySpaces()
		}
		if !s.lit("=") {
			return false
		}
		if spacedEquals {
			s.maySpaces()
		}
		return s.str(&v)
	}):
		*out = constraint{kind: equal, value: v}
	case s.try(func() bool { return s.spaces() && s.lit("prefix") && s.spaces() && s.str(&v) }):
		*out = constraint{kind: prefix, value: v}
	case s.try(func() bool { return s.spaces() && s.lit("regex") && s.spaces() && s.str(&v) }):
		*out = newRegex(v)
	default:
		return false
	}
	return true
}
