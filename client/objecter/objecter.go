package objecter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"glue/ceph"
	"glue/client/monc"
	"glue/cluster/crush"
	"glue/cluster/mgrmap"
	"glue/cluster/osdmap"
	"glue/wire/message"
	"glue/wire/msgr"
)

// ErrClosed is the answer to everything after Close.
var ErrClosed = errors.New("client is closed")

// Bounds on what Do lets be under way (objecter_inflight_ops, objecter_inflight_op_bytes).
const (
	maxOps   = 1024
	maxBytes = 100 << 20
)

// tickEvery is how often waiting requests and watches are looked at.
const tickEvery = time.Second

// Options is what an Objecter is made of.
type Options struct {
	Monitors *monc.Client
	Log      *slog.Logger // nil: none
	// Mapped is called with each new map, from the goroutine that brought it; it must not block.
	Mapped func(*osdmap.Map)
	// Location is where we are in the CRUSH hierarchy, for localized reads; nil: nowhere.
	Location func() []crush.Coordinate
}

// An Objecter is one client's access to all objects of a cluster.
type Objecter struct {
	opt  Options
	log  *slog.Logger
	mon  *monc.Client
	net  *msgr.Messenger
	tid  atomic.Uint64
	ops  *semaphore.Weighted
	size *semaphore.Weighted
	done chan struct{}
	ran  chan struct{}

	mapping sync.Mutex // one goroutine at a time takes in maps

	mu       sync.RWMutex // Submit reads; maps, resets and sessions write
	state    *mapState    // nil before the first map
	sessions map[int32]*session
	homeless *session // requests without an OSD
	changed  chan struct{}
	closed   bool

	lingerMu sync.Mutex
	lingers  map[uint64]*Linger // by cookie
	cookie   uint64

	mgrMu    sync.Mutex
	mgr      *mgrmap.Map
	mgrConn  *msgr.Conn
	commands map[uint64]*command
	service  *service // that we are a daemon of
}

// New makes an objecter; Start it once the messenger runs.
func New(opt Options) *Objecter {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Location == nil {
		opt.Location = func() []crush.Coordinate { return nil }
	}
	return &Objecter{
		opt: opt, log: opt.Log, mon: opt.Monitors,
		ops: semaphore.NewWeighted(maxOps), size: semaphore.NewWeighted(maxBytes),
		done: make(chan struct{}), ran: make(chan struct{}),
		sessions: map[int32]*session{},
		homeless: newSession(noOSD),
		changed:  make(chan struct{}),
		lingers:  map[uint64]*Linger{},
		commands: map[uint64]*command{},
	}
}

// Start asks for the maps and begins to send.
func (o *Objecter) Start(m *msgr.Messenger) {
	o.mu.Lock()
	o.net = m
	o.mu.Unlock()
	o.mon.Subscribe("osdmap", 0, true)
	o.mon.Subscribe("mgrmap", 0, false)
	go o.run()
}

// Close fails what is under way with ErrClosed. Watches stay registered at the OSDs until they
// time out; cancel them before.
func (o *Objecter) Close() {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.closed = true
	close(o.done)
	var failed []*Op
	for _, s := range o.sessions {
		failed = append(failed, s.drain()...)
	}
	failed = append(failed, o.homeless.drain()...)
	started := o.net != nil
	o.mu.Unlock()
	for _, op := range failed {
		op.finish(nil, ErrClosed)
	}
	o.failLingers(ErrClosed)
	o.failCommands(nil, ErrClosed)
	if started {
		<-o.ran
	}
}

func (o *Objecter) run() {
	defer close(o.ran)
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-o.done:
			return
		case now := <-t.C:
			o.tick(now)
		}
	}
}

// tick asks for a new map when requests wait for long, and pings the watches.
func (o *Objecter) tick(now time.Time) {
	o.mu.RLock()
	waiting := o.homeless.waiting(now)
	for _, s := range o.sessions {
		waiting = waiting || s.waiting(now)
	}
	o.mu.RUnlock()
	if waiting {
		o.requestMap()
	}
	o.pingLingers(now)
}

// Map is the newest osdmap, nil before the first.
func (o *Objecter) Map() *osdmap.Map {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.state == nil {
		return nil
	}
	return o.state.m
}

// WaitMap waits for a map of the epoch or a later one; 1 is any.
func (o *Objecter) WaitMap(ctx context.Context, epoch ceph.Epoch) (*osdmap.Map, error) {
	for {
		o.mu.RLock()
		s, changed, closed := o.state, o.changed, o.closed
		o.mu.RUnlock()
		if closed {
			return nil, ErrClosed
		}
		if s != nil && s.m.Epoch >= epoch {
			return s.m, nil
		}
		o.requestMap()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for osdmap %d: %w", epoch, ctx.Err())
		}
	}
}

// WaitLatestMap waits until our map is as new as the monitors' is now.
func (o *Objecter) WaitLatestMap(ctx context.Context) (*osdmap.Map, error) {
	newest, _, err := o.mon.GetVersion(ctx, "osdmap")
	if err != nil {
		return nil, err
	}
	return o.WaitMap(ctx, max(ceph.Epoch(newest), 1))
}

// requestMap asks for the next map: lastingly while requests are paused by its flags.
func (o *Objecter) requestMap() {
	o.mu.RLock()
	start, once := uint64(0), true
	if s := o.state; s != nil {
		start = uint64(s.m.Epoch) + 1
		once = s.m.Flags&(osdmap.FlagFull|osdmap.FlagPauseRD|osdmap.FlagPauseWR) == 0
	}
	o.mu.RUnlock()
	o.mon.Subscribe("osdmap", start, once)
}

// Dispatch takes a message that belongs to the objecter and says whether it did.
func (o *Objecter) Dispatch(conn *msgr.Conn, m *message.Message) bool {
	switch b := m.Body.(type) {
	case *message.MOSDOpReply:
		o.handleReply(conn, m.TID, b)
	case *message.MOSDMap:
		o.HandleMap(b)
	case *message.MOSDBackoff:
		o.handleBackoff(conn, b)
	case *message.MWatchNotify:
		o.handleWatch(conn, b, m.Data)
	case *message.MMgrMap:
		o.handleMgrMap(b)
	case *message.MMgrConfigure:
		return o.configureService(conn, b)
	case *message.MMgrClose:
		return o.serviceClosed(conn)
	case *message.MCommandReply:
		return o.answerCommand(m.TID, b.Result, b.Status, m.Data)
	case *message.MMgrCommandReply:
		return o.answerCommand(m.TID, b.Result, b.Status, m.Data)
	default:
		return false
	}
	return true
}
