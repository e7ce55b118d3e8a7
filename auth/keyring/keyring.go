package keyring

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
)

// ErrParse is what every error of Parse wraps.
var ErrParse = errors.New("keyring does not parse")

// An Entry is one entity's key and caps.
type Entry struct {
	Name ceph.AuthName
	Key  Key
	Caps map[string]string // service ("mon", "osd", "mgr", "mds") to its caps text
}

// A Keyring is the entries of a file.
type Keyring struct {
	Entries map[ceph.AuthName]Entry
}

// Get is the entry of a name.
func (k *Keyring) Get(name ceph.AuthName) (Entry, bool) {
	e, ok := k.Entries[name]
	return e, ok
}

// Set puts an entry, replacing the one of the same name.
func (k *Keyring) Set(e Entry) {
	if k.Entries == nil {
		k.Entries = make(map[ceph.AuthName]Entry)
	}
	k.Entries[e.Name] = e
}

// Parse reads a keyring file: sections named after entities with "key" and "caps SERVICE" lines. A
// section may come in several parts.
func Parse(text string) (*Keyring, error) {
	k := &Keyring{Entries: make(map[ceph.AuthName]Entry)}
	var name ceph.AuthName
	inSection := false
	text = strings.ReplaceAll(text, "\\\n", "")
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		var err error
		if line[0] == '[' {
			inSection, err = true, k.heading(line, &name)
		} else if !inSection {
			err = errors.New("a line before the first section")
		} else if name != (ceph.AuthName{}) {
			err = k.line(name, line)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrParse, i+1, err)
		}
	}
	return k, nil
}

// heading opens a section; [global] has no entity and its lines are passed over.
func (k *Keyring) heading(line string, name *ceph.AuthName) error {
	word, rest, ok := strings.Cut(line[1:], "]")
	rest = strings.TrimSpace(rest)
	if !ok || rest != "" && rest[0] != '#' && rest[0] != ';' {
		return fmt.Errorf("%q is not a section", line)
	}
	if word == "global" {
		*name = ceph.AuthName{}
		return nil
	}
	n, err := ceph.ParseAuthName(word)
	if err != nil {
		return err
	}
	*name = n
	if _, ok := k.Entries[n]; !ok {
		k.Entries[n] = Entry{Name: n, Caps: make(map[string]string)}
	}
	return nil
}

func (k *Keyring) line(name ceph.AuthName, line string) error {
	word, rest, ok := strings.Cut(line, "=")
	if !ok {
		return errors.New("neither a section nor NAME = VALUE")
	}
	value, err := unquote(strings.TrimSpace(rest))
	if err != nil {
		return err
	}
	word = strings.Join(strings.Fields(strings.ReplaceAll(word, "_", " ")), " ")
	e := k.Entries[name]
	service, isCaps := strings.CutPrefix(word, "caps ")
	switch {
	case word == "key":
		if e.Key, err = ParseKey(value); err != nil {
			return err
		}
	case isCaps:
		e.Caps[service] = value
	case word == "auid": // of old keyrings; means nothing any more
	default:
		return fmt.Errorf("%q is not known here", word)
	}
	k.Entries[name] = e
	return nil
}

// unquote reads a value: in double or single quotes, or bare up to a comment. A backslash takes
// the next character as it is.
func unquote(s string) (string, error) {
	var quote byte
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		quote, s = s[0], s[1:]
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			out.WriteByte(s[i])
		case quote != 0 && c == quote:
			rest := strings.TrimSpace(s[i+1:])
			if rest != "" && rest[0] != '#' && rest[0] != ';' {
				return "", fmt.Errorf("text after the closing quote: %q", rest)
			}
			return out.String(), nil
		case quote == 0 && (c == '#' || c == ';'):
			return strings.TrimSpace(out.String()), nil
		default:
			out.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", errors.New("a quote is not closed")
	}
	return out.String(), nil
}

var quoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// Format prints a keyring file as "ceph auth export" does, in the order of entity types and ids.
func (k *Keyring) Format() string {
	var out strings.Builder
	names := slices.SortedFunc(maps.Keys(k.Entries), func(a, b ceph.AuthName) int {
		if a.Type != b.Type {
			return int(a.Type) - int(b.Type)
		}
		return strings.Compare(a.ID, b.ID)
	})
	for _, name := range names {
		out.WriteString(k.Entries[name].Format())
	}
	return out.String()
}

// Format prints the entry's section.
func (e Entry) Format() string {
	var out strings.Builder
	fmt.Fprintf(&out, "[%v]\n\tkey = %s\n", e.Name, e.Key.Base64())
	for _, service := range slices.Sorted(maps.Keys(e.Caps)) {
		fmt.Fprintf(&out, "\tcaps %s = \"%s\"\n", service, quoter.Replace(e.Caps[service]))
	}
	return out.String()
}
