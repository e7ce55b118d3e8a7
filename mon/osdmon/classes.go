package osdmon

import (
	"fmt"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/crush"
	"glue/mon/service"
)

func (s *Service) cmdClasses(r *service.Request) service.Answer {
	classes := s.m.Crush.Classes()
	if classes == nil {
		classes = []string{}
	}
	return r.JSON(classes)
}

func (s *Service) cmdClassOSDs(r *service.Request) service.Answer {
	return listOSDs(r, s.m.Crush.DevicesOfClass(r.Need("class")))
}

func (s *Service) cmdGetClass(r *service.Request) service.Answer {
	type row struct {
		OSD   int32  `json:"osd"`
		Class string `json:"device_class"`
	}
	rows := []row{}
	for _, w := range r.Strs("ids") {
		id, err := commands.ParseOSD(w)
		if err != nil {
			return service.Fail(ceph.EINVAL, "unable to parse osd id:'%s'", w)
		}
		rows = append(rows, row{id, s.m.Crush.ItemClass(id)})
	}
	if len(rows) == 1 {
		if rows[0].Class == "" && !r.Formatted() {
			return service.OK("")
		}
		return r.Either(rows, rows[0].Class+"\n")
	}
	var lines []string
	for _, row := range rows {
		lines = append(lines, fmt.Sprintf("osd.%d %s", row.OSD, row.Class))
	}
	return r.Either(rows, service.Lines(lines))
}

// classIDs reads the OSDs of a command on device classes; said is about those that it passes over,
// all that they are all OSDs, strict that a word that names none is an error.
func (s *Service) classIDs(r *service.Request, strict bool) (ids []int32, said string, all bool,
	bad *service.Answer,
) {
	for _, w := range r.Strs("ids") {
		if w == "all" || w == "any" || w == "*" {
			return s.m.OSDs(), said, true, nil
		}
		id, err := commands.ParseOSD(w)
		switch {
		case err != nil:
			said += fmt.Sprintf("Expected option value to be integer, got '%s', unable to parse "+
				"osd id:\"%s\". ", w, w)
			if strict {
				a := service.Fail(ceph.EINVAL, "%s", said)
				return nil, said, false, &a
			}
		case !s.m.Exists(id):
			said += fmt.Sprintf("osd.%d does not exist. ", id)
		default:
			ids = append(ids, id)
		}
	}
	return ids, said, false, nil
}

func joined(ids []int32) string {
	return strings.Trim(setText(ids), "[]")
}

func (s *Service) cmdSetClass(r *service.Request) service.Answer {
	class := r.Need("class")
	ids, said, all, _ := s.classIDs(r, false)
	var set []int32
	notes := ""
	for _, id := range ids {
		if s.m.Crush.ItemClass(id) != class {
			set = append(set, id)
			continue
		}
		notes += fmt.Sprintf("osd.%d already set to class %s. ", id, class)
		if !all {
			notes += fmt.Sprintf("set-device-class item id %d name 'osd.%d' device_class '%s': no "+
				"change. ", id, id, class)
		}
	}
	text := fmt.Sprintf("%s%sset osd(s) %s to class '%s'", notes, said, joined(set), class)
	return s.changeCrush(r, text, func(m *crush.Map) (bool, error) {
		for _, id := range set {
			if _, err := m.SetDeviceClass(id, class); err != nil {
				return false, err
			}
		}
		return len(set) > 0, nil
	})
}

func (s *Service) cmdRemoveClass(r *service.Request) service.Answer {
	ids, said, _, bad := s.classIDs(r, true)
	if bad != nil {
		return *bad
	}
	for _, id := range ids {
		if s.m.Crush.ItemClass(id) == "" {
			said += fmt.Sprintf("osd.%d belongs to no class, ", id)
		}
	}
	ids = slices.DeleteFunc(ids, func(id int32) bool { return s.m.Crush.ItemClass(id) == "" })
	said += "done removing class of osd(s): " + joined(ids)
	return s.changeCrush(r, said, func(m *crush.Map) (bool, error) {
		for _, id := range ids {
			if _, err := m.RemoveDeviceClass(id); err != nil {
				return false, err
			}
		}
		return len(ids) > 0, nil
	})
}

func (s *Service) cmdRenameClass(r *service.Request) service.Answer {
	from, to := r.Need("srcname"), r.Need("dstname")
	if _, ok := s.m.Crush.ClassID(from); !ok {
		if _, ok := s.m.Crush.ClassID(to); ok {
			return service.OK("already renamed to '%s'", to)
		}
		return service.Fail(ceph.ENOENT, "fail to rename '%s' to '%s' : (2) No such file or "+
			"directory", from, to)
	}
	return s.changeCrush(r, fmt.Sprintf("rename class '%s' to '%s'", from, to),
		func(m *crush.Map) (bool, error) { return true, m.RenameClass(from, to) })
}

func (s *Service) cmdCreateClass(r *service.Request) service.Answer {
	class := r.Need("class")
	if _, ok := s.m.Crush.ClassID(class); ok {
		return service.OK("class '%s' already exists", class)
	}
	id := int32(0)
	a := s.changeCrush(r, "", func(m *crush.Map) (changed bool, err error) {
		id, changed, err = m.CreateClass(class)
		return changed, err
	})
	if a.Err == 0 {
		a.Text = fmt.Sprintf("created class %s with id %d to crush map", class, id)
	}
	return a
}

func (s *Service) cmdDropClass(r *service.Request) service.Answer {
	class := r.Need("class")
	id, ok := s.m.Crush.ClassID(class)
	if !ok {
		return service.OK("")
	}
	return s.changeCrush(r,
		fmt.Sprintf("removed class %s with id %d from crush map", class, id),
		func(m *crush.Map) (bool, error) {
			_, err := m.RemoveClass(class)
			return err == nil, err
		})
}

func (s *Service) cmdModernize(r *service.Request) service.Answer {
	return s.changeCrush(r, "", func(m *crush.Map) (bool, error) { return m.ModernizeStraw(), nil })
}
