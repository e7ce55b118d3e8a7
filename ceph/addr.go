package ceph

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"glue/ceph/denc"
)

// An AddrType is the protocol spoken at an address.
type AddrType uint32

// The address types (entity_addr_t::TYPE_*).
const (
	AddrNone   AddrType = 0
	AddrLegacy AddrType = 1 // msgr v1
	AddrMsgr2  AddrType = 2
	AddrAny    AddrType = 3
	AddrCIDR   AddrType = 4 // a range; Nonce is the prefix length
)

// An Addr is one address of an entity (entity_addr_t). The nonce tells incarnations of a daemon
// on the same port apart and is part of the identity.
type Addr struct {
	Type     AddrType
	Nonce    uint32
	AddrPort netip.AddrPort // invalid when there is none
}

// IsBlank says whether there is no address.
func (a Addr) IsBlank() bool { return !a.AddrPort.IsValid() }

// Denc is the marker 1 and a section of type, nonce and sockaddr.
func (a *Addr) Denc(c *denc.Coder) {
	if m := c.U8Const(1); m != 1 {
		c.Invalid("address marker %d", m)
		return
	}
	a.dencMarked(c)
}

func (a *Addr) dencMarked(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U32((*uint32)(&a.Type))
	c.U32(&a.Nonce)
	n := c.U32Const(uint32(sockaddrLen(a.AddrPort)))
	if c.Encoding() {
		var sa [28]byte
		putSockaddr(sa[:n], a.AddrPort)
		c.Raw(sa[:n])
	} else if n > 0 {
		a.AddrPort = readSockaddr(c, n)
	} else {
		a.AddrPort = netip.AddrPort{}
	}
	s.End()
}

const (
	familyINET  = 2
	familyINET6 = 10
)

func sockaddrLen(ap netip.AddrPort) int {
	switch {
	case !ap.IsValid():
		return 0
	case ap.Addr().Unmap().Is4():
		return 16
	}
	return 28
}

func putSockaddr(sa []byte, ap netip.AddrPort) {
	if len(sa) == 0 {
		return
	}
	binary.BigEndian.PutUint16(sa[2:], ap.Port())
	if len(sa) == 16 {
		binary.LittleEndian.PutUint16(sa, familyINET)
		ip := ap.Addr().Unmap().As4()
		copy(sa[4:], ip[:])
		return
	}
	binary.LittleEndian.PutUint16(sa, familyINET6)
	ip := ap.Addr().As16()
	copy(sa[8:], ip[:])
}

func readSockaddr(c *denc.Coder, n uint32) netip.AddrPort {
	if n > 128 || n < 2 {
		c.Invalid("socket address of %d bytes", n)
		return netip.AddrPort{}
	}
	sa := make([]byte, n)
	c.Raw(sa)
	switch family := binary.LittleEndian.Uint16(sa); {
	case c.Err() != nil:
	case family == familyINET && n >= 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), portOf(sa))
	case family == familyINET6 && n >= 24:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(sa[8:24])), portOf(sa))
	case family == 0: // AF_UNSPEC: a client that has not bound
	default:
		c.Invalid("socket address of family %d, %d bytes", family, n)
	}
	return netip.AddrPort{}
}

func portOf(sa []byte) uint16 { return binary.BigEndian.Uint16(sa[2:]) }

// String is TYPE:IP:PORT/NONCE as Ceph prints it, without the type for "any", "-" for a blank
// address.
func (a Addr) String() string {
	if a.Type == AddrCIDR {
		return fmt.Sprintf("cidr:%s/%d", a.HostPort(), a.Nonce)
	}
	prefix := ""
	switch a.Type {
	case AddrNone:
		return "-"
	case AddrLegacy:
		prefix = "v1:"
	case AddrMsgr2:
		prefix = "v2:"
	}
	return fmt.Sprintf("%s%s/%d", prefix, a.HostPort(), a.Nonce)
}

// HostPort is IP:PORT without type and nonce; for a blank address what Ceph prints for one.
func (a Addr) HostPort() string {
	if a.IsBlank() {
		return "(unrecognized address family 0)"
	}
	ap := a.AddrPort
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}

// LegacyString is IP:PORT/NONCE without the type, as blocklists and "osd dump" print addresses.
func (a Addr) LegacyString() string {
	return a.HostPort() + "/" + strconv.FormatUint(uint64(a.Nonce), 10)
}

// Compare orders addresses by type, nonce, then address, as the keys of a map.
func (a Addr) Compare(b Addr) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Nonce, b.Nonce),
		a.AddrPort.Compare(b.AddrPort))
}

