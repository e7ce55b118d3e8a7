package pglog

import (
	"fmt"
	"iter"

	"glue/ceph"
	"glue/cluster/pginfo"
	"glue/store/objectstore"
)

// Load reads a log from its stored records, which bring the info of the copy up to date.
func Load(records iter.Seq2[objectstore.LogEntry, error], info *pginfo.Info) (*Log, error) {
	var entries []Entry
	var dups []Dup
	tail := info.LogTail
	for rec, err := range records {
		if err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
		r, err := DecodeRecord(rec.Data)
		if err != nil {
			return nil, fmt.Errorf("log entry %v: %w", rec.Version, err)
		}
		if r.Entry == nil {
			dups = append(dups, r.Dups...)
			continue
		}
		entries = append(entries, *r.Entry)
		if info.LastUpdate.Less(r.Entry.Version) {
			info.LastUpdate = r.Entry.Version
			info.LastUserVersion = max(info.LastUserVersion, r.Entry.UserVersion)
			SetFastStats(&info.Stats, &r.Stats)
		}
		if tail.Less(r.Tail) {
			tail = r.Tail
		}
	}
	info.LogTail = tail
	return restore(tail, info.LastUpdate, entries, dups)
}

func restore(tail, head ceph.Eversion, entries []Entry, dups []Dup) (*Log, error) {
	l := New(ceph.Eversion{})
	for _, dup := range dups {
		l.AddDup(dup)
	}
	for i := range entries {
		if head.Less(entries[i].Version) {
			return nil, fmt.Errorf("log entry %v is above the head %v", entries[i].Version, head)
		}
		l.Append(entries[i])
	}
	if l.Head().Less(head) {
		l.SetHead(head)
	}
	l.Trim(tail)
	return l, nil
}
