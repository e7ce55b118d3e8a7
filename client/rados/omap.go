package rados

import (
	"context"
	"iter"
)

// omapPage is how many pairs are asked for at a time.
const omapPage = 1024

// OmapGet returns those of keys that exist.
func (x *IOCtx) OmapGet(
	ctx context.Context, oid string, keys ...string,
) (map[string][]byte, error) {
	var r ReadOp
	m := r.OmapGet(keys...)
	err := x.OperateRead(ctx, oid, &r)
	return *m, err
}

// OmapSet sets keys.
func (x *IOCtx) OmapSet(ctx context.Context, oid string, pairs map[string][]byte) error {
	return x.Operate(ctx, oid, new(WriteOp).OmapSet(pairs))
}

// OmapRm removes keys; those that do not exist are no error.
func (x *IOCtx) OmapRm(ctx context.Context, oid string, keys ...string) error {
	return x.Operate(ctx, oid, new(WriteOp).OmapRm(keys...))
}

// OmapClear removes all keys and the header.
func (x *IOCtx) OmapClear(ctx context.Context, oid string) error {
	return x.Operate(ctx, oid, new(WriteOp).OmapClear())
}

// OmapHeader is the omap header.
func (x *IOCtx) OmapHeader(ctx context.Context, oid string) ([]byte, error) {
	var r ReadOp
	h := r.OmapHeader()
	err := x.OperateRead(ctx, oid, &r)
	return *h, err
}

// Omap yields the pairs whose key starts with prefix, ascending. An error ends it.
func (x *IOCtx) Omap(ctx context.Context, oid, prefix string) iter.Seq2[OmapPair, error] {
	return x.pages(ctx, oid, func(r *ReadOp, after string) *OmapPage {
		return r.OmapPage(after, prefix, omapPage)
	})
}

// OmapKeys yields the keys, ascending. An error ends it.
func (x *IOCtx) OmapKeys(ctx context.Context, oid string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for p, err := range x.pages(ctx, oid, func(r *ReadOp, after string) *OmapPage {
			return r.OmapKeys(after, omapPage)
		}) {
			if !yield(p.Key, err) {
				return
			}
		}
	}
}

func (x *IOCtx) pages(
	ctx context.Context, oid string, read func(r *ReadOp, after string) *OmapPage,
) iter.Seq2[OmapPair, error] {
	return func(yield func(OmapPair, error) bool) {
		for after, more := "", true; more; {
			var r ReadOp
			page := read(&r, after)
			if err := x.OperateRead(ctx, oid, &r); err != nil {
				yield(OmapPair{}, err)
				return
			}
			for _, p := range page.Pairs {
				if !yield(p, nil) {
					return
				}
				after = p.Key
			}
			more = page.More && len(page.Pairs) > 0
		}
	}
}
