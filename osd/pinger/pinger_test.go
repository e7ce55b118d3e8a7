package pinger

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/options"
	"glue/osd/heartbeat"
	"glue/wire/message"
)

// A lab is a few Pingers on one clock, whose networks can be cut and whose processes can end.
type lab struct {
	t     *testing.T
	now   time.Time
	m     *osdmap.Map
	list  []*subject
	cut   map[heartbeat.Net]bool
	queue []func() // pings on their way
	count int      // connections made
}

// A subject is one OSD.
type subject struct {
	*Pinger
	booted  bool
	dead    bool
	watched []Watched
	failed  error
	reports []*message.MOSDFailure
	answers int
}

func (s *subject) Send(b message.Body) {
	if f, ok := b.(*message.MOSDFailure); ok {
		s.reports = append(s.reports, f)
	}
}
func (s *subject) Subscribe(string, uint64, bool) {}

// flags are those of the reports since the last call.
func (s *subject) flags() (out []uint8) {
	for _, r := range s.reports {
		out = append(out, r.Flags)
	}
	s.reports = nil
	return out
}

func labAddr(osd int32, over heartbeat.Net) ceph.AddrVec {
	return ceph.AddrVec{{Type: ceph.AddrMsgr2, Nonce: 1, AddrPort: netip.AddrPortFrom(
		netip.AddrFrom4([4]byte{10, byte(over), 0, byte(osd)}), 6800)}}
}

func newLab(t *testing.T, n int32) *lab {
	l := &lab{t: t, now: time.Unix(1000, 0), m: osdmap.Empty(), cut: map[heartbeat.Net]bool{}}
	l.m.MaxOSD = n
	for o := range n {
		l.m.State = append(l.m.State, osdmap.OSDExists|osdmap.OSDUp)
		l.m.Info = append(l.m.Info, osdmap.OSDInfo{UpFrom: 3})
		l.m.HBBackAddrs = append(l.m.HBBackAddrs, labAddr(o, heartbeat.Back))
		l.m.HBFrontAddrs = append(l.m.HBFrontAddrs, labAddr(o, heartbeat.Front))
		l.m.ClientAddrs = append(l.m.ClientAddrs, nil)
		s := &subject{booted: true}
		s.Pinger = New(Config{ID: o, Log: slog.New(slog.DiscardHandler), Start: l.now,
			Now:     func() time.Time { return l.now },
			Map:     func() *osdmap.Map { return l.m },
			Booted:  func() bool { return s.booted },
			Options: func() options.Set { return options.Set{} },
			Mon:     func() Monitors { return s },
			Connect: func(over heartbeat.Net, to ceph.AddrVec) Beat {
				l.count++
				return labBeat{l, o, int32(to[0].AddrPort.Addr().As4()[3]), over}
			},
			Watched: func() []Watched { return s.watched },
			Fail:    func(err error) { s.failed = err }})
		l.list = append(l.list, s)
	}
	return l
}

// A labBeat is a connection.
type labBeat struct {
	l        *lab
	from, to int32
	over     heartbeat.Net
}

func (b labBeat) Send(m *message.Message) {
	p := *m.Body.(*message.MOSDPing)
	l := b.l
	if l.cut[b.over] || l.list[b.to].dead {
		return
	}
	if p.Kind == message.PingReply {
		l.list[b.from].answers++
	}
	to, back := l.list[b.to], labBeat{l, b.to, b.from, b.over}
	l.queue = append(l.queue, func() { to.Heard(b.over, back, &p) })
}
func (b labBeat) Close() {}
func (b labBeat) Ended() (gone, refused bool) {
	d := b.l.list[b.to].dead && !b.l.cut[b.over]
	return d, d
}

// run lets time go by, in ticks.
func (l *lab) run(d time.Duration) {
	for end := l.now.Add(d); l.now.Before(end); {
		l.now = l.now.Add(TickEvery)
		for _, s := range l.list {
			if !s.dead {
				s.Tick()
			}
		}
		for len(l.queue) > 0 {
			f := l.queue[0]
			l.queue = l.queue[1:]
			f()
		}
	}
}

// TestOneNetworkIsCut: a peer that answers over one network only is reported, and taken back when
// it answers over both.
func TestOneNetworkIsCut(t *testing.T) {
	for over := range heartbeat.Nets {
		l := newLab(t, 2)
		l.run(time.Minute)
		if got := l.list[0].flags(); got != nil {
			t.Fatalf("%v: while all is well: %v", over, got)
		}
		l.cut[over] = true
		l.run(19 * time.Second)
		if got := l.list[0].flags(); got != nil {
			t.Errorf("%v: within the grace: %v", over, got)
		}
		l.run(8 * time.Second)
		if got := l.list[0].flags(); len(got) == 0 || got[0] != message.FailureFailed {
			t.Errorf("%v: after the grace: %v", over, got)
		}
		l.cut[over] = false
		l.run(7 * time.Second)
		if got := l.list[0].flags(); len(got) == 0 || got[len(got)-1] != message.FailureAlive {
			t.Errorf("%v: when it answers again: %v", over, got)
		}
		l.run(time.Minute)
		if got := l.list[0].flags(); got != nil {
			t.Errorf("%v: long after: %v", over, got)
		}
	}
}

