package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"glue/ceph"
	"glue/client/rados"
)

const (
	healthPoll     = 100 * time.Millisecond
	progressPeriod = 2 * time.Second
	answerLimit    = 2 * time.Second // for one daemon's answer
	warningLimit   = 5 * time.Second // for warnings to go away once everything runs
)

// waitHealthy waits until every OSD answers, every PG is active+clean and the health OK, and
// reports progress to out every two seconds. At the time limit the error says what is not well.
func waitHealthy(ctx context.Context, l layout, out io.Writer) error {
	c, err := connectAdmin(ctx, l)
	if err != nil {
		return err
	}
	defer c.Close()
	poll := time.NewTicker(healthPoll)
	defer poll.Stop()
	begin := time.Now()
	told := begin
	s := clusterStatus{}
	for {
		now := clusterStatus{}
		err := ask(ctx, c, &now, "status", nil)
		if err == nil {
			s = now
			err = confirm(ctx, c, &s)
		}
		if err == nil && s.Health.Status != "HEALTH_OK" {
			err = fmt.Errorf("the health is %s", s.Health.Status)
			if time.Since(begin) > warningLimit {
				fmt.Fprintln(out, "Everything runs, with a warning:", s.progress())
				return nil
			}
		}
		if err == nil {
			return nil
		}
		if time.Since(told) >= progressPeriod && ctx.Err() == nil {
			told = time.Now()
			fmt.Fprintf(out, "%s (%v)\n", s.progress(), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not healthy yet: %s (%w); look again with: "+
				"glue status --data %s", s.progress(), err, l.dir)
		case <-poll.C:
		}
	}
}

// An osdDump is an OSD in the answer to "osd dump".
type osdDump struct {
	OSD    int32      `json:"osd"`
	UpFrom ceph.Epoch `json:"up_from"`
	State  []string   `json:"state"`
}

// absent says whether nobody waits for the OSD: it is destroyed, or has never been started.
func (o *osdDump) absent() bool {
	return slices.Contains(o.State, "destroyed") ||
		slices.Contains(o.State, "new") && !slices.Contains(o.State, "up")
}

// confirm says what is missing from health. The monitors' summary alone may be of before a daemon
// died: every OSD has to answer, and every PG to have been reported since the last one came up.
func confirm(ctx context.Context, c *rados.Cluster, s *clusterStatus) error {
	var dump struct {
		OSDs []osdDump `json:"osds"`
	}
	if err := ask(ctx, c, &dump, "osd dump", nil); err != nil {
		return err
	}
	all := len(dump.OSDs)
	dump.OSDs = slices.DeleteFunc(dump.OSDs, func(o osdDump) bool { return o.absent() })
	if !s.ready(all - len(dump.OSDs)) {
		return fmt.Errorf("the monitors' summary is not well")
	}
	if err := c.WaitLatestMap(ctx); err != nil {
		return err
	}
	since := ceph.Epoch(0)
	for _, o := range dump.OSDs {
		since = max(since, o.UpFrom)
		ctx, cancel := context.WithTimeout(ctx, answerLimit)
		_, _, err := c.OSDCommand(ctx, o.OSD, map[string]any{"prefix": "version"}, nil)
		cancel()
		if err != nil {
			return fmt.Errorf("osd.%d does not answer: %w", o.OSD, err)
		}
	}
	return confirmPGs(ctx, c, since)
}

// confirmPGs asks the manager whether all PGs are clean in a map of at least the epoch since.
func confirmPGs(ctx context.Context, c *rados.Cluster, since ceph.Epoch) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	text, _, err := c.MgrCommand(ctx, map[string]any{"prefix": "pg dump", "format": "json",
		"dumpcontents": []string{"pgs"}}, nil)
	if err != nil {
		return fmt.Errorf("the manager does not answer: %w", err)
	}
	var dump struct {
		PGs []struct {
			PG       string     `json:"pgid"`
			State    string     `json:"state"`
			Reported ceph.Epoch `json:"reported_epoch"`
		} `json:"pg_stats"`
	}
	if err := decode(text, &dump); err != nil {
		return err
	}
	for _, pg := range dump.PGs {
		if pg.State != "active+clean" || pg.Reported < since {
			return fmt.Errorf("PG %s is %s as of map %d, wanted since %d", pg.PG, pg.State,
				pg.Reported, since)
		}
	}
	return nil
}
