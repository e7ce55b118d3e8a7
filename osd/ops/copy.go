package ops

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/snaps"
	"glue/wire/message"
)

// Copying an object: COPY_FROM names another one, whose content the OSD of the target fetches with
// COPY_GET, piece by piece, before it runs the vector.

// A CopyCursor is how far a copy has got (object_copy_cursor_t).
type CopyCursor struct {
	AttrsDone bool
	Data      uint64 // the next byte
	DataDone  bool
	Omap      string // the last key
	OmapDone  bool
}

// Done says whether the copy is complete.
func (p *CopyCursor) Done() bool { return p.AttrsDone && p.DataDone && p.OmapDone }

// Denc is version 1.
func (p *CopyCursor) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Bool(&p.AttrsDone)
	c.U64(&p.Data)
	c.Bool(&p.DataDone)
	c.Str(&p.Omap)
	c.Bool(&p.OmapDone)
	s.End()
}

// A CopyPiece is a part of an object (object_copy_data_t).
type CopyPiece struct {
	Size         uint64
	MTime        ceph.Time
	Attrs        map[string][]byte
	Data         []byte
	Omap         []byte // a count and as many pairs; empty for none
	Cursor       CopyCursor
	Header       []byte
	Snaps        []ceph.SnapID
	SnapSeq      ceph.SnapID
	Flags        uint32
	DataDigest   uint32
	OmapDigest   uint32
	TruncateSeq  uint32
	TruncateSize uint64
}

