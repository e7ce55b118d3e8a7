// Package progress follows what goes on in a cluster for a while, as the managers' module of that
// name does: PGs that move after an OSD was marked out or in, the share of all PGs that is clean
// meanwhile, and pools whose number of PGs the autoscaler changes. It is pure.
package progress

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/internal/cephjson"
	"glue/wire/message"
)

// MaxEvents bounds the events under way, of which each OSD and pool may have one or two.
const MaxEvents = 1000

// A Ref names what an event is about: "osd", "pool" or "global", and which.
type Ref [2]any

// An Event is something under way.
type Event struct {
	ID       string
	Message  string
	Refs     any // []Ref, or what another module says
	Began    time.Time
	Progress float64 // 0 to 1
	Status   bool    // "ceph -s" shows it

	text string // as of the last change

	epoch     ceph.Epoch // what PGs have reported before does not count
	pgs       map[ceph.PGID]int64
	count     int   // of pgs at the beginning
	osd       int32 // of a move
	clean     int   // PGs at the beginning, of a global event
	pool      int64 // of an adjustment
	from, to  uint32
	kind      kind
	completed bool
}

type kind int

const (
	move kind = iota
	global
	adjustment
	remote // another module says how far it is
)

// A Past is an event that has ended, as it is kept.
type Past struct {
	ID       string  `json:"id"`
	Message  string  `json:"message"`
	Refs     any     `json:"refs"`
	Began    float64 `json:"started_at"`
	Finished float64 `json:"finished_at"`
	// The name is the stock module's, colon and all.
	Status  bool   `json:"add_to_ceph_s:"`
	Failed  bool   `json:"failed,omitempty"`
	Failure string `json:"failure_message,omitempty"`
}

// A Tracker belongs to one goroutine.
type Tracker struct {
	Events    []*Event
	Completed []Past // oldest first
	Changed   bool   // Completed is to be stored
	NewID     func() string
	last      *osdmap.Map
}

// Step looks at the cluster. At most keep completed events are remembered.
func (t *Tracker) Step(now time.Time, m *osdmap.Map, pgs map[ceph.PGID]*pgstat.PG, keep int) {
	if t.last != nil && t.last.Epoch != m.Epoch {
		t.compare(now, t.last, m)
	}
	t.last = m
	defer func() { t.Completed = t.Completed[max(0, len(t.Completed)-keep):] }()
	if len(t.Events) == 0 {
		return
	}
	clean := 0
	for _, pg := range pgs {
		if isClean(pg) {
			clean++
		}
	}
	any := false
	for _, e := range t.Events {
		switch e.kind {
		case move:
			e.moved(pgs)
		case global:
			any = true
			e.cleaned(pgs, clean)
		case adjustment:
			e.adjusted(m.Pools[e.pool])
		}
		e.refresh(now)
		if e.Progress >= 1 && e.kind != remote {
			t.complete(now, e)
		}
	}
	t.Events = slices.DeleteFunc(t.Events, func(e *Event) bool { return e.completed })
	if !any && clean < len(pgs) {
		e := t.begin(now, m, global, "Global Recovery Event", Ref{"global", ""})
		e.Status, e.clean = true, clean
		e.refresh(now)
	}
}

func isClean(pg *pgstat.PG) bool {
	return pg.State.Has(pgstat.Active) && pg.State.Has(pgstat.Clean)
}

func (t *Tracker) begin(now time.Time, m *osdmap.Map, k kind, message string, about Ref) *Event {
	e := &Event{ID: t.NewID(), Message: message, Refs: []Ref{about}, Began: now, epoch: m.Epoch,
		kind: k}
	if len(t.Events) < MaxEvents {
		t.Events = append(t.Events, e)
	}
	return e
}

// complete moves an event to those that have ended; Step takes it out of the list.
func (t *Tracker) complete(now time.Time, e *Event) {
	e.completed, t.Changed = true, true
	t.Completed = append(t.Completed, Past{ID: e.ID, Message: e.Message, Refs: e.Refs,
		Began: seconds(e.Began), Finished: seconds(now), Status: e.Status})
}

// A Told is what another module says of an event of its own.
type Told struct {
	ID, Message string
	Refs        any
	Progress    float64 // 0 to 1
	Ended       bool
	Failure     string // why it ended without success
}

