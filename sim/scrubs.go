package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/osd"
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
// less, and have it repaired.
func (c *cluster) scrub(then func()) {
	s := &scrubbing{c: c, hurt: c.rotten, what: map[ceph.HObject]string{}, then: then}
	c.scrubbing = s
	if s.hurt == nil {
		s.hurt = c.osds[c.rng.IntN(len(c.osds))]
	}
	for h := range s.hurt.ail.rot {
		s.what[h] = "rot"
	}
	if c.rng.IntN(2) == 0 {
		s.damage(1 + c.rng.IntN(3))
	}
	s.all(false, s.found)
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
	c, w := s.c, s.c.w
	s.said = nil
	was := map[ceph.SPG]ceph.Time{}
	c.primaries(func(o *osdHost, p *osd.PGCopy) {
		was[p.ID] = p.Info.History.LastDeepScrubStamp
		o.ask(p.ID, true, repair)
	})
	until := w.now + scrubWithin
	var look func()
	look = func() {
		left := []string{}
		c.primaries(func(_ *osdHost, p *osd.PGCopy) {
			local, remote := p.Scrub.Slots()
			if p.Info.History.LastDeepScrubStamp == was[p.ID] || local || remote ||
				p.Scrub.Asked() {
				left = append(left, fmt.Sprintf("%v %v asked %v", p.ID, p.State, p.Scrub.Asked()))
			}
		})
		why := c.clean()
		switch {
		case w.bad != nil:
		case len(left) == 0 && why == "":
			w.result.Scrubs += len(was)
			then()
		case w.now > until:
			w.fail("not scrubbed within %v, repair %v: %s %v\n%s", scrubWithin, repair, why, left,
				c.status())
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
	if c.w.bad == nil {
		s.then()
	}
}

// A harm is what can be done to one copy of an object. It is certain to be known by itself, or by
// its being unlike two others.
type harm struct {
	name string
	sure bool
	do   func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject)
}

var harms = []harm{
	{"other data", false, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.Write(c, h, 0, []byte("?"))
	}},
	{"shorter", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.Truncate(c, h, 1)
	}},
	{"longer", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.Truncate(c, h, 9999)
	}},
	{"gone", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.Remove(c, h)
	}},
	{"no info", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.RmAttr(c, h, "_")
	}},
	{"garbage for info", true, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.SetAttr(c, h, "_", []byte{1, 2, 3})
	}},
	{"strange attribute", false, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.SetAttr(c, h, "_strange", []byte("v"))
	}},
	{"other omap", false, func(t *objectstore.Transaction, c ceph.SPG, h ceph.HObject) {
		t.OmapSet(c, h, map[string][]byte{"strange": []byte("v")})
	}},
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
		x, k := all[s.c.rng.IntN(len(all))], harms[s.c.rng.IntN(len(harms))]
		if s.what[x.h] != "" || !k.sure && x.copies < 3 {
			continue
		}
		s.what[x.h] = k.name
		s.c.w.trace("damage", "osd", s.hurt.id, "object", x.h, "what", k.name)
		k.do(&t, x.pg, x.h)
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
