package ops

import (
	"fmt"
	"maps"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/class"
	"glue/store/objectstore"
	"glue/wire/message"
)

// tracker 24949: the digest of an object's data stayed in its info when a part of the data changed,
// and every later read of it failed. An op that changes the data or the omap drops their digests
// in the same transaction, whichever op it is; a watch does not.
func TestKnownDigestOfChangedObject(t *testing.T) {
	const digests = pginfo.ObjectDataDigest | pginfo.ObjectOmapDigest
	same := message.OSDOp{Code: message.OpWriteSame, In: []byte("ab")}
	same.SetWriteSame(0, 4, 2)
	truncate := extent(message.OpTruncate, 2, 0, nil)
	pairs := encodePairs(map[string][]byte{"k": []byte("v2")})
	call := plain(message.OpCall)
	call.SetCall("known", "write", nil)
	vectors := map[string][]message.OSDOp{
		"write": {write(1, "x")}, "write full": {writeFull("other")},
		"append":     {extent(message.OpAppend, 0, 1, []byte("x"))},
		"zero":       {extent(message.OpZero, 1, 2, nil)},
		"truncate":   {truncate},
		"write same": {same}, "class": {call},
		"replaced":      {plain(message.OpDelete), write(0, "x")},
		"omap set":      {{Code: message.OpOmapSetVals, In: pairs}},
		"omap header":   {{Code: message.OpOmapSetHeader, In: []byte("h")}},
		"omap clear":    {plain(message.OpOmapClear)},
		"attribute too": {setXattr("a", "b"), write(1, "x")},
	}
	for name, ops := range vectors {
		p := newPG(t, class.Class{Name: "known", Methods: []class.Method{{Name: "write",
			Flags: class.WR, Func: func(c class.Context, _ []byte) ([]byte, error) {
				return nil, c.Write(1, []byte("x"))
			}}}})
		p.want(p.do("o", write(0, "content"),
			message.OSDOp{Code: message.OpOmapSetVals,
				In: encodePairs(map[string][]byte{"k": []byte("v")})}), 0)
		st := p.state("o")
		st.Info.Flags |= digests
		st.Info.DataDigest, st.Info.OmapDigest = 1, 2
		p.submit(func(tx *objectstore.Transaction) {
			tx.SetAttr(testColl, head("o"), InfoAttr, denc.Marshal(&st.Info, ceph.FeaturesAll))
		})
		before := p.content("o")
		if r := p.do("o", ops...); r != 0 {
			t.Fatalf("%s: result %d", name, r)
		}
		if p.content("o") == before {
			t.Errorf("%s: changed nothing", name)
		}
		if f := p.state("o").Info.Flags & digests; f != 0 {
			t.Errorf("%s: the info says that its digests %x are right", name, f)
		}
	}
}

func (p *pg) state(name string) *State {
	p.t.Helper()
	st, err := LoadState(p.store, testColl, head(name))
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

// content is the data, header and omap.
func (p *pg) content(name string) string {
	p.t.Helper()
	data, err := p.store.Read(testColl, head(name), 0, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	header, _ := p.store.OmapHeader(testColl, head(name))
	omap := map[string]string{}
	for kv, err := range p.store.OmapScan(testColl, head(name), "") {
		if err != nil {
			p.t.Fatal(err)
		}
		omap[kv.Key] = string(kv.Value)
	}
	return fmt.Sprintf("%q %q %q", data, header, maps.Collect(maps.All(omap)))
}
