package rbdtask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/mgr/duty"
)

// Options are what a Queue needs.
type Options struct {
	Connect func(context.Context) (*rados.Cluster, error)
	Log     *slog.Logger
	Event   func(Event) // is told how far tasks are; not under the queue's lock
}

// An Event is how far a task is, for "ceph progress".
type Event struct {
	ID, Message string
	Refs        map[string]any
	Progress    float64 // 0 to 1
	Ended       bool
	Failure     string // why it ended without success
}

const (
	maxTasks    = 10000 // that wait; more are refused
	keptDone    = 50    // done ones that are answered when asked for again
	lookEvery   = 5 * time.Second
	defaultPool = "rbd" // rbd_default_pool
)

// A Queue is the tasks of a manager.
type Queue struct {
	opt  Options
	duty duty.Duty

	mu       sync.Mutex
	cluster  *rados.Cluster
	ready    chan struct{} // closed when the tasks have been read
	wake     chan struct{}
	tasks    map[uint64]*task
	done     []*task
	sequence uint64
}

// New is a queue that does nothing until Activate.
func New(o Options) *Queue {
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	return &Queue{opt: o, ready: make(chan struct{})}
}

// Activate reads the tasks of all pools and begins to carry them out.
func (q *Queue) Activate() {
	q.duty.Begin(func() func(context.Context) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.tasks, q.done, q.sequence = map[uint64]*task{}, nil, 0
		ready, wake := make(chan struct{}), make(chan struct{}, 1)
		q.ready, q.wake = ready, wake
		return func(ctx context.Context) { q.run(ctx, ready, wake) }
	})
}

// Deactivate stops what is under way, without waiting for its end.
func (q *Queue) Deactivate() { q.duty.Stop() }

// Close is Deactivate that waits.
func (q *Queue) Close() { q.duty.Close() }

// run is the goroutine of an active queue.
func (q *Queue) run(ctx context.Context, ready, wake chan struct{}) {
	var c *rados.Cluster
	for c == nil {
		var err error
		if c, err = q.begin(ctx); err == nil {
			break
		}
		q.opt.Log.Warn("tasks about images could not be read", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
	}
	close(ready)
	for ctx.Err() == nil {
		for t := q.next(time.Now()); t != nil && ctx.Err() == nil; t = q.next(time.Now()) {
			q.execute(ctx, t)
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-time.After(lookEvery):
		}
	}
	if err := c.Close(); err != nil {
		q.opt.Log.Debug("connection for tasks", "err", err)
	}
}

// begin connects and reads the tasks of every pool that is for images.
func (q *Queue) begin(ctx context.Context) (*rados.Cluster, error) {
	c, err := q.opt.Connect(ctx)
	if err != nil {
		return nil, err
	}
	m := c.Map()
	for _, id := range slices.Sorted(maps.Keys(m.Pools)) {
		if _, ok := m.Pools[id].Applications["rbd"]; !ok {
			continue
		}
		x := c.OpenPoolID(id)
		names, err := rbd.NewStore(x).Namespaces(ctx)
		for _, ns := range append([]string{""}, names...) {
			if err == nil {
				err = q.load(ctx, x.WithNamespace(ns))
			}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("tasks of pool %s: %w", x.PoolName(), err),
				c.Close())
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cluster = c
	return c, nil
}

// load reads the tasks of one namespace. What does not decode is left alone.
func (q *Queue) load(ctx context.Context, x *rados.IOCtx) error {
	for pair, err := range x.Omap(ctx, object, "") {
		if errors.Is(err, ceph.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err := parse(pair.Value)
		if err != nil {
			q.opt.Log.Warn("record of a task does not decode", "pool", x.PoolName(), "err", err)
			continue
		}
		q.mu.Lock()
		q.tasks[r.Sequence] = &task{record: r}
		q.sequence = max(q.sequence, r.Sequence)
		q.mu.Unlock()
	}
	return nil
}

// next is the first task that is due, which then runs.
func (q *Queue) next(now time.Time) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(q.tasks)) {
		if t := q.tasks[n]; !t.canceled && !t.unsaved && !t.retryAt.After(now) {
			t.running, t.progress = true, 0
			return t
		}
	}
	return nil
}

// execute carries a task out. One that fails is tried again; one whose image or pool is gone, or
// that makes no sense any more, is done.
func (q *Queue) execute(ctx context.Context, t *task) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q.mu.Lock()
	t.cancel = cancel
	canceled := t.canceled
	q.mu.Unlock()
	failure := ""
	x, err := q.pool(ctx, t.Refs.Pool, t.Refs.Namespace)
	switch {
	case err == nil && !canceled:
		failure, err = forGood(t.Refs.Action, q.act(ctx, x, t))
		if err == nil {
			err = q.forget(ctx, x, t.record)
		}
	case errors.Is(err, ceph.ENOENT):
		err = nil // the pool is gone, and the record with it
	}
	q.settle(t, failure, err)
}

