package rbd

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/rbdspec"
)

// groupDirectory holds the groups of a pool or namespace: name to id and back.
const groupDirectory = "rbd_group_directory"

// GroupOf is the group that an image, by its id, is in: POOL/[NAMESPACE/]GROUP, empty for none or
// if there is no such image.
func (s *Store) GroupOf(ctx context.Context, id string) (string, error) {
	g := rbdspec.Group{Pool: -1}
	err := call(ctx, s.x, headerPrefix+id, "image_group_get", nil, g.Denc)
	if errors.Is(err, ceph.EOPNOTSUPP) || errors.Is(err, ceph.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("group of image id %s: %w", id, err)
	}
	if g.Pool < 0 {
		return "", nil
	}
	x := s.x.Cluster().OpenPoolID(g.Pool).WithNamespace(s.x.Namespace())
	name := "id " + g.ID // it is in a group, also if that has lost its name
	_ = call(ctx, x, groupDirectory, "dir_get_name", strArg(g.ID),
		func(c *denc.Coder) { c.Str(&name) })
	if ns := x.Namespace(); ns != "" {
		name = ns + "/" + name
	}
	return x.PoolName() + "/" + name, nil
}
