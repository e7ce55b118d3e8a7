package osdmon

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/ecprofile"
	"glue/mon/service"
)

// defaultProfile is what profiles begin with (osd_pool_default_erasure_code_profile).
var defaultProfile = ecprofile.Profile{
	"plugin": "jerasure", "technique": "reed_sol_van", "k": "2", "m": "2",
}

// profileError is the answer for a profile that can't be used.
func profileError(err error) service.Answer {
	errno := ceph.EINVAL
	errors.As(err, &errno)
	return service.Fail(errno, "%v", err)
}

func (s *Service) cmdProfiles(r *service.Request) service.Answer {
	names := slices.Sorted(maps.Keys(s.m.ECProfiles))
	if names == nil {
		names = []string{}
	}
	return r.Either(names, service.Lines(names))
}

func (s *Service) cmdProfileGet(r *service.Request) service.Answer {
	p, ok := s.m.ECProfiles[r.Need("name")]
	if !ok {
		return service.Fail(ceph.ENOENT, "unknown erasure code profile '%s'", r.Str("name"))
	}
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(p)) {
		lines = append(lines, k+"="+p[k])
	}
	return r.Either(p, service.Lines(lines))
}

func (s *Service) cmdProfileSet(r *service.Request) service.Answer {
	name := r.Need("name")
	wanted := ecprofile.Parse(nil, r.Strs("profile"))
	if p, ok := wanted["plugin"]; !ok || p == defaultProfile["plugin"] {
		wanted = ecprofile.Parse(defaultProfile, r.Strs("profile"))
	}
	code, err := ecprofile.Check(wanted)
	if err != nil {
		return profileError(err)
	}
	if domain := code.Profile["crush-failure-domain"]; domain != "" {
		if _, ok := s.m.Crush.TypeID(domain); !ok {
			return service.Fail(ceph.EINVAL, "erasure-code-profile %v contains an invalid "+
				"failure-domain \"%s\"", wanted, domain)
		}
	}
	if have, ok := s.m.ECProfiles[name]; ok {
		if maps.Equal(have, code.Profile) {
			return service.OK("")
		}
		if !r.Bool("force") {
			return service.Fail(ceph.EPERM, "will not override erasure code profile %s because "+
				"the existing profile %v is different from the proposed profile %v", name,
				ecprofile.Profile(have), code.Profile)
		}
	}
	put(&s.inc(r.Now).NewECProfiles, name, map[string]string(code.Profile))
	return service.OK("")
}

func (s *Service) cmdProfileRemove(r *service.Request) service.Answer {
	name := r.Need("name")
	var users []string
	for _, id := range s.m.PoolIDs() {
		if s.m.Pool(id).ECProfile == name {
			users = append(users, s.m.PoolName(id))
		}
	}
	if len(users) > 0 {
		return service.Fail(ceph.EBUSY, "pool(s) %s are using the erasure code profile '%s'",
			strings.Join(users, ", "), name)
	}
	if _, ok := s.m.ECProfiles[name]; !ok {
		return service.OK("erasure-code-profile %s does not exist", name)
	}
	inc := s.inc(r.Now)
	inc.OldECProfiles = append(inc.OldECProfiles, name)
	return service.OK("")
}

// cmdRuleErasure makes the rule that pools of an erasure-code profile need.
func (s *Service) cmdRuleErasure(r *service.Request) service.Answer {
	name, profile := r.Need("name"), r.Str("profile")
	if _, there := s.m.Crush.RuleID(name); there {
		return service.OK("rule %s already exists", name)
	}
	if profile == "" {
		profile = "default"
	}
	code, err := ecprofile.Check(s.m.ECProfiles[profile])
	if err != nil {
		return profileError(err)
	}
	p := code.Profile
	rule := crush.SimpleRule{Name: name, Root: p["crush-root"], Indep: true,
		FailureDomain: p["crush-failure-domain"], Class: p["crush-device-class"],
		Type: crush.TypeErasure, MaxSize: uint8(min(code.Chunks, 255))}
	if where := p["crush-locality"]; where != "" && code.Locality > 0 {
		rule.Locality, rule.GroupSize = where, code.Locality
		rule.Groups = code.Chunks / code.Locality
	}
	id := 0
	a := s.changeCrush(r, "", func(m *crush.Map) (bool, error) {
		id, err = m.AddSimpleRule(rule)
		return true, err
	})
	if a.Err != 0 {
		return a
	}
	return service.OK("created rule %s at %d", name, id)
}