// ParseAddr reads [v1:|v2:|any:]IP:PORT[/NONCE]; without a prefix the type is def.
func ParseAddr(s string, def AddrType) (Addr, error) {
	a := Addr{Type: def}
	rest := s
	for prefix, t := range map[string]AddrType{
		"v1:": AddrLegacy, "v2:": AddrMsgr2, "any:": AddrAny,
	} {
		if r, ok := strings.CutPrefix(s, prefix); ok {
			a.Type, rest = t, r
		}
	}
	rest, nonce, ok := strings.Cut(rest, "/")
	if ok {
		n, err := strconv.ParseUint(nonce, 10, 32)
		if err != nil {
			return Addr{}, fmt.Errorf("%q: the nonce after / is not a number", s)
		}
		a.Nonce = uint32(n)
	}
	ap, err := netip.ParseAddrPort(rest)
	if err != nil {
		ip, err := netip.ParseAddr(strings.Trim(rest, "[]"))
		if err != nil {
			return Addr{}, fmt.Errorf("%q is not an address of the form [v2:]IP:PORT[/NONCE]", s)
		}
		ap = netip.AddrPortFrom(ip, 0)
	}
	a.AddrPort = ap
	return a, nil
}

// MonPort is where monitors listen when nothing else was said (CEPH_MON_PORT_IANA), and
// MonPortLegacy where they speak msgr v1.
const (
	MonPort       = 3300
	MonPortLegacy = 6789
)

// ParseAddrVec reads the addresses of one daemon: one, or [v2:IP:PORT,v1:IP:PORT]. One without a
// prefix is of msgr2. There has to be one of msgr2, and at most one of each type.
func ParseAddrVec(s string) (AddrVec, error) {
	var v AddrVec
	list := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") { // not [::1]:6800
		list = s[1 : len(s)-1]
	}
	for _, part := range strings.Split(list, ",") {
		a, err := ParseAddr(strings.TrimSpace(part), AddrMsgr2)
		switch {
		case err != nil:
			return nil, err
		case a.Type != AddrMsgr2 && a.Type != AddrLegacy || v.Of(a.Type) != (Addr{}):
			return nil, fmt.Errorf("%q: say [v2:IP:PORT,v1:IP:PORT], or one of v2 alone", s)
		case len(v) > 0 && v[0].AddrPort == a.AddrPort:
			return nil, fmt.Errorf("%q: v1 and v2 need ports of their own", s)
		}
		v = append(v, a)
	}
	if v.Of(AddrMsgr2) == (Addr{}) {
		return nil, fmt.Errorf("%q has no msgr2 address, such as v2:IP:%d", s, MonPort)
	}
	return v, nil
}

// An AddrVec is the addresses of one entity (entity_addrvec_t), best first.
type AddrVec []Addr

// Denc is the marker 2 and a counted list; a lone address (marker 1) is read as a list of one.
func (v *AddrVec) Denc(c *denc.Coder) {
	switch m := c.U8Const(2); {
	case c.Err() != nil:
	case m == 2:
		denc.List(c, (*[]Addr)(v))
	case m == 1:
		var a Addr
		a.dencMarked(c)
		*v = AddrVec{a}
	default:
		c.Invalid("address vector marker %d", m)
	}
}

// Of is the first address of a type, or a blank one.
func (v AddrVec) Of(t AddrType) Addr {
	for _, a := range v {
		if a.Type == t {
			return a
		}
	}
	return Addr{}
}

// Equal compares element by element.
func (v AddrVec) Equal(w AddrVec) bool { return slices.Equal(v, w) }

// String is the lone address, or a bracketed list.
func (v AddrVec) String() string {
	parts := make([]string, len(v))
	for i, a := range v {
		parts[i] = a.String()
	}
	if len(v) == 1 {
		return parts[0]
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// A UUID is 16 bytes, printed in the usual form.
type UUID [16]byte

// Denc is the bytes.
func (u *UUID) Denc(c *denc.Coder) { c.Raw(u[:]) }

// IsZero says whether all bytes are zero.
func (u UUID) IsZero() bool { return u == UUID{} }

// String is 8-4-4-4-12 hexadecimal digits.
func (u UUID) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseUUID reads the usual form.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err == nil && len(b) == len(u) {
		if copy(u[:], b); strings.EqualFold(u.String(), s) {
			return u, nil
		}
	}
	return UUID{}, fmt.Errorf("%q is not a UUID", s)
}
