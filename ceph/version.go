package ceph

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"glue/ceph/denc"
)

// An Epoch numbers the versions of a cluster map (epoch_t); the first is 1.
type Epoch uint32

// Denc is a u32.
func (e *Epoch) Denc(c *denc.Coder) { c.U32((*uint32)(e)) }

// A SnapID numbers the snapshots of a pool (snapid_t).
type SnapID uint64

// Snap ids with a meaning of their own.
const (
	NoSnap  SnapID = ^SnapID(1) // the head object (CEPH_NOSNAP)
	SnapDir SnapID = ^SnapID(0) // the snapset object (CEPH_SNAPDIR)
	MaxSnap SnapID = NoSnap - 1
)

// Denc is a u64.
func (s *SnapID) Denc(c *denc.Coder) { c.U64((*uint64)(s)) }

// String is "head", "snapdir" or the id in hexadecimal.
func (s SnapID) String() string {
	switch s {
	case NoSnap:
		return "head"
	case SnapDir:
		return "snapdir"
	}
	return strconv.FormatUint(uint64(s), 16)
}

// An Eversion is the position of an update in a PG's log (eversion_t): Version counts the
// updates of the PG, Epoch is the map's epoch when it was made.
type Eversion struct {
	Version uint64
	Epoch   Epoch
}

// Denc is the version, then the epoch.
func (v *Eversion) Denc(c *denc.Coder) {
	c.U64(&v.Version)
	v.Epoch.Denc(c)
}

// Compare orders by epoch, then by version.
func (v Eversion) Compare(w Eversion) int {
	return cmp.Or(cmp.Compare(v.Epoch, w.Epoch), cmp.Compare(v.Version, w.Version))
}

// Less is Compare < 0.
func (v Eversion) Less(w Eversion) bool { return v.Compare(w) < 0 }

// IsZero says whether the version is 0'0, before any update.
func (v Eversion) IsZero() bool { return v == Eversion{} }

// String is EPOCH'VERSION.
func (v Eversion) String() string { return fmt.Sprintf("%d'%d", v.Epoch, v.Version) }

// ParseEversion reads EPOCH'VERSION.
func ParseEversion(s string) (Eversion, error) {
	e, v, ok := strings.Cut(s, "'")
	epoch, err1 := strconv.ParseUint(e, 10, 32)
	version, err2 := strconv.ParseUint(v, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return Eversion{}, fmt.Errorf("%q is not a version of the form EPOCH'VERSION", s)
	}
	return Eversion{Version: version, Epoch: Epoch(epoch)}, nil
}

// A Time is a wall-clock moment or a duration (utime_t), in seconds and nanoseconds.
type Time struct{ Sec, Nsec uint32 }

// Denc is seconds, then nanoseconds.
func (t *Time) Denc(c *denc.Coder) {
	c.U32(&t.Sec)
	c.U32(&t.Nsec)
}

// TimeOf converts; moments before 1970 become zero.
func TimeOf(t time.Time) Time {
	if t.IsZero() || t.Unix() < 0 {
		return Time{}
	}
	return Time{Sec: uint32(t.Unix()), Nsec: uint32(t.Nanosecond())}
}

// TimeSpan converts a duration.
func TimeSpan(d time.Duration) Time {
	return Time{Sec: uint32(d / time.Second), Nsec: uint32(d % time.Second)}
}

// Go is the moment as a time.Time in UTC; zero stays zero.
func (t Time) Go() time.Time {
	if t == (Time{}) {
		return time.Time{}
	}
	return time.Unix(int64(t.Sec), int64(t.Nsec)).UTC()
}

// Duration reads the value as a span.
func (t Time) Duration() time.Duration {
	return time.Duration(t.Sec)*time.Second + time.Duration(t.Nsec)
}

// Add is the moment a span later.
func (t Time) Add(span Time) Time {
	n := uint64(t.Nsec) + uint64(span.Nsec)
	return Time{Sec: t.Sec + span.Sec + uint32(n/1e9), Nsec: uint32(n % 1e9)}
}

// Compare orders by time.
func (t Time) Compare(u Time) int {
	return cmp.Or(cmp.Compare(t.Sec, u.Sec), cmp.Compare(t.Nsec, u.Nsec))
}

// String prints as Ceph does: values below ten years as seconds, others as ISO 8601 with
// microseconds and "+0000".
func (t Time) String() string {
	if t.Sec < 60*60*24*365*10 {
		return fmt.Sprintf("%d.%06d", t.Sec, t.Nsec/1000)
	}
	return t.Go().Format("2006-01-02T15:04:05.000000-0700")
}
