package message

import (
	"encoding/binary"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
)

// An OSDOp is one operation of an op vector (ceph_osd_op and its data). Which of the methods below
// reads its arguments depends on the code. In is the input, Out and Result are the answer's.
type OSDOp struct {
	Code   OpCode
	Flags  uint32
	Union  [28]byte
	In     []byte
	Out    []byte
	Result int32 // per-op result: a negative errno or what the op defines
}

// opBytes is the size of an op in the front segment.
const opBytes = 38

// denc is ceph_osd_op; size is the length of the op's data, returned when decoding.
func (o *OSDOp) denc(c *denc.Coder, size int) uint32 {
	c.U16((*uint16)(&o.Code))
	c.U32(&o.Flags)
	if c.Encoding() {
		u := o.Union
		c.Raw(u[:])
	} else {
		c.Raw(o.Union[:])
	}
	return c.U32Const(uint32(size))
}

// Extent reads the arguments of data operations.
func (o *OSDOp) Extent() (off, length uint64) { return o.u64(0), o.u64(8) }

// TruncateArgs reads the truncation that data operations of a file system carry.
func (o *OSDOp) TruncateArgs() (size uint64, seq uint32) { return o.u64(16), o.u32(24) }

// SetExtent sets the arguments of data operations.
func (o *OSDOp) SetExtent(off, length uint64) {
	o.put64(0, off)
	o.put64(8, length)
}

// XattrArgs reads the arguments of attribute operations: In is the name and the value.
func (o *OSDOp) XattrArgs() (nameLen, valueLen uint32, cmpOp, cmpMode uint8) {
	return o.u32(0), o.u32(4), o.Union[8], o.Union[9]
}

// Xattr splits the input of an attribute operation; ok is false if it is too short.
func (o *OSDOp) Xattr() (name string, value []byte, ok bool) {
	n, v := uint64(o.u32(0)), uint64(o.u32(4))
	if n+v > uint64(len(o.In)) {
		return "", nil, false
	}
	return string(o.In[:n]), o.In[n : n+v : n+v], true
}

// SetXattr sets the arguments of an attribute operation and appends name and value to In.
func (o *OSDOp) SetXattr(name string, value []byte, cmpOp, cmpMode uint8) {
	o.put32(0, uint32(len(name)))
	o.put32(4, uint32(len(value)))
	o.Union[8], o.Union[9] = cmpOp, cmpMode
	o.In = append(append(make([]byte, 0, len(name)+len(value)), name...), value...)
}

// Call splits the input of OpCall; ok is false if it is too short.
func (o *OSDOp) Call() (class, method string, input []byte, ok bool) {
	cl, ml := uint64(o.Union[0]), uint64(o.Union[1])
	n := uint64(binary.LittleEndian.Uint32(o.Union[3:]))
	if cl+ml+n > uint64(len(o.In)) {
		return "", "", nil, false
	}
	end := cl + ml + n
	return string(o.In[:cl]), string(o.In[cl : cl+ml]), o.In[cl+ml : end : end], true
}

// SetCall makes the operation a call of a class's method.
func (o *OSDOp) SetCall(class, method string, input []byte) {
	o.Code = OpCall
	o.Union[0], o.Union[1] = uint8(len(class)), uint8(len(method))
	binary.LittleEndian.PutUint32(o.Union[3:], uint32(len(input)))
	in := make([]byte, 0, len(class)+len(method)+len(input))
	o.In = append(append(append(in, class...), method...), input...)
}

// ListArgs reads the arguments of OpPGLS and OpPGNLS.
func (o *OSDOp) ListArgs() (count uint64, epoch ceph.Epoch) {
	return o.u64(0), ceph.Epoch(o.u32(8))
}

// SetList sets the arguments of OpPGLS and OpPGNLS.
func (o *OSDOp) SetList(count uint64, epoch ceph.Epoch) {
	o.put64(0, count)
	o.put32(8, uint32(epoch))
}

// A WatchArgs is the arguments of OpWatch.
type WatchArgs struct {
	Cookie, Version uint64
	Action          uint8 // WatchWatch, …
	Generation      uint32
	TimeoutSec      uint32
}

