package msgr

import (
	"encoding/binary"
	"errors"
	"fmt"

	"glue/internal/crc32c"
)

// A tag tells what a frame is (ceph::msgr::v2::Tag).
type tag uint8

const (
	tagHello              tag = 1
	tagAuthRequest        tag = 2
	tagAuthBadMethod      tag = 3
	tagAuthReplyMore      tag = 4
	tagAuthRequestMore    tag = 5
	tagAuthDone           tag = 6
	tagAuthSignature      tag = 7
	tagClientIdent        tag = 8
	tagServerIdent        tag = 9
	tagIdentMissing       tag = 10
	tagSessionReconnect   tag = 11
	tagSessionReset       tag = 12
	tagSessionRetry       tag = 13
	tagSessionRetryGlobal tag = 14
	tagSessionReconnectOK tag = 15
	tagWait               tag = 16
	tagMessage            tag = 17
	tagKeepalive2         tag = 18
	tagKeepalive2Ack      tag = 19
	tagAck                tag = 20
)

// Sizes of the frame format.
const (
	preambleBytes     = 32
	maxSegments       = 4
	crcBytes          = 4
	epilogueCRCBytes  = 13 // late status and three checksums
	epilogueGCMBytes  = 16 // late status and padding
	inlineBytes       = 48 // of the first segment, sealed together with the preamble
	tagBytes          = 16 // of an AES-GCM record
	cipherBlockBytes  = 16
	messageHeadBytes  = 41
	lateStatusOK      = 0xe
	lateStatusAborted = 0x1
	segmentAlign      = 8
	dataAlign         = 4096
)

// Errors that end a connection.
var (
	errFrame   = errors.New("frame is not valid")
	errTooLong = errors.New("frame is longer than allowed")
	errCRC     = errors.New("frame has a wrong checksum")
	errSealed  = errors.New("frame does not open")
)

const crcSeed = 0xffffffff

// A preamble announces a frame.
type preamble struct {
	tag      tag
	segments int
	lens     [maxSegments]int
}

// put encodes the preamble into 32 bytes.
func (p *preamble) put(b []byte) {
	clear(b[:preambleBytes])
	b[0], b[1] = byte(p.tag), byte(p.segments)
	for i := range p.segments {
		align := uint16(segmentAlign)
		if i == maxSegments-1 {
			align = dataAlign
		}
		binary.LittleEndian.PutUint32(b[2+6*i:], uint32(p.lens[i]))
		binary.LittleEndian.PutUint16(b[6+6*i:], align)
	}
	binary.LittleEndian.PutUint32(b[28:], crc32c.Update(0, b[:28]))
}

// parse decodes and checks 32 bytes.
func (p *preamble) parse(b []byte) error {
	if crc32c.Update(0, b[:28]) != binary.LittleEndian.Uint32(b[28:]) {
		return fmt.Errorf("%w: preamble", errCRC)
	}
	p.tag, p.segments = tag(b[0]), int(b[1])
	if p.segments < 1 || p.segments > maxSegments {
		return fmt.Errorf("%w: %d segments", errFrame, p.segments)
	}
	p.lens = [maxSegments]int{}
	for i := range p.segments {
		n := binary.LittleEndian.Uint32(b[2+6*i:])
		if n > 1<<30 {
			return fmt.Errorf("%w: segment of %d bytes", errTooLong, n)
		}
		p.lens[i] = int(n)
	}
	if p.segments > 1 && p.lens[p.segments-1] == 0 {
		return fmt.Errorf("%w: last segment is empty", errFrame)
	}
	return nil
}

// check refuses lengths that this end does not take, before anything is allocated for them.
func (p *preamble) check(l *limits) error {
	if p.tag != tagMessage {
		if p.segments != 1 || p.lens[0] > l.control {
			return fmt.Errorf("%w: %d segments, %d bytes, tag %d",
				errTooLong, p.segments, p.lens[0], p.tag)
		}
		return nil
	}
	if p.lens[0] != messageHeadBytes {
		return fmt.Errorf("%w: message header of %d bytes", errFrame, p.lens[0])
	}
	if p.lens[1] > l.front || p.lens[2] > l.middle || p.lens[3] > l.data {
		return fmt.Errorf("%w: message of %d, %d and %d bytes",
			errTooLong, p.lens[1], p.lens[2], p.lens[3])
	}
	return nil
}

// limits are the longest segments that this end reads.
type limits struct{ control, front, middle, data int }

// controlBytes bounds a control frame; before authentication nothing longer is read.
const controlBytes = 64 << 10

func pad16(n int) int { return (n + cipherBlockBytes - 1) &^ (cipherBlockBytes - 1) }

// lateStatus checks the byte that says whether the sender meant the frame it has sent.
func lateStatus(b byte) (aborted bool, err error) {
	switch b & 0xf {
	case lateStatusOK:
		return false, nil
	case lateStatusAborted:
		return true, nil
	}
	return false, fmt.Errorf("%w: late status %#x", errFrame, b)
}

// A messageHead is the first segment of a message (ceph_msg_header2).
type messageHead struct {
	seq, tid        uint64
	kind            uint16
	priority        uint16
	version, compat uint16
	ack             uint64
}

func (h *messageHead) put(b []byte) {
	clear(b[:messageHeadBytes])
	binary.LittleEndian.PutUint64(b[0:], h.seq)
	binary.LittleEndian.PutUint64(b[8:], h.tid)
	binary.LittleEndian.PutUint16(b[16:], h.kind)
	binary.LittleEndian.PutUint16(b[18:], h.priority)
	binary.LittleEndian.PutUint16(b[20:], h.version)
	binary.LittleEndian.PutUint64(b[28:], h.ack)
	b[36] = 1 // complete
	binary.LittleEndian.PutUint16(b[37:], h.compat)
}

func (h *messageHead) parse(b []byte) {
	h.seq = binary.LittleEndian.Uint64(b[0:])
	h.tid = binary.LittleEndian.Uint64(b[8:])
	h.kind = binary.LittleEndian.Uint16(b[16:])
	h.priority = binary.LittleEndian.Uint16(b[18:])
	h.version = binary.LittleEndian.Uint16(b[20:])
	h.ack = binary.LittleEndian.Uint64(b[28:])
	h.compat = binary.LittleEndian.Uint16(b[37:])
}
