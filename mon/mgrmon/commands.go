package mgrmon

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"glue/ceph"
	"glue/internal/cephjson"
	"glue/mon/service"
	"glue/wire/message"
)

// Commands are the mgr commands.
func (s *Service) Commands() []service.Row {
	return []service.Row{
		{Prefix: "mgr dump", Run: s.cmdDump},
		{Prefix: "mgr stat", Run: s.cmdStat},
		{Prefix: "mgr services", Run: s.cmdServices},
		{Prefix: "mgr fail", Run: s.cmdFail},
		{Prefix: "mgr metadata", Run: s.cmdMetadata},
		{Prefix: "mgr module ls", Run: s.cmdModules},
		{Prefix: "mgr module enable", Run: s.cmdEnable},
		{Prefix: "mgr module disable", Run: s.cmdDisable},
	}
}

func (s *Service) cmdDump(r *service.Request) service.Answer {
	if e := r.Int("epoch", 0); e != 0 && e != int64(s.m.Epoch) {
		return service.Fail(ceph.ENOENT, "there is no map for epoch %d", e)
	}
	return r.JSON(s.m.Dump())
}

func (s *Service) cmdStat(r *service.Request) service.Answer { return r.JSON(s.m.Stat()) }

func (s *Service) cmdServices(r *service.Request) service.Answer {
	out := s.m.Services
	if out == nil {
		out = map[string]string{}
	}
	return r.JSON(out)
}

func (s *Service) cmdFail(r *service.Request) service.Answer {
	who := r.Str("who")
	if who == "" {
		who = s.m.ActiveName
	}
	if who == "" {
		return service.OK("Currently no active mgr")
	}
	gid, err := strconv.ParseUint(who, 10, 64)
	byGID := err == nil
	if byGID && gid == s.m.ActiveGID || !byGID && who == s.m.ActiveName {
		if s.m.ActiveGID == 0 {
			return service.OK("Currently no active mgr")
		}
		s.opt.Log(message.LogInfo, fmt.Sprintf("Manager daemon %s was failed by command", who))
		s.failActive(r.Now)
		s.promote(r.Now)
		return service.OK("")
	}
	for g, st := range s.m.Standbys {
		if byGID && g == gid || !byGID && st.Name == who {
			delete(s.edit().Standbys, g)
			return service.OK("")
		}
	}
	return service.OK("Daemon not found '%s', already failed?", who)
}

func (s *Service) cmdMetadata(r *service.Request) service.Answer {
	one := func(name string) cephjson.Object {
		out := cephjson.Object{{Key: "name", Value: name}}
		for _, k := range slices.Sorted(maps.Keys(s.meta[name])) {
			out = append(out, cephjson.Member{Key: k, Value: s.meta[name][k]})
		}
		return out
	}
	if r.Has("who") {
		if !s.m.HasName(r.Str("who")) {
			return service.Fail(ceph.ENOENT, "mgr.%s does not exist", r.Str("who"))
		}
		return r.JSON(one(r.Str("who")))
	}
	list := []any{}
	for _, name := range s.Names() {
		list = append(list, one(name))
	}
	return r.JSON(list)
}

// always are the modules that are part of the manager and can't be switched.
func (s *Service) cmdModules(r *service.Request) service.Answer {
	enabled := slices.Sorted(maps.Keys(s.m.Modules))
	if enabled == nil {
		enabled = []string{}
	}
	always, disabled := []string{}, []any{}
	for _, m := range s.m.AvailableModules {
		always = append(always, m.Name)
	}
	return r.JSON(cephjson.Object{
		{Key: "always_on_modules", Value: always},
		{Key: "enabled_modules", Value: enabled},
		{Key: "disabled_modules", Value: disabled},
	})
}

func (s *Service) hasModule(name string) bool {
	return slices.Contains(moduleNames(s.m), name)
}

func (s *Service) cmdEnable(r *service.Request) service.Answer {
	name := r.Need("module")
	if s.hasModule(name) {
		return service.OK("module '%s' is already enabled (always-on)", name)
	}
	return service.Fail(ceph.ENOENT, "all mgr daemons do not support module '%s', "+
		"pass --force to force enablement", name)
}

func (s *Service) cmdDisable(r *service.Request) service.Answer {
	name := r.Need("module")
	if s.hasModule(name) {
		return service.Fail(ceph.EINVAL, "module '%s' cannot be disabled (always-on)", name)
	}
	return service.OK("module '%s' is already disabled", name)
}
