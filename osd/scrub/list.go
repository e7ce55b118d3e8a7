package scrub

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/inconsistent"
	"glue/cluster/pginfo"
	"glue/osd/ops"
)

// stockInfo is an object info in the form of Ceph's object_info_t, version 17, for clients.
type stockInfo struct{ *pginfo.ObjectInfo }

// Denc is object_info_t's encoding. It is never decoded here.
func (i stockInfo) Denc(c *denc.Coder) {
	s := c.Begin(17, 8)
	i.Object.Denc(c)
	loc := ceph.Locator{Pool: i.Object.Pool, Key: i.Object.Key, Namespace: i.Object.Namespace,
		Hash: -1}
	loc.Denc(c)
	c.U32Const(0) // category
	i.Version.Denc(c)
	i.PriorVersion.Denc(c)
	i.LastReqID.Denc(c)
	c.U64(&i.Size)
	i.MTime.Denc(c)
	if i.Object.Snap == ceph.NoSnap {
		locked := ceph.ReqID{}
		locked.Denc(c)
	} else {
		c.U32Const(0) // snaps as of old
	}
	c.U64Const(uint64(i.TruncateSeq))
	c.U64(&i.TruncateSize)
	lost, tmap := i.Flags&pginfo.ObjectLost != 0, false
	c.Bool(&lost)
	c.U32Const(0) // watchers as of old
	user := ceph.Eversion{Version: i.UserVersion}
	user.Denc(c)
	c.Bool(&tmap)
	denc.MapCmp(c, &i.Watchers, pginfo.WatchKey.Compare,
		func(c *denc.Coder, k *pginfo.WatchKey) {
			c.U64(&k.Cookie)
			k.Name.Denc(c)
		},
		func(c *denc.Coder, w *pginfo.WatchInfo) {
			s := c.Begin(4, 3)
			c.U64Const(0)
			c.U32(&w.TimeoutSeconds)
			w.Addr.Denc(c)
			s.End()
		})
	c.U32(&i.Flags)
	i.LocalMTime.Denc(c)
	data, omap := ^uint32(0), ^uint32(0)
	if i.Flags&pginfo.ObjectDataDigest != 0 {
		data = i.DataDigest
	}
	if i.Flags&pginfo.ObjectOmapDigest != 0 {
		omap = i.OmapDigest
	}
	c.U32(&data)
	c.U32(&omap)
	c.U64(&i.ExpectedObjectSize)
	c.U64(&i.ExpectedWriteSize)
	c.U32(&i.AllocHintFlags)
	s.End()
}

// stock is the record for clients.
func (r *Record) stock() *inconsistent.Object {
	out := &inconsistent.Object{Object: inconsistent.NameOf(r.Object), Errors: r.Errors}
	for i := range r.Shards {
		s := &r.Shards[i]
		out.ShardErrors |= s.Errors
		if s.Selected || out.Version == 0 {
			out.Version = s.info.UserVersion
		}
		out.Shards = append(out.Shards, s.stock())
	}
	return out
}

// stock is the copy for clients.
func (s *Shard) stock() inconsistent.Shard {
	out := inconsistent.Shard{OSD: s.OSD, Errors: s.Errors, Primary: s.Primary}
	if !s.there {
		return out
	}
	out.Attrs, out.Size, out.Selected = s.stockAttrs(), s.Object.Size, s.Selected
	if s.Object.Deep &&
		s.Errors&(inconsistent.ShardStatError|inconsistent.ShardReadError) == 0 {
		out.Omap, out.Data = &s.Object.Omap, &s.Object.Data
	}
	return out
}

// stockAttrs are the attributes, the object info in Ceph's form.
func (s *Shard) stockAttrs() map[string][]byte {
	out := make(map[string][]byte, len(s.Object.Attrs))
	for k, v := range s.Object.Attrs {
		if k == ops.InfoAttr && s.info.Object.Name != "" {
			v = denc.Marshal(stockInfo{&s.info}, ceph.FeaturesAll)
		}
		out[k] = v
	}
	return out
}

// maxListed bounds the records of one answer; clients ask again for more.
const maxListed = 512

// List answers a SCRUBLS of a PG whose interval began at since: EINVAL for arguments that do not
// decode, EAGAIN for another interval, ENOENT if known is false: there was no scrub in this one.
func List(in []byte, since ceph.Epoch, known bool, records []Record, snapsets []SnapRecord) (
	[]byte, error,
) {
	var a inconsistent.Request
	if err := denc.Unmarshal(in, &a, ceph.FeaturesAll); err != nil {
		return nil, ceph.EINVAL
	}
	out := inconsistent.Answer{Interval: uint32(since)}
	switch {
	case a.Interval != 0 && a.Interval != uint32(since):
		return nil, ceph.EAGAIN
	case !known:
		return nil, ceph.ENOENT
	}
	if a.Snapsets != 0 {
		out.Records = list(&a, snapsets, func(r *SnapRecord) ceph.HObject { return r.Object },
			(*SnapRecord).stock)
	} else {
		out.Records = list(&a, records, func(r *Record) ceph.HObject { return r.Object },
			(*Record).stock)
	}
	return denc.Marshal(&out, ceph.FeaturesAll), nil
}

// list encodes the records behind the one that the request names.
func list[T any, V denc.Value](a *inconsistent.Request, records []T,
	name func(*T) ceph.HObject, stock func(*T) V,
) (out [][]byte) {
	after := a.After.Name != ""
	for i := range records {
		if after {
			o := name(&records[i])
			after = o.Name != a.After.Name || o.Namespace != a.After.Namespace ||
				o.Snap != a.After.Snap
			continue
		}
		if n := uint64(len(out)); n >= a.Max && a.Max > 0 || n >= maxListed {
			break
		}
		out = append(out, denc.Marshal(stock(&records[i]), ceph.FeaturesAll))
	}
	return out
}
