package sim

import (
	"bytes"
	"encoding/binary"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"glue/wire/message"
)

// tamper looks at a message between monitors on its way. A planted bug may change it.
func (w *world) tamper(b message.Body) message.Body {
	r, ok := b.(*message.MMonRaft)
	if !ok || len(r.Message) < 4096 { // snapshots are large
		return b
	}
	m := new(pb.Message)
	if proto.Unmarshal(r.Message, m) != nil || m.GetType() != pb.MessageType_MsgSnap {
		return b
	}
	w.result.Snapshots++
	w.trace("snapshot", "from", r.From, "index", m.GetSnapshot().GetMetadata().GetIndex())
	if w.opt.Bug != ShortSnapshot {
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
