package rbd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/rbd/class"
	"glue/client/rbd/directory"
	"glue/client/rbd/layout"
	"glue/client/rbd/notice"
	"glue/cluster/rbdspec"
)

// A MigrationEnd is an image that is migrated from, or to.
type MigrationEnd struct {
	Pool      int64
	Namespace string
	Image     string
	ImageID   string // empty: in the format before the present one
}

// at is a snapshot of the image, as its clones name it.
func (e MigrationEnd) at(id ceph.SnapID) parentSpec {
	return parentSpec{Pool: e.Pool, Namespace: e.Namespace, Image: e.ImageID, Snap: id}
}

func otherEnd(m rbdspec.Migration) MigrationEnd {
	return MigrationEnd{m.Pool, m.Namespace, m.ImageName, m.ImageID}
}

// A Migration is the move of an image: the source is in the trash, and clients of the destination
// read there what they do not find yet.
type Migration struct {
	From, To    MigrationEnd
	State       rbdspec.MigrationState
	Description string

	spec rbdspec.Migration // the destination's
	s    *Store
	gone bool // the destination is not there
}

// Migration finds the migration of an image by the name of either end: EINVAL if it has none,
// ENOENT without the image.
func (s *Store) Migration(ctx context.Context, name string) (*Migration, error) {
	id, err := directory.ID(ctx, s.x, name)
	if errors.Is(err, ceph.ENOENT) {
		id, err = directory.FindInTrash(ctx, s.x, name, err,
			func(e TrashEntry) bool { return e.Source == directory.TrashMigration })
	}
	if err != nil {
		return nil, err
	}
	spec, err := s.migrationOf(ctx, id)
	if err != nil {
		return nil, err
	}
	here := MigrationEnd{s.x.PoolID(), s.x.Namespace(), name, id}
	m := &Migration{From: otherEnd(spec), To: here, State: spec.State,
		Description: spec.StateDescription, spec: spec, s: s}
	if spec.HeaderType == rbdspec.MigrationSource {
		m.From, m.To = here, otherEnd(spec)
		m.spec, err = m.store(m.To).migrationOf(ctx, m.To.ImageID)
		m.gone = errors.Is(err, ceph.ENOENT) && m.State != rbdspec.MigrationExecuted
		if m.gone { // it was not made yet, or an abort was interrupted
			m.spec, err = rbdspec.Migration{Mirroring: spec.Mirroring}, nil
		}
	} else if m.native() {
		_, err = m.store(m.From).migrationOf(ctx, m.From.ImageID)
	}
	return m, err
}

// native says whether the source is an image that this package can open.
func (m *Migration) native() bool { return m.spec.SourceSpec == "" && m.From.ImageID != "" }

// migrationOf is what the header of an image says of its migration.
func (s *Store) migrationOf(ctx context.Context, id string) (rbdspec.Migration, error) {
	var m rbdspec.Migration
	err := class.Call(ctx, s.x, layout.HeaderPrefix+id, "migration_get", nil, m.Denc)
	if err != nil {
		return m, fmt.Errorf("migration of image id %s: %w", id, err)
	}
	return m, nil
}

// interrupted finds a migration to a name of this store by its source alone: whoever committed or
// aborted it has ended in between. nil if there is none in the state.
func (s *Store) interrupted(
	ctx context.Context, name string, state rbdspec.MigrationState,
) (*Migration, error) {
	all := s.x.Cluster().Map().Pools
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if _, ok := all[id].Applications["rbd"]; !ok && id != s.x.PoolID() {
			continue
		}
		x := s.x.Cluster().OpenPoolID(id)
		names, err := NewStore(x).Namespaces(ctx)
		if err != nil {
			return nil, err
		}
		for _, ns := range append(names, "") {
			m, err := s.leftIn(ctx, NewStore(x.WithNamespace(ns)), name, state)
			if m != nil || err != nil {
				return m, err
			}
		}
	}
	return nil, nil
}

