package mon

import (
	"errors"
	"net/netip"
	"slices"

	"glue/auth/cephx"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/mon/monmon"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A login is the authentication of a client of msgr v1: the same exchange as in the handshake of
// msgr2, in messages.
type login struct {
	gate *gate
	h    *handshake // under way; nil before the client has named itself
}

// Login starts the authentication of a connection (msgr.LoginAuth).
func (g *gate) Login(netip.AddrPort) msgr.ServerLogin { return &login{gate: g} }

// A hello is the first request: who the client is and what it speaks (MAuth with protocol 0).
type hello struct {
	Methods  []uint32
	Name     ceph.AuthName
	GlobalID uint64
}

func (h *hello) Denc(c *denc.Coder) {
	if v := c.U8Const(1); v != 1 && c.Err() == nil {
		c.Invalid("hello of version %d", v)
	}
	denc.ListFunc(c, &h.Methods, (*denc.Coder).U32)
	h.Name.Denc(c)
	c.U64(&h.GlobalID)
}

// Auth answers a request. EBUSY ends the connection without a refusal, so that the client comes
// back. Who has proven itself gets the monitor map first, as of stock monitors: what it may do
// next depends on the features in it.
func (l *login) Auth(m *message.MAuth) (msgr.LoginStep, error) {
	r := &message.MAuthReply{Protocol: cephx.MethodCephx}
	step, err := l.step(m)
	out := msgr.LoginStep{AuthStep: step}
	if l.h != nil {
		r.GlobalID = l.h.server.GlobalID()
	}
	var refused ceph.Errno
	switch {
	case err == nil:
		r.Payload = step.Reply
	case errors.As(err, &refused) && refused != ceph.EBUSY:
		r.Protocol, r.Result, l.h = m.Protocol, refused.Result(), nil
		out.Refused = refused
	default:
		return out, err
	}
	if mm := l.gate.monmap.Load(); step.Done && mm != nil && mm.Epoch > m.MonmapEpoch {
		out.Replies = append(out.Replies, &message.MMonMap{Map: monmon.Encode(mm)})
	}
	out.Replies = append(out.Replies, r)
	return out, nil
}

func (l *login) step(m *message.MAuth) (msgr.AuthStep, error) {
	switch {
	case m.Protocol == 0:
		return l.start(m.Payload)
	case l.h == nil || m.Protocol != cephx.MethodCephx:
		return msgr.AuthStep{}, ceph.EACCES
	}
	return l.h.Step(cephx.MethodCephx, m.Payload, 0)
}

// start begins anew, with the request that a client of msgr2 begins with.
func (l *login) start(payload []byte) (msgr.AuthStep, error) {
	l.h = nil
	var b hello
	if err := denc.Unmarshal(payload, &b, 0); err != nil {
		return msgr.AuthStep{}, ceph.EINVAL
	}
	if !slices.Contains(b.Methods, cephx.MethodCephx) {
		return msgr.AuthStep{}, ceph.EOPNOTSUPP
	}
	if !l.gate.open() { // before the keys are looked at: a monitor may just have started
		return msgr.AuthStep{}, ceph.EBUSY
	}
	l.h = l.gate.accept()
	return l.h.Step(cephx.MethodCephx, cephx.HelloPayload(b.Name, b.GlobalID), 0)
}