// forGood tells the errors that no other try can mend, in the stock's words, from those to try
// again.
func forGood(action string, err error) (failure string, again error) {
	if errors.Is(err, ceph.ENOENT) {
		return "Image does not exist", nil
	}
	if text := senseless[action]; text != "" && errors.Is(err, ceph.EINVAL) {
		return text, nil
	}
	return "", err
}

// senseless is what EINVAL of an action means.
var senseless = map[string]string{
	Flatten: "Image does not have parent",
	Execute: "Image is not migrating",
	Commit:  "Image is not migrating or migration not executed",
	Abort:   "Image is not migrating",
}

// settle takes the end of a try.
func (q *Queue) settle(t *task, failure string, err error) {
	e := Event{ID: t.ID, Message: t.Message, Refs: t.eventRefs(), Failure: failure}
	q.mu.Lock()
	t.running, t.cancel = false, nil
	quiet := t.canceled // who cancelled it has told of that
	if err != nil && !t.canceled {
		t.attempts++
		t.lastErr, t.retryAt = err.Error(), time.Now().Add(retryAfter(t.attempts))
		q.opt.Log.Info("task about an image failed and is tried again", "task", t.ID, "err", err)
		quiet = t.told.IsZero() // there is no event that would go back to 0
	} else {
		e.Ended = true
		delete(q.tasks, t.Sequence)
		if !t.canceled && failure == "" {
			q.done = append(q.done, t)
			q.done = q.done[max(0, len(q.done)-keptDone):]
		}
	}
	q.mu.Unlock()
	if !quiet {
		q.opt.Event(e)
	}
}

// tellEvery is how often a task tells how far it is.
const tellEvery = time.Second

// progress takes how far a task is.
func (q *Queue) progress(t *task, done, total uint64) {
	now := time.Now()
	q.mu.Lock()
	t.progress = float64(done) / float64(max(1, total))
	e := Event{ID: t.ID, Message: t.Message, Progress: t.progress}
	due := !t.canceled && now.Sub(t.told) >= tellEvery
	if due {
		t.told = now
	}
	q.mu.Unlock()
	if due {
		e.Refs = t.eventRefs()
		q.opt.Event(e)
	}
}

// act does what the task says.
func (q *Queue) act(ctx context.Context, x *rados.IOCtx, t *task) error {
	progress := func(done, total uint64) { q.progress(t, done, total) }
	s := rbd.NewStore(x)
	switch t.Refs.Action {
	case Flatten:
		i, err := s.Open(ctx, t.Refs.Image, false)
		if err != nil {
			return err
		}
		return errors.Join(i.Flatten(ctx, progress), i.Close(ctx))
	case Remove:
		return s.Remove(ctx, t.Refs.Image, progress)
	case TrashRemove:
		return s.TrashRemove(ctx, t.Refs.ID, false, progress)
	case Execute:
		return s.MigrationExecute(ctx, t.Refs.Image, progress)
	case Commit:
		return s.MigrationCommit(ctx, t.Refs.Image, progress)
	case Abort:
		return s.MigrationAbort(ctx, t.Refs.Image, progress)
	}
	return fmt.Errorf("%s of images in the background is not available in this release of Glue",
		t.Refs.Action)
}

