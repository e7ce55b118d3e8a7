// Package keyring holds the secrets of entities: the key type of the wire (CryptoKey), keyring
// files in Ceph's format, making keys, and sealing what is stored under a key from a key file.
// It is pure: randomness and time are passed in. Values are plain and may be read by any
// goroutine. Specified by auth/KeyRing.cc and auth/Crypto.cc of Ceph 16.2.
package keyring
