package mgr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/wire/message"
)

// sendScrub has an OSD scrub PGs whose primary it is; false if it is not connected.
func (s *state) sendScrub(osd int32, kind string, pgs []ceph.PGID) bool {
	d := s.daemons[fmt.Sprintf("osd.%d", osd)]
	if d == nil || d.conn == nil {
		return false
	}
	m := &message.MOSDScrub2{FSID: s.osdmap.FSID, Epoch: s.osdmap.Epoch,
		Repair: kind == "repair", Deep: kind != "scrub"}
	for _, id := range pgs {
		m.PGs = append(m.PGs, ceph.SPG{PGID: id, Shard: ceph.NoShard})
	}
	d.conn.Send(message.New(m))
	return true
}

// scrubKind is the last word of a command: scrub, deep-scrub or repair.
func scrubKind(c *commands.Command) string {
	return c.Prefix[strings.LastIndexByte(c.Prefix, ' ')+1:]
}

func pgScrub(s *state, c *commands.Command) result {
	id, err := ceph.ParsePGID(c.Need("pgid"))
	if err != nil {
		return refuse(ceph.EINVAL, "invalid pgid '%s'", c.Str("pgid"))
	}
	kind := scrubKind(c)
	if pool := s.osdmap.Pools[id.Pool]; pool == nil || id.Seed >= pool.PGNum {
		return refuse(ceph.ENOENT, "pg %v does not exist", id)
	}
	_, _, _, primary := s.osdmap.PGToUpActing(id)
	if primary < 0 {
		return refuse(ceph.EAGAIN, "pg %v has no primary osd", id)
	}
	if !s.sendScrub(primary, kind, []ceph.PGID{id}) {
		return refuse(ceph.EAGAIN, "pg %v primary osd.%d is not currently connected", id, primary)
	}
	return result{status: fmt.Sprintf("instructing pg %v on osd.%d to %s", id, primary, kind)}
}

// primaries are the PGs for which want holds, by their primary.
func (s *state) primaries(want func(ceph.PGID, int32) bool) map[int32][]ceph.PGID {
	out := map[int32][]ceph.PGID{}
	for _, pool := range slices.Sorted(maps.Keys(s.osdmap.Pools)) {
		for seed := range s.osdmap.Pools[pool].PGNum {
			id := ceph.PGID{Pool: pool, Seed: seed}
			_, _, _, primary := s.osdmap.PGToUpActing(id)
			if primary >= 0 && want(id, primary) {
				out[primary] = append(out[primary], id)
			}
		}
	}
	return out
}

func osdScrub(s *state, c *commands.Command) result {
	who, kind := c.Need("who"), scrubKind(c)
	var osds []int32
	if who == "all" || who == "any" || who == "*" {
		osds = slices.DeleteFunc(s.osdmap.OSDs(), func(o int32) bool { return !s.osdmap.IsUp(o) })
	} else {
		id, err := commands.ParseOSD(who)
		if err != nil {
			return refuse(ceph.EINVAL, "Expected option value to be integer, got '%s'"+
				"invalid osd '%s'", who, who)
		}
		if !s.osdmap.IsUp(id) {
			return refuse(ceph.EAGAIN, "osd.%d is not up", id)
		}
		osds = []int32{id}
	}
	pgs := s.primaries(func(_ ceph.PGID, osd int32) bool { return slices.Contains(osds, osd) })
	var sent, lost []int32
	for _, osd := range osds {
		if s.sendScrub(osd, kind, pgs[osd]) {
			sent = append(sent, osd)
		} else {
			lost = append(lost, osd)
		}
	}
	r := result{status: fmt.Sprintf("instructed osd(s) %s to %s", commaList(sent), kind)}
	if len(lost) > 0 {
		r.err = ceph.EAGAIN
		r.status += fmt.Sprintf("; osd(s) %s were not connected", commaList(lost))
	}
	return r
}

func poolScrub(s *state, c *commands.Command) result {
	pools := map[int64]bool{}
	for _, name := range c.Strs("who") {
		id, ok := s.osdmap.PoolByName(name)
		if !ok {
			return refuse(ceph.ENOENT, "unrecognized pool '%s'", name)
		}
		pools[id] = true
	}
	var lost []int32
	for osd, pgs := range s.primaries(func(id ceph.PGID, _ int32) bool { return pools[id.Pool] }) {
		if !s.sendScrub(osd, scrubKind(c), pgs) {
			lost = append(lost, osd)
		}
	}
	if len(lost) > 0 {
		slices.Sort(lost)
		return refuse(ceph.EAGAIN, "osd(s) %s are not connected; the PGs of the others were "+
			"instructed", commaList(lost))
	}
	return result{}
}
