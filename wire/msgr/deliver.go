package msgr

import (
	"errors"
	"fmt"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// errReplay is a message number that does not follow the last one.
var errReplay = errors.New("message numbers have a gap")

const (
	// ackBytes and the ticker bound how much a lossless peer keeps for us.
	ackBytes = 256 << 10
	// messageCost is what a message counts for besides its bytes.
	messageCost = 512
)

// serve runs an established socket: it reports the session, starts the writer and reads until the
// socket ends.
func (c *Conn) serve(l *link, prev *link, reset, fresh bool) {
	if prev != nil {
		<-prev.done
		<-prev.wdone
	}
	l.nc.SetReadDeadline(time.Time{})
	c.mu.Lock()
	if !c.closing {
		l.nc.SetWriteDeadline(time.Time{})
	}
	c.mu.Unlock()
	c.m.wg.Go(func() { c.write(l) })
	if c.current(l) {
		if reset {
			c.m.d.RemoteReset(c)
		}
		if fresh {
			c.m.d.Accepted(c)
		} else {
			c.m.d.Connected(c)
		}
	}
	err := c.read(l)
	close(l.done)
	if errors.Is(err, errSuperseded) {
		l.drain()
	}
	err = l.failed(err)
	c.fault(l, err)
}

// current says whether a link may still deliver.
func (c *Conn) current(l *link) bool {
	c.recv.Lock()
	defer c.recv.Unlock()
	return c.source == l
}

// fault takes the end of a session's socket.
func (c *Conn) fault(l *link, err error) {
	c.mu.Lock()
	if c.state == stateClosed || c.link != l {
		c.mu.Unlock()
		return
	}
	c.m.log.Debug("connection lost", "peer", c.peer.Name, "addr", c.peer.Socket, "err", err)
	c.link, c.err = nil, err
	if !c.policy.Lossy {
		c.state = stateStandby
		if len(c.out)+len(c.sent) > 0 {
			c.resume()
		}
		c.mu.Unlock()
		return
	}
	c.end(err)
	c.out = nil
	c.mu.Unlock()
	c.m.forget(c)
	c.m.d.Reset(c)
}

// read dispatches frames until the link ends.
func (c *Conn) read(l *link) error {
	if l.legacy != nil {
		return c.read1(l)
	}
	for {
		if err := l.rd.next(); err != nil {
			return err
		}
		var err error
		if l.rd.pre.tag == tagMessage {
			err = c.readMessage(l)
		} else {
			err = c.readControl(l)
		}
		if err != nil {
			return err
		}
	}
}

func (c *Conn) readControl(l *link) error {
	t := l.rd.pre.tag
	b, err := l.rd.control()
	if err != nil {
		return err
	}
	switch t {
	case tagAck:
		var n number
		if err := decode(t, b, &n); err != nil {
			return err
		}
		c.acked(l, n.N)
	case tagKeepalive2:
		var k keepalive
		if err := decode(t, b, &k); err != nil {
			return err
		}
		c.poke(func(p *pending) { p.echo, p.stamp = true, k.Stamp })
	case tagKeepalive2Ack:
		var k keepalive
		if err := decode(t, b, &k); err != nil {
			return err
		}
		c.keepaliveAck.Store(k.Stamp.Go().UnixNano())
	default:
		return fmt.Errorf("%w: tag %d in a session", errFrame, t)
	}
	return nil
}

// readMessage reads one message and delivers it.
func (c *Conn) readMessage(l *link) error {
	var h messageHead
	if err := l.rd.head(l.head[:]); err != nil {
		return err
	}
	h.parse(l.head[:])
	size := int64(l.rd.pre.lens[1] + l.rd.pre.lens[2] + l.rd.pre.lens[3])
	hold, ok := c.acquire(l, size)
	if !ok {
		return errClosed
	}
	seg, err := l.rd.tail()
	if err != nil || seg.aborted {
		hold.giveBack()
		return err
	}
	if !l.lossy && h.ack > l.acked {
		c.acked(l, h.ack)
	}
	return c.deliver(l, &h, &seg, hold, size)
}

// deliver decodes and dispatches a message that was read.
func (c *Conn) deliver(l *link, h *messageHead, seg *segments, hold hold, size int64) error {
	m := &message.Message{
		TID: h.tid, Priority: h.priority, Version: h.version, Compat: h.compat, Seq: h.seq,
		Middle: seg.middle, Data: seg.data,
	}
	if seg.buf != nil {
		m.OnRelease(seg.buf.release)
	}
	if hold.messages != nil || hold.bytes != nil {
		m.OnDone(hold.giveBack)
	}
	if ok, err := c.take(l, h.seq, size); !ok || err != nil {
		m.Release()
		return err
	}
	l.dec.Read(seg.front, l.features)
	if err := m.DecodeFrom(&l.dec, message.Type(h.kind)); err != nil {
		m.Release()
		if errors.Is(err, denc.ErrVersion) {
			c.m.log.Warn("message is not understood", "peer", c.peerType, "err", err)
			return nil
		}
		c.m.log.Warn("message does not decode", "peer", c.peerType, "err", err)
		return err
	}
	c.m.d.Dispatch(c, m)
	return nil
}

// take enters a message into the session: false when the session has it already or has moved to
// another socket.
func (c *Conn) take(l *link, seq uint64, size int64) (bool, error) {
	c.recv.Lock()
	if c.source != l {
		c.recv.Unlock()
		return false, errSuperseded
	}
	have := c.inSeq.Load()
	if seq <= have {
		c.recv.Unlock()
		return false, nil
	}
	if seq != have+1 && !l.lossy {
		c.recv.Unlock()
		return false, fmt.Errorf("%w: %d after %d", errReplay, seq, have)
	}
	c.inSeq.Store(seq)
	c.recv.Unlock()
	if !l.lossy && c.ackDue.Add(size+messageCost) > ackBytes {
		c.poke(func(p *pending) { p.ack = true })
	}
	return true, nil
}

// A hold is what a message occupies of the throttles.
type hold struct {
	messages, bytes *Throttle
	size            int64
}

func (h hold) giveBack() {
	h.messages.release(1)
	h.bytes.release(h.size)
}

// acquire waits for the throttles; false when the link ended.
func (c *Conn) acquire(l *link, size int64) (hold, bool) {
	h := hold{messages: c.policy.Messages, bytes: c.policy.Bytes, size: size}
	if !h.messages.acquire(1, l.dead) {
		return h, false
	}
	if !h.bytes.acquire(size, l.dead) {
		h.messages.release(1)
		return h, false
	}
	return h, true
}

// acked drops what the peer has got.
func (c *Conn) acked(l *link, seq uint64) {
	l.acked = max(l.acked, seq)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return
	}
	if seq > c.outSeq {
		return // of nothing that we sent
	}
	c.gotSeq = max(c.gotSeq, seq)
	n := 0
	for n < len(c.sent) && c.sent[n].seq <= seq {
		c.sent[n].m = nil
		n++
	}
	if c.sent = c.sent[n:]; len(c.sent) == 0 {
		c.sent = nil
	}
}

