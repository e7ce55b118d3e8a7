package daemon

import (
	"testing"
	"time"
)

// TestLoad: a load above the threshold is low where more is usual, while it falls.
func TestLoad(t *testing.T) {
	if !(&Load{}).Low(0.5) {
		t.Error("no load is high")
	}
	var one, fifteen float64
	l := &Load{Read: func() (float64, float64) { return one, fifteen }}
	now := time.Unix(1e9, 0)
	spend := func(span time.Duration) {
		for end := now.Add(span); now.Before(end); now = now.Add(time.Second) {
			l.Tick(now)
		}
	}
	one, fifteen = 0.9, 3
	l.Tick(now) // a day begins as the last quarter of an hour was
	for _, c := range []struct {
		one, fifteen float64
		low          bool
	}{{0.49, 0, true}, {0.5, 0.4, false}, {0.5, 0.5, false}, {0.5, 0.6, true}, {2.9, 3.1, true},
		{3.1, 3.2, false}} {
		if one, fifteen = c.one, c.fifteen; l.Low(0.5) != c.low {
			t.Errorf("%+v is not", c)
		}
	}
	one, fifteen = 1, 1
	spend(12 * time.Hour)
	if one, fifteen = 2.1, 2.3; !l.Low(0.5) { // 1 + 2/sqrt(e)
		t.Error("half a day has changed too much")
	}
	if one = 2.3; l.Low(0.5) {
		t.Error("half a day has changed too little")
	}
	one, fifteen = 1, 1
	spend(72 * time.Hour)
	if one, fifteen = 1.3, 9; l.Low(0.5) {
		t.Error("four days ago still count")
	}
}
