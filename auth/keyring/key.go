package keyring

import (
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"glue/ceph"
	"glue/ceph/denc"
)

// KeyBytes is the length of an AES key on the wire.
const KeyBytes = 16

// The key types (CEPH_CRYPTO_*).
const (
	typeNone = 0
	typeAES  = 1
)

// A Key is a shared secret (CryptoKey). The zero value is no key.
type Key struct {
	Created ceph.Time
	Secret  [KeyBytes]byte
	set     bool
}

// NewKey makes a key of given bytes.
func NewKey(secret [KeyBytes]byte, created ceph.Time) Key {
	return Key{Created: created, Secret: secret, set: true}
}

// Generate makes a key from 16 bytes of rand.
func Generate(rand io.Reader, now time.Time) (Key, error) {
	k := Key{Created: ceph.TimeOf(now), set: true}
	if _, err := io.ReadFull(rand, k.Secret[:]); err != nil {
		return Key{}, fmt.Errorf("make a key: %w", err)
	}
	return k, nil
}

// ParseKey reads the base64 form of a keyring file.
func ParseKey(s string) (Key, error) {
	var k Key
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return k, fmt.Errorf("a key is not base64: %w", err)
	}
	if err := denc.Unmarshal(b, &k, 0); err != nil {
		return k, fmt.Errorf("a key is not valid: %w", err)
	}
	if k.IsZero() {
		return k, fmt.Errorf("a key is empty")
	}
	return k, nil
}

// IsZero says whether there is no key.
func (k Key) IsZero() bool { return !k.set }

// Denc is u16 type, creation time, u16 length and the bytes.
func (k *Key) Denc(c *denc.Coder) {
	typ, n := uint16(typeNone), uint16(0)
	if k.set {
		typ, n = typeAES, KeyBytes
	}
	c.U16(&typ)
	k.Created.Denc(c)
	c.U16(&n)
	if c.Err() != nil {
		return
	}
	if !c.Encoding() {
		switch {
		case typ == typeNone && n == 0:
			*k = Key{Created: k.Created}
			return
		case typ != typeAES || n != KeyBytes:
			c.Invalid("key of type %d with %d bytes", typ, n)
			return
		}
	}
	if n > 0 {
		c.Raw(k.Secret[:])
	}
	k.set = n > 0 && c.Err() == nil
}

// Base64 is the form that keyring files and "ceph auth" commands print.
func (k Key) Base64() string {
	return base64.StdEncoding.EncodeToString(denc.Marshal(&k, 0))
}

// String hides the secret, so that no log shows it; Base64 prints it.
func (k Key) String() string {
	if k.IsZero() {
		return "no key"
	}
	return "key made " + k.Created.String()
}
