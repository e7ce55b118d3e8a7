package blockstore

import (
	"errors"
	"syscall"

	"glue/ceph"
)

// hostChunk is how many blocks of a sparse file are reserved on the host at a time: 64 MiB.
const hostChunk = 16384

// hostRoom makes sure that the host has room for a run of a sparse block file. State lock held.
func (s *Store) hostRoom(r run) error {
	for chunk := r.at / hostChunk; chunk <= (r.at+r.n-1)/hostChunk; chunk++ {
		if s.reserved[chunk/64]&(1<<(chunk%64)) != 0 {
			continue
		}
		first := chunk * hostChunk
		n := min(hostChunk, s.alloc.total-first)
		off := s.sb.dataStart() + int64(first)*blockBytes
		if err := s.file.Reserve(off, int64(n)*blockBytes); err != nil {
			if isFull(err) {
				return ceph.ENOSPC
			}
			return err
		}
		s.reserved[chunk/64] |= 1 << (chunk % 64)
	}
	return nil
}

func isFull(err error) bool {
	return errors.Is(err, ceph.ENOSPC) || errors.Is(err, syscall.ENOSPC) ||
		errors.Is(err, syscall.EDQUOT)
}
