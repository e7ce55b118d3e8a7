package scrub

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/store/objectstore"
	"glue/wire/message"
)

// few is a View of so many objects that have nothing.
type few int

func object(i int) ceph.HObject {
	return ceph.HObject{Pool: 1, Name: fmt.Sprintf("o%03d", i), Snap: ceph.NoSnap}
}

func (n few) List(_ ceph.SPG, from ceph.HObject, limit int) ([]ceph.HObject, ceph.HObject, error) {
	var out []ceph.HObject
	for i := range int(n) {
		if o := object(i); o.Compare(from) >= 0 && len(out) < limit {
			out = append(out, o)
		}
	}
	return out, ceph.MaxHObject(), nil
}

func (few) Stat(ceph.SPG, ceph.HObject) (objectstore.Stat, error) {
	return objectstore.Stat{}, nil
}
func (few) GetAttrs(ceph.SPG, ceph.HObject) (map[string][]byte, error) { return nil, nil }
func (few) Lend(ceph.SPG, ceph.HObject, uint64, uint64) (objectstore.Loan, error) {
	return objectstore.Loan{}, nil
}
func (few) OmapHeader(ceph.SPG, ceph.HObject) ([]byte, error) { return nil, nil }
func (few) OmapScan(ceph.SPG, ceph.HObject, string) iter.Seq2[objectstore.OmapPair, error] {
	return func(func(objectstore.OmapPair, error) bool) {}
}

// A stage is a PG with another copy on osd.1. What it is to do waits until the test has it done.
type stage struct {
	st         Status
	policy     Policy
	later, now []func()
	sent       []message.Body
	freed      int
}

func (h *stage) Status() Status           { return h.st }
func (h *stage) Later(_ uint64, f func()) { h.later = append(h.later, f) }
func (h *stage) Now(f func())             { h.now = append(h.now, f) }
func (h *stage) Send(_ int32, body func(message.PGHead) message.Body) {
	h.sent = append(h.sent, body(message.PGHead{}))
}
func (h *stage) Log(uint16, ...string)      {}
func (h *stage) Flush()                     {}
func (h *stage) Slot(bool) bool             { return true }
func (h *stage) Freed()                     { h.freed++ }
func (h *stage) Changed()                   {}
func (h *stage) Hint(ceph.HObject) Hint     { return Hint{} }
func (h *stage) IsReplicaOf(osd int32) bool { return osd == 0 }
func (h *stage) Repair([]Record) int        { return 0 }
func (h *stage) Finished(bool, bool)        {}

// work does what waits in one of the lists, and what comes of it there.
func work(list *[]func()) {
	for len(*list) > 0 {
		f := (*list)[0]
		*list = (*list)[1:]
		f()
	}
}

func newStage(objects, chunk, preemptions int) (*stage, *Scrubber) {
	h := &stage{}
	o := &Options{Max: 1, Config: Config{ChunkMin: 1, Preemptions: preemptions,
		Limits: Limits{Objects: chunk, Bytes: 1 << 20, MapBytes: 1 << 20, Stride: 4096, Keys: 9}}}
	h.st = Status{Now: noon, PG: ceph.SPG{PGID: ceph.PGID{Pool: 1}}, Members: []int32{1},
		Ready: true, Clean: true, Info: &pginfo.Info{}, Stats: &pginfo.Stats{}, Options: o,
		Policy: func() Policy { return h.policy }, View: few(objects),
		LoadIsLow: func(float64) bool { return true }}
	s := &Scrubber{}
	s.Init(h)
	return h, s
}

// asked is the last map that the other copy is asked for.
func (h *stage) asked() *message.MOSDRepScrub {
	for i := len(h.sent) - 1; i >= 0; i-- {
		if m, ok := h.sent[i].(*message.MOSDRepScrub); ok {
			return m
		}
	}
	return nil
}

// covers is how many objects a chunk has.
func covers(q *message.MOSDRepScrub) (n int) {
	for i := range 9 {
		if o := object(i); o.Compare(q.Begin) >= 0 && o.Compare(q.End) < 0 {
			n++
		}
	}
	return n
}

// answer is the other copy's, which is like ours.
func (h *stage) answer(s *Scrubber) {
	q := h.asked()
	b := NewBuilder(h.st.View, h.st.PG, q.Begin, q.End, q.Deep, Limits{Objects: 99, Bytes: 1 << 30,
		MapBytes: 1 << 30, Stride: 1 << 30, Keys: 99})
	for done := false; !done; {
		done, _ = b.Step()
	}
	m := &message.MOSDRepScrubMap{Tag: q.Tag, Map: denc.Marshal(b.Map(), ceph.FeaturesAll)}
	m.From.OSD = 1
	s.Message(m)
}

// begun has a scrub begin that was asked for.
func begun(t *testing.T, h *stage, s *Scrubber) {
	t.Helper()
	s.Ask(true, false)
	job, due := s.Tick()
	if !due || job.Name() != "deep-scrub" {
		t.Fatalf("%+v, due %v", job, due)
	}
	s.Start(job)
	grant := &message.MOSDScrubReserve{Kind: message.ScrubGrant}
	grant.From.OSD = 1
	s.Message(grant)
}

