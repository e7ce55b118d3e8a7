package msgr1

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"glue/ceph"
	"glue/internal/crc32c"
)

// A Header precedes a message (ceph_msg_header).
type Header struct {
	Seq, TID            uint64
	Type                uint16
	Priority            uint16
	Version, Compat     uint16
	Front, Middle, Data int // bytes
	Source              ceph.EntityName
	CRC                 uint32 // of the header; set by Put and Parse
}

// Put encodes the header into HeaderBytes.
func (h *Header) Put(b []byte) {
	le := binary.LittleEndian
	clear(b[:HeaderBytes])
	le.PutUint64(b, h.Seq)
	le.PutUint64(b[8:], h.TID)
	le.PutUint16(b[16:], h.Type)
	le.PutUint16(b[18:], h.Priority)
	le.PutUint16(b[20:], h.Version)
	le.PutUint32(b[22:], uint32(h.Front))
	le.PutUint32(b[26:], uint32(h.Middle))
	le.PutUint32(b[30:], uint32(h.Data))
	b[36] = byte(h.Source.Type)
	le.PutUint64(b[37:], uint64(h.Source.Num))
	le.PutUint16(b[45:], h.Compat)
	h.CRC = crc32c.Update(0, b[:HeaderBytes-4])
	le.PutUint32(b[HeaderBytes-4:], h.CRC)
}

// Limits are the longest parts of a message that are read.
type Limits struct{ Front, Middle, Data int }

// Parse decodes HeaderBytes, checks them and refuses a message that is longer than the limits.
func (h *Header) Parse(b []byte, l Limits) error {
	le := binary.LittleEndian
	h.CRC = le.Uint32(b[HeaderBytes-4:])
	if crc32c.Update(0, b[:HeaderBytes-4]) != h.CRC {
		return fmt.Errorf("%w: header of a message", ErrCRC)
	}
	front, middle, data := le.Uint32(b[22:]), le.Uint32(b[26:]), le.Uint32(b[30:])
	if uint64(front) > uint64(l.Front) || uint64(middle) > uint64(l.Middle) ||
		uint64(data) > uint64(l.Data) {
		return fmt.Errorf("%w: message of %d, %d and %d bytes", ErrTooLong, front, middle, data)
	}
	h.Seq, h.TID = le.Uint64(b), le.Uint64(b[8:])
	h.Type, h.Priority = le.Uint16(b[16:]), le.Uint16(b[18:])
	h.Version, h.Compat = le.Uint16(b[20:]), le.Uint16(b[45:])
	h.Front, h.Middle, h.Data = int(front), int(middle), int(data)
	h.Source = ceph.EntityName{Type: ceph.EntityType(b[36]), Num: int64(le.Uint64(b[37:]))}
	return nil
}

// Flags of a footer.
const (
	flagComplete = 1 // not set: the sender has given the message up
	flagNoCRC    = 2 // the data segment has no checksum
	flagSigned   = 4
)

// A Footer follows a message (ceph_msg_footer).
type Footer struct {
	Front, Middle, Data uint32 // checksums
	Sig                 uint64
	Flags               uint8
}

// Sums are the checksums of a message's parts, from 0.
func (f *Footer) Sums(front, middle []byte) {
	f.Front, f.Middle = crc32c.Update(0, front), crc32c.Update(0, middle)
}

// Append encodes the footer of a complete message, signed if s is there.
func (f *Footer) Append(b []byte, h *Header, s *Signer) []byte {
	f.Flags = flagComplete
	if s != nil {
		f.Sig, f.Flags = s.Sign(h, f), f.Flags|flagSigned
	}
	le := binary.LittleEndian
	for _, v := range []uint32{f.Front, f.Middle, f.Data} {
		b = le.AppendUint32(b, v)
	}
	return append(le.AppendUint64(b, f.Sig), f.Flags)
}

// Parse decodes FooterBytes.
func (f *Footer) Parse(b []byte) {
	le := binary.LittleEndian
	*f = Footer{Front: le.Uint32(b), Middle: le.Uint32(b[4:]), Data: le.Uint32(b[8:]),
		Sig: le.Uint64(b[12:]), Flags: b[20]}
}

// Check compares a received message with its footer. Signatures are wanted if s is there. A
// message that its sender gave up ends the connection, as it does with stock servers.
func (f *Footer) Check(h *Header, s *Signer, front, middle, data []byte) error {
	if f.Flags&^(flagComplete|flagNoCRC|flagSigned) != 0 {
		return fmt.Errorf("%w: flags %#x of message %d", ErrFormat, f.Flags, h.Seq)
	}
	if f.Flags&flagComplete == 0 {
		return fmt.Errorf("%w: message %d was given up by its sender", ErrFormat, h.Seq)
	}
	if crc32c.Update(0, front) != f.Front || crc32c.Update(0, middle) != f.Middle {
		return fmt.Errorf("%w: front or middle of message %d", ErrCRC, h.Seq)
	}
	if f.Flags&flagNoCRC == 0 && crc32c.Update(0, data) != f.Data {
		return fmt.Errorf("%w: data of message %d", ErrCRC, h.Seq)
	}
	// Signatures cover the checksum and not this flag, so who sets it may not have one.
	if f.Flags&flagNoCRC != 0 && f.Data != 0 {
		return fmt.Errorf("%w: data of message %d has no checksum and has one", ErrFormat, h.Seq)
	}
	if s != nil && (f.Flags&flagSigned == 0 || s.Sign(h, f) != f.Sig) {
		return fmt.Errorf("%w: message %d", ErrSigned, h.Seq)
	}
	return nil
}

// A Signer makes the signatures of one connection with the session's key (cephx version 2): the
// encrypted checksums and lengths, folded to 64 bits.
type Signer struct {
	block cipher.Block
	buf   [signedBytes]byte
}

const signedBytes = 32

// iv is the fixed initialisation vector of cephx (CEPH_AES_IV).
const iv = "cephsageyudagreg"

// NewSigner takes the session key, 16 bytes.
func NewSigner(key []byte) (*Signer, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of signatures: %w", err)
	}
	return &Signer{block: b}, nil
}

// Sign is the signature of a message with this header and these checksums.
func (s *Signer) Sign(h *Header, f *Footer) uint64 {
	le := binary.LittleEndian
	for i, v := range [...]uint32{h.CRC, f.Front, uint32(h.Front), f.Middle, uint32(h.Middle),
		f.Data, uint32(h.Data), uint32(h.Seq)} {
		le.PutUint32(s.buf[4*i:], v)
	}
	previous := []byte(iv)
	var sum uint64
	for b := s.buf[:]; len(b) > 0; b = b[aes.BlockSize:] {
		for i := range aes.BlockSize {
			b[i] ^= previous[i]
		}
		previous = b[:aes.BlockSize]
		s.block.Encrypt(previous, previous)
		sum ^= le.Uint64(b) ^ le.Uint64(b[8:])
	}
	return sum
}
