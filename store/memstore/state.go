package memstore

import (
	"bytes"
	"maps"
	"slices"

	"glue/ceph"
	"glue/store/objectstore"
)

// state is the content of a store. Values that transactions bring are copied in; a value once
// stored is never changed, so readers may hold it.
type state struct {
	colls map[ceph.SPG]*collection
	meta  map[string][]byte
	pages int64 // distinct pages in use by all objects, counting shared ones once per object
}

type collection struct {
	objects map[ceph.HObject]*object
	order   []ceph.HObject
	log     []objectstore.LogEntry
	last    ceph.Eversion // highest version ever appended and not rewound
}

func newState() *state {
	return &state{colls: map[ceph.SPG]*collection{}, meta: map[string][]byte{}}
}

func newCollection() *collection {
	return &collection{objects: map[ceph.HObject]*object{}}
}

// clone is a deep copy but for immutable values.
func (st *state) clone() *state {
	n := &state{colls: map[ceph.SPG]*collection{}, meta: maps.Clone(st.meta), pages: st.pages}
	for id, c := range st.colls {
		nc := &collection{
			objects: make(map[ceph.HObject]*object, len(c.objects)),
			order:   slices.Clone(c.order), log: slices.Clone(c.log), last: c.last,
		}
		for o, obj := range c.objects {
			nc.objects[o] = obj.clone()
		}
		n.colls[id] = nc
	}
	return n
}

func (st *state) dataBytes() uint64 { return uint64(st.pages) * pageBytes }

// count counts what the objects of each pool take.
func (st *state) count() map[int64]objectstore.PoolUsage {
	out := map[int64]objectstore.PoolUsage{}
	seen := map[*page]bool{}
	for id, c := range st.colls {
		u := out[id.Pool]
		for _, obj := range c.objects {
			obj.count(&u, seen)
		}
		out[id.Pool] = u
	}
	return out
}

// find is the place of o in the order, and whether it is there.
func (c *collection) find(o ceph.HObject) (int, bool) {
	return slices.BinarySearchFunc(c.order, o, ceph.HObject.Compare)
}

func (c *collection) put(o ceph.HObject, obj *object) {
	if _, ok := c.objects[o]; !ok {
		i, _ := c.find(o)
		c.order = slices.Insert(c.order, i, o)
	}
	c.objects[o] = obj
}

func (c *collection) drop(o ceph.HObject) {
	if _, ok := c.objects[o]; ok {
		i, _ := c.find(o)
		c.order = slices.Delete(c.order, i, i+1)
		delete(c.objects, o)
	}
}

// logAfter is the index of the first entry above v.
func (c *collection) logAfter(v ceph.Eversion) int {
	i, found := slices.BinarySearchFunc(c.log, v,
		func(e objectstore.LogEntry, v ceph.Eversion) int { return e.Version.Compare(v) })
	if found {
		i++
	}
	return i
}

// pageBytes is what a store on disk allocates at least, so that both take the same space.
const pageBytes = 4 << 10

type page = [pageBytes]byte

func pagesOf(n uint64) uint64 { return (n + pageBytes - 1) / pageBytes }

// object's pages are copied before they are changed, so that clones share them.
type object struct {
	size   uint64
	pages  []*page // nil pages read as zero; may be shorter than size needs
	attrs  map[string][]byte
	omap   map[string][]byte
	header []byte
}

func newObject() *object {
	return &object{attrs: map[string][]byte{}, omap: map[string][]byte{}}
}

func (obj *object) clone() *object {
	return &object{
		size: obj.size, pages: slices.Clone(obj.pages), attrs: maps.Clone(obj.attrs),
		omap: maps.Clone(obj.omap), header: obj.header,
	}
}

// clip bounds a read to the object; length 0 means to the end.
func (obj *object) clip(off, length uint64) (uint64, uint64) {
	if off >= obj.size {
		return off, 0
	}
	if left := obj.size - off; length == 0 || length > left {
		length = left
	}
	return off, length
}

func (obj *object) read(off, length uint64) []byte {
	off, length = obj.clip(off, length)
	out := make([]byte, length)
	for done := uint64(0); done < length; {
		i, in := (off+done)/pageBytes, (off+done)%pageBytes
		n := min(pageBytes-in, length-done)
		if i < uint64(len(obj.pages)) && obj.pages[i] != nil {
			copy(out[done:done+n], obj.pages[i][in:])
		}
		done += n
	}
	return out
}

