package snaps

import "glue/cluster/pginfo"

// intersect is the bytes in both of two ascending lists.
func intersect(a, b []pginfo.Range) []pginfo.Range {
	var out []pginfo.Range
	for i, j := 0, 0; i < len(a) && j < len(b); {
		lo, hi := max(a[i].Begin, b[j].Begin), min(a[i].End, b[j].End)
		if lo < hi {
			out = append(out, pginfo.Range{Begin: lo, End: hi})
		}
		if a[i].End < b[j].End {
			i++
		} else {
			j++
		}
	}
	return out
}

// subtract is the bytes of an ascending list that are in none of some ranges.
func subtract(a, b []pginfo.Range) []pginfo.Range {
	for _, cut := range b {
		var out []pginfo.Range
		for _, r := range a {
			if lo, hi := r.Begin, min(r.End, cut.Begin); lo < hi {
				out = append(out, pginfo.Range{Begin: lo, End: hi})
			}
			if lo, hi := max(r.Begin, cut.End), r.End; lo < hi {
				out = append(out, pginfo.Range{Begin: lo, End: hi})
			}
		}
		a = out
	}
	return a
}

func total(a []pginfo.Range) uint64 {
	n := uint64(0)
	for _, r := range a {
		n += r.End - r.Begin
	}
	return n
}
