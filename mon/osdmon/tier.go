package osdmon

import (
	"glue/ceph"
	"glue/mon/service"
)

// What is asked of cache tiers where no pool is one or has one: what takes them away is done, what
// needs them is refused. Making one is not available in this release.

func (s *Service) tierCommands() []service.Row {
	return []service.Row{
		{Prefix: "osd tier rm", Run: s.cmdTierRemove},
		{Prefix: "osd tier remove", Run: s.cmdTierRemove},
		{Prefix: "osd tier cache-mode", Run: s.cmdTierMode},
		{Prefix: "osd tier set-overlay", Run: s.cmdSetOverlay},
		{Prefix: "osd tier rm-overlay", Run: s.cmdRemoveOverlay},
		{Prefix: "osd tier remove-overlay", Run: s.cmdRemoveOverlay},
	}
}

// withPools is the answer if the pools exist.
func (s *Service) withPools(a service.Answer, names ...string) service.Answer {
	for _, name := range names {
		if _, ok := s.m.PoolByName(name); !ok {
			return service.Fail(ceph.ENOENT, "unrecognized pool '%s'", name)
		}
	}
	return a
}

func (s *Service) cmdTierRemove(r *service.Request) service.Answer {
	pool, tier := r.Need("pool"), r.Need("tierpool")
	return s.withPools(service.OK("pool '%s' is now (or already was) not a tier of '%s'", tier,
		pool), pool, tier)
}

func (s *Service) cmdTierMode(r *service.Request) service.Answer {
	pool := r.Need("pool")
	return s.withPools(service.Fail(ceph.EINVAL, "pool '%s' is not a tier", pool), pool)
}

func (s *Service) cmdSetOverlay(r *service.Request) service.Answer {
	pool, tier := r.Need("pool"), r.Need("overlaypool")
	return s.withPools(service.Fail(ceph.EINVAL, "tier pool '%s' is not a tier of '%s'", tier,
		pool), pool, tier)
}

func (s *Service) cmdRemoveOverlay(r *service.Request) service.Answer {
	pool := r.Need("pool")
	return s.withPools(service.OK("there is now (or already was) no overlay for '%s'", pool), pool)
}
