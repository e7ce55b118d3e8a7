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
	if s.m.IsUp(b.OSD) && s.m.Addrs(b.OSD).Equal(b.Public) {
		return nil // it is up already
	}
	if s.held(b.OSD, osdmap.OSDNoUp) {
		return nil
	}
	if err := s.touch(b.OSD); err != nil {
		return err
	}
	if s.m.IsUp(b.OSD) {
		put(&s.inc(now).NewState, b.OSD, osdmap.OSDUp)
		return ErrBusy // handled again once it is down
	}
	s.bring(now, b)
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

// maxOSDNumber bounds the numbers of OSDs, as max_osd allocates, and commands take no more.
const maxOSDNumber = 1<<16 - 1

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
func (s *Service) bring(now time.Time, b *message.MOSDBoot) {
	inc, id := s.inc(now), b.OSD
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
		x = s.afterBoot(s.m.XInfo[id], b.BootEpoch != 0, now)
		if b.CleanFrom > s.m.Info[id].LastCleanBegin {
			put(&inc.NewLastClean, id, osdmap.CleanInterval{Begin: b.CleanFrom, End: b.CleanTo})
		}
	}
	x.Features = b.Features
	if w := s.bootWeight(id, known, x); w > 0 {
		put(&inc.NewWeight, id, w)
		x.OldWeight = 0
	}
	if !known || x != s.m.XInfo[id] {
		put(&inc.NewXInfo, id, x)
	}
}

// bootWeight is the weight that an OSD gets that comes up, 0 for the one that it has. One that is
// in keeps what an operator may have given it, also with mon_osd_auto_mark_in.
func (s *Service) bootWeight(id int32, known bool, x osdmap.OSDXInfo) uint32 {
	set := s.opt.Options()
	fresh := !known || s.m.State[id].Has(osdmap.OSDNew)
	auto := known && s.m.State[id].Has(osdmap.OSDAutoOut)
	wanted := auto && set.Bool("mon_osd_auto_mark_auto_out_in") ||
		fresh && set.Bool("mon_osd_auto_mark_new_in") || set.Bool("mon_osd_auto_mark_in")
	switch {
	case !wanted || s.held(id, osdmap.OSDNoIn) || s.m.IsIn(id) && !fresh:
		return 0
	case x.OldWeight > 0:
		return x.OldWeight
	}
	return osdmap.WeightIn
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
	if !s.m.IsUp(d.OSD) || !s.m.Addrs(d.OSD).Equal(d.Addrs) || s.held(d.OSD, osdmap.OSDNoDown) {
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

// Tick does what time asks for: reporters' patience, silent OSDs, OSDs that are down for too long,
// blocklist entries that have expired.
func (s *Service) Tick(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	s.tickFailures(now)
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
