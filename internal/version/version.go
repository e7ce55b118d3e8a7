// Package version says what this build calls itself, to its users and to Ceph's tools. It holds
// constants only.
package version

const (
	// Glue is the release of this tree.
	Glue = "0.1.0"
	// Ceph is the version whose protocols and commands this release speaks.
	Ceph = "16.2.15"
	// Release is that version's name.
	Release = "pacific"
	// Long is what "ceph version" and "ceph versions" print for our daemons. Tools parse the
	// number behind "ceph version", so Ceph's comes first.
	Long = "ceph version " + Ceph + "-glue-" + Glue + " (" + Release + ") " + Release + " (stable)"
)
