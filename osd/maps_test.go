package osd

import (
	"net/netip"
	"testing"
	"time"

	"glue/ceph"
	"glue/osd/records"
	"glue/store/objectstore"
	"glue/wire/message"
)

// A sizedStore knows how large its largest transaction was.
type sizedStore struct {
	objectstore.Store
	largest int
}

// Submit takes a transaction.
func (s *sizedStore) Submit(t *objectstore.Transaction, done func(error)) error {
	size := 0
	for _, op := range t.Ops {
		size += len(op.Data)
	}
	s.largest = max(s.largest, size)
	return s.Store.Submit(t, done)
}

// TestManyLargeMaps: what an OSD that was away gets at once is not one transaction, which the
// journal of a small store would not take.
func TestManyLargeMaps(t *testing.T) {
	s := newSim(t, 2, 3)
	n := s.nodes[0]
	s.crash(n)
	from := s.m.Epoch + 1
	inc := s.change()
	inc.NewBlocklist = map[ceph.Addr]ceph.Time{}
	client := ceph.Addr{Type: ceph.AddrAny, AddrPort: netip.MustParseAddrPort("10.0.0.1:0")}
	for client.Nonce = range uint32(2000) {
		inc.NewBlocklist[client] = ceph.TimeOf(s.clock.Add(time.Hour))
	}
	s.commit(inc)
	for range 39 {
		s.commit(s.change())
	}
	size := len(s.full[s.m.Epoch])
	if size*40 < 16<<20/8 {
		t.Fatalf("a map has %d bytes only", size)
	}
	s.start(n)
	store := &sizedStore{Store: n.d.store}
	n.d.store = store
	n.d.handleMaps(&message.MOSDMap{FSID: s.m.FSID, Oldest: 1, Newest: s.m.Epoch,
		Maps: map[ceph.Epoch][]byte{1: s.full[1]}, Incrementals: s.incs})
	if n.d.super.Newest != s.m.Epoch {
		t.Errorf("newest is %d of %d", n.d.super.Newest, s.m.Epoch)
	}
	for e := from; e <= s.m.Epoch; e++ {
		raw, err := n.d.store.Meta(records.MapKey(e))
		if err != nil || string(raw) != string(s.full[e]) {
			t.Errorf("map %d of the store: %d bytes, %v", e, len(raw), err)
		}
	}
	if most := mapsTogether + size + 4096; store.largest > most {
		t.Errorf("a transaction has %d bytes, maps have %d", store.largest, size)
	}
}
