package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"glue/internal/cephjson"
	"glue/internal/cephxml"
)

// A Command is one command that arrived. The getters return the zero value for what is not there;
// a getter whose value has the wrong type or, for Need..., is missing, records the error that Err
// returns. It belongs to one goroutine.
type Command struct {
	Prefix string
	Input  []byte // what came along with it: ceph COMMAND -i FILE
	// Allowed says whether the caller's caps admit what a module's command is about, such as a
	// pool; whoever receives the command sets it.
	Allowed func(args map[string]string) bool

	args map[string]any
	err  error
}

// Err is the first complaint of a getter; its text is an answer's.
func (c *Command) Err() error { return c.err }

func (c *Command) bad(name string) {
	if c.err == nil {
		c.err = fmt.Errorf("bad or missing field '%s'", name)
	}
}

// Has says whether the argument was given.
func (c *Command) Has(name string) bool {
	v, ok := c.args[name]
	return ok && v != nil
}

// Str is a string argument; numbers and booleans are given as their text.
func (c *Command) Str(name string) string {
	switch v := c.args[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		if len(v) == 1 {
			if s, ok := v[0].(string); ok {
				return s
			}
		}
	}
	c.bad(name)
	return ""
}

// Need is Str for an argument that must be there.
func (c *Command) Need(name string) string {
	if !c.Has(name) {
		c.bad(name)
	}
	return c.Str(name)
}

// Strs is an argument that repeats; a lone string is a list of one.
func (c *Command) Strs(name string) []string {
	switch v := c.args[name].(type) {
	case nil:
		return nil
	case string:
		return []string{v}
	case json.Number:
		return []string{v.String()}
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			switch e := e.(type) {
			case string:
				out = append(out, e)
			case json.Number:
				out = append(out, e.String())
			default:
				c.bad(name)
			}
		}
		return out
	}
	c.bad(name)
	return nil
}

// Int is a whole number, def when it is not there. A number in a string is accepted.
func (c *Command) Int(name string, def int64) int64 {
	if !c.Has(name) {
		return def
	}
	n, err := strconv.ParseInt(c.Str(name), 10, 64)
	if err != nil {
		c.bad(name)
	}
	return n
}

// NeedInt is Int for an argument that must be there.
func (c *Command) NeedInt(name string) int64 {
	if !c.Has(name) {
		c.bad(name)
	}
	return c.Int(name, 0)
}

// Float is a number, def when it is not there; only finite ones are accepted.
func (c *Command) Float(name string, def float64) float64 {
	if !c.Has(name) {
		return def
	}
	f, err := strconv.ParseFloat(c.Str(name), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		c.bad(name)
		return def
	}
	return f
}

// NeedFloat is Float for an argument that must be there.
func (c *Command) NeedFloat(name string) float64 {
	if !c.Has(name) {
		c.bad(name)
	}
	return c.Float(name, 0)
}

// Floats is a number that repeats.
func (c *Command) Floats(name string) []float64 {
	var out []float64
	for _, s := range c.Strs(name) {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			c.bad(name)
		}
		out = append(out, f)
	}
	return out
}

// Bool is a flag. Older command lines send the flag's own text, "--yes-i-really-mean-it", instead
// of true.
func (c *Command) Bool(name string) bool {
	switch v := c.args[name].(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		v = strings.ReplaceAll(strings.TrimLeft(v, "-"), "-", "_")
		return v == name || v == "true"
	}
	c.bad(name)
	return false
}

// OSD is an argument naming an OSD: N or osd.N.
func (c *Command) OSD(name string) int32 {
	n, err := ParseOSD(c.Need(name))
	if err != nil {
		c.bad(name)
	}
	return n
}

// ErrNotOSD says that a text does not name an OSD.
var ErrNotOSD = errors.New("not an osd id")

// ParseOSD reads N or osd.N; as with stock, no number has more than 16 bits.
func ParseOSD(s string) (int32, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "osd."), 10, 16)
	if err != nil {
		return -1, fmt.Errorf("%w: %q", ErrNotOSD, s)
	}
	return int32(n), nil
}

// A Format is how an answer is to be printed.
type Format uint8

// The formats.
const (
	Plain Format = iota
	JSON
	JSONPretty
	XML
	XMLPretty
)

// formats are those that Ceph has; it prints tables and HTML too, which are JSON here.
var formats = map[string]Format{"json": JSON, "json-pretty": JSONPretty, "xml": XML,
	"xml-pretty": XMLPretty, "table": JSON, "table-kv": JSON, "html": JSON,
	"html-pretty": JSONPretty}

// Format is the "format" argument; what is no format is answered plainly, as none is.
func (c *Command) Format() Format { return formats[c.Str("format")] }

// WantsJSON says whether JSON is asked for, which is all that the managers' modules print.
func (c *Command) WantsJSON() bool { return c.Format() == JSON || c.Format() == JSONPretty }

// Print is v in the format asked for; plain callers get JSON, indented.
func (c *Command) Print(v any) []byte {
	f := c.Format()
	text := cephjson.Marshal(v, f == Plain || f == JSONPretty)
	if f == XML || f == XMLPretty {
		return cephxml.FromJSON(c.Prefix, c.Str, text, f == XMLPretty)
	}
	return text
}

// Text is the command as the audit log prints it: a JSON list of one object with sorted keys.
// Values that may be secret are left out.
func (c *Command) Text() string {
	shown := make(map[string]any, len(c.args))
	secret := strings.HasPrefix(c.Prefix, "config-key ") || c.Prefix == "config set" ||
		strings.HasPrefix(c.Prefix, "auth ")
	for k, v := range c.args {
		if secret && slices.Contains([]string{"val", "value"}, k) {
			v = "***"
		}
		shown[k] = v
	}
	b, err := json.Marshal([]any{shown})
	if err != nil {
		return c.Prefix
	}
	return string(b)
}

// Args are the arguments as text, for matching against capabilities; lists are joined by spaces.
// The list "caps" also gives one "caps_SERVICE" for each of its pairs, which bootstrap keys are
// restricted by; nothing that the caller names so counts.
func (c *Command) Args() map[string]string {
	out := make(map[string]string, len(c.args))
	for k, v := range c.args {
		if strings.HasPrefix(k, "caps_") {
			continue
		}
		switch v := v.(type) {
		case string:
			out[k] = v
		case json.Number:
			out[k] = v.String()
		case bool:
			out[k] = strconv.FormatBool(v)
		case []any:
			words := make([]string, len(v))
			for i, w := range v {
				words[i] = fmt.Sprint(w)
			}
			out[k] = strings.Join(words, " ")
			if k == "caps" {
				capsArgs(out, words)
			}
		}
	}
	return out
}

func capsArgs(out map[string]string, list []string) {
	for ; len(list) >= 2; list = list[2:] {
		out["caps_"+list[0]] = list[1]
	}
}
