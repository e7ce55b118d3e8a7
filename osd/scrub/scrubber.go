package scrub

import (
	"fmt"
	"glue/osd/ops"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/cluster/pgstat"
	"glue/wire/message"
)

// A Status is what a Scrubber has to know of its PG at the moment.
type Status struct {
	Now     time.Time
	PG      ceph.SPG
	Self    int32
	Members []int32 // the other copies
	// Ready: this is the primary, serves, and all copies are there and whole. Clean: they are
	// whole. Moving: objects are in recovery on this OSD.
	Ready, Clean, Moving bool
	Info                 *pginfo.Info
	Stats                *pginfo.Stats
	Options              *Options
	Policy               func() Policy // the pool's
	LoadIsLow            func(threshold float64) bool
	View                 View
}

// A Host is the PG that a Scrubber works for; all is on the PG's goroutine.
type Host interface {
	Status() Status
	// Later runs f, which reads so many bytes or so, when the schedule allows it, if the PG is
	// still there.
	Later(bytes uint64, f func())
	Now(f func()) // likewise, after what is queued now: a write waits for it
	Send(osd int32, body func(message.PGHead) message.Body)
	Log(level uint16, lines ...string) // about the PG, to the cluster log
	Flush()                            // makes what was written visible
	Slot(take bool) bool               // takes or gives back one of the OSD's osd_max_scrubs
	Freed()                            // requests that were held back may go on
	Changed()                          // the state did
	Hint(o ceph.HObject) Hint
	IsReplicaOf(osd int32) bool
	// Repair makes bad copies missing where they are, so that recovery brings them from right
	// ones, and removes what was deleted; it returns how many copies that concerns.
	Repair(records []Record) int
	Finished(deep, clean bool) // stores the statistics and goes on with recovery
}

// urgent is the priority of a map for whose chunk writes wait: that of clients.
const urgent = 63

// A Scrubber is what a PG copy keeps of scrubbing. It begins by the schedule or when it is asked,
// reserves a slot of every OSD with a copy, and steps a Machine; as a replica it makes the maps
// that the primary asks for. It ends with the interval.
type Scrubber struct {
	h      Host
	m      *Machine       // of the one that runs here, as the primary
	waits  map[int32]bool // members that have not given their slot yet
	queued bool           // a step is
	held   bool           // a write waits for the chunk
	wait   time.Time      // not before
	slot   bool           // the OSD's slot is taken, for this PG's primary

	asked              *Job // by an operator, or by what the last one has found or repaired
	forced, forcedDeep bool // due now, whatever its stamps say
	retry              time.Time
	tries              int

	known     bool // records are of a scrub of this interval
	records   []Record
	snapsets  []SnapRecord
	repairing bool // what was found is being recovered
	failed    bool // a repair has left something

	replica *Builder // of the map that the primary has asked for
	urgent  bool     // it is
}

// Init makes the Scrubber of a PG copy.
func (s *Scrubber) Init(h Host) { s.h = h }

// Reset ends the interval. What was asked for is begun again, if this is the primary in the next.
func (s *Scrubber) Reset(primary bool) {
	s.freeSlot()
	next := Scrubber{h: s.h}
	if primary {
		next.asked, next.forced, next.forcedDeep = s.asked, s.forced, s.forcedDeep
		next.failed = s.failed
		if s.m != nil && s.m.Job.Requested && next.asked == nil {
			next.asked = &s.m.Job
		}
	}
	*s = next
}

func (s *Scrubber) freeSlot() {
	if s.slot {
		s.slot = false
		s.h.Slot(false)
	}
}

// Tick goes on with a scrub, or says which one should begin now: Start it, unless a PG with one
// that was requested is there.
func (s *Scrubber) Tick() (job Job, due bool) {
	st := s.h.Status()
	switch {
	case s.m != nil:
		if len(s.waits) == 0 && !st.Now.Before(s.wait) {
			s.wake()
		}
		return Job{}, false
	case !st.Ready || st.Now.Before(s.retry):
		return Job{}, false
	case s.asked != nil:
		return *s.asked, true
	case st.Moving && !st.Options.DuringRecovery:
		return Job{}, false
	}
	pol, h := st.Policy(), &st.Info.History
	pol.DeepErrors = st.Stats.Scrub.Deep > 0
	if s.forced {
		pol.MinInterval = 0
	}
	if s.forcedDeep {
		pol.DeepInterval = 0
	}
	last := h.LastScrubStamp.Go()
	if st.Now.Before(last.Add(pol.MinInterval)) {
		return Job{}, false // not yet, whatever chance adds
	}
	return pol.Decide(st.Now, last, h.LastDeepScrubStamp.Go(),
		Random(st.PG.PGID, h, s.tries), st.LoadIsLow)
}

