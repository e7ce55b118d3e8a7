package pginfo

import (
	"fmt"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// An UnfoundDump is `ceph pg PG list_unfound`.
type UnfoundDump struct {
	Missing   int             `json:"num_missing"`
	Unfound   int             `json:"num_unfound"`
	Objects   []UnfoundObject `json:"objects"`
	State     string          `json:"state"`
	Available bool            `json:"available_might_have_unfound"`
	Sources   []UnfoundSource `json:"might_have_unfound"`
	More      bool            `json:"more"`
}

// An UnfoundObject is an object that no copy has that can be asked.
type UnfoundObject struct {
	OID struct {
		OID       string `json:"oid"`
		Key       string `json:"key"`
		SnapID    int64  `json:"snapid"`
		Hash      uint32 `json:"hash"`
		Max       int    `json:"max"`
		Pool      int64  `json:"pool"`
		Namespace string `json:"namespace"`
	} `json:"oid"`
	Need         string   `json:"need"`
	Have         string   `json:"have"`
	Flags        string   `json:"flags"`
	CleanRegions string   `json:"clean_regions"`
	Locations    []string `json:"locations"`
}

// An UnfoundSource is an OSD that may have such objects.
type UnfoundSource struct {
	OSD    string `json:"osd"`
	Status string `json:"status"`
}

// UnfoundSources are which OSDs of past intervals, besides self, may have unfound objects, and
// whether they have been asked; not those that were declared lost.
func UnfoundSources(
	m *osdmap.Map, past []int32, self int32, asked func(osd int32) bool,
) []UnfoundSource {
	out := []UnfoundSource{}
	for _, o := range past {
		switch {
		case o == self || !m.Exists(o):
		case asked(o) && m.IsUp(o):
			out = append(out, UnfoundSource{fmt.Sprint(o), "already probed"})
		case m.IsUp(o):
			out = append(out, UnfoundSource{fmt.Sprint(o), "not queried"})
		case m.Info[o].LostAt > 0 && m.Info[o].LostAt >= m.Info[o].DownAt:
		default:
			out = append(out, UnfoundSource{fmt.Sprint(o), "osd is down"})
		}
	}
	return out
}

// NewUnfoundObject is the element of an object that lacks version need and has version have.
func NewUnfoundObject(o ceph.HObject, need, have ceph.Eversion) UnfoundObject {
	u := UnfoundObject{Need: need.String(), Have: have.String(), Flags: "none",
		CleanRegions: "clean_offsets: [], clean_omap: 0, new_object: 0", Locations: []string{}}
	u.OID.OID, u.OID.Key, u.OID.SnapID = o.Name, o.Key, int64(o.Snap)
	u.OID.Hash, u.OID.Pool, u.OID.Namespace = o.Hash, o.Pool, o.Namespace
	return u
}
