// Package layout is how an image lies in RADOS: the names of its objects, what its header says of
// its shape, features, snapshots and parent, and how its bytes are striped over its data objects,
// in the format of librbd of Ceph 16.2. The snapshots of a Header are those that it names, all of
// them: if one is removed while they are read, it is read again.
package layout

// Names of the objects of a pool and of an image.
const (
	DirectoryObject = "rbd_directory"
	InfoObject      = "rbd_info"
	TrashObject     = "rbd_trash"
	ChildrenObject  = "rbd_children" // of the first kind
	IDPrefix        = "rbd_id."
	HeaderPrefix    = "rbd_header."
	DataPrefix      = "rbd_data."
)

// Limits of an image's order: objects of 4 KiB to 32 MiB.
const (
	MinOrder     = 12
	MaxOrder     = 25
	DefaultOrder = 22
)
