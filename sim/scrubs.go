package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/osd"
	"glue/sim/harm"
	"glue/store/objectstore"
	"glue/wire/message"
	"glue/wire/msgr"
)

// scrubWithin is how long all PGs may take to be scrubbed, and repaired, at a rest.
const scrubWithin = 2 * time.Minute

// A scrubbing is what is looked at between two bouts: the OSDs scrub all that they have.
type scrubbing struct {
	c    *cluster
	hurt *osdHost // where damage was done at this rest
	what map[ceph.HObject]string
	said []string // errors in the cluster log
	then func()
}

// scheduleScrubs has PGs scrubbed by schedule, often enough for a run. The choices are made apart
// from the others: a seed stays otherwise what it was.
func (c *cluster) scheduleScrubs() {
	r := rand.New(rand.NewPCG(c.w.opt.Seed, 601))
	for _, o := range [][]string{
		{"osd_scrub_min_interval", "20", "60", "86400"},
		{"osd_scrub_max_interval", "30", "300", "604800"},
		{"osd_deep_scrub_interval", "40", "200", "604800"},
		{"osd_scrub_during_recovery", "true", "false"},
		{"osd_scrub_max_preemptions", "0", "1", "5"},
		{"osd_scrub_sleep", "0", "0", "0.1"},
		{"osd_scrub_auto_repair_num_errors", "1", "5"},
	} {
		c.osdConfig[o[0]] = o[1+r.IntN(len(o)-1)]
	}
}

// ask has a PG scrubbed, as the manager does.
func (o *osdHost) ask(pg ceph.SPG, deep, repair bool) {
	peer := msgr.Peer{Name: ceph.EntityName{Type: ceph.TypeMgr}}
	m := &message.MOSDScrub2{FSID: o.w.fsid, PGs: []ceph.SPG{pg}, Deep: deep, Repair: repair}
	o.do(func(x *osd.Member) { x.Deliver(noLink{}, peer, nil, message.New(m)) })
}

// scrubSome has an operator ask for a scrub in the middle of everything.
func (f *faults) scrubSome() {
	o := f.someOSD()
	if o.m == nil {
		return
	}
	for _, p := range o.m.PGs() {
		if p.Primary {
			o.ask(p.ID, f.w.rng.IntN(3) > 0, f.w.rng.IntN(3) == 0)
		}
	}
}

// logged takes what an OSD tells the cluster log. Scrubs find nothing where nothing was damaged.
func (o *osdHost) logged(m *message.MLog) {
	c := o.c
	for _, e := range m.Entries {
		if strings.HasSuffix(e.Message, "scrub starts") && c.scrubbing == nil {
			o.w.result.Scrubbed++
		} else if strings.Contains(e.Message, " deep-scrub ") &&
			strings.HasSuffix(e.Message, " fixed") {
			o.w.result.Repaired++
		}
		if e.Priority != message.LogError || !strings.Contains(e.Message, "scrub") &&
			!strings.Contains(e.Message, "repair") && !strings.Contains(e.Message, "shard") {
			continue
		}
		o.w.trace("scrub says", "osd", o.id, "text", e.Message)
		switch {
		case c.scrubbing != nil:
			c.scrubbing.said = append(c.scrubbing.said, e.Message)
		case c.rotten == nil && !o.dsk.failed && !strings.Contains(e.Message, " failed: "):
			o.w.fail("osd.%d finds what nobody has damaged: %s", o.id, e.Message)
		}
	}
}

// scrub has all PGs scrubbed, which find what is rotten or what is damaged now, no more and no
// less, and have it repaired. Scrubs by schedule, which may do that too, are over by then.
func (c *cluster) scrub(then func()) {
	s := &scrubbing{c: c, hurt: c.rotten, what: map[ceph.HObject]string{}, then: then}
	c.scrubbing = s
	if s.hurt == nil {
		s.hurt = c.osds[c.rng.IntN(len(c.osds))]
	}
	s.over(nil, func() {
		for h := range s.hurt.ail.rot {
			s.what[h] = "rot"
		}
		if c.rng.IntN(2) == 0 {
			s.damage(1 + c.rng.IntN(3))
		}
		s.all(false, s.found)
	})
}

// primaries calls f for the copies that lead PGs which have all the copies that they are to have.
func (c *cluster) primaries(f func(o *osdHost, p *osd.PGCopy)) {
	m := c.newestMap()
	for _, o := range c.osds {
		if o.m == nil {
			continue
		}
		for _, p := range o.m.PGs() {
			if pool := m.Pools[p.ID.Pool]; p.Primary && pool != nil &&
				len(p.Acting) == int(pool.Size) {
				f(o, &p)
			}
		}
	}
}

// all has all PGs scrubbed deeply and waits until that, and all that comes of it, is over.
func (s *scrubbing) all(repair bool, then func()) {
	s.said = nil
	was := map[ceph.SPG]ceph.Time{}
	s.c.primaries(func(o *osdHost, p *osd.PGCopy) {
		was[p.ID] = p.Info.History.LastDeepScrubStamp
		o.ask(p.ID, true, repair)
	})
	s.c.w.result.Scrubs += len(was)
	s.over(was, then)
}

