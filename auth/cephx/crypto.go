package cephx

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"glue/auth/keyring"
	"glue/ceph/denc"
)

// errCrypt is what fails to decrypt, whatever the reason.
var errCrypt = errors.New("does not decrypt with this key")

// magic starts every plaintext, so that a wrong key shows (AUTH_ENC_MAGIC).
const magic = 0xff009cad8826aa55

// iv is the protocol's fixed initialisation vector (CEPH_AES_IV).
var iv = []byte("cephsageyudagreg")

// envelope is what precedes every encrypted value: version 1 and the magic number.
func envelope(c *denc.Coder) {
	c.U8Const(1)
	if m := c.U64Const(magic); m != magic && c.Err() == nil {
		c.Fail(errCrypt)
	}
}

// encrypt is the value in its envelope under AES-128-CBC with PKCS#7 padding.
func encrypt(key keyring.Key, f func(*denc.Coder)) []byte {
	c := denc.NewEncoder(make([]byte, 0, 128), 0)
	envelope(c)
	f(c)
	b := c.Bytes()
	pad := aes.BlockSize - len(b)%aes.BlockSize
	for range pad {
		b = append(b, byte(pad))
	}
	cipher.NewCBCEncrypter(block(key.Secret[:]), iv).CryptBlocks(b, b)
	return b
}

// decrypt is the inverse of encrypt; it leaves b as it is.
func decrypt(key keyring.Key, b []byte, f func(*denc.Coder)) error {
	if key.IsZero() || len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return errCrypt
	}
	plain := make([]byte, len(b))
	cipher.NewCBCDecrypter(block(key.Secret[:]), iv).CryptBlocks(plain, b)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize || !allEqual(plain[len(plain)-pad:], byte(pad)) {
		return errCrypt
	}
	c := denc.NewDecoder(plain[:len(plain)-pad], 0)
	envelope(c)
	f(c)
	return c.Err()
}

func allEqual(b []byte, v byte) bool {
	for _, x := range b {
		if x != v {
			return false
		}
	}
	return true
}

// block is the AES cipher of a key whose length the type fixes.
func block(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a wrong key length, which the types exclude
	}
	return b
}

// encrypted is a blob with a value encrypted in it, in both directions ("EL").
func encrypted(c *denc.Coder, key keyring.Key, f func(*denc.Coder)) {
	var b []byte
	if c.Encoding() {
		b = encrypt(key, f)
	}
	c.Blob(&b)
	if !c.Encoding() && c.Err() == nil {
		c.Fail(decrypt(key, b, f))
	}
}

// proof shows that a client knows its key: the whole words of the encrypted challenges, folded
// together. The fold runs over the ciphertext's length prefix as well.
func proof(key keyring.Key, server, client uint64) uint64 {
	c := denc.NewEncoder(nil, 0)
	encrypted(c, key, func(c *denc.Coder) {
		c.U64(&server)
		c.U64(&client)
	})
	var sum uint64
	for b := c.Bytes(); len(b) >= 8; b = b[8:] {
		sum ^= binary.LittleEndian.Uint64(b)
	}
	return sum
}

// seal encrypts and authenticates plain under a 32-byte key: version 1, nonce, ciphertext and tag.
func seal(key []byte, label, plain []byte, rand io.Reader) ([]byte, error) {
	g := gcm(key)
	out := make([]byte, 1+g.NonceSize(), 1+g.NonceSize()+len(plain)+g.Overhead())
	out[0] = 1
	if _, err := io.ReadFull(rand, out[1:]); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	return g.Seal(out, out[1:], plain, label), nil
}

func open(key []byte, label, b []byte) ([]byte, error) {
	g := gcm(key)
	if len(b) < 1+g.NonceSize() || b[0] != 1 {
		return nil, errCrypt
	}
	nonce, rest := b[1:1+g.NonceSize()], b[1+g.NonceSize():]
	plain, err := g.Open(nil, nonce, rest, label)
	if err != nil {
		return nil, errCrypt
	}
	return plain, nil
}

func gcm(key []byte) cipher.AEAD {
	g, err := cipher.NewGCM(block(key))
	if err != nil {
		panic(err) // only for a block size that AES does not have
	}
	return g
}

// derive makes a 32-byte key for one purpose out of an entity's key.
func derive(key keyring.Key, purpose string) []byte {
	h := hmac.New(sha256.New, key.Secret[:])
	h.Write([]byte(purpose))
	return h.Sum(nil)
}

func randomU64(rand io.Reader) (uint64, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, fmt.Errorf("make a random number: %w", err)
		}
		if v := binary.LittleEndian.Uint64(b[:]); v != 0 {
			return v, nil
		}
	}
}

func randomBytes(rand io.Reader, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, fmt.Errorf("make a connection secret: %w", err)
	}
	return b, nil
}
