package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"glue/ceph"
)

// lookAtOSDs names the manager and those OSDs that are to run. An OSD that was purged is
// forgotten, and one that was destroyed waits for "glue osd create --replace".
func (s *spec) lookAtOSDs(ctx context.Context, l layout, out io.Writer) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	c, err := connectAdmin(ctx, l)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.WaitLatestMap(ctx); err != nil {
		return nil, err
	}
	m, names := c.Map(), []string{"mgr." + s.Mgr}
	left := slices.DeleteFunc(slices.Clone(s.OSDs), func(o osdSpec) bool {
		id := int32(o.ID)
		uuid, err := ceph.ParseUUID(o.UUID)
		switch {
		case err != nil || !m.Exists(id):
			fmt.Fprintf(out, "osd.%d was purged; what is left of it is in %s.\n", id,
				l.data(osdName(o.ID)))
			return true
		case m.IsDestroyed(id):
			fmt.Fprintf(out, "osd.%d is destroyed: glue osd create --data %s --replace %d\n", id,
				l.dir, id)
		case m.UUIDs[id] != uuid:
			fmt.Fprintf(out, "osd.%d is another disk now, not the one in %s.\n", id,
				l.data(osdName(o.ID)))
		default:
			names = append(names, osdName(o.ID))
		}
		return false
	})
	if len(left) == len(s.OSDs) {
		return names, nil
	}
	s.OSDs = left
	return names, s.save(l)
}
