package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"glue/ceph"
	"glue/client/rados"
)

// snapVerbs are the commands of glue rados about snapshots of pools.
func (r *radosRun) snapVerbs() []verb {
	return []verb{
		{"lssnap", "list the pool's snapshots", 0, 0, r.lssnap, nil},
		{"mksnap SNAP", "make a snapshot of the pool", 1, 1, r.mksnap, nil},
		{"rmsnap SNAP", "remove a snapshot of the pool", 1, 1, r.rmsnap, nil},
		{"listsnaps OBJECT", "list the states of an object that snapshots keep", 1, 1,
			r.listsnaps, nil},
		{"rollback OBJECT SNAP", "make an object what it was at a snapshot", 2, 2, r.rollback, nil},
	}
}

func (r *radosRun) snapFlags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&r.snap, "snap", "s", "", "read at this snapshot of the pool")
}

// atSnap is the pool as it was at the snapshot that the flags name.
func (r *radosRun) atSnap(ctx context.Context, x *rados.IOCtx) (*rados.IOCtx, error) {
	if r.snap == "" {
		return x, nil
	}
	s, err := x.PoolSnap(ctx, r.snap)
	if err != nil {
		return nil, err
	}
	return x.WithSnap(s.ID), nil
}

func (r *radosRun) lssnap(ctx context.Context, _ []string) error {
	x, err := r.openPool(ctx)
	if err != nil {
		return err
	}
	list := x.PoolSnaps()
	for _, s := range list {
		r.printf("%d\t%s\t%s\n", s.ID, s.Name, s.Created.Local().Format("2006.01.02 15:04:05"))
	}
	r.printf("%d snaps\n", len(list))
	return nil
}

func (r *radosRun) mksnap(ctx context.Context, args []string) error {
	x, err := r.openPool(ctx)
	if err != nil {
		return err
	}
	if err := x.CreatePoolSnap(ctx, args[0]); err != nil {
		return err
	}
	r.printf("created pool %s snap %s\n", r.pool, args[0])
	return nil
}

func (r *radosRun) rmsnap(ctx context.Context, args []string) error {
	x, err := r.openPool(ctx)
	if err != nil {
		return err
	}
	if err := x.RemovePoolSnap(ctx, args[0]); err != nil {
		return err
	}
	r.printf("removed pool %s snap %s\n", r.pool, args[0])
	return nil
}

func (r *radosRun) rollback(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	s, err := x.PoolSnap(ctx, args[1])
	if err != nil {
		return err
	}
	if err := x.Rollback(ctx, args[0], s.ID); err != nil && !errors.Is(err, ceph.ENOENT) {
		return fmt.Errorf("roll %s/%s back to %s: %w", r.pool, args[0], args[1], err)
	}
	r.printf("rolled back pool %s to snapshot %s\n", r.pool, args[1])
	return nil
}

// A cloneJSON is one state of the JSON of listsnaps.
type cloneJSON struct {
	ID       any         `json:"id"`
	Snaps    []snapJSON  `json:"snapshots"`
	Size     uint64      `json:"size"`
	Overlaps *[]spanJSON `json:"overlaps,omitempty"`
}

type snapJSON struct {
	ID   uint64 `json:"id"`
	Name string `json:"name,omitempty"`
}

type spanJSON struct {
	Start  uint64 `json:"start"`
	Length uint64 `json:"length"`
}

func (r *radosRun) listsnaps(ctx context.Context, args []string) error {
	x, err := r.openIO(ctx)
	if err != nil {
		return err
	}
	set, err := x.ListSnaps(ctx, args[0])
	if err != nil {
		return fmt.Errorf("error listing snap shots %s/%s: %w", r.pool, args[0], err)
	}
	names := map[ceph.SnapID]string{}
	for _, s := range x.PoolSnaps() {
		names[s.ID] = s.Name
	}
	out := []cloneJSON{}
	for _, c := range set.Clones {
		j := cloneJSON{ID: uint64(c.ID), Snaps: []snapJSON{}, Size: c.Size}
		for _, s := range c.Snaps {
			j.Snaps = append(j.Snaps, snapJSON{uint64(s), names[s]})
		}
		if c.ID == ceph.NoSnap {
			j.ID = "head"
		} else {
			spans := []spanJSON{}
			for _, e := range c.Overlap {
				spans = append(spans, spanJSON{e.Off, e.Len})
			}
			j.Overlaps = &spans
		}
		out = append(out, j)
	}
	if r.json() {
		return r.printJSON(struct {
			Name   string      `json:"name"`
			Clones []cloneJSON `json:"clones"`
		}{args[0], out})
	}
	r.printf("%s:\n%s", args[0], clonesTable(out))
	return nil
}

func clonesTable(list []cloneJSON) string {
	var b strings.Builder
	b.WriteString("cloneid\tsnaps\tsize\toverlap\n")
	for _, c := range list {
		if c.Overlaps == nil {
			fmt.Fprintf(&b, "%v\t-\t%d\n", c.ID, c.Size)
			continue
		}
		var snaps, spans []string
		for _, s := range c.Snaps {
			snaps = append(snaps, strconv.FormatUint(s.ID, 10))
		}
		for _, o := range *c.Overlaps {
			spans = append(spans, fmt.Sprintf("%d~%d", o.Start, o.Length))
		}
		fmt.Fprintf(&b, "%v\t%s\t%d\t[%s]\n", c.ID, strings.Join(snaps, ","), c.Size,
			strings.Join(spans, ","))
	}
	return b.String()
}
