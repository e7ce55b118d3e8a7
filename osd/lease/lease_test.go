package lease

import (
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
)

var start = time.Unix(1e9, 0)

func TestAck(t *testing.T) {
	var l Lease
	others := []int32{1, 2}
	if got := l.Ack(1, start.Add(time.Hour), others); !got.IsZero() {
		t.Errorf("an answer to nothing lets it serve until %v", got)
	}
	l.Ask(start)
	if got := l.Ack(1, start.Add(2*time.Second), others); !got.IsZero() {
		t.Errorf("one of two lets it serve until %v", got)
	}
	if got := l.Ack(2, start.Add(3*time.Second), others); !got.Equal(start.Add(2 * time.Second)) {
		t.Errorf("until %v", got)
	}
	const length = 4 * time.Second
	if l.Due(start.Add(length/4), length) || !l.Due(start.Add(length*3/4), length) {
		t.Error("asks again at another time than half of a lease")
	}
	l.Settle(ceph.Eversion{Version: 7, Epoch: 2})
	l.Settle(ceph.Eversion{Version: 6, Epoch: 2})
	if l.Durable.Version != 7 {
		t.Errorf("durable to %v", l.Durable)
	}
	if l.End(); l.Asked() || !l.Durable.IsZero() || l.Readable(start) {
		t.Errorf("left in the next interval: %+v", l)
	}
}

func TestOver(t *testing.T) {
	m := osdmap.Empty()
	m.MaxOSD = 3
	m.State = make([]osdmap.State, 3)
	m.Info = make([]osdmap.OSDInfo, 3)
	m.XInfo = make([]osdmap.OSDXInfo, 3)
	for i := range m.State {
		m.State[i], m.Info[i].UpFrom = osdmap.OSDExists|osdmap.OSDUp, 5
	}
	for name, c := range map[string]struct {
		change func(l *Lease)
		after  time.Duration
		over   bool
	}{
		"alive":               {func(*Lease) {}, time.Second, false},
		"its time is over":    {func(*Lease) {}, 1100 * time.Millisecond, true},
		"it has spoken":       {func(l *Lease) { l.Hear(1) }, 0, true},
		"another has spoken":  {func(l *Lease) { l.Hear(2) }, 0, false},
		"a later interval":    {func(l *Lease) { l.Hear(1); l.End() }, 0, false},
		"a primary is active": {func(l *Lease) { l.Active() }, 0, false},
		"a later one is":      {func(l *Lease) { l.End(); l.Active() }, 0, true},
		"it was promised again": {func(l *Lease) {
			l.End()
			l.Promise(start, 1, 5, time.Millisecond)
			l.Active()
		}, time.Second, false},
		"a longer promise": {func(l *Lease) {
			l.Promise(start, 1, 5, time.Hour)
		}, time.Minute, false},
		"a shorter promise": {func(l *Lease) { l.Promise(start, 1, 5, 0) }, time.Second, false},
		"an older incarnation": {func(l *Lease) {
			l.Promise(start, 1, 4, time.Hour)
		}, time.Minute, true},
		"only itself": {func(l *Lease) {
			*l = Lease{}
			l.Promise(start, 0, 5, time.Hour)
		}, 0, true},
		"it was started again": {func(*Lease) { m.Info[1].UpFrom = 6 }, 0, true},
		"it is dead": {func(*Lease) {
			m.State[1], m.XInfo[1].DeadEpoch = osdmap.OSDExists, 7
		}, 0, true},
		"it died before": {func(*Lease) {
			m.State[1], m.XInfo[1].DeadEpoch = osdmap.OSDExists, 4
		}, 0, false},
	} {
		m.State[1], m.Info[1].UpFrom = osdmap.OSDExists|osdmap.OSDUp, 5
		m.XInfo[1] = osdmap.OSDXInfo{}
		var l, child Lease
		l.Promise(start, 1, 5, time.Second)
		c.change(&l)
		child.Inherit(&l)
		if name != "it has spoken" && name != "only itself" &&
			child.Over(start.Add(c.after), 0, m) != c.over {
			t.Errorf("%s, of a child: over %v", name, !c.over)
		}
		if got := l.Over(start.Add(c.after), 0, m); got != c.over {
			t.Errorf("%s: over %v", name, got)
		}
		if c.over != (len(l.Promises(start)) == 0) {
			t.Errorf("%s: %v are left", name, l.Promises(start))
		}
	}
}
