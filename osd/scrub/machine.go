package scrub

import (
	"fmt"
	"time"

	"glue/ceph"
)

// A Job is the kind of one scrub.
type Job struct {
	Deep      bool // reads all data too
	Repair    bool // asked for
	Auto      bool // a deep one repairs if not more is wrong than AutoErrors
	Requested bool // by an operator: neither hours, load nor flags hold it back
}

// Name is what operators call it.
func (j Job) Name() string {
	switch {
	case j.Repair:
		return "repair"
	case j.Deep:
		return "deep-scrub"
	}
	return "scrub"
}

// A Config is the options of one scrub.
type Config struct {
	Limits      Limits
	ChunkMin    int           // objects, to which preemptions shrink a chunk
	Preemptions int           // by writes, after which they are held back
	Sleep       time.Duration // between chunks
	AutoErrors  int64
}

// What a scrub remembers at most of what it finds.
const (
	maxRecords     = 5000
	maxRecordBytes = 16 << 20
)

// An Action is what the owner has to do after a step.
type Action struct {
	// Ask is for the map of [Begin, End) to be asked of every peer, as Tag.
	Ask        bool
	Begin, End ceph.HObject
	Tag        uint64
	Again      bool        // call Step again, after other work
	Wait       time.Time   // likewise, but not before
	Freed      bool        // writes that were held back may go on
	Found      *Comparison // in a chunk that is done
	Done       bool
}

// A Machine is the primary's side of one scrub of a PG that is clean. It belongs to one goroutine.
type Machine struct {
	Job   Job
	cfg   Config
	view  View
	coll  ceph.SPG
	self  int32
	peers []int32
	cmp   *Comparer

	pos      ceph.HObject // everything below is done
	size     int          // objects of the next chunk
	left     int          // preemptions
	tag      uint64
	build    *Builder
	end      ceph.HObject // of the chunk in flight
	read     bool         // the own map is complete
	maps     map[int32]*Map
	bytes    int
	lines    int // said
	Started  time.Time
	Counts   Counts
	Records  []Record
	Snapsets []SnapRecord
	Dropped  int    // records beyond the limit
	Disputed Counts // errors of objects no copy of which is certain to be right
}

// New begins a scrub by this OSD with the copies of peers.
func New(j Job, cfg Config, v View, c ceph.SPG, self int32, peers []int32, cmp *Comparer,
	now time.Time,
) *Machine {
	return &Machine{Job: j, cfg: cfg, view: v, coll: c, self: self, peers: peers, cmp: cmp,
		pos: ceph.HObject{Pool: c.Pool}, size: cfg.Limits.Objects, left: cfg.Preemptions,
		Started: now}
}

// Step does the next piece of work. An error ends the scrub.
func (m *Machine) Step(now time.Time) (Action, error) {
	switch {
	case m.build == nil:
		return m.begin()
	case !m.read:
		done, err := m.build.Step()
		if err != nil {
			return Action{}, err
		}
		if !done {
			return Action{Again: true}, nil
		}
		m.read = true
		m.maps[m.self] = m.build.Map()
	}
	if len(m.maps) <= len(m.peers) {
		return Action{}, nil // the maps of others are to come
	}
	return m.compare(now), nil
}

// Reads is how many bytes the next step reads, or so.
func (m *Machine) Reads() uint64 {
	if m.build == nil || m.read {
		return 0
	}
	return m.build.Reads()
}

// begin lists the next chunk.
func (m *Machine) begin() (Action, error) {
	l := m.cfg.Limits
	l.Objects = m.size
	m.tag++
	m.build = NewBuilder(m.view, m.coll, m.pos, ceph.MaxHObject(), m.Job.Deep, l)
	m.read, m.maps = false, map[int32]*Map{}
	if _, err := m.build.Step(); err != nil {
		return Action{}, err
	}
	m.end = m.build.Map().End
	return Action{Ask: true, Begin: m.pos, End: m.end, Tag: m.tag, Again: true}, nil
}

