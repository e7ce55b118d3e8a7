package msgr

import (
	"fmt"
	"io"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/internal/crc32c"
	"glue/wire/message"
	"glue/wire/msgr1"
)

// An incoming1 is the beginning of what a peer of msgr v1 sends: a tag, with the header of a
// message or the 8 bytes that other tags carry.
type incoming1 struct {
	tag  msgr1.Tag
	head msgr1.Header
	word [8]byte
}

// next1 reads up to the front of a message.
func (l *link) next1(in *incoming1) error {
	b, err := l.rd.peek(1, nil)
	if err != nil {
		return err
	}
	switch in.tag = msgr1.Tag(b[0]); in.tag {
	case msgr1.TagMessage:
		if b, err = l.rd.peek(msgr1.HeaderBytes, nil); err != nil {
			return unexpected(err)
		}
		lim := &l.rd.limits
		return in.head.Parse(b, msgr1.Limits{Front: lim.front, Middle: lim.middle, Data: lim.data})
	case msgr1.TagAck, msgr1.TagKeepalive2, msgr1.TagKeepalive2Ack:
		if b, err = l.rd.peek(len(in.word), nil); err != nil {
			return unexpected(err)
		}
		copy(in.word[:], b)
	case msgr1.TagKeepalive:
	case msgr1.TagClose:
		return io.EOF
	default:
		return fmt.Errorf("%w: tag %d in a session", errFrame, in.tag)
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// tail1 reads a message behind its header and checks it.
func (l *link) tail1(h *msgr1.Header) (s segments, err error) {
	if s.front, err = l.rd.keepable(h.Front); err != nil {
		return s, err
	}
	if s.middle, err = l.rd.keepable(h.Middle); err != nil {
		return s, err
	}
	if h.Data > 0 {
		if s.buf, s.data, err = l.rd.buffered(h.Data, 0); err != nil {
			return segments{}, err
		}
	}
	b, err := l.rd.peek(msgr1.FooterBytes, nil)
	if err == nil {
		var f msgr1.Footer
		f.Parse(b)
		err = f.Check(h, l.legacy.in, s.front, s.middle, s.data)
	}
	if err != nil && s.buf != nil {
		s.buf.release()
		s.buf = nil
	}
	return s, unexpected(err)
}

// read1 dispatches what a peer of msgr v1 sends until the link ends.
func (c *Conn) read1(l *link) error {
	var in incoming1
	for {
		if err := l.next1(&in); err != nil {
			return err
		}
		switch in.tag {
		case msgr1.TagMessage:
			if err := c.readMessage1(l, &in.head); err != nil {
				return err
			}
		case msgr1.TagKeepalive2:
			stamp := in.stamp()
			c.poke(func(p *pending) { p.echo, p.stamp = true, stamp })
		case msgr1.TagKeepalive2Ack:
			c.keepaliveAck.Store(in.stamp().Go().UnixNano())
		}
	}
}

func (in *incoming1) stamp() (t ceph.Time) {
	t.Denc(denc.NewDecoder(in.word[:], 0)) // 8 bytes always decode
	return t
}

func (c *Conn) readMessage1(l *link, h *msgr1.Header) error {
	size := int64(h.Front) + int64(h.Middle) + int64(h.Data)
	hold, ok := c.acquire(l, size)
	if !ok {
		return errClosed
	}
	seg, err := l.tail1(h)
	if err != nil {
		hold.giveBack()
		return err
	}
	return c.deliver(l, &messageHead{
		seq: h.Seq, tid: h.TID, kind: h.Type, priority: h.Priority,
		version: h.Version, compat: h.Compat,
	}, &seg, hold, size)
}

// legacyControl appends a tag with 8 bytes.
func (f *frameWriter) legacyControl(t msgr1.Tag, word [8]byte) {
	f.arena = append(append(f.arena, byte(t)), word[:]...)
	f.size += 1 + len(word)
}

// writeControl1 is writeControl on a link of msgr v1. Messages of clients are not acknowledged:
// their sessions do not outlive a socket.
func (c *Conn) writeControl1(l *link, p pending) {
	stamp := func(t ceph.Time) [8]byte { return [8]byte(denc.Marshal(&t, 0)) }
	if p.keepalive {
		l.wr.legacyControl(msgr1.TagKeepalive2, stamp(ceph.TimeOf(time.Now())))
	}
	if p.echo {
		l.wr.legacyControl(msgr1.TagKeepalive2Ack, stamp(p.stamp))
	}
}

// legacyMessage appends a message as msgr v1 has it.
func (f *frameWriter) legacyMessage(m *message.Message, features uint64) {
	const reserved = 1 + msgr1.HeaderBytes
	start := len(f.arena)
	f.arena = append(f.arena, zeroBytes[:reserved]...)
	f.enc.Append(f.arena, features)
	data := m.Encode(&f.enc)
	f.arena = f.enc.Bytes()
	h := msgr1.Header{
		Seq: m.Seq, TID: m.TID, Type: uint16(m.Body.Type()), Priority: m.Priority,
		Version: m.Version, Compat: m.Compat,
		Front: len(f.arena) - start - reserved, Middle: len(m.Middle), Source: f.legacy.self,
	}
	if h.Priority == 0 {
		h.Priority = message.PriorityDefault
	}
	var foot msgr1.Footer
	foot.Sums(f.arena[start+reserved:], m.Middle)
	for _, d := range data {
		h.Data += len(d)
		if m.Sum == nil {
			foot.Data = crc32c.Update(foot.Data, d)
		}
	}
	if m.Sum != nil {
		foot.Data = *m.Sum
	}
	f.arena[start] = byte(msgr1.TagMessage)
	h.Put(f.arena[start+1:])
	f.arena = append(f.arena, m.Middle...)
	for _, d := range data {
		f.gather(d)
	}
	f.arena = foot.Append(f.arena, &h, f.legacy.out)
	f.size += len(f.arena) - start
}
