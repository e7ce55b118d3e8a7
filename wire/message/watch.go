package message

import (
	"cmp"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
)

// Actions of MOSDBackoff (CEPH_OSD_BACKOFF_OP_*).
const (
	BackoffBlock    = 1
	BackoffAckBlock = 2
	BackoffUnblock  = 3
)

// MOSDBackoff stops and restarts a client's requests for the objects in [Begin, End), or for the
// one object if both are the same.
type MOSDBackoff struct {
	PG         ceph.SPG
	Epoch      ceph.Epoch
	Action     uint8
	ID         uint64
	Begin, End ceph.HObject
}

// Type is CEPH_MSG_OSD_BACKOFF.
func (*MOSDBackoff) Type() Type { return 61 }

// Denc follows messages/MOSDBackoff.h.
func (m *MOSDBackoff) Denc(c *denc.Coder, _ uint16) {
	m.PG.Denc(c)
	m.Epoch.Denc(c)
	c.U8(&m.Action)
	c.U64(&m.ID)
	m.Begin.Denc(c)
	m.End.Denc(c)
}

// Events of MWatchNotify (CEPH_WATCH_EVENT_*).
const (
	WatchEventNotify     = 1 // to a watcher
	WatchEventComplete   = 2 // to the notifier; the data segment is a NotifyResult
	WatchEventDisconnect = 3 // the watch is gone
)

// MWatchNotify tells a watcher of a notification, or a notifier of its end.
type MWatchNotify struct {
	Event       uint8
	Cookie      uint64 // the watch's or the notify's
	Version     uint64
	NotifyID    uint64
	Payload     []byte
	Result      int32
	NotifierGID uint64
}

// Type is CEPH_MSG_WATCH_NOTIFY.
func (*MWatchNotify) Type() Type { return 44 }

// Denc follows messages/MWatchNotify.h version 3.
func (m *MWatchNotify) Denc(c *denc.Coder, version uint16) {
	v := c.U8Const(1)
	c.U8(&m.Event)
	c.U64(&m.Cookie)
	c.U64(&m.Version)
	c.U64(&m.NotifyID)
	if v >= 1 {
		c.Blob(&m.Payload)
	}
	if version >= 2 {
		c.I32(&m.Result)
	}
	if version >= 3 {
		c.U64(&m.NotifierGID)
	}
}

// A NotifyPeer is one watch that was notified.
type NotifyPeer struct {
	GID, Cookie uint64
}

// A NotifyAck is one watcher's answer.
type NotifyAck struct {
	NotifyPeer
	Reply []byte
}

// A NotifyResult is what a notifier gets: the answers, and who did not answer in time.
type NotifyResult struct {
	Acks   []NotifyAck
	Missed []NotifyPeer
}

// Denc is map<(gid, cookie), reply> and list<(gid, cookie)>.
func (r *NotifyResult) Denc(c *denc.Coder) {
	denc.ListFunc(c, &r.Acks, func(c *denc.Coder, a *NotifyAck) {
		a.NotifyPeer.denc(c)
		c.Blob(&a.Reply)
	})
	denc.ListFunc(c, &r.Missed, func(c *denc.Coder, p *NotifyPeer) { p.denc(c) })
}

// Sort puts both lists in the order of clients and cookies.
func (r *NotifyResult) Sort() {
	compare := func(a, b NotifyPeer) int {
		return cmp.Or(cmp.Compare(a.GID, b.GID), cmp.Compare(a.Cookie, b.Cookie))
	}
	slices.SortFunc(r.Acks, func(a, b NotifyAck) int { return compare(a.NotifyPeer, b.NotifyPeer) })
	slices.SortFunc(r.Missed, compare)
}

func (p *NotifyPeer) denc(c *denc.Coder) {
	c.U64(&p.GID)
	c.U64(&p.Cookie)
}
