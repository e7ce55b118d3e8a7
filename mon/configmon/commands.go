package configmon

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/internal/conffile"
	"glue/internal/options"
	"glue/internal/texttable"
	"glue/mon/service"
)

// Commands are the config commands.
func (s *Service) Commands() []service.Row {
	return []service.Row{
		{Prefix: "config set", Run: s.cmdSet},
		{Prefix: "config rm", Run: s.cmdRemove},
		{Prefix: "config get", Run: s.cmdGet},
		{Prefix: "config dump", Run: s.cmdDump},
		{Prefix: "config help", Run: s.cmdHelp},
		{Prefix: "config ls", Run: s.cmdList},
		{Prefix: "config log", Run: s.cmdLog},
		{Prefix: "config reset", Run: s.cmdReset},
		{Prefix: "config assimilate-conf", Run: s.cmdAssimilate},
		{Prefix: "config generate-minimal-conf", Run: s.cmdMinimal},
	}
}

var sections = []string{"global", "mon", "mgr", "osd", "mds", "client"}

func refuseSpecial(name string) service.Answer {
	return service.Fail(ceph.EINVAL, "%s is special and cannot be stored by the mon", name)
}

// parseWho reads section[/mask].
func parseWho(who string) (value, bool) {
	section, mask, masked := strings.Cut(who, "/")
	v := value{Section: section}
	if masked {
		kind, arg, ok := strings.Cut(mask, ":")
		switch {
		case ok && kind == "class" && arg != "":
			v.Class = arg
		case ok && kind == "host" && arg != "":
			v.Host = arg
		default:
			return v, false
		}
	}
	if slices.Contains(sections, section) {
		return v, true
	}
	n, err := ceph.ParseAuthName(section)
	return v, err == nil && n.ID != "" && slices.Contains(sections, n.Type.String())
}

func (s *Service) cmdSet(r *service.Request) service.Answer {
	v, ok := parseWho(r.Need("who"))
	if !ok {
		return service.Fail(ceph.EINVAL, "unrecognized config target '%s'", r.Str("who"))
	}
	v.Name = options.Canonical(r.Need("name"))
	if options.Local(v.Name) {
		return refuseSpecial(v.Name)
	}
	v.Value = r.Need("value")
	if o, ok := options.Lookup(v.Name); ok {
		text, err := o.Check(v.Value)
		if err != nil {
			code := ceph.EINVAL
			if options.OutOfRange(err) {
				code = ceph.ERANGE
			}
			return service.Fail(code, "error parsing value: %v", err)
		}
		v.Value = text
	} else if !r.Bool("force") {
		return service.Fail(ceph.EINVAL, "unrecognized config option '%s'", v.Name)
	}
	if len(s.values) >= maxValues {
		return service.Fail(ceph.ENOSPC, "the configuration holds %d values already", maxValues)
	}
	if old := s.values[v.id()]; old == nil || old.Value != v.Value {
		s.prepare(r.Now, "", v.id(), &v)
	}
	return service.OK("")
}

func (s *Service) cmdRemove(r *service.Request) service.Answer {
	v, ok := parseWho(r.Need("who"))
	if !ok {
		return service.Fail(ceph.EINVAL, "unrecognized config target '%s'", r.Str("who"))
	}
	v.Name = options.Canonical(r.Need("name"))
	if s.values[v.id()] != nil {
		s.prepare(r.Now, "", v.id(), nil)
	}
	return service.OK("")
}

// dump is a setting in JSON.
type dump struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Value   string `json:"value"`
	Level   string `json:"level"`
	Runtime bool   `json:"can_update_at_runtime"`
	Mask    string `json:"mask"`
	Class   string `json:"device_class,omitempty"`
	Kind    string `json:"location_type,omitempty"`
	Host    string `json:"location_value,omitempty"`
}

func level(name string) (string, bool) {
	if o, ok := options.Lookup(name); ok {
		return o.Level, !o.Startup
	}
	return "unknown", true
}

// order sorts settings as they are listed: global, types, daemons.
func order(a, b *value) int {
	return cmp.Or(cmp.Compare(depth(a.Section), depth(b.Section)),
		strings.Compare(a.Section, b.Section), strings.Compare(a.Name, b.Name),
		strings.Compare(a.mask(), b.mask()))
}

func depth(section string) int {
	switch {
	case section == "global":
		return 0
	case !strings.Contains(section, "."):
		return 1
	}
	return 2
}

