package objecter

import (
	"context"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

// poolOp changes a pool and waits for the map that has the change.
func (o *Objecter) poolOp(ctx context.Context, b *message.MPoolOp) ([]byte, error) {
	b.FSID = o.mon.FSID()
	if m := o.Map(); m != nil {
		b.Version = uint64(m.Epoch)
	}
	m, err := o.mon.Request(ctx, b, nil)
	if err != nil {
		return nil, err
	}
	r, ok := m.Body.(*message.MPoolOpReply)
	if !ok {
		return nil, fmt.Errorf("monitor answered a pool request with %v", m.Body.Type())
	}
	if err := ceph.ErrorOf(r.Result); err != nil {
		return nil, err
	}
	if _, err := o.WaitMap(ctx, r.Epoch); err != nil {
		return nil, err
	}
	return r.Data, nil
}

// CreatePool makes a pool with the cluster's defaults; rule -1 is the default CRUSH rule.
func (o *Objecter) CreatePool(ctx context.Context, name string, rule int16) error {
	_, err := o.poolOp(ctx, &message.MPoolOp{Op: message.PoolCreate, Name: name, Rule: rule})
	return err
}

// DeletePool removes a pool with all objects. The monitors refuse it unless mon_allow_pool_delete
// is set.
func (o *Objecter) DeletePool(ctx context.Context, pool int64) error {
	_, err := o.poolOp(ctx, &message.MPoolOp{Op: message.PoolDelete, Pool: uint32(pool),
		Name: "delete"})
	return err
}

// CreateSnapID makes a self-managed snapshot's number.
func (o *Objecter) CreateSnapID(ctx context.Context, pool int64) (ceph.SnapID, error) {
	data, err := o.poolOp(ctx, &message.MPoolOp{Op: message.PoolCreateOwnSnap,
		Pool: uint32(pool)})
	if err != nil {
		return 0, err
	}
	c := denc.NewDecoder(data, 0)
	var id ceph.SnapID
	id.Denc(c)
	if err := c.Err(); err != nil {
		return 0, fmt.Errorf("snapshot number: %w", err)
	}
	return id, nil
}

// DeleteSnapID gives a self-managed snapshot's number back and lets its clones be removed.
func (o *Objecter) DeleteSnapID(ctx context.Context, pool int64, id ceph.SnapID) error {
	_, err := o.poolOp(ctx, &message.MPoolOp{Op: message.PoolDeleteOwnSnap, Pool: uint32(pool),
		SnapID: id})
	return err
}

// CreatePoolSnap makes a snapshot of a whole pool, unless it has one of this name; EINVAL in a pool
// with self-managed snapshots.
func (o *Objecter) CreatePoolSnap(ctx context.Context, pool int64, name string) error {
	_, err := o.poolOp(ctx, &message.MPoolOp{Op: message.PoolCreateSnap, Pool: uint32(pool),
		Name: name})
	return err
}

// DeletePoolSnap removes a snapshot of a whole pool, if there is one of this name.
func (o *Objecter) DeletePoolSnap(ctx context.Context, pool int64, name string) error {
	_, err := o.poolOp(ctx, &message.MPoolOp{Op: message.PoolDeleteSnap, Pool: uint32(pool),
		Name: name})
	return err
}

// Statfs is the space of the cluster, or of one pool if pool is not nil.
func (o *Objecter) Statfs(ctx context.Context, pool *int64) (*message.MStatfsReply, error) {
	m, err := o.mon.Request(ctx, &message.MStatfs{FSID: o.mon.FSID(), DataPool: pool}, nil)
	if err != nil {
		return nil, err
	}
	r, ok := m.Body.(*message.MStatfsReply)
	if !ok {
		return nil, fmt.Errorf("monitor answered a space request with %v", m.Body.Type())
	}
	return r, nil
}

// PoolStats is the encoded statistics (pool_stat_t) of pools, by name. perPool says that the
// stores account space per pool.
func (o *Objecter) PoolStats(
	ctx context.Context, names []string,
) (stats map[string]message.Section, perPool bool, err error) {
	m, err := o.mon.Request(ctx, &message.MGetPoolStats{FSID: o.mon.FSID(), Pools: names}, nil)
	if err != nil {
		return nil, false, err
	}
	r, ok := m.Body.(*message.MGetPoolStatsReply)
	if !ok {
		return nil, false, fmt.Errorf("monitor answered a statistics request with %v",
			m.Body.Type())
	}
	return r.Pools, r.PerPool, nil
}
