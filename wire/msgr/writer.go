package msgr

import (
	"encoding/binary"
	"net"

	"glue/ceph/denc"
	"glue/internal/crc32c"
	"glue/wire/message"
)

// A frameWriter gathers frames into pieces for one writev. It belongs to one goroutine at a time.
type frameWriter struct {
	arena  []byte      // headers, fronts and small data of the frames gathered
	mark   int         // arena[mark:] is not in pieces yet
	pieces net.Buffers // in order; data segments are their own pieces, not copied
	out    net.Buffers // what a write consumes
	size   int
	enc    denc.Coder
	held   []*buffer // that the arena grew into
	own    []byte    // the arena before that
	tx     *sealer   // nil in crc mode
	legacy *legacy   // of msgr v1
}

const (
	// copyBytes is the longest data segment that is copied rather than gathered.
	copyBytes = 1024
	// keepArena is the largest arena that is kept for the next batch.
	keepArena = 64 << 10
	// flushSealed is when a batch in secure mode is written: all of it is in the arena.
	flushSealed = 192 << 10
	// flushPlain is the same in crc mode, where data segments are not copied.
	flushPlain = 1 << 20
)

// control appends a control frame.
func (f *frameWriter) control(t tag, payload []byte) {
	start := len(f.arena)
	p := preamble{tag: t, segments: 1, lens: [maxSegments]int{len(payload)}}
	f.head(&p, payload)
	f.size += len(f.arena) - start
}

// head appends the preamble and the first segment.
func (f *frameWriter) head(p *preamble, seg0 []byte) {
	start := len(f.arena)
	f.arena = append(f.arena, make([]byte, preambleBytes)...)
	p.put(f.arena[start:])
	f.arena = append(f.arena, seg0...)
	if f.tx == nil {
		if len(seg0) > 0 {
			f.arena = binary.LittleEndian.AppendUint32(f.arena, crc32c.Update(crcSeed, seg0))
		}
		return
	}
	if len(seg0) <= inlineBytes {
		f.zeros(inlineBytes - len(seg0))
		f.arena = f.tx.seal(f.arena, start)
		return
	}
	f.arena = f.tx.seal(f.arena[:start+preambleBytes+inlineBytes], start)
	start = len(f.arena)
	f.arena = append(f.arena, seg0[inlineBytes:]...)
	f.zeros(pad16(len(seg0)) - len(seg0))
	f.arena = f.tx.seal(f.arena, start)
}

var zeroBytes [128]byte

func (f *frameWriter) zeros(n int) { f.arena = append(f.arena, zeroBytes[:n]...) }

// message appends a message.
func (f *frameWriter) message(m *message.Message, features, ack uint64) {
	if f.legacy != nil {
		f.legacyMessage(m, features)
		return
	}
	start := len(f.arena)
	reserved := preambleBytes + messageHeadBytes + crcBytes
	if f.tx != nil {
		reserved = preambleBytes + inlineBytes + tagBytes
	}
	f.arena = append(f.arena, zeroBytes[:reserved]...)
	f.enc.Append(f.arena, features)
	data := m.Encode(&f.enc)
	f.arena = f.enc.Bytes()
	n := 0
	for _, d := range data {
		n += len(d)
	}
	front := len(f.arena) - start - reserved
	p := preamble{
		tag: tagMessage, lens: [maxSegments]int{messageHeadBytes, front, len(m.Middle), n},
	}
	for p.segments = maxSegments; p.segments > 1 && p.lens[p.segments-1] == 0; {
		p.segments--
	}
	f.messageHead(f.arena[start:start+reserved], &p, m, ack)
	if p.segments > 1 {
		if f.tx != nil {
			f.sealTail(start+reserved, m.Middle, data)
		} else {
			f.plainTail(&p, start+reserved, m, data)
		}
	}
	f.size += len(f.arena) - start
}

// messageHead fills in the preamble and the message's header in the space reserved for them.
func (f *frameWriter) messageHead(b []byte, p *preamble, m *message.Message, ack uint64) {
	p.put(b)
	h := messageHead{
		seq: m.Seq, tid: m.TID, kind: uint16(m.Body.Type()), priority: m.Priority,
		version: m.Version, compat: m.Compat, ack: ack,
	}
	if h.priority == 0 {
		h.priority = message.PriorityDefault
	}
	head := b[preambleBytes : preambleBytes+messageHeadBytes]
	if h.put(head); f.tx == nil {
		binary.LittleEndian.PutUint32(b[len(b)-crcBytes:], crc32c.Update(crcSeed, head))
		return
	}
	f.tx.seal(b[:preambleBytes+inlineBytes], 0)
}

