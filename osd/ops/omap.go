package ops

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/wire/message"
)

// scanOmap calls add for each pair of the object whose key is above after and starts with prefix,
// until the limits of a request are reached, and says whether there are more. add returns how
// many bytes it took.
func (x *exec) scanOmap(
	after, prefix string, max uint64, add func(key string, value []byte) int,
) (n uint32, more bool, r int32) {
	max = min(max, x.env.Limits.OmapEntries)
	if !x.info.IsOmap() || !x.inStore() {
		return 0, false, 0
	}
	from := after
	if prefix > after {
		from = prefix
	}
	size := uint64(0)
	c, o := x.object()
	for p, err := range x.env.Store.OmapScan(c, o, from) {
		if err != nil {
			return 0, false, x.fail(err)
		}
		if p.Key <= after && from == after {
			continue // the scan starts at its first key, the request after it
		}
		if !strings.HasPrefix(p.Key, prefix) {
			break
		}
		if uint64(n) >= max || size >= x.env.Limits.OmapBytes {
			more = true
			break
		}
		size += uint64(add(p.Key, p.Value))
		n++
	}
	return n, more, 0
}

// listing is the answer of a scan: a count, the items, and whether there are more.
func (x *exec) listing(op *message.OSDOp, n uint32, items *denc.Coder, more bool) {
	c := denc.NewEncoder(make([]byte, 0, 5+len(items.Bytes())), 0)
	c.U32(&n)
	c.Raw(items.Bytes())
	c.Bool(&more)
	op.Out = c.Bytes()
	x.readKiB(len(op.Out))
}

func opOmapGetKeys(x *exec, op *message.OSDOp) int32 {
	x.reads++
	var after string
	var limit uint64
	in := denc.NewDecoder(op.In, 0)
	in.Str(&after)
	if in.U64(&limit); in.Err() != nil {
		return ceph.EINVAL.Result()
	}
	items := denc.NewEncoder(nil, 0)
	n, more, r := x.scanOmap(after, "", limit, func(key string, _ []byte) int {
		items.Str(&key)
		return 4 + len(key)
	})
	if r < 0 {
		return r
	}
	x.listing(op, n, items, more)
	return same
}

func opOmapGetVals(x *exec, op *message.OSDOp) int32 {
	x.reads++
	var after, prefix string
	var limit uint64
	in := denc.NewDecoder(op.In, 0)
	in.Str(&after)
	in.U64(&limit)
	if in.Str(&prefix); in.Err() != nil {
		return ceph.EINVAL.Result()
	}
	items := denc.NewEncoder(nil, 0)
	n, more, r := x.scanOmap(after, prefix, limit, func(key string, value []byte) int {
		items.Str(&key)
		items.Blob(&value)
		return 8 + len(key) + len(value)
	})
	if r < 0 {
		return r
	}
	x.listing(op, n, items, more)
	return same
}

func opOmapGetHeader(x *exec, op *message.OSDOp) int32 {
	h, r := x.omapHeader()
	if r < 0 {
		return r
	}
	op.Out = h
	return same
}

func (x *exec) omapHeader() ([]byte, int32) {
	if !x.info.IsOmap() || !x.inStore() {
		return nil, 0
	}
	x.reads++
	c, o := x.object()
	h, err := x.env.Store.OmapHeader(c, o)
	if err != nil {
		return nil, x.fail(err)
	}
	x.readKiB(len(h))
	return h, 0
}

// omapGet reads the values of some keys as they were before the vector.
func (x *exec) omapGet(keys []string) (map[string][]byte, int32) {
	if !x.info.IsOmap() || !x.inStore() || len(keys) == 0 {
		return nil, 0
	}
	c, o := x.object()
	vals, err := x.env.Store.OmapGet(c, o, keys)
	if err != nil {
		return nil, x.fail(err)
	}
	return vals, 0
}

func opOmapGetValsByKeys(x *exec, op *message.OSDOp) int32 {
	x.reads++
	keys, ok := decodeKeys(op.In)
	if !ok {
		return ceph.EINVAL.Result()
	}
	vals, r := x.omapGet(keys)
	if r < 0 {
		return r
	}
	c := denc.NewEncoder(nil, 0)
	denc.MapFunc(c, &vals, (*denc.Coder).Str, (*denc.Coder).Blob)
	op.Out = c.Bytes()
	x.readKiB(len(op.Out))
	return same
}

