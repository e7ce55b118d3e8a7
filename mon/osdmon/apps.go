package osdmon

import (
	"maps"

	"glue/ceph"
	"glue/cluster/osdmap"
	"glue/internal/cephjson"
	"glue/mon/service"
)

// Bounds of application metadata of a pool.
const (
	maxApps    = 4
	maxAppKeys = 64
	maxAppText = 128
)

// editApps prepares a pool with other application metadata.
func (s *Service) editApps(r *service.Request, id int64, f func(m map[string]map[string]string)) {
	s.editPool(r, id, func(p *osdmap.Pool) {
		m := map[string]map[string]string{}
		for app, keys := range p.Applications {
			m[app] = maps.Clone(keys)
		}
		f(m)
		p.Applications = m
	})
}

func (s *Service) cmdAppEnable(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	app := r.Need("app")
	switch {
	case s.hasApp(p, app): // again is fine
	case app == "":
		return service.Fail(ceph.EINVAL, "application name must be provided")
	case len(p.Applications) > 0 && !r.Bool("yes_i_really_mean_it"):
		return service.Fail(ceph.EPERM, "Are you SURE? Pool '%s' already has an enabled "+
			"application; pass --yes-i-really-mean-it to proceed anyway", r.Str("pool"))
	case len(p.Applications) >= maxApps:
		return service.Fail(ceph.EINVAL, "too many enabled applications on pool '%s'; max %d",
			r.Str("pool"), maxApps)
	case len(app) > maxAppText:
		return service.Fail(ceph.EINVAL, "application name '%s' too long; max length %d", app,
			maxAppText)
	default:
		s.editApps(r, id, func(m map[string]map[string]string) { m[app] = map[string]string{} })
	}
	return service.OK("enabled application '%s' on pool '%s'", app, r.Str("pool"))
}

func (s *Service) cmdAppDisable(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	app := r.Need("app")
	if !r.Bool("yes_i_really_mean_it") {
		return service.Fail(ceph.EPERM, "Are you SURE? Disabling an application within a pool "+
			"might "+
			"result in loss of application functionality; pass --yes-i-really-mean-it to "+
			"proceed anyway")
	}
	if !s.hasApp(p, app) {
		return service.OK("application '%s' is not enabled on pool '%s'", app, r.Str("pool"))
	}
	s.editApps(r, id, func(m map[string]map[string]string) { delete(m, app) })
	return service.OK("disable application '%s' on pool '%s'", app, r.Str("pool"))
}

func (s *Service) cmdAppSet(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	app, key, value := r.Need("app"), r.Need("key"), r.Need("value")
	switch {
	case !s.hasApp(p, app):
		return service.Fail(ceph.ENOENT, "application '%s' is not enabled on pool '%s'", app,
			r.Str("pool"))
	case key == "":
		return service.Fail(ceph.EINVAL, "key must be provided")
	case len(key) > maxAppText:
		return service.Fail(ceph.EINVAL, "key '%s' too long; max length %d", key, maxAppText)
	case len(value) > maxAppText:
		return service.Fail(ceph.EINVAL, "value '%s' too long; max length %d", value, maxAppText)
	case len(p.Applications[app]) >= maxAppKeys:
		return service.Fail(ceph.EINVAL, "too many keys set for application '%s' on pool '%s'; "+
			"max %d", app, r.Str("pool"), maxAppKeys)
	}
	s.editApps(r, id, func(m map[string]map[string]string) { m[app][key] = value })
	return service.OK("set application '%s' key '%s' to '%s' on pool '%s'", app, key, value,
		r.Str("pool"))
}

func (s *Service) cmdAppRemove(r *service.Request) service.Answer {
	id, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	app, key := r.Need("app"), r.Need("key")
	if !s.hasApp(p, app) {
		return service.Fail(ceph.ENOENT, "application '%s' is not enabled on pool '%s'", app,
			r.Str("pool"))
	}
	if _, ok := p.Applications[app][key]; !ok {
		return service.OK("application '%s' on pool '%s' does not have key '%s'", app,
			r.Str("pool"), key)
	}
	s.editApps(r, id, func(m map[string]map[string]string) { delete(m[app], key) })
	return service.OK("removed application '%s' key '%s' on pool '%s'", app, key, r.Str("pool"))
}

func (s *Service) cmdAppGet(r *service.Request) service.Answer {
	if !r.Has("pool") {
		out := cephjson.Object{}
		for _, id := range s.m.PoolIDs() {
			out = append(out, cephjson.Member{Key: s.m.PoolName(id), Value: apps(s.m.Pool(id))})
		}
		return r.JSON(out)
	}
	_, p, bad := s.poolArg(r, "pool")
	if bad != nil {
		return *bad
	}
	app := r.Str("app")
	if app == "" {
		return r.JSON(apps(p))
	}
	keys, ok := p.Applications[app]
	if !ok {
		return service.Fail(ceph.ENOENT, "pool '%s' has no application '%s'", r.Str("pool"), app)
	}
	if !r.Has("key") {
		return r.JSON(notNil(keys))
	}
	v, ok := keys[r.Str("key")]
	if !ok {
		return service.Fail(ceph.ENOENT, "application '%s' on pool '%s' does not have key '%s'",
			app,
			r.Str("pool"), r.Str("key"))
	}
	return service.Plain(v + "\n")
}

func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// apps is a pool's application metadata without nil maps, which would print as null.
func apps(p *osdmap.Pool) map[string]map[string]string {
	out := map[string]map[string]string{}
	for app, keys := range p.Applications {
		out[app] = notNil(keys)
	}
	return out
}
