package storetest

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"

	"glue/ceph"
	"glue/internal/crc32c"
	"glue/store/objectstore"
)

// Compare reports the first difference between two stores, looking at everything that the
// interface shows. page is the number of objects listed at a time.
func Compare(want, got objectstore.Store, page int) error {
	a, err1 := want.Collections()
	b, err2 := got.Collections()
	if err1 != nil || err2 != nil || !slices.Equal(a, b) {
		return fmt.Errorf("collections: want %v (%v), got %v (%v)", a, err1, b, err2)
	}
	for _, c := range a {
		if err := compareColl(want, got, c, page); err != nil {
			return fmt.Errorf("collection %v: %w", c, err)
		}
	}
	if err := comparePairs(want.MetaScan(""), got.MetaScan("")); err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	ua, err1 := want.PoolUsage()
	ub, err2 := got.PoolUsage()
	if err1 != nil || err2 != nil || !maps.Equal(ua, ub) {
		return fmt.Errorf("usage of pools: want %+v (%v), got %+v (%v)", ua, err1, ub, err2)
	}
	return CheckUsage(got)
}

// CheckUsage compares what the store has counted for each pool with what its objects have. What
// they share can't be seen from outside.
func CheckUsage(s objectstore.Store) error {
	colls, err := s.Collections()
	if err != nil {
		return err
	}
	want := map[int64]objectstore.PoolUsage{}
	for _, c := range colls {
		list, err := ListAll(s, c, 1000)
		if err != nil {
			return err
		}
		u := want[c.Pool]
		for _, o := range list {
			extents, err := s.Extents(c, o, 0, objectstore.MaxObjectBytes)
			if err != nil {
				return err
			}
			for _, e := range extents {
				u.Stored += e.Len
			}
			for p, err := range s.OmapScan(c, o, "") {
				if err != nil {
					return err
				}
				u.Omap += uint64(len(p.Key) + len(p.Value))
			}
		}
		want[c.Pool] = u
	}
	got, err := s.PoolUsage()
	for pool, u := range got {
		got[pool] = objectstore.PoolUsage{Stored: u.Stored, Omap: u.Omap}
	}
	if err != nil || !maps.Equal(want, got) {
		return fmt.Errorf("usage of pools: objects have %+v, counted are %+v, %v", want, got, err)
	}
	return nil
}

func compareColl(want, got objectstore.Store, c ceph.SPG, page int) error {
	a, err1 := ListAll(want, c, 1000)
	b, err2 := ListAll(got, c, page)
	if err1 != nil || err2 != nil || !slices.Equal(a, b) {
		return fmt.Errorf("objects: want %v (%v), got %v (%v)", a, err1, b, err2)
	}
	for _, o := range a {
		if err := CompareObject(want, got, c, o); err != nil {
			return fmt.Errorf("object %v: %w", o, err)
		}
	}
	if err := compareTags(want, got, c); err != nil {
		return err
	}
	la, err1 := collect(want.Log(c, ceph.Eversion{}))
	lb, err2 := collect(got.Log(c, ceph.Eversion{}))
	if err1 != nil || err2 != nil || !slices.EqualFunc(la, lb, sameEntry) {
		return fmt.Errorf("log: want %v (%v), got %v (%v)",
			versions(la), err1, versions(lb), err2)
	}
	return nil
}

// compareTags looks objects up by their tags, page by page.
func compareTags(want, got objectstore.Store, c ceph.SPG) error {
	for tag := range uint64(Tags) {
		a, err1 := want.Tagged(c, tag, ceph.HObject{}, 1000)
		var b []ceph.HObject
		for from := (ceph.HObject{}); ; {
			page, err := got.Tagged(c, tag, from, 2)
			if len(page) == 0 || err != nil {
				if err1 != nil || err != nil || !slices.Equal(a, b) {
					return fmt.Errorf("tag %d: want %v (%v), got %v (%v)", tag, a, err1, b, err)
				}
				break
			}
			b = append(b, page...)
			from = page[len(page)-1]
			if from.Snap++; from.Snap == 0 {
				break // the last name that there is
			}
		}
	}
	return nil
}

func sameEntry(a, b objectstore.LogEntry) bool {
	return a.Version == b.Version && bytes.Equal(a.Data, b.Data)
}

func versions(log []objectstore.LogEntry) (list []ceph.Eversion) {
	for _, e := range log {
		list = append(list, e.Version)
	}
	return list
}

// ListAll pages through a collection.
func ListAll(s objectstore.Store, c ceph.SPG, page int) ([]ceph.HObject, error) {
	var all []ceph.HObject
	for from := (ceph.HObject{}); !from.Max; {
		list, next, err := s.List(c, from, page)
		if err != nil {
			return nil, err
		}
		if len(list) > page {
			return nil, fmt.Errorf("%d objects in a page of %d", len(list), page)
		}
		if !next.Max && (len(list) == 0 || list[len(list)-1].Compare(next) >= 0) {
			return nil, fmt.Errorf("list from %v got %v and continues at %v", from, list, next)
		}
		all, from = append(all, list...), next
	}
	return all, nil
}

