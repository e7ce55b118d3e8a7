package class

import (
	"errors"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
)

// MaxKeysRead is how many keys a method asks for at a time.
const MaxKeysRead = 64

// A Codec is the format of one value in either direction.
type Codec[T any] func(c *denc.Coder, v *T)

// valuePtr is the constraint "*T has a Denc method".
type valuePtr[T any] interface {
	*T
	denc.Value
}

// Of is the codec of a type with a Denc method.
func Of[T any, P valuePtr[T]](c *denc.Coder, v *T) { P(v).Denc(c) }

// The codecs of plain values.
var (
	U8  Codec[uint8]  = (*denc.Coder).U8
	U32 Codec[uint32] = (*denc.Coder).U32
	U64 Codec[uint64] = (*denc.Coder).U64
	I64 Codec[int64]  = (*denc.Coder).I64
	Str Codec[string] = (*denc.Coder).Str
)

// Get reads a key: ENOENT if it is missing, EIO if it does not decode.
func Get[T any](ctx Context, key string, f Codec[T]) (T, error) {
	var v T
	raw, err := ctx.OmapVal(key)
	if err != nil {
		return v, err
	}
	if v, err = Input(raw, f); err != nil {
		return v, ceph.EIO
	}
	return v, nil
}

// GetOr is Get with a default for a missing key.
func GetOr[T any](ctx Context, key string, f Codec[T], missing T) (T, error) {
	v, err := Get(ctx, key, f)
	if IsMissing(err) {
		return missing, nil
	}
	return v, err
}

// IsMissing says whether an error is ENOENT.
func IsMissing(err error) bool { return errors.Is(err, ceph.ENOENT) }

// Encoded is the bytes of a value.
func Encoded[T any](f Codec[T], v T) []byte {
	c := denc.NewEncoder(nil, ceph.FeaturesAll)
	f(c, &v)
	return c.Bytes()
}

// Put writes a key.
func Put[T any](ctx Context, key string, f Codec[T], v T) error {
	return ctx.OmapSet(map[string][]byte{key: Encoded(f, v)})
}

// Remove removes a key, which may be missing, as may the object.
func Remove(ctx Context, key string) error {
	if err := ctx.OmapRm(key); err != nil && !IsMissing(err) {
		return err
	}
	return nil
}

// Input decodes one value of a method's input; EINVAL if that fails.
func Input[T any](in []byte, f Codec[T]) (T, error) {
	var v T
	if err := Decode(in, func(c *denc.Coder) { f(c, &v) }); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// Getter makes the method that reads one key as it is.
func Getter[T any](key string, f Codec[T]) Func {
	return func(ctx Context, _ []byte) ([]byte, error) {
		v, err := Get(ctx, key, f)
		if err != nil {
			return nil, err
		}
		return Encoded(f, v), nil
	}
}

// ErrEnough ends a scan early, which is no error.
var ErrEnough = errors.New("enough")

// Scan calls f for all pairs whose key starts with prefix and lies above after, in order.
func Scan(
	ctx Context, after, prefix string, f func(key string, value []byte) error,
) error {
	for {
		pairs, more, err := ctx.OmapScan(after, prefix, MaxKeysRead)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			err := f(p.Key, p.Value)
			if errors.Is(err, ErrEnough) {
				return nil
			}
			if err != nil {
				return err
			}
			after = p.Key
		}
		if !more || len(pairs) == 0 {
			return nil
		}
	}
}

// ScanUpTo is Scan over the keys above prefix+start, without their prefix, that ends after max.
func ScanUpTo(
	ctx Context, prefix, start string, max uint64, f func(name string, v []byte) error,
) error {
	if max == 0 {
		return nil
	}
	n := uint64(0)
	return Scan(ctx, prefix+start, prefix, func(key string, v []byte) error {
		if err := f(strings.TrimPrefix(key, prefix), v); err != nil {
			return err
		}
		if n++; n >= max {
			return ErrEnough
		}
		return nil
	})
}
