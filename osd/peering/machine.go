package peering

import (
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/pglog"
)

// None is no OSD, where an OSD is expected.
const None int32 = -1

// A State is where the machine is; the names are those of the states of Ceph's machine.
type State uint8

// The states.
const (
	Reset State = iota
	GetInfo
	GetLog
	GetMissing
	WaitUpThru
	WaitActingChange
	Incomplete
	Down
	Activating  // primary: waits for the copies to activate
	ActiveState // primary: serves, unless acting is below min_size
	Stray       // not primary, not yet activated
	ReplicaActive
	Deleting
)

var stateNames = [...]string{
	"Reset", "Started/Primary/Peering/GetInfo", "Started/Primary/Peering/GetLog",
	"Started/Primary/Peering/GetMissing", "Started/Primary/Peering/WaitUpThru",
	"Started/Primary/WaitActingChange", "Started/Primary/Peering/Incomplete",
	"Started/Primary/Peering/Down", "Started/Primary/Active/Activating",
	"Started/Primary/Active", "Started/Stray", "Started/ReplicaActive",
	"Started/ToDelete/Deleting",
}

// String is the path of the state in Ceph's machine.
func (s State) String() string { return stateNames[s] }

// A Peer is what the primary knows of another copy.
type Peer struct {
	Info    pginfo.Info
	Missing *pglog.Missing // nil until it is known
}

// A Machine is one copy of a PG.
type Machine struct {
	pg   ceph.SPG
	self int32
	// logEntries bounds what of the log a fresh copy gets.
	logEntries int

	info    pginfo.Info
	past    pginfo.PastIntervals
	log     *pglog.Log
	missing *pglog.Missing
	landing map[ceph.HObject]bool // not missing any more, and not durable yet

	osdmap             *osdmap.Map
	pool               *osdmap.Pool
	up, acting         []int32
	upPrimary, primary int32
	lastReset          ceph.Epoch // of the last start of peering (last_peering_reset)

	state      State
	now        time.Time    // as last told
	entered    [4]time.Time // when each level of the state was
	restart    bool         // peering starts over at the next MapsDone
	sendNotify bool
	needUpThru bool
	wantActing []int32
	prior      priorSet
	peers      map[int32]*Peer
	asked      map[int32]bool // peers that owe an answer in this state
	stray      map[int32]bool // peers with a copy that are neither up nor acting
	source     int32          // whose log is authoritative
	members    []int32        // acting and backfill targets (acting_recovery_backfill)
	backfill   []int32
	activated  map[int32]bool
	token      uint64
	epoch      ceph.Epoch // activation epoch
	clean      bool

	out       []Effect
	dirtyInfo bool
	removed   []ceph.HObject
}

// A Copy is the stored state of a PG copy.
type Copy struct {
	Info    pginfo.Info
	Past    pginfo.PastIntervals
	Log     *pglog.Log
	Missing *pglog.Missing
}

// New makes the machine of a copy that is stored, or was just created, as of map m.
func New(pg ceph.SPG, self int32, c Copy, m *osdmap.Map, logEntries int) *Machine {
	ma := &Machine{pg: pg, self: self, logEntries: logEntries, info: c.Info, past: c.Past,
		log: c.Log, missing: c.Missing, upPrimary: None, primary: None, source: None}
	ma.setMap(m)
	ma.up, ma.upPrimary, ma.acting, ma.primary = place(m, pg)
	ma.reset()
	// Messages of the present interval count, also those sent before the copy was made.
	ma.lastReset = min(ma.lastReset, max(1, c.Info.History.SameIntervalSince))
	return ma
}

// Created is the state of a copy that is new in epoch e.
func Created(pg ceph.SPG, e ceph.Epoch) Copy {
	c := Copy{Log: pglog.New(ceph.Eversion{}), Missing: pglog.NewMissing()}
	c.Info.PGID = pg
	c.Info.LastBackfill = ceph.MaxHObject()
	h := &c.Info.History
	h.EpochCreated, h.EpochPoolCreated = e, e
	h.SameUpSince, h.SameIntervalSince, h.SamePrimarySince = e, e, e
	return c
}

func place(m *osdmap.Map, pg ceph.SPG) (up []int32, upP int32, acting []int32, actP int32) {
	if m.Pools[pg.Pool] == nil {
		return nil, None, nil, None
	}
	return m.PGToUpActing(pg.PGID)
}

func (ma *Machine) setMap(m *osdmap.Map) {
	ma.osdmap = m
	if p := m.Pools[ma.pg.Pool]; p != nil {
		ma.pool = p // the last known one stays when the pool is deleted
	}
}

// Step takes one event.
func (ma *Machine) Step(ev Event) []Effect {
	ma.out = nil
	switch ev := ev.(type) {
	case MapChange:
		ma.mapChange(ev.Map)
	case MapsDone:
		ma.mapsDone()
	case Notify:
		ma.onNotify(ev)
	case Query:
		ma.onQuery(ev)
	case InfoMsg:
		ma.onInfo(ev)
	case LogMsg:
		ma.onLog(ev)
	case Durable:
		ma.onDurable(ev)
	case Remove:
		ma.onRemove(ev)
	}
	return ma.out
}

func (ma *Machine) emit(e Effect) { ma.out = append(ma.out, e) }

func (ma *Machine) enter(s State) {
	ma.goTo(s)
	ma.emit(StateChanged{})
}

// stale says whether a message belongs to an earlier interval (old_peering_msg).
func (ma *Machine) stale(h Head) bool {
	return h.Epoch < ma.lastReset || h.Interval < ma.lastReset
}

