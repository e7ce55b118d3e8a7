package options

import (
	"maps"
	"slices"
)

// A Source is where a value comes from; a later one beats those before it.
type Source uint8

// The sources, named as "config diff" and "config show" print them.
const (
	FromDefault  Source = iota
	FromMon             // the central configuration
	FromFile            // ceph.conf
	FromCmdLine         // the command line that started the daemon
	FromOverride        // "config set" and "injectargs", until the daemon restarts
	numSources
)

var sourceNames = [...]string{"default", "mon", "file", "cmdline", "override"}

// String is the source's name in the stock tools' output.
func (s Source) String() string { return sourceNames[s] }

// Layers are the values of one daemon by their source. They are immutable; the zero value holds
// the defaults.
type Layers struct {
	values [numSources]map[string]string // normal forms
	merged Set
}

// Replace returns layers in which source has exactly the given values. Those that Glue does not
// know, or that are not legal, are left out and named.
func (l Layers) Replace(source Source, values map[string]string) (Layers, []string) {
	set, bad := Set{}.WithKnown(values)
	l.values[source] = set.values
	return l.merge(), bad
}

// Put returns layers with one value more; an unknown name or an illegal value is an error.
func (l Layers) Put(source Source, name, value string) (Layers, error) {
	set, err := Set{values: l.values[source]}.With(map[string]string{name: value})
	if err != nil {
		return l, err
	}
	l.values[source] = set.values
	return l.merge(), nil
}

// Drop returns layers in which source says nothing of an option.
func (l Layers) Drop(source Source, name string) Layers {
	left := maps.Clone(l.values[source])
	delete(left, Canonical(name))
	l.values[source] = left
	return l.merge()
}

func (l Layers) merge() Layers {
	all := map[string]string{}
	for _, values := range l.values {
		maps.Copy(all, values)
	}
	l.merged = Set{values: all}
	return l
}

// Set is the values in force.
func (l Layers) Set() Set { return l.merged }

// A Sourced is a value and where it is from.
type Sourced struct {
	Source Source
	Value  string
}

// Of lists what the sources say of an option, from the one in force down to the default.
func (l Layers) Of(name string) []Sourced {
	name = Canonical(name)
	var out []Sourced
	for s := numSources - 1; s > FromDefault; s-- {
		if v, ok := l.values[s][name]; ok {
			out = append(out, Sourced{s, v})
		}
	}
	return append(out, Sourced{FromDefault, Set{}.Get(name)})
}

// Named lists the options that some source has a value for, in order.
func (l Layers) Named() []string { return slices.Sorted(maps.Keys(l.merged.values)) }

// Show is a value as it may be printed: keys are not.
func (o *Option) Show(value string) string {
	if o.Secret && value != "" {
		return "******"
	}
	return value
}