func (s *Service) cmdDump(r *service.Request) service.Answer {
	list := s.ordered()
	if r.Formatted() {
		out := []dump{}
		for _, v := range list {
			l, rt := level(v.Name)
			kind := ""
			if v.Host != "" {
				kind = "host"
			}
			out = append(out, dump{v.Section, v.Name, v.Value, l, rt, v.mask(), v.Class, kind,
				v.Host})
		}
		return r.JSON(out)
	}
	return service.Plain(table(list, true))
}

// ordered lists global settings, then each type's with its daemons' after it.
func (s *Service) ordered() []*value {
	return slices.SortedFunc(maps.Values(s.values), func(a, b *value) int {
		ta, _, _ := strings.Cut(a.Section, ".")
		tb, _, _ := strings.Cut(b.Section, ".")
		return cmp.Or(cmp.Compare(min(depth(a.Section), 1), min(depth(b.Section), 1)),
			strings.Compare(ta, tb), order(a, b))
	})
}

// table is the plain form.
func table(list []*value, indent bool) string {
	t := texttable.New(texttable.Column{Heading: "WHO"}, texttable.Column{Heading: "MASK"},
		texttable.Column{Heading: "LEVEL"}, texttable.Column{Heading: "OPTION"},
		texttable.Column{Heading: "VALUE"}, texttable.Column{Heading: "RO"})
	for _, v := range list {
		who := v.Section
		if indent {
			who = strings.Repeat("  ", depth(v.Section)) + who
		}
		l, rt := level(v.Name)
		ro := ""
		if !rt {
			ro = "*"
		}
		t.Row(who, v.mask(), l, v.Name, v.Value, ro)
	}
	return t.String()
}

func (s *Service) cmdGet(r *service.Request) service.Answer {
	who := r.Need("who")
	n, err := ceph.ParseAuthName(who)
	if err != nil {
		t, err := ceph.ParseEntityType(who)
		if err != nil {
			return service.Fail(ceph.EINVAL, "unrecognized entity '%s'", who)
		}
		n = ceph.AuthName{Type: t}
	}
	best := s.chosen(s.env.Find(n))
	if r.Has("key") {
		return getOne(r, n.Type != ceph.TypeClient, best)
	}
	names := slices.Sorted(maps.Keys(best))
	if r.Formatted() {
		out := map[string]any{}
		for _, k := range names {
			v := best[k]
			mask := map[string]string{}
			if v.Class != "" {
				mask["device_class"] = v.Class
			}
			if v.Host != "" {
				mask["host"] = v.Host
			}
			_, rt := level(k)
			out[k] = struct {
				Value   string            `json:"value"`
				Section string            `json:"section"`
				Mask    map[string]string `json:"mask"`
				Runtime bool              `json:"can_update_at_runtime"`
			}{v.Value, v.Section, mask, rt}
		}
		return r.JSON(out)
	}
	var list []*value
	for _, k := range names {
		list = append(list, best[k])
	}
	return service.Plain(table(list, false))
}

func getOne(r *service.Request, daemon bool, best map[string]*value) service.Answer {
	key := options.Canonical(r.Str("key"))
	if options.Local(key) {
		return refuseSpecial(key)
	}
	o, known := options.Lookup(key)
	if v := best[key]; v != nil {
		return service.Plain(v.Value + "\n")
	}
	if !known {
		return service.Fail(ceph.ENOENT, "unrecognized key '%s'", r.Str("key"))
	}
	return service.Plain(o.DefaultOf(daemon) + "\n")
}

func (s *Service) cmdHelp(r *service.Request) service.Answer {
	o, ok := options.Lookup(r.Need("key"))
	if !ok {
		return service.Fail(ceph.ENOENT, "configuration option '%s' not recognized", r.Str("key"))
	}
	if r.Formatted() {
		return r.JSON(o.Describe())
	}
	return service.Plain(helpText(o))
}

func helpText(o *options.Option) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	fmt.Fprintf(&b, "%s - %s\n", o.Name, o.Text())
	line("(%v, %s)", o.Kind, o.Level)
	if o.DaemonDefault == "" {
		line("Default: %s", o.DefaultOf(false))
	} else {
		line("Default (non-daemon): %s", o.DefaultOf(false))
		line("Default (daemon): %s", o.DefaultOf(true))
	}
	if o.Min != "" || o.Max != "" {
		line("Minimum: %s", o.Normal(o.Min))
		line("Maximum: %s", o.Normal(o.Max))
	}
	if len(o.Enum) > 0 {
		line("Possible values:  %s", strings.Join(o.Enum, " "))
	}
	line("Can update at runtime: %s", strconv.FormatBool(!o.Startup))
	if o.Services != "" {
		line("Services: [%s]", strings.Join(strings.Fields(o.Services), ", "))
	}
	return b.String()
}

