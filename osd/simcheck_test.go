package osd

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"glue/ceph"
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
			got := s.nodes[osd].contents(spg, h)
			if i > 0 && got != want {
				s.t.Errorf("%v on osd.%d is %q, on osd.%d %q", h, osd, got, acting[0], want)
			}
			want = got
		}
		data, _ := s.nodes[acting[0]].store.Read(spg, h, 0, 0)
		all = append(all, porcupineOp{o, porcupine.Operation{ClientId: 99,
			Input: registerInput{read: true}, Call: final, Output: string(data),
			Return: final + 1}})
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
		if res := porcupine.CheckOperationsTimeout(register, ops, 10*time.Second); res ==
			porcupine.Illegal {
			slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
			for _, op := range ops {
				s.t.Logf("%+v", op)
			}
			s.t.Errorf("the history of object %d is not linearizable", o)
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
					if v, ok := seen[e.ReqID]; ok {
						s.t.Errorf("osd.%d %v: %v was done as %v and as %v", n.id, p.id,
							e.ReqID, v, e.Version)
					}
					seen[e.ReqID] = e.Version
				}
			}
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
	return out
}
