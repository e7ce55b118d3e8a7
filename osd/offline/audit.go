package offline

import (
	"errors"
	"fmt"
	"strings"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/bench"
	"glue/osd/ops"
	"glue/osd/pglog"
	"glue/osd/records"
	"glue/store/objectstore"
)

// A PG is what a store has of one.
type PG struct {
	ID             ceph.SPG
	Info           pginfo.Info
	Epoch          ceph.Epoch // of the map that the copy had got to
	Importing      bool       // the rest of an import that was interrupted
	Head, Tail     ceph.Eversion
	LogEntries     int
	Objects, Bytes uint64
	Missing        int
	Wrong          []string // what is not as it should be
}

// maxWrong bounds what is told of one PG.
const maxWrong = 100

func (p *PG) wrongf(format string, args ...any) {
	if len(p.Wrong) < maxWrong {
		p.Wrong = append(p.Wrong, fmt.Sprintf(format, args...))
	}
}

// An Audit is what a store has and what is wrong with it.
type Audit struct {
	Super    records.Superblock
	HasSuper bool // false: no daemon has opened the store yet
	PGs      []PG
	Wrong    []string // beyond PGs
}

// Look lists the PGs of a store and checks them: logs, missing sets and each object's info. each is
// called before every PG; it may end the audit by returning an error.
func Look(store objectstore.Store, each func(pg ceph.SPG, n, of int) error) (*Audit, error) {
	a := &Audit{}
	var err error
	if a.Super, err = records.ReadSuperblock(store); err != nil && !errors.Is(err, ceph.ENOENT) {
		return nil, err
	}
	a.HasSuper = err == nil
	colls, err := store.Collections()
	if err != nil {
		return nil, err
	}
	a.maps(store)
	known := map[string]bool{}
	for i, c := range colls {
		if !bench.IsPG(c) {
			continue
		}
		if err := each(c, i, len(colls)); err != nil {
			return nil, err
		}
		known[records.InfoKey(c)] = true
		p := PG{ID: c}
		if err := p.look(store); err != nil {
			return nil, fmt.Errorf("PG %v: %w", c, err)
		}
		a.PGs = append(a.PGs, p)
	}
	for kv, err := range store.MetaScan(records.MetaPG) {
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(kv.Key, "/info") && !known[kv.Key] {
			a.Wrong = append(a.Wrong, fmt.Sprintf("%s is of no PG in this store", kv.Key))
		}
	}
	return a, nil
}

// maps checks that all OSD maps are there that the superblock names.
func (a *Audit) maps(store objectstore.Store) {
	if !a.HasSuper || a.Super.Newest == 0 {
		return
	}
	for e := a.Super.Oldest; e <= a.Super.Newest; e++ {
		raw, err := records.ReadMap(store, e)
		if err == nil && e == a.Super.Newest {
			_, err = osdmap.Decode(raw)
		}
		if err != nil && len(a.Wrong) < maxWrong {
			a.Wrong = append(a.Wrong, fmt.Sprintf("OSD map %d: %v", e, err))
		}
	}
}

// look fills p. An error is of the store; what is wrong with the PG goes into p.
func (p *PG) look(store objectstore.Store) error {
	if _, err := store.Meta(records.ImportKey(p.ID)); err == nil {
		p.Importing = true
		return nil
	}
	raw, err := store.Meta(records.InfoKey(p.ID))
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return err
	}
	var st records.PG
	if err == nil {
		err = denc.Unmarshal(raw, &st, ceph.FeaturesAll)
	}
	if err != nil {
		p.wrongf("info: %v", err)
		return nil
	}
	if st.Info.PGID != p.ID {
		p.wrongf("the info is of PG %v", st.Info.PGID)
	}
	p.Info, p.Epoch = st.Info, st.Epoch
	missing, err := p.missing(store)
	if err == nil {
		err = p.log(store)
	}
	if err == nil {
		err = p.objects(store, missing)
	}
	return err
}

func (p *PG) missing(store objectstore.Store) (map[ceph.HObject]bool, error) {
	out := map[ceph.HObject]bool{}
	for kv, err := range store.MetaScan(records.MissingPrefix(p.ID)) {
		if err != nil {
			return nil, err
		}
		var it pglog.MissingItem
		if err := denc.Unmarshal(kv.Value, &it, ceph.FeaturesAll); err != nil {
			p.wrongf("missing set: %v", err)
			continue
		}
		out[it.Object] = true
	}
	p.Missing = len(out)
	return out, nil
}

// log decodes the log, whose records bring the info up to date.
func (p *PG) log(store objectstore.Store) error {
	var last ceph.Eversion
	p.Head, p.Tail = p.Info.LastUpdate, p.Info.LogTail
	for e, err := range store.Log(p.ID, ceph.Eversion{}) {
		if err != nil {
			return err
		}
		p.LogEntries++
		if !last.Less(e.Version) {
			p.wrongf("log: %v follows %v", e.Version, last)
		}
		last = e.Version
		r, err := pglog.DecodeRecord(e.Data)
		switch {
		case err != nil:
			p.wrongf("log entry %v: %v", e.Version, err)
		case r.Entry == nil:
		case r.Entry.Version != e.Version:
			p.wrongf("log entry %v says that it is %v", e.Version, r.Entry.Version)
		default:
			if p.Head.Less(e.Version) {
				p.Head, p.Info.Stats.Objects = e.Version, r.Stats.Objects
			}
			if p.Tail.Less(r.Tail) {
				p.Tail = r.Tail
			}
		}
	}
	if p.Head.Less(p.Tail) {
		p.wrongf("log: its tail %v is above its head %v", p.Tail, p.Head)
	}
	return nil
}

// objects checks that each object is of this PG and is what its info says.
func (p *PG) objects(store objectstore.Store, missing map[ceph.HObject]bool) error {
	var pool *osdmap.Pool
	if raw, err := records.ReadMap(store, p.Epoch); err == nil {
		if m, err := osdmap.Decode(raw); err == nil {
			pool = m.Pools[p.ID.Pool]
		}
	}
	err := eachObject(store, p.ID, func(o ceph.HObject) error {
		st, err := store.Stat(p.ID, o)
		if err != nil {
			return err
		}
		p.Objects++
		p.Bytes += st.Size
		if pool != nil && pool.FoldSeed(o.Hash) != p.ID.Seed {
			p.wrongf("%v belongs to PG %d.%x", o, p.ID.Pool, pool.FoldSeed(o.Hash))
		}
		raw, err := store.GetAttr(p.ID, o, ops.InfoAttr)
		var info pginfo.ObjectInfo
		if err == nil {
			err = denc.Unmarshal(raw, &info, ceph.FeaturesAll)
		}
		switch {
		case missing[o]:
		case err != nil:
			p.wrongf("info of %v: %v", o, err)
		case info.Size != st.Size:
			p.wrongf("%v has %d bytes, its info says %d", o, st.Size, info.Size)
		}
		return nil
	})
	whole := p.Info.LastBackfill.Max && p.Missing == 0 && !p.Info.Stats.Estimated
	if n := p.Info.Stats.Objects; err == nil && whole && n != int64(p.Objects) {
		p.wrongf("%d objects, its info counts %d", p.Objects, n)
	}
	return err
}
