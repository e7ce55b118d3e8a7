package osd

import (
	"fmt"

	"glue/ceph"
	"glue/internal/admin"
	"glue/osd/scrub"
)

// scrubCommands are the rows about scrubs.
func (d *Daemon) scrubCommands() []admin.Command {
	const signature = "name=pgid,type=CephPgid,req=false name=time,type=CephInt,req=false"
	return []admin.Command{
		{Prefix: "scrub", Signature: signature, Help: "Trigger a scheduled scrub ",
			Run: func(a admin.Args) (any, error) { return d.cmdTrigger(a, false) }},
		{Prefix: "deep_scrub", Signature: signature, Help: "Trigger a scheduled deep scrub ",
			Run: func(a admin.Args) (any, error) { return d.cmdTrigger(a, true) }},
		{Prefix: "dump_scrubs", Help: "print scheduled scrubs", Run: d.cmdScrubs},
		{Prefix: "dump_scrub_reservations", Help: "show scrub reservations",
			Run: d.cmdScrubSlots},
	}
}

func (d *Daemon) cmdTrigger(args admin.Args, deep bool) (any, error) {
	id, err := ceph.ParsePGID(args.Str("pgid"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ceph.EINVAL)
	}
	out := struct {
		Deep  bool   `json:"deep"`
		Stamp string `json:"stamp"`
	}{Deep: deep}
	spg := ceph.SPG{PGID: id, Shard: ceph.NoShard}
	answer := fmt.Errorf("i don't have pgid %v as its primary: %w", id, ceph.ENOENT)
	d.shardOf(spg).sync(func(s *shard) {
		if p := s.pgs[spg]; p != nil && p.primary {
			answer = nil
			out.Stamp = ceph.TimeOf(s.now.Add(-p.scrub.Trigger(deep))).String()
		}
	})
	return out, answer
}

// eachPG runs f for every PG copy, on its goroutine.
func (d *Daemon) eachPG(f func(*pg)) {
	for _, s := range d.shards {
		s.sync(func(s *shard) {
			for _, p := range s.sorted() {
				f(p)
			}
		})
	}
}

// cmdScrubs lists when the PGs are due whose primary we are, the first one first.
func (d *Daemon) cmdScrubs(admin.Args) (any, error) {
	out := []scrub.Plan{}
	d.eachPG(func(p *pg) {
		if p.primary {
			out = append(out, p.scrub.Plan())
		}
	})
	scrub.SortPlans(out)
	return out, nil
}

func (d *Daemon) cmdScrubSlots(admin.Args) (any, error) {
	out := struct {
		Local  int   `json:"scrubs_local"`
		Remote int   `json:"scrubs_remote"`
		Most   int64 `json:"osd_max_scrubs"`
	}{Most: d.config.Load().scrub.Max}
	d.eachPG(func(p *pg) {
		switch local, remote := p.scrub.Slots(); {
		case local:
			out.Local++
		case remote:
			out.Remote++
		}
	})
	return out, nil
}