// Heard takes a peer's map; the owner calls Step then. An error ends the scrub.
func (m *Machine) Heard(osd int32, tag uint64, got *Map) error {
	if tag != m.tag || m.build == nil {
		return nil
	}
	if got == nil {
		return fmt.Errorf("osd.%d can't read its copy, or has not got all writes", osd)
	}
	if m.end.Compare(got.End) < 0 || got.End.Compare(m.pos) <= 0 {
		return fmt.Errorf("osd.%d answered with another range", osd)
	}
	for _, p := range m.peers {
		if p == osd {
			m.maps[osd] = got
		}
	}
	return nil
}

// Blocks says whether an object is in the chunk that is being read.
func (m *Machine) Blocks(o ceph.HObject) bool {
	return m.build != nil && o.Compare(m.pos) >= 0 && o.Compare(m.end) < 0
}

// Preempt gives up the chunk for a write to it, as often as the options say; after that the write
// has to wait. The owner calls Step later.
func (m *Machine) Preempt() bool {
	if m.Firm() {
		return false
	}
	m.left--
	m.Restart()
	return true
}

// Firm says whether writes to the chunk have to wait.
func (m *Machine) Firm() bool { return m.left == 0 }

// Restart gives up the chunk: something else than a write has changed in it.
func (m *Machine) Restart() {
	m.size = max(m.cfg.ChunkMin, m.size/2)
	m.build = nil
	m.tag++
}

// Changed accounts for a write to an object that has been scrubbed already.
func (m *Machine) Changed(o ceph.HObject, d *Counts) {
	if o.Compare(m.pos) < 0 {
		m.Counts.add(d)
	}
}

// compare ends a chunk.
func (m *Machine) compare(now time.Time) Action {
	end := m.end
	var copies []Copy
	for osd, mp := range m.maps {
		copies = append(copies, Copy{osd, mp})
		if mp.End.Compare(end) < 0 {
			end = mp.End
		}
	}
	found := m.cmp.Compare(copies, end)
	m.Counts.add(&found.Counts)
	for i := range found.Records {
		m.keep(&found.Records[i])
	}
	// What does not fit together is for an operator to mend.
	m.Disputed.Shallow += found.Counts.Snapsets
	m.Snapsets = append(m.Snapsets,
		found.Snapsets[:min(len(found.Snapsets), maxRecords-len(m.Snapsets))]...)
	m.pos, m.build, m.maps = end, nil, nil
	if m.left > 0 || m.cfg.Preemptions == 0 {
		m.size = m.cfg.Limits.Objects // else writes wait for few
	}
	act := Action{Freed: true, Found: found}
	switch {
	case end.Max:
		act.Done = true
	case m.cfg.Sleep > 0:
		act.Wait = now.Add(m.cfg.Sleep)
	default:
		act.Again = true
	}
	return act
}

// keep remembers a record as far as there is room.
func (m *Machine) keep(r *Record) {
	for i := range r.Shards {
		for k, v := range r.Shards[i].Object.Attrs {
			m.bytes += len(k) + len(v)
		}
	}
	if r.Disputed() {
		m.Disputed.Shallow += r.counts.Shallow
		m.Disputed.Deep += r.counts.Deep
		m.Disputed.Objects++
	}
	if len(m.Records) >= maxRecords || m.bytes > maxRecordBytes {
		m.Dropped++
		return
	}
	m.Records = append(m.Records, *r)
}

// Repairs says whether what was found is to be repaired.
func (m *Machine) Repairs() bool {
	return m.Job.Repair && m.errors() > 0 || m.Job.Deep && m.few()
}

// Deepens says whether a deep scrub has to look at what was found, which may then repair it: what
// is right can't be told without reading it.
func (m *Machine) Deepens() bool { return !m.Job.Deep && m.few() }

func (m *Machine) errors() int64 { return m.Counts.Shallow + m.Counts.Deep }

// few says whether no more is wrong than what is repaired without being asked.
func (m *Machine) few() bool {
	n := m.errors()
	return m.Job.Auto && n > 0 && n <= m.cfg.AutoErrors
}
