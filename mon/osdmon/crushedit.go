package osdmon

import (
	"errors"
	"fmt"
	"strings"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/mon/service"
)

// item finds an item of the CRUSH map by its name.
func item(m *crush.Map, name string) (int32, error) {
	id, ok := m.ItemID(name)
	if !ok {
		return 0, &crush.Error{Errno: ceph.ENOENT,
			Text: fmt.Sprintf("item %s does not exist", name)}
	}
	return id, nil
}

func (s *Service) cmdCrushMove(r *service.Request) service.Answer {
	name := r.Need("name")
	loc, err := crush.ParseLocation(r.Strs("args"))
	if err != nil {
		return crushError(err)
	}
	said := s.movedText(name, "moved", loc)
	return s.changeCrush(r, said, func(m *crush.Map) (bool, error) {
		id, err := item(m, name)
		if err != nil {
			return false, err
		}
		if _, there := m.CheckLocation(id, loc); there {
			return false, nil
		}
		if id >= 0 {
			weight, _ := m.ItemWeight(id)
			return m.CreateOrMove(id, weight, name, loc)
		}
		return true, m.MoveBucket(id, loc)
	})
}

// movedText says what a move or link does, or that the item is there already.
func (s *Service) movedText(name, did string, loc crush.Location) string {
	id, _ := s.m.Crush.ItemID(name)
	if _, there := s.m.Crush.CheckLocation(id, loc); there {
		did = "no need to move"
	}
	return fmt.Sprintf("%s item id %d name '%s' to location %v in crush map", did, id, name, loc)
}

func (s *Service) cmdCrushLink(r *service.Request) service.Answer {
	name := r.Need("name")
	loc, err := crush.ParseLocation(r.Strs("args"))
	if err != nil {
		return crushError(err)
	}
	said := s.movedText(name, "linked", loc)
	return s.changeCrush(r, said, func(m *crush.Map) (bool, error) {
		id, err := item(m, name)
		if err != nil {
			return false, err
		}
		if _, there := m.CheckLocation(id, loc); there {
			return false, nil
		}
		return true, m.LinkBucket(id, loc)
	})
}

func (s *Service) cmdSwapBucket(r *service.Request) service.Answer {
	a, b := r.Need("source"), r.Need("dest")
	said := fmt.Sprintf("swapped bucket of %s to %s", a, b)
	return s.changeCrush(r, said, func(m *crush.Map) (bool, error) {
		x, ok := m.ItemID(a)
		if !ok {
			return false, &crush.Error{Errno: ceph.ENOENT, Text: "source item " + a +
				" does not exist"}
		}
		y, ok := m.ItemID(b)
		if !ok {
			return false, &crush.Error{Errno: ceph.ENOENT, Text: "dest item " + b +
				" does not exist"}
		}
		_, hasParent := m.Parent(x)
		if hasParent && !r.Bool("yes_i_really_mean_it") {
			return false, &crush.Error{Errno: ceph.EPERM, Text: "source item " + a +
				" is not an orphan bucket; pass --yes-i-really-mean-it to proceed anyway"}
		}
		return true, m.SwapBucket(x, y)
	})
}

func (s *Service) cmdAddBucket(r *service.Request) service.Answer {
	name, typ := r.Need("name"), r.Need("type")
	loc, err := crush.ParseLocation(r.Strs("args"))
	if err != nil {
		return crushError(err)
	}
	said := fmt.Sprintf("added bucket %s type %s", name, typ)
	if len(loc) > 0 {
		said += fmt.Sprintf(" to location %v", loc)
	} else {
		said += " to crush map"
	}
	if _, there := s.m.Crush.ItemID(name); there {
		return service.OK("bucket '%s' already exists", name)
	}
	return s.changeCrush(r, said, func(m *crush.Map) (bool, error) {
		t, ok := m.TypeID(typ)
		switch {
		case !ok:
			return false, &crush.Error{Errno: ceph.EINVAL,
				Text: fmt.Sprintf("type '%s' does not exist", typ)}
		case t == 0:
			return false, &crush.Error{Errno: ceph.EINVAL,
				Text: fmt.Sprintf("type '%s' is for devices, not buckets", typ)}
		}
		id, err := m.AddBucket(0, m.DefaultAlg(), uint16(t), name)
		if err != nil || len(loc) == 0 {
			return true, err
		}
		return true, m.MoveBucket(id, loc)
	})
}

