package osdmon

import (
	"maps"
	"slices"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/mon/service"
)

// weightSetCommands are the commands on weight sets: other weights for the choices below a bucket
// than the sum of what is in it, for one pool or, "compat", for all that have none.
func (s *Service) weightSetCommands() []service.Row {
	return []service.Row{
		{Prefix: "osd crush weight-set ls", Run: s.cmdWeightSets},
		{Prefix: "osd crush weight-set dump", Run: s.cmdWeightSetDump},
		{Prefix: "osd crush weight-set create-compat", Run: s.cmdWeightSetCreate},
		{Prefix: "osd crush weight-set create", Run: s.cmdWeightSetCreate},
		{Prefix: "osd crush weight-set rm-compat", Run: s.cmdWeightSetRemove},
		{Prefix: "osd crush weight-set rm", Run: s.cmdWeightSetRemove},
		{Prefix: "osd crush weight-set reweight-compat", Run: s.cmdWeightSetReweight},
		{Prefix: "osd crush weight-set reweight", Run: s.cmdWeightSetReweight},
	}
}

func (s *Service) cmdWeightSets(r *service.Request) service.Answer {
	names := []string{}
	if _, ok := s.m.Crush.ChooseArgs[crush.DefaultArgs]; ok {
		names = append(names, "(compat)")
	}
	for _, id := range slices.Sorted(maps.Keys(s.m.Crush.ChooseArgs)) {
		if id != crush.DefaultArgs {
			names = append(names, s.m.PoolName(id))
		}
	}
	return r.Either(names, service.Lines(names))
}

func (s *Service) cmdWeightSetDump(r *service.Request) service.Answer {
	return r.JSON(s.m.Crush.Dump().ChooseArgs)
}

// weightSet is the set that a command is about: the pool's, or the compat one.
func (s *Service) weightSet(r *service.Request) (int64, *osdmap.Pool, *service.Answer) {
	if !r.Has("pool") {
		return crush.DefaultArgs, nil, nil
	}
	id, ok := s.m.PoolByName(r.Str("pool"))
	if !ok {
		a := service.Fail(ceph.ENOENT, "pool '%s' not found", r.Str("pool"))
		return 0, nil, &a
	}
	return id, s.m.Pool(id), nil
}

func (s *Service) cmdWeightSetCreate(r *service.Request) service.Answer {
	id, p, bad := s.weightSet(r)
	if bad != nil {
		return *bad
	}
	positions := 1
	if p != nil {
		if bad := s.mayUpmap("per-pool weight-sets"); bad != nil {
			return *bad
		}
		if r.Str("mode") == "positional" {
			positions = int(p.Size)
		}
	}
	if _, ok := s.m.Crush.ChooseArgs[id]; ok && p == nil {
		return service.OK("compat weight-set already created")
	} else if ok {
		return service.OK("weight-set for pool '%s' already created", r.Str("pool"))
	}
	return s.changeCrush(r, "", func(m *crush.Map) (bool, error) {
		return m.CreateWeightSet(id, positions)
	})
}

func (s *Service) cmdWeightSetRemove(r *service.Request) service.Answer {
	id, _, bad := s.weightSet(r)
	if bad != nil {
		return *bad
	}
	if _, ok := s.m.Crush.ChooseArgs[id]; !ok {
		return service.OK("")
	}
	return s.changeCrush(r, "", func(m *crush.Map) (bool, error) {
		m.RemoveWeightSet(id)
		return true, nil
	})
}

func (s *Service) cmdWeightSetReweight(r *service.Request) service.Answer {
	id, _, bad := s.weightSet(r)
	if bad != nil {
		return *bad
	}
	if _, ok := s.m.Crush.ChooseArgs[id]; !ok {
		if id == crush.DefaultArgs {
			return service.Fail(ceph.ENOENT, "no backward-compatible weight-set")
		}
		return service.Fail(ceph.ENOENT, "no weight-set for pool '%s'", r.Str("pool"))
	}
	name := r.Need("item")
	target, ok := s.m.Crush.ItemID(name)
	if !ok {
		return service.Fail(ceph.ENOENT, "item '%s' does not exist", name)
	}
	var weights []uint32
	for _, f := range r.Floats("weight") {
		w, err := crush.WeightOf(f)
		if err != nil {
			return crushError(err)
		}
		weights = append(weights, w)
	}
	return s.changeCrush(r, "", func(m *crush.Map) (bool, error) {
		return true, m.AdjustWeightSet(id, target, weights)
	})
}
