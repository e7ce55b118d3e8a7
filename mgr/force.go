package mgr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/pgstat"
	"glue/wire/message"
)

// A force is what one of the commands that put PGs first, or no longer, does.
type force struct {
	options uint8
	// needs are the states of which a PG has to be in one; forced is what it becomes.
	needs, forced pgstat.State
	// useless and done are what to say of a PG that is not in one, or is already as asked for.
	useless, done string
}

const (
	recovers  = pgstat.Degraded | pgstat.RecoveryWait | pgstat.Recovering
	backfills = pgstat.Degraded | pgstat.BackfillWait | pgstat.Backfilling
)

var forces = map[string]force{
	"force-recovery": {message.ForceRecovery, recovers, pgstat.ForcedRecovery,
		"doesn't require recovery", "recovery already forced"},
	"force-backfill": {message.ForceBackfill, backfills, pgstat.ForcedBackfill,
		"doesn't require backfilling", "backfill already forced"},
	"cancel-force-recovery": {message.ForceRecovery | message.ForceCancel,
		pgstat.ForcedRecovery, 0, "recovery not forced", ""},
	"cancel-force-backfill": {message.ForceBackfill | message.ForceCancel,
		pgstat.ForcedBackfill, 0, "backfill not forced", ""},
}

// pgForce is "pg force-recovery" and its kin.
func pgForce(s *state, c *commands.Command) result {
	var pgs []ceph.PGID
	for _, text := range c.Strs("pgid") {
		id, err := ceph.ParsePGID(text)
		if err != nil {
			return refuse(ceph.EINVAL, "invalid pgid '%s'", text)
		}
		pgs = append(pgs, id)
	}
	return s.force(c, pgs)
}

// poolForce is the same of all PGs of pools.
func poolForce(s *state, c *commands.Command) result {
	var pgs []ceph.PGID
	for _, name := range c.Strs("who") {
		pool, ok := s.osdmap.PoolByName(name)
		if !ok {
			return refuse(ceph.ENOENT, "unrecognized pool '%s'", name)
		}
		for seed := range s.osdmap.Pools[pool].PGNum {
			pgs = append(pgs, ceph.PGID{Pool: pool, Seed: seed})
		}
	}
	return s.force(c, pgs)
}

// force tells the primaries of PGs, and says what it has told whom.
func (s *state) force(c *commands.Command, pgs []ceph.PGID) result {
	word := c.Prefix[strings.LastIndexByte(c.Prefix, ' ')+1:]
	f := forces[word]
	var said strings.Builder
	byOSD := map[int32][]ceph.SPG{}
	failed := error(nil)
	for _, id := range pgs {
		pg := s.pgs.PGs[id]
		switch {
		case pg == nil:
			fmt.Fprintf(&said, "pg %v does not exist; ", id)
			failed = ceph.ENOENT
		case !pg.State.Any(f.needs):
			fmt.Fprintf(&said, "pg %v %s; ", id, f.useless)
		case f.forced != 0 && pg.State.Has(f.forced):
			fmt.Fprintf(&said, "pg %v %s; ", id, f.done)
		case pg.ActingPrimary < 0:
			fmt.Fprintf(&said, "pg %v has no primary osd; ", id)
			failed = ceph.EAGAIN
		default:
			byOSD[pg.ActingPrimary] = append(byOSD[pg.ActingPrimary],
				ceph.SPG{PGID: id, Shard: ceph.NoShard})
		}
	}
	for _, osd := range slices.Sorted(maps.Keys(byOSD)) {
		d := s.daemons[fmt.Sprintf("osd.%d", osd)]
		if d == nil || d.conn == nil {
			fmt.Fprintf(&said, "osd.%d is not currently connected; ", osd)
			failed = ceph.EAGAIN
			continue
		}
		d.conn.Send(message.New(&message.MOSDForceRecovery{FSID: s.osdmap.FSID, PGs: byOSD[osd],
			Options: f.options}))
		var names []string
		for _, pg := range byOSD[osd] {
			names = append(names, pg.PGID.String())
		}
		fmt.Fprintf(&said, "instructing pg(s) [%s] on osd.%d to %s; ",
			strings.Join(names, ","), osd, word)
	}
	return result{status: said.String(), err: failed}
}
