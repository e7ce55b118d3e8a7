package osdmon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

// A failure is the reports about one OSD that is said not to answer.
type failure struct {
	since   map[int32]time.Time // by reporter: since when it has no answer
	epoch   ceph.Epoch
	pending bool
}

// A beacon is an OSD's last sign of life.
type beacon struct {
	at    time.Time
	clean ceph.Epoch
}

const tib = 1 << 40

// Boot marks an OSD up. An OSD that the map shows up under other addresses is marked down first,
// and its next attempt succeeds. Boot returns ErrBusy when the request should come again after
// the next commit.
func (s *Service) Boot(now time.Time, b *message.MOSDBoot) error {
	if b.OSD < 0 || b.OSD > maxOSDNumber || len(b.Public) == 0 || s.refused(b) {
		return nil
	}
	if s.m.Exists(b.OSD) && s.m.IsUp(b.OSD) && s.m.Addrs(b.OSD).Equal(b.Public) &&
		s.m.Info[b.OSD].UpFrom > b.BootEpoch {
		return nil // it is up already
	}
	if s.m.NodeFlag(b.OSD, osdmap.OSDNoUp) || s.m.Flags.Has(osdmap.FlagNoUp) {
		return nil
	}
	if err := s.touch(b.OSD); err != nil {
		return err
	}
	if s.m.IsUp(b.OSD) {
		put(&s.inc(now).NewState, b.OSD, osdmap.OSDUp)
		return ErrBusy // handled again once it is down
	}
	s.bring(s.inc(now), b)
	if err := s.place(now, b); err != nil {
		s.opt.Log.Warn("OSD not placed in the CRUSH map", "osd", b.OSD, "err", err)
	}
	s.beacons[b.OSD] = beacon{at: now}
	if !maps.Equal(s.meta[b.OSD], b.Metadata) {
		if text, err := json.Marshal(b.Metadata); err == nil {
			s.facts.Put(fmt.Sprint(b.OSD), text)
		}
	}
	s.opt.ClusterLog(message.LogInfo, fmt.Sprintf("osd.%d %v boot", b.OSD, b.Public))
	return nil
}

// maxOSDNumber bounds the numbers of OSDs, as max_osd allocates.
const maxOSDNumber = 100_000

// refused says whether an OSD must not come up at all: it is destroyed, or another disk has its
// number.
func (s *Service) refused(b *message.MOSDBoot) bool {
	if !s.m.Exists(b.OSD) {
		return false
	}
	have := s.m.UUIDs[b.OSD]
	if !have.IsZero() && have != b.UUID && !s.m.IsDestroyed(b.OSD) {
		s.opt.Log.Warn("boot refused: another disk has this number", "osd", b.OSD,
			"uuid", b.UUID, "known", have)
		return true
	}
	return s.m.IsDestroyed(b.OSD)
}

// bring fills the incremental for an OSD that comes up.
func (s *Service) bring(inc *osdmap.Incremental, b *message.MOSDBoot) {
	id := b.OSD
	inc.NewMaxOSD = growth(s.m, inc, id)
	put(&inc.NewUpClient, id, b.Public)
	put(&inc.NewUpCluster, id, b.Cluster)
	put(&inc.NewHBBack, id, b.HBBack)
	put(&inc.NewHBFront, id, b.HBFront)
	known := s.m.Exists(id)
	if !known || s.m.UUIDs[id] != b.UUID {
		put(&inc.NewUUID, id, b.UUID)
	}
	x := osdmap.OSDXInfo{}
	if known {
		x = s.m.XInfo[id]
		if b.CleanFrom > s.m.Info[id].LastCleanBegin {
			put(&inc.NewLastClean, id, osdmap.CleanInterval{Begin: b.CleanFrom, End: b.CleanTo})
		}
	}
	if x.Features != b.Features {
		x.Features = b.Features
		put(&inc.NewXInfo, id, x)
	}
	s.bringIn(inc, id, known, x)
}

