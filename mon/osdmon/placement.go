package osdmon

import (
	"fmt"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/osdmap"
	"glue/mon/service"
)

// osdIDs reads "id", which repeats: OSDs that exist.
func (s *Service) osdIDs(r *service.Request) ([]int32, *service.Answer) {
	var out []int32
	for _, w := range r.Strs("id") {
		id, err := commands.ParseOSD(w)
		if err != nil {
			a := service.Fail(ceph.EINVAL, "invalid osd id '%s'", w)
			return nil, &a
		}
		if !s.m.Exists(id) {
			a := service.Fail(ceph.ENOENT, "osd.%d does not exist", id)
			return nil, &a
		}
		out = append(out, id)
	}
	return out, nil
}

func (s *Service) cmdPGTemp(r *service.Request) service.Answer {
	pg, bad := s.pgArg(r)
	if bad != nil {
		return *bad
	}
	ids, bad := s.osdIDs(r)
	if bad != nil {
		return *bad
	}
	put(&s.inc(r.Now).NewPGTemp, pg, ids)
	return service.OK("set %v pg_temp mapping to %s", pg, setText(ids))
}

func (s *Service) cmdPrimaryTemp(r *service.Request) service.Answer {
	pg, bad := s.pgArg(r)
	if bad != nil {
		return *bad
	}
	if r.Str("id") == "-1" {
		put(&s.inc(r.Now).NewPrimaryTemp, pg, -1)
		return service.OK("cleared %v primary_temp mapping", pg)
	}
	id, bad := s.osdArg(r)
	if bad != nil {
		return *bad
	}
	put(&s.inc(r.Now).NewPrimaryTemp, pg, id)
	return service.OK("set %v primary_temp mapping to %d", pg, id)
}

// cmdRepeer has a PG peer again: for one epoch it is mapped to another set of OSDs, from which its
// primary takes it back.
func (s *Service) cmdRepeer(r *service.Request) service.Answer {
	pg, bad := s.pgArg(r)
	if bad != nil {
		return *bad
	}
	_, _, acting, primary := s.m.PGToUpActing(pg)
	if primary < 0 {
		return service.Fail(ceph.ENOENT, "pg currently has no primary")
	}
	temp := []int32{primary}
	if len(acting) == 1 {
		for _, id := range s.m.OSDs() {
			if s.m.IsUp(id) && id != primary {
				temp = []int32{primary, id}
				break
			}
		}
		if len(temp) == 1 {
			return service.Fail(ceph.EINVAL,
				"unable to find another osd that can be acting instead of osd.%d", primary)
		}
	}
	put(&s.inc(r.Now).NewPGTemp, pg, temp)
	return service.OK("")
}

// mayUpmap says whether all clients must be able to follow pg_upmap.
func (s *Service) mayUpmap(what string) *service.Answer {
	if s.m.RequireMinCompatClient >= osdmap.Luminous {
		return nil
	}
	a := service.Fail(ceph.EPERM, "min_compat_client %v < luminous, which is required for %s. "+
		"Try 'ceph osd set-require-min-compat-client luminous' before using the new interface",
		s.m.RequireMinCompatClient, what)
	return &a
}

func (s *Service) cmdUpmap(r *service.Request) service.Answer {
	if bad := s.mayUpmap("pg-upmap"); bad != nil {
		return *bad
	}
	pg, bad := s.pgArg(r)
	if bad != nil {
		return *bad
	}
	ids, bad := s.osdIDs(r)
	if bad != nil {
		return *bad
	}
	seen := map[int32]bool{}
	for _, id := range ids {
		if seen[id] {
			return service.Fail(ceph.EINVAL, "osd.%d already exists, ", id)
		}
		seen[id] = true
	}
	p := s.m.Pool(pg.Pool)
	if len(ids) < int(p.MinSize) || len(ids) > int(p.Size) {
		return service.Fail(ceph.EINVAL, "num of osds (%d) is out of [%d,%d]", len(ids), p.MinSize,
			p.Size)
	}
	put(&s.inc(r.Now).NewPGUpmap, pg, ids)
	return service.OK("set %v pg_upmap mapping to %s", pg, setText(ids))
}

