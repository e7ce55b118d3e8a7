package offline

import (
	"errors"
	"fmt"
	"io"
	"math"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/bench"
	"glue/osd/ops"
	"glue/osd/records"
	"glue/osd/recovery"
	"glue/store/objectstore"
)

// first is before every object.
var first = ceph.HObject{Pool: math.MinInt64}

// Find is the PG copy of a store that is called name, as "ceph pg ls" calls it.
func Find(store objectstore.Store, name string) (ceph.SPG, error) {
	colls, err := store.Collections()
	if err != nil {
		return ceph.SPG{}, err
	}
	for _, c := range colls {
		if bench.IsPG(c) && c.String() == name {
			return c, nil
		}
	}
	return ceph.SPG{}, fmt.Errorf("there is no copy of PG %s in this store: %w", name, ceph.ENOENT)
}

// An exporter writes one PG.
type exporter struct {
	store objectstore.Store
	pg    ceph.SPG
	w     *writer
	sum   Totals
	// Skip is called for an object that can't be read.
	skip func(o ceph.HObject, err error) error
}

// Export writes a PG copy with its log, info and objects to w. An object that can't be read is
// given to skip, which may end the export by returning an error; without one it is left out, and
// will be missing where the PG is imported.
func Export(w io.Writer, store objectstore.Store, pg ceph.SPG,
	skip func(o ceph.HObject, err error) error,
) (Totals, error) {
	out, err := newWriter(w)
	if err != nil {
		return Totals{}, err
	}
	x := &exporter{store: store, pg: pg, w: out, skip: skip}
	if _, err := store.Meta(records.ImportKey(pg)); err == nil {
		return x.sum, fmt.Errorf("PG %v is an import that was interrupted", pg)
	}
	for _, part := range []func() error{x.head, x.missing, x.log, x.objects} {
		if err := part(); err != nil {
			return x.sum, fmt.Errorf("export PG %v: %w", pg, err)
		}
	}
	if err := out.put(kindEnd, &x.sum); err != nil {
		return x.sum, err
	}
	return x.sum, out.w.Flush()
}

func (x *exporter) head() error {
	super, err := records.ReadSuperblock(x.store)
	if err != nil {
		return err
	}
	raw, err := x.store.Meta(records.InfoKey(x.pg))
	if err != nil {
		return fmt.Errorf("info: %w", err)
	}
	var st records.PG
	if err := denc.Unmarshal(raw, &st, ceph.FeaturesAll); err != nil {
		return fmt.Errorf("info: %w", err)
	}
	epoch := max(st.Epoch, super.Oldest)
	m, err := records.ReadMap(x.store, epoch)
	if err != nil {
		return fmt.Errorf("OSD map %d: %w", epoch, err)
	}
	h := Head{Cluster: super.FSID, OSDUUID: super.UUID, OSD: super.Whoami, PG: x.pg, Epoch: epoch}
	return errors.Join(x.w.put(kindHead, &h), x.w.raw(kindMap, m), x.w.raw(kindInfo, raw))
}

func (x *exporter) missing() error {
	for kv, err := range x.store.MetaScan(records.MissingPrefix(x.pg)) {
		if err != nil {
			return fmt.Errorf("missing set: %w", err)
		}
		x.sum.Missing++
		if err := x.w.put(kindMissing, &pair{kv.Key, kv.Value}); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) log() error {
	for e, err := range x.store.Log(x.pg, ceph.Eversion{}) {
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		x.sum.LogEntries++
		if err := x.w.put(kindLog, &logRecord{e.Version, e.Data}); err != nil {
			return err
		}
	}
	return nil
}

// eachObject calls fn for every object of a PG, but not for those that were being put together.
func eachObject(store objectstore.Store, pg ceph.SPG, fn func(o ceph.HObject) error) error {
	for from := first; !from.Max; {
		list, next, err := store.List(pg, from, 256)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for _, o := range list {
			if recovery.IsTemp(o) {
				continue
			}
			if err := fn(o); err != nil {
				return err
			}
		}
		from = next
	}
	return nil
}

func (x *exporter) objects() error {
	return eachObject(x.store, x.pg, func(o ceph.HObject) error {
		err := readable(x.store, x.pg, o)
		if errors.Is(err, objectstore.ErrCorrupt) {
			return x.leaveOut(o, err)
		}
		if err == nil {
			err = x.object(o)
		}
		if err != nil {
			return fmt.Errorf("object %v: %w", o, err)
		}
		return nil
	})
}

// leaveOut has an object that is damaged here missing where the export is imported, so that it is
// taken from another copy, or known to be unfound, but never taken for deleted.
func (x *exporter) leaveOut(o ceph.HObject, why error) error {
	if err := x.skip(o, why); err != nil {
		return err
	}
	raw, err := x.store.GetAttr(x.pg, o, ops.InfoAttr)
	if err != nil {
		return err
	}
	var info pginfo.ObjectInfo
	if err := denc.Unmarshal(raw, &info, ceph.FeaturesAll); err != nil {
		return err
	}
	x.sum.Damaged++
	key, value := records.Lost(x.pg, o, info.Version)
	if _, err := x.store.Meta(key); err == nil {
		return nil // it is missing already
	}
	x.sum.Missing++
	return x.w.put(kindMissing, &pair{key, value})
}

// step is how much of an object is read at a time.
const step = 4 << 20

// eachPart reads the written parts of an object.
func eachPart(store objectstore.Store, pg ceph.SPG, o ceph.HObject,
	fn func(off uint64, b []byte) error,
) error {
	extents, err := store.Extents(pg, o, 0, math.MaxUint64)
	if err != nil {
		return err
	}
	for _, e := range extents {
		for at := e.Off; at < e.Off+e.Len; at += step {
			b, err := store.Read(pg, o, at, min(step, e.Off+e.Len-at))
			if err == nil {
				err = fn(at, b)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readable reads an object's data, so that one that is damaged is noticed before it is begun.
func readable(store objectstore.Store, pg ceph.SPG, o ceph.HObject) error {
	return eachPart(store, pg, o, func(uint64, []byte) error { return nil })
}

func (x *exporter) object(o ceph.HObject) error {
	st, err := x.store.Stat(x.pg, o)
	if err != nil {
		return err
	}
	out := object{id: o, size: st.Size}
	if out.attrs, err = x.store.GetAttrs(x.pg, o); err != nil {
		return err
	}
	if out.header, err = x.store.OmapHeader(x.pg, o); err != nil {
		return err
	}
	if err := x.w.put(kindObject, &out); err != nil {
		return err
	}
	x.sum.Objects++
	err = eachPart(x.store, x.pg, o, func(off uint64, b []byte) error {
		x.sum.Bytes += uint64(len(b))
		return x.w.put(kindData, &data{off, b})
	})
	if err != nil || !st.HasOmap {
		return err
	}
	return x.omap(o)
}

// omapBytes is about how much of an omap goes into one frame.
const omapBytes = 1 << 20

func (x *exporter) omap(o ceph.HObject) error {
	out, bytes := omap{map[string][]byte{}}, 0
	flush := func() error {
		if len(out.pairs) == 0 {
			return nil
		}
		err := x.w.put(kindOmap, &out)
		clear(out.pairs)
		bytes = 0
		return err
	}
	for kv, err := range x.store.OmapScan(x.pg, o, "") {
		if err != nil {
			return err
		}
		x.sum.OmapKeys++
		out.pairs[kv.Key] = append([]byte(nil), kv.Value...)
		if bytes += len(kv.Key) + len(kv.Value); bytes >= omapBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
