package mon

import (
	"fmt"
	"testing"

	"glue/ceph"
)

// TestRemoveWhileAnotherIsGone: of three monitors one is gone, and nobody has noticed yet. The
// removal of another would leave two of which one is gone, so it is refused; the one that is gone
// may be removed.
func TestRemoveWhileAnotherIsGone(t *testing.T) {
	k := newCouncil(t, "a", "b", "c")
	lead := k.leader()
	for range 20 {
		k.step()
	}
	var others []string
	for _, n := range []string{"a", "b", "c"} {
		if k.ws[n] != lead {
			others = append(others, n)
		}
	}
	k.cut = others[0]
	remove := func(name string) int32 {
		r, ok := k.command(lead, fmt.Sprintf(`{"prefix":"mon rm","name":%q}`, name))
		if !ok {
			t.Fatalf("removal of mon.%s is not answered", name)
		}
		return r
	}
	if r := remove(others[1]); r != ceph.EBUSY.Result() {
		t.Fatalf("removal of mon.%s while mon.%s is gone: %d", others[1], others[0], r)
	}
	if r := remove(others[0]); r != 0 {
		t.Fatalf("removal of mon.%s, which is gone: %d", others[0], r)
	}
	if r := remove(others[1]); r != 0 {
		t.Fatalf("removal of one of two that are there: %d", r)
	}
}
