// Package ecprofile checks erasure-code profiles: the named settings that an erasure-coded pool is
// made from. It knows what each plugin takes, fills in defaults, and counts the chunks; it encodes
// nothing.
//
// Everything here is pure and may be used from any goroutine. The names, defaults and limits are
// those of Ceph 16.2's plugins (erasure-code/*).
package ecprofile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"glue/ceph"
)

// A Profile is the settings by name.
type Profile map[string]string

// String is the profile as messages show it.
func (p Profile) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(p)) {
		parts = append(parts, k+"="+p[k])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// An Error is a profile that can't be used.
type Error struct {
	Errno ceph.Errno
	Text  string
}

// Error is the text.
func (e *Error) Error() string { return e.Text }

// Unwrap is the number.
func (e *Error) Unwrap() error { return e.Errno }

func fail(e ceph.Errno, format string, args ...any) error {
	return &Error{e, fmt.Sprintf(format, args...)}
}

// A Code is a profile that was checked.
type Code struct {
	Profile  Profile // with the defaults
	Chunks   int     // in all, data and coding
	Locality int     // chunks of a local group, with its own coding chunk; 0 for no such groups
}

// plugins are what each plugin checks and adds; a check returns the number of chunks.
var plugins = map[string]func(p *plan) error{
	"jerasure": (*plan).jerasure, "isa": (*plan).isa, "shec": (*plan).shec,
	"clay": (*plan).clay, "lrc": (*plan).lrc,
}

// A plan is a profile that is being checked.
type plan struct {
	in, out Profile
	k, m    int
	Code
	err   error
	align int // chunk sizes are padded to a multiple of it; 0 for none
}

// Parse reads words of the form NAME=VALUE over the settings in base.
func Parse(base Profile, words []string) Profile {
	out := maps.Clone(base)
	if out == nil {
		out = Profile{}
	}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		out[k] = v
	}
	return out
}

// Check validates a profile and fills in its defaults.
func Check(in Profile) (*Code, error) {
	for k := range in {
		if rest, ok := strings.CutPrefix(k, "ruleset-"); ok {
			return nil, fail(ceph.EINVAL, "property '%s' is no longer supported; try 'crush-%s' "+
				"instead", k, rest)
		}
	}
	name, ok := in["plugin"]
	if !ok {
		return nil, fail(ceph.EINVAL, "cannot determine the erasure code plugin because there is "+
			"no 'plugin' entry in the erasure_code_profile %v", in)
	}
	check := plugins[name]
	if check == nil {
		return nil, fail(ceph.EIO, "there is no erasure code plugin '%s'; use one of %s", name,
			strings.Join(slices.Sorted(maps.Keys(plugins)), ", "))
	}
	p := &plan{in: in, out: maps.Clone(in)}
	p.text("crush-root", "default")
	p.text("crush-failure-domain", "host")
	p.text("crush-device-class", "")
	err := check(p)
	if err == nil {
		err = p.err
	}
	if err == nil {
		err = p.checkMapping()
	}
	if err == nil {
		err = p.checkStripe()
	}
	if err != nil {
		return nil, err
	}
	p.Profile = p.out
	return &p.Code, nil
}

// text is a setting; def when it is missing or empty.
func (p *plan) text(name, def string) string {
	if p.out[name] == "" {
		p.out[name] = def
	}
	return p.out[name]
}

// number is a whole number of the profile; keep says that a default is written into it.
func (p *plan) number(name string, def int, keep bool) int {
	s := p.in[name]
	if s == "" {
		if keep {
			p.out[name] = strconv.Itoa(def)
		}
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil && p.err == nil {
		p.err = fail(ceph.EINVAL, "could not convert %s=%s to int because Expected option value "+
			"to be integer, got '%s'", name, s, s)
	}
	return n
}

// dataAndCoding reads k and m.
func (p *plan) dataAndCoding(k, m int, keep bool) error {
	p.k, p.m = p.number("k", k, keep), p.number("m", m, keep)
	switch {
	case p.err != nil:
	case p.k < 2:
		return fail(ceph.EINVAL, "k=%d must be >= 2", p.k)
	case p.m < 1:
		return fail(ceph.EINVAL, "m=%d must be >= 1", p.m)
	case p.k > maxChunks || p.m > maxChunks:
		return fail(ceph.EINVAL, "k=%d m=%d: at most %d chunks each", p.k, p.m, maxChunks)
	}
	p.Chunks = p.k + p.m
	return p.err
}

// maxChunks bounds k and m: no pool has more OSDs per PG.
const maxChunks = 4096

// checkMapping: a mapping says for every chunk whether it is data.
func (p *plan) checkMapping() error {
	m := p.in["mapping"]
	if m == "" || p.in["plugin"] == "lrc" || len(m) == p.Chunks {
		return nil
	}
	return fail(ceph.EINVAL, "mapping %s maps %d chunks instead of the expected %d", m, len(m),
		p.Chunks)
}

// checkStripe: a stripe unit must be what the plugin would make of it.
func (p *plan) checkStripe() error {
	s, ok := p.in["stripe_unit"]
	if !ok {
		return nil
	}
	mul := map[string]int{"": 1, "K": 1 << 10, "Ki": 1 << 10, "M": 1 << 20, "Mi": 1 << 20}
	digits := strings.TrimRight(s, "KMi")
	n, err := strconv.Atoi(digits)
	unit, known := mul[s[len(digits):]]
	if err != nil || !known || n < 1 || n > 1<<30/unit {
		return fail(ceph.EINVAL, "could not parse stripe_unit '%s': strict_iecstrtoll: unit "+
			"prefix not recognized", s)
	}
	n *= unit
	if p.align > 0 && n%p.align != 0 {
		return fail(ceph.EINVAL, "stripe_unit %s does not match ec profile alignment. Would be "+
			"padded to %d", s, (n+p.align-1)/p.align*p.align)
	}
	return nil
}
