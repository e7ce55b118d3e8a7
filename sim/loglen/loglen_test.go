package loglen

import (
	"testing"

	"glue/osd/pglog"
)

// TestLimits: what a limit follows from. The first write of an interval trims the longest log that
// a copy without writes may have, of which all but what is kept becomes requests at once; they come
// to those that a restart has brought back.
func TestLimits(t *testing.T) {
	const underWay, dups = 42, 3000
	idle, _ := Log{UnderWay: underWay, Dups: dups}.Limits()
	for _, l := range []Log{{Primary: true}, {}} {
		l.Wrote, l.UnderWay, l.Dups = true, underWay, dups
		entries, most := l.Limits()
		if entries < Entries+slack || entries >= idle {
			t.Errorf("%+v: %d entries, without a write %d", l, entries, idle)
		}
		at := dups + pglog.GroupDups - 1 + idle - Entries
		if most < at || most > at+2*(Entries+slack) {
			t.Errorf("%+v: %d requests, the first write leaves up to %d", l, most, at)
		}
	}
}
