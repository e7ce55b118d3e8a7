package mon

import (
	"glue/auth/caps"
	"glue/ceph"
	"glue/wire/message"
)

// poolOp changes a pool for a client library: snapshots, creation, deletion.
func (c *core) poolOp(e event, b *message.MPoolOp) {
	if b.FSID != c.fsid {
		return
	}
	reply := func(err ceph.Errno, data []byte) {
		e.s.reply(e.m, &message.MPoolOpReply{FSID: c.fsid, Result: err.Result(),
			Epoch: c.osd.Map().Epoch, Data: data})
	}
	if !c.mayPoolOp(e.s, b) {
		reply(ceph.EPERM, nil)
		return
	}
	if c.busy(e) {
		return
	}
	if c.conflicting() {
		c.flow.urgent = true
		c.propose()
		c.block(e)
		return
	}
	id, data, err := c.osd.PoolOp(c.now(), b)
	if err != 0 {
		c.dropPrepared()
		reply(err, nil)
		return
	}
	c.seal(e, func() { reply(0, data) }, func(error) { reply(ceph.EINVAL, nil) })
	if b.Op == message.PoolCreateOwnSnap {
		c.log.Debug("snapshot id given", "pool", b.Pool, "snap", id)
	}
}

// mayPoolOp checks the caps. Snapshots that a client manages itself are for who may write to the
// pool's objects by a command grant, or has blanket write caps on OSDs' affairs.
func (c *core) mayPoolOp(s *session, b *message.MPoolOp) bool {
	if b.Op != message.PoolCreateOwnSnap && b.Op != message.PoolDeleteOwnSnap {
		return s.allowed("osd", caps.W)
	}
	pool := c.osd.Map().PoolName(int64(b.Pool))
	q := caps.MonQuery{Service: "osd", Command: "osd pool op unmanaged-snap",
		Args: map[string]string{"poolname": pool}, Need: caps.W}
	return s.permits(q) || s.allowed("osd", caps.W) || c.mayWritePool(s, pool)
}

// mayWritePool says whether the entity's OSD caps let it write to the pool: then it may take
// snapshots there too.
func (c *core) mayWritePool(s *session, pool string) bool {
	entry, ok := c.auth.Keys().Entity(s.peer.AuthName)
	if !ok {
		return false
	}
	parsed, err := caps.ParseOSD(entry.Caps["osd"])
	return err == nil && parsed.WritesPool(pool, s.ip())
}
