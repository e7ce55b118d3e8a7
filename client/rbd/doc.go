// Package rbd keeps block device images in a RADOS pool, in the layout of librbd of Ceph 16.2:
// images made here open there, at the same time too, and the other way round.
//
// A Store is a pool (and namespace) with its directory of images. An Image is one open image:
// reads and writes at any offset from any goroutine. With the exclusive-lock feature the first
// write takes the lock, and it is handed over when another client asks for it; with object-map
// the map of the objects that exist is kept up to date before every write that creates one.
//
// Invariants: nothing is written to an image with exclusive-lock while this client does not hold
// the lock; an object is marked in the object map before it is created and unmarked only after it
// is gone. A write that returned nil is durable. A snapshot is taken while no write of this client
// is under way and the lock keeps others away, so it is one moment of the image. What a clone still
// reads from its parent is copied before an object of it is changed, as old as the clone's oldest
// snapshot if its snapshots are to outlive the parent (deep-flatten).
//
// A cache in memory is off until StartCache. With it a write is durable once a Flush that began
// after it has returned nil, and what was written since the last such Flush is lost if this client
// dies: any of it, in no order. A snapshot, and who gets the lock next, have all of it.
//
// Before a snapshot the image's other clients are asked to become quiet, and it is not taken if one
// of them can't, unless the caller says otherwise. What is removed, or goes to the trash, takes its
// journal and its mirroring by snapshots with it, and is refused while it is in a group.
//
// What changes an image with a journal (feature journaling) is in the journal first, safe, and then
// done; snapshots, sizes and the like too. Who gets the lock does again what the journal has and
// does not know to be done, in order. What was not acknowledged may come of that: a change that
// failed, or was given up, is done when the lock is taken next. EROFS if the image is a copy, or
// was demoted.
//
// CompareAndWrite, WriteSame and WriteZeroes are durable when they return, with a cache too.
// Options are those of the image, else of its pool, else of the cluster (package config).
//
// The formats are specified by cls/rbd and librbd of Ceph. Not done here: mirroring beyond the
// snapshots, or the journal, that a primary image keeps for its peers and its end by snapshots, the
// use of an image, or of a clone of one, while it migrates (MigrationPrepare and what ends a
// migration are here, and stock clients use the image meanwhile), encryption.
package rbd