// bringIn gives a new OSD, or one that was put out automatically, its weight.
func (s *Service) bringIn(inc *osdmap.Incremental, id int32, known bool, x osdmap.OSDXInfo) {
	if s.m.NodeFlag(id, osdmap.OSDNoIn) || s.m.Flags.Has(osdmap.FlagNoIn) {
		return
	}
	fresh := !known || s.m.State[id].Has(osdmap.OSDNew)
	auto := known && s.m.State[id].Has(osdmap.OSDAutoOut)
	switch {
	case known && s.m.IsIn(id) && !fresh:
	case auto && x.OldWeight > 0:
		put(&inc.NewWeight, id, x.OldWeight)
		x.OldWeight = 0
		put(&inc.NewXInfo, id, x)
	case fresh || auto:
		put(&inc.NewWeight, id, osdmap.WeightIn)
	}
}

// growth is the max_osd that an incremental needs for an OSD, -1 for no change.
func growth(m *osdmap.Map, inc *osdmap.Incremental, id int32) int32 {
	if id >= m.MaxOSD {
		return max(inc.NewMaxOSD, id+1)
	}
	return inc.NewMaxOSD
}

// place puts an OSD under its host in the CRUSH map with the weight of its size in TiB
// (osd_crush_update_on_start), and gives it its device class.
func (s *Service) place(now time.Time, b *message.MOSDBoot) error {
	host := b.Metadata["hostname"]
	if host == "" {
		host = "unknown"
	}
	loc := crush.Location{"host": host, "root": "default"}
	weight := float64(b.Bytes) / tib
	if w := s.opt.Options().Float("osd_crush_initial_weight"); w >= 0 {
		weight = w
	}
	item := fmt.Sprintf("osd.%d", b.OSD)
	w, err := crush.WeightOf(max(weight, 0.0001))
	if err != nil {
		return err
	}
	_, at := s.m.Crush.CheckLocation(b.OSD, loc)
	class := deviceClass(b)
	if at && (class == "" || s.m.Crush.ItemClass(b.OSD) != "") {
		return nil
	}
	return s.editCrush(now, func(c *crush.Map) error {
		if !at {
			if _, err := c.CreateOrMove(b.OSD, w, item, loc); err != nil {
				return err
			}
		}
		if class != "" && c.ItemClass(b.OSD) == "" {
			_, err := c.SetDeviceClass(b.OSD, class)
			return err
		}
		return nil
	})
}

// deviceClass is what an OSD says its disk is, or what follows from whether it rotates.
func deviceClass(b *message.MOSDBoot) string {
	switch {
	case b.Class != "":
		return b.Class
	case b.Metadata["rotational"] == "1":
		return "hdd"
	}
	return "ssd"
}

// Alive records up_thru.
func (s *Service) Alive(now time.Time, a *message.MOSDAlive) {
	if !s.m.IsUp(a.OSD) || s.m.Info[a.OSD].UpThru >= a.Want || a.Want > s.m.Epoch {
		return
	}
	if s.pending != nil && s.pending.NewUpThru[a.OSD] >= a.Want {
		return
	}
	put(&s.inc(now).NewUpThru, a.OSD, a.Want)
}

// PGTemp records temporary acting sets that an OSD asks for.
func (s *Service) PGTemp(now time.Time, t *message.MOSDPGTemp) {
	if !s.m.IsUp(t.OSD) {
		return
	}
	for pg, osds := range t.Temp {
		p := s.m.Pool(pg.Pool)
		if p == nil || pg.Seed >= p.PGNum || len(osds) > int(p.Size)*2 {
			continue
		}
		if slices.ContainsFunc(osds, func(id int32) bool {
			return id != crush.None && !s.m.IsUp(id)
		}) {
			continue
		}
		up, _, _, _ := s.m.PGToUpActing(pg)
		if slices.Equal(osds, up) {
			osds = nil // the wish is what CRUSH gives
		}
		if slices.Equal(s.m.PGTemp[pg], osds) {
			continue
		}
		put(&s.inc(now).NewPGTemp, pg, osds)
	}
}

// MarkMeDown marks an OSD down that is shutting down; it says whether the map must change first.
func (s *Service) MarkMeDown(now time.Time, d *message.MOSDMarkMeDown) (bool, error) {
	if !s.m.IsUp(d.OSD) || !s.m.Addrs(d.OSD).Equal(d.Addrs) || s.m.Flags.Has(osdmap.FlagNoDown) {
		return false, nil
	}
	if err := s.touch(d.OSD); err != nil {
		return true, err
	}
	inc := s.inc(now)
	put(&inc.NewState, d.OSD, osdmap.OSDUp)
	if d.AndDead {
		s.markDead(now, d.OSD)
	}
	s.opt.ClusterLog(message.LogInfo, fmt.Sprintf("osd.%d marked itself down", d.OSD))
	return true, nil
}

