package rbd

import (
	"glue/ceph/denc"
	"glue/osd/class"
)

// metadataList lists the image's settings; a maximum of 0 means one batch.
func metadataList(ctx class.Context, in []byte) ([]byte, error) {
	start, max, err := startAndMax(in)
	if err != nil {
		return nil, err
	}
	if max == 0 {
		max = class.MaxKeysRead
	}
	found := map[string][]byte{}
	err = class.ScanUpTo(ctx, metadataPrefix, start, max, func(name string, v []byte) error {
		found[name] = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) {
		denc.MapFunc(c, &found, (*denc.Coder).Str, (*denc.Coder).Blob)
	}), nil
}

func metadataSet(ctx class.Context, in []byte) ([]byte, error) {
	var data map[string][]byte
	err := class.Decode(in, func(c *denc.Coder) {
		denc.MapFunc(c, &data, (*denc.Coder).Str, (*denc.Coder).Blob)
	})
	if err != nil {
		return nil, err
	}
	pairs := make(map[string][]byte, len(data))
	for k, v := range data {
		pairs[metadataPrefix+k] = v
	}
	return nil, ctx.OmapSet(pairs)
}

func metadataRemove(ctx class.Context, in []byte) ([]byte, error) {
	key, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	return nil, ctx.OmapRm(metadataPrefix + key)
}

func metadataGet(ctx class.Context, in []byte) ([]byte, error) {
	key, err := class.Input(in, class.Str)
	if err != nil {
		return nil, err
	}
	v, err := ctx.OmapVal(metadataPrefix + key)
	if err != nil {
		return nil, err
	}
	return class.Encode(func(c *denc.Coder) { c.Blob(&v) }), nil
}
