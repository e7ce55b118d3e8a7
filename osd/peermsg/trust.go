package peermsg

import (
	"glue/ceph"
	"glue/wire/message"
)

// MayTell says whether a peer of a type may send a message: maps decide what an OSD does with its
// data, so that only monitors and other OSDs are believed.
func MayTell(peer ceph.EntityType, b message.Body) bool {
	switch b.(type) {
	case *message.MOSDMap:
		return peer == ceph.TypeMon || peer == ceph.TypeOSD
	case *message.MMgrMap:
		return peer == ceph.TypeMon
	case *message.MOSDForceRecovery, *message.MMgrConfigure:
		return peer == ceph.TypeMgr
	case *message.MOSDScrub2:
		return peer == ceph.TypeMgr || peer == ceph.TypeMon
	case *message.MOSDPing, *message.MOSDCopyGet, *message.MOSDCopyPiece:
		return peer == ceph.TypeOSD
	}
	return true
}
