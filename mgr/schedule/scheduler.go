package schedule

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"glue/client/rados"
	"glue/client/rbd"
	"glue/mgr/duty"
)

const (
	refreshEvery = time.Minute // pools, namespaces and images come and go
	refreshLimit = 30 * time.Second
	maxLevels    = 10_000
)

// Options are what a Scheduler needs.
type Options struct {
	// Cluster is the connection of the active manager; it waits for it.
	Cluster func(context.Context) (*rados.Cluster, error)
	Log     *slog.Logger
}

// A Scheduler does what its kind is for when it is time.
type Scheduler struct {
	kind *Kind
	opt  Options

	duty duty.Duty
	wake chan struct{}

	// It is held over requests too, so that changes come one after the other.
	mu        sync.Mutex
	schedules map[string]*schedule // by level
	world     world
	due       map[target]time.Time
	busy      map[target]bool // due, and being done
}

// New is a scheduler that does nothing until Activate.
func New(k *Kind, o Options) *Scheduler {
	return &Scheduler{kind: k, opt: o, wake: make(chan struct{}, 1),
		schedules: map[string]*schedule{}, due: map[target]time.Time{},
		busy: map[target]bool{}}
}

// Activate begins to carry out the schedules.
func (s *Scheduler) Activate() {
	s.duty.Begin(func() func(context.Context) {
		return func(ctx context.Context) {
			s.mu.Lock()
			s.due = map[target]time.Time{}
			s.mu.Unlock()
			s.run(ctx)
		}
	})
}

// Deactivate stops what is under way, without waiting for its end.
func (s *Scheduler) Deactivate() { s.duty.Stop() }

// Close is Deactivate that waits.
func (s *Scheduler) Close() { s.duty.Close() }

func (s *Scheduler) run(ctx context.Context) {
	c, err := s.opt.Cluster(ctx)
	if err != nil {
		return // not active any more
	}
	var work sync.WaitGroup
	defer work.Wait()
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, refreshLimit)
		s.mu.Lock()
		err := s.refresh(bounded, c, false)
		s.mu.Unlock()
		cancel()
		if err != nil && ctx.Err() == nil {
			s.opt.Log.Warn("schedules could not be read", "of", s.kind.what, "err", err)
		}
		for end := time.Now().Add(refreshEvery); ctx.Err() == nil && time.Now().Before(end); {
			t, at := s.take(time.Now())
			if !at.IsZero() && !at.After(time.Now()) {
				work.Go(func() { s.do(ctx, c, t) })
				continue
			}
			if at.IsZero() || at.After(end) {
				at = end
			}
			select {
			case <-ctx.Done():
			case <-s.wake:
			case <-time.After(time.Until(at)):
			}
		}
	}
}

// take is the target that comes next, and when; the zero time if there is none. One that is due
// is marked as being done.
func (s *Scheduler) take(now time.Time) (first target, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.busy) >= s.kind.parallel {
		return first, at // the end of one wakes
	}
	for t, v := range s.due {
		if !s.busy[t] && (at.IsZero() || v.Before(at)) {
			first, at = t, v
		}
	}
	if !at.IsZero() && !at.After(now) {
		s.busy[first] = true
	}
	return first, at
}

// do does what is due, and has it wait for its next time.
func (s *Scheduler) do(ctx context.Context, c *rados.Cluster, t target) {
	bounded, cancel := context.WithTimeout(ctx, s.kind.limit)
	defer cancel()
	log := s.opt.Log.With("pool", t.pool, "namespace", t.namespace, "image", t.image)
	store := rbd.NewStore(c.OpenPoolID(t.pool).WithNamespace(t.namespace))
	if err := s.kind.run(bounded, store, t.image, log); err != nil && ctx.Err() == nil {
		log.Warn("not done as scheduled", "what", s.kind.what, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, t)
	delete(s.due, t)
	s.enqueue(time.Now())
	s.poke()
}

func (s *Scheduler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// find is the schedule of a target: its own, or else its namespace's, its pool's, or that of all
// pools.
func (s *Scheduler) find(t target) *schedule {
	for _, l := range []Level{
		{Pool: t.pool, Spaced: true, Namespace: t.namespace, Image: t.image},
		{Pool: t.pool, Spaced: true, Namespace: t.namespace}, {Pool: t.pool}, {}} {
		if found := s.schedules[l.ID()]; found != nil {
			return found
		}
	}
	return nil
}

// enqueue gives every target with a schedule its time.
func (s *Scheduler) enqueue(now time.Time) {
	maps.DeleteFunc(s.due, func(t target, _ time.Time) bool {
		_, ok := s.world.targets[t]
		return (!ok || s.find(t) == nil) && !s.busy[t]
	})
	for t := range s.world.targets {
		if _, ok := s.due[t]; ok {
			continue
		}
		if found := s.find(t); found != nil {
			s.due[t] = found.next(now)
		}
	}
}

// again forgets the times to come, after schedules have changed. What is due stays.
func (s *Scheduler) again() {
	now := time.Now()
	maps.DeleteFunc(s.due, func(_ target, at time.Time) bool { return at.After(now) })
	s.enqueue(now)
	s.poke()
}
