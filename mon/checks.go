package mon

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/cluster/pgstat"
	"glue/internal/options"
	"glue/mon/healthmon"
	"glue/wire/message"
)

// A condition is what one monitor knows of itself for the health: the disk of its store, and
// options that endanger the cluster. Monitors tell the leader of it as text.
type condition struct {
	free         int   // percent of the disk, -1 when it is not known
	used         int64 // bytes of the store
	insecure     bool  // takes clients that come back without their old ticket
	neverMarkOut bool
	conf         options.Set // thresholds; the leader's
}

// condition is this monitor's own.
func (c *core) condition(now time.Time) condition {
	d := c.diskNow(now)
	return condition{free: d.free, used: d.used,
		insecure:     c.set.Bool("auth_allow_insecure_global_id_reclaim"),
		neverMarkOut: c.set.Duration("mon_osd_down_out_interval") == 0}
}

func (d condition) text() map[string]string {
	return map[string]string{"free": strconv.Itoa(d.free),
		"used": strconv.FormatInt(d.used, 10), "insecure": strconv.FormatBool(d.insecure),
		"never_mark_out": strconv.FormatBool(d.neverMarkOut)}
}

// conditionOf reads what another monitor has told; what is not there is nothing to warn of.
func conditionOf(text map[string]string) condition {
	d := condition{free: -1}
	if n, err := strconv.Atoi(text["free"]); err == nil {
		d.free = n
	}
	if n, err := strconv.ParseInt(text["used"], 10, 64); err == nil {
		d.used = n
	}
	d.insecure = text["insecure"] == "true"
	d.neverMarkOut = text["never_mark_out"] == "true"
	return d
}

// A monCheck is a row of the table of what may be wrong with a monitor. The verb stands between the
// monitors' names and the summary.
type monCheck struct {
	code, severity string
	one, many      string // "is", "are"
	summary        string
	// wrong says what is wrong with a monitor, or nothing.
	wrong func(d *condition) string
}

var monChecks = []monCheck{
	{"MON_DISK_CRIT", healthmon.Err, "is", "are", "very low on available space",
		func(d *condition) string {
			if d.free >= 0 && int64(d.free) <= d.conf.Int("mon_data_avail_crit") {
				return fmt.Sprintf("has %d%% avail", d.free)
			}
			return ""
		}},
	{"MON_DISK_LOW", healthmon.Warn, "is", "are", "low on available space",
		func(d *condition) string {
			if d.free >= 0 && int64(d.free) <= d.conf.Int("mon_data_avail_warn") &&
				int64(d.free) > d.conf.Int("mon_data_avail_crit") {
				return fmt.Sprintf("has %d%% avail", d.free)
			}
			return ""
		}},
	{"MON_DISK_BIG", healthmon.Warn, "is", "are", "using a lot of disk space",
		func(d *condition) string {
			limit := d.conf.Int("mon_data_size_warn")
			if d.used < limit {
				return ""
			}
			return fmt.Sprintf("is %s >= mon_data_size_warn (%s)",
				pgstat.FormatBytes(uint64(d.used)), pgstat.FormatBytes(uint64(limit)))
		}},
	{"OSD_NO_DOWN_OUT_INTERVAL", healthmon.Warn, "has", "have",
		"mon_osd_down_out_interval set to 0", func(d *condition) string {
			if d.neverMarkOut && d.conf.Bool("mon_warn_on_osd_down_out_interval_zero") {
				return "has mon_osd_down_out_interval set to 0"
			}
			return ""
		}},
	{"AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED", healthmon.Warn, "is", "are",
		"allowing insecure global_id reclaim", func(d *condition) string {
			if d.insecure && d.conf.Bool("mon_warn_on_insecure_global_id_reclaim_allowed") {
				return "has auth_allow_insecure_global_id_reclaim set to true"
			}
			return ""
		}},
}