// Beacon notes that an OSD lives.
func (s *Service) Beacon(now time.Time, b *message.MOSDBeacon) {
	if s.m.IsUp(b.OSD) {
		s.beacons[b.OSD] = beacon{now, b.MinLastEpochClean}
	}
}

// Failure takes an OSD's report about another.
func (s *Service) Failure(now time.Time, f *message.MOSDFailure) {
	if !s.m.IsUp(f.Target) || !s.m.IsUp(f.Reporter) || !s.m.Addrs(f.Target).Equal(f.Addrs) {
		return
	}
	if f.Flags&message.FailureFailed == 0 {
		if r := s.failures[f.Target]; r != nil {
			if delete(r.since, f.Reporter); len(r.since) == 0 {
				delete(s.failures, f.Target)
			}
		}
		return
	}
	if !s.canMarkDown(f.Target) {
		return
	}
	if f.Flags&message.FailureImmediate != 0 {
		s.opt.ClusterLog(message.LogInfo, fmt.Sprintf(
			"osd.%d reported immediately failed by osd.%d", f.Target, f.Reporter))
		if s.markDown(now, f.Target) {
			s.markDead(now, f.Target)
		}
		return
	}
	r := s.failures[f.Target]
	if r == nil {
		r = &failure{since: map[int32]time.Time{}, epoch: s.m.Epoch}
		s.failures[f.Target] = r
	}
	if _, ok := r.since[f.Reporter]; !ok {
		r.since[f.Reporter] = now.Add(-time.Duration(f.FailedFor) * time.Second)
	}
	s.judge(now, f.Target, r)
}

// canMarkDown says whether the flags and the share of OSDs that are up allow another to go down.
func (s *Service) canMarkDown(id int32) bool {
	if s.m.Flags.Has(osdmap.FlagNoDown) || s.m.NodeFlag(id, osdmap.OSDNoDown) {
		return false
	}
	exist, up, _ := s.m.Counts()
	if s.pending != nil {
		for id, x := range s.pending.NewState {
			if s.m.IsUp(id) && x.Has(osdmap.OSDUp) {
				up--
			}
		}
	}
	least := s.opt.Options().Float("mon_osd_min_up_ratio")
	return exist > 0 && float64(up-1)/float64(exist) >= least
}

// markDown says whether the OSD will be down; not when something else of it is being changed.
func (s *Service) markDown(now time.Time, id int32) bool {
	if s.touch(id) != nil {
		return false
	}
	put(&s.inc(now).NewState, id, osdmap.OSDUp)
	delete(s.failures, id)
	return true
}

// markDead notes with an OSD that goes down that its process is gone: nobody has to wait for leases
// that it may hold. What the map would note by itself comes before this and is replaced by it.
func (s *Service) markDead(now time.Time, id int32) {
	x := s.m.XInfo[id]
	x.DeadEpoch, x.DownStamp = s.m.Epoch, ceph.TimeOf(now)
	put(&s.inc(now).NewXInfo, id, x)
}

// judge marks an OSD down when enough reporters in different places have missed it for long enough.
func (s *Service) judge(now time.Time, id int32, r *failure) {
	set := s.opt.Options()
	for rep := range r.since {
		if !s.m.IsUp(rep) {
			delete(r.since, rep)
		}
	}
	grace := set.Duration("osd_heartbeat_grace")
	var longest time.Duration
	for _, t := range r.since {
		longest = max(longest, now.Sub(t))
	}
	places := s.places(slices.Collect(maps.Keys(r.since)))
	if longest < grace || places < int(set.Int("mon_osd_min_down_reporters")) ||
		!s.canMarkDown(id) {
		return
	}
	s.opt.ClusterLog(message.LogInfo, fmt.Sprintf(
		"osd.%d failed (%d reporters from different places after %d >= grace %d)",
		id, places, int(longest.Seconds()), int(grace.Seconds())))
	s.markDown(now, id)
}

