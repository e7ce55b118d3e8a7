package osd

import (
	"fmt"
	"glue/internal/version"
	"sync"
	"time"

	"glue/internal/perf"
)

// What "ceph versions" and "ceph tell osd.N version" say.
const (
	versionShort = version.Ceph
	versionText  = version.Long
)

// counters are what "perf dump" prints.
type counters struct {
	registry                                       perf.Registry
	ops, reads, writes, latency, readLat, writeLat *perf.Value
	subops                                         *perf.Value
}

func (c *counters) init() {
	g := c.registry.Group("osd")
	c.ops = g.New(perf.Counter, "op", "client operations")
	c.reads = g.New(perf.Counter, "op_r", "client read operations")
	c.writes = g.New(perf.Counter, "op_w", "client write operations")
	c.latency = g.New(perf.Average, "op_latency", "latency of client operations")
	c.readLat = g.New(perf.Average, "op_r_latency", "latency of client reads")
	c.writeLat = g.New(perf.Average, "op_w_latency", "latency of client writes")
	c.subops = g.New(perf.Counter, "subop", "operations of primaries")
}

// op counts an answered request.
func (c *counters) op(op *clientOp, now time.Time) {
	if op.sess == nil {
		return
	}
	took := now.Sub(op.start)
	c.ops.Add(1)
	c.latency.Observe(took)
	if op.need.MayWrite() {
		c.writes.Add(1)
		c.writeLat.Observe(took)
		return
	}
	c.reads.Add(1)
	c.readLat.Observe(took)
}

// An opTracker knows the requests that are under way, for "dump_ops_in_flight".
type opTracker struct {
	mu  sync.Mutex
	ops map[*trackedOp]struct{}
}

// A trackedOp is one request under way.
type trackedOp struct {
	op    *clientOp
	stage string // guarded by the tracker's mu
	t     *opTracker
}

func (t *opTracker) begin(op *clientOp) *trackedOp {
	o := &trackedOp{op: op, t: t, stage: "started"}
	t.mu.Lock()
	if t.ops == nil {
		t.ops = map[*trackedOp]struct{}{}
	}
	t.ops[o] = struct{}{}
	t.mu.Unlock()
	return o
}

func (t *opTracker) end(o *trackedOp) {
	if o == nil {
		return
	}
	t.mu.Lock()
	delete(t.ops, o)
	t.mu.Unlock()
}

// mark notes what a request waits for.
func (o *trackedOp) mark(stage string) {
	if o == nil {
		return
	}
	o.t.mu.Lock()
	o.stage = stage
	o.t.mu.Unlock()
}

// dump is what "dump_ops_in_flight" prints.
func (t *opTracker) dump() any {
	type row struct {
		Description string  `json:"description"`
		Age         float64 `json:"age"`
		Stage       string  `json:"flag_point"`
	}
	out := struct {
		Ops []row `json:"ops"`
		N   int   `json:"num_ops"`
	}{Ops: []row{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	for o := range t.ops {
		out.Ops = append(out.Ops, row{
			Description: fmt.Sprintf("osd_op(%v %v %v e%d)", o.op.reqid, o.op.m.PG,
				o.op.object.Name, o.op.m.Epoch),
			Age: time.Since(o.op.start).Seconds(), Stage: o.stage,
		})
	}
	out.N = len(out.Ops)
	return out
}
