package msgr

import (
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
)

// banner is the first thing on a connection, from both sides; two feature words follow it.
const (
	banner          = "ceph v2\n"
	bannerBytes     = len(banner) + 2
	bannerFeatures  = 16
	featureRevision = 1 // msgr 2.1
)

// hello is the first frame from both sides.
type hello struct {
	Type ceph.EntityType
	Peer ceph.Addr // the receiver's address as the sender sees it
}

func (h *hello) Denc(c *denc.Coder) {
	c.U8((*uint8)(&h.Type))
	h.Peer.Denc(c)
}

type authRequest struct {
	Method  uint32
	Modes   []Mode
	Payload []byte
}

func dencMode(c *denc.Coder, m *Mode) { c.U32((*uint32)(m)) }

func (a *authRequest) Denc(c *denc.Coder) {
	c.U32(&a.Method)
	denc.ListFunc(c, &a.Modes, dencMode)
	c.Blob(&a.Payload)
}

type authBadMethod struct {
	Method  uint32
	Result  int32
	Methods []uint32
	Modes   []Mode
}

func (a *authBadMethod) Denc(c *denc.Coder) {
	c.U32(&a.Method)
	c.I32(&a.Result)
	denc.ListFunc(c, &a.Methods, (*denc.Coder).U32)
	denc.ListFunc(c, &a.Modes, dencMode)
}

// authMore is AUTH_REPLY_MORE and AUTH_REQUEST_MORE.
type authMore struct{ Payload []byte }

func (a *authMore) Denc(c *denc.Coder) { c.Blob(&a.Payload) }

type authDone struct {
	GlobalID uint64
	Mode     Mode
	Payload  []byte
}

func (a *authDone) Denc(c *denc.Coder) {
	c.U64(&a.GlobalID)
	dencMode(c, &a.Mode)
	c.Blob(&a.Payload)
}

type authSignature struct{ Sum [32]byte }

func (a *authSignature) Denc(c *denc.Coder) { c.Raw(a.Sum[:]) }

// flagLossy in an ident says that the session ends with its socket.
const flagLossy = 1

type clientIdent struct {
	Addrs               ceph.AddrVec
	Target              ceph.Addr
	Num                 int64
	GlobalSeq           uint64
	Supported, Required uint64
	Flags               uint64
	Cookie              uint64
}

func (i *clientIdent) Denc(c *denc.Coder) {
	i.Addrs.Denc(c)
	i.Target.Denc(c)
	c.I64(&i.Num)
	c.U64(&i.GlobalSeq)
	c.U64(&i.Supported)
	c.U64(&i.Required)
	c.U64(&i.Flags)
	c.U64(&i.Cookie)
}

type serverIdent struct {
	Addrs               ceph.AddrVec
	Num                 int64
	GlobalSeq           uint64
	Supported, Required uint64
	Flags               uint64
	Cookie              uint64
}

func (i *serverIdent) Denc(c *denc.Coder) {
	i.Addrs.Denc(c)
	c.I64(&i.Num)
	c.U64(&i.GlobalSeq)
	c.U64(&i.Supported)
	c.U64(&i.Required)
	c.U64(&i.Flags)
	c.U64(&i.Cookie)
}

type sessionReconnect struct {
	Addrs                      ceph.AddrVec
	ClientCookie, ServerCookie uint64
	GlobalSeq, ConnectSeq      uint64
	MsgSeq                     uint64 // the last message that the sender has received
}

func (r *sessionReconnect) Denc(c *denc.Coder) {
	r.Addrs.Denc(c)
	c.U64(&r.ClientCookie)
	c.U64(&r.ServerCookie)
	c.U64(&r.GlobalSeq)
	c.U64(&r.ConnectSeq)
	c.U64(&r.MsgSeq)
}

// number is a frame of one number: IDENT_MISSING_FEATURES, SESSION_RETRY, SESSION_RETRY_GLOBAL,
// SESSION_RECONNECT_OK and ACK.
type number struct{ N uint64 }

func (n *number) Denc(c *denc.Coder) { c.U64(&n.N) }

type sessionReset struct{ Full bool }

func (r *sessionReset) Denc(c *denc.Coder) { c.Bool(&r.Full) }

type keepalive struct{ Stamp ceph.Time }

func (k *keepalive) Denc(c *denc.Coder) { k.Stamp.Denc(c) }

// empty is WAIT.
type empty struct{}

func (*empty) Denc(*denc.Coder) {}

func decode(t tag, b []byte, v denc.Value) error {
	if err := denc.Unmarshal(b, v, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("%w: tag %d: %w", errFrame, t, err)
	}
	return nil
}