// Start takes the slots of all OSDs that have a copy.
func (s *Scrubber) Start(job Job) {
	if !s.h.Slot(true) {
		return
	}
	st := s.h.Status()
	cmp := &Comparer{Primary: st.Self, Hint: s.h.Hint, LargeKeys: st.Options.LargeKeys,
		LargeBytes: st.Options.LargeBytes}
	s.slot = true
	s.m = New(job, st.Options.Config, st.View, st.PG, st.Self, st.Members, cmp, st.Now)
	s.waits, s.wait = map[int32]bool{}, time.Time{}
	for _, osd := range st.Members {
		s.waits[osd] = true
		s.reserve(osd, message.ScrubRequest)
	}
	s.begin()
}

func (s *Scrubber) reserve(osd int32, kind uint8) {
	s.h.Send(osd, func(h message.PGHead) message.Body {
		return &message.MOSDScrubReserve{PGHead: h, Kind: kind}
	})
}

// begin begins once all slots are taken.
func (s *Scrubber) begin() {
	if len(s.waits) > 0 {
		return
	}
	if s.m.Job.Requested {
		s.asked = nil
	}
	s.h.Changed()
	s.h.Log(message.LogDebug, s.m.Job.Name()+" starts")
	s.wake()
}

func (s *Scrubber) wake() {
	if s.queued {
		return
	}
	s.queued = true
	if s.held {
		s.h.Now(s.next())
		return
	}
	s.h.Later(s.m.Reads(), s.next())
}

// next does the step that is queued now, unless that has been done.
func (s *Scrubber) next() func() {
	m := s.m
	return func() {
		if s.m == m && s.queued {
			s.queued = false
			s.step()
		}
	}
}

// freed lets writes go on.
func (s *Scrubber) freed() {
	s.held = false
	s.h.Freed()
}

// step does the next piece of a scrub.
func (s *Scrubber) step() {
	st := s.h.Status()
	if !st.Clean {
		s.m.Restart() // the tick goes on when all copies are whole again
		s.freed()
		return
	}
	s.h.Flush()
	act, err := s.m.Step(st.Now)
	if err != nil {
		s.fail(err)
		return
	}
	if act.Ask {
		to, priority := s.h.Status().Info.LastUpdate, int32(0)
		if s.m.Firm() {
			priority = urgent
		}
		for _, osd := range st.Members {
			s.h.Send(osd, func(h message.PGHead) message.Body {
				return &message.MOSDRepScrub{PGHead: h, ScrubTo: to, Begin: act.Begin,
					End: act.End, Deep: s.m.Job.Deep, Tag: act.Tag, Priority: priority}
			})
		}
	}
	if f := act.Found; f != nil {
		s.h.Log(message.LogError, s.m.Say(f)...)
		s.h.Log(message.LogWarn, f.Large[:min(1, len(f.Large))]...)
	}
	if act.Done {
		s.finish()
		return
	}
	s.wait = act.Wait
	if act.Freed {
		s.freed()
	}
	if act.Again {
		s.wake()
	}
}

// fail gives a scrub up that can't go on.
func (s *Scrubber) fail(err error) {
	job := s.m.Job
	s.h.Log(message.LogError, fmt.Sprintf("%s failed: %v", job.Name(), err))
	s.end()
	s.retry = s.h.Status().Now.Add(time.Minute)
	if job.Requested {
		s.asked = &job
	}
}

// end gives the slots back and lets writes go on.
func (s *Scrubber) end() {
	for _, osd := range s.h.Status().Members {
		s.reserve(osd, message.ScrubRelease)
	}
	s.m, s.waits, s.queued = nil, nil, false
	s.freeSlot()
	s.h.Changed()
	s.freed()
}