// batchMessages bounds what the writer takes at once.
const batchMessages = 256

// write sends what is queued until the link ends.
func (c *Conn) write(l *link) {
	defer close(l.wdone)
	var batch []outgoing
	for {
		var p pending
		var ok bool
		if batch, p, ok = c.nextBatch(l, batch); !ok {
			return
		}
		if err := c.writeBatch(l, batch, p); err != nil {
			l.close(err)
			return
		}
		clear(batch)
	}
}

func (c *Conn) writeBatch(l *link, batch []outgoing, p pending) error {
	c.writeControl(l, p)
	written := 0
	for i, e := range batch {
		e.m.Seq = e.seq
		c.ackDue.Store(0) // before inSeq is read, so that what comes between stays due
		ack := c.inSeq.Load()
		if l.wr.message(e.m, l.features, ack); l.wr.full() {
			if err := l.flush(batch[written : i+1]); err != nil {
				return err
			}
			written = i + 1
		}
	}
	if l.wr.empty() {
		return nil
	}
	return l.flush(batch[written:])
}

// flush writes what is gathered, the last of it being the given messages. On a lossless session
// they may have to be written once more, so their buffers stay with them.
func (l *link) flush(batch []outgoing) error {
	err := l.wr.flush(l.nc)
	if err != nil || !l.lossy {
		return err
	}
	for _, e := range batch {
		e.m.Release()
	}
	return nil
}

func (c *Conn) writeControl(l *link, p pending) {
	if l.legacy != nil {
		c.writeControl1(l, p)
		return
	}
	control := func(t tag, v denc.Value) { l.wr.control(t, denc.Marshal(v, 0)) }
	if p.keepalive {
		control(tagKeepalive2, &keepalive{ceph.TimeOf(time.Now())})
	}
	if p.echo {
		control(tagKeepalive2Ack, &keepalive{p.stamp})
	}
	if p.ack {
		c.ackDue.Store(0)
		control(tagAck, &number{c.inSeq.Load()})
	}
}

// nextBatch waits for something to write. The messages are numbered and, on a lossless session,
// kept until they are acknowledged.
func (c *Conn) nextBatch(
	l *link, batch []outgoing,
) ([]outgoing, pending, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.link != l || c.state != stateReady && !c.closing {
			return nil, pending{}, false
		}
		if len(c.out) > 0 || c.control != (pending{}) {
			break
		}
		if c.closing {
			l.finish()
			return nil, pending{}, false
		}
		c.idle = true
		c.mu.Unlock()
		alive := true
		select {
		case <-c.wake:
		case <-l.dead:
			alive = false
		}
		c.mu.Lock()
		c.idle = false
		if !alive {
			return nil, pending{}, false
		}
	}
	n := min(len(c.out), batchMessages)
	if n == len(c.out) {
		batch, c.out = c.out, batch[:0]
	} else {
		batch = append(batch[:0], c.out[:n]...)
		clear(c.out[:n])
		c.out = c.out[n:]
	}
	for i := range batch {
		c.outSeq++
		batch[i].seq = c.outSeq
	}
	c.maxSeq = max(c.maxSeq, c.outSeq)
	if !l.lossy {
		c.sent = append(c.sent, batch...)
	}
	p := c.control
	c.control = pending{}
	return batch, p, true
}