// over waits until no scrub goes on or is asked for, and all PGs have been scrubbed since.
func (s *scrubbing) over(since map[ceph.SPG]ceph.Time, then func()) {
	c, w, until := s.c, s.c.w, s.c.w.now+scrubWithin
	var look func()
	look = func() {
		var left []string
		c.primaries(func(_ *osdHost, p *osd.PGCopy) {
			local, remote := p.Scrub.Slots()
			was, ok := since[p.ID]
			if ok && p.Info.History.LastDeepScrubStamp == was || local || remote ||
				p.Scrub.Asked() {
				left = append(left, fmt.Sprintf("%v %v asked %v", p.ID, p.State, p.Scrub.Asked()))
			}
		})
		why := c.clean()
		switch {
		case w.bad != nil:
		case len(left) == 0 && why == "":
			then()
		case w.now > until:
			w.fail("not scrubbed within %v: %s %v\n%s", scrubWithin, why, left, c.status())
		default:
			w.after(100*time.Millisecond, look)
		}
	}
	look()
}

// found wants the scrub to have found exactly what is damaged.
func (s *scrubbing) found() {
	c, w := s.c, s.c.w
	want := map[ceph.HObject]string{}
	c.primaries(func(_ *osdHost, p *osd.PGCopy) {
		for h, what := range s.what {
			if _, err := s.hurt.store.GetAttrs(p.ID, h); slices.Contains(p.Acting, s.hurt.id) &&
				(err == nil || what == "gone") && s.in(p.ID, h) {
				want[h] = what
			}
		}
	})
	seen := 0
	c.primaries(func(o *osdHost, p *osd.PGCopy) {
		for _, r := range p.Scrub.Records() {
			what, ok := want[r.Object]
			if seen++; !ok || !slices.Equal(r.Bad, []int32{s.hurt.id}) || r.Auth == s.hurt.id {
				w.fail("scrub of %v: %v, right %d, bad %v, errors %#x; damage of osd.%d: %q",
					p.ID, r.Object, r.Auth, r.Bad, r.Errors, s.hurt.id, what)
			}
		}
		if n := len(p.Scrub.Snapsets()); n > 0 {
			w.fail("scrub of %v: %d wrong snapsets: %+v", p.ID, n, p.Scrub.Snapsets())
		}
	})
	switch {
	case w.bad != nil:
	case seen != len(want):
		w.fail("scrubs have found %d of the damages of osd.%d: %v\n%s", seen, s.hurt.id, want,
			strings.Join(s.said, "\n"))
	case len(want) == 0 && len(s.said) > 0:
		w.fail("scrubs find what nobody has damaged:\n%s", strings.Join(s.said, "\n"))
	case len(want) > 0:
		w.result.Damaged += len(want)
		s.all(true, s.repaired)
	default:
		s.end()
	}
}

func (s *scrubbing) in(pg ceph.SPG, h ceph.HObject) bool {
	m := s.c.newestMap()
	return m.RawToPG(ceph.PGID{Pool: pg.Pool, Seed: h.Hash}) == pg.PGID
}

// repaired wants nothing to be wrong any more.
func (s *scrubbing) repaired() {
	c, w := s.c, s.c.w
	c.primaries(func(_ *osdHost, p *osd.PGCopy) {
		if n := p.Stats.Scrub.Errors(); n > 0 || len(p.Scrub.Records()) > 0 {
			w.fail("after its repair %v has %d errors: %+v\n%s", p.ID, n, p.Scrub.Records(),
				strings.Join(s.said, "\n"))
		}
	})
	if w.bad != nil {
		return
	}
	c.compareCopies()
	for name, was := range c.objects.before {
		if now := c.stored(name); !sameSnapState(now, was) {
			w.fail("the repair of %s has made of %v %v", name, was, now)
		}
	}
	s.end()
}

// end is when all is sound again.
func (s *scrubbing) end() {
	c := s.c
	clear(s.hurt.ail.rot) // what is left is in PGs that are elsewhere now
	c.rotten, c.scrubbing = nil, nil
	c.operator.do(cmd(`{"prefix":"osd unset","key":%q}`, restFlag), nil)
	if c.w.bad == nil {
		s.then()
	}
}

// damage does harm to some objects of the disk, which the store does not notice.
func (s *scrubbing) damage(n int) {
	type place struct {
		pg     ceph.SPG
		h      ceph.HObject
		copies int
	}
	var all []place
	s.c.primaries(func(_ *osdHost, p *osd.PGCopy) {
		if !slices.Contains(p.Acting, s.hurt.id) || len(p.Acting) < 2 {
			return
		}
		for _, h := range s.hurt.list(p.ID) {
			if st, err := s.hurt.store.Stat(p.ID, h); err == nil && st.Size > 1 && s.what[h] == "" {
				all = append(all, place{p.ID, h, len(p.Acting)})
			}
		}
	})
	var t objectstore.Transaction
	for range min(n, len(all)) {
		x, k := all[s.c.rng.IntN(len(all))], harm.All[s.c.rng.IntN(len(harm.All))]
		if s.what[x.h] != "" || !k.Sure && x.copies < 3 {
			continue
		}
		s.what[x.h] = k.Name
		s.c.w.trace("damage", "osd", s.hurt.id, "object", x.h, "what", k.Name)
		k.Do(&t, x.pg, x.h)
	}
	if t.Empty() {
		return
	}
	s.hurt.do(func(*osd.Member) {
		if err := s.hurt.store.Submit(&t, nil); err != nil {
			s.c.w.fail("damage: %v", err)
		}
		s.hurt.store.Complete(s.hurt.store.Pending())
	})
}