// finish takes the result: into the statistics, the cluster log, and to repair.
func (s *Scrubber) finish() {
	m, stats := s.m, s.h.Status().Stats
	mismatch, fixed := m.Mend(stats), 0
	if m.Repairs() {
		fixed = s.h.Repair(m.Records)
	}
	m.Left(&stats.Scrub, fixed)
	if m.Repairs() || stats.Scrub.Errors() == 0 {
		s.failed = m.Disputed.Objects > 0
	}
	s.records, s.known = m.Keep(s.records, stats.Scrub.Deep), true
	s.snapsets = sorted(m.Snapsets)
	lines, clean := m.Summary(fixed, mismatch)
	level := uint16(message.LogError)
	if clean {
		level = message.LogDebug
	}
	s.h.Log(level, lines...)
	s.forced, s.forcedDeep, s.tries = false, false, 0
	if s.repairing = fixed > 0; s.repairing {
		s.asked = &Job{Deep: true, Requested: true} // to see whether it has helped
	} else if m.Deepens() && s.asked == nil {
		s.asked = &Job{Deep: true, Auto: true, Requested: true}
	}
	s.h.Finished(m.Job.Deep, clean)
	s.end()
}

// Holds says whether a request that may write has to wait until its object has been scrubbed. The
// chunk is given up for it as often as the options allow.
func (s *Scrubber) Holds(o ceph.HObject) bool {
	if s.m == nil || !s.m.Blocks(o) {
		return false
	}
	if s.m.Preempt() {
		s.wake()
		return false
	}
	if !s.held && s.queued {
		s.h.Now(s.next())
	}
	s.held = true
	return true
}

// Wrote accounts for a write to an object, or its clones, while a scrub runs.
func (s *Scrubber) Wrote(o ceph.HObject, d *ops.Stats) {
	if s.m != nil {
		s.m.Changed(o, &Counts{Objects: d.Objects, Bytes: d.Bytes, Omap: d.ObjectsOmap,
			Dirty: d.ObjectsDirty, Clones: d.Clones, Whiteouts: d.Whiteouts})
	}
}

// Message takes what OSDs say to each other about a scrub; false for what is something else.
func (s *Scrubber) Message(body message.Body) bool {
	switch m := body.(type) {
	case *message.MOSDRepScrub:
		s.mapFor(m)
	case *message.MOSDRepScrubMap:
		s.heard(m)
	case *message.MOSDScrubReserve:
		s.onReserve(m.From.OSD, m.Kind)
	default:
		return false
	}
	return true
}

func (s *Scrubber) heard(m *message.MOSDRepScrubMap) {
	if s.m == nil {
		return
	}
	got := new(Map)
	if m.Preempted || denc.Unmarshal(m.Map, got, ceph.FeaturesAll) != nil {
		got = nil
	}
	if err := s.m.Heard(m.From.OSD, m.Tag, got); err != nil {
		s.fail(err)
		return
	}
	s.wake()
}

func (s *Scrubber) onReserve(from int32, kind uint8) {
	switch {
	case kind == message.ScrubRequest && s.h.IsReplicaOf(from):
		s.slot = s.slot || s.h.Slot(true)
		answer := uint8(message.ScrubReject)
		if s.slot {
			answer = message.ScrubGrant
		}
		s.reserve(from, answer)
	case kind == message.ScrubRelease && s.h.IsReplicaOf(from):
		s.replica = nil
		s.freeSlot()
	case s.m == nil || !s.waits[from]:
	case kind == message.ScrubGrant:
		delete(s.waits, from)
		s.begin()
	case kind == message.ScrubReject:
		s.end()
		st := s.h.Status()
		s.tries++
		s.retry = st.Now.Add(Backoff(st.PG.PGID, &st.Info.History, s.tries))
	}
}

