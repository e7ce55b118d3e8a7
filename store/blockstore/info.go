package blockstore

import (
	"fmt"
	"io"

	"glue/ceph"
	"glue/store/disk"
)

// Info is what the superblock says about a store.
type Info struct {
	UUID         string
	Label        string
	Size         int64
	JournalBytes int64
	DataBlocks   uint64
	Generation   uint64 // of the superblock
	TailLSN      uint64 // first transaction that a replay would look at
	InUse        bool   // a daemon has it open
}

// ReadInfo reads the superblock of the store in dir, also while it is in use.
func ReadInfo(dir string) (Info, error) { return ReadDiskInfo(blockPath(dir)) }

// ReadDiskInfo is ReadInfo of a block file or device.
func ReadDiskInfo(path string) (Info, error) {
	f, err := disk.OpenRead(path)
	if err != nil {
		return Info{}, fmt.Errorf("read store: %w", err)
	}
	defer f.Close()
	sb, err := readSuperblock(f)
	if err != nil {
		return Info{}, fmt.Errorf("read store %s: %w", path, err)
	}
	return Info{
		UUID: fmt.Sprintf("%x", sb.UUID), Label: sb.Label, Size: sb.Size,
		JournalBytes: sb.JournalLen, DataBlocks: sb.blocks(), Generation: sb.Generation,
		TailLSN: sb.Tail.LSN, InUse: f.Locked(),
	}, nil
}

// Dump writes one line per collection, and with objects also one per object, to w: what an
// offline tool lists.
func (s *Store) Dump(w io.Writer, objects bool) error {
	colls, err := s.Collections()
	if err != nil {
		return err
	}
	for _, c := range colls {
		entries, objs := 0, 0
		for _, err := range s.Log(c, ceph.Eversion{}) {
			if err != nil {
				return err
			}
			entries++
		}
		var lines []string
		for from := minObject; !from.Max; {
			var list []ceph.HObject
			if list, from, err = s.List(c, from, 256); err != nil {
				return err
			}
			objs += len(list)
			if objects {
				lines = append(lines, s.describe(c, list)...)
			}
		}
		fmt.Fprintf(w, "%v %d objects %d log entries\n", c, objs, entries)
		for _, l := range lines {
			fmt.Fprintln(w, l)
		}
	}
	return nil
}

func (s *Store) describe(c ceph.SPG, list []ceph.HObject) (lines []string) {
	for _, o := range list {
		st, err := s.Stat(c, o)
		line := fmt.Sprintf("  %v %d bytes", o, st.Size)
		if st.HasOmap {
			line += ", omap"
		}
		if err != nil {
			line = fmt.Sprintf("  %v: %v", o, err)
		}
		lines = append(lines, line)
	}
	return lines
}
