package msgr1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"glue/ceph"
)

// Errors that end a connection.
var (
	ErrFormat  = errors.New("msgr v1: not valid")
	ErrTooLong = errors.New("msgr v1: longer than allowed")
	ErrCRC     = errors.New("msgr v1: wrong checksum")
	ErrSigned  = errors.New("msgr v1: signature does not fit")
)

// Banner is the first thing on a connection, from both sides.
const Banner = "ceph v027"

// Sizes of the records.
const (
	AddrBytes    = 136
	ConnectBytes = 33
	ReplyBytes   = 26
	HeaderBytes  = 53
	FooterBytes  = 21
	StampBytes   = 8
	SeqBytes     = 8
)

// A Tag is the first byte of a reply, and of what is sent in a session (CEPH_MSGR_TAG_*).
type Tag uint8

// The tags that a server sends or takes.
const (
	TagReady         Tag = 1
	TagResetSession  Tag = 2
	TagClose         Tag = 6
	TagMessage       Tag = 7
	TagAck           Tag = 8
	TagKeepalive     Tag = 9
	TagBadProtocol   Tag = 10
	TagBadAuthorizer Tag = 11
	TagFeatures      Tag = 12
	TagKeepalive2    Tag = 14
	TagKeepalive2Ack Tag = 15
	TagChallenge     Tag = 16
)

// FeaturesRequired is what a client needs to be served, besides what its messages are encoded with:
// signed messages, the signatures and challenges of cephx version 2, and the newer keepalive. All
// clients that know address lists (nautilus, Linux 5.11) have them.
const FeaturesRequired uint64 = 1<<23 | 1<<61 | 1<<42

// Protocol is the version that a server of a type speaks with clients (CEPH_*_PROTOCOL).
func Protocol(self ceph.EntityType) uint32 {
	return map[ceph.EntityType]uint32{
		ceph.TypeMon: 15, ceph.TypeMDS: 32, ceph.TypeOSD: 24,
	}[self]
}

// AppendAddr encodes an address as the banners have it: no type, the socket address in 128 bytes
// with its family in network order.
func AppendAddr(b []byte, a ceph.Addr) []byte {
	var rec [AddrBytes]byte
	binary.LittleEndian.PutUint32(rec[4:], a.Nonce)
	sa := rec[8:]
	if ip := a.AddrPort.Addr().Unmap(); ip.IsValid() {
		binary.BigEndian.PutUint16(sa[2:], a.AddrPort.Port())
		if ip.Is4() {
			binary.BigEndian.PutUint16(sa, familyINET)
			copy(sa[4:], ip.AsSlice())
		} else {
			binary.BigEndian.PutUint16(sa, familyINET6)
			copy(sa[8:], ip.AsSlice())
		}
	}
	return append(b, rec[:]...)
}

const (
	familyINET  = 2
	familyINET6 = 10
)

// ParseAddr decodes an address of AddrBytes. One without a family is blank.
func ParseAddr(b []byte) (ceph.Addr, error) {
	a := ceph.Addr{Type: ceph.AddrLegacy, Nonce: binary.LittleEndian.Uint32(b[4:])}
	if b[0] != 0 {
		return a, fmt.Errorf("%w: address marker %d", ErrFormat, b[0])
	}
	sa := b[8:]
	port := binary.BigEndian.Uint16(sa[2:])
	switch family := binary.BigEndian.Uint16(sa); family {
	case 0:
	case familyINET:
		a.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), port)
	case familyINET6:
		a.AddrPort = netip.AddrPortFrom(netip.AddrFrom16([16]byte(sa[8:24])).Unmap(), port)
	default:
		return a, fmt.Errorf("%w: socket address of family %d", ErrFormat, family)
	}
	return a, nil
}

// A Connect is the client's introduction (ceph_msg_connect). The authorizer follows it.
type Connect struct {
	Features        uint64
	Host            ceph.EntityType // what the client is
	GlobalSeq       uint32
	ConnectSeq      uint32 // 0 for a new session
	Protocol        uint32
	Method          uint32 // of the authorizer
	AuthorizerBytes int
	Flags           uint8
}

// maxAuthorizer bounds an authorizer; stock servers take none above it either.
const maxAuthorizer = 4096

// ParseConnect decodes ConnectBytes.
func ParseConnect(b []byte) (Connect, error) {
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	c := Connect{
		Features: binary.LittleEndian.Uint64(b), GlobalSeq: u32(12), ConnectSeq: u32(16),
		Protocol: u32(20), Method: u32(24), Flags: b[32],
	}
	host, n := u32(8), u32(28)
	if host > 0xff {
		return c, fmt.Errorf("%w: peer of type %#x", ErrFormat, host)
	}
	if n > maxAuthorizer {
		return c, fmt.Errorf("%w: authorizer of %d bytes", ErrTooLong, n)
	}
	c.Host, c.AuthorizerBytes = ceph.EntityType(host), int(n)
	return c, nil
}

// Append encodes the introduction, for tests and tools.
func (c *Connect) Append(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, c.Features)
	for _, v := range []uint32{uint32(c.Host), c.GlobalSeq, c.ConnectSeq, c.Protocol, c.Method,
		uint32(c.AuthorizerBytes)} {
		b = le.AppendUint32(b, v)
	}
	return append(b, c.Flags)
}

// FlagLossy in a Reply says that the session ends with its socket.
const FlagLossy = 1

// A Reply is the server's answer to a Connect (ceph_msg_connect_reply).
type Reply struct {
	Tag        Tag
	Features   uint64
	GlobalSeq  uint32
	ConnectSeq uint32
	Protocol   uint32
	Authorizer []byte // of the server, or its challenge
	Flags      uint8
}

// Append encodes the reply with its authorizer.
func (r *Reply) Append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, byte(r.Tag))
	b = le.AppendUint64(b, r.Features)
	for _, v := range []uint32{r.GlobalSeq, r.ConnectSeq, r.Protocol, uint32(len(r.Authorizer))} {
		b = le.AppendUint32(b, v)
	}
	b = append(b, r.Flags)
	return append(b, r.Authorizer...)
}

// ParseReply decodes ReplyBytes and tells how long the authorizer behind them is.
func ParseReply(b []byte) (r Reply, authorizer int) {
	le := binary.LittleEndian
	r = Reply{Tag: Tag(b[0]), Features: le.Uint64(b[1:]), GlobalSeq: le.Uint32(b[9:]),
		ConnectSeq: le.Uint32(b[13:]), Protocol: le.Uint32(b[17:]), Flags: b[25]}
	return r, int(le.Uint32(b[21:]))
}
