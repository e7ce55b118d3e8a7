package copies

import (
	"slices"
	"testing"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/osd/ops"
	"glue/wire/message"
)

// A host has a map of which no OSD is up, so that pieces wait for their answers without being sent.
type host struct{ m *osdmap.Map }

func (h *host) Map() *osdmap.Map                        { return h.m }
func (h *host) Limit() uint64                           { return 1 << 20 }
func (h *host) Ask(int32, uint64, *message.MOSDCopyGet) {}

func newHost() *host {
	m := &osdmap.Map{Epoch: 5, Crush: crush.New(), MaxOSD: 1, Pools: map[int64]*osdmap.Pool{
		1: {Type: 1, Size: 1, PGNum: 1, PGPNum: 1}}}
	return &host{m: m}
}

type request struct {
	*Copy
	done  int
	alive bool
}

func (s *Copies) begin(name string, version uint64) *request {
	r := &request{alive: true}
	r.Copy = &Copy{Source: ops.CopySource{Locator: ceph.Locator{Pool: 1, Hash: -1}, Name: name,
		Snap: ceph.NoSnap, Version: version}}
	r.Alive = func() bool { return r.alive }
	r.Allowed = func(*osdmap.Pool, ceph.HObject) bool { return true }
	r.Done = func() { r.done++ }
	s.Start(r.Copy)
	return r
}

func piece(data string, version uint64, done bool) *message.MOSDCopyPiece {
	p := ops.CopyPiece{Data: []byte(data), Cursor: ops.CopyCursor{AttrsDone: true, DataDone: done,
		OmapDone: done}}
	return &message.MOSDCopyPiece{Version: version, Piece: denc.Marshal(&p, ceph.FeaturesAll)}
}

func ids(s *Copies) (out []uint64) {
	for id := range s.asked {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func TestPieces(t *testing.T) {
	s := New(newHost())
	r := s.begin("a", 0)
	s.Piece(ids(s)[0], piece("one ", 7, false))
	s.Piece(99, piece("of nobody", 7, true))
	s.MapChanged() // the second piece is asked for again under a new id
	late := ids(s)[0] - 1
	s.Piece(late, piece("late", 7, true))
	if r.done != 0 {
		t.Fatal("a late piece counts")
	}
	s.Piece(ids(s)[0], piece("two", 7, true))
	if r.done != 1 || string(r.Got.Data) != "one two" || r.Got.Version != 7 || r.Got.Result != 0 {
		t.Errorf("done %d, got %+v", r.done, r.Got)
	}
}

func TestSourceChanges(t *testing.T) {
	s := New(newHost())
	r := s.begin("a", 0)
	s.Piece(ids(s)[0], piece("old ", 7, false))
	s.Piece(ids(s)[0], &message.MOSDCopyPiece{Result: ceph.ERANGE.Result()})
	s.Piece(ids(s)[0], piece("new", 8, true))
	if r.done != 1 || string(r.Got.Data) != "new" || r.Got.Version != 8 {
		t.Errorf("done %d, got %+v", r.done, r.Got)
	}
	r = s.begin("a", 0)
	for range 2 * mostTries {
		for _, id := range ids(s) {
			s.Piece(id, piece("x", 9, false))
		}
		for _, id := range ids(s) {
			s.Piece(id, &message.MOSDCopyPiece{Result: ceph.ERANGE.Result()})
		}
	}
	if r.done != 1 || r.Got.Result != ceph.ERANGE.Result() {
		t.Errorf("a source that always changes: done %d, result %d", r.done, r.Got.Result)
	}
	r = s.begin("a", 5) // the client said which version: it decides
	s.Piece(ids(s)[0], &message.MOSDCopyPiece{Result: ceph.ERANGE.Result()})
	if r.done != 1 || r.Got.Result != ceph.ERANGE.Result() {
		t.Errorf("done %d, result %d", r.done, r.Got.Result)
	}
}

func TestBoundAndRefusals(t *testing.T) {
	h := newHost()
	s := New(h)
	var all []*request
	for range 3 * most {
		all = append(all, s.begin("a", 0))
	}
	if len(s.asked) != most {
		t.Fatalf("%d copies at a time", len(s.asked))
	}
	all[0].alive, all[most].alive = false, false
	for len(s.asked) > 0 {
		s.Piece(ids(s)[0], piece("x", 1, true))
	}
	for i, r := range all {
		if want := 1; r.done != want && r.alive || r.done != 0 && !r.alive {
			t.Errorf("request %d: done %d times", i, r.done)
		}
	}
	r := s.begin("a", 0)
	s.Piece(ids(s)[0], &message.MOSDCopyPiece{Piece: []byte{1, 2}})
	if r.done != 1 || r.Got.Result >= 0 {
		t.Errorf("garbage: done %d, result %d", r.done, r.Got.Result)
	}
	refuse := &Copy{Source: r.Source, Alive: r.Alive, Done: r.Done,
		Allowed: func(*osdmap.Pool, ceph.HObject) bool { return false }}
	if s.Start(refuse); r.done != 2 || refuse.Got.Result != ceph.EPERM.Result() {
		t.Errorf("without the right to read: %d", refuse.Got.Result)
	}
	delete(h.m.Pools, 1)
	if r = s.begin("a", 0); r.Got.Result != ceph.ENOENT.Result() {
		t.Errorf("without the pool: %d", r.Got.Result)
	}
}