// CompareObject reports the first difference of one object, which exists in both stores or in
// neither.
func CompareObject(want, got objectstore.Store, c ceph.SPG, o ceph.HObject) error {
	a, err1 := want.Stat(c, o)
	b, err2 := got.Stat(c, o)
	if (err1 == nil) != (err2 == nil) || a.Size != b.Size || a.HasOmap && !b.HasOmap {
		return fmt.Errorf("stat: want %+v (%v), got %+v (%v)", a, err1, b, err2)
	}
	if err1 != nil {
		return nil
	}
	if err := CompareRead(want, got, c, o, 0, 0); err != nil {
		return err
	}
	m1, err1 := want.GetAttrs(c, o)
	m2, err2 := got.GetAttrs(c, o)
	if err1 != nil || err2 != nil || !maps.EqualFunc(m1, m2, bytes.Equal) {
		return fmt.Errorf("attributes: want %q (%v), got %q (%v)", m1, err1, m2, err2)
	}
	h1, err1 := want.OmapHeader(c, o)
	h2, err2 := got.OmapHeader(c, o)
	if err1 != nil || err2 != nil || !bytes.Equal(h1, h2) {
		return fmt.Errorf("omap header: want %q (%v), got %q (%v)", h1, err1, h2, err2)
	}
	if err := comparePairs(want.OmapScan(c, o, ""), got.OmapScan(c, o, "")); err != nil {
		return fmt.Errorf("omap: %w", err)
	}
	return nil
}

// CompareRead compares one range of an object's data, and checks that what lies outside the
// extents reads as zero.
func CompareRead(
	want, got objectstore.Store, c ceph.SPG, o ceph.HObject, off, length uint64,
) error {
	a, err1 := want.Read(c, o, off, length)
	b, err2 := got.Read(c, o, off, length)
	if err1 != nil || err2 != nil || len(a) != len(b) {
		return fmt.Errorf("read %d+%d: want %d bytes (%v), got %d (%v)",
			off, length, len(a), err1, len(b), err2)
	}
	for i := range a {
		if a[i] != b[i] {
			return fmt.Errorf("read %d+%d: byte %d: want %#x, got %#x",
				off, length, off+uint64(i), a[i], b[i])
		}
	}
	loan, err := got.Lend(c, o, off, length)
	if err != nil || !bytes.Equal(loan.Data, a) || loan.Sum != crc32c.Update(0, a) {
		return fmt.Errorf("lend %d+%d: %d bytes of %d, checksum %#x, want %#x, error %v",
			off, length, len(loan.Data), len(a), loan.Sum, crc32c.Update(0, a), err)
	}
	loan.Done()
	extents, err := got.Extents(c, o, off, uint64(len(b)))
	if err != nil {
		return fmt.Errorf("extents %d+%d: %w", off, len(b), err)
	}
	return checkExtents(extents, off, b)
}

func checkExtents(extents []objectstore.Extent, off uint64, data []byte) error {
	at := off
	for _, e := range extents {
		if e.Len == 0 || e.Off < at || e.Off+e.Len > off+uint64(len(data)) {
			return fmt.Errorf("extents %v are not ascending within %d+%d",
				extents, off, len(data))
		}
		if !allZero(data[at-off : e.Off-off]) {
			return fmt.Errorf("data within %d-%d, which no extent of %v covers",
				at, e.Off, extents)
		}
		at = e.Off + e.Len
	}
	if !allZero(data[at-off:]) {
		return fmt.Errorf("data after %d, the end of the extents", at)
	}
	return nil
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

func comparePairs(want, got iter.Seq2[objectstore.OmapPair, error]) error {
	a, err1 := collectPairs(want)
	b, err2 := collectPairs(got)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("scan: want error %v, got error %v", err1, err2)
	}
	for i := range min(len(a), len(b)) {
		if a[i].Key != b[i].Key || !bytes.Equal(a[i].Value, b[i].Value) {
			return fmt.Errorf("pair %d: want %q=%q, got %q=%q",
				i, a[i].Key, a[i].Value, b[i].Key, b[i].Value)
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("want %d pairs, got %d", len(a), len(b))
	}
	return nil
}

func collectPairs(
	seq iter.Seq2[objectstore.OmapPair, error],
) (list []objectstore.OmapPair, err error) {
	for p, err := range seq {
		if err != nil {
			return list, err
		}
		p.Value = bytes.Clone(p.Value)
		list = append(list, p)
	}
	return list, nil
}

func collect[T any](seq iter.Seq2[T, error]) (list []T, err error) {
	for v, err := range seq {
		if err != nil {
			return list, err
		}
		list = append(list, v)
	}
	return list, nil
}
