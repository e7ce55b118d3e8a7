package mgr

import (
	"context"
	"slices"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/imagestat"
	"glue/mgr/imageperf"
	"glue/wire/message"
	"glue/wire/msgr"
)

// imagePerf is what is asked about images, while it is.
type imagePerf struct {
	watch  imageperf.Watch
	at     time.Time // of the last step
	naming bool      // names of images are being asked for
}

// configure is what a daemon is told when it comes, and when what it should count changes.
func (s *state) configure() *message.Message {
	b := &message.MMgrConfigure{Period: defaultPeriod, Threshold: 5}
	if s.images.watch.Active() {
		b.Queries = []byte{1} // our own OSDs take anything for "count by image"
	}
	return message.New(b)
}

func (s *state) configureOSDs() {
	for _, d := range s.daemons {
		if d.conn != nil && d.conn.PeerType() == ceph.TypeOSD {
			d.conn.Send(s.configure())
		}
	}
}

// imagesOf reads what an OSD has counted by image.
func (m *Manager) imagesOf(c *msgr.Conn, b *message.MMgrReport) {
	if c.PeerType() != ceph.TypeOSD || len(b.Tail) == 0 {
		return
	}
	report, err := imagestat.Decode(b.Tail)
	if err != nil {
		m.log.Warn("statistics of images do not decode", "peer", c.Peer().Name, "err", err)
		return
	}
	m.post(func(m *Manager) { m.state.images.watch.Take(report) })
}

// imagePools are the names of the pools that have images.
func (s *state) imagePools() map[int64]string {
	out := map[int64]string{}
	for id, p := range s.osdmap.Pools {
		if _, ok := p.Applications["rbd"]; ok {
			out[id] = s.osdmap.PoolName(id)
		}
	}
	return out
}

// imagesTick makes samples of what OSDs report, and learns the names of images.
func (m *Manager) imagesTick(now time.Time) {
	s, p := &m.state, &m.state.images
	due := s.set.Duration("mgr_stats_period") - tickPeriod/2 // a tick may be early
	if !p.watch.Active() || now.Sub(p.at) < due {
		return
	}
	p.at = now
	places := p.watch.Step(now, s.imagePools())
	if !p.watch.Active() {
		s.configureOSDs()
	}
	if len(places) == 0 || p.naming {
		return
	}
	p.naming = true
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
		defer cancel()
		for _, place := range places {
			names, err := s.tasks.Images(ctx, place.Pool, place.Namespace)
			if err != nil {
				m.log.Info("images could not be listed", "pool", place.Pool, "err", err)
				continue
			}
			m.post(func(m *Manager) { m.state.images.watch.Named(time.Now(), place, names) })
		}
		m.post(func(m *Manager) { m.state.images.naming = false })
	})
}

func perfOfImages(counters bool) handler {
	return func(s *state, c *commands.Command) result {
		scope, err := imageperf.ParseScope(c.Str("pool_spec"))
		if err != nil {
			return refuse(ceph.EINVAL, "%v", err)
		}
		sortBy := 0
		if by := c.Str("sort_by"); by != "" {
			if sortBy = slices.Index(imagestat.Names[:], by); sortBy < 0 {
				return refuse(ceph.EINVAL, "cannot sort by %s", by)
			}
		}
		if !mayPool(c)(scope.Pool, scope.Namespace) {
			return refuse(ceph.EACCES, "not authorized on pool=%s, namespace=%s", scope.Pool,
				scope.Namespace)
		}
		if _, ok := s.osdmap.PoolByName(scope.Pool); !ok && !scope.All {
			return refuse(ceph.ENOENT,
				"[errno 2] RADOS object not found (Pool '%s' not found)", scope.Pool)
		}
		was := s.images.watch.Active()
		out := s.images.watch.Ask(time.Now(), scope, s.imagePools(), sortBy, counters)
		if !was {
			s.configureOSDs()
		}
		return text(string(out) + "\n")
	}
}
