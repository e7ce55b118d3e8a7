package msgr

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"glue/ceph"
)

// A Mode is how a connection protects its frames (CEPH_CON_MODE_*).
type Mode uint32

// The modes.
const (
	ModeCRC    Mode = 1 // checksums
	ModeSecure Mode = 2 // AES-128-GCM
)

// A Policy is how connections to one type of peer behave (Messenger::Policy).
type Policy struct {
	// Lossy: the session ends with its socket. For an incoming connection the acceptor's policy
	// decides.
	Lossy bool
	// Server: a lossless session that never connects by itself. Lossy sessions belong to who
	// connected, whatever this says.
	Server bool
	// Features that are offered, and those without which a peer is refused.
	Supported, Required uint64
	// Messages and Bytes bound what has been received and not released yet, over all
	// connections that share the throttle. nil is no bound.
	Messages, Bytes *Throttle
}

// The stock policies.
var (
	// LossyClient is for a client's or daemon's connections to a server that keeps no session.
	LossyClient = Policy{Lossy: true, Supported: ceph.FeaturesAll, Required: ceph.FeatureMsgAddr2}
	// StatelessServer is for accepting such clients.
	StatelessServer = Policy{
		Lossy: true, Server: true,
		Supported: ceph.FeaturesAll, Required: ceph.FeaturesRequired,
	}
	// LosslessPeer is between daemons of one kind: sessions survive their sockets.
	LosslessPeer = Policy{Supported: ceph.FeaturesAll, Required: ceph.FeaturesRequired}
)

// Options is what a Messenger is made of. Zero values of the limits and times mean the defaults.
type Options struct {
	Entity ceph.EntityName
	Log    *slog.Logger
	Nonce  uint32 // tells incarnations apart; 0: a random one, but 0 for a monitor

	Server ServerAuth // needed to Bind
	Client ClientAuth // needed to Connect

	// Policy gives the policy towards a type of peer. nil: LosslessPeer between monitors and
	// between OSDs, StatelessServer towards clients, LossyClient towards all others.
	Policy func(peer ceph.EntityType) Policy
	// ClientModes are the modes offered to a type of server, best first; ServerModes those
	// accepted from a type of client: the first that the client offers is taken. nil: what
	// ConfiguredModes gives without configuration.
	ClientModes func(server ceph.EntityType) []Mode
	ServerModes func(client ceph.EntityType) []Mode

	// Sign says whether messages of msgr v1 are signed, and refused without signatures, where the
	// peer has a session key. nil: they are. See ConfiguredSigning.
	Sign func() bool

	// Dial replaces the TCP dialer, Listen the TCP listener; for tests and simulation.
	Dial   func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Listen func(at netip.AddrPort) (net.Listener, error)

	HandshakeTimeout   time.Duration // from accept or dial to a ready session; 10 s
	KeepaliveInterval  time.Duration // of silence before a KEEPALIVE2 is sent; 10 s
	KeepaliveTimeout   time.Duration // of silence before the socket is given up; 30 s
	IdleTimeout        time.Duration // of silence of a client before it is dropped; 15 min
	BackoffMin         time.Duration // before a lossless session connects again; 200 ms
	BackoffMax         time.Duration // 1 s
	MaxUnauthenticated int           // connections that have not finished the handshake; 1024
	MaxFront           int           // bytes of a front or control segment; 64 MiB
	MaxMiddle          int           // bytes of a middle segment; 16 MiB
	MaxData            int           // bytes of a data segment; 256 MiB
}

// readLimits are the longest segments that a link reads.
func readLimits(o *Options) limits {
	return limits{control: controlBytes, front: o.MaxFront, middle: o.MaxMiddle, data: o.MaxData}
}

func (o *Options) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	bound := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&o.HandshakeTimeout, 10*time.Second)
	set(&o.KeepaliveInterval, 10*time.Second)
	set(&o.KeepaliveTimeout, 30*time.Second)
	set(&o.IdleTimeout, 15*time.Minute)
	set(&o.BackoffMin, 200*time.Millisecond)
	set(&o.BackoffMax, time.Second)
	bound(&o.MaxUnauthenticated, 1024)
	bound(&o.MaxFront, 64<<20)
	bound(&o.MaxMiddle, 16<<20)
	bound(&o.MaxData, 256<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Sign == nil {
		o.Sign = func() bool { return true }
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	if o.Listen == nil {
		o.Listen = listenTCP
	}
	self := o.Entity.Type
	if o.Policy == nil {
		o.Policy = func(peer ceph.EntityType) Policy { return defaultPolicy(self, peer) }
	}
	modes := ConfiguredModes(self, func(string) string { return "" })
	if o.ClientModes == nil {
		o.ClientModes = modes
	}
	if o.ServerModes == nil {
		o.ServerModes = modes
	}
}

func defaultPolicy(self, peer ceph.EntityType) Policy {
	switch {
	case self == peer && (self == ceph.TypeMon || self == ceph.TypeOSD):
		return LosslessPeer
	case peer == ceph.TypeClient:
		return StatelessServer
	}
	return LossyClient
}
