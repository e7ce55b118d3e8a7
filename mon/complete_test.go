package mon

import (
	"fmt"
	"strings"
	"testing"

	"glue/cluster/commands"
)

// TestEveryCommandIsAccountedFor: a command of the monitors has a handler, is obsolete, or is
// listed with the feature that it waits for.
func TestEveryCommandIsAccountedFor(t *testing.T) {
	c := newWorld(t).c
	for _, table := range [][]commands.Descriptor{commands.Monitor, commands.OSDMap} {
		for i := range table {
			d := &table[i]
			if d.Flags&(commands.FlagMgr|commands.FlagObsolete) == 0 &&
				(c.handler[d.Prefix()] == nil) != (commands.Unavailable[d.Prefix()] != "") {
				t.Errorf("%s: handler %v, said to be unavailable: %q", d.Prefix(),
					c.handler[d.Prefix()] != nil, commands.Unavailable[d.Prefix()])
			}
		}
	}
}

// TestHiddenCommands: those for one monitor alone are not answered through the quorum, the others
// that the help does not show are.
func TestHiddenCommands(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	for prefix, want := range map[string]bool{"version": true, "mds stat": true,
		"osd purge-actual": true, "osd destroy-actual": true, "mon_status": false,
		"sessions": false, "injectargs": false} {
		_, text, _ := w.command(s, l, fmt.Sprintf(`{"prefix":%q}`, prefix), nil)
		if got := !strings.HasPrefix(text, "unrecognized command"); got != want {
			t.Errorf("%s: answered %v: %q", prefix, got, text)
		}
	}
}

// TestTellChangesNothingOfTheQuorum: hidden commands that change the cluster go through its log;
// told to one monitor they are not known.
func TestTellChangesNothingOfTheQuorum(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	for _, prefix := range []string{"osd purge-actual", "osd destroy-actual", "mds stat"} {
		r, text, _ := w.command(s, l, fmt.Sprintf(`tell {"prefix":%q,"id":0}`, prefix), nil)
		if r == 0 {
			t.Errorf("tell %s: %d %q", prefix, r, text)
		}
	}
}
