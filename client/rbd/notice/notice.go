// Package notice is what the clients of an image tell each other by notifications of its header:
// who has the lock and who wants it, that the header has changed, and what one has another do
// (librbd's WatchNotifyTypes). It keeps nothing: who watches the header acts on it.
package notice

import (
	"context"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rados"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
)

// What clients of an image tell each other by notifications of its header (NotifyOp).
const (
	AcquiredLock   = 0
	ReleasedLock   = 1
	RequestLock    = 2
	HeaderUpdate   = 3
	AsyncProgress  = 4
	AsyncComplete  = 5
	Flatten        = 6
	UpdateFeatures = 15
	Migrate        = 16
	Quiesce        = 18
	Unquiesce      = 19
)

// Timeout is how long the others have to answer.
const Timeout = 10 * time.Second

// A Client is one watcher of an image (ClientId).
type Client struct{ GID, Handle uint64 }

// Denc is two u64.
func (c *Client) Denc(d *denc.Coder) {
	d.U64(&c.GID)
	d.U64(&c.Handle)
}

// A Message is a notification's payload (NotifyMessage), as far as we understand it.
type Message struct {
	Op     uint32
	Client Client // of the lock messages
	Force  bool   // of RequestLock

	// Of what one client has another one do.
	Request     uint64 // number of the client that asks
	Done, Total uint64 // of AsyncProgress
	Result      int32  // of AsyncComplete
}

// Denc is version 7.
func (n *Message) Denc(c *denc.Coder) {
	s := c.Begin(7, 1)
	c.U32(&n.Op)
	switch n.Op {
	case AcquiredLock, ReleasedLock:
		n.Client.Denc(c)
	case RequestLock:
		n.Client.Denc(c)
		if c.Encoding() || s.Left() {
			c.Bool(&n.Force)
		}
	case Migrate, Quiesce, Unquiesce, AsyncProgress, AsyncComplete:
		n.Client.Denc(c)
		c.U64(&n.Request)
		switch n.Op {
		case AsyncProgress:
			c.U64(&n.Done)
			c.U64(&n.Total)
		case AsyncComplete:
			c.I32(&n.Result)
		}
	}
	s.End()
}

// Encode is the payload.
func (n Message) Encode() []byte { return denc.Marshal(&n, ceph.FeaturesAll) }

// Response is the answer to a request.
func Response(result int32) []byte { return class.Encode(dencResponse(&result)) }

// ParseResponse reads an answer; false if there is none.
func ParseResponse(b []byte) (result int32, ok bool) {
	ok = len(b) > 0 && class.Decode(b, dencResponse(&result)) == nil
	return result, ok
}

// dencResponse is ResponseMessage, version 1.
func dencResponse(result *int32) func(*denc.Coder) {
	return func(c *denc.Coder) {
		s := c.Begin(1, 1)
		c.I32(result)
		s.End()
	}
}

// HeaderChanged tells the other clients of an image to read its header again.
func HeaderChanged(ctx context.Context, x *rados.IOCtx, id string) {
	_, _ = x.Notify(ctx, layout.HeaderPrefix+id, Message{Op: HeaderUpdate}.Encode(), Timeout)
}
