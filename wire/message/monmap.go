package message

import (
	"glue/ceph"
	"glue/ceph/denc"
)

// MMonGetMap asks a monitor for the monmap.
type MMonGetMap struct{}

// Type is CEPH_MSG_MON_GET_MAP.
func (*MMonGetMap) Type() Type { return 5 }

// Denc is empty.
func (*MMonGetMap) Denc(*denc.Coder, uint16) {}

// MMonMap carries an encoded monmap.
type MMonMap struct{ Map []byte }

// Type is CEPH_MSG_MON_MAP.
func (*MMonMap) Type() Type { return 4 }

// Denc is a blob.
func (m *MMonMap) Denc(c *denc.Coder, _ uint16) { c.Blob(&m.Map) }

// MMonGetOSDMap asks for ranges of full and incremental osdmaps; zero means none.
type MMonGetOSDMap struct {
	Paxos
	FullFirst, FullLast, IncFirst, IncLast ceph.Epoch
}

// Type is CEPH_MSG_MON_GET_OSDMAP.
func (*MMonGetOSDMap) Type() Type { return 6 }

// Denc follows messages/MMonGetOSDMap.h.
func (m *MMonGetOSDMap) Denc(c *denc.Coder, _ uint16) {
	m.Paxos.Denc(c)
	m.FullFirst.Denc(c)
	m.FullLast.Denc(c)
	m.IncFirst.Denc(c)
	m.IncLast.Denc(c)
}

// A SubscribeItem says from which epoch on a map is wanted.
type SubscribeItem struct {
	Start uint64
	Flags uint8 // SubscribeOnce
}

// SubscribeOnce ends the subscription with the first answer (CEPH_SUBSCRIBE_ONETIME).
const SubscribeOnce = 1

// Denc is ceph_mon_subscribe_item.
func (s *SubscribeItem) Denc(c *denc.Coder) {
	c.U64(&s.Start)
	c.U8(&s.Flags)
}

// MMonSubscribe asks for maps, named "monmap", "osdmap", "mgrmap", "config", ….
type MMonSubscribe struct {
	What     map[string]SubscribeItem
	Hostname string
}

// Type is CEPH_MSG_MON_SUBSCRIBE.
func (*MMonSubscribe) Type() Type { return 15 }

// Denc follows messages/MMonSubscribe.h, versions 2 and 3.
func (m *MMonSubscribe) Denc(c *denc.Coder, version uint16) {
	if version < 2 {
		c.Invalid("MMonSubscribe of version %d", version)
		return
	}
	denc.Map(c, &m.What, (*denc.Coder).Str)
	if version >= 3 {
		c.Str(&m.Hostname)
	}
}

// MMonSubscribeAck says after how many seconds to renew; only monitors without stateful
// subscriptions need it.
type MMonSubscribeAck struct {
	Interval uint32
	FSID     ceph.UUID
}

// Type is CEPH_MSG_MON_SUBSCRIBE_ACK.
func (*MMonSubscribeAck) Type() Type { return 16 }

// Denc is u32 interval, fsid.
func (m *MMonSubscribeAck) Denc(c *denc.Coder, _ uint16) {
	c.U32(&m.Interval)
	m.FSID.Denc(c)
}

// MMonGetVersion asks for the newest version of a map.
type MMonGetVersion struct {
	Handle uint64
	What   string
}

// Type is CEPH_MSG_MON_GET_VERSION.
func (*MMonGetVersion) Type() Type { return 19 }

// Denc is u64 handle, str what.
func (m *MMonGetVersion) Denc(c *denc.Coder, _ uint16) {
	c.U64(&m.Handle)
	c.Str(&m.What)
}

// MMonGetVersionReply answers MMonGetVersion with the same handle.
type MMonGetVersionReply struct {
	Handle, Version, Oldest uint64
}

// Type is CEPH_MSG_MON_GET_VERSION_REPLY.
func (*MMonGetVersionReply) Type() Type { return 20 }

// Denc is u64 handle, u64 newest, u64 oldest.
func (m *MMonGetVersionReply) Denc(c *denc.Coder, version uint16) {
	c.U64(&m.Handle)
	c.U64(&m.Version)
	if version >= 2 {
		c.U64(&m.Oldest)
	}
}

// MOSDMap carries encoded osdmaps, whole and as increments, and the range that the sender keeps.
type MOSDMap struct {
	FSID           ceph.UUID
	Incrementals   map[ceph.Epoch][]byte
	Maps           map[ceph.Epoch][]byte
	Oldest, Newest ceph.Epoch
}

