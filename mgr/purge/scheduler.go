package purge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/internal/cephjson"
	"glue/mgr/rbdtask"
)

const (
	object = "rbd_trash_purge_schedule"             // of a pool: level to rules
	option = "mgr/rbd_support/trash_purge_schedule" // the rules for all pools

	refreshEvery = time.Minute // pools and namespaces come and go
	refreshLimit = 30 * time.Second
	maxLevels    = 10_000
)

// Options are what a Scheduler needs.
type Options struct {
	// Cluster is the connection of the active manager; it waits for it.
	Cluster func(context.Context) (*rados.Cluster, error)
	Log     *slog.Logger
}

// A place is a namespace of a pool.
type place struct {
	pool      int64
	namespace string
}

// A Scheduler empties trashes when it is time.
type Scheduler struct {
	opt Options

	life  sync.Mutex
	stop  context.CancelFunc // nil while not active
	ended chan struct{}

	wake chan struct{}

	// It is held over requests too, so that changes come one after the other.
	mu        sync.Mutex
	schedules map[string]*schedule // by level
	places    map[place]string     // to the name of the pool
	due       map[place]time.Time
}

// New is a scheduler that does nothing until Activate.
func New(o Options) *Scheduler {
	return &Scheduler{opt: o, wake: make(chan struct{}, 1), due: map[place]time.Time{}}
}

// Activate begins to carry out the schedules.
func (s *Scheduler) Activate() {
	s.life.Lock()
	defer s.life.Unlock()
	if s.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	before, ended := s.ended, make(chan struct{})
	s.stop, s.ended = stop, ended
	go func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		s.mu.Lock()
		s.due = map[place]time.Time{}
		s.mu.Unlock()
		s.run(ctx)
	}()
}

// Deactivate stops what is under way, without waiting for its end.
func (s *Scheduler) Deactivate() {
	s.life.Lock()
	defer s.life.Unlock()
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// Close is Deactivate that waits.
func (s *Scheduler) Close() {
	s.Deactivate()
	s.life.Lock()
	ended := s.ended
	s.life.Unlock()
	if ended != nil {
		<-ended
	}
}

func (s *Scheduler) run(ctx context.Context) {
	c, err := s.opt.Cluster(ctx)
	if err != nil {
		return // not active any more
	}
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, refreshLimit)
		s.mu.Lock()
		err := s.refresh(bounded, c)
		s.mu.Unlock()
		cancel()
		if err != nil && ctx.Err() == nil {
			s.opt.Log.Warn("schedules of trashes could not be read", "err", err)
		}
		for end := time.Now().Add(refreshEvery); ctx.Err() == nil && time.Now().Before(end); {
			now := time.Now()
			p, at := s.first()
			if !at.IsZero() && !at.After(now) {
				s.purge(ctx, c, p)
				continue
			}
			if at.IsZero() || at.After(end) {
				at = end
			}
			select {
			case <-ctx.Done():
			case <-s.wake:
			case <-time.After(at.Sub(now)):
			}
		}
	}
}

// first is the place that is due first, and when; the zero time if there is none.
func (s *Scheduler) first() (first place, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, t := range s.due {
		if at.IsZero() || t.Before(at) {
			first, at = p, t
		}
	}
	return first, at
}

