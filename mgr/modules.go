package mgr

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/osdmap"
	"glue/cluster/pgstat"
	"glue/internal/cephjson"
	"glue/internal/options"
	"glue/internal/texttable"
)

// moduleHandlers are commands that stock managers have modules for. What a module would do on its
// own, such as balancing, Glue does not have; what can be told of it is the truth.
var moduleHandlers = map[string]handler{
	"osd status":                osdStatus,
	"osd pool autoscale-status": autoscaleStatus,
	"iostat":                    iostat,
	"service dump":              serviceDump,
	"service status":            serviceStatus,
	"device ls":                 devices("DEVICE", "HOST:DEV", "DAEMONS", "WEAR", lifeExpectancy),
	"device ls-by-host":         devices("DEVICE", "DEV", "DAEMONS", "EXPECTED FAILURE"),
	"device ls-by-daemon":       devicesOf,
	"device info":               deviceInfo,
	"device monitoring off":     constant(""),
	"fs status":                 noFileSystem,
	"fs volume ls":              constant("[]\n"),
	"orch status":               noOrchestrator,
	"orch ls":                   noOrchestrator,
	"orch ps":                   noOrchestrator,
	"orch host ls":              noOrchestrator,
	"orch device ls":            noOrchestrator,
	"telemetry status":          telemetryStatus,
	"telemetry on":              telemetryOn,
	"telemetry off":             constant(""),
}

const lifeExpectancy = "LIFE EXPECTANCY"

// constant answers the same always.
func constant(out string) handler {
	return func(*state, *commands.Command) result { return text(out) }
}

func noOrchestrator(*state, *commands.Command) result {
	return refuse(ceph.ENOENT, "No orchestrator configured: Glue has none; hosts and daemons are "+
		"started by 'glue up' or by units")
}

func noFileSystem(_ *state, c *commands.Command) result {
	if fs := c.Str("fs"); fs != "" {
		return refuse(ceph.EINVAL, "Not found: %s", fs)
	}
	return printed(c, func() any { return struct{}{} }, func() string { return "" })
}

func telemetryStatus(s *state, _ *commands.Command) result {
	out := cephjson.Object{}
	for _, name := range []string{"channel_basic", "channel_crash", "channel_device",
		"channel_ident", "contact", "description", "device_url", "enabled", "interval",
		"last_opt_revision", "last_upload", "leaderboard", "log_level", "log_to_cluster",
		"log_to_cluster_level", "log_to_file", "organization", "proxy", "url"} {
		out = append(out, cephjson.Member{Key: name, Value: s.telemetry(name)})
	}
	return result{out: cephjson.Marshal(out, true)}
}

// telemetry is the value of one of the module's options.
func (s *state) telemetry(name string) any {
	o, ok := options.Lookup("mgr/telemetry/" + name)
	if !ok {
		return nil // last_upload: never
	}
	v := s.set.Str("mgr/telemetry/" + name)
	switch {
	case o.Kind == options.Bool:
		return v == "true"
	case o.Kind == options.Int:
		return s.set.Int("mgr/telemetry/" + name)
	case v == "None":
		return nil
	}
	return v
}

// telemetryOn asks for the licence as the stock module does. There is nobody to report to.
func telemetryOn(_ *state, c *commands.Command) result {
	if c.Str("license") != "sharing-1-0" {
		return refuse(ceph.EPERM, "Telemetry data is licensed under the Community Data License "+
			"Agreement - Sharing - Version 1.0 (https://cdla.io/sharing-1-0/).\nTo enable, add "+
			"'--license sharing-1-0' to the 'ceph telemetry on' command.")
	}
	return refuse(ceph.EOPNOTSUPP, "Telemetry is not available in this release of Glue: it "+
		"reports to nobody")
}

// devices answers a list of disks: none, since daemons do not report them.
func devices(headings ...string) handler {
	return func(_ *state, c *commands.Command) result {
		return printed(c, func() any { return []any{} },
			func() string { return strings.Join(headings, texttable.Separator) + "\n" })
	}
}

