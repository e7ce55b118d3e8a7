package main

import (
	"context"

	"glue/client/rbd"
)

// migrationGroup is glue rbd migration.
func (r *rbdRun) migrationGroup() verbGroup {
	return verbGroup{"migration", "moves of images to other places or layouts", []verb{
		{"prepare IMAGE [NAME]", "make the image that it moves to", 1, 2, r.migrationPrepare,
			r.deepFlags},
		{"execute IMAGE", "copy what the old one has", 1, 1,
			r.migrate((*rbd.Store).MigrationExecute), nil},
		{"commit IMAGE", "remove the old one", 1, 1, r.migrate((*rbd.Store).MigrationCommit), nil},
		{"abort IMAGE", "take the move back", 1, 1, r.migrate((*rbd.Store).MigrationAbort), nil},
	}}
}

func (r *rbdRun) migrationPrepare(ctx context.Context, args []string) error {
	s, name, err := r.spec(ctx, args[0])
	if err != nil {
		return err
	}
	if r.destPool != "" {
		r.pool = r.destPool
	}
	to, toName, err := r.spec(ctx, args[len(args)-1])
	if err != nil {
		return err
	}
	o, err := r.options()
	if err != nil {
		return err
	}
	return s.MigrationPrepare(ctx, name, to, toName, o, r.flat)
}

// migrate is a command for a migration that was prepared, by the name of either end.
func (r *rbdRun) migrate(
	step func(*rbd.Store, context.Context, string, rbd.Progress) error,
) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		s, name, err := r.spec(ctx, args[0])
		if err != nil {
			return err
		}
		report, done := r.progress("migration")
		err = step(s, ctx, name, report)
		done(err == nil)
		return err
	}
}
