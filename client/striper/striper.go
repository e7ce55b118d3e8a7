package striper

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"

	"glue/ceph"
	"glue/client/rados"
	"glue/client/stripe"
)

// A Layout is how a striped object lies on objects, in bytes but for StripeCount. It is chosen when
// the striped object is made and stays as it is.
type Layout = stripe.Layout

// unitBytes is what sizes of new striped objects are multiples of (CEPH_MIN_STRIPE_UNIT).
const unitBytes = 64 << 10

// DefaultLayout is the library's: objects of 4 MiB, one after the other.
var DefaultLayout = Layout{ObjectBytes: 4 << 20, StripeUnit: 4 << 20, StripeCount: 1}

// A Striper reads and writes the striped objects of an IOCtx. It is a value that does not change;
// any number of goroutines may use it.
type Striper struct {
	x      *rados.IOCtx
	layout Layout
}

// New is the striped objects of an IOCtx. New ones get the layout; those that are there have their
// own. A field that is 0 is DefaultLayout's, and a StripeUnit of 0 is not above ObjectBytes. EINVAL
// for a layout that the library would not make: units of whole 64 KiB, objects of whole units.
func New(x *rados.IOCtx, l Layout) (*Striper, error) {
	if l.ObjectBytes == 0 {
		l.ObjectBytes = DefaultLayout.ObjectBytes
	}
	if l.StripeUnit == 0 {
		l.StripeUnit = min(DefaultLayout.StripeUnit, l.ObjectBytes)
	}
	if l.StripeCount == 0 {
		l.StripeCount = DefaultLayout.StripeCount
	}
	if l.StripeUnit%unitBytes != 0 || l.ObjectBytes%l.StripeUnit != 0 ||
		max(l.ObjectBytes, l.StripeCount) > math.MaxInt32 {
		return nil, fmt.Errorf("objects of %d bytes in units of %d over %d: %w", l.ObjectBytes,
			l.StripeUnit, l.StripeCount, ceph.EINVAL)
	}
	return &Striper{x, l}, nil
}

// Objects is what an IOCtx does with objects and a Striper with striped ones.
type Objects interface {
	Read(ctx context.Context, name string, off, length uint64) ([]byte, error)
	Write(ctx context.Context, name string, data []byte, off uint64) error
	WriteFull(ctx context.Context, name string, data []byte) error
	Append(ctx context.Context, name string, data []byte) error
	Truncate(ctx context.Context, name string, size uint64) error
	Create(ctx context.Context, name string, exclusive bool) error
	Remove(ctx context.Context, name string) error
	Stat(ctx context.Context, name string) (rados.ObjectStat, error)
	Xattr(ctx context.Context, name, attr string) ([]byte, error)
	Xattrs(ctx context.Context, name string) (map[string][]byte, error)
	SetXattr(ctx context.Context, name, attr string, value []byte) error
	RmXattr(ctx context.Context, name, attr string) error
	List(ctx context.Context) iter.Seq2[rados.Object, error]
}

var _, _ Objects = (*rados.IOCtx)(nil), (*Striper)(nil)

// IOCtx is the pool.
func (s *Striper) IOCtx() *rados.IOCtx { return s.x }

// Layout is that of new striped objects.
func (s *Striper) Layout() Layout { return s.layout }

// ObjectName is the n-th object of a striped object. The first, 0, has its attributes and lock.
func ObjectName(name string, n uint64) string { return fmt.Sprintf("%s.%016x", name, n) }

// Create makes an empty striped object; with exclusive it is EEXIST if it is there.
func (s *Striper) Create(ctx context.Context, name string, exclusive bool) error {
	err := s.x.Operate(ctx, ObjectName(name, 0), s.creation(0))
	if errors.Is(err, ceph.EEXIST) && !exclusive {
		return nil
	}
	return failed("create", name, err)
}

// creation makes the first object, for a striped object of size bytes; EEXIST if it is there.
func (s *Striper) creation(size uint64) *rados.WriteOp {
	return new(rados.WriteOp).Create(true).
		SetXattr(objectSizeAttr, number(s.layout.ObjectBytes)).
		SetXattr(stripeUnitAttr, number(s.layout.StripeUnit)).
		SetXattr(stripeCountAttr, number(s.layout.StripeCount)).
		SetXattr(sizeAttr, number(size))
}

// Stat is the size, and when the first object was changed last, which taking its lock does, too.
func (s *Striper) Stat(ctx context.Context, name string) (rados.ObjectStat, error) {
	a, err := s.attrs(ctx, name)
	return rados.ObjectStat{Size: a.size, MTime: a.mtime}, failed("stat", name, err)
}

// LayoutOf is the layout of a striped object that is there.
func (s *Striper) LayoutOf(ctx context.Context, name string) (Layout, error) {
	a, err := s.attrs(ctx, name)
	return a.layout, failed("stat", name, err)
}

// List yields the striped objects of the IOCtx's namespace in no order of theirs: as the stock tool
// does, by the names that first objects have.
func (s *Striper) List(ctx context.Context) iter.Seq2[rados.Object, error] {
	return func(yield func(rados.Object, error) bool) {
		for o, err := range s.x.List(ctx) {
			name, ok := strings.CutSuffix(o.Name, ObjectName("", 0))
			if err == nil && (!ok || name == "") {
				continue
			}
			if o.Name = name; !yield(o, err) {
				return
			}
		}
	}
}

// failed says of an error what was attempted.
func failed(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s striped object %s: %w", what, name, err)
}
