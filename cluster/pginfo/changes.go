package pginfo

import (
	"math"
	"slices"

	"glue/ceph/denc"
)

// A Range is a run of bytes of an object. One that reaches to the end has End math.MaxUint64.
type Range struct{ Begin, End uint64 }

// maxRanges is how many ranges are kept apart (osd_object_clean_region_max_num_intervals).
const maxRanges = 10

// Keys of omaps are told apart up to so many, of so many bytes together.
const maxKeys, maxKeyBytes = 16, 256

// Changes is what of an object differs between two of its versions, besides its attributes
// (the opposite of ObjectCleanRegions). The zero value is: anything may.
type Changes struct {
	Known  bool
	Ranges []Range  // ascending, apart from each other
	Omap   bool     // any key, and the header
	Keys   []string // these keys alone, ascending
}

// Denc is a section of our own. Who does not know keys would take the omap for unchanged: he can't
// read changes that have some.
func (x *Changes) Denc(c *denc.Coder) {
	compat := uint8(1)
	if len(x.Keys) > 0 {
		compat = 2
	}
	s := c.Begin(2, compat)
	c.Bool(&x.Known)
	c.Bool(&x.Omap)
	denc.ListFunc(c, &x.Ranges, dencRange)
	if s.V >= 2 {
		denc.ListFunc(c, &x.Keys, (*denc.Coder).Str)
	}
	s.End()
}

// Add adds a run of bytes. Above maxRanges the two that are closest become one.
func (x *Changes) Add(begin, length uint64) {
	if length == 0 {
		return
	}
	end := begin + length
	if end < begin {
		end = math.MaxUint64
	}
	x.add(Range{begin, end})
}

func (x *Changes) add(r Range) {
	i := 0
	for i < len(x.Ranges) && x.Ranges[i].End < r.Begin {
		i++
	}
	j := i
	for j < len(x.Ranges) && x.Ranges[j].Begin <= r.End {
		r.Begin, r.End = min(r.Begin, x.Ranges[j].Begin), max(r.End, x.Ranges[j].End)
		j++
	}
	x.Ranges = slices.Replace(x.Ranges, i, j, r)
	if len(x.Ranges) <= maxRanges {
		return
	}
	near := 1
	for k := 2; k < len(x.Ranges); k++ {
		if x.Ranges[k].Begin-x.Ranges[k-1].End < x.Ranges[near].Begin-x.Ranges[near-1].End {
			near = k
		}
	}
	x.Ranges[near-1].End = x.Ranges[near].End
	x.Ranges = slices.Delete(x.Ranges, near, near+1)
}

// AddKey adds a key of the omap. Above the bounds all of them are taken to have changed.
func (x *Changes) AddKey(key string) {
	i, have := slices.BinarySearch(x.Keys, key)
	if x.Omap || have {
		return
	}
	x.Keys = slices.Insert(x.Keys, i, key)
	size := 0
	for _, k := range x.Keys {
		size += len(k)
	}
	if len(x.Keys) > maxKeys || size > maxKeyBytes {
		x.AddOmap()
	}
}

// AddOmap adds all keys and the header.
func (x *Changes) AddOmap() { x.Omap, x.Keys = true, nil }

// Merge adds what another change has changed.
func (x *Changes) Merge(o *Changes) {
	x.Known = x.Known && o.Known
	if o.Omap {
		x.AddOmap()
	}
	for _, k := range o.Keys {
		x.AddKey(k)
	}
	for _, r := range o.Ranges {
		x.add(r)
	}
}

// Within are the ranges between begin and end.
func (x *Changes) Within(begin, end uint64) []Range {
	var out []Range
	for _, r := range x.Ranges {
		if r.Begin, r.End = max(r.Begin, begin), min(r.End, end); r.Begin < r.End {
			out = append(out, r)
		}
	}
	return out
}