func (q *Queue) forget(ctx context.Context, x *rados.IOCtx, r record) error {
	err := x.OmapRm(ctx, object, r.key())
	if errors.Is(err, ceph.ENOENT) {
		return nil
	}
	return err
}

// pool opens a pool of the newest map, as one of the name may have been deleted and made anew;
// ENOENT in the stock's words.
func (q *Queue) pool(ctx context.Context, name, namespace string) (*rados.IOCtx, error) {
	q.mu.Lock()
	c := q.cluster
	q.mu.Unlock()
	if err := c.WaitLatestMap(ctx); err != nil {
		return nil, fmt.Errorf("ask for the newest OSD map: %w", err)
	}
	x, err := c.OpenPool(ctx, name)
	if errors.Is(err, ceph.ENOENT) {
		return nil, &Error{ceph.ENOENT,
			fmt.Sprintf("[errno 2] RADOS object not found (error opening pool '%s')", name)}
	}
	if err != nil {
		return nil, err
	}
	return x.WithNamespace(namespace), nil
}

// A May says whether who asks may do something with a pool's namespace.
type May func(pool, namespace string) bool

func (m May) see(t *task) bool { return m(t.Refs.Pool, t.Refs.Namespace) }

// Cluster is the connection of an active queue; it waits for it.
func (q *Queue) Cluster(ctx context.Context) (*rados.Cluster, error) {
	if err := q.wait(ctx); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cluster, nil
}

// Images are the names of the images of a place by id.
func (q *Queue) Images(
	ctx context.Context, pool int64, namespace string,
) (map[string]string, error) {
	c, err := q.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	list, err := rbd.NewStore(c.OpenPoolID(pool).WithNamespace(namespace)).List(ctx)
	out := map[string]string{}
	for _, e := range list {
		out[e.ID] = e.Name
	}
	return out, err
}

// wait returns when the tasks have been read.
func (q *Queue) wait(ctx context.Context) error {
	q.mu.Lock()
	ready := q.ready
	q.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return &Error{ceph.EAGAIN,
			"the tasks have not been read from the pools yet; try again in a moment"}
	}
}

// List prints the tasks that are not done, or one of them.
func (q *Queue) List(ctx context.Context, id string, may May) ([]byte, error) {
	if err := q.wait(ctx); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	out := []any{}
	for _, n := range slices.Sorted(maps.Keys(q.tasks)) {
		if t := q.tasks[n]; !may.see(t) {
			continue
		} else if id == "" {
			out = append(out, t.dump())
		} else if t.ID == id {
			return json.MarshalIndent(t.dump(), "", "    ")
		}
	}
	if id != "" {
		return nil, noTask(id)
	}
	return json.MarshalIndent(out, "", "    ")
}

func noTask(id string) error { return &Error{ceph.ENOENT, "No such task " + id} }

// Cancel takes a task back; one that runs stops where it is.
func (q *Queue) Cancel(ctx context.Context, id string, may May) error {
	if err := q.wait(ctx); err != nil {
		return err
	}
	t := q.mark(id, may)
	if t == nil {
		return noTask(id)
	}
	q.opt.Event(Event{ID: t.ID, Message: t.Message, Refs: t.eventRefs(), Ended: true,
		Failure: "Operation canceled"})
	x, err := q.pool(ctx, t.Refs.Pool, t.Refs.Namespace)
	if err == nil {
		err = q.forget(ctx, x, t.record)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !t.running {
		delete(q.tasks, t.Sequence)
	}
	return err
}

// mark cancels the task of the id and returns it.
func (q *Queue) mark(id string, may May) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.tasks {
		if t.ID == id && may.see(t) {
			if t.canceled = true; t.cancel != nil {
				t.cancel()
			}
			return t
		}
	}
	return nil
}