// TestHeldWriteIsUrgent: steps wait for the schedule until a write waits for their chunk, here and
// at the other copy; from the next chunk on they wait again.
func TestHeldWriteIsUrgent(t *testing.T) {
	h, s := newStage(9, 4, 1)
	begun(t, h, s)
	work(&h.later)
	if q := h.asked(); q == nil || q.Priority >= urgent || len(h.now) > 0 {
		t.Fatalf("asked for %+v, %d urgent steps", q, len(h.now))
	}
	if s.Holds(object(7)) || s.Holds(object(1)) { // which gives the chunk up
		t.Fatal("a write is held back")
	}
	first := h.later[0]
	first() // begins again, and reads it as well
	q := h.asked()
	if q.Priority < urgent || q.Tag < 3 || covers(q) != 2 {
		t.Fatalf("asked for %+v", q)
	}
	if s.Holds(object(2)) || !s.Holds(object(0)) || !s.Holds(object(1)) {
		t.Fatal("a write to the chunk is not held back, or another is")
	}
	if len(h.now) != 1 {
		t.Fatalf("%d urgent steps", len(h.now))
	}
	work(&h.now)
	h.answer(s)
	freed := h.freed
	if len(h.now) != 1 {
		t.Fatalf("%d urgent steps at the end of the chunk", len(h.now))
	}
	if work(&h.now); h.freed != freed+1 || s.Holds(object(1)) {
		t.Fatal("a write waits for more than its chunk")
	}
	if len(h.now) > 0 {
		t.Fatal("the next chunk is urgent")
	}
	work(&h.later)
	if q := h.asked(); q.Begin.Compare(object(2)) > 0 || q.Tag < 4 || covers(q) != 2 {
		t.Errorf("the next chunk, to which writes wait, is [%v, %v)", q.Begin, q.End)
	}
}

// TestReplicaHurries: a map that is urgent does not wait for the schedule.
func TestReplicaHurries(t *testing.T) {
	for priority, hurries := range map[int32]bool{0: false, urgent: true} {
		h, s := newStage(9, 4, 1)
		m := &message.MOSDRepScrub{End: object(3), Tag: 5, Priority: priority}
		s.Message(m)
		if (len(h.now) == 1) != hurries || (len(h.later) == 1) == hurries {
			t.Fatalf("priority %d: %d steps now, %d later", priority, len(h.now), len(h.later))
		}
		work(&h.now)
		work(&h.later)
		if got, ok := h.sent[0].(*message.MOSDRepScrubMap); !ok || got.Tag != 5 || got.Preempted {
			t.Errorf("priority %d: %+v", priority, h.sent[0])
		}
	}
}

// TestSleep: osd_scrub_sleep is between chunks.
func TestSleep(t *testing.T) {
	h, s := newStage(9, 4, 5)
	h.st.Options.Config.Sleep = 3 * time.Second
	begun(t, h, s)
	work(&h.later)
	h.answer(s)
	if work(&h.later); h.asked().Tag != 1 {
		t.Fatal("there is no rest")
	}
	h.st.Now = h.st.Now.Add(2999 * time.Millisecond)
	s.Tick()
	if work(&h.later); h.asked().Tag != 1 {
		t.Fatal("the rest is short")
	}
	h.st.Now = h.st.Now.Add(time.Millisecond)
	s.Tick()
	if work(&h.later); h.asked().Tag != 2 {
		t.Fatal("the rest does not end")
	}
}

// TestScrubsInRecovery: only what was asked for begins while objects are moved.
func TestScrubsInRecovery(t *testing.T) {
	h, s := newStage(1, 4, 5)
	h.policy = weekly()
	h.st.Moving = true
	if _, due := s.Tick(); due {
		t.Error("a scrub begins in recovery")
	}
	h.st.Options.DuringRecovery = true
	if _, due := s.Tick(); !due {
		t.Error("a scrub does not begin in recovery that may")
	}
	h.st.Options.DuringRecovery = false
	s.Ask(false, false)
	if job, due := s.Tick(); !due || !job.Requested {
		t.Error("a request waits for the end of recovery")
	}
	h.st.Ready = false
	if _, due := s.Tick(); due {
		t.Error("a scrub begins without all copies")
	}
}

// TestDeepErrorsAreSeen: a PG with deep errors is scrubbed deeply when it is due.
func TestDeepErrorsAreSeen(t *testing.T) {
	h, s := newStage(1, 4, 5)
	h.policy = weekly()
	h.st.Info.History.LastScrubStamp = ceph.TimeOf(noon.Add(-2 * day))
	h.st.Info.History.LastDeepScrubStamp = h.st.Info.History.LastScrubStamp
	for errors := range int64(2) {
		h.st.Stats.Scrub.Deep = errors
		if job, due := s.Tick(); !due || job.Deep != (errors > 0) {
			t.Errorf("%d deep errors: %+v, due %v", errors, job, due)
		}
	}
}

// TestRepairs: which scrubs repair, and which have a deep one follow that may.
func TestRepairs(t *testing.T) {
	for _, c := range []struct {
		job              Job
		errors           int64
		repairs, deepens bool
	}{
		{Job{Deep: true, Repair: true, Requested: true}, 9, true, false},
		{Job{Deep: true, Repair: true, Requested: true}, 0, false, false},
		{Job{Deep: true, Requested: true}, 1, false, false},
		{Job{Deep: true, Auto: true}, 5, true, false},
		{Job{Deep: true, Auto: true}, 6, false, false},
		{Job{Auto: true}, 5, false, true},
		{Job{Auto: true}, 6, false, false},
		{Job{Auto: true}, 0, false, false},
		{Job{}, 1, false, false},
	} {
		m := &Machine{Job: c.job, cfg: Config{AutoErrors: 5}, Counts: Counts{Shallow: c.errors}}
		if m.Repairs() != c.repairs || m.Deepens() != c.deepens {
			t.Errorf("%+v with %d errors: repairs %v, deepens %v", c.job, c.errors, m.Repairs(),
				m.Deepens())
		}
	}
}
