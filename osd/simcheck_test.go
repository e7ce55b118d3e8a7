package osd

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"glue/ceph"
	"glue/osd/pglog"
	"glue/osd/recovery"
)

// check compares the copies of every object, reads everything, and checks the history.
func (s *sim) check() {
	final := int64(s.steps + 10)
	var all []porcupineOp
	for o := range simObjects {
		raw, _ := s.m.ObjectPG(simPool, fmt.Sprintf("obj%d", o), "", "")
		pg := s.m.RawToPG(raw)
		_, _, acting, _ := s.m.PGToUpActing(pg)
		h := ceph.HObject{Pool: simPool, Name: fmt.Sprintf("obj%d", o), Hash: raw.Seed,
			Snap: ceph.NoSnap}
		spg := ceph.SPG{PGID: pg, Shard: ceph.NoShard}
		var want string
		for i, osd := range acting {
			got := ""
			for _, f := range s.nodes[osd].family(spg, h) {
				got += fmt.Sprintf("%v: %s\n", f, s.nodes[osd].contents(spg, f))
			}
			if i > 0 && got != want {
				s.t.Errorf("%v on osd.%d is %q, on osd.%d %q", h, osd, got, acting[0], want)
			}
			want = got
		}
		n := s.nodes[acting[0]]
		all = append(all, s.final(o, final, n.at(spg, h, 0)))
		for _, id := range s.snaps.Snaps {
			all = append(all, s.final(o, final, n.at(spg, h, id), id))
		}
	}
	for _, c := range s.cl {
		all = append(all, c.events...)
	}
	for o := range simObjects {
		var ops []porcupine.Operation
		for _, e := range all {
			if e.object == o {
				ops = append(ops, e.op)
			}
		}
		if res := porcupine.CheckOperationsTimeout(registers(s.gone), ops, 10*time.Second); res ==
			porcupine.Illegal {
			slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
			for _, op := range ops {
				s.t.Logf("%+v", op)
			}
			s.t.Errorf("the history of object %d is not linearizable", o)
		}
	}
}

// checkPlaces looks for objects in the wrong PG and for counts that are not right.
func (s *sim) checkPlaces() {
	pool := s.m.Pools[simPool]
	for _, n := range s.nodes {
		colls, _ := n.store.Collections()
		for _, id := range colls {
			p := n.d.shardOf(id).pgs[id]
			if p == nil {
				s.t.Errorf("osd.%d has a collection %v and no such PG", n.id, id)
				continue
			}
			list, _, err := n.store.List(id, ceph.HObject{}, 1000)
			if err != nil {
				s.t.Error(err)
			}
			bytes := 0
			list = slices.DeleteFunc(list, recovery.IsTemp)
			if len(s.snaps.Snaps)+len(s.gone) > 0 {
				bytes = n.shared(id, list)
			}
			for _, o := range list {
				if pool.FoldSeed(o.Hash) != id.Seed {
					s.t.Errorf("osd.%d: %v of hash %x is in %v", n.id, o, o.Hash, id)
				}
				data, _ := n.store.Read(id, o, 0, 0)
				bytes += len(data)
			}
			st := &p.stats
			if p.primary && (int(st.Objects) != len(list) || int(st.Bytes) != bytes) {
				s.t.Errorf("osd.%d %v counts %d objects, %d bytes; it has %d, %d", n.id, id,
					st.Objects, st.Bytes, len(list), bytes)
			}
			if l := p.m.Log(); len(l.Dups()) > 300 {
				s.t.Errorf("osd.%d %v remembers %d requests", n.id, id, len(l.Dups()))
			}
		}
	}
}

// checkLogs looks for a request that was executed twice.
func (s *sim) checkLogs() {
	for _, n := range s.nodes {
		for _, sh := range n.d.shards {
			for _, p := range sh.pgs {
				seen := map[ceph.ReqID]ceph.Eversion{}
				for _, e := range p.m.Log().Entries() {
					if v, ok := seen[e.ReqID]; ok && e.ReqID != (ceph.ReqID{}) {
						s.t.Errorf("osd.%d %v: %v was done as %v and as %v", n.id, p.id,
							e.ReqID, v, e.Version)
					}
					seen[e.ReqID] = e.Version
				}
				s.checkStoredLog(n, p)
			}
		}
	}
}

// checkStoredLog compares a log with the stored one, and looks for entries of other PGs.
func (s *sim) checkStoredLog(n *simNode, p *pg) {
	stored := map[ceph.Eversion]bool{}
	for rec, err := range n.store.Log(p.id, ceph.Eversion{}) {
		r, err2 := pglog.DecodeRecord(rec.Data)
		if err != nil || err2 != nil {
			s.t.Errorf("osd.%d %v: stored log: %v, %v", n.id, p.id, err, err2)
			return
		}
		stored[rec.Version] = r.Entry != nil
	}
	for _, e := range p.m.Log().Entries() {
		if !stored[e.Version] {
			s.t.Errorf("osd.%d %v: entry %v is not stored", n.id, p.id, e.Version)
		}
		if s.m.Pools[simPool].FoldSeed(e.Object.Hash) != p.id.Seed {
			s.t.Errorf("osd.%d %v: entry %v of %v is another PG's", n.id, p.id, e.Version, e.Object)
		}
	}
}

// contents is an object's data, attributes and omap as text.
func (n *simNode) contents(c ceph.SPG, o ceph.HObject) string {
	data, err := n.store.Read(c, o, 0, 0)
	if err != nil {
		return err.Error()
	}
	attrs, _ := n.store.GetAttrs(c, o)
	out := string(data)
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		out += fmt.Sprintf("|%s=%x", k, attrs[k])
	}
	for kv, err := range n.store.OmapScan(c, o, "") {
		out += fmt.Sprintf("|%s:%s %v", kv.Key, kv.Value, err)
	}
	return out
}

// checkSlots looks for recovery slots that are still held when nothing is left to recover.
func (s *sim) checkSlots() {
	for _, n := range s.nodes {
		sl := &n.d.slots
		lg, lw := sl.local.Len()
		rg, rw := sl.remote.Len()
		if lg+lw+rg+rw+len(sl.bringing) > 0 || sl.active.Load() != 0 {
			s.t.Errorf("osd.%d: slots are left over: own %d+%d, lent %d+%d, bringing %v, %d moving",
				n.id, lg, lw, rg, rw, sl.bringing, sl.active.Load())
		}
	}
}
