// Package options is the one table of Glue's options, under Ceph's names, and the value sets made
// from it: defaults, then the configuration file, the central configuration and the command
// line, each over the one before. The table and a Set are immutable and may be read from any
// goroutine; a change makes a new Set, which a daemon takes as an event.
package options

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Kind is the type of an option's value.
type Kind uint8

// The kinds, named as "ceph config help" prints them.
const (
	Str Kind = iota
	Int
	Uint
	Size // bytes, with K, M, G, T or Ki, Mi, … suffix
	Secs // seconds, with s, m, h, d suffix
	Float
	Bool
	Millis  // whole milliseconds
	Addr    // one address
	AddrVec // one or more
	UUID
	Level // of debug output: N or N/M, each 0 to 99
)

var kindNames = [...]string{"str", "int", "uint", "size", "secs", "float", "bool", "millisecs",
	"addr", "addrvec", "uuid", "str"}

// String is the kind's name in the stock tools' output.
func (k Kind) String() string { return kindNames[k] }

func (k Kind) numeric() bool {
	return slices.Contains([]Kind{Int, Uint, Size, Secs, Float, Millis}, k)
}

// An Option is one row of the table.
type Option struct {
	Name     string
	Kind     Kind
	Level    string // basic, advanced or dev
	Default  string
	Min, Max string   // empty for none
	Enum     []string // allowed values of a Str, empty for any
	Services string   // who reads it: "mon osd mgr client common"
	Flags    string   // Ceph's, with commas; empty for what Startup says
	// DaemonDefault is the default of daemons where theirs differs from that of other programs.
	DaemonDefault string
	Startup       bool // only read at start
	Secret        bool // never printed
	// Unused: accepted since files and scripts for Ceph have it, and without effect here.
	Unused bool
	Help   string

	normals [2]string // the defaults of other programs and of daemons in their normal form
}

var byName = func() map[string]*Option {
	m := make(map[string]*Option, len(table))
	for i := range table {
		o := &table[i]
		o.normals = [2]string{o.defaultOf(false), o.defaultOf(true)}
		m[o.Name] = o
	}
	return m
}()

// Lookup finds an option of Glue or of Ceph; spaces and dashes in name read as underscores.
func Lookup(name string) (*Option, bool) {
	name = Canonical(name)
	if o, ok := byName[name]; ok {
		return o, true
	}
	return known(name)
}

// Canonical is the table's spelling of an option name.
func Canonical(name string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.TrimSpace(name))
}

