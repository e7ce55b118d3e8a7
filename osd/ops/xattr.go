package ops

import (
	"cmp"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// userAttr is the store's name of a user's attribute.
func userAttr(name string) string { return InfoAttr + name }

// xattr reads one attribute as it was before the vector.
func (x *exec) xattr(name string) ([]byte, int32) {
	if name == "" {
		return nil, ceph.ENODATA.Result()
	}
	c, o := x.object()
	v, err := x.env.Store.GetAttr(c, o, userAttr(name))
	if err != nil {
		return nil, x.fail(err)
	}
	return v, 0
}

// xattrName is the name alone, for ops without a value.
func xattrName(op *message.OSDOp) (string, bool) {
	n, _, _, _ := op.XattrArgs()
	if uint64(n) > uint64(len(op.In)) {
		return "", false
	}
	return string(op.In[:n]), true
}

func opGetXattr(x *exec, op *message.OSDOp) int32 {
	x.reads++
	name, ok := xattrName(op)
	if !ok {
		return ceph.EINVAL.Result()
	}
	x.stats.Reads++
	v, r := x.xattr(name)
	if r < 0 {
		return r
	}
	op.Out = v
	le.PutUint32(op.Union[4:], uint32(len(v)))
	x.stats.ReadKiB += kib(uint64(len(v)))
	return 0
}

// xattrs reads all attributes of users.
func (x *exec) xattrs() (map[string][]byte, int32) {
	x.reads++
	x.stats.Reads++
	c, o := x.object()
	all, err := x.env.Store.GetAttrs(c, o)
	if err != nil {
		return nil, x.fail(err)
	}
	out := make(map[string][]byte, len(all))
	for k, v := range all {
		if name, ok := strings.CutPrefix(k, InfoAttr); ok && name != "" {
			out[name] = v
		}
	}
	return out, 0
}

func opGetXattrs(x *exec, op *message.OSDOp) int32 {
	attrs, r := x.xattrs()
	c := denc.NewEncoder(nil, 0)
	denc.MapFunc(c, &attrs, (*denc.Coder).Str, (*denc.Coder).Blob)
	op.Out = c.Bytes()
	x.stats.ReadKiB += kib(uint64(len(op.Out)))
	return r
}

// opCmpXattr holds the vector to an attribute's value: 1 if the comparison holds.
func opCmpXattr(x *exec, op *message.OSDOp) int32 {
	x.reads++
	n, vn, operator, mode := op.XattrArgs()
	name, ok := xattrName(op)
	if !ok {
		return ceph.EINVAL.Result()
	}
	have, r := x.xattr(name)
	if r < 0 && r != ceph.ENODATA.Result() {
		return r
	}
	x.readKiB(len(have))
	var order int
	in := op.In[n:]
	switch mode {
	case message.CmpModeString:
		if uint64(vn) > uint64(len(in)) {
			return ceph.EINVAL.Result()
		}
		order = cmp.Compare(string(in[:vn]), string(have))
	case message.CmpModeU64:
		if len(in) < 8 {
			return ceph.EINVAL.Result()
		}
		order = cmp.Compare(le.Uint64(in), decimal(string(have)))
	default:
		return ceph.EINVAL.Result()
	}
	return compareResult(operator, order)
}

// compareResult is 1 if an operator holds for an order, ECANCELED if not.
func compareResult(operator uint8, order int) int32 {
	var holds bool
	switch operator {
	case message.CmpEQ:
		holds = order == 0
	case message.CmpNE:
		holds = order != 0
	case message.CmpGT:
		holds = order > 0
	case message.CmpGTE:
		holds = order >= 0
	case message.CmpLT:
		holds = order < 0
	case message.CmpLTE:
		holds = order <= 0
	default:
		return ceph.EINVAL.Result()
	}
	if !holds {
		return ceph.ECANCELED.Result()
	}
	return 1
}

// decimal reads a number as strtoull does: leading space, sign, then digits up to anything else.
func decimal(s string) uint64 {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(s[:i], 10, 64)
	if err != nil && i > 0 {
		return ^uint64(0) // out of range
	}
	if negative {
		return -n
	}
	return n
}

func opSetXattr(x *exec, op *message.OSDOp) int32 {
	x.writes++
	n, vn, _, _ := op.XattrArgs()
	l := x.env.Limits
	if l.AttrSize > 0 && uint64(vn) > l.AttrSize {
		return ceph.EFBIG.Result()
	}
	if uint64(n) > uint64(l.AttrName) {
		return ceph.ENAMETOOLONG.Result()
	}
	name, value, ok := op.Xattr()
	if !ok || name == "" {
		return ceph.EINVAL.Result()
	}
	x.create()
	c, o := x.object()
	x.t().SetAttr(c, o, userAttr(name), value)
	x.stats.Writes++
	return 0
}

func opRmXattr(x *exec, op *message.OSDOp) int32 {
	x.writes++
	name, ok := xattrName(op)
	if !ok || name == "" {
		return ceph.EINVAL.Result()
	}
	if !x.exists {
		return ceph.ENOENT.Result()
	}
	c, o := x.object()
	x.t().RmAttr(c, o, userAttr(name))
	x.stats.Writes++
	return 0
}
