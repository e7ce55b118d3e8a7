package options

import (
	_ "embed"
	"regexp"
	"sort"
	"strings"
)

// knownText has the options of Ceph 16.2, one a line in the order of their names, with what is
// between tabs: name, type, level, "ro" if it cannot change at run time, flags, services, default,
// default of daemons, minimum, maximum, permitted values; empty fields at the end are left out.
// Those that the table has too are Glue's own and here for comparison. A line is parsed when it is
// asked for, so the list costs no memory.
//
//go:embed known.txt
var knownText string

const knownHelp = "an option of Ceph, kept and given to clients; Glue's daemons have no use for it"

// known finds an option of Ceph by its name.
func known(name string) (*Option, bool) {
	text := knownText
	// Each step halves the text, between the starts of lines.
	i := sort.Search(len(text), func(i int) bool {
		line, _, _ := strings.Cut(text[lineStart(text, i):], "\t")
		return line >= name
	})
	if i == len(text) {
		return nil, false
	}
	o := parseKnown(text[lineStart(text, i):])
	return &o, o.Name == name
}

// lineStart is where the line that has the byte i begins.
func lineStart(text string, i int) int { return strings.LastIndexByte(text[:i], '\n') + 1 }

// parseKnown reads the first line of text.
func parseKnown(text string) Option {
	line, _, _ := strings.Cut(text, "\n")
	f := append(strings.Split(line, "\t"), make([]string, 10)...)
	o := Option{
		Name: f[0], Kind: kindOf(f[1]), Level: f[2], Startup: f[3] == "ro", Flags: f[4],
		Services: strings.ReplaceAll(f[5], ",", " "), Default: f[6], DaemonDefault: f[7],
		Min: f[8], Max: f[9], Unused: true, Help: knownHelp,
	}
	o.Secret = secretName.MatchString(o.Name)
	if f[10] != "" {
		o.Enum = strings.Split(f[10], ",")
	}
	return o
}

// secretName is of options whose value is a password and the like.
var secretName = regexp.MustCompile(`(password|secret|admin_token|opa_token)$`)

func kindOf(name string) Kind {
	for k, n := range kindNames {
		if n == name {
			return Kind(k)
		}
	}
	return Level // the only kind that prints as another's name
}

// IsModule says whether an option belongs to a module of the manager: daemons do not hold it.
func (o *Option) IsModule() bool { return strings.HasPrefix(o.Name, "mgr/") }

// Local says whether an option can't be held by the monitors, since it decides how they are
// reached or how a daemon is made.
func Local(name string) bool {
	o, ok := known(Canonical(name))
	return ok && strings.Contains(o.Flags, "no_mon_update")
}