// places counts reporters in different buckets of mon_osd_reporter_subtree_level. Where all OSDs
// are in one such bucket, the OSDs themselves count.
func (s *Service) places(reporters []int32) int {
	typ, ok := s.m.Crush.TypeID(s.opt.Options().Str("mon_osd_reporter_subtree_level"))
	if !ok || typ == 0 {
		return len(reporters)
	}
	bucket := func(id int32) (int32, bool) { return s.m.Crush.ParentOfType(id, typ, -1) }
	all, hit := map[int32]bool{}, map[int32]bool{}
	for _, id := range s.m.OSDs() {
		if b, ok := bucket(id); ok {
			all[b] = true
		}
	}
	if len(all) <= 1 {
		return len(reporters)
	}
	for _, id := range reporters {
		if b, ok := bucket(id); ok {
			hit[b] = true
		}
	}
	return len(hit)
}

// Tick does what time asks for: reporters' patience, silent OSDs, OSDs that are down for too long,
// blocklist entries that have expired.
func (s *Service) Tick(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	for id, r := range s.failures {
		s.judge(now, id, r)
	}
	s.tickBeacons(now)
	s.tickOut(now)
	s.tickQuotas(now)
	s.tickSnaps(now)
	t := ceph.TimeOf(now)
	for a, until := range s.m.Blocklist {
		if until.Compare(t) < 0 {
			inc := s.inc(now)
			inc.OldBlocklist = append(inc.OldBlocklist, a)
		}
	}
	for a, until := range s.m.RangeBlocklist {
		if until.Compare(t) < 0 {
			inc := s.inc(now)
			inc.OldRangeBlocklist = append(inc.OldRangeBlocklist, a)
		}
	}
	if s.pending != nil {
		slices.SortFunc(s.pending.OldBlocklist, ceph.Addr.Compare)
		slices.SortFunc(s.pending.OldRangeBlocklist, ceph.Addr.Compare)
	}
}

func (s *Service) tickBeacons(now time.Time) {
	limit := s.opt.Options().Duration("mon_osd_report_timeout")
	for _, id := range s.m.OSDs() {
		last := s.beacons[id].at
		if last.Before(s.since) {
			last = s.since
		}
		if s.m.IsUp(id) && now.Sub(last) > limit && s.canMarkDown(id) {
			s.opt.ClusterLog(message.LogInfo, fmt.Sprintf(
				"osd.%d marked down after no beacon for %d "+
					"seconds", id, int(now.Sub(last).Seconds())))
			s.markDown(now, id)
		}
	}
}

// tickOut puts OSDs out that have been down for mon_osd_down_out_interval.
func (s *Service) tickOut(now time.Time) {
	limit := s.opt.Options().Duration("mon_osd_down_out_interval")
	if limit <= 0 || s.m.Flags.Has(osdmap.FlagNoOut) {
		return
	}
	exist, _, in := s.m.Counts()
	for _, id := range s.m.OSDs() {
		if s.m.IsUp(id) || s.m.IsOut(id) || s.m.NodeFlag(id, osdmap.OSDNoOut) || s.touched[id] {
			continue
		}
		since := s.m.XInfo[id].DownStamp.Go()
		if since.Before(s.since) {
			since = s.since // after a restart of everything OSDs get the full interval to come back
		}
		if now.Sub(since) < limit {
			continue
		}
		if s.allDown(id) {
			continue
		}
		if float64(in-1)/float64(exist) < s.opt.Options().Float("mon_osd_min_in_ratio") {
			return
		}
		in--
		_ = s.touch(id)
		inc := s.inc(now)
		put(&inc.NewWeight, id, 0)
		put(&inc.NewState, id, osdmap.OSDAutoOut)
		x := s.m.XInfo[id]
		x.OldWeight = s.m.Weight[id]
		put(&inc.NewXInfo, id, x)
		s.opt.ClusterLog(message.LogInfo, fmt.Sprintf(
			"Marking osd.%d out (has been down for %d seconds)", id, int(now.Sub(since).Seconds())))
	}
}

// allDown says whether everything in the OSD's bucket of mon_osd_down_out_subtree_limit is down:
// then something that they share is broken, and its repair is better than moving all their data.
func (s *Service) allDown(id int32) bool {
	typ, ok := s.m.Crush.TypeID(s.opt.Options().Str("mon_osd_down_out_subtree_limit"))
	if !ok {
		return false
	}
	bucket, ok := s.m.Crush.ParentOfType(id, typ, -1)
	return ok && !slices.ContainsFunc(s.m.Crush.Leaves(bucket), s.m.IsUp)
}
