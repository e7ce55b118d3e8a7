package schedule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
)

// A space is a namespace of a pool.
type space struct {
	pool      int64
	namespace string
}

// A target is what something is done to: a namespace, or an image in it by its id.
type target struct {
	space
	image string
}

// A world is what there is to have a schedule.
type world struct {
	pools   map[int64]string            // with images
	spaces  map[space]map[string]string // id to name of the images that may have a schedule
	targets map[target]string           // to the name
}

// name is how commands name an image, and what is said of a namespace's pool.
func (w *world) name(t target, image string) string {
	name := w.pools[t.pool]
	if t.image == "" {
		return name
	}
	if t.namespace != "" {
		name += "/" + t.namespace
	}
	return name + "/" + image
}

// level reads the key of a schedule of a pool.
func (w *world) level(key string, pool int64) (Level, bool) {
	m := keyForm.FindStringSubmatch(key)
	if m == nil || m[1] != strconv.FormatInt(pool, 10) {
		return Level{}, false
	}
	l := Level{Pool: pool, Spaced: m[2] != "", Namespace: m[3], Image: m[4]}
	at := space{pool, l.Namespace}
	images, ok := w.spaces[at]
	switch {
	case l.Image != "":
		var image string
		image, ok = images[l.Image]
		l.Name = w.name(target{at, l.Image}, image)
	case l.Spaced:
		l.Name = w.pools[pool] + "/" + l.Namespace + "/"
	default:
		l.Name = w.pools[pool] + "/"
	}
	return l, ok
}

// A record is a schedule as it is kept, with its key in a pool.
type record struct {
	pool  int64 // 0: the option
	key   string
	value []byte
}

// refresh reads the schedules, and lists what there is to have one. The images are listed when
// there are schedules, or all is set.
func (s *Scheduler) refresh(ctx context.Context, c *rados.Cluster, all bool) error {
	if err := c.WaitLatestMap(ctx); err != nil {
		return err
	}
	records, err := s.option(ctx, c)
	if err != nil {
		return err
	}
	w := world{pools: map[int64]string{}, spaces: map[space]map[string]string{},
		targets: map[target]string{}}
	m := c.Map()
	for _, id := range slices.Sorted(maps.Keys(m.Pools)) {
		if _, ok := m.Pools[id].Applications["rbd"]; !ok {
			continue
		}
		x := c.OpenPoolID(id)
		names, err := rbd.NewStore(x).Namespaces(ctx)
		if err != nil {
			return err
		}
		w.pools[id] = m.PoolName(id)
		for _, n := range append(names, "") {
			w.spaces[space{id, n}] = nil
		}
		for pair, err := range x.Omap(ctx, s.kind.object, "") {
			if errors.Is(err, ceph.ENOENT) || len(records) >= maxLevels {
				break
			}
			if err != nil {
				return fmt.Errorf("schedules of pool %s: %w", m.PoolName(id), err)
			}
			records = append(records, record{id, pair.Key, pair.Value})
		}
	}
	if len(records) > 0 || all {
		if err := s.list(ctx, c, &w); err != nil {
			return err
		}
	}
	s.world, s.schedules = w, map[string]*schedule{}
	for _, r := range records {
		l, ok := w.level(r.key, r.pool)
		if r.pool != 0 {
			stale, err := s.stale(ctx, c, l, ok)
			if err != nil {
				return err
			}
			if stale {
				s.drop(ctx, c, r)
				continue
			}
		}
		if ok || r.pool == 0 {
			s.keep(l, r.value)
		}
	}
	s.enqueue(time.Now())
	return nil
}

// stale says whether a record's level is none any more: its namespace or image is gone, or is not
// mirrored in the way that schedules are for. there is whether the level was found.
func (s *Scheduler) stale(
	ctx context.Context, c *rados.Cluster, l Level, there bool,
) (bool, error) {
	store := rbd.NewStore(c.OpenPoolID(l.Pool).WithNamespace(l.Namespace))
	if !there {
		if l.Pool == 0 { // no key, or another pool's
			return false, nil
		}
		if l.Image == "" {
			return true, nil
		}
		m, err := store.MirrorImage(ctx, l.Image)
		if errors.Is(err, ceph.ENOENT) {
			return true, nil
		}
		return err == nil && !m.BySnapshot(), err // it may be in the trash
	}
	if s.kind.images == nil || l.Namespace == "" {
		return false, nil
	}
	mode, err := store.MirrorMode(ctx)
	return err == nil && mode != rbd.MirrorByImage, err
}

// drop removes a record from its pool. If that fails it is stale the next time too.
func (s *Scheduler) drop(ctx context.Context, c *rados.Cluster, r record) {
	err := c.OpenPoolID(r.pool).OmapRm(ctx, s.kind.object, r.key)
	s.opt.Log.Info("schedule of what is gone was removed", "of", s.kind.what, "pool", r.pool,
		"level", r.key, "err", err)
}

// option is the schedule for all pools.
func (s *Scheduler) option(ctx context.Context, c *rados.Cluster) ([]record, error) {
	text, _, err := c.MonCommand(ctx, map[string]any{"prefix": "config get", "who": "mgr",
		"key": s.kind.option}, nil)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return nil, fmt.Errorf("option %s: %w", s.kind.option, err)
	}
	if value := strings.TrimSpace(string(text)); value != "" {
		return []record{{value: []byte(value)}}, nil
	}
	return nil, nil
}

// list finds the targets in the world's namespaces.
func (s *Scheduler) list(ctx context.Context, c *rados.Cluster, w *world) error {
	for at := range w.spaces {
		if s.kind.images == nil {
			t := target{space: at}
			w.targets[t] = w.name(t, "")
			continue
		}
		store := rbd.NewStore(c.OpenPoolID(at.pool).WithNamespace(at.namespace))
		images, err := s.kind.images(ctx, store)
		if err != nil {
			return err
		}
		w.spaces[at] = map[string]string{}
		for _, i := range images {
			w.spaces[at][i.id] = i.name
			if t := (target{at, i.id}); i.due {
				w.targets[t] = w.name(t, i.name)
			}
		}
	}
	return nil
}

// keep takes a record; one that does not decode is left alone.
func (s *Scheduler) keep(l Level, text []byte) {
	found, err := decode(l, text)
	if err != nil {
		s.opt.Log.Warn("schedule does not decode", "of", s.kind.what, "level", l.ID(), "err", err)
		return
	}
	s.schedules[l.ID()] = found
}
