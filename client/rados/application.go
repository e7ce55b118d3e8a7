package rados

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"glue/ceph"
)

// pool application commands, with their errors explained.
func (x *IOCtx) application(ctx context.Context, verb string, args map[string]any) error {
	args["prefix"], args["pool"] = "osd pool application "+verb, x.PoolName()
	_, status, err := x.c.MonCommand(ctx, args, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", status, err)
	}
	return x.c.WaitLatestMap(ctx)
}

// Applications lists the applications that use the pool.
func (x *IOCtx) Applications() []string {
	p := x.Pool()
	if p == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.Applications))
}

// EnableApplication marks the pool as used by an application; EPERM if another is there already,
// unless forced.
func (x *IOCtx) EnableApplication(ctx context.Context, app string, force bool) error {
	args := map[string]any{"app": app}
	if force {
		args["yes_i_really_mean_it"] = true
	}
	return x.application(ctx, "enable", args)
}

// ApplicationMetadata is what an application has noted at the pool; ENOENT if it is not enabled.
func (x *IOCtx) ApplicationMetadata(app string) (map[string]string, error) {
	if p := x.Pool(); p != nil {
		if m, ok := p.Applications[app]; ok {
			return maps.Clone(m), nil
		}
	}
	return nil, fmt.Errorf("application %s is not enabled on pool %s: %w", app, x.PoolName(),
		ceph.ENOENT)
}

// SetApplicationMetadata notes a value for an application at the pool.
func (x *IOCtx) SetApplicationMetadata(ctx context.Context, app, key, value string) error {
	return x.application(ctx, "set", map[string]any{"app": app, "key": key, "value": value})
}

// RemoveApplicationMetadata removes a value of an application.
func (x *IOCtx) RemoveApplicationMetadata(ctx context.Context, app, key string) error {
	return x.application(ctx, "rm", map[string]any{"app": app, "key": key})
}
