package daemon

import (
	"fmt"
	"strings"
	"syscall"

	"glue/internal/admin"
	"glue/internal/cephjson"
	"glue/internal/options"
)

// commands are the rows about the configuration.
func (c *Config) commands() []admin.Command {
	const one = "name=var,type=CephString"
	return []admin.Command{
		{Prefix: "config show", Help: "dump current config settings", Run: c.show},
		{Prefix: "config get", Signature: one, Run: c.get,
			Help: "config get <field>: get the config value"},
		{Prefix: "config set", Signature: one + " name=val,type=CephString,n=N", Run: c.set,
			Help: "config set <field> <val> [<val> ...]: set a config variable"},
		{Prefix: "config unset", Signature: one, Run: c.unset,
			Help: "config unset <field>: unset a config variable"},
		{Prefix: "config diff", Run: c.diff,
			Help: "dump diff of current config and default config"},
		{Prefix: "config diff get", Signature: one, Run: c.diffGet,
			Help: "dump diff get <field>: dump diff of current and default config setting <field>"},
		{Prefix: "config help", Signature: one + ",req=false", Run: help,
			Help: "get config setting schema and descriptions"},
		{Prefix: "injectargs", Signature: "name=injected_args,type=CephString,n=N", Run: c.inject,
			Help: "inject configuration arguments into running daemon"},
	}
}

func (c *Config) show(admin.Args) (any, error) {
	set := c.Set()
	out := cephjson.Object{{Key: "name", Value: c.Name()}, {Key: "cluster", Value: "ceph"}}
	for _, o := range options.All() {
		if !o.IsModule() {
			out = append(out, cephjson.Member{Key: o.Name, Value: o.Show(set.Get(o.Name))})
		}
	}
	return out, nil
}

// errno words an error as stock does: what was attempted, then the C library's text.
func errno(e syscall.Errno, format string, args ...any) error {
	text := e.Error()
	return admin.Refuse(e, "%s: (%d) %s%s", fmt.Sprintf(format, args...), int(e),
		strings.ToUpper(text[:1]), text[1:])
}

func (c *Config) get(args admin.Args) (any, error) {
	o, ok := options.Lookup(args.Str("var"))
	if !ok {
		return nil, errno(syscall.ENOENT, "error getting '%s'", args.Str("var"))
	}
	return map[string]string{o.Name: o.Show(c.Set().Get(o.Name))}, nil
}

func (c *Config) set(args admin.Args) (any, error) {
	name, value := args.Str("var"), args.Str("val")
	note, err := c.override(name, value)
	if err != nil {
		return nil, errno(admin.Errno(err), "error setting '%s' to '%s'", name, value)
	}
	return map[string]string{"success": note}, nil
}

// override sets an option for now; the note says what has become of it.
func (c *Config) override(name, value string) (note string, err error) {
	o, ok := options.Lookup(name)
	switch {
	case !ok || o.IsModule():
		return "", syscall.ENOENT
	case o.Startup:
		return "", syscall.EPERM
	}
	if err := c.Override(name, value); err != nil {
		return "", fmt.Errorf("%w: %w", err, syscall.EINVAL)
	}
	return c.note(o), nil
}

func (c *Config) note(o *options.Option) string {
	note := fmt.Sprintf("%s = '%s' ", o.Name, o.Show(c.Set().Get(o.Name)))
	if !c.reads(o) {
		note += "(not observed, change may require restart) "
	}
	return note
}

func (c *Config) unset(args admin.Args) (any, error) {
	o, ok := options.Lookup(args.Str("var"))
	if !ok {
		return nil, errno(syscall.EINVAL, "error unsetting '%s'", args.Str("var"))
	}
	c.Unset(o.Name)
	return admin.Noted{Value: admin.None, Text: c.note(o)}, nil
}

func (c *Config) diffOf(l options.Layers, name string) cephjson.Object {
	o, _ := options.Lookup(name)
	all := l.Of(name)
	out := cephjson.Object{}
	for i := len(all) - 1; i >= 0; i-- {
		out = append(out, cephjson.Member{Key: all[i].Source.String(),
			Value: o.JSON(o.Show(all[i].Value))})
	}
	return append(out, cephjson.Member{Key: "final", Value: o.JSON(o.Show(all[0].Value))})
}

func (c *Config) diff(admin.Args) (any, error) {
	l, out := c.Layers(), map[string]cephjson.Object{}
	for _, name := range l.Named() {
		out[name] = c.diffOf(l, name)
	}
	return map[string]any{"diff": out}, nil
}

// diffGet is about one option; stock prints all of them, which helps nobody.
func (c *Config) diffGet(args admin.Args) (any, error) {
	o, ok := options.Lookup(args.Str("var"))
	if !ok {
		return nil, errno(syscall.ENOENT, "error getting '%s'", args.Str("var"))
	}
	return map[string]any{"diff": map[string]any{o.Name: c.diffOf(c.Layers(), o.Name)}}, nil
}

func help(args admin.Args) (any, error) {
	if name := args.Str("var"); name != "" {
		o, ok := options.Lookup(name)
		if !ok {
			return nil, admin.Refuse(syscall.ENOENT, "Setting not found: '%s'", name)
		}
		return map[string]any{"option": o.Describe()}, nil
	}
	out := []options.Description{}
	for _, o := range options.All() {
		out = append(out, o.Describe())
	}
	return map[string]any{"options": out}, nil
}

// inject sets options from words such as --name=value or --name value. All are checked before one
// is set.
func (c *Config) inject(args admin.Args) (any, error) {
	type change struct{ name, value string }
	var todo []change
	words := strings.Fields(args.Str("injected_args"))
	for i := 0; i < len(words); i++ {
		dashed, isOption := strings.CutPrefix(words[i], "--")
		name, value, ok := strings.Cut(dashed, "=")
		if off, is := strings.CutPrefix(dashed, "no-"); is {
			if o, known := options.Lookup(off); known && o.Kind == options.Bool {
				name, value, ok = off, "false", true
			}
		}
		o, known := options.Lookup(name)
		switch {
		case !isOption || !known:
			return nil, admin.Refuse(syscall.EINVAL, "failed to parse arguments: %s", words[i])
		case !ok && o.Kind == options.Bool && (i+1 == len(words) ||
			strings.HasPrefix(words[i+1], "--")):
			value = "true"
		case !ok && i+1 == len(words):
			return nil, admin.Refuse(syscall.EINVAL, "Option %s requires an argument.", words[i])
		case !ok:
			i++
			value = words[i]
		}
		if err := injectable(o, value); err != nil {
			return nil, err
		}
		todo = append(todo, change{name, value})
	}
	notes := ""
	for _, t := range todo {
		note, err := c.override(t.name, t.value)
		if err != nil {
			return nil, errno(admin.Errno(err), "error setting '%s' to '%s'", t.name, t.value)
		}
		notes += note
	}
	return admin.Noted{Value: admin.None, Text: notes}, nil
}

func injectable(o *options.Option, value string) error {
	const format = "Parse error setting %s to '%s' using injectargs (%s)."
	if o.Startup {
		return admin.Refuse(syscall.EPERM, format, o.Name, value, fmt.Sprintf("Configuration "+
			"option '%s' may not be modified at runtime", o.Name))
	}
	if _, err := o.Check(value); err != nil {
		return admin.Refuse(syscall.EINVAL, format, o.Name, value, err)
	}
	return nil
}