// mapFor makes the map that the primary asks for. A copy that had to refuse a write, and waits for
// the next interval, can't: it would be compared with what it was not given.
func (s *Scrubber) mapFor(m *message.MOSDRepScrub) {
	if !s.h.IsReplicaOf(m.From.OSD) {
		return
	}
	s.h.Flush()
	st := s.h.Status()
	if st.Info.LastUpdate.Less(m.ScrubTo) {
		s.answer(m.From.OSD, m.Tag, nil)
		return
	}
	l := st.Options.Config.Limits
	l.Objects *= 4 // besides what the primary has, there may be what it does not have
	s.replica = NewBuilder(st.View, st.PG, m.Begin, m.End, m.Deep, l)
	s.urgent = m.Priority >= urgent
	s.later(s.replica, m.From.OSD, m.Tag)
}

// later has read called.
func (s *Scrubber) later(b *Builder, to int32, tag uint64) {
	f := func() { s.read(b, to, tag) }
	if s.urgent {
		s.h.Now(f)
		return
	}
	s.h.Later(b.Reads(), f)
}

// read reads a little more of the map, unless the primary has asked for another since.
func (s *Scrubber) read(b *Builder, to int32, tag uint64) {
	if s.replica != b {
		return
	}
	done, err := b.Step()
	if err == nil && !done {
		s.later(b, to, tag)
		return
	}
	s.replica = nil
	var got *Map
	if err == nil {
		got = b.Map()
	}
	s.answer(to, tag, got)
}

// answer sends the primary a map, or nil: there is none.
func (s *Scrubber) answer(to int32, tag uint64, got *Map) {
	s.h.Send(to, func(h message.PGHead) message.Body {
		r := &message.MOSDRepScrubMap{PGHead: h, Tag: tag, Preempted: got == nil}
		if got != nil {
			r.Map = denc.Marshal(got, ceph.FeaturesAll)
		}
		return r
	})
}

// State is the part of the PG's state that is about scrubs.
func (s *Scrubber) State() pgstat.State {
	var out pgstat.State
	set := func(bit pgstat.State, on bool) {
		if on {
			out |= bit
		}
	}
	st := s.h.Status()
	run := s.m != nil && len(s.waits) == 0
	set(pgstat.Scrubbing, run)
	set(pgstat.DeepScrub, run && s.m.Job.Deep)
	set(pgstat.Repair, run && s.m.Job.Repair || s.repairing && !st.Clean)
	set(pgstat.Inconsistent, st.Stats.Scrub.Errors() > 0)
	set(pgstat.FailedRepair, s.failed)
	return out
}

// Ask is an operator's request. One for more than another that waits takes its place.
func (s *Scrubber) Ask(deep, repair bool) {
	j := Job{Deep: deep || repair, Repair: repair, Requested: true}
	if old := s.asked; old != nil {
		j.Deep, j.Repair = j.Deep || old.Deep, j.Repair || old.Repair
	}
	s.asked, s.retry = &j, time.Time{}
}

// Trigger makes the PG due; the schedule's hours, load and flags still count. It returns how old
// the last scrub is taken to be.
func (s *Scrubber) Trigger(deep bool) time.Duration {
	pol := s.h.Status().Policy()
	s.forced, s.forcedDeep, s.retry = true, deep, time.Time{}
	if deep {
		return max(pol.MaxInterval, pol.DeepInterval)
	}
	return pol.MaxInterval
}

// Plan says when the PG is due.
func (s *Scrubber) Plan() Plan {
	st := s.h.Status()
	pol := st.Policy()
	return pol.Plan(st.PG.PGID, &st.Info.History, s.tries, s.asked != nil || s.forced)
}

// Asked says whether a scrub that was asked for has not begun.
func (s *Scrubber) Asked() bool { return s.asked != nil }

// Snapsets are likewise heads and clones that do not fit together.
func (s *Scrubber) Snapsets() []SnapRecord { return s.snapsets }

// Records is what the last scrub of this interval has found. Not to be modified.
func (s *Scrubber) Records() []Record { return s.records }

// Slots says whether a slot is taken for a scrub of this OSD's, or of another's.
func (s *Scrubber) Slots() (local, remote bool) {
	return s.slot && s.m != nil, s.slot && s.m == nil
}

// List answers a SCRUBLS.
func (s *Scrubber) List(in []byte) ([]byte, error) {
	return List(in, s.h.Status().Info.History.SameIntervalSince, s.known, s.records,
		s.snapsets)
}
