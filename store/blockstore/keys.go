package blockstore

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"glue/ceph"
	"glue/store/objectstore"
)

// Keys in the key-value store: one prefix byte per kind. A key, once written, is never written
// in another form; a new form gets a new prefix.
const (
	keySystem = 'S' // + name: the store's own values
	keyColl   = 'C' // + SPG: collection
	keyOnode  = 'O' // + object: onode
	keyShard  = 'X' // + object + u32 index: mapping of 64 KiB of the object
	keyOmap   = 'M' // + object + 0x00 + user key
	keyHeader = 'H' // + object: omap header
	keyRefs   = 'R' // + u64: reference counts of 64 blocks
	keyMeta   = 'P' // + name: the OSD's table
	keyLog    = 'L' // + u64 collection id + u64 sequence: chunk of a PG log
	keyLogTip = 'G' // + u64 collection id: state of a PG log
	keyTag    = 'T' // + u64 collection id + u64 tag + the rest of an object's key
)

var (
	sysLSN  = []byte("Slsn")  // u64, in every batch
	sysUUID = []byte("Suuid") // the superblock's
	sysCID  = []byte("Scid")  // next collection id
	sysUses = []byte("Suses") // LSN, and what each pool takes but for blocks
)

// An object key is the collection id, then what orders objects, escaped so that comparing bytes
// compares objects. It is free of a prefix that is another object's key.

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if b = append(b, s[i]); s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 0)
}

func cutString(b []byte) (string, []byte, bool) {
	var out []byte
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0 {
			out = append(out, b[i])
			continue
		}
		if i++; b[i] == 0 {
			return string(out), b[i+1:], true
		}
		out = append(out, 0)
	}
	return "", nil, false
}

// How an object's name relates to its effective key, in the order of names.
const (
	nameBelow = 1
	nameIsKey = 2
	nameAbove = 3
)

func appendObject(b []byte, cid uint64, o *ceph.HObject) []byte {
	b = binary.BigEndian.AppendUint64(b, cid)
	b = binary.BigEndian.AppendUint64(b, uint64(o.Pool)^1<<63)
	b = binary.BigEndian.AppendUint32(b, bits.Reverse32(o.Hash))
	b = appendString(b, o.Namespace)
	key := o.EffectiveKey()
	b = appendString(b, key)
	switch {
	case key == o.Name:
		b = append(b, nameIsKey)
	case o.Name < key:
		b = appendString(append(b, nameBelow), o.Name)
	default:
		b = appendString(append(b, nameAbove), o.Name)
	}
	return binary.BigEndian.AppendUint64(b, uint64(o.Snap))
}

func decodeObject(b []byte) (cid uint64, o ceph.HObject, err error) {
	bad := fmt.Errorf("object key %q: %w", b, objectstore.ErrCorrupt)
	if len(b) < 20 {
		return 0, o, bad
	}
	cid = binary.BigEndian.Uint64(b)
	o.Pool = int64(binary.BigEndian.Uint64(b[8:]) ^ 1<<63)
	o.Hash = bits.Reverse32(binary.BigEndian.Uint32(b[16:]))
	rest, ok := b[20:], true
	if o.Namespace, rest, ok = cutString(rest); !ok {
		return 0, o, bad
	}
	key, rest, ok := cutString(rest)
	if !ok || len(rest) == 0 {
		return 0, o, bad
	}
	how := rest[0]
	rest = rest[1:]
	switch how {
	case nameIsKey:
		o.Name = key
	case nameBelow, nameAbove:
		o.Key = key
		if o.Name, rest, ok = cutString(rest); !ok {
			return 0, o, bad
		}
	default:
		return 0, o, bad
	}
	if len(rest) != 8 {
		return 0, o, bad
	}
	o.Snap = ceph.SnapID(binary.BigEndian.Uint64(rest))
	return cid, o, nil
}

func appendColl(b []byte, c ceph.SPG) []byte {
	b = append(b, keyColl)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Pool)^1<<63)
	b = binary.BigEndian.AppendUint32(b, c.Seed)
	return append(b, byte(c.Shard)^0x80)
}

func decodeColl(b []byte) (c ceph.SPG, err error) {
	if len(b) != 14 {
		return c, fmt.Errorf("collection key %q: %w", b, objectstore.ErrCorrupt)
	}
	c.Pool = int64(binary.BigEndian.Uint64(b[1:]) ^ 1<<63)
	c.Seed = binary.BigEndian.Uint32(b[9:])
	c.Shard = ceph.Shard(int8(b[13] ^ 0x80))
	return c, nil
}

func prefixed(prefix byte, key string) []byte {
	return append(append(make([]byte, 0, len(key)+9), prefix), key...)
}

func shardKey(dst []byte, object string, index uint32) []byte {
	dst = append(append(dst, keyShard), object...)
	return binary.BigEndian.AppendUint32(dst, index)
}

func omapKey(dst []byte, object, user string) []byte {
	dst = append(append(dst, keyOmap), object...)
	return append(append(dst, 0), user...)
}

// omapEnd is above all omap keys of the object.
func omapEnd(object string) []byte { return append(prefixed(keyOmap, object), 1) }

func numberKey(prefix byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, n)
}

func logKey(cid, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(numberKey(keyLog, cid), seq)
}

// keyAfter is the first key that does not start with b; nil if there is none.
func keyAfter(b []byte) []byte {
	b = append([]byte(nil), b...)
	for len(b) > 0 {
		if b[len(b)-1]++; b[len(b)-1] != 0 {
			return b
		}
		b = b[:len(b)-1]
	}
	return nil
}
