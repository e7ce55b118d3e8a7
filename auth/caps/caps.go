package caps

import "errors"

// A Perm is a set of permissions.
type Perm uint8

// The permissions.
const (
	R          Perm = 1 << iota // read
	W                           // write
	X                           // execute commands; for OSDs both of the class permissions
	ClassRead                   // OSD: methods that read
	ClassWrite                  // OSD: methods that write
	All        Perm = 0xff      // "*"
)

// has says whether all of need is in p.
func (p Perm) has(need Perm) bool { return p&need == need }

// ErrParse is what every grammar error wraps.
var ErrParse = errors.New("caps do not parse")

// Validate checks the text of a service's caps ("mon", "osd", "mgr", "mds"). The error's text is
// what the stock monitor answers after "Error EINVAL: ".
func Validate(service, text string) error {
	var err error
	switch service {
	case "mon":
		_, err = parseMon(text)
	case "osd":
		_, err = parseOSD(text)
	case "mgr":
		_, err = parseMgr(text)
	case "mds":
		err = parseMDS(text)
	default:
		return &parseError{"unknown cap type '" + service + "'"}
	}
	return err
}
