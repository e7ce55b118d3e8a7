package osd

import (
	"slices"
	"testing"

	"glue/wire/message"
)

// heard is a manager's end of a connection.
type heard struct{ reports []*message.MPGStats }

func (h *heard) Send(m *message.Message) {
	if b, ok := m.Body.(*message.MPGStats); ok {
		h.reports = append(h.reports, b)
	}
}
func (h *heard) Close() {}

// TestShortIntervalIsTold: the manager hears at once that a PG is through an interval, also if it
// is in the state that it was in before when somebody looks; what is of no consequence can wait.
func TestShortIntervalIsTold(t *testing.T) {
	s, _ := quietSim(t, 3)
	s.until("clean", s.settled)
	n, p := s.pgOf(0)
	m := &heard{}
	n.d.reporter.conn = m
	tell := func() (told bool) {
		for len(n.d.inbox) > 0 {
			(<-n.d.inbox)()
		}
		m.reports = nil
		p.dirty = true
		s.clock = s.clock.Add(reportSoon)
		n.d.reporter.last = s.clock.Add(-reportSoon)
		p.s.now = s.clock
		p.s.report()
		for len(n.d.inbox) > 0 {
			(<-n.d.inbox)()
		}
		return slices.ContainsFunc(m.reports, func(b *message.MPGStats) bool {
			_, ok := b.PGs[p.id.PGID]
			return ok
		})
	}
	tell() // the first time
	if tell() {
		t.Error("told at once that nothing has happened")
	}
	before := p.told
	s.markDown(s.replicaOf(0).id)
	s.until("clean", s.settled)
	if _, q := s.pgOf(0); q != p || p.state() != before.state ||
		p.m.Info().History.SameIntervalSince == before.since {
		t.Fatalf("%v, was %v; interval %d", p.state(), before, before.since)
	}
	p.told, n.d.reporter.urgent = before, false // as if nobody had looked in between
	if tell(); len(m.reports) == 0 {
		t.Error("the manager is not told of an interval that is over")
	}
}
