// Package endpoints has the places where an OSD listens: for clients, for other OSDs, and for the
// heartbeats of both networks, each a messenger with a port of its own, so that none waits behind
// what the others carry.
package endpoints

import (
	"errors"
	"log/slog"
	"net/netip"

	"glue/ceph"
	"glue/osd/heartbeat"
	"glue/osd/pinger"
	"glue/wire/msgr"
)

// Addrs are an OSD's addresses, as they stand in the map.
type Addrs struct{ Public, Cluster, Back, Front ceph.AddrVec }

// Options are what the messengers have in common.
type Options struct {
	ID int32
	// Public is where clients connect, Cluster where other OSDs do; without the latter that is at
	// the IP of the former, at a free port. Heartbeats are at free ports of both.
	Public, Cluster ceph.AddrVec
	Option          func(name string) string
	Server          msgr.ServerAuth
	Client          msgr.ClientAuth
	Policy          func(ceph.EntityType) msgr.Policy // of all but the heartbeats
	Log             *slog.Logger
}

// Endpoints are the messengers.
type Endpoints struct {
	Public, Cluster *msgr.Messenger
	Beats           [heartbeat.Nets]*msgr.Messenger
}

// Listen makes the messengers and binds them.
func Listen(o Options) (*Endpoints, error) {
	modes := msgr.ConfiguredModes(ceph.TypeOSD, o.Option)
	messenger := func(policy func(ceph.EntityType) msgr.Policy) *msgr.Messenger {
		return msgr.New(msgr.Options{
			Entity: ceph.EntityName{Type: ceph.TypeOSD, Num: int64(o.ID)}, Log: o.Log,
			Server: o.Server, Client: o.Client, Policy: policy,
			ClientModes: modes, ServerModes: modes, Sign: msgr.ConfiguredSigning(o.Option),
		})
	}
	lossy := func(ceph.EntityType) msgr.Policy { return msgr.StatelessServer }
	e := &Endpoints{Public: messenger(o.Policy), Cluster: messenger(o.Policy),
		Beats: [heartbeat.Nets]*msgr.Messenger{messenger(lossy), messenger(lossy)}}
	public := o.Public.Of(ceph.AddrMsgr2).AddrPort
	cluster := netip.AddrPortFrom(public.Addr(), 0)
	if len(o.Cluster) > 0 {
		cluster = o.Cluster[0].AddrPort
	}
	bind := func(m *msgr.Messenger, at netip.AddrPort) error {
		if at.Port() != 0 {
			return m.Bind(at)
		}
		return m.BindFree(at.Addr(), o.Option)
	}
	err := errors.Join(e.Public.BindAll(o.Public, o.Option, true), bind(e.Cluster, cluster),
		bind(e.Beats[heartbeat.Back], netip.AddrPortFrom(cluster.Addr(), 0)),
		bind(e.Beats[heartbeat.Front], netip.AddrPortFrom(public.Addr(), 0)))
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Endpoints) all() []*msgr.Messenger {
	return append(e.Beats[:], e.Cluster, e.Public)
}

// Start begins to accept and to dispatch.
func (e *Endpoints) Start(d msgr.Dispatcher, beats func(heartbeat.Net) msgr.Dispatcher) {
	e.Public.Start(d)
	e.Cluster.Start(d)
	for n, m := range e.Beats {
		m.Start(beats(heartbeat.Net(n)))
	}
}

// Addrs are the addresses as they are now.
func (e *Endpoints) Addrs() Addrs {
	return Addrs{Public: e.Public.Addrs(), Cluster: e.Cluster.Addrs(),
		Back: e.Beats[heartbeat.Back].Addrs(), Front: e.Beats[heartbeat.Front].Addrs()}
}

// Renew makes the OSD a new incarnation at the same ports, without a session with another OSD.
func (e *Endpoints) Renew() Addrs {
	for _, m := range e.all() {
		m.Renew(ceph.TypeOSD)
	}
	return e.Addrs()
}

// Close ends all; see msgr.Messenger.Close.
func (e *Endpoints) Close() error {
	var errs error
	for _, m := range e.all() {
		errs = errors.Join(errs, m.Close())
	}
	return errs
}

// Connect is the connection to a daemon: to OSDs from where OSDs connect.
func (e *Endpoints) Connect(t ceph.EntityType, to ceph.AddrVec) pinger.Link {
	if t == ceph.TypeOSD {
		return e.Cluster.Connect(t, to)
	}
	return e.Public.Connect(t, to)
}

// Beat is the connection for pings to an OSD over a network.
func (e *Endpoints) Beat(over heartbeat.Net, to ceph.AddrVec) pinger.Beat {
	return pinger.Socket{Conn: e.Beats[over].Connect(ceph.TypeOSD, to)}
}
