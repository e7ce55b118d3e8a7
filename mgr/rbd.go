package mgr

import (
	"context"
	"errors"
	"strings"
	"time"

	"glue/ceph"
	"glue/client/rados"
	"glue/cluster/commands"
	"glue/mgr/progress"
	"glue/mgr/rbdtask"
	"glue/mgr/schedule"
)

// rbdHandlers are the commands of the stock module rbd_support.
var rbdHandlers = map[string]handler{
	"rbd task add flatten":      addTask(rbdtask.Flatten, "image_spec"),
	"rbd task add remove":       addTask(rbdtask.Remove, "image_spec"),
	"rbd task add trash remove": addTask(rbdtask.TrashRemove, "image_id_spec"),
	"rbd task list":             listTasks,
	"rbd task cancel":           cancelTask,
	"rbd perf image stats":      perfOfImages(false),
	"rbd perf image counters":   perfOfImages(true),

	"rbd task add migration execute": addTask(rbdtask.Execute, "image_spec"),
	"rbd task add migration commit":  addTask(rbdtask.Commit, "image_spec"),
	"rbd task add migration abort":   addTask(rbdtask.Abort, "image_spec"),

	"rbd trash purge schedule add":    changeSchedule(purges, (*schedule.Scheduler).Add),
	"rbd trash purge schedule remove": changeSchedule(purges, (*schedule.Scheduler).Remove),
	"rbd trash purge schedule list":   showSchedule(purges, (*schedule.Scheduler).List),
	"rbd trash purge schedule status": showSchedule(purges, (*schedule.Scheduler).Status),

	"rbd mirror snapshot schedule add":    changeSchedule(mirrors, (*schedule.Scheduler).Add),
	"rbd mirror snapshot schedule remove": changeSchedule(mirrors, (*schedule.Scheduler).Remove),
	"rbd mirror snapshot schedule list":   showSchedule(mirrors, (*schedule.Scheduler).List),
	"rbd mirror snapshot schedule status": showSchedule(mirrors, (*schedule.Scheduler).Status),
}

// newTasks is the queue of tasks about images. It has a connection of its own, as a manager's
// messenger does not speak to OSDs.
func (m *Manager) newTasks() *rbdtask.Queue {
	return rbdtask.New(rbdtask.Options{
		Log: m.log, Event: m.taskEvent,
		Connect: func(ctx context.Context) (*rados.Cluster, error) {
			return rados.Connect(ctx, rados.Options{
				Name: ceph.AuthName{Type: ceph.TypeMgr, ID: m.opt.Name}, Key: m.opt.Key,
				Seeds: m.opt.MonAddrs, FSID: m.opt.FSID, Log: m.log})
		},
	})
}

// taskTimeout bounds a command about tasks.
const taskTimeout = 30 * time.Second

// asked is a result that is made outside the loop.
func asked(f func(ctx context.Context) ([]byte, error)) result {
	return result{later: func() result {
		ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
		defer cancel()
		out, err := f(ctx)
		var refused *rbdtask.Error
		switch {
		case errors.As(err, &refused):
			return refuse(refused.Errno, "%s", refused.Text)
		case err != nil:
			errno := ceph.EIO
			errors.As(err, &errno)
			return refuse(errno, "%v", err)
		}
		if len(out) > 0 && out[len(out)-1] != '\n' {
			out = append(out, '\n')
		}
		return result{out: out}
	}}
}

// mayPool says what the caller may do with pools.
func mayPool(c *commands.Command) rbdtask.May {
	return func(pool, namespace string) bool {
		return c.Allowed != nil &&
			c.Allowed(map[string]string{"pool": pool, "namespace": namespace})
	}
}

func addTask(action, argument string) handler {
	return func(s *state, c *commands.Command) result {
		image := c.Need(argument)
		return asked(func(ctx context.Context) ([]byte, error) {
			return s.tasks.Add(ctx, action, image, mayPool(c))
		})
	}
}

func listTasks(s *state, c *commands.Command) result {
	id := c.Str("task_id")
	return asked(func(ctx context.Context) ([]byte, error) {
		return s.tasks.List(ctx, id, mayPool(c))
	})
}

func cancelTask(s *state, c *commands.Command) result {
	id := c.Need("task_id")
	return asked(func(ctx context.Context) ([]byte, error) {
		return nil, s.tasks.Cancel(ctx, id, mayPool(c))
	})
}

func purges(s *state) *schedule.Scheduler  { return s.purges }
func mirrors(s *state) *schedule.Scheduler { return s.mirrors }

// changeSchedule is for who may change the images of the level: a pool, a namespace or all pools.
func changeSchedule(
	of func(*state) *schedule.Scheduler,
	change func(s *schedule.Scheduler, ctx context.Context, level, interval, start string) error,
) handler {
	return func(s *state, c *commands.Command) result {
		level, interval, start := c.Str("level_spec"), c.Str("interval"), c.Str("start_time")
		if strings.HasSuffix(c.Prefix, "add") {
			interval = c.Need("interval")
		}
		pool, namespace := schedule.Scope(level)
		if !mayPool(c)(pool, namespace) {
			return refuse(ceph.EACCES, "not authorized on pool=%s, namespace=%s", pool, namespace)
		}
		return asked(func(ctx context.Context) ([]byte, error) {
			return nil, change(of(s), ctx, level, interval, start)
		})
	}
}

func showSchedule(
	of func(*state) *schedule.Scheduler,
	show func(s *schedule.Scheduler, ctx context.Context, level string) ([]byte, error),
) handler {
	return func(s *state, c *commands.Command) result {
		level := c.Str("level_spec")
		return asked(func(ctx context.Context) ([]byte, error) {
			return show(of(s), ctx, level)
		})
	}
}

// taskEvent shows in "ceph progress" how far a task is.
func (m *Manager) taskEvent(e rbdtask.Event) {
	m.post(func(m *Manager) {
		s := &m.state
		if !s.active || !s.set.Bool("mgr/progress/enabled") {
			return
		}
		s.dirty = true
		s.kept.progress.Remote(time.Now(), progress.Told{ID: e.ID, Message: e.Message,
			Refs: e.Refs, Progress: e.Progress, Ended: e.Ended, Failure: e.Failure})
	})
}
