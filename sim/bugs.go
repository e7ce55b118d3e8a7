package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"glue/mon/quorum"
	"glue/sim/plant"
	"glue/wire/message"
)

// tamper looks at a message between monitors on its way. A planted bug may change it.
func (w *world) tamper(b message.Body) message.Body {
	r, ok := b.(*message.MMonRaft)
	if !ok || len(r.Message) < 4096 { // snapshots are large
		return b
	}
	m := raftOf(r)
	if m.GetType() != pb.MessageType_MsgSnap {
		return b
	}
	w.result.Snapshots++
	w.trace("snapshot", "from", r.From, "index", m.GetSnapshot().GetMetadata().GetIndex())
	if w.opt.Bug != plant.ShortSnapshot {
		return b
	}
	m.Snapshot.Data = withoutLast(m.Snapshot.Data)
	raw, err := proto.Marshal(m)
	if err != nil {
		return b
	}
	short := *r
	short.Message = raw
	return &short
}

// raftOf is the message of the log in a message.
func raftOf(r *message.MMonRaft) *pb.Message {
	m := new(pb.Message)
	if proto.Unmarshal(r.Message, m) != nil {
		return nil
	}
	return m
}

// carriesEntries says whether a message brings entries of the log.
func carriesEntries(b message.Body) bool {
	r, ok := b.(*message.MMonRaft)
	if !ok {
		return false
	}
	m := raftOf(r)
	return m.GetType() == pb.MessageType_MsgApp && len(m.GetEntries()) > 0
}

// A tail is what a host's log had in a life behind what it has now.
type tail struct {
	log   quorum.Log
	stale map[uint64]uint64 // terms by index
}

// noteTail keeps the entries that go away in a step.
func (h *host) noteTail() {
	now, err := h.m.Log()
	if err != nil {
		h.w.fail("log of mon.%s: %v", h.name, err)
		return
	}
	t := &h.tail
	if t.stale == nil || t.log.Last() == 0 {
		t.stale = map[uint64]uint64{}
	}
	for i := now.Last() + 1; i <= t.log.Last() && i > t.log.Base; i++ {
		t.stale[i] = t.log.Terms[i-t.log.Base-1]
	}
	for i := range t.stale {
		if i <= now.Last() {
			delete(t.stale, i)
		}
	}
	t.log = now
}

// restoreTail puts entries that went away back into the store, as if nothing had removed them.
func (h *host) restoreTail() {
	t := h.tail
	h.tail = tail{}
	i := t.log.Last() + 1
	if t.stale[i] == 0 {
		return
	}
	db, err := pebble.Open(storeDir+"/store.db", &pebble.Options{FS: h.disk,
		FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		h.w.fail("store of mon.%s: %v", h.name, err)
		return
	}
	defer db.Close()
	for ; t.stale[i] != 0; i++ {
		term := t.stale[i]
		raw, err := proto.Marshal(&pb.Entry{Index: &i, Term: &term})
		key := binary.BigEndian.AppendUint64([]byte("q/entry/"), i)
		if err = errors.Join(err, db.Set(key, raw, pebble.Sync)); err != nil {
			h.w.fail("store of mon.%s: %v", h.name, err)
		}
	}
}

// lastOf is what begins the keys of which a planted bug takes the last out.
const lastOf = "s/config-key/"

// withoutLast takes the last of some records out of a state's image: each is the length of its key,
// the length of its value, and both.
func withoutLast(img []byte) []byte {
	from, to := 0, 0
	for at := 0; at+16 <= len(img); {
		key := at + 16
		end := key + int(binary.BigEndian.Uint64(img[at:])+binary.BigEndian.Uint64(img[at+8:]))
		if bytes.HasPrefix(img[key:end], []byte(lastOf)) {
			from, to = at, end
		}
		at = end
	}
	return slices.Concat(img[:from], img[to:])
}

// silent is a database's log.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(f string, a ...any) {
	panic(fmt.Sprintf(f, a...))
}
