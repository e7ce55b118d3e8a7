// Package commands is the language of administrative commands: the signatures that the stock
// command line fetches ("get_command_descriptions"), and typed access to the arguments of a
// command that arrived. Monitor, manager and OSDs share it; it knows no handler.
//
// Everything here is pure and may be used from any goroutine; the tables are never changed.
// The language is that of Ceph 16.2: mon/MonCommands.h, common/cmdparse.cc.
package commands

// Flags of a command (MonCommand::FLAG_*).
const (
	FlagNoForward  = 1 << 0
	FlagObsolete   = 1 << 1
	FlagDeprecated = 1 << 2
	FlagMgr        = 1 << 3 // the client sends it to the manager
	FlagHidden     = 1 << 5 // FLAG_TELL: only by "ceph tell"
)

// A Descriptor is one command: Sig is its words and arguments in the notation of ParseSig.
type Descriptor struct {
	Sig    string
	Help   string
	Module string // the capability's module: mon, osd, auth, mgr, pg, config-key, ...
	Perm   string // r, rw, rwx as the capability must grant it
	Flags  int
}