// Denc is version 8, without the ids of requests.
func (p *CopyPiece) Denc(c *denc.Coder) {
	s := c.Begin(8, 5)
	c.U64(&p.Size)
	p.MTime.Denc(c)
	denc.MapFunc(c, &p.Attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
	c.Blob(&p.Data)
	c.Blob(&p.Omap)
	p.Cursor.Denc(c)
	c.Blob(&p.Header)
	denc.List(c, &p.Snaps)
	p.SnapSeq.Denc(c)
	c.U32(&p.Flags)
	c.U32(&p.DataDigest)
	c.U32(&p.OmapDigest)
	c.U32Const(0) // requests that made the object
	c.U32(&p.TruncateSeq)
	c.U64(&p.TruncateSize)
	c.U32Const(0) // their results
	s.End()
}

// maxCopyPiece is the most that one COPY_GET gives, in bytes (osd_copyfrom_max_chunk).
const maxCopyPiece = 8 << 20

// NewCopyGet asks for the piece of an object at a cursor.
func NewCopyGet(from CopyCursor) message.OSDOp {
	op := message.OSDOp{Code: message.OpCopyGet}
	c := denc.NewEncoder(nil, 0)
	from.Denc(c)
	c.U64Const(maxCopyPiece)
	op.In = c.Bytes()
	op.SetCookie(maxCopyPiece)
	return op
}

func opCopyGet(x *exec, op *message.OSDOp) int32 {
	x.reads++
	var p CopyPiece
	var most uint64
	in := denc.NewDecoder(op.In, 0)
	p.Cursor.Denc(in)
	if in.U64(&most); in.Err() != nil {
		return ceph.EINVAL.Result()
	}
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	if most == 0 || most > maxCopyPiece {
		most = maxCopyPiece
	}
	p.Size, p.MTime = x.info.Size, x.info.MTime
	p.TruncateSeq, p.TruncateSize = x.info.TruncateSeq, x.info.TruncateSize
	p.SnapSeq = snaps.Seq(x.info.Snaps)
	for _, part := range []func(*exec, *CopyPiece, *uint64) int32{copyAttrs, copyData, copyOmap} {
		if r := part(x, &p, &most); r < 0 {
			return r
		}
	}
	c := denc.NewEncoder(nil, 0)
	p.Denc(c)
	op.Out = c.Bytes()
	x.readKiB(len(op.Out))
	return 0
}

func copyAttrs(x *exec, p *CopyPiece, left *uint64) (r int32) {
	if p.Cursor.AttrsDone {
		return 0
	}
	if p.Attrs, r = x.xattrs(); r < 0 {
		return r
	}
	for k, v := range p.Attrs {
		*left -= min(*left, uint64(len(k)+len(v)))
	}
	p.Cursor.AttrsDone = true
	return 0
}

func copyData(x *exec, p *CopyPiece, left *uint64) int32 {
	at := &p.Cursor
	if n := clamp(at.Data, *left, p.Size); !at.DataDone && n > 0 {
		c, o := x.object()
		var err error
		if p.Data, err = x.env.Store.Read(c, o, at.Data, n); err != nil {
			return x.fail(err)
		}
		at.Data += n
		*left -= n
	}
	at.DataDone = at.DataDone || at.Data >= p.Size
	return 0
}

func copyOmap(x *exec, p *CopyPiece, left *uint64) int32 {
	at := &p.Cursor
	if at.OmapDone || !at.DataDone || *left == 0 {
		return 0
	}
	if !x.info.IsOmap() || !x.inStore() {
		at.OmapDone = true
		return 0
	}
	first := at.Omap == ""
	if first {
		h, r := x.omapHeader()
		if r < 0 {
			return r
		}
		p.Header = h
	}
	n, items := uint32(0), denc.NewEncoder(nil, 0)
	c, o := x.object()
	for kv, err := range x.env.Store.OmapScan(c, o, at.Omap) {
		if err != nil {
			return x.fail(err)
		}
		if !first && kv.Key <= at.Omap {
			continue
		}
		if n > 0 && at.Omap != "" && uint64(len(items.Bytes())) >= *left {
			p.Omap = counted(n, items)
			return 0
		}
		items.Str(&kv.Key)
		items.Blob(&kv.Value)
		at.Omap = kv.Key
		n++
	}
	p.Omap, at.OmapDone = counted(n, items), true
	return 0
}

func counted(n uint32, items *denc.Coder) []byte {
	if n == 0 {
		return nil
	}
	c := denc.NewEncoder(nil, 0)
	c.U32(&n)
	c.Raw(items.Bytes())
	return c.Bytes()
}

// A CopySource is the object that a COPY_FROM names.
type CopySource struct {
	Op      int // of the vector
	Locator ceph.Locator
	Name    string
	Snap    ceph.SnapID
	Version uint64 // that it has to have; 0 for any
}

// A Copied is what has been fetched of a source, or why it can't be.
type Copied struct {
	Result  int32
	Version uint64 // the source's user version; 0 before its first piece
	First   CopyPiece
	Data    []byte
	Header  []byte
	Omap    map[string][]byte
}

// Add puts the next piece to what has been fetched; the first one before Version is set. An error
// is the answer to the request.
func (d *Copied) Add(p *CopyPiece, limit uint64) error {
	if d.Version == 0 {
		d.First, d.First.Data, d.First.Omap = *p, nil, nil
	}
	if d.Data = append(d.Data, p.Data...); uint64(len(d.Data)) > limit {
		return ceph.EFBIG
	}
	if len(p.Header) > 0 {
		d.Header = p.Header
	}
	if len(p.Omap) == 0 {
		return nil
	}
	var pairs map[string][]byte
	c := denc.NewDecoder(p.Omap, 0)
	denc.MapFunc(c, &pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
	if c.Err() != nil {
		return ceph.EIO
	}
	if d.Omap == nil {
		d.Omap = map[string][]byte{}
	}
	for k, v := range pairs {
		d.Omap[k] = v
	}
	return nil
}

// copyArgs is the payload of COPY_FROM and COPY_FROM2.
type copyArgs struct {
	src         CopySource
	truncSeq    uint32
	truncSize   uint64
	hasTruncate bool
}

// copyTruncates is the flag of COPY_FROM2 for a truncation that comes with it.
const copyTruncates = 0x20

func decodeCopy(op *message.OSDOp) (a copyArgs, ok bool) {
	var flags uint8
	a.src.Snap, a.src.Version, flags, _ = op.CopyFrom()
	c := denc.NewDecoder(op.In, 0)
	c.Str(&a.src.Name)
	a.src.Locator.Denc(c)
	if op.Code == message.OpCopyFrom2 && flags&copyTruncates != 0 {
		c.U32(&a.truncSeq)
		c.U64(&a.truncSize)
		a.hasTruncate = true
	}
	if a.src.Snap == 0 {
		a.src.Snap = ceph.NoSnap
	}
	return a, c.Err() == nil && a.src.Name != ""
}

// opCopyFrom makes the object what another one is: data, attributes, keys, times and version.
func opCopyFrom(x *exec, op *message.OSDOp) int32 {
	x.writes++
	a, ok := decodeCopy(op)
	if !ok || a.src.is(x.req.Object) {
		return ceph.EINVAL.Result()
	}
	a.src.Op = x.subOp
	got := x.req.Copies[x.subOp]
	if got == nil {
		x.source = &a.src
		return ceph.EAGAIN.Result()
	}
	if got.Result < 0 {
		return got.Result
	}
	if r := x.checkExtent(0, uint64(len(got.Data))); r < 0 {
		return r
	}
	x.replace(got)
	if a.hasTruncate {
		x.info.TruncateSeq, x.info.TruncateSize = a.truncSeq, a.truncSize
	}
	return 0
}

// is says whether the source is an object itself.
func (s *CopySource) is(o ceph.HObject) bool {
	key := s.Locator.Key
	if key == s.Name {
		key = ""
	}
	return s.Snap == ceph.NoSnap && s.Name == o.Name && key == o.Key &&
		s.Locator.Namespace == o.Namespace && s.Locator.Pool == o.Pool
}

// replace puts a copy in the place of all that the object was.
func (x *exec) replace(got *Copied) {
	c, o := x.object()
	if x.exists {
		x.t().Remove(c, o)
	}
	x.create()
	x.t().Touch(c, o)
	if len(got.Data) > 0 {
		x.t().Write(c, o, 0, got.Data)
	}
	for k, v := range got.First.Attrs {
		if k != "" {
			x.t().SetAttr(c, o, userAttr(k), v)
		}
	}
	x.info.Flags &^= pginfo.ObjectOmap | pginfo.ObjectDataDigest | pginfo.ObjectOmapDigest
	if len(got.Header) > 0 {
		x.t().OmapSetHeader(c, o, got.Header)
		x.info.Flags |= pginfo.ObjectOmap
	}
	if len(got.Omap) > 0 {
		x.t().OmapSet(c, o, got.Omap)
		x.info.Flags |= pginfo.ObjectOmap
	}
	x.resize(uint64(len(got.Data)))
	x.info.TruncateSeq, x.info.TruncateSize = got.First.TruncateSeq, got.First.TruncateSize
	x.info.UserVersion, x.copied = got.Version, true
	x.info.MTime, x.info.LocalMTime = got.First.MTime, x.req.Now
	x.stats.Writes++
	x.stats.WrittenKiB += kib(uint64(len(got.Data)))
}