// leftIn is interrupted for the sources of one place.
func (s *Store) leftIn(
	ctx context.Context, from *Store, name string, state rbdspec.MigrationState,
) (*Migration, error) {
	list, err := from.TrashList(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.Source != directory.TrashMigration {
			continue
		}
		spec, err := from.migrationOf(ctx, e.ID)
		if errors.Is(err, ceph.ENOENT) || errors.Is(err, ceph.EINVAL) {
			if err := from.tidy(ctx, e, errors.Is(err, ceph.ENOENT)); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		to := otherEnd(spec)
		if spec.HeaderType != rbdspec.MigrationSource || spec.State != state || to.Image != name ||
			to.Pool != s.x.PoolID() || to.Namespace != s.x.Namespace() {
			continue
		}
		here := MigrationEnd{from.x.PoolID(), from.x.Namespace(), e.Name, e.ID}
		m := &Migration{From: here, To: to, State: state, Description: spec.StateDescription,
			spec: rbdspec.Migration{Mirroring: spec.Mirroring}, s: s}
		h, err := readHeader(ctx, s.x, to.ImageID)
		switch m.gone = errors.Is(err, ceph.ENOENT); {
		case err != nil && !m.gone:
			return nil, err
		case state == rbdspec.MigrationAborting && m.gone,
			state != rbdspec.MigrationAborting && !m.gone && !h.Features.Has(Migrating):
			return m, nil
		}
	}
	return nil, nil
}

// tidy removes an entry from the trash that is all that an interrupted end of a migration has
// left: its image was removed, or has its name again.
func (s *Store) tidy(ctx context.Context, e TrashEntry, removed bool) error {
	id, err := directory.ID(ctx, s.x, e.Name)
	if !removed && (err != nil || id != e.ID) {
		return class.UnlessGone(err)
	}
	return directory.RemoveFromTrash(ctx, s.x, e.ID)
}

// store is where an end is.
func (m *Migration) store(e MigrationEnd) *Store { return m.s.at(e.Pool, e.Namespace) }

// Supported says why a migration can only be carried on by a stock client: EOPNOTSUPP.
func (m *Migration) Supported(ctx context.Context) error {
	const instead = "; use the command rbd migration of a client of Ceph: %w"
	switch {
	case m.spec.SourceSpec != "":
		return fmt.Errorf("migrating what is not an image of this cluster is not available here"+
			instead, ceph.EOPNOTSUPP)
	case !m.native():
		return fmt.Errorf("migrating an image of format 1 is not available here"+instead,
			ceph.EOPNOTSUPP)
	case m.spec.Mirroring:
		return fmt.Errorf("migrating an image that is mirrored is not available here"+instead,
			ceph.EOPNOTSUPP)
	}
	for _, e := range []MigrationEnd{m.From, m.To} {
		if e == m.To && m.gone {
			continue
		}
		h, err := readHeader(ctx, m.store(e).x, e.ImageID)
		if err != nil {
			return err
		}
		if odd := h.Features &^ (known&^Journaling | Migrating); odd != 0 {
			return fmt.Errorf("migrating an image with features %v is not available here"+instead,
				odd, ceph.EOPNOTSUPP)
		}
		if h.Operations&^opKnown != 0 {
			return fmt.Errorf("migrating an image that takes part in operations %#x is not "+
				"available here"+instead, h.Operations&^opKnown, ceph.EOPNOTSUPP)
		}
	}
	return nil
}

// open opens an end to change it, although it is being migrated.
func (m *Migration) open(ctx context.Context, e MigrationEnd) (*Image, error) {
	i := newImage(m.store(e), e.Image, e.ImageID, false)
	i.migrating = true
	if err := i.begin(ctx); err != nil {
		return nil, errors.Join(err, i.Close(ctx))
	}
	return i, nil
}

// set stores how far the migration is at one end.
func (m *Migration) set(
	ctx context.Context, e MigrationEnd, state rbdspec.MigrationState, description string,
) error {
	err := class.Change(ctx, m.store(e).x, layout.HeaderPrefix+e.ImageID, "migration_set_state",
		class.Encode(func(c *denc.Coder) {
			c.U8((*uint8)(&state))
			c.Str(&description)
		}))
	if err != nil {
		return fmt.Errorf("state of the migration of image %s: %w", e.Image, err)
	}
	return nil
}

// setBoth stores how far the migration is; the source comes first.
func (m *Migration) setBoth(
	ctx context.Context, state rbdspec.MigrationState, description string,
) error {
	if err := m.set(ctx, m.From, state, description); err != nil {
		return err
	}
	return m.set(ctx, m.To, state, description)
}

// end removes what the header of an end says of the migration; also if it says nothing any more.
func (m *Migration) end(ctx context.Context, e MigrationEnd) error {
	x := m.store(e).x
	err := class.Change(ctx, x, layout.HeaderPrefix+e.ImageID, "migration_remove", nil)
	if err != nil && !errors.Is(err, ceph.ENOENT) {
		return fmt.Errorf("end the migration of image %s: %w", e.Image, err)
	}
	notice.HeaderChanged(ctx, x, e.ImageID)
	return nil
}