// Watch reads the arguments of OpWatch.
func (o *OSDOp) Watch() WatchArgs {
	return WatchArgs{o.u64(0), o.u64(8), o.Union[16], o.u32(17), o.u32(21)}
}

// SetWatch sets the arguments of OpWatch.
func (o *OSDOp) SetWatch(w WatchArgs) {
	o.put64(0, w.Cookie)
	o.put64(8, w.Version)
	o.Union[16] = w.Action
	o.put32(17, w.Generation)
	o.put32(21, w.TimeoutSec)
}

// Cookie reads the first word: the cookie of OpNotify, the snap of OpRollback, the max of
// OpCopyGet.
func (o *OSDOp) Cookie() uint64 { return o.u64(0) }

// SetCookie sets the first word.
func (o *OSDOp) SetCookie(v uint64) { o.put64(0, v) }

// AssertVersion reads the argument of OpAssertVer.
func (o *OSDOp) AssertVersion() uint64 { return o.u64(8) }

// SetAssertVersion sets the argument of OpAssertVer.
func (o *OSDOp) SetAssertVersion(v uint64) { o.put64(8, v) }

// AllocHint reads the arguments of OpSetAllocHint.
func (o *OSDOp) AllocHint() (objectSize, writeSize uint64, flags uint32) {
	return o.u64(0), o.u64(8), o.u32(16)
}

// SetAllocHint sets the arguments of OpSetAllocHint.
func (o *OSDOp) SetAllocHint(objectSize, writeSize uint64, flags uint32) {
	o.put64(0, objectSize)
	o.put64(8, writeSize)
	o.put32(16, flags)
}

// WriteSame reads the arguments of OpWriteSame: In is repeated over the extent.
func (o *OSDOp) WriteSame() (off, length, dataLength uint64) {
	return o.u64(0), o.u64(8), o.u64(16)
}

// SetWriteSame sets the arguments of OpWriteSame.
func (o *OSDOp) SetWriteSame(off, length, dataLength uint64) {
	o.put64(0, off)
	o.put64(8, length)
	o.put64(16, dataLength)
}

// Checksum reads the arguments of OpChecksum.
func (o *OSDOp) Checksum() (off, length uint64, chunk uint32, kind uint8) {
	return o.u64(0), o.u64(8), o.u32(16), o.Union[20]
}

// SnapID is the argument of ROLLBACK.
func (o *OSDOp) SnapID() ceph.SnapID { return ceph.SnapID(o.u64(0)) }

// SetSnapID sets it.
func (o *OSDOp) SetSnapID(s ceph.SnapID) { o.put64(0, uint64(s)) }

// SetChecksum sets the arguments of OpChecksum; chunk 0 is one checksum for all.
func (o *OSDOp) SetChecksum(off, length uint64, chunk uint32, kind uint8) {
	o.put64(0, off)
	o.put64(8, length)
	o.put32(16, chunk)
	o.Union[20] = kind
}

// SetCopyFrom sets the arguments of OpCopyFrom.
func (o *OSDOp) SetCopyFrom(snap ceph.SnapID, version uint64, flags uint8, fadvise uint32) {
	o.put64(0, uint64(snap))
	o.put64(8, version)
	o.Union[16] = flags
	o.put32(17, fadvise)
}

// CopyFrom reads the arguments of OpCopyFrom and OpCopyFrom2.
func (o *OSDOp) CopyFrom() (snap ceph.SnapID, version uint64, flags uint8, fadvise uint32) {
	return ceph.SnapID(o.u64(0)), o.u64(8), o.Union[16], o.u32(17)
}

func (o *OSDOp) u64(at int) uint64      { return binary.LittleEndian.Uint64(o.Union[at:]) }
func (o *OSDOp) u32(at int) uint32      { return binary.LittleEndian.Uint32(o.Union[at:]) }
func (o *OSDOp) put64(at int, v uint64) { binary.LittleEndian.PutUint64(o.Union[at:], v) }
func (o *OSDOp) put32(at int, v uint32) { binary.LittleEndian.PutUint32(o.Union[at:], v) }

