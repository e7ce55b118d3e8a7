package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

const startLimit = 2 * time.Minute

func upCommand() *cobra.Command {
	var data string
	var detach bool
	var r request
	cmd := &cobra.Command{
		Use:   "up --data DIR",
		Short: "Start a whole cluster on this machine, creating it if it is not there",
		Long: "Start a whole cluster under DIR: monitors, a manager and OSDs on sparse files.\n" +
			"If DIR holds a cluster it is started as it was made; on one that runs already,\n" +
			"what is missing is started. Stop it with: glue down --data DIR",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := newLayout(data)
			if err != nil {
				return err
			}
			return up(cmd.Context(), l, r, detach, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", "", "folder of the cluster")
	f.IntVar(&r.mons, "mons", 0, "monitors (default 1); more than there are are added")
	f.IntVar(&r.osds, "osds", 0, "OSDs of a new cluster (default 3)")
	f.StringVar(&r.osdSize, "osd-size", "", "size of a new OSD's sparse file (default 10G)")
	f.IntVar(&r.portBase, "port-base", 0, "first of the ports of a new cluster (default 3300)")
	f.StringArrayVar(&r.set, "set", nil, "option=value of a new cluster's configuration; repeats")
	f.BoolVar(&r.split, "split", false, "run each daemon as a process of its own")
	f.BoolVar(&detach, "detach", false, "return once the cluster is healthy")
	return cmd
}

// up brings the cluster to running and healthy, and then, unless detached, stays until ctx ends.
func up(ctx context.Context, l layout, r request, detach bool, out io.Writer) error {
	s, err := openOrCreate(l, r, out)
	if err != nil {
		return err
	}
	if r.split && !s.Split && alive(l, "glue") == 0 {
		s.Split = true
		if err := s.save(l); err != nil {
			return err
		}
	}
	switch {
	case s.Split:
		return upSplit(ctx, l, s, detach, out)
	case alive(l, "glue") != 0:
		fmt.Fprintf(out, "The cluster runs already, pid %d.\n", alive(l, "glue"))
		return waitAndTell(ctx, l, out)
	case detach:
		return upDetached(ctx, l, s, out)
	}
	return upHere(ctx, l, s, out)
}

// openOrCreate loads the cluster of the folder, or makes one as the flags say.
func openOrCreate(l layout, r request, out io.Writer) (*spec, error) {
	s, err := loadSpec(l)
	if err == nil {
		if err := r.conflict(s); err != nil {
			return nil, err
		}
		if len(r.set) > 0 {
			return nil, fmt.Errorf("--set is for a new cluster; this one takes changes with: " +
				"ceph config set global OPTION VALUE")
		}
		if err := s.dropRemoved(l); err != nil {
			return nil, err
		}
		if r.mons > len(s.Mons)+len(s.Joining) {
			if err := s.grow(l, r.mons); err != nil {
				return nil, err
			}
		}
		return s, os.MkdirAll(l.path("run"), 0o755)
	}
	if !errors.Is(err, errNoCluster) {
		return nil, err
	}
	if s, err = r.newSpec(newUUID); err != nil {
		return nil, err
	}
	if err := s.checkPorts(); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "Creating a cluster in %s: %d monitor(s), 1 manager, %d OSDs.\n",
		l.dir, len(s.Mons), len(s.OSDs))
	if len(s.OSDs) < defaultOSDs {
		fmt.Fprintf(out, "Pools keep %s copies; for real data take at least %d OSDs.\n",
			s.Config["osd_pool_default_size"], defaultOSDs)
	}
	return s, create(l, s, time.Now())
}

// upHere runs all daemons in this process until ctx ends or one of them fails.
func upHere(ctx context.Context, l layout, s *spec, out io.Writer) error {
	lock, err := holdLock(l)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := s.waitPorts(ctx); err != nil {
		return err
	}
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := writeFile(l.pid("glue"), []byte(pid), 0o644); err != nil {
		return err
	}
	defer os.Remove(l.pid("glue"))
	tuneRuntime()
	watchCrashes(l.path("crash"), "glue", slog.Default())
	var c inProcess
	if err := c.start(ctx, l, s, out); err != nil {
		return errors.Join(err, c.stop())
	}
	if err := waitAndTell(ctx, l, out); err != nil {
		return errors.Join(err, c.stop())
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "Stopping.")
		return c.stop()
	case err := <-c.failed:
		// A store is in doubt: end at once, what was acknowledged is on the disks.
		return err
	}
}

// upDetached starts upHere in a process of its own and waits until the cluster is healthy.
func upDetached(ctx context.Context, l layout, s *spec, out io.Writer) error {
	if err := s.waitPorts(ctx); err != nil {
		return err
	}
	ctx, watch := newNursery(ctx, l)
	if err := watch.spawn("glue", "up", "--data", l.dir); err != nil {
		return err
	}
	return watch.explain(waitAndTell(ctx, l, out))
}

// upSplit starts every daemon that does not run as a process of its own.
func upSplit(ctx context.Context, l layout, s *spec, detach bool, out io.Writer) error {
	if pid := alive(l, "glue"); pid != 0 {
		return fmt.Errorf("the cluster runs in one process (%d); stop it with glue down first", pid)
	}
	ctx, watch := newNursery(ctx, l)
	if err := watch.spawnMissing(s.monDaemons()); err != nil {
		return err
	}
	if err := watch.explain(prepare(ctx, l, s)); err != nil {
		return err
	}
	err := s.letJoin(ctx, l, func(name string) error { return watch.spawnMissing([]string{name}) })
	if err := watch.explain(err); err != nil {
		return err
	}
	others, err := s.lookAtOSDs(ctx, l, out)
	if err := watch.explain(err); err != nil {
		return err
	}
	if err := watch.spawnMissing(others); err != nil {
		return err
	}
	if err := watch.explain(waitAndTell(ctx, l, out)); err != nil {
		return err
	}
	if detach {
		return nil
	}
	<-ctx.Done() // the user's interrupt, or a daemon that ended
	fmt.Fprintln(out, "Stopping.")
	return errors.Join(watch.died(), stopSplit(l, s))
}

// waitAndTell waits until the cluster is healthy, prepares it the first time, and prints what to
// do next.
func waitAndTell(ctx context.Context, l layout, out io.Writer) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := waitHealthy(ctx, l, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "The cluster is healthy (%.1f s).\n\n", time.Since(begin).Seconds())
	fmt.Fprintf(out, "  export CEPH_CONF=%s   # for ceph, rados, rbd, qemu-img\n", l.conf())
	fmt.Fprintf(out, "  glue status --data %s\n", l.dir)
	fmt.Fprintf(out, "  glue rbd --data %s create --size 10G disk1\n", l.dir)
	fmt.Fprintf(out, "  glue down --data %s\n", l.dir)
	return nil
}
