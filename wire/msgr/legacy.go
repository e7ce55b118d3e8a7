package msgr

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr1"
)

// A LoginAuth is a ServerAuth of a monitor: over msgr v1 a client connects without proving
// anything, and authenticates with messages.
type LoginAuth interface {
	ServerAuth
	// Login starts the authentication of one connection.
	Login(from netip.AddrPort) ServerLogin
}

// A ServerLogin is the authentication of one connection by messages. Its calls come from one
// goroutine at a time.
type ServerLogin interface {
	// Auth answers one request; Done in the step ends the authentication. An error closes the
	// connection, so that the peer tries again.
	Auth(m *message.MAuth) (LoginStep, error)
}

// A LoginStep is the answer to one request.
type LoginStep struct {
	AuthStep                // without Reply
	Replies  []message.Body // to be sent, in order
	Refused  error          // what the replies say no with
}

// A legacy is what a link of msgr v1 has besides.
type legacy struct {
	in, out *msgr1.Signer // nil: messages are not signed
	self    ceph.EntityName
	// last numbers before the session, of messages about authentication
	inSeq, outSeq uint64
}

// BindLegacy listens for clients that speak msgr v1, besides Bind. Call it before Start. The order
// of the two is that of our addresses, of which clients take the first that they can.
func (m *Messenger) BindLegacy(at netip.AddrPort) error {
	ln, at, err := m.open(at)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.legacyListener, m.legacyAt, m.legacyFirst = ln, at, m.listener == nil
	return nil
}