// MOSDOp is a client's request to an object or PG.
type MOSDOp struct {
	PG          ceph.SPG
	Hash        uint32 // the object's full hash
	Epoch       ceph.Epoch
	Flags       uint32
	ReqID       ceph.ReqID // empty from clients: see Request
	Incarnation uint32
	MTime       ceph.Time
	Locator     ceph.Locator
	Object      string
	Ops         []OSDOp
	Snap        ceph.SnapID // to read
	SnapSeq     ceph.SnapID // of the writer's snap context
	Snaps       []ceph.SnapID
	Retry       int32 // -1 unknown, 0 the first attempt
	Features    uint64

	sizes []uint32
}

// Type is CEPH_MSG_OSD_OP.
func (*MOSDOp) Type() Type { return 42 }

// Denc follows messages/MOSDOp.h versions 7 and 8.
func (m *MOSDOp) Denc(c *denc.Coder, version uint16) {
	switch {
	case version >= 8:
		m.PG.Denc(c)
		c.U32(&m.Hash)
		m.Epoch.Denc(c)
		c.U32(&m.Flags)
		m.ReqID.Denc(c)
		trace(c)
	case version == 7:
		m.dencFront7(c)
	default:
		c.Invalid("MOSDOp of version %d: a client older than 12", version)
		return
	}
	c.U32(&m.Incarnation)
	m.MTime.Denc(c)
	m.Locator.Denc(c)
	c.Str(&m.Object)
	m.dencOps(c)
	m.Snap.Denc(c)
	m.SnapSeq.Denc(c)
	snaps(c, &m.Snaps)
	c.I32(&m.Retry)
	c.U64(&m.Features)
}

// dencFront7 is the front of version 7, in which the PG carries the full hash.
func (m *MOSDOp) dencFront7(c *denc.Coder) {
	pg := ceph.PGID{Pool: m.PG.Pool, Seed: m.Hash}
	pg.Denc(c)
	if !c.Encoding() {
		m.PG, m.Hash = ceph.SPG{PGID: pg, Shard: ceph.NoShard}, pg.Seed
	}
	m.Epoch.Denc(c)
	c.U32(&m.Flags)
	var reassert ceph.Eversion
	reassert.Denc(c)
	m.ReqID.Denc(c)
}

func (m *MOSDOp) dencOps(c *denc.Coder) {
	n := uint16(len(m.Ops))
	c.U16(&n)
	if c.Encoding() {
		for i := range m.Ops {
			m.Ops[i].denc(c, len(m.Ops[i].In))
		}
		return
	}
	if c.Err() != nil || int(n)*opBytes > c.Remaining() {
		c.Invalid("%d ops in %d bytes", n, c.Remaining())
		return
	}
	m.Ops, m.sizes = make([]OSDOp, n), make([]uint32, n)
	for i := range m.Ops {
		m.sizes[i] = m.Ops[i].denc(c, 0)
	}
}

// Data is the inputs of the ops, one after the other.
func (m *MOSDOp) Data() [][]byte {
	var out [][]byte
	for i := range m.Ops {
		if len(m.Ops[i].In) > 0 {
			out = append(out, m.Ops[i].In)
		}
	}
	return out
}

// SetData slices the ops' inputs from the data segment.
func (m *MOSDOp) SetData(data []byte) error {
	for i := range m.Ops {
		in, rest, err := cut(data, m.sizes[i])
		if err != nil {
			return err
		}
		m.Ops[i].In, data = in, rest
	}
	m.sizes = nil
	return nil
}

func cut(data []byte, n uint32) (head, rest []byte, err error) {
	if uint64(n) > uint64(len(data)) {
		return nil, nil, fmt.Errorf("%w: op with %d bytes, %d left",
			denc.ErrShort, n, len(data))
	}
	if n == 0 {
		return nil, data, nil
	}
	return data[:n:n], data[n:], nil
}