func devicesOf(s *state, c *commands.Command) result {
	who := c.Need("who")
	id, isOSD := strings.CutPrefix(who, "osd.")
	n, err := strconv.ParseInt(id, 10, 32)
	if known := isOSD && err == nil && s.osdmap.Exists(int32(n)); !known &&
		s.daemons[who] == nil && who != s.conf.Name() {
		return refuse(ceph.ENOENT, "daemon %s not found", who)
	}
	return devices("DEVICE", "HOST:DEV", "EXPECTED FAILURE")(s, c)
}

func deviceInfo(_ *state, c *commands.Command) result {
	return refuse(ceph.ENOENT, "device %s not found", c.Need("devid"))
}

// short prints an amount in at most width characters and a unit, as managers' modules do.
func short(n float64, width int, step float64) string {
	units := []string{"", "k", "M", "G", "T", "P", "E"}
	i := 0
	for len(strconv.FormatInt(int64(n), 10)) > width && i < len(units)-1 {
		n /= step
		i++
	}
	unit := cmp.Or(units[i], " ")
	return fmt.Sprintf("%d%s", int64(n), unit)
}

// osdStatus is a table of the OSDs with what clients do to them.
func osdStatus(s *state, c *commands.Command) result {
	bucket, m := c.Str("bucket"), s.osdmap
	right := func(h string) texttable.Column {
		return texttable.Column{Heading: h, CellSide: texttable.Right}
	}
	t := texttable.New(right("ID"), texttable.Column{Heading: "HOST"}, right("USED"),
		right("AVAIL"), right("WR OPS"), right("WR DATA"), right("RD OPS"), right("RD DATA"),
		texttable.Column{Heading: "STATE"})
	found := bucket == ""
	for _, id := range m.OSDs() {
		host := ""
		in := bucket == ""
		for _, at := range m.Crush.FullLocation(id) {
			in = in || at.Name == bucket
			if at.Type == "host" {
				host = at.Name
			}
		}
		if !in {
			continue
		}
		found = true
		var used, avail uint64
		if o := s.pgs.OSDs[id]; o != nil {
			used, avail = o.Statfs.UsedRaw(), o.Statfs.Available
		}
		var r rates
		if d := s.daemons[fmt.Sprintf("osd.%d", id)]; d != nil {
			r = d.rates
		}
		t.Row(id, host, short(float64(used), 4, 1024), short(float64(avail), 4, 1024),
			short(r.writes, 4, 1000), short(r.written, 4, 1024), short(r.reads, 4, 1000),
			short(r.read, 4, 1024), strings.Join(osdStates(m, id), ","))
	}
	if !found {
		return refuse(ceph.EINVAL, "Bucket '%s' not found", bucket)
	}
	return text(t.String())
}

func osdStates(m *osdmap.Map, id int32) []string {
	out := []string{"exists"}
	if m.IsUp(id) {
		out = append(out, "up")
	}
	if m.State[id]&osdmap.OSDDestroyed != 0 {
		out = append(out, "destroyed")
	}
	return out
}

// iostat is one line about the traffic of clients; the command line asks for it each second.
func iostat(s *state, c *commands.Command) result {
	width := max(80, min(int(c.Int("width", 80)), 1000))
	cells := max(10, (width-7)/6-2)
	line := func(cell func(i int) string) string {
		out := "|"
		for i := range 6 {
			out += fmt.Sprintf(" %*s |", cells, cell(i))
		}
		return out + "\n"
	}
	rule := strings.Repeat("+"+strings.Repeat("-", cells+2), 6) + "+\n"
	rb, wb, ro, wo := s.pgs.ClientRates()
	values := []string{perSecond(rb), perSecond(wb), perSecond(rb + wb), fmt.Sprint(ro),
		fmt.Sprint(wo), fmt.Sprint(ro + wo)}
	out := line(func(i int) string { return values[i] })
	if c.Bool("print_header") {
		headings := []string{"Read", "Write", "Total", "Read IOPS", "Write IOPS", "Total IOPS"}
		out = rule + line(func(i int) string { return headings[i] }) + rule + out
	}
	return printed(c, func() any {
		return cephjson.Object{{Key: "rd", Value: rb}, {Key: "wr", Value: wb},
			{Key: "rd_ops", Value: ro}, {Key: "wr_ops", Value: wo}}
	}, func() string { return out })
}

func perSecond(n int64) string { return pgstat.FormatBytes(uint64(max(0, n))) + "/s" }
