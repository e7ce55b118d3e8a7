package sim

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	randv2 "math/rand/v2"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"glue/ceph"
	"glue/sim/network"
)

// Options choose a run.
type Options struct {
	Seed uint64
	For  time.Duration // how long the clients and faults go on, of simulated time
	Mons int           // 3 or 5 to begin with; 0: the seed chooses
	// OSDs is whether there are OSDs and who uses them: some.
	OSDs bool
	// Snaps is whether users take snapshots, too.
	Snaps bool
	// PoolSnaps is whether these are the pool's, instead of the users' own.
	PoolSnaps bool
	// Blocks is whether OSDs have the store that they have on real disks, instead of a model.
	Blocks bool
	// Watches is whether users watch objects and notify, too.
	Watches bool
	// Users is how many use objects, 0: the seed chooses; Dups osd_pg_log_dups_tracked, 0: its
	// default. Several users may do more than a few requests while one waits for its answer.
	Users, Dups int
	// Trace gets a line for everything that happens; nil: nothing is written.
	Trace io.Writer
	Bug   Bug // planted, to see that it is found
}

// A Result is what a run did.
type Result struct {
	Simulated                      time.Duration
	Events, Commands, Unanswered   int
	DiskErrors                     int // daemons that their disks have ended
	Forwarded, Resent              int // answers by way of a follower; commands said again
	Elections, Crashes, Partitions int
	Snapshots, Heals, Epochs       int
	Joined, Removed, DisksLost     int
	Registers, Unchecked           int           // histories, and those that took too long
	SlowestHeal                    time.Duration // from the end of the faults to an answer
	Requests, GivenUp, OSDCrashes  int           // of OSDs
	Fenced, Resized                int           // users; steps to other numbers of PGs
	Snaps, Clones                  int           // taken; looked at at a rest
	Objects                        int           // whose histories were checked
	OSDsGaveUp                     int           // ended: marked down too often, a hung disk
	OSDDiskErrors, OSDDisksLost    int           // daemons that their disks have ended; disks
	Filled, Refused                int           // disks; requests for which there was no room
	Rotted, RotHealed, Unread      int           // objects of disks; requests that they have failed
	OnlyCopies                     int           // of what had rotted: see sole
	Watches, WatchesLost           int           // of users
	Notifies, NotifiesLate         int           // not answered by all in time
	Notified                       int           // what watchers were told
	Scrubs, Damaged                int           // of PGs at rests; copies that these have found
	Scrubbed, Repaired             int           // begun between rests; of these, by themselves
	SlowestClean                   time.Duration // until all PGs were active and clean
	Hash                           uint64        // of the trace: the same for the same seed
}

// Add sums results up; of how slow something was the slowest counts.
func (r *Result) Add(o Result) {
	sum, more := reflect.ValueOf(r).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		f, x, name := sum.Field(i), more.Field(i), sum.Type().Field(i).Name
		switch {
		case strings.HasPrefix(name, "Slowest"):
			f.SetInt(max(f.Int(), x.Int()))
		case f.CanInt():
			f.SetInt(f.Int() + x.Int())
		}
	}
}

// A Violation is something that must never happen.
type Violation struct {
	Seed uint64
	At   time.Duration
	What string
}

// Error says what happened when.
func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d: after %v: %s", v.Seed, v.At, v.What)
}

// A world is one run.
type world struct {
	schedule
	opt     Options
	rng     *randv2.Rand
	log     *slog.Logger
	fsid    ceph.UUID
	hosts   []*host
	clients []*client
	net     *network.Network
	faults  faults
	members members
	check   checker
	history history
	cluster *cluster // nil without OSDs
	result  Result
	bad     *Violation
	done    bool // the last bout is over
}

// Run runs a simulation to its end. The error is a Violation, or nil.
func Run(o Options) (Result, error) {
	// Raft draws its election timeouts, and the monitors draw keys, from the system's source of
	// chance, which the seed replaces for as long as the run lasts.
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], o.Seed)
	system := rand.Reader
	rand.Reader = randv2.NewChaCha8(key)
	defer func() { rand.Reader = system }()

	w := newWorld(o)
	defer w.close()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // most is garbage soon
	w.start()
	for w.bad == nil && len(w.heap) > 0 {
		w.next().run()
		w.result.Events++
	}
	w.result.Simulated = w.now
	if w.bad != nil {
		return w.result, w.bad
	}
	return w.result, nil
}

func newWorld(o Options) *world {
	w := &world{opt: o, rng: randv2.New(randv2.NewPCG(o.Seed, 0)), fsid: ceph.UUID{1, 2, 3, 4}}
	w.log = slog.New(slog.DiscardHandler)
	if o.Trace != nil {
		w.log = slog.New(slog.NewTextHandler(o.Trace, &slog.HandlerOptions{
			Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					a.Value = slog.DurationValue(w.now)
				}
				return a
			}}))
	}
	w.check.init(w)
	w.history.init()
	mons := o.Mons
	if mons == 0 {
		mons = 3 + 2*w.rng.IntN(2)
	}
	hosts := mons + 1 + (5-mons)/2
	ends, osds, users := hosts+clientCount, 0, 0
	if o.OSDs {
		osds, users = 4+w.rng.IntN(9), 2+w.rng.IntN(7)
		users = cmp.Or(o.Users, users)
		w.cluster = newCluster(w, osds, users)
		ends += osds + users + 1
		if o.Snaps {
			ends++
		}
	}
	w.net = network.New(network.Timer{Now: func() time.Duration { return w.now }, At: w.at},
		o.Seed, ends, o.OSDs)
	w.makeHosts(mons, hosts, osds)
	for i := range clientCount {
		w.clients = append(w.clients, newClient(w, hosts+i))
	}
	if w.cluster != nil {
		w.cluster.populate(hosts+clientCount, osds, users)
	}
	w.faults.w, w.members.w = w, w
	return w
}

// start begins everything.
func (w *world) start() {
	for _, h := range w.hosts {
		w.at(w.jitter(time.Second), h.start)
	}
	for _, c := range w.clients {
		w.at(w.jitter(time.Second), c.begin)
	}
	if w.cluster != nil {
		w.cluster.start()
	}
	w.after(stateEvery, w.check.compareStates)
	w.faults.begin()
}

// jitter is some time less than d.
func (w *world) jitter(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d)))
}

// over says whether the run is to end; then nothing schedules anything new.
func (w *world) over() bool { return w.bad != nil || w.done }

// fail records the first violation.
func (w *world) fail(format string, args ...any) {
	if w.bad == nil {
		w.bad = &Violation{w.opt.Seed, w.now, fmt.Sprintf(format, args...)}
		w.trace("VIOLATION", "what", w.bad.What)
	}
}

// trace notes that something happens.
func (w *world) trace(what string, args ...any) {
	if w.opt.Trace != nil {
		w.log.Info(what, args...)
	}
}

// mix puts what has happened into the hash of the run.
func (w *world) mix(values ...uint64) {
	h := w.result.Hash
	for _, v := range values {
		h = (h ^ v) * 0x100000001b3
		h ^= h >> 29
	}
	w.result.Hash = h
}

func (w *world) close() {
	for _, h := range w.hosts {
		if h.m != nil {
			_ = h.m.Close()
		}
	}
	if w.cluster != nil {
		for _, o := range w.cluster.osds {
			_ = o.store.Close()
		}
	}
}
