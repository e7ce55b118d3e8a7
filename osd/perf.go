package osd

import (
	"glue/internal/version"
	"time"

	"glue/internal/perf"
	"glue/wire/message"
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
	subops, slow, in, out                          *perf.Value
	commit, apply                                  *perf.Value
	readHist, writeHist                            *perf.Histogram
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
	c.in = g.New(perf.Bytes, "op_in_bytes", "client operations total write size")
	c.out = g.New(perf.Bytes, "op_out_bytes", "client operations total read size")
	c.slow = g.New(perf.Gauge, "slow_ops", "operations that are slow now")
	g = c.registry.Group("objectstore")
	c.commit = g.New(perf.Average, "commit_lat", "from a transaction to its being on disk")
	c.apply = g.New(perf.Average, "apply_lat", "from a transaction to its being readable")
	g = c.registry.Group("osd")
	latency, size := perf.Axis{Name: "Latency (usec)", Quant: 100_000},
		perf.Axis{Name: "Request size (bytes)", Quant: 512}
	c.readHist = g.NewHistogram("op_r_latency_out_bytes_histogram",
		"Histogram of operation latency (including queue time) + data read", latency, size)
	c.writeHist = g.NewHistogram("op_w_latency_in_bytes_histogram",
		"Histogram of operation latency (including queue time) + data written", latency, size)
}

// op counts an answered request.
func (c *counters) op(op *clientOp, r *message.MOSDOpReply, now time.Time) {
	if op.sess == nil {
		return
	}
	took := now.Sub(op.start)
	c.ops.Add(1)
	c.latency.Observe(took)
	if op.need.MayWrite() {
		c.writes.Add(1)
		c.writeLat.Observe(took)
		size := bytesIn(op.m.Ops)
		c.in.Add(size)
		c.writeHist.Observe(int64(took), size)
		return
	}
	c.reads.Add(1)
	c.readLat.Observe(took)
	size := bytesOut(r)
	c.out.Add(size)
	c.readHist.Observe(int64(took), size)
}

func bytesIn(list []message.OSDOp) (n int64) {
	for i := range list {
		n += int64(len(list[i].In))
	}
	return n
}

func bytesOut(r *message.MOSDOpReply) (n int64) {
	if r != nil {
		for i := range r.Ops {
			n += int64(len(r.Ops[i].Out))
		}
	}
	return n
}
