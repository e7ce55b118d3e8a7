// Package commands is the language of administrative commands: the signatures that the stock
// command line fetches ("get_command_descriptions"), and typed access to the arguments of a
// command that arrived. Monitor, manager and OSDs share it; it knows no handler.
//
// Everything here is pure and may be used from any goroutine; the tables are never changed.
// The language is that of Ceph 16.2: mon/MonCommands.h, common/cmdparse.cc.
package commands

import (
	"encoding/json"
	"fmt"
	"strings"

	"glue/internal/cephjson"
	"glue/internal/invariant"
)

// Flags of a command (MonCommand::FLAG_*).
const (
	FlagNoForward  = 1 << 0
	FlagObsolete   = 1 << 1
	FlagDeprecated = 1 << 2
	FlagMgr        = 1 << 3 // the client sends it to the manager
	FlagHidden     = 1 << 5 // not in the help

	// FlagTell: only by "ceph tell", but for "version", which the quorum answers as well.
	FlagTell = FlagNoForward | FlagHidden
)

// A Descriptor is one command.
type Descriptor struct {
	Module string // the capability's module: mon, osd, auth, mgr, pg, config-key, ...
	Perm   string // r, rw, rwx, as the capability must grant it
	Flags  int
	// Sig is the words and the arguments. An argument is name:Type followed by
	// (choice|choice), {min|max}, [good characters], "?" when optional and "*" when it repeats,
	// in this order, as far as they apply.
	Sig  string
	Help string
}

// An Arg is one argument of a signature.
type Arg struct {
	Name, Type string // Type without the leading "Ceph"
	Strings    string // choices, separated by |
	Range      string // min or min|max
	GoodChars  string
	Optional   bool
	Repeats    bool
}

// Prefix is the literal words, which name the command.
func (d *Descriptor) Prefix() string {
	var words []string
	for w := range strings.FieldsSeq(d.Sig) {
		if !strings.Contains(w, ":") {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// parseArg reads one argument's notation.
func parseArg(s string) Arg {
	name, rest, _ := strings.Cut(s, ":")
	a := Arg{Name: name}
	if r, ok := strings.CutSuffix(rest, "*"); ok {
		a.Repeats, rest = true, r
	}
	if r, ok := strings.CutSuffix(rest, "?"); ok {
		a.Optional, rest = true, r
	}
	for _, part := range []struct {
		open, end string
		to        *string
	}{{"[", "]", &a.GoodChars}, {"{", "}", &a.Range}, {"(", ")", &a.Strings}} {
		if i := strings.Index(rest, part.open); i >= 0 && strings.HasSuffix(rest, part.end) {
			*part.to = rest[i+1 : len(rest)-1]
			rest = rest[:i]
		}
	}
	a.Type = rest
	return a
}

// describeArg is the JSON object that the command line knows.
func describeArg(a Arg) map[string]string {
	m := map[string]string{"name": a.Name, "type": "Ceph" + a.Type}
	if a.Strings != "" {
		m["strings"] = a.Strings
	}
	if a.Range != "" {
		m["range"] = a.Range
	}
	if a.GoodChars != "" {
		m["goodchars"] = "[" + a.GoodChars + "]"
	}
	if a.Optional {
		m["req"] = "false"
	}
	if a.Repeats {
		m["n"] = "N"
	}
	return m
}

type description struct {
	Sig    []any  `json:"sig"`
	Help   string `json:"help"`
	Module string `json:"module"`
	Perm   string `json:"perm"`
	Flags  int    `json:"flags"`
}

// Describe is the answer to get_command_descriptions for the given tables: one JSON object, a
// member cmdNNN for each row in order.
func Describe(tables ...[]Descriptor) []byte {
	var b strings.Builder
	n := 0
	for _, table := range tables {
		for i := range table {
			d := &table[i]
			out := description{Help: d.Help, Module: d.Module, Perm: d.Perm, Flags: d.Flags}
			for w := range strings.FieldsSeq(d.Sig) {
				if strings.Contains(w, ":") {
					out.Sig = append(out.Sig, describeArg(parseArg(w)))
				} else {
					out.Sig = append(out.Sig, w)
				}
			}
			sep := ","
			if n == 0 {
				sep = "{"
			}
			fmt.Fprintf(&b, `%s"cmd%03d":%s`, sep, n, cephjson.Marshal(out, false))
			n++
		}
	}
	invariant.That(n > 0, "no commands to describe")
	return []byte(b.String() + "}")
}

// An Index finds descriptors by prefix.
type Index map[string]*Descriptor

// NewIndex indexes tables; of several rows with one prefix the first counts.
func NewIndex(tables ...[]Descriptor) Index {
	ix := Index{}
	for _, table := range tables {
		for i := range table {
			if p := table[i].Prefix(); ix[p] == nil {
				ix[p] = &table[i]
			}
		}
	}
	return ix
}

// Parse reads a command as it arrives: the strings together are one JSON object.
func Parse(parts []string) (*Command, error) {
	text := strings.Join(parts, "")
	var args map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&args); err != nil || args == nil {
		return nil, fmt.Errorf("unparseable JSON %s", text)
	}
	prefix, ok := args["prefix"].(string)
	if !ok || prefix == "" {
		return nil, fmt.Errorf("command prefix not found")
	}
	return &Command{Prefix: prefix, args: args}, nil
}

// Arguments is the arguments as the daemons' own tables have them: "name=x,type=CephInt,req=false".
func (d *Descriptor) Arguments() string {
	var out []string
	for w := range strings.FieldsSeq(d.Sig) {
		if !strings.Contains(w, ":") {
			continue
		}
		fields := describeArg(parseArg(w))
		arg := "name=" + fields["name"] + ",type=" + fields["type"]
		for _, k := range []string{"strings", "range", "n", "req"} {
			if v := fields[k]; v != "" {
				arg += "," + k + "=" + v
			}
		}
		out = append(out, arg)
	}
	return strings.Join(out, " ")
}
