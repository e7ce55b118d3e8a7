package ops

import (
	"errors"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/osd/class"
	"glue/osd/snaps"
	"glue/wire/message"
)

// opCall runs a class method; its changes join the vector's.
func opCall(x *exec, op *message.OSDOp) int32 {
	name, method, in, ok := op.Call()
	if !ok {
		return ceph.EINVAL.Result()
	}
	m, err := x.env.Classes.Find(name, method)
	if err != nil {
		return x.fail(err)
	}
	if m.Flags&class.WR != 0 {
		x.userModify = true
	}
	reads, writes := x.reads, x.writes
	out, r := x.call(m, in)
	switch {
	case x.reads > reads && m.Flags&class.RD == 0,
		x.writes > writes && m.Flags&class.WR == 0:
		return ceph.EIO.Result() // the table lies about the method
	}
	op.Out = out
	le.PutUint64(op.Union[8:], uint64(len(out)))
	return r
}

// call runs a method and turns its error into a result.
func (x *exec) call(m class.Method, in []byte) ([]byte, int32) {
	out, err := m.Func(&context{x}, in)
	var positive class.Result
	switch {
	case x.failure != nil:
		return nil, ceph.EIO.Result()
	case err == nil:
		return out, 0
	case errors.As(err, &positive):
		return out, int32(positive)
	}
	return out, ceph.ResultOf(err)
}

// A context is what class methods see of a running vector.
type context struct{ x *exec }

var _ class.Context = (*context)(nil)

func (c *context) Object() ceph.HObject   { return c.x.req.Object }
func (c *context) Now() ceph.Time         { return c.x.req.Now }
func (c *context) Origin() class.Entity   { return c.x.req.Origin }
func (c *context) ClientFeatures() uint64 { return c.x.req.Features }
func (c *context) MinCompatClient() uint8 { return c.x.env.MinCompatClient }
func (c *context) RequiredRelease() uint8 { return c.x.env.RequiredRelease }
func (c *context) Version() uint64        { return c.x.req.LastUserVersion }
func (c *context) SubOp() int             { return c.x.subOp }
func (c *context) StripeWidth() uint64    { return c.x.env.StripeWidth }
func (c *context) MinAllocSize() uint64   { return c.x.env.Limits.MinAllocBytes }
func (c *context) ReqID() ceph.ReqID      { return c.x.req.ReqID }
func (c *context) SnapSetSeq() (uint64, error) {
	if !c.x.exists {
		return 0, ceph.ENOENT
	}
	return uint64(snaps.Seq(c.x.old.Info.Snaps)), nil
}

func (c *context) Stat() (uint64, ceph.Time, error) {
	c.x.stats.Reads++
	if !c.x.exists {
		return 0, ceph.Time{}, ceph.ENOENT
	}
	return c.x.info.Size, c.x.info.MTime, nil
}

func (c *context) Read(off, length uint64) ([]byte, error) {
	c.x.reads++
	data, r := c.x.read(&message.OSDOp{}, off, length)
	return data, ceph.ErrorOf(r)
}

func (c *context) Xattr(name string) ([]byte, error) {
	c.x.reads++
	c.x.stats.Reads++
	v, r := c.x.xattr(name)
	return v, ceph.ErrorOf(r)
}

func (c *context) Xattrs() (map[string][]byte, error) {
	attrs, r := c.x.xattrs()
	return attrs, ceph.ErrorOf(r)
}

func (c *context) OmapHeader() ([]byte, error) {
	h, r := c.x.omapHeader()
	return h, ceph.ErrorOf(r)
}

func (c *context) OmapVal(key string) ([]byte, error) {
	vals, err := c.OmapVals([]string{key})
	if err != nil {
		return nil, err
	}
	v, ok := vals[key]
	if !ok {
		return nil, ceph.ENOENT
	}
	return v, nil
}

