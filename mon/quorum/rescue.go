package quorum

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Last is the index of the last entry in this member's log, and the entry's term. Of two members
// the one with the higher term, then the higher index, has the newer log.
func (n *Node) Last() (index, term uint64) {
	index, err := n.ms.LastIndex()
	if err != nil {
		return 0, 0
	}
	term, err = n.ms.Term(index)
	if err != nil {
		return 0, 0
	}
	return index, term
}

// Rescue makes the member of a store the only one. It is for when the majority is lost for good:
// what the others had decided and this one has not heard of is forgotten. Everything in its own log
// is kept, as the others may have acknowledged it; only the changes of members that are not
// applied yet lose that effect.
func Rescue(dir string, fs vfs.FS) error {
	db, err := openDB(dir, fs, false)
	if err != nil {
		return err
	}
	if err = errors.Join(rescue(db), db.Close()); err != nil {
		return fmt.Errorf("rescue %s: %w", dir, err)
	}
	return nil
}

func rescue(db database) error {
	id, err := getU64(db, keyMember, 1)
	if err != nil {
		return err
	}
	applied, err := getU64(db, keyApplied, 1)
	if err != nil {
		return err
	}
	if applied[0] == 0 {
		return errors.New("this monitor has never got the state, there is nothing to rescue")
	}
	cs, err := proto.Marshal(&pb.ConfState{Voters: id})
	if err != nil {
		return err
	}
	b := db.NewBatch()
	if err := b.Set(keyConfState, cs, nil); err != nil {
		return err
	}
	entries, err := loadEntries(db, applied[0])
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.GetType() != pb.EntryType_EntryConfChange {
			continue
		}
		m := new(pb.ConfChange)
		if err := proto.Unmarshal(e.Data, m); err != nil {
			return err
		}
		v, err := proto.Marshal(&pb.Entry{Term: e.Term, Index: e.Index, Data: m.Context,
			Type: pb.EntryType_EntryNormal.Enum()})
		if err = errors.Join(err, b.Set(entryKey(e.GetIndex()), v, nil)); err != nil {
			return err
		}
	}
	return db.commit(b, pebble.Sync)
}
