// Package options is the one table of Glue's options, under Ceph's names, and the value sets made
// from it: defaults, then the configuration file, the central configuration and the command
// line, each over the one before. The table and a Set are immutable and may be read from any
// goroutine; a change makes a new Set, which a daemon takes as an event.
package options

import (
	"fmt"
	"maps"
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
)

var kindNames = [...]string{"str", "int", "uint", "size", "secs", "float", "bool"}

// String is the kind's name in the stock tools' output.
func (k Kind) String() string { return kindNames[k] }

// An Option is one row of the table.
type Option struct {
	Name     string
	Kind     Kind
	Level    string // basic, advanced or dev
	Default  string
	Min, Max string   // empty for none
	Enum     []string // allowed values of a Str, empty for any
	Services string   // who reads it: "mon osd mgr client common"
	Startup  bool     // only read at start
	Secret   bool     // never printed
	// Unused: accepted since files and scripts for Ceph have it, and without effect here.
	Unused bool
	Help   string
}

var byName = func() map[string]*Option {
	m := make(map[string]*Option, len(table))
	for i := range table {
		m[table[i].Name] = &table[i]
	}
	return m
}()

// Lookup finds an option; spaces and dashes in name read as underscores.
func Lookup(name string) (*Option, bool) {
	o, ok := byName[Canonical(name)]
	return o, ok
}

// Canonical is the table's spelling of an option name.
func Canonical(name string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.TrimSpace(name))
}

// All returns the table in the order of the names.
func All() []Option {
	return slices.SortedFunc(slices.Values(table), func(a, b Option) int {
		return strings.Compare(a.Name, b.Name)
	})
}

// Check says whether value is legal for the option and returns its normal form. The errors have
// the words of the stock tools, as scripts look for them.
func (o *Option) Check(value string) (string, error) {
	v, err := o.normal(value)
	if err != nil {
		return "", err
	}
	if o.Kind == Str || o.Kind == Bool {
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
		return value, nil
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
		if !ok {
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

func parseBool(s string) (bool, bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return false, false
}

var secUnits = map[string]float64{
	"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hr": 3600, "d": 86400, "w": 604800,
	"ms": 1e-3,
}

func parseSecs(s string) (float64, bool) {
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz ")
	unit, ok := secUnits[strings.TrimSpace(s[len(number):])]
	n, err := strconv.ParseFloat(number, 64)
	return n * unit, ok && err == nil
}

// parseSize reads a whole number; the suffixes K, M, G, T, P, E with or without "i" or "iB" mean
// powers of 1024, as Ceph's size options do. Counts take powers of 1000.
func parseSize(s string, k Kind) (int64, bool) {
	number := strings.TrimRight(s, "KMGTPEkiB")
	suffix := strings.TrimRight(s[len(number):], "iB")
	base := int64(1024)
	if k != Size {
		base = 1000
		if strings.Contains(s[len(number):], "i") {
			base = 1024
		}
	}
	mul := int64(1)
	if suffix != "" {
		i := strings.Index("KMGTPE", strings.ToUpper(suffix))
		if i < 0 || len(suffix) != 1 {
			return 0, false
		}
		for range i + 1 {
			mul *= base
		}
	}
	if n, err := strconv.ParseInt(number, 0, 64); err == nil {
		if n != 0 && (n*mul)/mul != n {
			return 0, false
		}
		return n * mul, true
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || k != Size && f*float64(mul) != float64(int64(f*float64(mul))) {
		return 0, false
	}
	return int64(f * float64(mul)), true
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
		panic("invariant broken: option " + name + " is not in the table")
	}
	v, err := o.normal(o.Default)
	if err != nil {
		panic("invariant broken: " + err.Error())
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