func (obj *object) extents(off, length uint64) []objectstore.Extent {
	if length == 0 || off >= obj.size {
		return nil
	}
	off, length = obj.clip(off, length)
	var list []objectstore.Extent
	for i := off / pageBytes; i < uint64(len(obj.pages)) && i*pageBytes < off+length; i++ {
		if obj.pages[i] == nil {
			continue
		}
		lo, hi := max(off, i*pageBytes), min(off+length, (i+1)*pageBytes)
		if n := len(list); n > 0 && list[n-1].Off+list[n-1].Len == lo {
			list[n-1].Len += hi - lo
		} else {
			list = append(list, objectstore.Extent{Off: lo, Len: hi - lo})
		}
	}
	return list
}

func (obj *object) pageCount() (n int64) {
	for _, p := range obj.pages {
		if p != nil {
			n++
		}
	}
	return n
}

// count adds what the object takes; pages that are seen already are shared.
func (obj *object) count(u *objectstore.PoolUsage, seen map[*page]bool) {
	for i, p := range obj.pages {
		if p == nil {
			continue
		}
		if !seen[p] {
			seen[p] = true
			u.Allocated += pageBytes
		}
		u.Stored += min(pageBytes, obj.size-uint64(i)*pageBytes)
	}
	for k, v := range obj.omap {
		u.Omap += uint64(len(k) + len(v))
	}
}

// write stores a copy of data; obj must be the transaction's own clone.
func (obj *object) write(off uint64, data []byte) {
	if len(data) == 0 {
		return
	}
	end := off + uint64(len(data))
	for uint64(len(obj.pages))*pageBytes < end {
		obj.pages = append(obj.pages, nil)
	}
	for len(data) > 0 {
		i, in := off/pageBytes, off%pageBytes
		p := new(page)
		if old := obj.pages[i]; old != nil {
			*p = *old
		}
		n := copy(p[in:], data)
		obj.pages[i] = p
		off, data = off+uint64(n), data[n:]
	}
	obj.size = max(obj.size, end)
}

// zero clears a range and extends the object to its end.
func (obj *object) zero(off, length uint64) {
	end := off + length
	gone := end
	switch {
	case off >= obj.size: // zero already: pages stay as they are, shared ones too
		gone = off
	case end >= obj.size: // the last page goes, if nothing else is in it
		gone = pagesOf(obj.size) * pageBytes
	}
	for at := off; at < gone; {
		i, in := at/pageBytes, at%pageBytes
		n := min(pageBytes-in, gone-at)
		if i >= uint64(len(obj.pages)) {
			break
		}
		if n == pageBytes {
			obj.pages[i] = nil
		} else if old := obj.pages[i]; old != nil {
			p := new(page)
			*p = *old
			clear(p[in : in+n])
			obj.pages[i] = p
		}
		at += n
	}
	if length > 0 {
		obj.size = max(obj.size, end)
	}
}

// share makes src's pages [first, last), holes too, the object's own, so many pages further on.
func (obj *object) share(src *object, first, last uint64, shift int64) {
	for i := first; i < last; i++ {
		var p *page
		if i < uint64(len(src.pages)) {
			p = src.pages[i]
		}
		to := uint64(int64(i) + shift)
		for p != nil && to >= uint64(len(obj.pages)) {
			obj.pages = append(obj.pages, nil)
		}
		if to < uint64(len(obj.pages)) {
			obj.pages[to] = p
		}
	}
	obj.size = max(obj.size, uint64(int64(last)+shift)*pageBytes)
}

func (obj *object) truncate(size uint64) {
	if size < obj.size {
		keep := int(pagesOf(size))
		if keep < len(obj.pages) {
			obj.pages = obj.pages[:keep]
		}
		if in := size % pageBytes; in != 0 && keep <= len(obj.pages) && obj.pages[keep-1] != nil {
			p := new(page)
			copy(p[:in], obj.pages[keep-1][:in])
			obj.pages[keep-1] = p
		}
	}
	obj.size = size
}

func cloneBytes(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return bytes.Clone(b)
}
