package osd

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/cluster/daemonstate"
	"glue/internal/perf"
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
	was := w.ops.n
	w.ops = d.slowOps(now, d.config.Load().complaint)
	d.counters.Slow.Set(int64(w.ops.n))
	if w.ops.n == 0 {
		w.every = 0
		return
	}
	if was == 0 || now.Sub(w.said) >= w.every {
		w.said, w.every = now, min(max(2*w.every, slowFirst), slowLongest)
		text := d.slowText(&w.ops)
		d.log.Warn("requests are slow", "text", text)
		d.clusterLog(message.LogWarn, text)
	}
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
	ops      slowOps
	told     int // how many the manager knows of
}

// news says whether slow requests have appeared or gone since the manager was told.
func (w *slowWatch) news() bool { return (w.told > 0) != (w.ops.n > 0) }

func (d *Daemon) slowText(o *slowOps) string {
	var kinds, pools []string
	for _, k := range slices.Sorted(maps.Keys(o.stages)) {
		kinds = append(kinds, fmt.Sprintf("'%s' : %d", k, o.stages[k]))
	}
	most := int64(-1)
	for _, id := range slices.Sorted(maps.Keys(o.pools)) {
		if most < 0 || o.pools[id] > o.pools[most] {
			most = id
		}
	}
	if m := d.osdmap.Load(); m != nil && most >= 0 {
		pools = append(pools, fmt.Sprintf("'%s' : %d", m.PoolName(most), o.pools[most]))
	}
	return fmt.Sprintf("%d slow requests (by type [ %s ] most affected pool [ %s ])", o.n,
		strings.Join(kinds, " "), strings.Join(pools, " "))
}

// mgrReport is what the manager is told of the daemon besides its PGs: slow requests and, when it
// has changed, the configuration.
func (d *Daemon) mgrReport() *message.MMgrReport {
	o := &d.slow.ops
	d.slow.told = o.n
	status := map[string]string{}
	for name, v := range map[string]*perf.Value{"op_r": d.counters.Reads,
		"op_w": d.counters.Writes, "op_in_bytes": d.counters.In, "op_out_bytes": d.counters.Out} {
		status[name] = strconv.FormatInt(v.Load(), 10)
	}
	r := &message.MMgrReport{DaemonName: d.idText(), Status: &status,
		Health: []message.HealthMetric{message.SlowOps(o.n, o.oldest)}}
	if d.reporter.configDue.Swap(false) {
		r.Config = daemonstate.EncodeConfig(d.conf.Report())
	}
	return r
}