// Type is CEPH_MSG_OSD_MAP.
func (*MOSDMap) Type() Type { return 41 }

// Denc follows messages/MOSDMap.h version 4; the map of gaps in the removed snaps stays empty.
func (m *MOSDMap) Denc(c *denc.Coder, version uint16) {
	m.FSID.Denc(c)
	epochBlobs(c, &m.Incrementals)
	epochBlobs(c, &m.Maps)
	if version >= 2 {
		m.Oldest.Denc(c)
		m.Newest.Denc(c)
	}
	if version >= 4 {
		if n := c.U32Const(0); n != 0 && !c.Encoding() {
			var gaps []byte
			c.Rest(&gaps)
		}
	}
}

// First is the lowest epoch in the message, 0 if there is none.
func (m *MOSDMap) First() ceph.Epoch {
	var first ceph.Epoch
	m.each(func(e ceph.Epoch) {
		if first == 0 || e < first {
			first = e
		}
	})
	return first
}

// Last is the highest epoch in the message, 0 if there is none.
func (m *MOSDMap) Last() ceph.Epoch {
	var last ceph.Epoch
	m.each(func(e ceph.Epoch) { last = max(last, e) })
	return last
}

func (m *MOSDMap) each(f func(ceph.Epoch)) {
	for e := range m.Maps {
		f(e)
	}
	for e := range m.Incrementals {
		f(e)
	}
}

// MFSMap carries the epoch and the encoding of the file system map.
type MFSMap struct {
	Epoch ceph.Epoch
	Map   []byte
}

// Type is CEPH_MSG_FS_MAP.
func (*MFSMap) Type() Type { return 45 }

// Denc is the epoch and the map without a length.
func (m *MFSMap) Denc(c *denc.Coder, _ uint16) {
	m.Epoch.Denc(c)
	c.Rest(&m.Map)
}

// MFSMapUser carries the epoch and the encoding of the clients' form of the file system map.
type MFSMapUser struct {
	Epoch ceph.Epoch
	Map   []byte
}

// Type is CEPH_MSG_FS_MAP_USER.
func (*MFSMapUser) Type() Type { return 103 }

// Denc is the epoch and the map without a length.
func (m *MFSMapUser) Denc(c *denc.Coder, _ uint16) {
	m.Epoch.Denc(c)
	c.Rest(&m.Map)
}

// MMDSMap carries the epoch and the encoding of one file system's map of metadata servers.
type MMDSMap struct {
	FSID  ceph.UUID
	Epoch ceph.Epoch
	Map   []byte
	Name  string // of the file system; from version 2 on
}

// Type is CEPH_MSG_MDS_MAP.
func (*MMDSMap) Type() Type { return 21 }

// Denc follows messages/MMDSMap.h.
func (m *MMDSMap) Denc(c *denc.Coder, v uint16) {
	m.FSID.Denc(c)
	m.Epoch.Denc(c)
	c.Blob(&m.Map)
	if v >= 2 {
		c.Str(&m.Name)
	}
}

// MConfig carries the options that the central configuration sets for the receiver.
type MConfig struct{ Config map[string]string }

// Type is MSG_CONFIG.
func (*MConfig) Type() Type { return 62 }

// Denc is a map of strings.
func (m *MConfig) Denc(c *denc.Coder, _ uint16) { strMap(c, &m.Config) }

// MGetConfig asks for the configuration of an entity.
type MGetConfig struct {
	Name        ceph.AuthName
	Host        string
	DeviceClass string
}

// Type is MSG_GET_CONFIG.
func (*MGetConfig) Type() Type { return 63 }

// Denc follows messages/MGetConfig.h.
func (m *MGetConfig) Denc(c *denc.Coder, _ uint16) {
	m.Name.Denc(c)
	c.Str(&m.Host)
	c.Str(&m.DeviceClass)
}

// MPing asks a monitor whether it is there; the answer has its state as JSON. Without a text it
// keeps a session alive.
type MPing struct{ Text string }

// Type is CEPH_MSG_PING.
func (*MPing) Type() Type { return 2 }

// Denc is the text, or nothing.
func (m *MPing) Denc(c *denc.Coder, _ uint16) {
	if c.Encoding() && m.Text != "" || !c.Encoding() && c.Remaining() > 0 {
		c.Str(&m.Text)
	}
}