// BindAll listens at the addresses, which our own have the order of; those of msgr v1 only if
// ms_bind_msgr1 says so. If free, port 0 is a free one between ms_bind_port_min and
// ms_bind_port_max, and so is that of msgr v1 if it is served and has no address.
func (m *Messenger) BindAll(addrs ceph.AddrVec, option func(name string) string, free bool) error {
	legacy := option("ms_bind_msgr1") == "true"
	if legacy && free && addrs.Of(ceph.AddrLegacy) == (ceph.Addr{}) {
		ip := addrs.Of(ceph.AddrMsgr2).AddrPort.Addr()
		addrs = append(slices.Clip(addrs), ceph.Addr{Type: ceph.AddrLegacy,
			AddrPort: netip.AddrPortFrom(ip, 0)})
	}
	for _, a := range addrs {
		bind, what := m.Bind, "msgr2"
		if a.Type == ceph.AddrLegacy {
			if bind, what = m.BindLegacy, "msgr v1 (ms_bind_msgr1)"; !legacy {
				continue
			}
		}
		var err error
		if free && a.AddrPort.Port() == 0 {
			err = bindFree(bind, a.AddrPort.Addr(), option)
		} else {
			err = bind(a.AddrPort)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// BindFree listens at a free port between ms_bind_port_min and ms_bind_port_max.
func (m *Messenger) BindFree(ip netip.Addr, option func(name string) string) error {
	return bindFree(m.Bind, ip, option)
}

func bindFree(bind func(netip.AddrPort) error, ip netip.Addr, option func(string) string) error {
	var ports [2]uint16
	for i, name := range []string{"ms_bind_port_min", "ms_bind_port_max"} {
		n, err := strconv.ParseUint(option(name), 10, 16)
		if err != nil {
			return fmt.Errorf("%s %s is not a port", name, option(name))
		}
		ports[i] = uint16(n)
	}
	if err := bindRange(bind, ip, ports[0], ports[1]); err != nil {
		return fmt.Errorf("%w; see ms_bind_port_max", err)
	}
	return nil
}

// Limits of what a client of msgr v1 may do before it is authenticated.
const (
	maxConnects = maxAuthRequests + maxIntroductions
	maxLogin    = 64 // tags: requests, keepalives
)

// acceptLegacy runs the handshake with a client of msgr v1 and makes its session.
func (m *Messenger) acceptLegacy(l *link) (verdict, error) {
	l.rd.record = nil
	l.legacy = &legacy{self: m.Name()}
	l.wr.legacy = l.legacy
	if err := m.greetLegacy(l); err != nil {
		return verdict{}, err
	}
	policy := m.opt.Policy(ceph.TypeClient)
	policy.Required |= msgr1.FeaturesRequired
	reply, err := m.connectLegacy(l, policy)
	if err != nil {
		return verdict{}, err
	}
	reply.Flags, reply.Features = msgr1.FlagLossy, policy.Supported
	if _, err := l.nc.Write(reply.Append(nil)); err != nil {
		return verdict{}, err
	}
	if auth, ok := m.opt.Server.(LoginAuth); ok {
		if err := m.login1(l, auth.Login(l.peer.Socket)); err != nil {
			return verdict{}, err
		}
	}
	return m.admitLegacy(l, policy)
}

// greetLegacy exchanges banners and addresses.
func (m *Messenger) greetLegacy(l *link) error {
	self := m.Addrs().Of(ceph.AddrLegacy)
	b := msgr1.AppendAddr([]byte(msgr1.Banner), self)
	b = msgr1.AppendAddr(b, ceph.Addr{AddrPort: l.peer.Socket})
	if _, err := l.nc.Write(b); err != nil {
		return err
	}
	if err := l.readLiteral(msgr1.Banner); err != nil {
		return err
	}
	b = b[:msgr1.AddrBytes]
	if err := l.rd.full(b); err != nil {
		return err
	}
	a, err := msgr1.ParseAddr(b)
	if err != nil {
		return err
	}
	if ip := a.AddrPort.Addr(); !ip.IsValid() || ip.IsUnspecified() {
		a.AddrPort = netip.AddrPortFrom(l.peer.Socket.Addr(), a.AddrPort.Port())
	}
	l.peer.Addrs = ceph.AddrVec{a}
	return nil
}

// connectLegacy answers introductions until one is good; what it returns is to be sent then.
func (m *Messenger) connectLegacy(l *link, policy Policy) (*msgr1.Reply, error) {
	var h ServerHandshake // that has asked something
	var last error
	for range maxConnects {
		c, authorizer, err := l.readConnect()
		if err != nil {
			return nil, errors.Join(last, err)
		}
		if c.Host != ceph.TypeClient {
			return nil, fmt.Errorf("%w: a %v connects by msgr v1", errRefused, c.Host)
		}
		l.peer.Name = ceph.EntityName{Type: c.Host, Num: -1}
		r := &msgr1.Reply{
			Protocol:  msgr1.Protocol(m.Name().Type),
			Features:  c.Features&policy.Supported | policy.Required,
			GlobalSeq: uint32(m.nextGlobalSeq(0)), ConnectSeq: c.ConnectSeq + 1,
		}
		if r.Tag, last = refuseConnect(&c, r.Protocol, policy.Required); r.Tag == 0 {
			l.peer.Features = c.Features & policy.Supported
			if h, last, err = m.authorize(l, h, &c, authorizer, r); err != nil {
				return nil, err
			}
			if r.Tag == msgr1.TagReady {
				return r, nil
			}
		}
		if _, err := l.nc.Write(r.Append(nil)); err != nil {
			return nil, err
		}
	}
	return nil, errors.Join(last, fmt.Errorf("%w: too many introductions", errFrame))
}

func (l *link) readConnect() (msgr1.Connect, []byte, error) {
	b := make([]byte, msgr1.ConnectBytes)
	if err := l.rd.full(b); err != nil {
		return msgr1.Connect{}, nil, err
	}
	c, err := msgr1.ParseConnect(b)
	if err != nil {
		return c, nil, err
	}
	authorizer := make([]byte, c.AuthorizerBytes)
	return c, authorizer, l.rd.full(authorizer)
}

// refuseConnect is the answer to an introduction that can't be served whoever it is of, or 0. No
// session outlives its socket, so none can be taken up again.
func refuseConnect(c *msgr1.Connect, protocol uint32, required uint64) (msgr1.Tag, error) {
	switch missing := required &^ c.Features; {
	case c.Protocol != protocol:
		return msgr1.TagBadProtocol, fmt.Errorf("%w: protocol %d", errFeatures, c.Protocol)
	case missing != 0:
		return msgr1.TagFeatures, fmt.Errorf("%w: %#x", errFeatures, missing)
	case c.ConnectSeq > 0:
		return msgr1.TagResetSession, nil
	}
	return 0, nil
}

// authorize checks an introduction's authorizer and sets the tag of the answer. h is the handshake
// that has sent a challenge, if one has; the new one is returned. A refusal is in refused.
func (m *Messenger) authorize(
	l *link, h ServerHandshake, c *msgr1.Connect, authorizer []byte, r *msgr1.Reply,
) (next ServerHandshake, refused, err error) {
	if _, ok := m.opt.Server.(LoginAuth); ok {
		r.Tag = msgr1.TagReady
		return nil, nil, nil // whatever it has brought: it proves itself by messages
	}
	if h == nil {
		h = m.opt.Server.Accept(ceph.TypeClient, l.peer.Socket)
	}
	step, err := AuthStep{}, error(ceph.EOPNOTSUPP)
	if slices.Contains(m.opt.Server.Methods(ceph.TypeClient), c.Method) {
		step, err = h.Step(c.Method, authorizer, 0)
	}
	var no ceph.Errno
	switch {
	case err == nil && !step.Done:
		r.Tag, r.Authorizer = msgr1.TagChallenge, step.Reply
		return h, nil, nil
	case err == nil:
		r.Tag, r.Authorizer = msgr1.TagReady, step.Reply
		return nil, nil, l.proven(step, m.opt.Sign())
	case errors.As(err, &no) && no != ceph.EBUSY:
		r.Tag = msgr1.TagBadAuthorizer
		return nil, fmt.Errorf("%w: %w", errRefused, err), nil
	}
	return nil, nil, err
}

// proven takes who the peer is, and the key that messages are signed with.
func (l *link) proven(step AuthStep, sign bool) (err error) {
	p := &l.peer
	p.AuthName, p.GlobalID, p.Mode = step.Name, step.GlobalID, ModeCRC
	p.Caps, p.AllowAll, p.Auth = step.Caps, step.AllowAll, step.Auth
	p.Name.Num = int64(step.GlobalID)
	if !sign || step.SessionKey == nil {
		return nil
	}
	if l.legacy.in, err = msgr1.NewSigner(step.SessionKey); err == nil {
		l.legacy.out, err = msgr1.NewSigner(step.SessionKey)
	}
	return err
}

// login1 answers a monitor's client until it is authenticated. What else it sends before is
// dropped.
func (m *Messenger) login1(l *link, auth ServerLogin) error {
	l.rd.limits.front, l.rd.limits.middle, l.rd.limits.data = controlBytes, 0, 0
	refusals := 0
	for range maxLogin {
		b, err := l.nextAuth()
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		step, err := auth.Auth(b)
		if err != nil {
			return err
		}
		if step.Done {
			// What comes in the session is not signed: stock clients do not expect it of monitors.
			if err := l.proven(step.AuthStep, false); err != nil {
				return err
			}
			l.rd.limits = readLimits(&m.opt)
		}
		for _, body := range step.Replies {
			l.legacy.outSeq++
			m := message.New(body)
			m.Seq = l.legacy.outSeq
			l.wr.message(m, l.peer.Features, 0)
		}
		if err := l.wr.flush(l.nc); err != nil || step.Done {
			return err
		}
		if step.Refused != nil {
			if refusals++; refusals == maxAuthRequests {
				return fmt.Errorf("%w: %w", errRefused, step.Refused)
			}
		}
	}
	return fmt.Errorf("%w: too many messages before authentication", errRefused)
}

// nextAuth reads what comes next before a session; nil if it is no request to authenticate.
func (l *link) nextAuth() (*message.MAuth, error) {
	var in incoming1
	if err := l.next1(&in); err != nil {
		return nil, err
	}
	switch in.tag {
	case msgr1.TagKeepalive2:
		l.wr.legacyControl(msgr1.TagKeepalive2Ack, in.word)
		return nil, l.wr.flush(l.nc)
	case msgr1.TagMessage:
	default:
		return nil, nil
	}
	seg, err := l.tail1(&in.head)
	if err != nil {
		return nil, err
	}
	if seg.buf != nil {
		seg.buf.release()
	}
	l.legacy.inSeq = max(l.legacy.inSeq, in.head.Seq)
	if in.head.Type != uint16((*message.MAuth)(nil).Type()) {
		return nil, nil
	}
	m := message.Message{Version: in.head.Version, Compat: in.head.Compat}
	if err := m.Decode(message.Type(in.head.Type), seg.front, l.peer.Features); err != nil {
		return nil, err
	}
	return m.Body.(*message.MAuth), nil
}

// admitLegacy makes the session of an authenticated link.
func (m *Messenger) admitLegacy(l *link, policy Policy) (verdict, error) {
	if l.peer.AuthName == (ceph.AuthName{}) {
		return verdict{}, fmt.Errorf("%w: nothing was proven", errRefused)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return verdict{}, errClosed
	}
	policy.Lossy, policy.Server = true, true
	c := m.newConn(ceph.TypeClient, policy)
	m.conns[c] = struct{}{}
	c.recv.Lock()
	defer c.recv.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := verdict{conn: c, fresh: true}
	c.peer = l.peer
	c.renew()
	c.outSeq, c.maxSeq = l.legacy.outSeq, l.legacy.outSeq
	c.inSeq.Store(l.legacy.inSeq)
	c.install(l, &v.settled)
	return v, nil
}
