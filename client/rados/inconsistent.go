package rados

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"glue/ceph"
	"glue/ceph/denc"
	"glue/client/objecter"
	"glue/cluster/inconsistent"
	"glue/wire/message"
)

// What scrubs have found; the numbers of errors are in package inconsistent.
type (
	ScrubbedObject      = inconsistent.Name
	ScrubbedShard       = inconsistent.Shard
	InconsistentObject  = inconsistent.Object
	InconsistentSnapset = inconsistent.Snapset
)

// InconsistentPGs are the PGs of a pool in which the last scrub found errors that are not repaired.
func (c *Cluster) InconsistentPGs(ctx context.Context, pool int64) ([]ceph.PGID, error) {
	out, status, err := c.MgrCommand(ctx, map[string]any{"prefix": "pg ls", "pool": pool,
		"states": []string{"inconsistent"}, "format": "json"}, nil)
	if err != nil {
		return nil, fmt.Errorf("list inconsistent PGs of pool %d: %w (%s)", pool, err, status)
	}
	var answer struct {
		Stats []struct{ PGID string } `json:"pg_stats"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("list inconsistent PGs of pool %d: %w", pool, err)
	}
	var pgs []ceph.PGID
	for _, s := range answer.Stats {
		pg, err := ceph.ParsePGID(s.PGID)
		if err != nil {
			return nil, err
		}
		pgs = append(pgs, pg)
	}
	return pgs, nil
}

// InconsistentObjects yields the objects of a PG in which the last scrub found errors. ENOENT if it
// was not scrubbed since its OSDs were last others, EAGAIN if they change meanwhile: begin again.
func (c *Cluster) InconsistentObjects(
	ctx context.Context, pg ceph.PGID,
) iter.Seq2[InconsistentObject, error] {
	return scrubbed(ctx, c, pg, 0, func(o *InconsistentObject) ScrubbedObject { return o.Object })
}

// InconsistentSnapsets yields the objects of a PG whose clones were found wrong; errors as of
// InconsistentObjects.
func (c *Cluster) InconsistentSnapsets(
	ctx context.Context, pg ceph.PGID,
) iter.Seq2[InconsistentSnapset, error] {
	return scrubbed(ctx, c, pg, 1, func(o *InconsistentSnapset) ScrubbedObject { return o.Object })
}

// scrubPage is how many records are asked for at a time.
const scrubPage = 100

// A record is a pointer to a T that decodes.
type record[T any] interface {
	*T
	denc.Value
}

// scrubbed yields what scrubs have found in a PG: objects (0) or snapshot sets (1).
func scrubbed[T any, P record[T]](
	ctx context.Context, c *Cluster, pg ceph.PGID, what uint32, name func(P) ScrubbedObject,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ask := inconsistent.Request{Snapsets: what, Max: scrubPage}
		for {
			list, err := scrubList[T, P](ctx, c, pg, &ask)
			if err != nil {
				yield(*new(T), fmt.Errorf("what the last scrub of pg %v found: %w", pg, err))
				return
			}
			for i := range list {
				if !yield(list[i], nil) {
					return
				}
			}
			if len(list) < scrubPage {
				return
			}
			ask.After = name(&list[len(list)-1])
		}
	}
}

// scrubList is one page of it; the request learns the PG's interval.
func scrubList[T any, P record[T]](
	ctx context.Context, c *Cluster, pg ceph.PGID, ask *inconsistent.Request,
) ([]T, error) {
	op := message.OSDOp{Code: message.OpScrubLS, In: denc.Marshal(ask, ceph.FeaturesAll)}
	r, err := c.obj.Do(ctx, &objecter.Op{Pool: pg.Pool, PG: &pg, Ops: []message.OSDOp{op},
		Flags: message.FlagRead | message.FlagIgnoreOverlay})
	if err != nil {
		return nil, err
	}
	if len(r.Ops) != 1 {
		return nil, fmt.Errorf("answer of %d operations: %w", len(r.Ops), ceph.EIO)
	}
	var answer inconsistent.Answer
	err = decode(r.Ops[0].Out, answer.Denc)
	ask.Interval = answer.Interval
	list := make([]T, len(answer.Records))
	for i, raw := range answer.Records {
		if err == nil {
			err = decode(raw, P(&list[i]).Denc)
		}
	}
	return list, err
}
