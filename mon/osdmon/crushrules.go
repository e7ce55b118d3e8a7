package osdmon

import (
	"glue/ceph"
	"glue/cluster/crush"
	"glue/mon/service"
)

// ruleCommands are the commands on CRUSH rules.
func (s *Service) ruleCommands() []service.Row {
	return []service.Row{
		{Prefix: "osd crush rule ls", Run: s.cmdRules},
		{Prefix: "osd crush rule list", Run: s.cmdRules},
		{Prefix: "osd crush rule ls-by-class", Run: s.cmdRulesByClass},
		{Prefix: "osd crush rule dump", Run: s.cmdRuleDump},
		{Prefix: "osd crush rule create-simple", Run: s.cmdRuleSimple},
		{Prefix: "osd crush rule create-replicated", Run: s.cmdRuleReplicated},
		{Prefix: "osd crush rule create-erasure", Run: s.cmdRuleErasure},
		{Prefix: "osd crush rule rm", Run: s.cmdRuleRemove},
		{Prefix: "osd crush rule rename", Run: s.cmdRuleRename},
	}
}

func (s *Service) cmdRules(r *service.Request) service.Answer {
	names := []string{}
	for _, d := range s.m.Crush.DumpRules() {
		names = append(names, d.Name)
	}
	return r.Either(names, service.Lines(names))
}

func (s *Service) cmdRulesByClass(r *service.Request) service.Answer {
	class := r.Need("class")
	if _, ok := s.m.Crush.ClassID(class); !ok {
		return service.Fail(ceph.ENOENT, "failed to get rules by class '%s'", class)
	}
	names := []string{}
	for _, id := range s.m.Crush.RulesOfClass(class) {
		names = append(names, s.m.Crush.RuleNames[int32(id)])
	}
	return r.Either(names, service.Lines(names))
}

func (s *Service) cmdRuleDump(r *service.Request) service.Answer {
	name := r.Str("name")
	if name == "" {
		return r.JSON(s.m.Crush.DumpRules())
	}
	id, ok := s.m.Crush.RuleID(name)
	if !ok {
		return service.Fail(ceph.ENOENT, "unknown crush rule '%s'", name)
	}
	return r.JSON(s.m.Crush.DumpRule(id))
}

func (s *Service) cmdRuleSimple(r *service.Request) service.Answer {
	return s.createRule(r, crush.SimpleRule{Name: r.Need("name"), Root: r.Need("root"),
		FailureDomain: r.Need("type"), Indep: r.Str("mode") == "indep",
		Type: crush.TypeReplicated})
}

func (s *Service) cmdRuleReplicated(r *service.Request) service.Answer {
	return s.createRule(r, crush.SimpleRule{Name: r.Need("name"), Root: r.Need("root"),
		FailureDomain: r.Need("type"), Class: r.Str("class"),
		Type: crush.TypeReplicated})
}

func (s *Service) createRule(r *service.Request, rule crush.SimpleRule) service.Answer {
	if _, there := s.m.Crush.RuleID(rule.Name); there {
		return service.OK("rule %s already exists", rule.Name)
	}
	return s.changeCrush(r, "", func(m *crush.Map) (bool, error) {
		_, err := m.AddSimpleRule(rule)
		return true, err
	})
}

func (s *Service) cmdRuleRemove(r *service.Request) service.Answer {
	name := r.Need("name")
	id, ok := s.m.Crush.RuleID(name)
	if !ok {
		return service.OK("rule %s does not exist", name)
	}
	for _, p := range s.m.Pools {
		if int(p.CrushRule) == id {
			return service.Fail(ceph.EBUSY, "crush ruleset %s %d is in use", name, id)
		}
	}
	return s.changeCrush(r, "", func(m *crush.Map) (bool, error) { return true, m.RemoveRule(id) })
}

func (s *Service) cmdRuleRename(r *service.Request) service.Answer {
	from, to := r.Need("srcname"), r.Need("dstname")
	if from == to {
		return service.OK("destination rule name is equal to source rule name")
	}
	if _, ok := s.m.Crush.RuleID(from); !ok {
		if _, ok := s.m.Crush.RuleID(to); ok {
			return service.OK("already renamed to '%s'", to)
		}
	}
	return s.changeCrush(r, "",
		func(m *crush.Map) (bool, error) { return true, m.RenameRule(from, to) })
}
