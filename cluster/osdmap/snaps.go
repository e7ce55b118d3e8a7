package osdmap

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"glue/ceph"
)

func (r SnapRange) end() ceph.SnapID { return r.Start + ceph.SnapID(r.Len) }

// ContainsSnap says whether one of the ranges holds a snapshot.
func ContainsSnap(ranges []SnapRange, s ceph.SnapID) bool {
	for _, r := range ranges {
		if s >= r.Start && s < r.end() {
			return true
		}
	}
	return false
}

// AddSnap is the ranges with one snapshot more; the argument stays as it is.
func AddSnap(ranges []SnapRange, s ceph.SnapID) []SnapRange {
	return UnionSnaps(ranges, []SnapRange{{Start: s, Len: 1}})
}

// UnionSnaps is the snapshots of either list as ascending, disjoint, not adjacent ranges.
func UnionSnaps(a, b []SnapRange) []SnapRange {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y SnapRange) int { return cmp.Compare(x.Start, y.Start) })
	var out []SnapRange
	for _, r := range all {
		if n := len(out); n > 0 && r.Start <= out[n-1].end() {
			out[n-1].Len = uint64(max(out[n-1].end(), r.end()) - out[n-1].Start)
		} else if r.Len > 0 {
			out = append(out, r)
		}
	}
	return out
}

// IntersectSnaps is the snapshots in both.
func IntersectSnaps(a, b []SnapRange) []SnapRange { return SubtractSnaps(a, SubtractSnaps(a, b)) }

// CountSnaps is how many snapshots the ranges have.
func CountSnaps(ranges []SnapRange) (n uint64) {
	for _, r := range ranges {
		n += r.Len
	}
	return n
}

// FirstSnaps is the first n snapshots of ascending ranges.
func FirstSnaps(ranges []SnapRange, n uint64) (out []SnapRange) {
	for _, r := range ranges {
		if r.Len = min(r.Len, n); r.Len > 0 {
			out = append(out, r)
			n -= r.Len
		}
	}
	return out
}

// SubtractSnaps is the snapshots of a that are not in b.
func SubtractSnaps(a, b []SnapRange) []SnapRange {
	out := slices.Clone(a)
	for _, cut := range b {
		if cut.Len == 0 {
			continue
		}
		var left []SnapRange
		for _, r := range out {
			if head := min(r.end(), cut.Start); head > r.Start {
				left = append(left, SnapRange{r.Start, uint64(head - r.Start)})
			}
			if tail := max(r.Start, cut.end()); tail < r.end() {
				left = append(left, SnapRange{tail, uint64(r.end() - tail)})
			}
		}
		out = left
	}
	return out
}

// FormatSnaps prints ranges as Ceph does: [start~length,...] in hexadecimal.
func FormatSnaps(ranges []SnapRange) string {
	parts := make([]string, len(ranges))
	for i, r := range ranges {
		parts[i] = fmt.Sprintf("%x~%x", uint64(r.Start), r.Len)
	}
	return "[" + strings.Join(parts, ",") + "]"
}
