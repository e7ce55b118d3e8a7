package rbd

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
	"glue/osd/class"
)

// The first bytes of a header in the old format.
const (
	headerText        = "<<< Rados Block Device Image >>>\n"
	migrateHeaderText = "<<< Migrating RBD Image      >>>\n"
)

// A migration is where an image is going to or coming from.
type migration = rbdspec.Migration

// oldFormat reads which text the header of an image in the old format has.
func oldFormat(ctx class.Context) (migrating bool, err error) {
	// The constants of the original are C strings: their final zero is compared as well.
	text, err := ctx.Read(0, uint64(len(headerText)+1))
	if err != nil {
		return false, err
	}
	switch string(text) {
	case headerText + "\x00":
		return false, nil
	case migrateHeaderText + "\x00":
		return true, nil
	}
	return false, ceph.ENXIO
}

func migrationSet(ctx class.Context, in []byte) ([]byte, error) {
	m, err := class.Input(in, class.Of[migration])
	if err != nil {
		return nil, err
	}
	if _, err := ctx.OmapVal("migration"); err == nil {
		return nil, ceph.EEXIST
	} else if !class.IsMissing(err) {
		return nil, err
	}
	features, err := class.Get(ctx, "features", class.U64)
	switch {
	case class.IsMissing(err):
		err = startOldMigration(ctx, &m)
	case err != nil:
	case features&featMigrating == 0:
		err = class.Put(ctx, "features", class.U64, features|featMigrating)
	case m.HeaderType != rbdspec.MigrationDestination:
		err = ceph.EEXIST
	}
	if err != nil {
		return nil, err
	}
	return nil, class.Put(ctx, "migration", class.Of[migration], m)
}

// startOldMigration marks the header of an image in the old format, which can only be left.
func startOldMigration(ctx class.Context, m *migration) error {
	migrating, err := oldFormat(ctx)
	switch {
	case err != nil:
		return err
	case migrating:
		return ceph.EEXIST
	case m.HeaderType != rbdspec.MigrationSource:
		return ceph.EINVAL
	}
	return ctx.Write(0, []byte(migrateHeaderText))
}

// getMigration reads the migration of an image that has one; EINVAL otherwise.
func getMigration(ctx class.Context) (migration, error) {
	features, err := class.Get(ctx, "features", class.U64)
	if class.IsMissing(err) {
		migrating, err := oldFormat(ctx)
		if err != nil {
			return migration{}, err
		}
		if !migrating {
			return migration{}, ceph.EINVAL
		}
	} else if err != nil {
		return migration{}, err
	} else if features&featMigrating == 0 {
		return migration{}, ceph.EINVAL
	}
	return class.Get(ctx, "migration", class.Of[migration])
}

func migrationSetState(ctx class.Context, in []byte) ([]byte, error) {
	var state rbdspec.MigrationState
	var description string
	err := class.Decode(in, func(c *denc.Coder) {
		c.U8((*uint8)(&state))
		c.Str(&description)
	})
	if err != nil {
		return nil, err
	}
	m, err := getMigration(ctx)
	if err != nil {
		return nil, err
	}
	m.State, m.StateDescription = state, description
	return nil, class.Put(ctx, "migration", class.Of[migration], m)
}

func migrationGet(ctx class.Context, _ []byte) ([]byte, error) {
	m, err := getMigration(ctx)
	if err != nil {
		return nil, err
	}
	return class.Encoded(class.Of[migration], m), nil
}

func migrationRemove(ctx class.Context, _ []byte) ([]byte, error) {
	if err := class.Remove(ctx, "migration"); err != nil {
		return nil, err
	}
	features, err := class.Get(ctx, "features", class.U64)
	switch {
	case class.IsMissing(err):
		migrating, err := oldFormat(ctx)
		if err != nil {
			return nil, err
		}
		if !migrating {
			return nil, ceph.EINVAL
		}
		return nil, ctx.Write(0, []byte(headerText))
	case err != nil || features&featMigrating == 0:
		return nil, err
	}
	return nil, class.Put(ctx, "features", class.U64, features&^featMigrating)
}
