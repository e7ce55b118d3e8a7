// Package counters is what an OSD counts of its requests, for "perf dump" and the manager. Every
// method may be called from any goroutine.
package counters

import (
	"time"

	"glue/internal/perf"
	"glue/wire/message"
)

// A Set is what "perf dump" prints.
type Set struct {
	Registry                                       perf.Registry
	Ops, Reads, Writes, Latency, ReadLat, WriteLat *perf.Value
	Subops, Slow, In, Out                          *perf.Value
	CopyReads, CopyServed                          *perf.Value
	Commit, Apply                                  *perf.Value
	ReadHist, WriteHist                            *perf.Histogram
	Images                                         Images
}

// Init makes the counters.
func (c *Set) Init() {
	g := c.Registry.Group("osd")
	c.Ops = g.New(perf.Counter, "op", "client operations")
	c.Reads = g.New(perf.Counter, "op_r", "client read operations")
	c.Writes = g.New(perf.Counter, "op_w", "client write operations")
	c.Latency = g.New(perf.Average, "op_latency", "latency of client operations")
	c.ReadLat = g.New(perf.Average, "op_r_latency", "latency of client reads")
	c.WriteLat = g.New(perf.Average, "op_w_latency", "latency of client writes")
	c.Subops = g.New(perf.Counter, "subop", "operations of primaries")
	c.CopyReads = g.New(perf.Counter, "replica_read", "reads that came to another copy than the "+
		"primary")
	c.CopyServed = g.New(perf.Counter, "replica_read_served", "those of them that it answered")
	c.In = g.New(perf.Bytes, "op_in_bytes", "client operations total write size")
	c.Out = g.New(perf.Bytes, "op_out_bytes", "client operations total read size")
	c.Slow = g.New(perf.Gauge, "slow_ops", "operations that are slow now")
	g = c.Registry.Group("objectstore")
	c.Commit = g.New(perf.Average, "commit_lat", "from a transaction to its being on disk")
	c.Apply = g.New(perf.Average, "apply_lat", "from a transaction to its being readable")
	g = c.Registry.Group("osd")
	latency, size := perf.Axis{Name: "Latency (usec)", Quant: 100_000},
		perf.Axis{Name: "Request size (bytes)", Quant: 512}
	c.ReadHist = g.NewHistogram("op_r_latency_out_bytes_histogram",
		"Histogram of operation latency (including queue time) + data read", latency, size)
	c.WriteHist = g.NewHistogram("op_w_latency_in_bytes_histogram",
		"Histogram of operation latency (including queue time) + data written", latency, size)
}

// Op counts an answered request.
func (c *Set) Op(m *message.MOSDOp, r *message.MOSDOpReply, write bool, took time.Duration) {
	c.Ops.Add(1)
	c.Latency.Observe(took)
	if write {
		c.Writes.Add(1)
		c.WriteLat.Observe(took)
		size := bytesIn(m.Ops)
		c.In.Add(size)
		c.Images.count(m, write, size, took)
		c.WriteHist.Observe(int64(took), size)
		return
	}
	c.Reads.Add(1)
	c.ReadLat.Observe(took)
	size := bytesOut(r)
	c.Out.Add(size)
	c.Images.count(m, write, size, took)
	c.ReadHist.Observe(int64(took), size)
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
