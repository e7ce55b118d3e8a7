package osdmon

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
	"glue/mon/service"
)

// crushCommands are the commands that read and edit the CRUSH map's hierarchy.
func (s *Service) crushCommands() []service.Row {
	return []service.Row{
		{Prefix: "osd crush dump", Run: s.cmdCrushDump},
		{Prefix: "osd crush tree", Run: s.cmdCrushTree},
		{Prefix: "osd crush ls", Run: s.cmdCrushList},
		{Prefix: "osd crush show-tunables", Run: s.cmdShowTunables},
		{Prefix: "osd crush get-tunable", Run: s.cmdGetTunable},
		{Prefix: "osd crush class ls", Run: s.cmdClasses},
		{Prefix: "osd crush class ls-osd", Run: s.cmdClassOSDs},
		{Prefix: "osd crush get-device-class", Run: s.cmdGetClass},
		{Prefix: "osd setcrushmap", Run: s.cmdSetCrush},
		{Prefix: "osd crush set", Run: s.cmdCrushSet},
		{Prefix: "osd crush add", Run: s.cmdCrushSet},
		{Prefix: "osd crush create-or-move", Run: s.cmdCreateOrMove},
		{Prefix: "osd crush move", Run: s.cmdCrushMove},
		{Prefix: "osd crush link", Run: s.cmdCrushLink},
		{Prefix: "osd crush swap-bucket", Run: s.cmdSwapBucket},
		{Prefix: "osd crush add-bucket", Run: s.cmdAddBucket},
		{Prefix: "osd crush rename-bucket", Run: s.cmdRenameBucket},
		{Prefix: "osd crush rm", Run: s.cmdCrushRemove},
		{Prefix: "osd crush remove", Run: s.cmdCrushRemove},
		{Prefix: "osd crush unlink", Run: s.cmdCrushRemove},
		{Prefix: "osd crush reweight", Run: s.cmdCrushReweight},
		{Prefix: "osd crush reweight-subtree", Run: s.cmdReweightSubtree},
		{Prefix: "osd crush reweight-all", Run: s.cmdReweightAll},
		{Prefix: "osd crush tunables", Run: s.cmdTunables},
		{Prefix: "osd crush set-tunable", Run: s.cmdSetTunable},
		{Prefix: "osd crush set-device-class", Run: s.cmdSetClass},
		{Prefix: "osd crush rm-device-class", Run: s.cmdRemoveClass},
		{Prefix: "osd crush class rename", Run: s.cmdRenameClass},
		{Prefix: "osd crush class create", Run: s.cmdCreateClass},
		{Prefix: "osd crush class rm", Run: s.cmdDropClass},
		{Prefix: "osd crush set-all-straw-buckets-to-straw2", Run: s.cmdModernize},
	}
}

var errNoChange = errors.New("no change")

// changeCrush runs f on a copy of the CRUSH map and prepares the result if f says that it changed.
// Success is answered with the text said.
func (s *Service) changeCrush(
	r *service.Request, said string, f func(*crush.Map) (changed bool, err error),
) service.Answer {
	err := s.editCrush(r.Now, func(m *crush.Map) error {
		changed, err := f(m)
		if err == nil && !changed {
			err = errNoChange
		}
		return err
	})
	if err != nil && !errors.Is(err, errNoChange) {
		return crushError(err)
	}
	return service.OK("%s", said)
}

// crushError is the answer for an error of the CRUSH map's own.
func crushError(err error) service.Answer {
	errno := ceph.EINVAL
	errors.As(err, &errno)
	return service.Fail(errno, "%v", err)
}

func (s *Service) cmdCrushDump(r *service.Request) service.Answer {
	return r.JSON(s.m.Crush.Dump())
}

func (s *Service) poolNames() map[int64]string {
	names := map[int64]string{}
	for id := range s.m.Pools {
		names[id] = s.m.PoolNames[id]
	}
	return names
}

func (s *Service) cmdCrushTree(r *service.Request) service.Answer {
	shadow := r.Str("shadow") != ""
	if r.Formatted() {
		return r.JSON(s.m.Crush.TreeDump(shadow, s.poolNames()))
	}
	return service.Plain(s.m.Crush.TreeTable(shadow, s.poolNames()))
}

func (s *Service) cmdCrushList(r *service.Request) service.Answer {
	node := r.Need("node")
	id, ok := s.m.Crush.ItemID(node)
	if !ok {
		return service.Fail(ceph.ENOENT, "node '%s' does not exist", node)
	}
	items := []int32{id}
	if id < 0 {
		items = s.m.Crush.Bucket(id).Items
	}
	names := []string{}
	for _, i := range items {
		names = append(names, s.m.Crush.Names[i])
	}
	return r.Either(names, service.Lines(names))
}

func (s *Service) cmdShowTunables(r *service.Request) service.Answer {
	return r.JSON(s.m.Crush.DumpTunables())
}

