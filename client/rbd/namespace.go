package rbd

import (
	"context"
	"errors"
	"fmt"

	"glue/ceph"
	"glue/ceph/denc"
)

// namespaceObject has the namespaces of a pool.
const namespaceObject = "rbd_namespace"

// Namespaces lists the namespaces of the pool by name, without the default one.
func (s *Store) Namespaces(ctx context.Context) ([]string, error) {
	x := s.x.WithNamespace("")
	var out []string
	for start := ""; ; {
		var page []string
		err := call(ctx, x, namespaceObject, "namespace_list", encode(func(c *denc.Coder) {
			n := uint64(listPage)
			c.Str(&start)
			c.U64(&n)
		}), func(c *denc.Coder) { denc.ListFunc(c, &page, (*denc.Coder).Str) })
		if errors.Is(err, ceph.ENOENT) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list namespaces of pool %s: %w", x.PoolName(), err)
		}
		if out = append(out, page...); len(page) < listPage {
			return out, nil
		}
		start = page[len(page)-1]
	}
}
