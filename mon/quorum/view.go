package quorum

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A View reads the applied state. Values are copies.
type View struct{ db pebble.Reader }

// Get is the value of a key; false when there is none.
func (v View) Get(key string) ([]byte, bool, error) {
	b, err := get(v.db, stateKey(key))
	return b, b != nil, err
}

// Scan calls f with every key that has the prefix, in order, until f returns false. The value is
// valid only during the call.
func (v View) Scan(prefix string, f func(key string, value []byte) bool) error {
	return scan(v.db, stateKey(prefix), func(key, value []byte) (bool, error) {
		return f(string(key[len(statePrefix):]), value), nil
	})
}

// A Batch collects the state changes of one log entry. They become visible to Views, and durable,
// together with the entry's index.
type Batch struct {
	b   *pebble.Batch
	err error
}

// Set gives a key a value, which is copied.
func (b *Batch) Set(key string, value []byte) {
	b.err = errors.Join(b.err, b.b.Set(stateKey(key), value, nil))
}

// Delete removes a key.
func (b *Batch) Delete(key string) {
	b.err = errors.Join(b.err, b.b.Delete(stateKey(key), nil))
}

// DeletePrefix removes every key with the prefix.
func (b *Batch) DeletePrefix(prefix string) {
	p := stateKey(prefix)
	b.err = errors.Join(b.err, b.b.DeleteRange(p, prefixEnd(p), nil))
}

// image is the whole state in one piece, as a snapshot carries it to a member that fell behind.
func image(db pebble.Reader) ([]byte, error) {
	var out bytes.Buffer
	err := scan(db, statePrefix, func(key, value []byte) (bool, error) {
		out.Write(u64s(uint64(len(key)), uint64(len(value))))
		out.Write(key)
		out.Write(value)
		return true, nil
	})
	return out.Bytes(), err
}

// restore replaces the state by an image.
func restore(b *pebble.Batch, img []byte) error {
	if err := b.DeleteRange(statePrefix, prefixEnd(statePrefix), nil); err != nil {
		return err
	}
	for len(img) > 0 {
		if len(img) < 16 {
			return fmt.Errorf("state image: %d stray bytes", len(img))
		}
		k, v := be64(img), be64(img[8:])
		img = img[16:]
		if k > uint64(len(img)) || v > uint64(len(img))-k || !bytes.HasPrefix(img, statePrefix) {
			return fmt.Errorf("state image: record of %d and %d in %d bytes", k, v, len(img))
		}
		if err := b.Set(img[:k], img[k:k+v], nil); err != nil {
			return err
		}
		img = img[k+v:]
	}
	return nil
}
