package memstore

import (
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/store/objectstore"
)

// change applies one transaction and can take it back.
type change struct {
	*state
	undo  []func()
	owned map[*object]bool // objects that this transaction made, free to change
}

// handlers is the table from code to function.
var handlers = map[objectstore.OpCode]func(*change, *objectstore.Op) error{
	objectstore.OpTouch:       (*change).touch,
	objectstore.OpWrite:       (*change).write,
	objectstore.OpZero:        (*change).zero,
	objectstore.OpTruncate:    (*change).truncate,
	objectstore.OpRemove:      (*change).remove,
	objectstore.OpSetAttrs:    (*change).setAttrs,
	objectstore.OpRmAttr:      (*change).rmAttr,
	objectstore.OpRmAttrs:     (*change).rmAttrs,
	objectstore.OpClone:       (*change).clone,
	objectstore.OpCloneRange:  (*change).cloneRange,
	objectstore.OpMoveRename:  (*change).moveRename,
	objectstore.OpOmapSet:     (*change).omapSet,
	objectstore.OpOmapRm:      (*change).omapRm,
	objectstore.OpOmapRmRange: (*change).omapRmRange,
	objectstore.OpOmapClear:   (*change).omapClear,
	objectstore.OpOmapHeader:  (*change).omapHeader,
	objectstore.OpMkColl:      (*change).mkColl,
	objectstore.OpRmColl:      (*change).rmColl,
	objectstore.OpSplitColl:   (*change).splitColl,
	objectstore.OpMergeColl:   (*change).mergeColl,
	objectstore.OpLogAppend:   (*change).logAppend,
	objectstore.OpLogTrim:     (*change).logTrim,
	objectstore.OpLogRewind:   (*change).logRewind,
	objectstore.OpPutMeta:     (*change).putMeta,
	objectstore.OpRmMeta:      (*change).rmMeta,
}

// apply carries out t or, on an error, nothing.
func (st *state) apply(t *objectstore.Transaction, limit uint64) error {
	tx := &change{state: st, owned: map[*object]bool{}}
	before := st.pages
	err := t.Check()
	for i := range t.Ops {
		if err != nil {
			break
		}
		op := &t.Ops[i]
		if err = handlers[op.Code](tx, op); err != nil {
			err = fmt.Errorf("op %d (%v): %w", i, op.Code, err)
		}
	}
	if err == nil && st.pages > before && st.dataBytes() > limit {
		err = ceph.ENOSPC
	}
	if err != nil {
		for _, f := range slices.Backward(tx.undo) {
			f()
		}
		st.pages = before
	}
	return err
}

func (tx *change) onUndo(f func()) { tx.undo = append(tx.undo, f) }

func (tx *change) coll(id ceph.SPG) (*collection, error) {
	c, ok := tx.colls[id]
	if !ok {
		return nil, ceph.ENOENT
	}
	return c, nil
}

// put makes obj the object o, remembering what was there.
func (tx *change) put(c *collection, o ceph.HObject, obj *object) {
	old := c.objects[o]
	c.put(o, obj)
	tx.owned[obj] = true
	tx.onUndo(func() {
		if old != nil {
			c.put(o, old)
		} else {
			c.drop(o)
		}
	})
}

// own returns a version of o that may be changed, making the object if create is set.
func (tx *change) own(op *objectstore.Op, o ceph.HObject, create bool) (*object, error) {
	c, err := tx.coll(op.Coll)
	if err != nil {
		return nil, err
	}
	obj, ok := c.objects[o]
	switch {
	case !ok && !create:
		return nil, ceph.ENOENT
	case !ok:
		obj = newObject()
	case tx.owned[obj]:
		return obj, nil
	default:
		obj = obj.clone()
	}
	tx.put(c, o, obj)
	return obj, nil
}

func (tx *change) touch(op *objectstore.Op) error {
	_, err := tx.own(op, op.Object, true)
	return err
}

// reshape runs f on the owned object and keeps the page count.
func (tx *change) reshape(op *objectstore.Op, o ceph.HObject, f func(*object)) error {
	obj, err := tx.own(op, o, true)
	if err != nil {
		return err
	}
	before := obj.pageCount()
	f(obj)
	tx.pages += obj.pageCount() - before
	return nil
}

func (tx *change) write(op *objectstore.Op) error {
	return tx.reshape(op, op.Object, func(o *object) { o.write(op.Off, op.Data) })
}

