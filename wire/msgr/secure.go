package msgr

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// secretBytes is the connection secret that secure mode needs (issued; 40 are used).
const secretBytes = 64

// A sealer is one direction of a secure connection: AES-128-GCM with a nonce that counts the
// records, so that none is used twice under the connection's key.
type sealer struct {
	gcm   cipher.AEAD
	nonce [12]byte // 4 fixed bytes, then the counter
}

// newSealers splits a connection secret: the key, the client's receiving nonce, its sending nonce.
func newSealers(secret []byte, server bool) (tx, rx *sealer, err error) {
	if len(secret) < 40 {
		return nil, nil, fmt.Errorf("%w: connection secret of %d bytes", errFrame, len(secret))
	}
	b, err := aes.NewCipher(secret[:16])
	if err != nil {
		return nil, nil, err
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		return nil, nil, err
	}
	rx = &sealer{gcm: g, nonce: [12]byte(secret[16:28])}
	tx = &sealer{gcm: g, nonce: [12]byte(secret[28:40])}
	if server {
		tx, rx = rx, tx
	}
	return tx, rx, nil
}

func (s *sealer) next() {
	c := binary.LittleEndian.Uint64(s.nonce[4:])
	binary.LittleEndian.PutUint64(s.nonce[4:], c+1)
}

// seal encrypts b[start:] in place and appends the tag.
func (s *sealer) seal(b []byte, start int) []byte {
	b = s.gcm.Seal(b[:start], s.nonce[:], b[start:], nil)
	s.next()
	return b
}

// open decrypts one record in place and returns the plaintext.
func (s *sealer) open(b []byte) ([]byte, error) {
	plain, err := s.gcm.Open(b[:0], s.nonce[:], b, nil)
	if err != nil {
		return nil, errSealed
	}
	s.next()
	return plain, nil
}
