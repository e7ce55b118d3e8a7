package mon

import (
	"fmt"
	"time"

	"glue/auth/caps"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/cluster/servicemap"
	"glue/internal/cephjson"
	"glue/mon/healthmon"
	"glue/wire/message"
)

// stats is what the manager has last told of PGs, space and health. It is not replicated: a new
// leader has it within the manager's next report.
type stats struct {
	digest     *pgstat.Digest
	checks     pgstat.Checks
	services   servicemap.Map
	serviceMap []byte // encoded
	progress   []message.ProgressEvent
	at         time.Time
	reports    uint64 // of managers so far
}

// take takes a manager's report.
func (s *stats) take(b *message.MMonMgrReport) error {
	if b.Partial && s.digest != nil {
		return nil // a manager that has just taken over knows less than the one before it
	}
	d, k := &pgstat.Digest{}, pgstat.Checks{}
	if err := denc.Unmarshal(b.Digest, d, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	if len(b.Health) > 0 {
		if err := denc.Unmarshal(b.Health, &k, ceph.FeaturesAll); err != nil {
			return fmt.Errorf("health: %w", err)
		}
	}
	services := servicemap.Map{}
	if len(b.ServiceMap) > 0 {
		if err := denc.Unmarshal(b.ServiceMap, &services, ceph.FeaturesAll); err != nil {
			return fmt.Errorf("service map: %w", err)
		}
		s.services, s.serviceMap = services, b.ServiceMap
	}
	s.digest, s.checks, s.progress = d, k, b.Progress
	s.reports++
	return nil
}

// get is the digest, an empty one before the first report.
func (s *stats) get() *pgstat.Digest {
	if s.digest == nil {
		return &pgstat.Digest{}
	}
	return s.digest
}

// poolUsage is what a pool holds; known is false before the manager's first report of it.
func (c *core) poolUsage(pool int64) (objects, bytes int64, known bool) {
	p, ok := c.stats.get().Pools[pool]
	if !ok {
		return 0, 0, false
	}
	return p.Stats.Sum.Objects, p.Stats.Sum.Bytes, true
}

// purgedSnaps are the removed snapshots of a pool that no PG has any more.
func (c *core) purgedSnaps(pool int64) []osdmap.SnapRange { return c.stats.get().PurgedSnaps[pool] }

// lastSeq is the number of an OSD's last report, 0 before the first.
func (c *core) lastSeq(osd int32) uint64 { return c.stats.get().LastSeq[osd] }

// checks are the health checks of the moment.
func (c *core) checks(now time.Time) healthmon.Checks {
	out := healthmon.Checks{}
	for _, k := range c.stats.checks {
		out.Add(k.Code, k.Severity, k.Count, k.Summary, k.Detail...)
	}
	c.osd.Checks(now, out)
	c.auth.Checks(out)
	c.mgrChecks(now, out)
	c.quorumChecks(out)
	c.clockChecks(out)
	c.conditionChecks(now, out)
	c.reclaimChecks(out)
	c.versionChecks(now, out)
	return out
}

// A cluster without an active manager is told of at once, unless it is just being made; after a
// while it is an error (mon_mgr_mkfs_grace, mon_mgr_inactive_grace).
const (
	mkfsGrace     = 2 * time.Minute
	inactiveGrace = time.Minute
)

func (c *core) mgrChecks(now time.Time, out healthmon.Checks) {
	m := c.mgr.Map()
	if m.Available || now.Sub(c.mon.Map().Created.Go()) < mkfsGrace {
		return
	}
	since := m.ActiveChange.Go()
	if since.Before(c.ledSince) {
		since = c.ledSince
	}
	sev := healthmon.Warn
	if now.Sub(since) > inactiveGrace {
		sev = healthmon.Err
	}
	if now.Sub(since) > mgrStart {
		out.Add("MGR_DOWN", sev, 1, "no active mgr")
	}
}

// mgrStart is how long a manager may take to begin to serve after another was failed, or after
// the monitors have begun.
const mgrStart = 10 * time.Second

// noteHealth writes to the cluster log when the health has changed.
func (c *core) noteHealth(now time.Time) {
	for _, line := range c.health.Changes(now) {
		p := uint16(message.LogWarn)
		if line.Better {
			p = message.LogInfo
		}
		c.clusterLog(p, line.Text)
	}
}

// digestToManager sends the status that the manager's modules look at.
func (c *core) digestToManager() {
	now := c.now()
	var m *message.Message
	for _, s := range c.ordered() {
		if s.subs["mgrdigest"] == nil {
			continue
		}
		if m == nil {
			m = message.New(&message.MMgrDigest{
				MonStatus: cephjson.Marshal(c.monStatus(), false),
				Health:    cephjson.Marshal(c.health.Report(now).JSON(true), false),
			})
		}
		one := *m
		s.conn.Send(&one)
		s.conn.Send(message.New(c.configReport()))
		for name, r := range c.reports {
			if c.mon.Map().Rank(name) >= 0 && name != c.opt.Name {
				s.conn.Send(message.New(r))
			}
		}
	}
}

// statfs answers the space of the cluster or of a pool.
func (c *core) statfs(e event, b *message.MStatfs) {
	if b.FSID != c.fsid || !e.s.allowed("pg", caps.R) {
		return
	}
	pool := int64(-1)
	if b.DataPool != nil {
		pool = *b.DataPool
	}
	sp := c.stats.get().Space(c.osd.Map(), pool)
	e.s.reply(e.m, &message.MStatfsReply{FSID: c.fsid, Version: 1, KB: sp.KB, KBUsed: sp.KBUsed,
		KBAvail: sp.KBAvail, Num: sp.Objects})
}

// poolStats answers the statistics of pools; unknown names are left out.
func (c *core) poolStats(e event, b *message.MGetPoolStats) {
	if b.FSID != c.fsid || !e.s.allowed("pg", caps.R) {
		return
	}
	d := c.stats.get()
	r := &message.MGetPoolStatsReply{FSID: c.fsid, Pools: map[string]message.Section{},
		PerPool: d.OSDSum.NumOSDs > 0 && d.OSDSum.NumOSDs == d.OSDSum.NumPerPoolOSDs}
	for _, name := range b.Pools {
		id, ok := c.osd.Map().PoolByName(name)
		if !ok {
			continue
		}
		p := d.Pools[id]
		r.Pools[name] = denc.Marshal(&p, ceph.FeaturesAll)
	}
	e.s.reply(e.m, r)
}

// progressText is the part of "ceph -s" about what is under way; empty if it has none.
func (s *stats) progressText() string {
	out := ""
	for i := range s.progress {
		if e := &s.progress[i]; e.Status {
			out += "    " + e.Message + "\n"
		}
	}
	if out != "" {
		out = "  progress:\n" + out + " \n"
	}
	return out
}

func (s *stats) progressJSON() cephjson.Object {
	out := cephjson.Object{}
	for i := range s.progress {
		e := &s.progress[i]
		out = append(out, cephjson.Member{Key: e.ID, Value: cephjson.Object{
			{Key: "message", Value: e.Message}, {Key: "progress", Value: cephjson.Float(e.Done)},
			{Key: "add_to_ceph_s", Value: e.Status}}})
	}
	return out
}
