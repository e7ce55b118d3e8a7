// Package daemonstate is what daemons tell the manager of themselves besides statistics: which
// options they have in force and where each is from. It encodes what travels and prints what "ceph
// config show" does. It is pure; any goroutine may use it.
package daemonstate

import (
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/options"
	"glue/internal/texttable"
)

// A Config is the values of one daemon by option, each from the source in force down to the
// default.
type Config map[string][]options.Sourced

// levels are the numbers of the sources on the wire (CONF_DEFAULT and so on); 3 is the environment,
// 6 is final.
var levels = map[options.Source]int32{options.FromDefault: 0, options.FromMon: 1,
	options.FromFile: 2, options.FromCmdLine: 4, options.FromOverride: 5}

// EncodeConfig is the values as MMgrReport carries them: option, level, value, and a map of what
// the daemon ignores.
func EncodeConfig(c Config) []byte {
	e := denc.NewEncoder(nil, ceph.FeaturesAll)
	byLevel := map[string]map[int32]string{}
	for name, list := range c {
		m := map[int32]string{}
		for _, v := range list {
			m[levels[v.Source]] = v.Value
		}
		byLevel[name] = m
	}
	dencConfig(e, &byLevel)
	return e.Bytes()
}

func dencConfig(c *denc.Coder, m *map[string]map[int32]string) {
	denc.MapFunc(c, m, (*denc.Coder).Str, func(c *denc.Coder, m *map[int32]string) {
		denc.MapFunc(c, m, (*denc.Coder).I32, (*denc.Coder).Str)
	})
	var ignored map[string]string
	denc.MapFunc(c, &ignored, (*denc.Coder).Str, (*denc.Coder).Str)
}

// DecodeConfig reads what a daemon has sent.
func DecodeConfig(b []byte) (Config, error) {
	c := denc.NewDecoder(b, ceph.FeaturesAll)
	var m map[string]map[int32]string
	if dencConfig(c, &m); c.Err() != nil {
		return nil, fmt.Errorf("configuration of a daemon: %w", c.Err())
	}
	out := Config{}
	for name, values := range m {
		for s := options.FromOverride; ; s-- {
			if v, ok := values[levels[s]]; ok {
				out[name] = append(out[name], options.Sourced{Source: s, Value: v})
			}
			if s == options.FromDefault {
				break
			}
		}
	}
	return out, nil
}

// WithDefaults has all options of daemons, those that the daemon has said nothing of with their
// defaults.
func (c Config) WithDefaults() Config {
	out := maps.Clone(c)
	for _, o := range options.All() {
		if out[o.Name] == nil && !o.IsModule() {
			out[o.Name] = []options.Sourced{{Source: options.FromDefault,
				Value: options.Set{}.Get(o.Name)}}
		}
	}
	return out
}

type overridden struct {
	Source string `json:"source"`
	Value  string `json:"value"`
}

// A Row is one option in JSON.
type Row struct {
	Name      string       `json:"name"`
	Value     string       `json:"value"`
	Source    string       `json:"source"`
	Overrides []overridden `json:"overrides,omitempty"`
}

// Rows are the options in order.
func (c Config) Rows() []Row {
	out := []Row{}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		list := c[name]
		if len(list) == 0 {
			continue
		}
		r := Row{Name: name, Value: list[0].Value, Source: list[0].Source.String()}
		for _, v := range list[1:] {
			// A default that nobody has chosen is not worth telling of.
			if v.Source != options.FromDefault {
				r.Overrides = append(r.Overrides, overridden{v.Source.String(), v.Value})
			}
		}
		out = append(out, r)
	}
	return out
}

// Text is the table of "config show".
func (c Config) Text() string {
	t := texttable.New(texttable.Column{Heading: "NAME"}, texttable.Column{Heading: "VALUE"},
		texttable.Column{Heading: "SOURCE"}, texttable.Column{Heading: "OVERRIDES"},
		texttable.Column{Heading: "IGNORES"})
	for _, r := range c.Rows() {
		over := ""
		for i, o := range r.Overrides {
			if i > 0 {
				over += ","
			}
			over += fmt.Sprintf("%s[%s]", o.Source, o.Value)
		}
		t.Row(r.Name, r.Value, r.Source, over, "")
	}
	return t.String()
}