// TestRefusedIsDead: a process that refuses connections over both networks is reported at once; a
// network that can't be reached says nothing, even if the other refuses.
func TestRefusedIsDead(t *testing.T) {
	l := newLab(t, 2)
	l.run(time.Minute)
	l.list[1].dead, l.cut[heartbeat.Front] = true, true
	l.run(10 * time.Second)
	if got := l.list[0].flags(); got != nil {
		t.Errorf("refused by one network: %v", got)
	}
	l.cut[heartbeat.Front] = false
	l.run(time.Second)
	want := message.FailureFailed | message.FailureImmediate
	if got := l.list[0].flags(); len(got) == 0 || int(got[0]) != int(want) {
		t.Errorf("refused by both: %v", got)
	}
}

// TestHangs: an OSD with something that hangs answers no pings, does not boot, and ends after
// osd_op_thread_suicide_timeout; it answers again when it goes on.
func TestHangs(t *testing.T) {
	l := newLab(t, 2)
	var lane Lane
	var store Backlog
	a, b := l.list[0], l.list[1]
	b.watched = []Watched{{"the store", store.Mark}, {"shard 0", lane.Mark}}
	l.run(time.Minute)
	for _, c := range []struct {
		name     string
		hang, on func()
	}{
		{"shard 0", lane.Turn, lane.Turn},
		{"the store", store.Begin, store.Done},
	} {
		c.hang()
		l.run(17 * time.Second)
		b.answers = 0
		l.run(30 * time.Second)
		if b.answers > 0 || !slices.Contains(a.flags(), uint8(message.FailureFailed)) {
			t.Errorf("%s hangs: %d answers", c.name, b.answers)
		}
		if why := b.Unfit(); !strings.Contains(why, c.name) {
			t.Errorf("%s hangs: may boot: %q", c.name, why)
		}
		if b.failed != nil {
			t.Errorf("%s: ends too early: %v", c.name, b.failed)
		}
		c.on()
		l.run(30 * time.Second)
		if b.answers == 0 || b.Unfit() != "" {
			t.Errorf("%s goes on: %d answers, unfit %q", c.name, b.answers, b.Unfit())
		}
		a.flags()
	}
	lane.Turn()
	l.run(140 * time.Second)
	l.now = l.now.Add(time.Hour) // the process was stopped
	l.run(5 * time.Second)
	if b.failed != nil {
		t.Fatalf("ends for a time in which it was stopped: %v", b.failed)
	}
	l.run(10 * time.Second)
	if !errors.Is(b.failed, ErrHangs) || !strings.Contains(b.failed.Error(), "shard 0") {
		t.Errorf("after the suicide timeout: %v", b.failed)
	}
}

// TestAway: an OSD that was marked down while it ran waits until it hears peers over both networks,
// and reports nobody meanwhile.
func TestAway(t *testing.T) {
	l := newLab(t, 4)
	l.run(time.Minute)
	a := l.list[0]
	if why := a.Unfit(); why != "" {
		t.Fatalf("unfit: %s", why)
	}
	l.cut[heartbeat.Front] = true
	a.booted = false
	l.m.State[0] = osdmap.OSDExists
	a.Leave()
	if a.Unfit() == "" {
		t.Error("it may boot before it has pinged anybody")
	}
	l.run(time.Minute)
	if why := a.Unfit(); !strings.Contains(why, "0 of 3 peers") {
		t.Errorf("without one network: %q", why)
	}
	if got := a.flags(); got != nil {
		t.Errorf("reports while it is down: %v", got)
	}
	l.list[2].dead, l.list[3].dead = true, true // who is known to be dead does not count
	l.cut[heartbeat.Front] = false
	l.run(3 * time.Second)
	if why := a.Unfit(); why != "" {
		t.Errorf("all who live answer: %s", why)
	}
	if l.count > 1000 {
		t.Errorf("%d connections were made", l.count)
	}
}

// TestAllAway: OSDs that were all marked down while they ran have nobody to ping, which must not
// keep them down for ever.
func TestAllAway(t *testing.T) {
	l := newLab(t, 3)
	l.run(time.Minute)
	for o, s := range l.list {
		s.booted = false
		l.m.State[o] = osdmap.OSDExists
	}
	l.m.Epoch++
	for o, s := range l.list {
		s.Leave()
		if s.Unfit() == "" {
			t.Errorf("osd.%d may boot before it has looked for peers", o)
		}
	}
	l.run(3 * time.Second)
	for o, s := range l.list {
		if why := s.Unfit(); why != "" {
			t.Errorf("osd.%d: %s", o, why)
		}
	}
}
