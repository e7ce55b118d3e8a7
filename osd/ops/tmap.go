package ops

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// A tmap is an object whose data is a small map: a header and pairs, all encoded together.
type tmap struct {
	header []byte
	pairs  map[string][]byte
}

// Denc is the header and the map.
func (m *tmap) Denc(c *denc.Coder) {
	c.Blob(&m.header)
	denc.MapFunc(c, &m.pairs, (*denc.Coder).Str, (*denc.Coder).Blob)
}

// readTMap reads the object as a map; an empty object is an empty map.
func (x *exec) readTMap() (tmap, int32) {
	var m tmap
	x.reads++
	data, r := x.read(&message.OSDOp{}, 0, 0)
	if r < 0 {
		return m, r
	}
	if len(data) > 0 && denc.Unmarshal(data, &m, 0) != nil {
		return m, ceph.EINVAL.Result()
	}
	if m.pairs == nil {
		m.pairs = map[string][]byte{}
	}
	return m, 0
}

// writeFull replaces the data as WRITEFULL does.
func (x *exec) writeFull(data []byte) int32 {
	op := message.OSDOp{Code: message.OpWriteFull, In: data}
	op.SetExtent(0, uint64(len(data)))
	return x.step(&op)
}

func opTMapGet(x *exec, op *message.OSDOp) int32 {
	x.reads++
	data, r := x.read(&message.OSDOp{}, 0, 0)
	op.Out = data
	return r
}

func opTMapPut(x *exec, op *message.OSDOp) int32 {
	var m tmap
	if denc.Unmarshal(op.In, &m, 0) != nil {
		return ceph.EINVAL.Result()
	}
	return x.writeFull(denc.Marshal(&m, 0))
}

// The changes of TMAPUP (CEPH_OSD_TMAP_*).
const (
	tmapHeader   = 'h'
	tmapSet      = 's'
	tmapCreate   = 'c'
	tmapRm       = 'r'
	tmapRmSloppy = 'R' // no error if absent
)

func opTMapUp(x *exec, op *message.OSDOp) int32 {
	x.writes++
	if len(op.In) == 0 {
		return 0
	}
	m, r := x.readTMap()
	if r < 0 {
		return r
	}
	for in := denc.NewDecoder(op.In, 0); in.Remaining() > 0; {
		if r := m.update(in); r < 0 {
			return r
		}
	}
	return x.writeFull(denc.Marshal(&m, 0))
}

// update applies one change.
func (m *tmap) update(in *denc.Coder) int32 {
	var code uint8
	var key string
	var value []byte
	if in.U8(&code); code == tmapHeader {
		if in.Blob(&m.header); in.Err() != nil {
			return ceph.EINVAL.Result()
		}
		return 0
	}
	in.Str(&key)
	if code == tmapSet || code == tmapCreate {
		in.Blob(&value)
	}
	if in.Err() != nil {
		return ceph.EINVAL.Result()
	}
	_, there := m.pairs[key]
	switch {
	case code == tmapCreate && there:
		return ceph.EEXIST.Result()
	case code == tmapSet, code == tmapCreate:
		m.pairs[key] = value
	case code == tmapRm && !there:
		return ceph.ENOENT.Result()
	case code == tmapRm, code == tmapRmSloppy:
		delete(m.pairs, key)
	default:
		return ceph.EINVAL.Result()
	}
	return 0
}

// tmapNullOK lets TMAP2OMAP succeed on an empty object.
const tmapNullOK = 1

func opTMap2Omap(x *exec, op *message.OSDOp) int32 {
	x.writes++
	if x.info.Size == 0 {
		if op.Union[0]&tmapNullOK != 0 {
			return 0
		}
		return ceph.ENODATA.Result()
	}
	m, r := x.readTMap()
	if r < 0 {
		return r
	}
	truncate := message.OSDOp{Code: message.OpTruncate}
	if r := x.step(&truncate); r < 0 {
		return r
	}
	header := message.OSDOp{Code: message.OpOmapSetHeader, In: m.header}
	if r := x.step(&header); r < 0 {
		return r
	}
	size := 4
	for k, v := range m.pairs {
		size += 8 + len(k) + len(v)
	}
	return x.omapSet(m.pairs, size)
}
