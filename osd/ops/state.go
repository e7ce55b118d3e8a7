package ops

import (
	"glue/ceph"
)

// A State is an object's existence and info. A State that has been handed out is never changed.
type State struct {
	Exists bool
	Info   ObjectInfo
}

// LoadState reads an object's state from its info attribute.
func LoadState(v View, c ceph.SPG, o ceph.HObject) (*State, error) {
	return nil, ceph.EOPNOTSUPP
}
