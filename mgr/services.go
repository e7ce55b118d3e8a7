package mgr

import (
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/commands"
	"glue/cluster/servicemap"
	"glue/internal/cephjson"
	"glue/wire/message"
	"glue/wire/msgr"
)

// services are the daemons that have registered through librados (DaemonServer, ServiceMap).
type services struct {
	m     servicemap.Map // as published, and what has changed since
	dirty bool           // something has changed since
	live  map[serviceKey]*liveService
}

type serviceKey struct{ service, name string }

// A liveService is when a registered daemon was heard of, and what it said.
type liveService struct {
	conn     *msgr.Conn // nil: registered with the manager before this one
	beaconAt time.Time
	statusAt time.Time
	status   map[string]string
}

// maxServices bounds the daemons that may register.
const maxServices = 10_000

// onOpen takes a daemon's greeting; librados sends one for a client that has registered itself as
// a service's daemon.
func (m *Manager) onOpen(c *msgr.Conn, b *message.MMgrOpen) {
	if c.PeerType() == ceph.TypeClient {
		if !b.ServiceDaemon || b.DaemonName == "" || !servicemap.Foreign(b.ServiceName) {
			m.log.Warn("registration refused: a client may be the daemon of a service of its own "+
				"name", "peer", c.Peer().AuthName, "service", b.ServiceName, "name", b.DaemonName)
			c.Close()
			return
		}
		m.post(func(m *Manager) { m.openService(c, b) })
	}
	m.post(func(m *Manager) {
		if c.PeerType() == ceph.TypeOSD {
			c.Send(m.state.configure())
			return
		}
		c.Send(message.New(&message.MMgrConfigure{Period: defaultPeriod, Threshold: 5}))
	})
}

func (m *Manager) openService(c *msgr.Conn, b *message.MMgrOpen) {
	s, v := &m.state, &m.state.services
	k := serviceKey{b.ServiceName, b.DaemonName}
	if len(v.live) >= maxServices && v.live[k] == nil {
		m.log.Warn("too many daemons of services", "peer", c.Peer().AuthName)
		c.Close()
		return
	}
	now := time.Now()
	d := &servicemap.Daemon{GID: uint64(c.Peer().Name.Num), Addr: c.Peer().Addrs.Legacy(),
		Began: ceph.TimeOf(now), Metadata: b.Metadata}
	if old := v.m.Services[k.service][k.name]; old != nil && old.GID == d.GID {
		d.Epoch, d.Began = old.Epoch, old.Began // it is back after its connection broke
	}
	v.m.Set(k.service, k.name, d)
	if v.live == nil {
		v.live = map[serviceKey]*liveService{}
	}
	v.live[k] = &liveService{conn: c, beaconAt: now, statusAt: now, status: b.Status}
	v.dirty, s.dirty = true, true
	m.log.Info("daemon of a service registered", "service", k.service, "name", k.name, "peer",
		c.Peer().AuthName)
}

// serviceReport takes what a registered daemon says from time to time; one that is not known is
// made to register again.
func (s *state) serviceReport(c *msgr.Conn, b *message.MMgrReport) {
	l := s.services.live[serviceKey{b.Service, b.DaemonName}]
	if l == nil || l.conn != c {
		c.Close()
		return
	}
	l.beaconAt = time.Now()
	if b.Status != nil {
		l.statusAt, l.status = l.beaconAt, *b.Status
	}
}

// closeService takes a daemon out that says goodbye.
func (s *state) closeService(c *msgr.Conn, b *message.MMgrClose) {
	k := serviceKey{b.ServiceName, b.DaemonName}
	if l := s.services.live[k]; l != nil && l.conn == c {
		s.removeService(k)
	}
}

func (s *state) removeService(k serviceKey) {
	delete(s.services.live, k)
	s.services.m.Remove(k.service, k.name)
	s.services.dirty, s.dirty = true, true
}

// pruneServices takes daemons out that have been silent for too long.
func (m *Manager) pruneServices(now time.Time) {
	grace := m.state.set.Duration("mgr_service_beacon_grace")
	for k, l := range m.state.services.live {
		if silent := now.Sub(l.beaconAt); silent > grace {
			m.log.Warn("daemon of a service is silent and forgotten", "service", k.service, "name",
				k.name, "for", silent.Round(time.Second))
			m.state.removeService(k)
		}
	}
}

// publish is the map for the monitors, nil if there never was one.
func (v *services) publish(now time.Time) []byte {
	if v.dirty {
		v.dirty = false
		v.m.Epoch++
		v.m.Modified = ceph.TimeOf(now)
		for _, service := range v.m.Services {
			for _, d := range service {
				if d.Epoch == 0 {
					d.Epoch = v.m.Epoch
				}
			}
		}
	}
	if v.m.Epoch == 0 {
		return nil
	}
	return denc.Marshal(&v.m, ceph.FeaturesAll)
}

func (m *Manager) onServiceMap(c *msgr.Conn, b *message.MServiceMap) {
	if c.PeerType() != ceph.TypeMon {
		return
	}
	old := &servicemap.Map{}
	if err := denc.Unmarshal(b.Map, old, ceph.FeaturesAll); err != nil {
		m.log.Error("service map does not decode", "err", err)
		return
	}
	m.post(func(m *Manager) { m.state.takeServiceMap(old, time.Now()) })
}

// takeServiceMap goes on with the map of the manager before; its daemons have a while to register
// here.
func (s *state) takeServiceMap(old *servicemap.Map, now time.Time) {
	v := &s.services
	if !s.active || old.Epoch < v.m.Epoch {
		return
	}
	v.m.Epoch = old.Epoch
	v.m.Modified = old.Modified
	if v.live == nil {
		v.live = map[serviceKey]*liveService{}
	}
	for service, daemons := range old.Services {
		for name, d := range daemons {
			if k := (serviceKey{service, name}); v.live[k] == nil {
				v.m.Set(service, name, d)
				v.live[k] = &liveService{beaconAt: now}
			}
		}
	}
}

func serviceDump(s *state, c *commands.Command) result {
	return result{out: c.Print(s.services.m.Dump())}
}

func serviceStatus(s *state, c *commands.Command) result {
	out := cephjson.Object{}
	for _, service := range s.services.m.Names() {
		list := cephjson.Object{}
		for _, name := range s.services.m.Services[service].Names() {
			l := s.services.live[serviceKey{service, name}]
			if l == nil || l.conn == nil {
				list = append(list, cephjson.Member{Key: name, Value: struct{}{}})
				continue
			}
			status := l.status
			if status == nil {
				status = map[string]string{}
			}
			list = append(list, cephjson.Member{Key: name, Value: cephjson.Object{
				{Key: "status_stamp", Value: ceph.TimeOf(l.statusAt).String()},
				{Key: "last_beacon", Value: ceph.TimeOf(l.beaconAt).String()},
				{Key: "status", Value: status}}})
		}
		out = append(out, cephjson.Member{Key: service, Value: list})
	}
	return result{out: c.Print(out)}
}
