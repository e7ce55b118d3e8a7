// Package cephxml makes of the JSON of an answer the XML that Ceph gives in its place. Ceph writes
// both with the same calls, each of which names what it writes; JSON leaves out the names of the
// answer as a whole and of what is in lists, which are in the tables of this package (names.go).
// It keeps no state and any goroutine may call it.
package cephxml

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// FromJSON is text, what the command of that prefix answers as JSON, as XML: on one line, or with a
// space a level when pretty, and then with an empty line behind it, as Ceph has it. arg gives the
// command's arguments. What is no object or list stays as it is: Ceph prints a value that stands
// alone as text in every format.
func FromJSON(prefix string, arg func(string) string, text []byte, pretty bool) []byte {
	if start := bytes.TrimSpace(text); !json.Valid(text) || start[0] != '{' && start[0] != '[' {
		return text
	}
	w := writer{in: json.NewDecoder(bytes.NewReader(text)), pretty: pretty}
	w.in.UseNumber()
	tok := w.next()
	root := oneOf(rootOf(prefix, arg), tok)
	w.value(tok, root, itemOf(prefix, root, "item"))
	if pretty {
		w.out.WriteByte('\n')
	}
	return w.out.Bytes()
}

// A writer turns the values of one text, which is valid, into elements.
type writer struct {
	in     *json.Decoder
	out    bytes.Buffer
	pretty bool
	depth  int
}

// value writes the value that tok begins as an element; what is in it, if it is a list, is called
// item.
func (w *writer) value(tok json.Token, name, item string) {
	tag := elementName(name)
	w.indent()
	fmt.Fprintf(&w.out, "<%s>", tag)
	switch v := tok.(type) {
	case json.Delim:
		w.newline()
		w.depth++
		w.inside(v == '{', name, item)
		w.depth--
		w.indent()
	case string:
		w.out.WriteString(escape(v))
	case nil:
	default:
		fmt.Fprint(&w.out, v)
	}
	fmt.Fprintf(&w.out, "</%s>", tag)
	w.newline()
}

// inside writes what is in an object or a list of that name, and takes its end.
func (w *writer) inside(object bool, name, item string) {
	for w.in.More() {
		tok := w.next()
		child := oneOf(item, tok)
		if object {
			child, _ = tok.(string)
			tok = w.next()
		}
		w.value(tok, child, itemOf(name, child, item))
	}
	w.next()
}

// next is the next token; the text has been found to be valid, so there is one.
func (w *writer) next() json.Token {
	tok, _ := w.in.Token()
	return tok
}

func (w *writer) indent() {
	if w.pretty {
		w.out.WriteString(strings.Repeat(" ", w.depth))
	}
}

func (w *writer) newline() {
	if w.pretty {
		w.out.WriteByte('\n')
	}
}

// rootOf is the name of what a command answers: where it isn't in the table, the command's own.
func rootOf(prefix string, arg func(string) string) string {
	for name := range strings.FieldsSeq(roots[prefix]) {
		if a, ok := strings.CutPrefix(name, "{"); ok {
			name = arg(strings.TrimSuffix(a, "}"))
		}
		if name != "" {
			return name
		}
	}
	return strings.ReplaceAll(strings.TrimPrefix(prefix, Tell), " ", "_")
}

// oneOf is the name, of one or two, for the value that tok begins.
func oneOf(names string, tok json.Token) string {
	name, ofObject, two := strings.Cut(names, "|")
	if two && tok == json.Delim('{') {
		return ofObject
	}
	return name
}

// itemOf is the name of what is in a list, of the element around it that name is in. A list that
// isn't in the table is one of several under names that are data, such as hosts: what is in all of
// them is called as the table says of what is around them.
func itemOf(parent, name, around string) string {
	if item, ok := items[parent+"/"+name]; ok {
		return item
	}
	if item, ok := items[name]; ok {
		return item
	}
	return around
}

// elementName is a name as XML has it. Ceph only takes underscores for spaces; what would not be
// XML at all, such as the name of a version with its brackets, is mended here.
func elementName(name string) string {
	name = strings.Map(func(r rune) rune {
		if letter(r) || '0' <= r && r <= '9' || r == ':' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, name)
	if name == "" || !letter(rune(name[0])) {
		return "_" + name
	}
	return name
}

// letter says whether an element's name may start with r, as far as names are ASCII.
func letter(r rune) bool { return r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// escape is a string in an element. Characters that XML has no way to write are replaced; Ceph
// writes references that no reader takes.
func escape(s string) string {
	return escapes.Replace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return unicode.ReplacementChar
		}
		return r
	}, s))
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;",
	"'", "&apos;", "\r", "&#x0d;", "\x7f", "&#x7f;")
