package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"glue/internal/cephjson"
	"glue/internal/cephxml"
)

// A Command is one row of a daemon's table.
type Command struct {
	// Prefix is the words of the command, such as "perf dump".
	Prefix string
	// Signature is the words and arguments as get_command_descriptions prints them after the
	// prefix, such as "name=key,type=CephString,req=false"; empty for none.
	Signature string
	Help      string
	// Run answers with a value that is printed as JSON, a string that is printed as it is, a
	// Noted, or nil for no output. An error that wraps a number (Refuse, ceph.Errno) travels as
	// that number, anything else as EIO.
	Run func(Args) (any, error)
}

// Args are the fields of a request.
type Args map[string]any

// Noted is an answer with a line for the user beside it.
type Noted struct {
	Value any
	Text  string
}

// None is the answer of a command that has nothing to say: an empty object.
var None = struct{}{}

// A Refusal is an error whose text is for the user alone, without the number.
type Refusal struct {
	Errno syscall.Errno
	Text  string
}

// Error is the text.
func (r *Refusal) Error() string { return r.Text }

// Unwrap gives the number.
func (r *Refusal) Unwrap() error { return r.Errno }

// Refuse makes a Refusal.
func Refuse(errno syscall.Errno, format string, args ...any) error {
	return &Refusal{errno, fmt.Sprintf(format, args...)}
}

// Str is an argument as text; a list is joined by spaces.
func (a Args) Str(name string) string {
	switch v := a[name].(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = fmt.Sprint(v[i])
		}
		return strings.Join(parts, " ")
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// Int is an argument as a whole number, def when it is not there.
func (a Args) Int(name string, def int64) (int64, error) {
	s := a.Str(name)
	if s == "" {
		return def, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n != float64(int64(n)) {
		return 0, Refuse(syscall.EINVAL, "%s: %q is not a whole number", name, s)
	}
	return int64(n), nil
}

// A Table is the commands of a daemon, which its admin socket and "ceph tell" share.
type Table struct{ commands []Command }

// NewTable makes a table of rows, and of the commands about the table itself.
func NewTable(rows ...[]Command) *Table {
	t := &Table{}
	for _, r := range rows {
		t.commands = append(t.commands, r...)
	}
	t.commands = append(t.commands,
		Command{Prefix: "help", Help: "list available commands",
			Run: func(Args) (any, error) { return t.help(), nil }},
		Command{Prefix: "get_command_descriptions", Help: "list available commands",
			Run: func(Args) (any, error) { return t.descriptions(), nil }})
	return t
}

// Via is the same table with every command run by f, for a daemon whose state belongs to one
// goroutine.
func (t *Table) Via(f func(run func() (any, error)) (any, error)) *Table {
	out := &Table{}
	for _, c := range t.commands {
		run := c.Run
		c.Run = func(args Args) (any, error) {
			return f(func() (any, error) { return run(args) })
		}
		out.commands = append(out.commands, c)
	}
	return out
}

// Has says whether there is a command of that name.
func (t *Table) Has(prefix string) bool {
	for i := range t.commands {
		if t.commands[i].Prefix == prefix {
			return true
		}
	}
	return false
}

// Run answers a request, a JSON object.
// Out goes to standard output, text to the user; err decides the reply's number.
func (t *Table) Run(request string) (out []byte, text string, err error) {
	args := Args{}
	if err := json.Unmarshal([]byte(request), (*map[string]any)(&args)); err != nil {
		err = Refuse(syscall.EINVAL, "unparseable JSON %s", request)
		return nil, err.Error(), err
	}
	prefix := args.Str("prefix")
	for i := range t.commands {
		if c := &t.commands[i]; c.Prefix == prefix && c.chosen(args) {
			v, err := c.Run(args)
			if err != nil {
				return nil, err.Error(), err
			}
			if n, ok := v.(Noted); ok {
				v, text = n.Value, n.Text
			}
			return print(v, args), text, nil
		}
	}
	err = Refuse(syscall.EINVAL, "unrecognized command '%s'; try \"help\"", prefix)
	return nil, err.Error(), err
}

// chosen says whether the words that tell rows of one prefix apart are those of the row: "pg PGID
// query" and "pg PGID list_unfound" are two.
func (c *Command) chosen(args Args) bool {
	_, choices, ok := strings.Cut(c.Signature, "name=cmd,type=CephChoices,strings=")
	if !ok {
		return true
	}
	choices, _, _ = strings.Cut(choices, " ")
	for choice := range strings.SplitSeq(choices, "|") {
		if choice == args.Str("cmd") {
			return true
		}
	}
	return false
}

func print(v any, args Args) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return []byte(v)
	case []byte:
		return v
	}
	switch format := args.Str("format"); format {
	case "json":
		return cephjson.Marshal(v, false)
	case "xml", "xml-pretty":
		words := strings.TrimSpace(args.Str("prefix") + " " + args.Str("cmd"))
		return cephxml.FromJSON(cephxml.Tell+words, args.Str, cephjson.Marshal(v, false),
			format == "xml-pretty")
	}
	return cephjson.Marshal(v, true)
}

func (t *Table) help() map[string]string {
	out := map[string]string{}
	for _, c := range t.commands {
		out[c.Prefix] = c.Help
	}
	return out
}

// A description is one command as the stock command line fetches it.
type description struct {
	Sig    []any  `json:"sig"`
	Help   string `json:"help"`
	Module string `json:"module"`
	Perm   string `json:"perm"`
	Flags  int    `json:"flags"`
}

// descriptions are by "cmdNNN".
func (t *Table) descriptions() map[string]description {
	out := map[string]description{}
	for i, c := range t.commands {
		d := description{Help: c.Help, Module: "daemon", Perm: "rw"}
		for _, w := range strings.Fields(c.Prefix) {
			d.Sig = append(d.Sig, w)
		}
		for _, arg := range strings.Fields(c.Signature) {
			fields := map[string]string{}
			for _, kv := range strings.Split(arg, ",") {
				k, v, _ := strings.Cut(kv, "=")
				fields[k] = v
			}
			d.Sig = append(d.Sig, fields)
		}
		out[fmt.Sprintf("cmd%03d", i)] = d
	}
	return out
}

// Errno is the number that an error travels as: 0 for nil, EIO for one that has none.
func Errno(err error) syscall.Errno {
	var e syscall.Errno
	var r interface{ Result() int32 } // ceph.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e
	case errors.As(err, &r):
		return syscall.Errno(-r.Result())
	}
	return syscall.EIO
}