func (s *Service) cmdList(r *service.Request) service.Answer {
	var names []string
	for _, o := range options.All() {
		names = append(names, o.Name)
	}
	return r.Either(names, service.Lines(names))
}

func (s *Service) cmdLog(r *service.Request) service.Answer {
	type step struct {
		Name string  `json:"name"`
		Old  *string `json:"previous_value,omitempty"`
		New  *string `json:"new_value,omitempty"`
	}
	type set struct {
		Version uint64 `json:"version"`
		Stamp   string `json:"timestamp"`
		Name    string `json:"name"`
		Changes []step `json:"changes"`
	}
	out := []set{}
	var b strings.Builder
	n := int(r.Int("num", 10))
	for i := len(s.log) - 1; i >= 0 && len(out) < n; i-- {
		e := s.log[i]
		one := set{e.Version, e.Stamp.String(), e.Who, []step{}}
		who := ""
		if e.Who != "" {
			who = " " + e.Who + " ---"
		}
		fmt.Fprintf(&b, "--- %d --- %v ---%s\n", e.Version, e.Stamp, who)
		for _, c := range e.Changes {
			one.Changes = append(one.Changes, step{c.ID, c.Old, c.New})
			if c.Old != nil {
				fmt.Fprintf(&b, "- %s = %s\n", c.ID, *c.Old)
			}
			if c.New != nil {
				fmt.Fprintf(&b, "+ %s = %s\n", c.ID, *c.New)
			}
		}
		out = append(out, one)
	}
	return r.Either(out, b.String())
}

// cmdReset goes back to an earlier version by undoing what came after it.
func (s *Service) cmdReset(r *service.Request) service.Answer {
	to := uint64(r.NeedInt("num"))
	if to > s.Version() {
		return service.Fail(ceph.EINVAL, "must specify a valid historical version to revert to; "+
			"see 'ceph config log' for a list of available configuration historical versions")
	}
	if len(s.log) > 0 && to+1 < s.log[0].Version && s.log[0].Version > 2 {
		return service.Fail(ceph.EINVAL, "version %d is not in the log any more", to)
	}
	was := map[string]*string{}
	for i := len(s.log) - 1; i >= 0 && s.log[i].Version > to; i-- {
		for _, c := range s.log[i].Changes {
			was[c.ID] = c.Old
		}
	}
	why := fmt.Sprintf("reset to %d", to)
	for _, id := range slices.Sorted(maps.Keys(was)) {
		old, now := was[id], s.values[id]
		switch i := strings.LastIndex(id, "/"); {
		case old == nil && now != nil:
			s.prepare(r.Now, why, id, nil)
		case old != nil && (now == nil || now.Value != *old):
			v, _ := parseWho(id[:i])
			v.Name, v.Value = id[i+1:], *old
			s.prepare(r.Now, why, id, &v)
		}
	}
	return service.OK("")
}

// cmdAssimilate takes the settings of a configuration file and gives back those that it can't
// hold, or that have another value here already: what an operator has set centrally is not
// overwritten by a file.
func (s *Service) cmdAssimilate(r *service.Request) service.Answer {
	file, err := conffile.Parse(string(r.Input))
	if err != nil {
		return service.Fail(ceph.EINVAL, "%v", err)
	}
	var rest strings.Builder
	for _, section := range file.Names() {
		values, left := file.Section(section), ""
		for _, n := range slices.Sorted(maps.Keys(values)) {
			if !s.assimilate(r, section, n, values[n]) {
				left += fmt.Sprintf("\t%s = %s\n", n, values[n])
			}
		}
		if left != "" {
			fmt.Fprintf(&rest, "\n[%s]\n%s", section, left)
		}
	}
	return service.Plain(rest.String())
}

// assimilate prepares one setting of a file, or says that it can't be taken.
func (s *Service) assimilate(r *service.Request, section, name, text string) bool {
	v, ok := parseWho(section)
	o, known := options.Lookup(name)
	if !ok || !known || options.Local(o.Name) {
		return false
	}
	var err error
	if v.Value, err = o.Check(text); err != nil {
		return false
	}
	v.Name = o.Name
	if old := s.values[v.id()]; old != nil {
		return old.Value == v.Value
	}
	s.prepare(r.Now, "", v.id(), &v)
	return true
}

func (s *Service) cmdMinimal(*service.Request) service.Answer {
	return service.Plainf("# minimal ceph.conf for %v\n[global]\n\tfsid = %v\n\tmon_host = %s\n",
		s.env.FSID(), s.env.FSID(), s.env.MonHost())
}