// plainTail appends what follows the front, which is in the arena from at.
func (f *frameWriter) plainTail(p *preamble, at int, m *message.Message, data [][]byte) {
	sums := [maxSegments - 1]uint32{
		crc32c.Update(crcSeed, f.arena[at:]), crc32c.Update(crcSeed, m.Middle), crcSeed,
	}
	f.arena = append(f.arena, m.Middle...)
	if m.Sum != nil {
		sums[2] = crc32c.Zeros(crcSeed, p.lens[maxSegments-1]) ^ *m.Sum
	}
	for _, d := range data {
		if m.Sum == nil {
			sums[2] = crc32c.Update(sums[2], d)
		}
		f.gather(d)
	}
	f.arena = append(f.arena, lateStatusOK)
	for i, s := range sums {
		if i+1 >= p.segments {
			s = 0
		}
		f.arena = binary.LittleEndian.AppendUint32(f.arena, s)
	}
}

// gather appends data: as a piece of its own unless it is short.
func (f *frameWriter) gather(d []byte) {
	if len(d) <= copyBytes {
		f.arena = append(f.arena, d...)
		return
	}
	f.cut()
	f.pieces = append(f.pieces, d)
	f.size += len(d)
}

// cut makes a piece of what is in the arena and not in a piece yet. Growing the arena later
// leaves the piece's memory as it is.
func (f *frameWriter) cut() {
	if len(f.arena) > f.mark {
		f.pieces = append(f.pieces, f.arena[f.mark:len(f.arena):len(f.arena)])
		f.mark = len(f.arena)
	}
}

// sealTail pads the front, which is in the arena from at, appends the rest and seals it all.
func (f *frameWriter) sealTail(at int, middle []byte, data [][]byte) {
	front, n := len(f.arena)-at, 0
	for _, d := range data {
		n += len(d)
	}
	f.grow(pad16(front) - front + pad16(len(middle)) + pad16(n) + epilogueGCMBytes + tagBytes)
	f.zeros(pad16(front) - front)
	f.arena = append(f.arena, middle...)
	f.zeros(pad16(len(middle)) - len(middle))
	for _, d := range data {
		f.arena = append(f.arena, d...)
	}
	f.zeros(pad16(n) - n)
	f.arena = append(f.arena, lateStatusOK)
	f.zeros(epilogueGCMBytes - 1)
	f.arena = f.tx.seal(f.arena, at)
}

// grow makes room for n bytes. Beyond what a connection keeps, memory comes from the pools until
// the flush.
func (f *frameWriter) grow(n int) {
	if need := len(f.arena) + n; need > cap(f.arena) && need > keepArena {
		b := newBuffer(need)
		if len(f.held) == 0 {
			f.own = f.arena
		}
		f.held = append(f.held, b)
		f.arena = append(b.mem[:0], f.arena...)
	}
}

// full says whether what is gathered should be written before more is added.
func (f *frameWriter) full() bool {
	return f.size >= flushPlain || f.tx != nil && f.size >= flushSealed
}

// empty says whether nothing is gathered.
func (f *frameWriter) empty() bool { return f.size == 0 }

// bytes is what is gathered, when no data segment is among it.
func (f *frameWriter) bytes() []byte { return f.arena }

// flush writes all that is gathered.
func (f *frameWriter) flush(to net.Conn) error {
	f.cut()
	var err error
	if len(f.pieces) == 1 {
		_, err = to.Write(f.pieces[0])
	} else {
		f.out = f.pieces
		_, err = f.out.WriteTo(to)
	}
	clear(f.pieces)
	f.pieces, f.out = f.pieces[:0], nil
	f.mark, f.size = 0, 0
	if len(f.held) > 0 {
		f.arena, f.own = f.own, nil
	}
	if f.arena = f.arena[:0]; cap(f.arena) > keepArena {
		f.arena = nil
	}
	for _, b := range f.held {
		b.release()
	}
	clear(f.held)
	f.held = f.held[:0]
	return err
}
