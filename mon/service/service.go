// Package service is what every part of the monitor's replicated state is made of: how it prepares
// a change, applies one, and answers commands.
//
// A change takes this way: on the leader a command or a daemon's message is prepared on the
// committed state, which leaves the wish in the service; the monitor asks dirty services for their
// encoded changes, proposes all of them as one entry of the quorum's log, and on every member
// Apply carries them out. Invariants: Apply depends on the state and the change alone, never on
// the clock or on chance, so all members stay the same; a wish is prepared only while nothing is
// proposed and not applied.
//
// A Service is used by the monitor's loop goroutine only.
package service

import (
	"fmt"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
)

// A Reader reads the applied state. Keys begin with the service's name and a slash.
type Reader interface {
	Get(key string) ([]byte, bool, error)
	Scan(prefix string, f func(key string, value []byte) bool) error
}

// A Writer collects the writes of one log entry.
type Writer interface {
	Set(key string, value []byte)
	Delete(key string)
	DeletePrefix(prefix string)
}

// A Service is one part of the state.
type Service interface {
	// Name is the service's place in changes and keys.
	Name() string
	// Load takes the whole state from the store, at the start or after it was replaced.
	Load(r Reader) error
	// Dirty says whether something is prepared.
	Dirty() bool
	// Change encodes what is prepared, and forgets it.
	Change() ([]byte, error)
	// Discard forgets what is prepared: the leadership is lost.
	Discard()
	// Apply carries out a change. An error stops the member.
	Apply(change []byte, w Writer) error
	// Commands are the commands that the service answers.
	Commands() []Row
}

// A Row binds a command to its handler.
type Row struct {
	Prefix string
	Run    func(r *Request) Answer
}

// A Caller is who sent a request.
type Caller struct {
	Entity ceph.EntityName
	Auth   ceph.AuthName
	Addrs  ceph.AddrVec
	// Allowed says whether the caller's caps give it r, w or x on a service; what a command needs
	// by its description is checked before the handler runs.
	Allowed func(service string, perm string) bool
}

// A Request is a command with what its handler may know.
type Request struct {
	*commands.Command
	Now    time.Time
	Waited time.Duration // since the monitor got it, when it is handled once more
	Input  []byte
	Caller Caller
}

// An Answer goes back to the caller, after everything that was prepared is committed.
type Answer struct {
	Err  ceph.Errno // 0 for success
	Text string     // for the user, on standard error
	Data []byte     // output
	Bare bool       // no text even though it is an error
	// Again says that the request has to be handled once more, after something else has happened.
	Again bool
}

// OK is success with a line for the user.
func OK(format string, args ...any) Answer { return Answer{Text: fmt.Sprintf(format, args...)} }

// Fail is an error with a line for the user.
func Fail(e ceph.Errno, format string, args ...any) Answer {
	return Answer{Err: e, Text: fmt.Sprintf(format, args...)}
}

// Plain is text output.
func Plain(text string) Answer { return Answer{Data: []byte(text)} }

// Plainf is formatted text output.
func Plainf(format string, args ...any) Answer { return Plain(fmt.Sprintf(format, args...)) }

// Formatted says whether the caller asked for something else than plain text.
func (r *Request) Formatted() bool { return r.Format() != commands.Plain }

// JSON is v in the format asked for; plain callers get it as JSON, indented.
func (r *Request) JSON(v any) Answer { return Answer{Data: r.Print(v)} }

// Either is v for callers that asked for a format, else text.
func (r *Request) Either(v any, text string) Answer {
	if r.Formatted() {
		return r.JSON(v)
	}
	return Plain(text)
}

// Lines joins lines, each ended by a newline.
func Lines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