func (ma *Machine) head(interval ceph.Epoch) Head {
	return Head{From: ma.self, Epoch: ma.osdmap.Epoch, Interval: interval}
}

func (ma *Machine) send(to int32, msg Event) { ma.emit(Send{To: to, Msg: msg}) }

// IsPrimary says whether this OSD is the acting primary.
func (ma *Machine) IsPrimary() bool { return ma.primary == ma.self }

func (ma *Machine) isActing(osd int32) bool { return slices.Contains(ma.acting, osd) }
func (ma *Machine) isUp(osd int32) bool     { return slices.Contains(ma.up, osd) }

func (ma *Machine) isMember(osd int32) bool { return slices.Contains(ma.members, osd) }

// Changes is what has to be stored after a Step, in one transaction. The owner has the log and the
// missing set rewritten as their own TakeDirty says.
type Changes struct {
	Info    bool           // info and past intervals
	Removed []ceph.HObject // to be removed from the store if they are there
}

// TakeChanges returns what has to be stored and forgets it.
func (ma *Machine) TakeChanges() Changes {
	c := Changes{Info: ma.dirtyInfo, Removed: ma.removed}
	ma.dirtyInfo, ma.removed = false, nil
	return c
}

// reset forgets everything about peers, as at the start of an interval.
func (ma *Machine) reset() {
	ma.goTo(Reset)
	ma.lastReset = ma.osdmap.Epoch
	ma.peers, ma.asked = map[int32]*Peer{}, map[int32]bool{}
	ma.stray, ma.activated = map[int32]bool{}, map[int32]bool{}
	ma.members, ma.backfill, ma.wantActing = nil, nil, nil
	ma.source = None
	ma.clean, ma.landing = false, nil
	ma.sendNotify = !ma.IsPrimary()
	ma.emit(NewInterval{})
	ma.emit(StateChanged{})
}

// local is the local copy for a merge.
func (ma *Machine) local() *pglog.Copy {
	return &pglog.Copy{Log: ma.log, Missing: ma.missing, LastBackfill: ma.info.LastBackfill}
}

// merged takes over the result of a merge into the local copy.
func (ma *Machine) merged(c *pglog.Copy) {
	ma.removed = append(ma.removed, c.Removed...)
	ma.info.LastUpdate = ma.log.Head()
	ma.info.LogTail = ma.log.Tail()
	ma.info.LastComplete = pglog.LastComplete(ma.log, ma.missing)
	ma.dirtyInfo = true
}

// segment copies the log above v, with as much before it as tells where it begins.
func (ma *Machine) segment(v ceph.Eversion) Segment {
	s := Segment{Tail: ma.log.Tail(), Head: ma.log.Head()}
	if s.Tail.Less(v) {
		s.Entries = slices.Clone(ma.log.After(v))
		if n := ma.log.Len() - len(s.Entries); n > 0 {
			s.Tail = ma.log.Entries()[n-1].Version
		}
		return s
	}
	s.Entries = slices.Clone(ma.log.Entries())
	s.Dups = slices.Clone(ma.log.Dups())
	return s
}

// recent copies the newest entries of the log for a copy that will be backfilled, and the requests
// of all before them: it may be the next primary.
func (ma *Machine) recent() Segment {
	e := ma.log.Entries()
	n := len(e) - ma.logEntries
	if n <= 0 {
		return ma.segment(ma.log.Tail())
	}
	s := ma.segment(e[n-1].Version)
	s.Dups = ma.log.Requests(n)
	return s
}

// Info is the copy's info. Not to be modified.
func (ma *Machine) Info() *pginfo.Info { return &ma.info }

// Past is the copy's past intervals. Not to be modified.
func (ma *Machine) Past() *pginfo.PastIntervals { return &ma.past }

// Log is the copy's log, Missing what it lacks.
func (ma *Machine) Log() *pglog.Log         { return ma.log }
func (ma *Machine) Missing() *pglog.Missing { return ma.missing }

// Map is the map that the copy has got to.
func (ma *Machine) Map() *osdmap.Map { return ma.osdmap }

// LastReset is the epoch in which peering last began; messages of before it are stale.
func (ma *Machine) LastReset() ceph.Epoch { return ma.lastReset }

// State is where the machine is.
func (ma *Machine) State() State { return ma.state }

// Up and Acting are the PG's sets with their primaries, as of Map.
func (ma *Machine) Up() ([]int32, int32)     { return ma.up, ma.upPrimary }
func (ma *Machine) Acting() ([]int32, int32) { return ma.acting, ma.primary }

// Members are the other copies that take part in writes: acting and backfill targets.
func (ma *Machine) Members() []int32 {
	return slices.DeleteFunc(slices.Clone(ma.members), func(o int32) bool { return o == ma.self })
}

// BackfillTargets are the copies that are filled by a scan.
func (ma *Machine) BackfillTargets() []int32 { return ma.backfill }

// Peer is what is known of another copy, nil if nothing is.
func (ma *Machine) Peer(osd int32) *Peer { return ma.peers[osd] }

// Peers are the other copies that are known, ascending.
func (ma *Machine) Peers() []int32 { return sorted(ma.peers) }

// IsClean says whether everyone has everything.
func (ma *Machine) IsClean() bool { return ma.clean }

// IsReplicaOf says whether this copy has been activated by that primary.
func (ma *Machine) IsReplicaOf(primary int32) bool {
	return ma.state == ReplicaActive && ma.primary == primary
}