// conditionChecks are the checks about the monitors of the quorum.
func (c *core) conditionChecks(now time.Time, out healthmon.Checks) {
	known := map[string]condition{c.opt.Name: c.condition(now)}
	in := c.quorumNames()
	for name, r := range c.reports {
		if name != c.opt.Name && slices.Contains(in, name) && r.Status != nil {
			known[name] = conditionOf(*r.Status)
		}
	}
	for _, k := range monChecks {
		var names, lines []string
		for _, name := range slices.Sorted(maps.Keys(known)) {
			d := known[name]
			d.conf = c.set
			if what := k.wrong(&d); what != "" {
				names = append(names, name)
				lines = append(lines, fmt.Sprintf("mon.%s %s", name, what))
			}
		}
		switch len(names) {
		case 0:
		case 1:
			out.Add(k.code, k.severity, 1, fmt.Sprintf("mon %s %s %s", names[0], k.one,
				k.summary), lines...)
		default:
			out.Add(k.code, k.severity, int64(len(names)), fmt.Sprintf("mons %s %s %s",
				strings.Join(names, ","), k.many, k.summary), lines...)
		}
	}
}

// maxReclaims bounds the lines about clients (mon_health_max_detail).
const maxReclaims = 50

// reclaimChecks warn of clients that have come back without their old ticket.
func (c *core) reclaimChecks(out healthmon.Checks) {
	if !c.set.Bool("mon_warn_on_insecure_global_id_reclaim") {
		return
	}
	var lines []string
	for _, s := range c.ordered() {
		if a := s.auth(); a != nil && a.Insecure() {
			lines = append(lines, fmt.Sprintf("%v at %v is using insecure global_id reclaim",
				s.peer.AuthName, s.peer.Addrs))
		}
	}
	if n := len(lines); n > 0 {
		slices.Sort(lines)
		if n > maxReclaims {
			lines = append(lines[:maxReclaims], "...")
		}
		who := "client is"
		if n > 1 {
			who = "clients are"
		}
		out.Add("AUTH_INSECURE_GLOBAL_ID_RECLAIM", healthmon.Warn, int64(n),
			who+" using insecure global_id reclaim", lines...)
	}
}

// versionChecks warn of daemons that have not been upgraded with the others for long.
func (c *core) versionChecks(now time.Time, out healthmon.Checks) {
	if !c.set.Bool("mon_warn_on_older_version") {
		return
	}
	by := map[string][]string{}
	for _, kind := range []string{"mon", "mgr", "osd"} {
		for name, facts := range c.namedFacts(kind) {
			if v := facts["ceph_version_short"]; v != "" {
				by[v] = append(by[v], kind+"."+name)
			}
		}
	}
	if len(by) < 2 {
		c.mixed = time.Time{}
		return
	}
	if c.mixed.IsZero() {
		c.mixed = now
	}
	if now.Sub(c.mixed) <= c.set.Duration("mon_warn_older_version_delay") {
		return
	}
	versions := slices.Sorted(maps.Keys(by))
	old, n, lines := versions[:len(versions)-1], 0, []string{}
	for _, v := range old {
		slices.Sort(by[v])
		verb := "are"
		if len(by[v]) == 1 {
			verb = "is"
		}
		n += len(by[v])
		lines = append(lines, fmt.Sprintf("%s %s running an older version of ceph: %s",
			strings.Join(by[v], " "), verb, v))
	}
	severity, what, who := healthmon.Warn, "an older version", "are daemons"
	if len(old) > 1 {
		severity, what = healthmon.Err, "multiple old versions"
	}
	if n == 1 {
		who = "is a daemon"
	}
	out.Add("DAEMON_OLD_VERSION", severity, int64(len(old)),
		fmt.Sprintf("There %s running %s of ceph", who, what), lines...)
}

// slowMetric is what this monitor tells the manager of its slow requests.
func (c *core) slowMetric() []message.HealthMetric {
	n, oldest := c.slow(c.now())
	return []message.HealthMetric{message.SlowOps(n, oldest)}
}