// All returns Glue's options and those of Ceph that it has no use for, in the order of the names.
func All() []Option {
	all := slices.Clone(table)
	for line := range strings.Lines(knownText) {
		if name, _, _ := strings.Cut(line, "\t"); byName[name] == nil {
			all = append(all, parseKnown(line))
		}
	}
	slices.SortFunc(all, func(a, b Option) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Check says whether value is legal for the option and returns its normal form. The errors have
// the words of the stock tools, as scripts look for them.
func (o *Option) Check(value string) (string, error) {
	v, err := o.normal(value)
	if err != nil {
		return "", err
	}
	if !o.Kind.numeric() {
		return v, nil
	}
	n, _ := strconv.ParseFloat(v, 64)
	if lo, err := o.normal(o.Min); o.Min != "" && err == nil {
		if f, _ := strconv.ParseFloat(lo, 64); n < f {
			return "", fmt.Errorf("Value '%s' is below minimum %s", value, o.Min)
		}
	}
	if hi, err := o.normal(o.Max); o.Max != "" && err == nil {
		if f, _ := strconv.ParseFloat(hi, 64); n > f {
			return "", fmt.Errorf("Value '%s' exceeds maximum %s", value, o.Max)
		}
	}
	return v, nil
}

func (o *Option) normal(value string) (string, error) {
	value = strings.TrimSpace(value)
	switch o.Kind {
	case Str:
		if len(o.Enum) > 0 && !slices.Contains(o.Enum, value) {
			return "", fmt.Errorf("'%s' is not one of the permitted values: %s", value,
				strings.Join(o.Enum, ", "))
		}
		if o.Name == "rbd_default_features" {
			return parseFeatures(value)
		}
		return value, nil
	case Level:
		return parseLevel(value)
	case Addr:
		return parseAddr(value)
	case AddrVec:
		return parseAddrs(value)
	case UUID:
		if !uuidForm.MatchString(value) {
			return "", fmt.Errorf("Expected a UUID, got '%s'", value)
		}
		return strings.ToLower(value), nil
	case Bool:
		b, ok := parseBool(value)
		if !ok {
			return "", fmt.Errorf("Expected option value to be true or false, got '%s'", value)
		}
		return strconv.FormatBool(b), nil
	case Float:
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return "", fmt.Errorf("strict_strtod: expected double, got: '%s'", value)
		}
		return strconv.FormatFloat(f, 'f', 6, 64), nil
	case Secs:
		s, ok := parseSecs(value)
		// Stock clients take whole seconds only.
		if !ok || o.Unused && s != math.Trunc(s) {
			return "", fmt.Errorf("Expected a time such as 30, 10m or 2h, got '%s'", value)
		}
		return strconv.FormatFloat(s, 'f', -1, 64), nil
	}
	n, ok := parseSize(value, o.Kind)
	if !ok || o.Kind != Int && n < 0 {
		return "", fmt.Errorf("Expected option value to be integer, got '%s'", value)
	}
	return strconv.FormatInt(n, 10), nil
}

// A Set is the values of one daemon at one moment. The zero value holds the defaults.
type Set struct {
	values map[string]string
}

// With returns a set with the given values over s. A name that is not in the table, or an illegal
// value, is an error that says what was wrong.
func (s Set) With(values map[string]string) (Set, error) {
	out := Set{values: maps.Clone(s.values)}
	if out.values == nil {
		out.values = make(map[string]string, len(values))
	}
	for name, value := range values {
		o, ok := Lookup(name)
		if !ok {
			return s, fmt.Errorf("unrecognized config option '%s'", name)
		}
		v, err := o.Check(value)
		if err != nil {
			return s, fmt.Errorf("option '%s': %w", o.Name, err)
		}
		out.values[o.Name] = v
	}
	return out, nil
}

// WithKnown is With that passes over options that Glue does not have, for configurations written
// for other daemons; it returns their names.
func (s Set) WithKnown(values map[string]string) (Set, []string) {
	var unknown []string
	known := map[string]string{}
	for name, value := range values {
		if o, ok := Lookup(name); ok {
			if _, err := o.Check(value); err == nil {
				known[name] = value
				continue
			}
		}
		unknown = append(unknown, name)
	}
	out, err := s.With(known)
	if err != nil {
		return s, unknown
	}
	slices.Sort(unknown)
	return out, unknown
}

// Overrides are the values that are set, without the defaults.
func (s Set) Overrides() map[string]string { return maps.Clone(s.values) }

// Get is the value in its normal text form. Asking for a name that the table lacks is a bug.
func (s Set) Get(name string) string {
	if v, ok := s.values[name]; ok {
		return v
	}
	o, ok := byName[name]
	if !ok {
		o, ok = known(name)
	}
	if !ok {
		panic("invariant broken: option " + name + " is not in the table")
	}
	return o.DefaultOf(true)
}

// DefaultOf is the default, in its normal form, of daemons or of other programs.
func (o *Option) DefaultOf(daemon bool) string {
	switch {
	case byName[o.Name] != o:
		return o.defaultOf(daemon)
	case daemon:
		return o.normals[1]
	}
	return o.normals[0]
}

func (o *Option) defaultOf(daemon bool) string {
	text := o.Default
	if daemon && o.DaemonDefault != "" {
		text = o.DaemonDefault
	}
	return o.Normal(text)
}

// Normal is the normal form of a default or a bound; none stays none.
func (o *Option) Normal(text string) string {
	if text == "" {
		return ""
	}
	v, err := o.normal(text)
	if err != nil {
		panic("invariant broken: of option " + o.Name + ": " + err.Error())
	}
	return v
}

// Str is the value of a Str option.
func (s Set) Str(name string) string { return s.Get(name) }

// Int is the value of an Int, Uint or Size option.
func (s Set) Int(name string) int64 {
	n, _ := strconv.ParseInt(s.Get(name), 10, 64)
	return n
}

// Float is the value of a numeric option.
func (s Set) Float(name string) float64 {
	f, _ := strconv.ParseFloat(s.Get(name), 64)
	return f
}

// Bool is the value of a Bool option.
func (s Set) Bool(name string) bool { return s.Get(name) == "true" }

// Duration is the value of a Secs, Int or Float option that counts seconds.
func (s Set) Duration(name string) time.Duration {
	return time.Duration(s.Float(name) * float64(time.Second))
}
