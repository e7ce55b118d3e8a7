package offline

import (
	"glue/ceph"
	"glue/osd/bench"
	"glue/osd/records"
	"glue/store/objectstore"
)

// Summary is a store's superblock and its number of PGs.
func Summary(store objectstore.Store) (records.Superblock, int, error) {
	super, err := records.ReadSuperblock(store)
	if err != nil {
		return super, 0, err
	}
	colls, err := store.Collections()
	n := 0
	for _, c := range colls {
		if bench.IsPG(c) {
			n++
		}
	}
	return super, n, err
}

// A Row is a PG in a list.
type Row struct {
	PG         string     `json:"pgid"`
	Epoch      ceph.Epoch `json:"epoch"` // of the map that the copy had got to
	LastUpdate string     `json:"last_update"`
	LogTail    string     `json:"log_tail"`
	LogEntries int        `json:"log_entries"`
	Objects    uint64     `json:"objects"`
	Bytes      uint64     `json:"bytes"`
	Missing    int        `json:"missing"`
	Whole      bool       `json:"complete"` // not in the middle of a backfill
	Importing  bool       `json:"import_interrupted,omitempty"`
	Started    ceph.Epoch `json:"last_epoch_started"`
	Clean      ceph.Epoch `json:"last_epoch_clean"`
}

// Row is p for a list.
func (p *PG) Row() Row {
	return Row{p.ID.String(), p.Epoch, p.Head.String(), p.Tail.String(), p.LogEntries, p.Objects,
		p.Bytes, p.Missing, p.Info.LastBackfill.Max, p.Importing,
		p.Info.History.LastEpochStarted, p.Info.History.LastEpochClean}
}

// An Object is one in a list.
type Object struct {
	Name      string `json:"oid"`
	Key       string `json:"key"`
	Namespace string `json:"namespace"`
	Snap      string `json:"snapid"`
	Hash      uint32 `json:"hash"`
	Size      uint64 `json:"size"`
	Omap      bool   `json:"omap"`
}

// Objects calls fn for each object of a PG.
func Objects(store objectstore.Store, pg string, fn func(Object) error) error {
	c, err := Find(store, pg)
	if err != nil {
		return err
	}
	return eachObject(store, c, func(o ceph.HObject) error {
		st, err := store.Stat(c, o)
		if err != nil {
			return err
		}
		return fn(Object{o.Name, o.Key, o.Namespace, o.Snap.String(), o.Hash, st.Size, st.HasOmap})
	})
}