func (s *Service) cmdGetTunable(r *service.Request) service.Answer {
	if t := r.Need("tunable"); t != "straw_calc_version" {
		return service.Fail(ceph.EINVAL, "unrecognized tunable '%s'", t)
	}
	v := s.m.Crush.Tunables.StrawCalcVersion
	return r.Either(map[string]uint8{"straw_calc_version": v}, fmt.Sprintf("%d\n", v))
}

// cmdSetCrush replaces the whole map by one in binary form.
func (s *Service) cmdSetCrush(r *service.Request) service.Answer {
	m := crush.New()
	if err := denc.Unmarshal(r.Input, m, ceph.FeaturesAll); errors.Is(err, denc.ErrShort) {
		return service.Fail(ceph.EINVAL, "Failed to parse crushmap: End of buffer")
	} else if err != nil {
		return service.Fail(ceph.EINVAL, "Failed to parse crushmap: %v", err)
	}
	want, is := r.Int("prior_version", -1), int64(s.m.CrushVersion)
	if want == is-1 && bytes.Equal(denc.Marshal(m, ceph.FeaturesAll),
		denc.Marshal(s.m.Crush, ceph.FeaturesAll)) {
		return service.OK("%d", is) // it was sent again
	}
	if want >= 0 && want != is {
		return service.Fail(ceph.EPERM, "prior_version %d != crush version %d", want, is)
	}
	if err := m.Validate(); err != nil {
		return service.Fail(ceph.EINVAL, "Failed crushmap test: %v", err)
	}
	for id, p := range s.m.Pools {
		if m.Rule(int(p.CrushRule)) == nil {
			return service.Fail(ceph.EINVAL, "pool '%s' references crush_rule %d but it is "+
				"not present", s.m.PoolNames[id], p.CrushRule)
		}
	}
	s.inc(r.Now).SetCrush(m)
	return service.OK("%d", s.m.CrushVersion+1)
}

// osdAt reads id, weight and place of the commands that put an OSD somewhere.
func (s *Service) osdAt(r *service.Request) (
	id int32, weight uint32, loc crush.Location, bad *service.Answer,
) {
	id = r.OSD("id")
	w, err := crush.WeightOf(r.NeedFloat("weight"))
	if err == nil {
		err = r.Err()
	}
	if err == nil {
		loc, err = crush.ParseLocation(r.Strs("args"))
	}
	if err != nil {
		a := crushError(err)
		return 0, 0, nil, &a
	}
	if !s.m.Exists(id) {
		a := service.Fail(ceph.ENOENT,
			"osd.%d does not exist. Create it before updating the crush map", id)
		return 0, 0, nil, &a
	}
	return id, w, loc, nil
}

func (s *Service) cmdCrushSet(r *service.Request) service.Answer {
	if !r.Has("id") { // "osd crush set" with a map instead of an OSD
		return s.cmdSetCrush(r)
	}
	id, weight, loc, bad := s.osdAt(r)
	if bad != nil {
		return *bad
	}
	name := fmt.Sprintf("osd.%d", id)
	if _, there := s.m.Crush.CheckLocation(id, loc); there {
		return s.setAgain(r, id, weight, loc)
	}
	what := fmt.Sprintf("item id %d name '%s' weight %v at location %v", id, name,
		r.Float("weight", 0), loc)
	action := strings.TrimPrefix(r.Prefix, "osd crush ")
	return s.changeCrush(r, action+" "+what+" to crush map", func(m *crush.Map) (bool, error) {
		_, there := m.CheckLocation(id, loc)
		if action == "set" || there {
			if !m.Holds(id) {
				return false, &crush.Error{Errno: ceph.ENOENT,
					Text: "unable to set " + what + ": does not exist"}
			}
			return m.UpdateItem(id, weight, name, loc)
		}
		return true, m.InsertItem(id, weight, name, loc)
	})
}

// setAgain gives an OSD that is at its place already a weight.
func (s *Service) setAgain(r *service.Request, id int32, weight uint32, loc crush.Location,
) service.Answer {
	name := fmt.Sprintf("osd.%d", id)
	what := fmt.Sprintf("set item id %d name '%s' weight %v at location %v", id, name,
		r.Float("weight", 0), loc)
	if have, ok := s.m.Crush.ItemWeight(id); ok && have == weight {
		return service.OK("%s: no change", what)
	}
	return s.changeCrush(r, what+" to crush map", func(m *crush.Map) (bool, error) {
		return m.UpdateItem(id, weight, name, loc)
	})
}

func (s *Service) cmdCreateOrMove(r *service.Request) service.Answer {
	id, weight, loc, bad := s.osdAt(r)
	if bad != nil {
		return *bad
	}
	name := fmt.Sprintf("osd.%d", id)
	did := "updating"
	if _, there := s.m.Crush.CheckLocation(id, loc); there {
		did = "updated"
	}
	said := fmt.Sprintf("create-or-move %s item name '%s' weight %v at location %v to crush map",
		did, name, r.Float("weight", 0), loc)
	return s.changeCrush(r, said, func(m *crush.Map) (bool, error) {
		return m.CreateOrMove(id, weight, name, loc)
	})
}
