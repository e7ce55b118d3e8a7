// Package invariant states what must hold whatever the input: a broken invariant is a bug in
// Glue, never an answer to a client, and stops the daemon before it can write on a wrong belief.
// Any goroutine may call it.
package invariant

import "fmt"

// That panics with the formatted message when ok is false.
func That(ok bool, format string, args ...any) {
	if !ok {
		panic("invariant broken: " + fmt.Sprintf(format, args...))
	}
}