func (c *context) OmapVals(keys []string) (map[string][]byte, error) {
	c.x.reads++
	vals, r := c.x.omapGet(keys)
	c.x.stats.Reads++
	return vals, ceph.ErrorOf(r)
}

func (c *context) OmapScan(after, prefix string, max uint64) ([]class.Pair, bool, error) {
	c.x.reads++
	c.x.stats.Reads++
	var pairs []class.Pair
	_, more, r := c.x.scanOmap(after, prefix, max, func(key string, value []byte) int {
		pairs = append(pairs, class.Pair{Key: key, Value: append([]byte(nil), value...)})
		return 8 + len(key) + len(value)
	})
	if r < 0 {
		return nil, false, ceph.ErrorOf(r)
	}
	return pairs, more, nil
}

func (c *context) OmapKeys(after string, max uint64) ([]string, bool, error) {
	c.x.reads++
	c.x.stats.Reads++
	var keys []string
	_, more, r := c.x.scanOmap(after, "", max, func(key string, _ []byte) int {
		keys = append(keys, key)
		return 4 + len(key)
	})
	if r < 0 {
		return nil, false, ceph.ErrorOf(r)
	}
	return keys, more, nil
}

func (c *context) Watchers() ([]class.Watcher, error) {
	c.x.reads++
	c.x.stats.Reads++
	return c.x.watchers(), nil
}

// do runs one nested op.
func (c *context) do(op *message.OSDOp) error {
	r := c.x.step(op)
	if r == same || r >= 0 {
		return nil
	}
	return ceph.ErrorOf(r)
}

func (c *context) Create(exclusive bool) error {
	op := message.OSDOp{Code: message.OpCreate}
	if exclusive {
		op.Flags = message.OpFlagExcl
	}
	return c.do(&op)
}

func (c *context) Remove() error { return c.do(&message.OSDOp{Code: message.OpDelete}) }

func (c *context) Write(off uint64, data []byte) error {
	op := message.OSDOp{Code: message.OpWrite, In: data}
	op.SetExtent(off, uint64(len(data)))
	return c.do(&op)
}

func (c *context) WriteFull(data []byte) error {
	op := message.OSDOp{Code: message.OpWriteFull, In: data}
	op.SetExtent(0, uint64(len(data)))
	return c.do(&op)
}

func (c *context) Truncate(size uint64) error {
	op := message.OSDOp{Code: message.OpTruncate}
	op.SetExtent(size, 0)
	return c.do(&op)
}

func (c *context) Zero(off, length uint64) error {
	op := message.OSDOp{Code: message.OpZero}
	op.SetExtent(off, length)
	return c.do(&op)
}

func (c *context) SetXattr(name string, value []byte) error {
	op := message.OSDOp{Code: message.OpSetXattr}
	op.SetXattr(name, value, 0, 0)
	return c.do(&op)
}

func (c *context) OmapSet(pairs map[string][]byte) error {
	c.x.userModify = true
	size := 4
	for k, v := range pairs {
		size += 8 + len(k) + len(v)
	}
	return ceph.ErrorOf(c.x.omapSet(pairs, size))
}

func (c *context) OmapRm(key string) error {
	c.x.userModify = true
	return ceph.ErrorOf(c.x.omapRm([]string{key}))
}

func (c *context) OmapRmRange(first, end string) error {
	in := denc.NewEncoder(nil, 0)
	in.Str(&first)
	in.Str(&end)
	return c.do(&message.OSDOp{Code: message.OpOmapRmKeyRange, In: in.Bytes()})
}

func (c *context) OmapClear() error { return c.do(&message.OSDOp{Code: message.OpOmapClear}) }

func (c *context) OmapSetHeader(header []byte) error {
	return c.do(&message.OSDOp{Code: message.OpOmapSetHeader, In: header})
}

func (c *context) Call(name, method string, in []byte) ([]byte, error) {
	op := message.OSDOp{}
	op.SetCall(name, method, in)
	err := c.do(&op)
	return op.Out, err
}