func (s *Service) cmdRenameBucket(r *service.Request) service.Answer {
	from, to := r.Need("srcname"), r.Need("dstname")
	if _, ok := s.m.Crush.ItemID(from); !ok {
		if _, ok := s.m.Crush.ItemID(to); ok {
			return service.OK("srcname = '%s' does not exist and dstname = '%s' already exists",
				from, to)
		}
	}
	return s.changeCrush(r, fmt.Sprintf("renamed bucket %s into %s", from, to),
		func(m *crush.Map) (bool, error) { return true, m.RenameBucket(from, to) })
}

func (s *Service) cmdCrushRemove(r *service.Request) service.Answer {
	name, ancestor := r.Need("name"), r.Str("ancestor")
	unlink := strings.HasSuffix(r.Prefix, "unlink")
	target, ok := s.m.Crush.ItemID(name)
	if !ok {
		return service.OK("device '%s' does not appear in the crush map", name)
	}
	if b := s.m.Crush.Bucket(target); b != nil && len(b.Items) > 0 && !unlink {
		return service.Fail(ceph.ENOTEMPTY, "")
	}
	if _, ok := s.m.Crush.ItemID(ancestor); ancestor != "" && !ok {
		return service.Fail(ceph.ENOENT, "ancestor item '%s' does not appear in the crush map",
			ancestor)
	}
	err := s.editCrush(r.Now, func(m *crush.Map) error {
		id, err := item(m, name)
		if err != nil {
			return err
		}
		if ancestor == "" {
			return m.RemoveItem(id, unlink)
		}
		under, err := item(m, ancestor)
		if err != nil {
			return err
		}
		return m.RemoveItemUnder(id, under, unlink)
	})
	switch {
	case errors.Is(err, ceph.ENOENT): // or the command was sent again
		return service.OK("item %d does not appear in that position", target)
	case err != nil:
		return crushError(err)
	}
	return service.OK("removed item id %d name '%s' from crush map", target, name)
}

func (s *Service) cmdCrushReweight(r *service.Request) service.Answer {
	return s.reweight(r, func(m *crush.Map, id int32, w uint32) error {
		if id < 0 {
			return &crush.Error{Errno: ceph.EINVAL,
				Text: fmt.Sprintf("device '%s' is not a leaf in the crush map", r.Str("name"))}
		}
		_, err := m.AdjustItemWeight(id, w)
		return err
	}, "reweighted item id")
}

func (s *Service) cmdReweightSubtree(r *service.Request) service.Answer {
	return s.reweight(r, func(m *crush.Map, id int32, w uint32) error {
		if id >= 0 {
			return &crush.Error{Errno: ceph.EINVAL,
				Text: fmt.Sprintf("device '%s' is not a subtree in the crush map",
					r.Str("name"))}
		}
		_, err := m.AdjustSubtreeWeight(id, w)
		return err
	}, "reweighted subtree id")
}

func (s *Service) reweight(
	r *service.Request, f func(*crush.Map, int32, uint32) error, what string,
) service.Answer {
	name, weight := r.Need("name"), r.NeedFloat("weight")
	w, err := crush.WeightOf(weight)
	if err != nil {
		return crushError(err)
	}
	id, ok := s.m.Crush.ItemID(name)
	if !ok {
		return service.Fail(ceph.ENOENT, "device '%s' does not appear in the crush map", name)
	}
	said := fmt.Sprintf("%s %d name '%s' to %v in crush map", what, id, name, weight)
	return s.changeCrush(r, said, func(m *crush.Map) (bool, error) { return true, f(m, id, w) })
}

func (s *Service) cmdReweightAll(r *service.Request) service.Answer {
	return s.changeCrush(r, "reweighted crush hierarchy",
		func(m *crush.Map) (bool, error) { return true, m.ReweightAll() })
}

func (s *Service) cmdTunables(r *service.Request) service.Answer {
	profile := r.Need("profile")
	return s.changeCrush(r, "adjusted tunables profile to "+profile,
		func(m *crush.Map) (bool, error) { return true, m.SetProfile(profile) })
}

func (s *Service) cmdSetTunable(r *service.Request) service.Answer {
	name, value := r.Need("tunable"), r.NeedInt("value")
	if name != "straw_calc_version" || value < 0 || value > 1 {
		return service.Fail(ceph.EINVAL, "value must be 0 or 1; got %d", value)
	}
	return s.changeCrush(r, fmt.Sprintf("adjusted tunable %s to %d", name, value),
		func(m *crush.Map) (bool, error) {
			m.Tunables.StrawCalcVersion = uint8(value)
			return true, nil
		})
}
