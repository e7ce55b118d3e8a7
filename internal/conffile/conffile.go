// Package conffile reads and writes ceph.conf: sections of "name = value" lines, comments with #
// or ;, values continued by a backslash at the end of the line, and metavariables such as $id.
// Option names are kept in their canonical spelling. It does no IO; any goroutine may use it.
package conffile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/internal/options"
)

// A File is the parsed sections, by name ("global", "osd", "osd.0").
type File struct {
	sections map[string]map[string]string
}

// Parse reads the text of a file; an error names the line.
func Parse(text string) (*File, error) {
	f := &File{sections: map[string]map[string]string{}}
	section := "global"
	text = strings.ReplaceAll(text, "\\\n", " ")
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(stripComment(line))
		switch {
		case line == "":
		case line[0] == '[':
			name, ok := strings.CutSuffix(line[1:], "]")
			if !ok || strings.TrimSpace(name) == "" {
				return nil, fmt.Errorf("line %d: %q is not a section header like [global]",
					i+1, line)
			}
			section = strings.TrimSpace(name)
		default:
			name, value, ok := strings.Cut(line, "=")
			if !ok || strings.TrimSpace(name) == "" {
				return nil, fmt.Errorf("line %d: %q is not of the form name = value", i+1, line)
			}
			f.Set(section, name, unquote(strings.TrimSpace(value)))
		}
	}
	return f, nil
}

func stripComment(line string) string {
	var quote rune
	for i, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == '#' || r == ';':
			return line[:i]
		}
	}
	return line
}

func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

// Set puts a value into a section.
func (f *File) Set(section, name, value string) {
	if f.sections == nil {
		f.sections = map[string]map[string]string{}
	}
	s := f.sections[section]
	if s == nil {
		s = map[string]string{}
		f.sections[section] = s
	}
	s[options.Canonical(name)] = value
}

// Get is one value of one section.
func (f *File) Get(section, name string) (string, bool) {
	v, ok := f.sections[section][options.Canonical(name)]
	return v, ok
}

// For returns the values that hold for an entity such as "osd" "0": [global], then the type's
// section, then the entity's own, each over the one before, with metavariables replaced.
func (f *File) For(typ, id string) map[string]string {
	name := typ + "." + id
	out := map[string]string{}
	for _, section := range []string{"global", typ, name} {
		for k, v := range f.sections[section] {
			out[k] = v
		}
	}
	vars := strings.NewReplacer("$type", typ, "$id", id, "$name", name, "$num", id,
		"$cluster", "ceph", "${type}", typ, "${id}", id, "${name}", name, "${cluster}", "ceph")
	for k, v := range out {
		out[k] = vars.Replace(v)
	}
	return out
}

// Names lists the sections in order.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.sections)) }

// Section is a copy of a section's values.
func (f *File) Section(name string) map[string]string { return maps.Clone(f.sections[name]) }