// Request is the name of the request for duplicate detection: what the client put in, or the
// session's client, the message's tid and the client's incarnation.
func (m *MOSDOp) Request(client ceph.EntityName, tid uint64) ceph.ReqID {
	if m.ReqID.Name != (ceph.EntityName{}) || m.ReqID.TID != 0 {
		return m.ReqID
	}
	return ceph.ReqID{Name: client, TID: tid, Inc: m.ReqID.Inc}
}

// HObject is the object that the request is for.
func (m *MOSDOp) HObject() ceph.HObject {
	key := m.Locator.Key
	if key == m.Object {
		key = ""
	}
	return ceph.HObject{Pool: m.PG.Pool, Namespace: m.Locator.Namespace, Key: key,
		Name: m.Object, Snap: m.Snap, Hash: m.Hash}
}

// A Redirect tells a client to send its request elsewhere (request_redirect_t).
type Redirect struct {
	Locator ceph.Locator
	Object  string
}

// Denc is version 1.
func (r *Redirect) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	r.Locator.Denc(c)
	c.Str(&r.Object)
	c.U32Const(0)
	s.End()
}

// MOSDOpReply answers MOSDOp. PG carries the object's full hash, as clients expect.
type MOSDOpReply struct {
	Object        string
	PG            ceph.PGID
	Flags         uint64
	Result        int32
	BadReplay     ceph.Eversion
	Epoch         ceph.Epoch
	Ops           []OSDOp
	Retry         int32
	ReplayVersion ceph.Eversion
	UserVersion   uint64
	Redirect      *Redirect

	sizes []uint32
}

// Type is CEPH_MSG_OSD_OPREPLY.
func (*MOSDOpReply) Type() Type { return 43 }

// ReplyTo is the answer to a request, with its ops echoed.
func ReplyTo(m *MOSDOp, result int32, epoch ceph.Epoch) *MOSDOpReply {
	return &MOSDOpReply{
		Object: m.Object, PG: ceph.PGID{Pool: m.PG.Pool, Seed: m.Hash},
		Flags:  uint64(m.Flags)&^(FlagAck|FlagOnNVRAM|FlagOnDisk) | FlagOnDisk,
		Result: result, Epoch: epoch, Ops: m.Ops, Retry: m.Retry,
	}
}

// Denc follows messages/MOSDOpReply.h version 8.
func (m *MOSDOpReply) Denc(c *denc.Coder, version uint16) {
	if version < 8 {
		c.Invalid("MOSDOpReply of version %d", version)
		return
	}
	c.Str(&m.Object)
	m.PG.Denc(c)
	c.U64(&m.Flags)
	c.I32(&m.Result)
	m.BadReplay.Denc(c)
	m.Epoch.Denc(c)
	m.dencOps(c)
	c.I32(&m.Retry)
	for i := range m.Ops {
		c.I32(&m.Ops[i].Result)
	}
	m.ReplayVersion.Denc(c)
	c.U64(&m.UserVersion)
	denc.OptionalFunc(c, &m.Redirect, func(c *denc.Coder, r *Redirect) { r.Denc(c) })
	trace(c)
}

func (m *MOSDOpReply) dencOps(c *denc.Coder) {
	n := c.Count(len(m.Ops), opBytes)
	if c.Encoding() {
		for i := range m.Ops {
			m.Ops[i].denc(c, len(m.Ops[i].Out))
		}
		return
	}
	m.Ops, m.sizes = make([]OSDOp, n), make([]uint32, n)
	for i := range m.Ops {
		m.sizes[i] = m.Ops[i].denc(c, 0)
	}
}

// Data is the outputs of the ops, one after the other.
func (m *MOSDOpReply) Data() [][]byte {
	var out [][]byte
	for i := range m.Ops {
		if len(m.Ops[i].Out) > 0 {
			out = append(out, m.Ops[i].Out)
		}
	}
	return out
}

// SetData slices the ops' outputs from the data segment.
func (m *MOSDOpReply) SetData(data []byte) error {
	for i := range m.Ops {
		out, rest, err := cut(data, m.sizes[i])
		if err != nil {
			return err
		}
		m.Ops[i].Out, data = out, rest
	}
	m.sizes = nil
	return nil
}
