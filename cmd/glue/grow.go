package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"glue/mon"
)

// removedFile marks the folder of a monitor that has ended because the quorum removed it.
const removedFile = "removed"

// markRemoved notes that a monitor was removed, so that it is not started again.
func markRemoved(dir string, why error) error {
	return writeFile(dir+"/"+removedFile, []byte(why.Error()+"\n"), 0o644)
}

// isRemoved says whether a daemon is a monitor that was removed.
func isRemoved(l layout, name string) bool {
	_, err := os.Stat(l.path(name, removedFile))
	return err == nil && strings.HasPrefix(name, "mon.")
}

// dropRemoved forgets monitors that were removed from the cluster.
func (s *spec) dropRemoved(l layout) error {
	left := slices.DeleteFunc(slices.Clone(s.Mons), func(name string) bool {
		return isRemoved(l, "mon."+name)
	})
	if len(left) == len(s.Mons) || len(left) == 0 {
		return nil
	}
	s.Mons = left
	return errors.Join(s.save(l), s.saveConf(l))
}

// grow notes that the cluster is to have n monitors.
func (s *spec) grow(l layout, n int) error {
	if alive(l, "glue") != 0 {
		return fmt.Errorf("--mons %d: the cluster runs in one process; stop it first with: "+
			"glue down --data %s", n, l.dir)
	}
	for _, name := range monNames(maxMons) {
		if len(s.Mons)+len(s.Joining) < n && !slices.Contains(s.Mons, name) &&
			!slices.Contains(s.Joining, name) {
			s.Joining = append(s.Joining, name)
		}
	}
	return s.save(l)
}

// letJoin makes the stores of monitors that are to join, while the others run, and starts them.
func (s *spec) letJoin(ctx context.Context, l layout, start func(name string) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for len(s.Joining) > 0 {
		name := s.Joining[0]
		dir := l.data("mon." + name)
		if isRemoved(l, "mon."+name) {
			old := fmt.Sprintf("%s.removed-%d", dir, time.Now().Unix())
			if err := os.Rename(dir, old); err != nil {
				return err
			}
		}
		err := makeJoiner(ctx, l.conf(), name, dir, "")
		if errors.Is(err, mon.ErrExists) && mon.IsNew(dir, name) {
			err = nil // an earlier start got this far
		}
		if err != nil {
			return err
		}
		s.Mons, s.Joining = append(s.Mons, name), s.Joining[1:]
		if err := errors.Join(s.saveConf(l), s.save(l)); err != nil {
			return err
		}
		if err := start("mon." + name); err != nil {
			return err
		}
		if err := waitJoined(ctx, l, name); err != nil {
			return err
		}
	}
	return nil
}

// waitJoined waits until a monitor counts in the quorum.
func waitJoined(ctx context.Context, l layout, name string) error {
	c, err := connectAdmin(ctx, l)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		var q struct {
			Names []string `json:"quorum_names"`
		}
		if err := ask(ctx, c, &q, "quorum_status", nil); err != nil {
			return fmt.Errorf("mon.%s has not joined yet: %w", name, err)
		}
		if slices.Contains(q.Names, name) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("mon.%s has not joined yet; %s says why", name, l.log("mon."+name))
		case <-time.After(healthPoll):
		}
	}
}

var monHostLine = regexp.MustCompile(`(?m)^\tmon host = .*$`)

// saveConf brings what ceph.conf says of monitors and OSDs up to date and leaves the rest as it is.
func (s *spec) saveConf(l layout) error {
	b, err := os.ReadFile(l.conf())
	if err != nil {
		return err
	}
	text := monHostLine.ReplaceAllLiteralString(string(b), "\tmon host = "+s.monHost())
	for _, name := range s.Mons {
		if sec := "[mon." + name + "]\n"; !strings.Contains(text, sec) {
			text += fmt.Sprintf("%s\tpublic addr = %v\n", sec, addrText(s.monAddr(name)))
		}
	}
	for _, o := range s.OSDs {
		if sec := "[" + osdName(o.ID) + "]\n"; !strings.Contains(text, sec) {
			text += fmt.Sprintf("%s\tpublic addr = %v\n", sec, s.addr(firstOSDPort+o.ID))
		}
	}
	return writeFile(l.conf(), []byte(text), 0o644)
}
