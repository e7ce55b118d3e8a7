package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"glue/client/rbd"
	"glue/internal/cephjson"
)

// A Kind is what is done at set times.
type Kind struct {
	what   string
	object string // of a pool: level to rules
	option string // the rules for all pools

	parallel int // how many are done at a time
	limit    time.Duration

	// images lists those of a namespace that may have a schedule; nil: namespaces have.
	images func(context.Context, *rbd.Store) ([]image, error)
	run    func(ctx context.Context, s *rbd.Store, image string, log *slog.Logger) error

	list string // what the list of what is due is called
	row  func(t target, name, at string) cephjson.Object
}

// An image is one that may have a schedule; due is whether there is anything to do to it.
type image struct {
	id, name string
	due      bool
}

// Purge empties the trash of namespaces.
var Purge = &Kind{
	what: "emptying the trash", object: "rbd_trash_purge_schedule",
	option:   "mgr/rbd_support/trash_purge_schedule",
	parallel: 1, limit: 24 * time.Hour,
	run: purge, list: "scheduled",
	row: func(t target, name, at string) cephjson.Object {
		return cephjson.Object{{Key: "namespace", Value: t.namespace},
			{Key: "pool_id", Value: fmt.Sprint(t.pool)}, {Key: "pool_name", Value: name},
			{Key: "schedule_time", Value: at}}
	},
}

// MirrorSnapshots makes snapshots of the images that are mirrored by snapshots and primary.
var MirrorSnapshots = &Kind{
	what: "snapshots of mirrored images", object: "rbd_mirror_snapshot_schedule",
	option:   "mgr/rbd_support/mirror_snapshot_schedule",
	parallel: 10, // mgr/rbd_support/max_concurrent_snap_create
	limit:    2 * time.Minute,
	images:   mirrored, run: mirrorSnapshot, list: "scheduled_images",
	row: func(_ target, name, at string) cephjson.Object {
		return cephjson.Object{{Key: "image", Value: name}, {Key: "schedule_time", Value: at}}
	},
}

func purge(ctx context.Context, s *rbd.Store, _ string, log *slog.Logger) error {
	n, err := s.TrashPurge(ctx, time.Now())
	if n > 0 {
		log.Info("trash was emptied", "removed", n)
	}
	return err
}

// mirrored lists the images that are mirrored by snapshots.
func mirrored(ctx context.Context, s *rbd.Store) ([]image, error) {
	primary, err := s.MirroredBySnapshot(ctx)
	if err != nil || len(primary) == 0 {
		return nil, err
	}
	entries, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []image
	for _, e := range entries {
		if due, ok := primary[e.ID]; ok {
			out = append(out, image{e.ID, e.Name, due})
		}
	}
	return out, nil
}

func mirrorSnapshot(ctx context.Context, s *rbd.Store, id string, _ *slog.Logger) error {
	i, err := s.OpenID(ctx, id, false)
	if err != nil {
		return err
	}
	defer i.Close(ctx)
	_, err = i.CreateMirrorSnapshot(ctx)
	return err
}