func (tx *change) zero(op *objectstore.Op) error {
	return tx.reshape(op, op.Object, func(o *object) { o.zero(op.Off, op.Len) })
}

func (tx *change) truncate(op *objectstore.Op) error {
	return tx.reshape(op, op.Object, func(o *object) { o.truncate(op.Off) })
}

func (tx *change) lookup(op *objectstore.Op, o ceph.HObject) (*collection, *object, error) {
	c, err := tx.coll(op.Coll)
	if err != nil {
		return nil, nil, err
	}
	obj, ok := c.objects[o]
	if !ok {
		return nil, nil, ceph.ENOENT
	}
	return c, obj, nil
}

func (tx *change) remove(op *objectstore.Op) error {
	c, obj, err := tx.lookup(op, op.Object)
	if err != nil {
		return err
	}
	tx.drop(c, op.Object, obj)
	tx.pages -= obj.pageCount()
	return nil
}

func (tx *change) drop(c *collection, o ceph.HObject, obj *object) {
	c.drop(o)
	tx.onUndo(func() { c.put(o, obj) })
}

func (tx *change) setAttrs(op *objectstore.Op) error {
	obj, err := tx.own(op, op.Object, true)
	if err != nil {
		return err
	}
	for k, v := range op.Pairs {
		obj.attrs[k] = cloneBytes(v)
	}
	return nil
}

func (tx *change) rmAttr(op *objectstore.Op) error {
	obj, err := tx.own(op, op.Object, false)
	if err == nil {
		delete(obj.attrs, op.Name)
	}
	return err
}

func (tx *change) rmAttrs(op *objectstore.Op) error {
	obj, err := tx.own(op, op.Object, false)
	if err == nil {
		clear(obj.attrs)
	}
	return err
}

func (tx *change) clone(op *objectstore.Op) error {
	c, src, err := tx.lookup(op, op.Object)
	if err != nil {
		return err
	}
	if old, ok := c.objects[op.Dest]; ok {
		tx.pages -= old.pageCount()
	}
	tx.put(c, op.Dest, src.clone())
	tx.pages += src.pageCount()
	return nil
}

func (tx *change) cloneRange(op *objectstore.Op) error {
	_, src, err := tx.lookup(op, op.Object)
	if err != nil {
		return err
	}
	if op.Off+op.Len > src.size {
		return ceph.EINVAL
	}
	end, shift := op.Off+op.Len, op.DestOff-op.Off
	first, last := pagesOf(op.Off), end/pageBytes
	if op.Object == op.Dest || shift%pageBytes != 0 || first >= last {
		first, last = pagesOf(end), pagesOf(end) // no whole pages
	}
	part := func(off, end uint64) (data []byte) {
		if off < end {
			data = src.read(off, end-off)
		}
		return data
	}
	head := part(op.Off, min(first*pageBytes, end))
	tail := part(last*pageBytes, end)
	return tx.reshape(op, op.Dest, func(o *object) {
		o.write(op.DestOff, head)
		o.write(last*pageBytes+shift, tail)
		if first < last {
			o.share(src, first, last, int64(shift)/pageBytes)
		}
	})
}

func (tx *change) moveRename(op *objectstore.Op) error {
	c, obj, err := tx.lookup(op, op.Object)
	if err != nil {
		return err
	}
	if _, ok := c.objects[op.Dest]; ok {
		return ceph.EEXIST
	}
	tx.drop(c, op.Object, obj)
	tx.put(c, op.Dest, obj.clone())
	return nil
}

func (tx *change) omapSet(op *objectstore.Op) error {
	obj, err := tx.own(op, op.Object, true)
	if err != nil {
		return err
	}
	for k, v := range op.Pairs {
		obj.omap[k] = cloneBytes(v)
	}
	return nil
}

func (tx *change) omapRm(op *objectstore.Op) error {
	obj, err := tx.own(op, op.Object, false)
	if err != nil {
		return err
	}
	for _, k := range op.Keys {
		delete(obj.omap, k)
	}
	return nil
}

func (tx *change) omapRmRange(op *objectstore.Op) error {
	obj, err := tx.own(op, op.Object, false)
	if err != nil {
		return err
	}
	maps.DeleteFunc(obj.omap, func(k string, _ []byte) bool {
		return k >= op.Name && k < op.End
	})
	return nil
}

