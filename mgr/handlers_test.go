package mgr

import (
	"testing"

	"glue/cluster/commands"
)

// TestHandledOrAbsent: every command is answered, or says which feature it waits for.
func TestHandledOrAbsent(t *testing.T) {
	for i := range commands.Manager {
		p := commands.Manager[i].Prefix()
		if (handlers[p] == nil) == (commands.Unavailable[p] == "") {
			t.Errorf("%q: handled %v, unavailable %q", p, handlers[p] != nil,
				commands.Unavailable[p])
		}
	}
}