// decodeKeys reads a set of keys.
func decodeKeys(in []byte) ([]string, bool) {
	var keys []string
	c := denc.NewDecoder(in, 0)
	denc.ListFunc(c, &keys, (*denc.Coder).Str)
	if c.Err() != nil {
		return nil, false
	}
	slices.Sort(keys)
	return slices.Compact(keys), true
}

// An assertion is what OMAP_CMP expects of a key.
type assertion struct {
	value    []byte
	operator int32
}

func opOmapCmp(x *exec, op *message.OSDOp) int32 {
	x.reads++
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	var want map[string]assertion
	in := denc.NewDecoder(op.In, 0)
	denc.MapFunc(in, &want, (*denc.Coder).Str, func(c *denc.Coder, a *assertion) {
		c.Blob(&a.value)
		c.I32(&a.operator)
	})
	if in.Err() != nil {
		return ceph.EINVAL.Result()
	}
	keys := slices.Sorted(maps.Keys(want))
	have, r := x.omapGet(keys)
	if r < 0 {
		return r
	}
	x.stats.Reads++
	for _, k := range keys {
		if !want[k].holds(have[k]) {
			if !want[k].known() {
				return ceph.EINVAL.Result()
			}
			return ceph.ECANCELED.Result()
		}
	}
	return same
}

func (a assertion) known() bool {
	return a.operator == message.CmpEQ || a.operator == message.CmpLT ||
		a.operator == message.CmpGT
}

func (a assertion) holds(have []byte) bool {
	order := cmp.Compare(bytes.Compare(have, a.value), 0)
	switch a.operator {
	case message.CmpEQ:
		return order == 0
	case message.CmpLT:
		return order < 0
	case message.CmpGT:
		return order > 0
	}
	return false
}

func opOmapSetVals(x *exec, op *message.OSDOp) int32 {
	var pairs map[string][]byte
	in := denc.NewDecoder(op.In, 0)
	denc.MapFunc(in, &pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
	if in.Err() != nil {
		x.writes++
		return ceph.EINVAL.Result()
	}
	return x.omapSet(pairs, len(op.In))
}

// omapSet sets keys; size is the length of their encoding.
func (x *exec) omapSet(pairs map[string][]byte, size int) int32 {
	x.writes++
	x.create()
	c, o := x.object()
	x.touched = true
	if len(pairs) > 0 {
		x.t().OmapSet(c, o, pairs)
	}
	x.info.Flags |= pginfo.ObjectOmap
	x.stats.Writes++
	x.stats.WrittenKiB += kib(uint64(size))
	return 0
}

func opOmapSetHeader(x *exec, op *message.OSDOp) int32 {
	x.writes++
	x.create()
	c, o := x.object()
	x.t().OmapSetHeader(c, o, op.In)
	x.info.Flags |= pginfo.ObjectOmap
	x.stats.Writes++
	return 0
}

func opOmapClear(x *exec, _ *message.OSDOp) int32 {
	x.writes++
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	if x.info.IsOmap() {
		c, o := x.object()
		x.t().OmapClear(c, o)
		x.info.Flags &^= pginfo.ObjectOmap
		x.stats.Writes++
	}
	return 0
}

func opOmapRmKeys(x *exec, op *message.OSDOp) int32 {
	keys, ok := decodeKeys(op.In)
	if x.exists && !ok {
		x.writes++
		return ceph.EINVAL.Result()
	}
	return x.omapRm(keys)
}

func (x *exec) omapRm(keys []string) int32 {
	x.writes++
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	c, o := x.object()
	x.touched = true
	if len(keys) > 0 {
		x.t().OmapRm(c, o, keys)
	}
	x.stats.Writes++
	return 0
}

func opOmapRmKeyRange(x *exec, op *message.OSDOp) int32 {
	x.writes++
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	var first, last string
	in := denc.NewDecoder(op.In, 0)
	in.Str(&first)
	if in.Str(&last); in.Err() != nil {
		return ceph.EINVAL.Result()
	}
	c, o := x.object()
	x.t().OmapRmRange(c, o, first, last)
	x.stats.Writes++
	return 0
}
