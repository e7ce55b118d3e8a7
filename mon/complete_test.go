package mon

import (
	"fmt"
	"strings"
	"testing"
)

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
