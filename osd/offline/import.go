package offline

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/osd/records"
	"glue/store/objectstore"
)

// Check reads an export to its end: nothing of it is damaged or missing if there is no error.
func Check(r io.Reader) (Head, Totals, error) {
	var h Head
	var sum Totals
	err := frames(r, func(k kind, payload []byte) error {
		switch k {
		case kindHead:
			return take(payload, &h)
		case kindEnd:
			return take(payload, &sum)
		}
		return nil
	})
	return h, sum, err
}

// frames calls fn for every frame up to the end, which has to be the last thing in the file, and
// holds what there was against the totals.
func frames(r io.Reader, fn func(k kind, payload []byte) error) error {
	in, err := newReader(r)
	if err != nil {
		return err
	}
	counts := map[kind]uint64{}
	for n := 0; ; n++ {
		k, payload, err := in.next()
		if err == nil && (n == 0) != (k == kindHead) {
			err = fmt.Errorf("%w: its head is not at its head", ErrDamaged)
		}
		if err == nil {
			err = fn(k, payload)
		}
		if err != nil {
			return err
		}
		counts[k]++
		if k != kindEnd {
			continue
		}
		var sum Totals
		if err := take(payload, &sum); err != nil {
			return err
		}
		if counts[kindObject] != sum.Objects || counts[kindLog] != sum.LogEntries ||
			counts[kindMissing] != sum.Missing || counts[kindInfo] != 1 || counts[kindMap] != 1 {
			return fmt.Errorf("%w: it does not have what its end says", ErrDamaged)
		}
		if _, err := in.r.ReadByte(); err != io.EOF {
			return fmt.Errorf("%w: something follows its end", ErrDamaged)
		}
		return nil
	}
}

// An importer puts one export into a store.
type importer struct {
	store   objectstore.Store
	pg      ceph.SPG
	info    []byte
	final   objectstore.Transaction // log and missing set
	current ceph.HObject
	sum     Totals
}

// Import puts an export into the store of another OSD of the same cluster, which must not have a
// copy of the PG. The file is read twice: nothing is changed unless all of it is sound. With force
// the store may have forgotten the map of the export's epoch.
func Import(r io.ReadSeeker, store objectstore.Store, force bool) (Head, Totals, error) {
	h, sum, err := Check(r)
	if err != nil {
		return h, sum, err
	}
	if err := mayImport(store, &h, force); err != nil {
		return h, sum, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return h, sum, err
	}
	x := &importer{store: store, pg: h.PG}
	if err := x.begin(); err != nil {
		return h, sum, err
	}
	if err := frames(r, x.frame); err != nil {
		return h, sum, err
	}
	return h, sum, x.end()
}

// mayImport says why a store can't take an export.
func mayImport(store objectstore.Store, h *Head, force bool) error {
	super, err := records.ReadSuperblock(store)
	if errors.Is(err, ceph.ENOENT) {
		return errors.New("this OSD has never run: start it once, so that it gets maps")
	}
	if err != nil {
		return err
	}
	if super.FSID != h.Cluster {
		return fmt.Errorf("the export is of cluster %v, this OSD is of %v", h.Cluster, super.FSID)
	}
	if h.Epoch > super.Newest {
		return fmt.Errorf("the export is as of OSD map %d, this OSD knows %d: start it, let it "+
			"catch up, and stop it", h.Epoch, super.Newest)
	}
	if h.Epoch < super.Oldest && !force {
		return fmt.Errorf("the export is as of OSD map %d, this OSD has forgotten those before "+
			"%d, and with them who has written since; only if no copy of the PG is left that "+
			"may be newer, add --force", h.Epoch, super.Oldest)
	}
	raw, err := records.ReadMap(store, super.Newest)
	if err != nil {
		return err
	}
	m, err := osdmap.Decode(raw)
	if err != nil {
		return err
	}
	if m.Pools[h.PG.Pool] == nil {
		return fmt.Errorf("pool %d of the export does not exist any more", h.PG.Pool)
	}
	if _, err := store.Meta(records.ImportKey(h.PG)); err == nil {
		return nil // the rest of an import that was interrupted
	}
	if _, err := Find(store, h.PG.String()); err == nil {
		return fmt.Errorf("this OSD has a copy of PG %v; if it is of no use, export it and remove "+
			"it first", h.PG)
	}
	return nil
}

// do carries out a transaction and waits until it is durable.
func do(store objectstore.Store, t *objectstore.Transaction) error {
	done := make(chan error, 1)
	if err := store.Submit(t, func(err error) { done <- err }); err != nil {
		return err
	}
	return <-done
}

// begin makes an empty collection with the mark of an import.
func (x *importer) begin() error {
	var t objectstore.Transaction
	if _, err := x.store.Meta(records.ImportKey(x.pg)); err == nil {
		t.RmColl(x.pg)
	}
	t.MkColl(x.pg)
	t.PutMeta(records.ImportKey(x.pg), nil)
	return do(x.store, &t)
}

func (x *importer) frame(k kind, payload []byte) error {
	var t objectstore.Transaction
	switch k {
	case kindInfo:
		x.info = append([]byte(nil), payload...)
	case kindMissing:
		var p pair
		if err := take(payload, &p); err != nil {
			return err
		}
		if !strings.HasPrefix(p.key, records.MissingPrefix(x.pg)) {
			return fmt.Errorf("%w: a missing object of another PG", ErrDamaged)
		}
		x.final.PutMeta(p.key, p.value)
	case kindLog:
		var r logRecord
		if err := take(payload, &r); err != nil {
			return err
		}
		x.final.LogAppend(x.pg, r.version, r.data)
	case kindObject:
		var o object
		if err := take(payload, &o); err != nil {
			return err
		}
		x.current = o.id
		t.Touch(x.pg, o.id)
		t.Truncate(x.pg, o.id, o.size)
		t.SetAttrs(x.pg, o.id, o.attrs)
		if len(o.header) > 0 {
			t.OmapSetHeader(x.pg, o.id, o.header)
		}
	case kindData:
		var d data
		if err := take(payload, &d); err != nil {
			return err
		}
		t.Write(x.pg, x.current, d.off, d.bytes)
	case kindOmap:
		var o omap
		if err := take(payload, &o); err != nil {
			return err
		}
		t.OmapSet(x.pg, x.current, o.pairs)
	}
	if t.Empty() {
		return nil
	}
	return do(x.store, &t)
}

// end makes the copy whole: with its info it is a PG.
func (x *importer) end() error {
	var st records.PG
	if err := take(x.info, &st); err != nil {
		return err
	}
	if st.Info.PGID != x.pg {
		return fmt.Errorf("%w: the info of another PG", ErrDamaged)
	}
	x.final.PutMeta(records.InfoKey(x.pg), denc.Marshal(&st, ceph.FeaturesAll))
	x.final.RmMeta(records.ImportKey(x.pg))
	return do(x.store, &x.final)
}

// Remove deletes a PG copy.
func Remove(store objectstore.Store, pg ceph.SPG) error {
	var t objectstore.Transaction
	t.RmColl(pg)
	for kv, err := range store.MetaScan(records.MetaPG + pg.String() + "/") {
		if err != nil {
			return err
		}
		t.RmMeta(kv.Key)
	}
	t.RmMeta(records.ImportKey(pg))
	return do(store, &t)
}