// purge empties the trash of a place, and has it wait for its next time.
func (s *Scheduler) purge(ctx context.Context, c *rados.Cluster, p place) {
	now := time.Now()
	n, err := rbd.NewStore(c.OpenPoolID(p.pool).WithNamespace(p.namespace)).TrashPurge(ctx, now)
	if err != nil && ctx.Err() == nil {
		s.opt.Log.Warn("trash could not be emptied", "pool", p.pool, "namespace", p.namespace,
			"removed", n, "err", err)
	} else if n > 0 {
		s.opt.Log.Info("trash was emptied", "pool", p.pool, "namespace", p.namespace, "removed", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.due, p)
	s.enqueue(time.Now())
}

// find is the schedule of a place: its own, or else the pool's, or that of all pools.
func (s *Scheduler) find(p place) *schedule {
	for _, l := range []Level{{Pool: p.pool, Spaced: true, Namespace: p.namespace},
		{Pool: p.pool}, {}} {
		if found := s.schedules[l.ID()]; found != nil {
			return found
		}
	}
	return nil
}

// enqueue gives every place with a schedule its time.
func (s *Scheduler) enqueue(now time.Time) {
	maps.DeleteFunc(s.due, func(p place, _ time.Time) bool {
		_, ok := s.places[p]
		return !ok || s.find(p) == nil
	})
	for p := range s.places {
		if _, ok := s.due[p]; ok {
			continue
		}
		if found := s.find(p); found != nil {
			s.due[p] = found.next(now)
		}
	}
}

// again forgets the times to come, after schedules have changed. What is due stays.
func (s *Scheduler) again() {
	now := time.Now()
	maps.DeleteFunc(s.due, func(_ place, at time.Time) bool { return at.After(now) })
	s.enqueue(now)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// refresh reads the schedules and lists the places that have images.
func (s *Scheduler) refresh(ctx context.Context, c *rados.Cluster) error {
	if err := c.WaitLatestMap(ctx); err != nil {
		return err
	}
	schedules, places := map[string]*schedule{}, map[place]string{}
	text, _, err := c.MonCommand(ctx, map[string]any{"prefix": "config get", "who": "mgr",
		"key": option}, nil)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return fmt.Errorf("option %s: %w", option, err)
	}
	if value := strings.TrimSpace(string(text)); value != "" {
		s.keep(schedules, Level{}, []byte(value))
	}
	m := c.Map()
	for _, id := range slices.Sorted(maps.Keys(m.Pools)) {
		if _, ok := m.Pools[id].Applications["rbd"]; !ok {
			continue
		}
		x := c.OpenPoolID(id)
		spaces, err := rbd.NewStore(x).Namespaces(ctx)
		if err != nil {
			return err
		}
		for _, n := range append(spaces, "") {
			places[place{id, n}] = m.PoolName(id)
		}
		for pair, err := range x.Omap(ctx, object, "") {
			if errors.Is(err, ceph.ENOENT) {
				break
			}
			if err != nil {
				return fmt.Errorf("schedules of pool %s: %w", m.PoolName(id), err)
			}
			if l, ok := levelOf(pair.Key, id, places); ok && len(schedules) < maxLevels {
				s.keep(schedules, l, pair.Value)
			}
		}
	}
	s.schedules, s.places = schedules, places
	s.enqueue(time.Now())
	return nil
}

// keep takes a record; one that does not decode is left alone.
func (s *Scheduler) keep(to map[string]*schedule, l Level, text []byte) {
	found, err := decode(l, text)
	if err != nil {
		s.opt.Log.Warn("schedule does not decode", "level", l.ID(), "err", err)
		return
	}
	to[l.ID()] = found
}

// levelOf reads the key of a schedule of a pool.
func levelOf(key string, pool int64, places map[place]string) (Level, bool) {
	m := keyForm.FindStringSubmatch(key)
	if m == nil || m[1] != strconv.FormatInt(pool, 10) {
		return Level{}, false
	}
	l := Level{Pool: pool, Spaced: m[2] != "", Namespace: m[3]}
	name, ok := places[place{pool, l.Namespace}]
	l.Name = name + "/"
	if l.Spaced {
		l.Name += l.Namespace + "/"
	}
	return l, ok
}

func invalid(format string, args ...any) error {
	return &rbdtask.Error{Errno: ceph.EINVAL, Text: fmt.Sprintf(format, args...)}
}

// begin locks what the commands look at; done unlocks it. The level's pool and namespace exist.
func (s *Scheduler) begin(
	ctx context.Context, name string,
) (c *rados.Cluster, l Level, done func(), err error) {
	if c, err = s.opt.Cluster(ctx); err != nil {
		return nil, l, nil, err
	}
	s.mu.Lock()
	if l, err = s.level(ctx, c, name); err != nil {
		s.mu.Unlock()
		return nil, l, nil, err
	}
	return c, l, s.mu.Unlock, nil
}

func (s *Scheduler) level(ctx context.Context, c *rados.Cluster, name string) (Level, error) {
	pool, l, why := splitLevel(name)
	if why == "" {
		if err := s.refresh(ctx, c); err != nil {
			return l, err
		}
	}
	if why == "" && pool != "" {
		id, ok := c.Map().PoolByName(pool)
		l.Pool = id
		_, images := s.places[place{id, ""}]
		_, space := s.places[place{id, l.Namespace}]
		switch {
		case !ok:
			why = fmt.Sprintf("pool %s does not exist", pool)
		case !images:
			why = pool + " is not an RBD pool"
		case !space:
			why = fmt.Sprintf("namespace %s does not exist", l.Namespace)
		}
	}
	if why != "" {
		return l, invalid("Invalid level spec %s: %s", name, why)
	}
	return l, nil
}

// Add adds a rule to a level's schedule.
func (s *Scheduler) Add(ctx context.Context, name, interval, start string) error {
	c, l, done, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	i, err := parseItem(interval, start)
	if err != nil {
		return invalid("%v", err)
	}
	next := &schedule{level: l}
	if old := s.schedules[l.ID()]; old != nil {
		next.items = slices.Clone(old.items)
	}
	next.add(i)
	return s.save(ctx, c, next)
}

// Remove takes a rule off a level's schedule, or without an interval all of them.
func (s *Scheduler) Remove(ctx context.Context, name, interval, start string) error {
	c, l, done, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	next := &schedule{level: l}
	if interval != "" {
		i, err := parseItem(interval, start)
		if err != nil {
			return invalid("%v", err)
		}
		if old := s.schedules[l.ID()]; old != nil {
			next.items = slices.Clone(old.items)
		}
		next.remove(i)
	}
	return s.save(ctx, c, next)
}

// save makes a schedule durable, then the one in force; without rules there is none.
func (s *Scheduler) save(ctx context.Context, c *rados.Cluster, next *schedule) error {
	l, empty := next.level, len(next.items) == 0
	var err error
	switch x := c.OpenPoolID(l.Pool); {
	case l.Pool == 0 && empty:
		_, _, err = c.MonCommand(ctx, map[string]any{"prefix": "config rm", "who": "mgr",
			"name": option}, nil)
	case l.Pool == 0:
		_, _, err = c.MonCommand(ctx, map[string]any{"prefix": "config set", "who": "mgr",
			"name": option, "value": string(next.encode())}, nil)
	case empty:
		if err = x.OmapRm(ctx, object, l.ID()); errors.Is(err, ceph.ENOENT) {
			err = nil
		}
	default:
		err = x.OmapSet(ctx, object, map[string][]byte{l.ID(): next.encode()})
	}
	if err != nil {
		return fmt.Errorf("keep the schedule: %w", err)
	}
	if empty {
		delete(s.schedules, l.ID())
	} else {
		s.schedules[l.ID()] = next
	}
	s.again()
	return nil
}

// List prints the schedules of a level, of its parts, and the one that it has from above.
func (s *Scheduler) List(ctx context.Context, name string) ([]byte, error) {
	_, l, done, err := s.begin(ctx, name)
	if err != nil {
		return nil, err
	}
	defer done()
	parent := l
	if s.schedules[l.ID()] == nil {
		found := false
		for _, o := range s.schedules {
			if l.within(o.level) && (!found || o.level.within(parent)) {
				parent, found = o.level, true
			}
		}
	}
	out := cephjson.Object{}
	for _, id := range slices.Sorted(maps.Keys(s.schedules)) {
		o := s.schedules[id]
		if id == parent.ID() || id == l.ID() || o.level.within(l) {
			out = append(out, cephjson.Member{Key: id, Value: cephjson.Object{
				{Key: "name", Value: o.level.Name}, {Key: "schedule", Value: o.dump()}}})
		}
	}
	return cephjson.Marshal(out, true), nil
}

// Status prints what is to be emptied next, and when.
func (s *Scheduler) Status(ctx context.Context, name string) ([]byte, error) {
	_, l, done, err := s.begin(ctx, name)
	if err != nil {
		return nil, err
	}
	defer done()
	places := slices.SortedFunc(maps.Keys(s.due), func(a, b place) int {
		return cmp.Or(s.due[a].Compare(s.due[b]), cmp.Compare(a.pool, b.pool),
			cmp.Compare(a.namespace, b.namespace))
	})
	rows := []any{}
	for _, p := range places {
		if l.admits(p) {
			rows = append(rows, cephjson.Object{{Key: "namespace", Value: p.namespace},
				{Key: "pool_id", Value: strconv.FormatInt(p.pool, 10)},
				{Key: "pool_name", Value: s.places[p]},
				{Key: "schedule_time", Value: s.due[p].Format("2006-01-02 15:04:05")}})
		}
	}
	return cephjson.Marshal(cephjson.Object{{Key: "scheduled", Value: rows}}, true), nil
}