func (s *Service) cmdRemoveUpmap(r *service.Request) service.Answer {
	pg, bad := s.pgArg(r)
	if bad != nil {
		return *bad
	}
	inc := s.inc(r.Now)
	inc.OldPGUpmap = append(inc.OldPGUpmap, pg)
	return service.OK("clear %v pg_upmap mapping", pg)
}

func (s *Service) cmdUpmapItems(r *service.Request) service.Answer {
	if bad := s.mayUpmap("pg-upmap"); bad != nil {
		return *bad
	}
	pg, bad := s.pgArg(r)
	if bad != nil {
		return *bad
	}
	ids, bad := s.osdIDs(r)
	if bad != nil {
		return *bad
	}
	if len(ids) == 0 || len(ids)%2 != 0 {
		return service.Fail(ceph.EINVAL, "you must specify pairs of osds (<from> <to>)")
	}
	var items []osdmap.Remap
	text := ""
	for i := 0; i < len(ids); i += 2 {
		if ids[i] == ids[i+1] {
			return service.Fail(ceph.EINVAL, "from osd.%d == to osd.%d, ", ids[i], ids[i+1])
		}
		items = append(items, osdmap.Remap{From: ids[i], To: ids[i+1]})
		if text != "" {
			text += ","
		}
		text += fmt.Sprintf("%d->%d", ids[i], ids[i+1])
	}
	put(&s.inc(r.Now).NewPGUpmapItems, pg, items)
	return service.OK("set %v pg_upmap_items mapping to [%s]", pg, text)
}

func (s *Service) cmdRemoveUpmapItems(r *service.Request) service.Answer {
	pg, bad := s.pgArg(r)
	if bad != nil {
		return *bad
	}
	inc := s.inc(r.Now)
	inc.OldPGUpmapItems = append(inc.OldPGUpmapItems, pg)
	return service.OK("clear %v pg_upmap_items mapping", pg)
}

func (s *Service) cmdMakeSnap(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	name := r.Need("snap")
	switch e := s.makePoolSnap(r.Now, id, p, name); e {
	case 0:
		return service.OK("created pool %s snap %s", r.Str("pool"), name)
	case ceph.EEXIST:
		return service.OK("pool %s snap %s already exists", r.Str("pool"), name)
	default:
		return service.Fail(e, "pool %s is in unmanaged snaps mode", r.Str("pool"))
	}
}

func (s *Service) cmdRemoveSnap(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	name := r.Need("snap")
	switch e := s.removePoolSnap(r.Now, id, p, name); e {
	case 0:
		return service.OK("removed pool %s snap %s", r.Str("pool"), name)
	case ceph.ENOENT:
		return service.OK("pool %s snap %s does not exist", r.Str("pool"), name)
	default:
		return service.Fail(e, "pool %s is in unmanaged snaps mode", r.Str("pool"))
	}
}

// cmdReweightN sets several weights: {"0": 65536, ...}.
func (s *Service) cmdReweightN(r *service.Request) service.Answer {
	weights, err := parseWeights(r.Need("weights"))
	if err != nil {
		return service.Fail(ceph.EINVAL, "unable to parse 'weights' value '%s'", r.Str("weights"))
	}
	for id, w := range weights {
		if !s.m.Exists(id) {
			return service.Fail(ceph.ENOENT, "osd.%d does not exist", id)
		}
		put(&s.inc(r.Now).NewWeight, id, w)
	}
	return service.OK("reweighted %d osds", len(weights))
}

// cmdUtilization says how evenly PGs lie on OSDs.
func (s *Service) cmdUtilization(r *service.Request) service.Answer {
	spread := s.m.Spread(nil, nil)
	return r.Either(spread.Dump(), spread.Text())
}
