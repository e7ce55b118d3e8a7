package mgr

import (
	"testing"

	"glue/cluster/commands"
)

// TestEveryCommandIsAccountedFor: a command of the manager has a handler, or is listed with the
// feature that it waits for.
func TestEveryCommandIsAccountedFor(t *testing.T) {
	for i := range commands.Manager {
		p := commands.Manager[i].Prefix()
		if (handlers[p] == nil) != (commands.Unavailable[p] != "") {
			t.Errorf("%s: handler %v, said to be unavailable: %q", p, handlers[p] != nil,
				commands.Unavailable[p])
		}
	}
}
