package scrub

import (
	"glue/ceph"
	"glue/ceph/denc"
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

// dencID is an object's object_id_wrapper.
func dencID(c *denc.Coder, o *ceph.HObject) {
	s := c.Begin(1, 1)
	c.Str(&o.Name)
	c.Str(&o.Namespace)
	c.Str(&o.Key)
	c.U64Const(uint64(o.Snap))
	s.End()
}

// Denc is inconsistent_obj_wrapper's encoding. It is never decoded here.
func (r *Record) Denc(c *denc.Coder) {
	f := c.Begin(2, 2)
	c.U64(&r.Errors)
	dencID(c, &r.Object)
	user, union := uint64(0), uint64(0)
	for i := range r.Shards {
		s := &r.Shards[i]
		union |= s.Errors
		if s.Selected || user == 0 {
			user = s.info.UserVersion
		}
	}
	c.U64(&user)
	c.U32Const(uint32(len(r.Shards)))
	for i := range r.Shards {
		r.Shards[i].Denc(c)
	}
	c.U64(&union)
	f.End()
}

// Denc is osd_shard_wrapper's and then shard_info_wrapper's encoding.
func (s *Shard) Denc(c *denc.Coder) {
	id := c.Begin(1, 1)
	c.I32(&s.OSD)
	shard := int8(ceph.NoShard)
	c.I8(&shard)
	id.End()
	f := c.Begin(3, 3)
	c.U64(&s.Errors)
	c.Bool(&s.Primary)
	if s.there {
		attrs := s.stockAttrs()
		denc.MapFunc(c, &attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
		c.U64(&s.Object.Size)
		deep := s.Object.Deep && s.Errors&(ShardStatError|ShardReadError) == 0
		c.Bool(&deep)
		c.U32(&s.Object.Omap)
		c.Bool(&deep)
		c.U32(&s.Object.Data)
		c.Bool(&s.Selected)
	}
	f.End()
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

// lsArgs is a request for what the last scrub has found (scrub_ls_arg_t).
type lsArgs struct {
	interval        uint32
	snapsets        uint32
	name, namespace string
	snap            uint64
	max             uint64
}

func (a *lsArgs) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U32(&a.interval)
	c.U32(&a.snapsets)
	c.Str(&a.name)
	c.Str(&a.namespace)
	c.U64(&a.snap)
	c.U64(&a.max)
	s.End()
}

// lsResult is the answer (scrub_ls_result_t).
type lsResult struct {
	interval uint32
	vals     [][]byte
}

func (r *lsResult) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.U32(&r.interval)
	denc.ListFunc(c, &r.vals, (*denc.Coder).Blob)
	s.End()
}

// maxListed bounds the records of one answer; clients ask again for more.
const maxListed = 512

// List answers a SCRUBLS of a PG whose interval began at since: EINVAL for arguments that do not
// decode, EAGAIN for another interval, ENOENT if known is false: there was no scrub in this one.
func List(in []byte, since ceph.Epoch, known bool, records []Record, snapsets []SnapRecord) (
	[]byte, error,
) {
	var a lsArgs
	if err := denc.Unmarshal(in, &a, ceph.FeaturesAll); err != nil {
		return nil, ceph.EINVAL
	}
	out := lsResult{interval: uint32(since)}
	switch {
	case a.interval != 0 && a.interval != uint32(since):
		return nil, ceph.EAGAIN
	case !known:
		return nil, ceph.ENOENT
	}
	if a.snapsets != 0 {
		out.vals = list(&a, snapsets, func(r *SnapRecord) ceph.HObject { return r.Object })
	} else {
		out.vals = list(&a, records, func(r *Record) ceph.HObject { return r.Object })
	}
	return denc.Marshal(&out, ceph.FeaturesAll), nil
}

// list encodes the records behind the one that the arguments name.
func list[T any, P interface {
	*T
	denc.Value
}](a *lsArgs, records []T, name func(P) ceph.HObject) (out [][]byte) {
	after := a.name != ""
	for i := range records {
		r := P(&records[i])
		if after {
			o := name(r)
			after = o.Name != a.name || o.Namespace != a.namespace || uint64(o.Snap) != a.snap
			continue
		}
		if n := uint64(len(out)); n >= a.max && a.max > 0 || n >= maxListed {
			break
		}
		out = append(out, denc.Marshal(r, ceph.FeaturesAll))
	}
	return out
}
