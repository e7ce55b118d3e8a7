package rbdtask

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/rbd"
	"glue/cluster/rbdspec"
)

// Add queues a task and returns its record as JSON; one that is queued or done already is
// returned again. The errors are *Error where the caller is at fault.
func (q *Queue) Add(ctx context.Context, action, image string, may May) ([]byte, error) {
	s, err := parseSpec(image, defaultPool)
	if err != nil {
		return nil, err
	}
	if !may(s.pool, s.namespace) {
		return nil, &Error{ceph.EACCES,
			fmt.Sprintf("not authorized on pool=%s, namespace=%s", s.pool, s.namespace)}
	}
	if err := q.wait(ctx); err != nil {
		return nil, err
	}
	x, err := q.pool(ctx, s.pool, s.namespace)
	if err != nil {
		return nil, err
	}
	r := record{Refs: refs{Action: action, Pool: s.pool, Namespace: s.namespace}}
	var not error
	switch store := rbd.NewStore(x); action {
	case TrashRemove:
		r.Refs.ID = s.image
		_, not = store.TrashGet(ctx, s.image)
		if errors.Is(not, ceph.ENOENT) {
			not = &Error{ceph.ENOENT,
				"[errno 2] RBD image not found (error retrieving image from trash)"}
		}
		if not == nil {
			not = grouped(ctx, store, s, s.image)
		}
	case Execute, Commit, Abort:
		r.Refs.Image = s.image
		r.Refs.ID, r.Message, not = mayMigrate(ctx, store, s, action)
	default:
		r.Refs.Image = s.image
		r.Refs.ID, not = mayAct(ctx, store, s, action)
	}
	if r.Message == "" {
		r.Message = fmt.Sprintf(phrases[action], s)
	}
	return q.keep(ctx, x, r, not)
}

// mayAct is the id of an image, and in the stock's words why the action is nothing for it.
func mayAct(ctx context.Context, store *rbd.Store, s spec, action string) (string, error) {
	const notFound = "RBD image not found (Image %v does not "
	i, err := store.Open(ctx, s.image, true)
	if errors.Is(err, ceph.ENOENT) {
		return "", refusal(ceph.ENOENT, notFound+"exist)", s)
	}
	if err != nil {
		return "", err
	}
	defer i.Close(ctx)
	switch info := i.Info(); {
	case action == Flatten && info.Overlap == 0:
		return i.ID(), refusal(ceph.ENOENT, notFound+"have a parent)", s)
	case action == Remove && info.Snapshots > 0:
		return i.ID(), refusal(ceph.EBUSY, "RBD image is busy (Image %v has snapshots)", s)
	case action == Remove:
		return i.ID(), cmp.Or(grouped(ctx, store, s, i.ID()), mirrored(ctx, store, s, i.ID()))
	}
	return i.ID(), nil
}

// grouped says that an image can't be removed because it is in a group. (The stock module takes the
// task and fails at it until it is cancelled.)
func grouped(ctx context.Context, store *rbd.Store, s spec, id string) error {
	group, err := store.GroupOf(ctx, id)
	if err != nil || group == "" {
		return err
	}
	return refusal(ceph.EMLINK, "RBD image is member of group (Image %v is in group %s: "+
		"rbd group image remove takes it out)", s, group)
}

// mirrored says that an image can't be removed because it is mirrored by its journal.
func mirrored(ctx context.Context, store *rbd.Store, s spec, id string) error {
	m, err := store.MirrorImage(ctx, id)
	switch {
	case errors.Is(err, ceph.ENOENT), err == nil && m.Mode == rbd.MirrorSnapshot:
		return nil
	case err != nil:
		return err
	}
	return refusal(ceph.EOPNOTSUPP, "RBD operation not supported (Image %v is mirrored by its "+
		"journal: rbd mirror image disable, or rbd feature disable with journaling, ends that)", s)
}

// refusal is an error as librbd's binding for Python prints it.
func refusal(errno ceph.Errno, text string, args ...any) *Error {
	return &Error{errno, fmt.Sprintf("[errno %d] ", -errno.Result()) + fmt.Sprintf(text, args...)}
}

// keep returns the task that is like r, or queues r unless there is a reason not to.
func (q *Queue) keep(ctx context.Context, x *rados.IOCtx, r record, not error) ([]byte, error) {
	t, found, err := q.enter(r, not)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(t.record)
	if err != nil || found {
		return text, err
	}
	err = x.OmapSet(ctx, object, map[string][]byte{t.key(): text})
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.unsaved = false; err != nil {
		delete(q.tasks, t.Sequence)
		return nil, fmt.Errorf("keep the task: %w", err)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return text, nil
}

// enter finds the task that is like r, or makes one that does not run before it is saved.
func (q *Queue) enter(r record, not error) (t *task, found bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := slices.Concat(q.done, slices.Collect(maps.Values(q.tasks)))
	for _, t := range slices.Backward(all) { // of those that are done the latest
		if !t.unsaved && t.Refs.same(r.Refs) {
			return t, true, nil
		}
	}
	if not != nil {
		return nil, false, not
	}
	if len(q.tasks) >= maxTasks {
		return nil, false, &Error{ceph.EAGAIN,
			fmt.Sprintf("%d tasks wait already; try again later", maxTasks)}
	}
	q.sequence++
	r.Sequence, r.ID = q.sequence, newID()
	t = &task{record: r, unsaved: true}
	q.tasks[r.Sequence] = t
	return t, false, nil
}

// mayMigrate is the id of the image that a migration makes, what its copy is called, and in the
// stock's words why the action is nothing for it.
func mayMigrate(
	ctx context.Context, store *rbd.Store, s spec, action string,
) (id, message string, not error) {
	m, err := store.Migration(ctx, s.image)
	if errors.Is(err, ceph.ENOENT) || errors.Is(err, ceph.EINVAL) {
		return "", "", invalid("Image %v is not migrating", s)
	}
	if err != nil {
		return "", "", err
	}
	id = m.To.ImageID
	if action == Execute {
		message = fmt.Sprintf("Migrating image %v to %v", place(store, m.From),
			place(store, m.To))
	}
	switch {
	case action == Execute && m.State != rbdspec.MigrationPrepared &&
		m.State != rbdspec.MigrationExecuting:
		not = invalid("Image %v is not in ready state", s)
	case action == Commit && m.State != rbdspec.MigrationExecuted:
		not = invalid("Image %v has not completed migration", s)
	default:
		if not = m.Supported(ctx); errors.Is(not, ceph.EOPNOTSUPP) {
			not = &Error{ceph.EOPNOTSUPP, not.Error()}
		}
	}
	return id, message, not
}

// invalid is EINVAL as librbd's binding for Python prints it.
func invalid(text string, s spec) *Error {
	return refusal(ceph.EINVAL, "RBD invalid argument ("+text+")", s)
}

// place names an end of a migration.
func place(store *rbd.Store, e rbd.MigrationEnd) spec {
	pool := store.IO().Cluster().Map().PoolName(e.Pool)
	if pool == "" {
		pool = "<unknown>"
	}
	return spec{pool, e.Namespace, e.Image}
}