func (tx *change) omapClear(op *objectstore.Op) error {
	obj, err := tx.own(op, op.Object, false)
	if err == nil {
		clear(obj.omap)
		obj.header = nil
	}
	return err
}

func (tx *change) omapHeader(op *objectstore.Op) error {
	obj, err := tx.own(op, op.Object, true)
	if err == nil {
		obj.header = cloneBytes(op.Data)
	}
	return err
}

func (tx *change) mkColl(op *objectstore.Op) error {
	if _, ok := tx.colls[op.Coll]; ok {
		return ceph.EEXIST
	}
	tx.colls[op.Coll] = newCollection()
	tx.onUndo(func() { delete(tx.colls, op.Coll) })
	return nil
}

func (tx *change) rmColl(op *objectstore.Op) error {
	c, err := tx.coll(op.Coll)
	if err != nil {
		return err
	}
	for _, obj := range c.objects {
		tx.pages -= obj.pageCount()
	}
	delete(tx.colls, op.Coll)
	tx.onUndo(func() { tx.colls[op.Coll] = c })
	return nil
}

func (tx *change) splitColl(op *objectstore.Op) error {
	src, err := tx.coll(op.Coll)
	if err != nil {
		return err
	}
	dest, err := tx.coll(op.DestColl)
	if err != nil {
		return err
	}
	if len(dest.objects) > 0 {
		return ceph.ENOTEMPTY
	}
	for _, o := range slices.Clone(src.order) {
		if op.SplitMoves(o.Hash) {
			obj := src.objects[o]
			tx.drop(src, o, obj)
			tx.put(dest, o, obj.clone())
		}
	}
	return nil
}

func (tx *change) mergeColl(op *objectstore.Op) error {
	src, err := tx.coll(op.Coll)
	if err != nil {
		return err
	}
	dest, err := tx.coll(op.DestColl)
	if err != nil {
		return err
	}
	for o := range dest.objects {
		if op.MergeMoves(o.Hash) {
			return ceph.ENOTEMPTY
		}
	}
	for o := range src.objects {
		if !op.MergeMoves(o.Hash) {
			return ceph.ENOTEMPTY
		}
	}
	for _, o := range slices.Clone(src.order) {
		obj := src.objects[o]
		tx.drop(src, o, obj)
		tx.put(dest, o, obj.clone())
	}
	delete(tx.colls, op.Coll)
	tx.onUndo(func() { tx.colls[op.Coll] = src })
	return nil
}

// logged runs f on the collection and puts its log back if the transaction fails.
func (tx *change) logged(op *objectstore.Op, f func(*collection) error) error {
	c, err := tx.coll(op.Coll)
	if err != nil {
		return err
	}
	old, last := c.log, c.last
	tx.onUndo(func() { c.log, c.last = old, last })
	return f(c)
}

func (tx *change) logAppend(op *objectstore.Op) error {
	return tx.logged(op, func(c *collection) error {
		if op.Version.Compare(c.last) <= 0 {
			return ceph.EINVAL
		}
		c.last = op.Version
		c.log = append(c.log,
			objectstore.LogEntry{Version: op.Version, Data: cloneBytes(op.Data)})
		return nil
	})
}

func (tx *change) logTrim(op *objectstore.Op) error {
	return tx.logged(op, func(c *collection) error {
		c.log = c.log[c.logAfter(op.Version):]
		return nil
	})
}

func (tx *change) logRewind(op *objectstore.Op) error {
	return tx.logged(op, func(c *collection) error {
		if i := c.logAfter(op.Version); i < len(c.log) {
			c.log = slices.Clone(c.log[:i])
		}
		if op.Version.Compare(c.last) < 0 {
			c.last = op.Version
		}
		return nil
	})
}

func (tx *change) putMeta(op *objectstore.Op) error {
	tx.undoMeta(op.Name)
	tx.meta[op.Name] = cloneBytes(op.Data)
	return nil
}

func (tx *change) rmMeta(op *objectstore.Op) error {
	tx.undoMeta(op.Name)
	delete(tx.meta, op.Name)
	return nil
}

func (tx *change) undoMeta(key string) {
	old, ok := tx.meta[key]
	tx.onUndo(func() {
		if ok {
			tx.meta[key] = old
		} else {
			delete(tx.meta, key)
		}
	})
}
