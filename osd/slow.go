package osd

import (
	"strconv"
	"time"

	"glue/cluster/daemonstate"
	"glue/internal/perf"
	"glue/osd/optrack"
	"glue/wire/message"
)

// slowTick looks for requests that take too long, once a second, and tells the cluster log of new
// ones at growing intervals (OSD::get_health_metrics).
func (d *Daemon) slowTick(now time.Time) {
	w := &d.slow
	if now.Sub(w.at) < time.Second {
		return
	}
	w.at = now
	was := w.ops.N
	w.ops = d.slowOps(now, d.config.Load().complaint)
	d.counters.Slow.Set(int64(w.ops.N))
	if w.ops.N == 0 {
		w.every = 0
		return
	}
	if was == 0 || now.Sub(w.said) >= w.every {
		w.said, w.every = now, min(max(2*w.every, slowFirst), slowLongest)
		text := w.ops.Text(d.poolName)
		d.log.Warn("requests are slow", "text", text)
		d.clusterLog(message.LogWarn, text)
	}
}

func (d *Daemon) poolName(id int64) string {
	if m := d.osdmap.Load(); m != nil {
		return m.PoolName(id)
	}
	return ""
}

// A slow request is told of at once, then after these intervals, each twice the one before.
const (
	slowFirst   = 5 * time.Second
	slowLongest = 5 * time.Minute
)

// A slowWatch is what the control goroutine knows of slow requests.
type slowWatch struct {
	at, said time.Time
	every    time.Duration
	ops      optrack.Slow
	told     int // how many the manager knows of
}

// news says whether slow requests have appeared or gone since the manager was told.
func (w *slowWatch) news() bool { return (w.told > 0) != (w.ops.N > 0) }

// mgrReport is what the manager is told of the daemon besides its PGs: slow requests and, when it
// has changed, the configuration.
func (d *Daemon) mgrReport() *message.MMgrReport {
	o := &d.slow.ops
	d.slow.told = o.N
	status := map[string]string{}
	for name, v := range map[string]*perf.Value{"op_r": d.counters.Reads,
		"op_w": d.counters.Writes, "op_in_bytes": d.counters.In, "op_out_bytes": d.counters.Out} {
		status[name] = strconv.FormatInt(v.Load(), 10)
	}
	r := &message.MMgrReport{DaemonName: d.idText(), Status: &status,
		Health: []message.HealthMetric{message.SlowOps(o.N, o.Oldest)},
		Tail:   d.counters.Images.Take()}
	if d.reporter.configDue.Swap(false) {
		r.Config = daemonstate.EncodeConfig(d.conf.Report())
	}
	return r
}
