package rbd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
)

// maxKeysRead is how many keys a method asks for at a time.
const maxKeysRead = 64

// Prefixes of keys in a header object.
const (
	snapPrefix         = "snapshot_"
	snapChildrenPrefix = "snap_children_"
	metadataPrefix     = "metadata_"
)

// A codec is the format of one value in either direction.
type codec[T any] func(c *denc.Coder, v *T)

// ptr is the constraint "*T has a Denc method".
type ptr[T any] interface {
	*T
	denc.Value
}

// of is the codec of a type with a Denc method.
func of[T any, P ptr[T]](c *denc.Coder, v *T) { P(v).Denc(c) }

// The codecs of plain values.
var (
	u8  codec[uint8]  = (*denc.Coder).U8
	u64 codec[uint64] = (*denc.Coder).U64
	i64 codec[int64]  = (*denc.Coder).I64
	str codec[string] = (*denc.Coder).Str
)

// strings of a set, ascending.
func stringSet(c *denc.Coder, v *map[string]struct{}) {
	denc.SetFunc(c, v, (*denc.Coder).Str)
}

// get reads a key: ENOENT if it is missing, EIO if it does not decode.
func get[T any](ctx class.Context, key string, f codec[T]) (T, error) {
	var v T
	raw, err := ctx.OmapVal(key)
	if err != nil {
		return v, err
	}
	c := denc.NewDecoder(raw, ceph.FeaturesAll)
	if f(c, &v); c.Err() != nil {
		var zero T
		return zero, ceph.EIO
	}
	return v, nil
}

// getOr is get with a default for a missing key.
func getOr[T any](ctx class.Context, key string, f codec[T], missing T) (T, error) {
	v, err := get(ctx, key, f)
	if isMissing(err) {
		return missing, nil
	}
	return v, err
}

func isMissing(err error) bool { return errors.Is(err, ceph.ENOENT) }

// encoded is the bytes of a value.
func encoded[T any](f codec[T], v T) []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	f(c, &v)
	return c.Bytes()
}

// put writes a key.
func put[T any](ctx class.Context, key string, f codec[T], v T) error {
	return ctx.OmapSet(map[string][]byte{key: encoded(f, v)})
}

// remove removes a key, which may be missing.
func remove(ctx class.Context, key string) error {
	if err := ctx.OmapRm(key); err != nil && !isMissing(err) {
		return err
	}
	return nil
}

// input decodes one value of a method's input.
func input[T any](in []byte, f codec[T]) (T, error) {
	var v T
	err := class.Decode(in, func(c *denc.Coder) { f(c, &v) })
	return v, err
}

// exists is ENOENT if the object is not there.
func exists(ctx class.Context) error {
	_, _, err := ctx.Stat()
	return err
}

func snapKey(id ceph.SnapID) string { return fmt.Sprintf("%s%016x", snapPrefix, uint64(id)) }

func snapChildrenKey(id ceph.SnapID) string {
	return fmt.Sprintf("%s%016x", snapChildrenPrefix, uint64(id))
}

// snapIDOf reads the id out of a snapshot's key; what is no number is 0.
func snapIDOf(key string) ceph.SnapID {
	id, err := strconv.ParseUint(strings.TrimPrefix(key, snapPrefix), 16, 64)
	if err != nil {
		return 0
	}
	return ceph.SnapID(id)
}

// scan calls f for all pairs whose key starts with prefix and lies above after, in order.
func scan(
	ctx class.Context, after, prefix string, f func(key string, value []byte) error,
) error {
	for {
		pairs, more, err := ctx.OmapScan(after, prefix, maxKeysRead)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := f(p.Key, p.Value); err != nil {
				return err
			}
			after = p.Key
		}
		if !more || len(pairs) == 0 {
			return nil
		}
	}
}

// scanUpTo is scan over keys after prefix+start that ends after max pairs.
func scanUpTo(
	ctx class.Context, prefix, start string, max uint64, f func(name string, v []byte) error,
) error {
	if max == 0 {
		return nil
	}
	n := uint64(0)
	err := scan(ctx, prefix+start, prefix, func(key string, v []byte) error {
		if err := f(strings.TrimPrefix(key, prefix), v); err != nil {
			return err
		}
		if n++; n >= max {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")
