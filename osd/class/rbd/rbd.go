// Package rbd is the class "rbd": what librbd and the kernel call on the objects of block images.
// An image's header, the pool's directory, trash, groups and mirroring are omap keys of objects;
// object maps are an object's data; a few methods work on data objects. The methods are pure and
// run on the goroutine that executes the request. Specified by src/cls/rbd of Ceph 16.2; records
// that only OSDs before 14 wrote are not read.
package rbd

import (
	"glue/ceph/denc"
	"glue/osd/class"
)

const (
	rd   = class.RD
	wr   = class.WR
	rdwr = class.RD | class.WR
)

// Class is the table of methods.
var Class = class.Class{Name: "rbd", Methods: []class.Method{
	// Methods of header object.
	{Name: "create", Flags: rdwr, Func: create},
	{Name: "get_features", Flags: rd, Func: getFeatures},
	{Name: "set_features", Flags: rdwr, Func: setFeatures},
	{Name: "get_size", Flags: rd, Func: getSize},
	{Name: "set_size", Flags: rdwr, Func: setSize},
	{Name: "get_snapcontext", Flags: rd, Func: getSnapContext},
	{Name: "get_object_prefix", Flags: rd, Func: class.Getter("object_prefix", class.Str)},
	{Name: "get_data_pool", Flags: rd, Func: getDataPool},
	{Name: "get_snapshot_name", Flags: rd, Func: getSnapName},
	{Name: "get_snapshot_timestamp", Flags: rd, Func: getSnapTimestamp},
	{Name: "snapshot_get", Flags: rd, Func: snapshotGet},
	{Name: "snapshot_add", Flags: rdwr, Func: snapshotAdd},
	{Name: "snapshot_remove", Flags: rdwr, Func: snapshotRemove},
	{Name: "snapshot_rename", Flags: rdwr, Func: snapshotRename},
	{Name: "snapshot_trash_add", Flags: rdwr, Func: snapshotTrashAdd},
	{Name: "get_all_features", Flags: rd, Func: getAllFeatures},
	{Name: "get_parent", Flags: rd, Func: getParent},
	{Name: "set_parent", Flags: rdwr, Func: setParent},
	{Name: "remove_parent", Flags: rdwr, Func: removeParent},
	{Name: "parent_get", Flags: rd, Func: parentGet},
	{Name: "parent_overlap_get", Flags: rd, Func: parentOverlapGet},
	{Name: "parent_attach", Flags: rdwr, Func: parentAttach},
	{Name: "parent_detach", Flags: rdwr, Func: parentDetach},
	{Name: "set_protection_status", Flags: rdwr, Func: setProtection},
	{Name: "get_protection_status", Flags: rd, Func: getProtection},
	{Name: "get_stripe_unit_count", Flags: rd, Func: getStripe},
	{Name: "set_stripe_unit_count", Flags: rdwr, Func: setStripe},
	{Name: "get_create_timestamp", Flags: rd, Func: timestampGetter("create_timestamp")},
	{Name: "get_access_timestamp", Flags: rd, Func: timestampGetter("access_timestamp")},
	{Name: "get_modify_timestamp", Flags: rd, Func: timestampGetter("modify_timestamp")},
	{Name: "get_flags", Flags: rd, Func: getFlags},
	{Name: "set_flags", Flags: rdwr, Func: setFlags},
	{Name: "op_features_get", Flags: rd, Func: getOpFeatures},
	{Name: "op_features_set", Flags: rdwr, Func: setOpFeaturesMethod},
	{Name: "metadata_list", Flags: rd, Func: metadataList},
	{Name: "metadata_set", Flags: rdwr, Func: metadataSet},
	{Name: "metadata_remove", Flags: rdwr, Func: metadataRemove},
	{Name: "metadata_get", Flags: rd, Func: metadataGet},
	{Name: "snapshot_get_limit", Flags: rd, Func: getSnapLimit},
	{Name: "snapshot_set_limit", Flags: rdwr, Func: setSnapLimit},
	{Name: "child_attach", Flags: rdwr, Func: childAttach},
	{Name: "child_detach", Flags: rdwr, Func: childDetach},
	{Name: "children_list", Flags: rd, Func: childrenList},
	{Name: "migration_set", Flags: rdwr, Func: migrationSet},
	{Name: "migration_set_state", Flags: rdwr, Func: migrationSetState},
	{Name: "migration_get", Flags: rd, Func: migrationGet},
	{Name: "migration_remove", Flags: rdwr, Func: migrationRemove},
	{Name: "set_modify_timestamp", Flags: rdwr, Func: timestampSetter("modify_timestamp")},
	{Name: "set_access_timestamp", Flags: rdwr, Func: timestampSetter("access_timestamp")},

	// Methods of rbd_children.
	{Name: "add_child", Flags: rdwr, Func: addChild},
	{Name: "remove_child", Flags: rdwr, Func: removeChild},
	{Name: "get_children", Flags: rd, Func: getChildren},

	// Methods of rbd_id.NAME.
	{Name: "get_id", Flags: rd, Func: getID},
	{Name: "set_id", Flags: rdwr, Func: setID},

	// Methods of rbd_directory.
	{Name: "dir_get_id", Flags: rd, Func: dirGetID},
	{Name: "dir_get_name", Flags: rd, Func: dirGetName},
	{Name: "dir_list", Flags: rd, Func: dirList},
	{Name: "dir_add_image", Flags: rdwr, Func: dirAddImage},
	{Name: "dir_remove_image", Flags: rdwr, Func: dirRemoveImage},
	{Name: "dir_rename_image", Flags: rdwr, Func: dirRenameImage},
	{Name: "dir_state_assert", Flags: rd, Func: dirStateAssert},
	{Name: "dir_state_set", Flags: rdwr, Func: dirStateSet},

	// Methods of rbd_object_map.ID.
	{Name: "object_map_load", Flags: rd, Func: objectMapLoad},
	{Name: "object_map_save", Flags: rdwr, Func: objectMapSave},
	{Name: "object_map_resize", Flags: rdwr, Func: objectMapResize},
	{Name: "object_map_update", Flags: rdwr, Func: objectMapUpdate},
	{Name: "object_map_snap_add", Flags: rdwr, Func: objectMapSnapAdd},
	{Name: "object_map_snap_remove", Flags: rdwr, Func: objectMapSnapRemove},

	// Methods of NAME.rbd, the header of format 1.
	{Name: "snap_list", Flags: rd, Func: oldSnapList},
	{Name: "snap_add", Flags: rdwr, Func: oldSnapAdd},
	{Name: "snap_remove", Flags: rdwr, Func: oldSnapRemove},
	{Name: "snap_rename", Flags: rdwr, Func: oldSnapRename},

	// Methods of rbd_mirroring.
	{Name: "mirror_uuid_get", Flags: rd, Func: mirrorUUIDGet},
	{Name: "mirror_uuid_set", Flags: rdwr, Func: mirrorUUIDSet},
	{Name: "mirror_mode_get", Flags: rd, Func: class.Getter(mirrorModeKey, class.U32)},
	{Name: "mirror_mode_set", Flags: rdwr, Func: mirrorModeSet},
	{Name: "mirror_peer_ping", Flags: rdwr, Func: mirrorPeerPing},
	{Name: "mirror_peer_list", Flags: rd, Func: mirrorPeerList},
	{Name: "mirror_peer_add", Flags: rdwr, Func: mirrorPeerAdd},
	{Name: "mirror_peer_remove", Flags: rdwr, Func: mirrorPeerRemove},
	{Name: "mirror_peer_set_client", Flags: rdwr, Func: mirrorPeerSetClient},
	{Name: "mirror_peer_set_cluster", Flags: rdwr, Func: mirrorPeerSetCluster},
	{Name: "mirror_peer_set_direction", Flags: rdwr, Func: mirrorPeerSetDirection},
	{Name: "mirror_image_list", Flags: rd, Func: mirrorImageList},
	{Name: "mirror_image_get_image_id", Flags: rd, Func: mirrorImageGetID},
	{Name: "mirror_image_get", Flags: rd, Func: mirrorImageGet},
	{Name: "mirror_image_set", Flags: rdwr, Func: mirrorImageSet},
	{Name: "mirror_image_remove", Flags: rdwr, Func: mirrorImageRemove},
	{Name: "mirror_image_status_set", Flags: rdwr | class.Promote, Func: mirrorStatusSet},
	{Name: "mirror_image_status_remove", Flags: rdwr, Func: mirrorStatusRemove},
	{Name: "mirror_image_status_get", Flags: rd, Func: mirrorStatusGet},
	{Name: "mirror_image_status_list", Flags: rd, Func: mirrorStatusList},
	{Name: "mirror_image_status_get_summary", Flags: rd, Func: mirrorStatusSummary},
	{Name: "mirror_image_status_remove_down", Flags: rdwr, Func: mirrorStatusRemoveDown},
	{Name: "mirror_image_instance_get", Flags: rd, Func: mirrorInstanceGet},
	{Name: "mirror_image_instance_list", Flags: rd, Func: mirrorInstanceList},
	{Name: "mirror_instances_list", Flags: rd, Func: mirrorInstancesList},
	{Name: "mirror_instances_add", Flags: rdwr | class.Promote, Func: mirrorInstancesAdd},
	{Name: "mirror_instances_remove", Flags: rdwr, Func: mirrorInstancesRemove},
	{Name: "mirror_image_map_list", Flags: rd, Func: mirrorMapList},
	{Name: "mirror_image_map_update", Flags: wr, Func: mirrorMapUpdate},
	{Name: "mirror_image_map_remove", Flags: wr, Func: mirrorMapRemove},
	{Name: "mirror_image_snapshot_unlink_peer", Flags: rdwr, Func: mirrorSnapUnlinkPeer},
	{Name: "mirror_image_snapshot_set_copy_progress", Flags: rdwr, Func: mirrorSnapSetProgress},

	// Methods of groups.
	{Name: "group_dir_list", Flags: rd, Func: dirList},
	{Name: "group_dir_add", Flags: rdwr, Func: dirAddImage},
	{Name: "group_dir_remove", Flags: rdwr, Func: dirRemoveImage},
	{Name: "group_dir_rename", Flags: rdwr, Func: dirRenameImage},
	{Name: "group_image_remove", Flags: rdwr, Func: groupImageRemove},
	{Name: "group_image_list", Flags: rd, Func: groupImageList},
	{Name: "group_image_set", Flags: rdwr, Func: groupImageSet},
	{Name: "image_group_add", Flags: rdwr, Func: imageGroupAdd},
	{Name: "image_group_remove", Flags: rdwr, Func: imageGroupRemove},
	{Name: "image_group_get", Flags: rd, Func: imageGroupGet},
	{Name: "group_snap_set", Flags: rdwr, Func: groupSnapSet},
	{Name: "group_snap_remove", Flags: rdwr, Func: groupSnapRemove},
	{Name: "group_snap_get_by_id", Flags: rd, Func: groupSnapGet},
	{Name: "group_snap_list", Flags: rd, Func: groupSnapList},

	// Methods of rbd_trash.
	{Name: "trash_add", Flags: rdwr, Func: trashAdd},
	{Name: "trash_remove", Flags: rdwr, Func: trashRemove},
	{Name: "trash_list", Flags: rd, Func: trashList},
	{Name: "trash_get", Flags: rd, Func: trashGet},
	{Name: "trash_state_set", Flags: rdwr, Func: trashStateSet},

	// Methods of rbd_namespace.
	{Name: "namespace_add", Flags: rdwr, Func: namespaceAdd},
	{Name: "namespace_remove", Flags: rdwr, Func: namespaceRemove},
	{Name: "namespace_list", Flags: rd, Func: namespaceList},

	// Methods of data objects.
	{Name: "copyup", Flags: rdwr, Func: copyup},
	{Name: "sparse_copyup", Flags: rdwr, Func: sparseCopyup},
	{Name: "assert_snapc_seq", Flags: rdwr, Func: assertSnapcSeq},
	{Name: "sparsify", Flags: rdwr, Func: sparsify},
}}

var (
	mirrorPeerSetClient    = peerSetter(func(c *denc.Coder, p *peer) { c.Str(&p.Client) })
	mirrorPeerSetDirection = peerSetter(func(c *denc.Coder, p *peer) { c.U8(&p.Direction) })
)
