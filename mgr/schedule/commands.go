package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/internal/cephjson"
	"glue/mgr/rbdtask"
)

func invalid(format string, args ...any) error {
	return &rbdtask.Error{Errno: ceph.EINVAL, Text: fmt.Sprintf(format, args...)}
}

// begin locks what the commands look at; done unlocks it. What the level names exists.
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
	pool, image, l, ok := splitLevel(name)
	why := ""
	switch {
	case !ok:
		why = "failed to parse " + name
	case image != "" && s.kind.images == nil:
		why = fmt.Sprintf("invalid name %s: image level is not allowed", name)
	default:
		if err := s.refresh(ctx, c, true); err != nil {
			return l, err
		}
		if pool == "" {
			return l, nil
		}
		var err error
		if why, err = s.look(ctx, c, pool, image, &l); err != nil {
			return l, err
		}
	}
	if why != "" {
		return l, invalid("Invalid level spec %s: %s", name, why)
	}
	return l, nil
}

// look finds what a level names, or why there is no such level.
func (s *Scheduler) look(
	ctx context.Context, c *rados.Cluster, pool, image string, l *Level,
) (string, error) {
	id, ok := c.Map().PoolByName(pool)
	if !ok {
		return fmt.Sprintf("pool %s does not exist", pool), nil
	}
	if _, ok := s.world.pools[id]; !ok {
		return pool + " is not an RBD pool", nil
	}
	l.Pool = id
	images, ok := s.world.spaces[space{id, l.Namespace}]
	if !ok {
		return fmt.Sprintf("namespace %s does not exist", l.Namespace), nil
	}
	store := rbd.NewStore(c.OpenPoolID(id).WithNamespace(l.Namespace))
	if s.kind.images != nil && l.Namespace != "" {
		mode, err := store.MirrorMode(ctx)
		if err != nil {
			return "", err
		}
		if mode != rbd.MirrorByImage {
			return fmt.Sprintf("namespace %s is not in mirror image mode", l.Namespace), nil
		}
	}
	if image == "" {
		return "", nil
	}
	for number, name := range images {
		if name == image {
			l.Image = number
			return "", nil
		}
	}
	i, err := store.Open(ctx, image, true)
	if errors.Is(err, ceph.ENOENT) {
		return fmt.Sprintf("image %s does not exist", image), nil
	}
	if err == nil {
		err = i.Close(ctx)
	}
	return fmt.Sprintf("image %s is not in snapshot mirror mode", image), err
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
			"name": s.kind.option}, nil)
	case l.Pool == 0:
		_, _, err = c.MonCommand(ctx, map[string]any{"prefix": "config set", "who": "mgr",
			"name": s.kind.option, "value": string(next.encode())}, nil)
	case empty:
		if err = x.OmapRm(ctx, s.kind.object, l.ID()); errors.Is(err, ceph.ENOENT) {
			err = nil
		}
	default:
		err = x.OmapSet(ctx, s.kind.object, map[string][]byte{l.ID(): next.encode()})
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

// Status prints what comes next, and when.
func (s *Scheduler) Status(ctx context.Context, name string) ([]byte, error) {
	_, l, done, err := s.begin(ctx, name)
	if err != nil {
		return nil, err
	}
	defer done()
	targets := slices.SortedFunc(maps.Keys(s.due), func(a, b target) int {
		return cmp.Or(s.due[a].Compare(s.due[b]), cmp.Compare(a.pool, b.pool),
			cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.image, b.image))
	})
	rows := []any{}
	for _, t := range targets {
		if l.admits(t) {
			rows = append(rows, s.kind.row(t, s.world.targets[t],
				s.due[t].Format(time.DateTime)))
		}
	}
	return cephjson.Marshal(cephjson.Object{{Key: s.kind.list, Value: rows}}, true), nil
}