// Remote takes what another module says; an event that is not known yet begins, unless it has ended
// before.
func (t *Tracker) Remote(now time.Time, told Told) {
	i := slices.IndexFunc(t.Events, func(e *Event) bool { return e.ID == told.ID })
	if i < 0 {
		if len(t.Events) >= MaxEvents || t.ended(told.ID) {
			return
		}
		i = len(t.Events)
		t.Events = append(t.Events, &Event{ID: told.ID, Refs: told.Refs, Began: now, kind: remote})
	}
	e := t.Events[i]
	e.Message, e.Progress = told.Message, told.Progress
	e.refresh(now)
	if told.Ended {
		t.complete(now, e)
		p := &t.Completed[len(t.Completed)-1]
		p.Failed, p.Failure = told.Failure != "", told.Failure
		t.Events = slices.Delete(t.Events, i, i+1)
	}
}

func (t *Tracker) ended(id string) bool {
	return slices.ContainsFunc(t.Completed, func(p Past) bool { return p.ID == id })
}

// Load makes the events that were kept those that have ended, but for what has happened since.
func (t *Tracker) Load(kept []Past) {
	since := t.Completed
	t.Completed = kept
	for _, p := range since {
		if !t.ended(p.ID) {
			t.Completed, t.Changed = append(t.Completed, p), true
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// compare begins events for OSDs that were marked out or, with all their weight, in.
func (t *Tracker) compare(now time.Time, was, is *osdmap.Map) {
	for osd, w := range is.Weight {
		if osd >= len(was.Weight) || !is.Exists(int32(osd)) || !was.Exists(int32(osd)) {
			continue
		}
		before := was.Weight[osd]
		switch {
		case w == 0 && before > 0:
			t.marked(now, was, is, int32(osd), "out")
		case w >= 0x10000 && before == 0:
			for _, e := range t.Events {
				if e.kind == move && e.osd == int32(osd) && !e.completed {
					t.complete(now, e)
				}
			}
			t.marked(now, was, is, int32(osd), "in")
		}
	}
}

// marked begins an event if PGs move to or from the OSD.
func (t *Tracker) marked(now time.Time, was, is *osdmap.Map, osd int32, how string) {
	moving := map[ceph.PGID]int64{}
	for id, pool := range was.Pools {
		for seed := range pool.PGNum {
			pg := ceph.PGID{Pool: id, Seed: seed}
			_, _, before, _ := was.PGToUpActing(pg)
			_, _, after, _ := is.PGToUpActing(pg)
			if (slices.Contains(before, osd) || slices.Contains(after, osd)) &&
				!sameOSDs(before, after) {
				moving[pg] = -1
			}
		}
	}
	if len(moving) == 0 {
		return
	}
	e := t.begin(now, is, move, fmt.Sprintf("Rebalancing after osd.%d marked %s", osd, how),
		Ref{"osd", osd})
	e.pgs, e.count, e.osd = moving, len(moving), osd
}

func sameOSDs(a, b []int32) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// moved counts the PGs that are clean again, and of the others how much was recovered.
func (e *Event) moved(pgs map[ceph.PGID]*pgstat.PG) {
	partly := 0.0
	for id, recovered := range e.pgs {
		pg := pgs[id]
		if pg == nil { // its pool is gone, or it was merged
			delete(e.pgs, id)
			continue
		}
		sum := &pg.Stats.Sum
		if recovered < 0 {
			recovered = sum.BytesRecovered
			e.pgs[id] = recovered
		}
		switch {
		case pg.ReportedEpoch < e.epoch:
		case isClean(pg):
			delete(e.pgs, id)
		case sum.Bytes > 0:
			partly += min(max(float64(sum.BytesRecovered-recovered)/float64(sum.Bytes), 0), 1)
		}
	}
	e.Progress = min((float64(e.count-len(e.pgs))+partly)/float64(e.count), 1)
}

// cleaned is the share of clean PGs of those that were not clean all the time. (The stock module
// counts the latter among the clean ones too, and so ends too early.)
func (e *Event) cleaned(pgs map[ceph.PGID]*pgstat.PG, clean int) {
	if clean == e.clean && clean < len(pgs) {
		return
	}
	skipped := 0
	for _, pg := range pgs {
		if isClean(pg) && pg.ReportedEpoch < e.epoch {
			skipped++
		}
	}
	e.Progress = 1
	if clean < len(pgs) {
		e.Progress = float64(clean-skipped) / float64(len(pgs)-skipped)
	}
}

// adjusted follows a pool to its number of PGs.
func (e *Event) adjusted(p *osdmap.Pool) {
	if p == nil || p.PGNum == p.PGNumTarget || e.from == e.to {
		e.Progress = 1
		return
	}
	e.Progress = (float64(e.from) - float64(p.PGNum)) / (float64(e.from) - float64(e.to))
	e.Progress = min(max(e.Progress, 0), 1)
}

// Adjust begins to follow a pool whose number of PGs the autoscaler has changed, or follows it to
// another number.
func (t *Tracker) Adjust(now time.Time, m *osdmap.Map, pool int64, to uint32) {
	from := m.Pools[pool].PGNum
	how := "increasing"
	if to < from {
		how = "decreasing"
	}
	message := fmt.Sprintf("PG autoscaler %s pool %d PGs from %d to %d", how, pool, from, to)
	i := slices.IndexFunc(t.Events, func(e *Event) bool {
		return e.kind == adjustment && e.pool == pool
	})
	var e *Event
	if i < 0 {
		e = t.begin(now, m, adjustment, message, Ref{"pool", pool})
	} else {
		e = t.Events[i]
	}
	e.Message, e.pool, e.from, e.to, e.Progress = message, pool, from, to, 0
	e.refresh(now)
}

// Clear forgets everything.
func (t *Tracker) Clear() { t.Events, t.Completed, t.Changed = nil, nil, true }

// Pretty is a time span in one unit.
func Pretty(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		below, unit time.Duration
		name        string
	}{
		{2 * time.Minute, time.Second, "s"}, {2 * time.Hour, time.Minute, "m"},
		{2 * day, time.Hour, "h"}, {14 * day, day, "d"}, {84 * day, 7 * day, "w"},
		{730 * day, 30 * day, "M"},
	} {
		if d < u.below {
			return fmt.Sprint(int(d/u.unit), u.name)
		}
	}
	return fmt.Sprint(int(d/(365*day)), "y")
}

// bar is "MESSAGE (12s)" and below it how far it is.
func bar(now, began time.Time, message string, progress float64, indent int) string {
	const wide = 28
	left := ""
	if n, ok := remaining(now, began, progress); ok && n > 0 {
		left = fmt.Sprintf("(remaining: %s)", Pretty(time.Duration(n)*time.Second))
	}
	done := int(progress * wide)
	return fmt.Sprintf("%s (%s)\n%s[%s%s] %s", message, Pretty(now.Sub(began)),
		strings.Repeat(" ", indent), strings.Repeat("=", done), strings.Repeat(".", wide-done),
		left)
}

// remaining is an estimate in seconds.
func remaining(now, began time.Time, progress float64) (int64, bool) {
	if progress == 0 {
		return 0, false
	}
	return int64(now.Sub(began).Seconds() * (1 - progress) / progress), true
}

func (e *Event) refresh(now time.Time) { e.text = bar(now, e.Began, e.Message, e.Progress, 6) }

// Text is what "ceph progress" prints; empty if there is nothing.
func (t *Tracker) Text(now time.Time) string {
	var b strings.Builder
	events := slices.Clone(t.Events)
	slices.SortStableFunc(events, func(a, b *Event) int { return b.Began.Compare(a.Began) })
	for _, e := range events {
		b.WriteString(bar(now, e.Began, e.Message, e.Progress, 4) + "\n")
	}
	if len(t.Completed) > 0 {
		b.WriteString("\n")
	}
	for _, p := range t.Completed {
		how := "Complete"
		if p.Failed {
			how = "Failed"
		}
		fmt.Fprintf(&b, "[%s]: %s\n", how, bar(now, time.UnixMicro(int64(p.Began*1e6)), p.Message,
			1, 4))
	}
	return b.String()
}

// JSON is what "ceph progress json" prints.
func (t *Tracker) JSON(now time.Time) any {
	events := []any{}
	for _, e := range t.Events {
		var left any
		if n, ok := remaining(now, e.Began, e.Progress); ok {
			left = n
		}
		events = append(events, cephjson.Object{
			{Key: "duration", Value: "(" + Pretty(now.Sub(e.Began)) + ")"},
			{Key: "id", Value: e.ID}, {Key: "message", Value: e.Message},
			{Key: "progress", Value: e.Progress}, {Key: "refs", Value: e.Refs},
			{Key: "started_at", Value: seconds(e.Began)}, {Key: "time_remaining", Value: left}})
	}
	done := t.Completed
	if done == nil {
		done = []Past{}
	}
	return cephjson.Object{{Key: "completed", Value: done}, {Key: "events", Value: events}}
}

// Report is what the monitors show.
func (t *Tracker) Report() (out []message.ProgressEvent) {
	for _, e := range t.Events {
		out = append(out, message.ProgressEvent{ID: e.ID, Message: e.text, Done: e.Progress,
			Status: e.Status})
	}
	return out
}
