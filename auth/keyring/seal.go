package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
)

// SealKeyBytes is the length of a key-file key.
const SealKeyBytes = 32

// ErrSeal is the answer to a sealed value that was changed, is cut, belongs to another label or
// was sealed under another key.
var ErrSeal = errors.New("sealed value can't be opened with this key")

// sealVersion is the first byte of a sealed value.
const sealVersion = 1

// Seal encrypts and authenticates plain under a key-file key (AES-256-GCM). label names the place
// that the value is stored in, so that a value moved elsewhere does not open.
func Seal(key [SealKeyBytes]byte, label string, plain []byte, rand io.Reader) ([]byte, error) {
	g := gcm(key)
	head := 1 + g.NonceSize()
	out := make([]byte, head, head+len(plain)+g.Overhead())
	out[0] = sealVersion
	if _, err := io.ReadFull(rand, out[1:]); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	return g.Seal(out, out[1:head], plain, []byte(label)), nil
}

// Open is the inverse of Seal.
func Open(key [SealKeyBytes]byte, label string, sealed []byte) ([]byte, error) {
	g := gcm(key)
	head := 1 + g.NonceSize()
	if len(sealed) < head || sealed[0] != sealVersion {
		return nil, ErrSeal
	}
	plain, err := g.Open(nil, sealed[1:head], sealed[head:], []byte(label))
	if err != nil {
		return nil, ErrSeal
	}
	return plain, nil
}

func gcm(key [SealKeyBytes]byte) cipher.AEAD {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a wrong key length, which the type excludes
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		panic(err) // only for a block size that AES does not have
	}
	return g
}
