package striper

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"glue/ceph"
	"glue/client/rados"
)

// The attributes of the first object that are not the user's.
const (
	objectSizeAttr  = "striper.layout.object_size"
	stripeUnitAttr  = "striper.layout.stripe_unit"
	stripeCountAttr = "striper.layout.stripe_count"
	sizeAttr        = "striper.size"
	lockAttr        = "lock." + lockName
)

func ours(attr string) bool {
	switch attr {
	case objectSizeAttr, stripeUnitAttr, stripeCountAttr, sizeAttr, lockAttr:
		return true
	}
	return false
}

// A LayoutError says that an object of the right name is not the first one of a striped object, as
// an attribute is missing (then Value is nil) or makes no sense. It is ceph.EINVAL.
type LayoutError struct {
	Attr  string
	Value []byte
}

// Error names the attribute.
func (e *LayoutError) Error() string {
	if e.Value == nil {
		return fmt.Sprintf("attribute %s is missing", e.Attr)
	}
	return fmt.Sprintf("attribute %s is %q, which makes no sense", e.Attr, e.Value)
}

// Unwrap is ceph.EINVAL.
func (e *LayoutError) Unwrap() error { return ceph.EINVAL }

// An attrs is what the first object says of the striped one.
type attrs struct {
	layout Layout
	size   uint64
	asSize []byte // the size as it is written there
	mtime  time.Time
}

// attrs reads the attributes.
func (s *Striper) attrs(ctx context.Context, name string) (attrs, error) {
	var r rados.ReadOp
	stat, all := r.Stat(), r.Xattrs()
	if err := s.x.OperateRead(ctx, ObjectName(name, 0), &r); err != nil {
		return attrs{}, err
	}
	a, err := parse(*all)
	a.mtime = stat.MTime
	return a, err
}

// parse reads the attributes; a LayoutError if they are not those of a striped object.
func parse(all map[string][]byte) (a attrs, err error) {
	for _, f := range []struct {
		attr string
		to   *uint64
		bits int
		step uint64 // it is a multiple of that, and not 0; 0: it is any number
	}{
		{stripeUnitAttr, &a.layout.StripeUnit, 31, unitBytes},
		{stripeCountAttr, &a.layout.StripeCount, 31, 1},
		{objectSizeAttr, &a.layout.ObjectBytes, 31, unitBytes},
		{sizeAttr, &a.size, 63, 0},
	} {
		v, ok := all[f.attr]
		if !ok {
			return attrs{}, &LayoutError{Attr: f.attr}
		}
		*f.to, err = strconv.ParseUint(string(v), 10, f.bits)
		if err != nil || f.step != 0 && (*f.to == 0 || *f.to%f.step != 0) {
			return attrs{}, &LayoutError{f.attr, append([]byte{}, v...)}
		}
	}
	if a.layout.StripeUnit > a.layout.ObjectBytes {
		return attrs{}, &LayoutError{stripeUnitAttr, all[stripeUnitAttr]}
	}
	a.asSize = all[sizeAttr]
	return a, nil
}

// number is a value as the attributes have it.
func number(v uint64) []byte { return strconv.AppendUint(nil, v, 10) }

// Xattr is one of the user's attributes; ENODATA without it.
func (s *Striper) Xattr(ctx context.Context, name, attr string) ([]byte, error) {
	v, err := s.x.Xattr(ctx, ObjectName(name, 0), attr)
	return v, failed("read attribute "+attr+" of", name, err)
}

// Xattrs is all of the user's attributes.
func (s *Striper) Xattrs(ctx context.Context, name string) (map[string][]byte, error) {
	all, err := s.x.Xattrs(ctx, ObjectName(name, 0))
	for attr := range all {
		if ours(attr) {
			delete(all, attr)
		}
	}
	return all, failed("read attributes of", name, err)
}

// SetXattr sets one of the user's attributes. EINVAL for those of the striper.
func (s *Striper) SetXattr(ctx context.Context, name, attr string, value []byte) error {
	return s.changeXattr(ctx, name, attr, new(rados.WriteOp).AssertExists().SetXattr(attr, value))
}

// RmXattr removes one of the user's attributes, if it is there. EINVAL for those of the striper.
func (s *Striper) RmXattr(ctx context.Context, name, attr string) error {
	return s.changeXattr(ctx, name, attr, new(rados.WriteOp).AssertExists().RmXattr(attr))
}

func (s *Striper) changeXattr(ctx context.Context, name, attr string, w *rados.WriteOp) error {
	err := error(ceph.EINVAL)
	if !ours(attr) {
		err = s.x.Operate(ctx, ObjectName(name, 0), w)
	}
	return failed("change attribute "+attr+" of", name, err)
}
