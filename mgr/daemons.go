package mgr

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/daemonstate"
	"glue/cluster/health"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A daemonState is what one daemon has told of itself besides statistics.
type daemonState struct {
	conn   *msgr.Conn // the session that it has told it on
	at     time.Time
	config daemonstate.Config
	slow   int           // requests
	oldest time.Duration // of the slow ones
	traffic
	rates rates
}

// A traffic is what clients have done at an OSD since it started.
type traffic struct {
	read, written int64 // bytes
	reads, writes int64
}

// rates are the same, per second, between the last two reports.
type rates struct{ read, written, reads, writes float64 }

// takeTraffic takes what an OSD has counted until now.
func (d *daemonState) takeTraffic(status map[string]string, now time.Time) {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(status[name], 10, 64) // what is not there counts nothing
		return n
	}
	t := traffic{number("op_out_bytes"), number("op_in_bytes"), number("op_r"), number("op_w")}
	was := d.traffic
	d.traffic = t
	secs := now.Sub(d.at).Seconds()
	if d.at.IsZero() || secs <= 0 || t.reads < was.reads || t.writes < was.writes {
		d.rates = rates{}
		return
	}
	d.rates = rates{float64(t.read-was.read) / secs, float64(t.written-was.written) / secs,
		float64(t.reads-was.reads) / secs, float64(t.writes-was.writes) / secs}
}

// silence is after what time without a report a daemon counts as gone; they come every 5 seconds.
const silence = time.Minute

// onReport takes a daemon's report. A daemon speaks for itself alone, except that the leading
// monitor brings those of the others.
func (m *Manager) onReport(c *msgr.Conn, b *message.MMgrReport) {
	peer := c.Peer()
	name := peer.AuthName.String()
	switch {
	case c.PeerType() == ceph.TypeMon:
		name = "mon." + b.DaemonName
	case c.PeerType() == ceph.TypeClient:
		m.post(func(m *Manager) { m.state.serviceReport(c, b) })
		return
	case name != daemonName(b):
		m.log.Warn("report under another name", "peer", peer.AuthName, "name", b.DaemonName)
		return
	}
	var config daemonstate.Config
	if len(b.Config) > 0 {
		var err error
		if config, err = daemonstate.DecodeConfig(b.Config); err != nil {
			m.log.Warn("report does not decode", "peer", peer.AuthName, "err", err)
			return
		}
	}
	m.imagesOf(c, b)
	m.post(func(m *Manager) { m.state.takeDaemon(c, name, config, b) })
}

func daemonName(b *message.MMgrReport) string {
	kind := b.Service
	if kind == "" {
		kind = "osd"
	}
	return kind + "." + b.DaemonName
}

// maxDaemons bounds whose reports are kept.
const maxDaemons = 100_000

func (s *state) takeDaemon(
	c *msgr.Conn, name string, config daemonstate.Config, b *message.MMgrReport,
) {
	d := s.daemons[name]
	if d == nil {
		if len(s.daemons) >= maxDaemons {
			return
		}
		d = &daemonState{}
		s.daemons[name] = d
	}
	now := time.Now()
	if b.Status != nil {
		d.takeTraffic(*b.Status, now)
	}
	d.conn, d.at = c, now
	if config != nil {
		d.config = config
	}
	was := d.slow
	d.slow, d.oldest = 0, 0
	for _, h := range b.Health {
		if n, oldest, ok := h.SlowOps(); ok {
			d.slow, d.oldest = n, oldest
		}
	}
	s.dirty = s.dirty || (was > 0) != (d.slow > 0)
}

// forgetDaemon ends what a daemon has told on a session that is over.
func (s *state) forgetDaemon(c *msgr.Conn) {
	for name, d := range s.daemons {
		if d.conn == c && !strings.HasPrefix(name, "mon.") {
			s.dirty = s.dirty || d.slow > 0
			delete(s.daemons, name)
		}
	}
}

// forgetSilent drops daemons that report no more.
func (s *state) forgetSilent(now time.Time) {
	for name, d := range s.daemons {
		if now.Sub(d.at) > silence {
			delete(s.daemons, name)
		}
	}
}

// daemonChecks are the health checks about what daemons tell of themselves.
func (s *state) daemonChecks() []health.Check {
	var names []string
	n, oldest := 0, time.Duration(0)
	for _, name := range slices.Sorted(maps.Keys(s.daemons)) {
		if d := s.daemons[name]; d.slow > 0 {
			names = append(names, name)
			n += d.slow
			oldest = max(oldest, d.oldest)
		}
	}
	if n == 0 {
		return nil
	}
	return []health.Check{health.SlowOps(n, oldest, names)}
}

// configOf finds what a daemon has in force.
func (s *state) configOf(c *commands.Command) (daemonstate.Config, *result) {
	who := c.Need("who")
	kind, id, ok := strings.Cut(who, ".")
	if _, err := ceph.ParseEntityType(kind); !ok || id == "" || err != nil {
		r := refuse(ceph.EINVAL, "invalid daemon name: use <type>.<id>")
		return nil, &r
	}
	if who == s.conf.Name() {
		return s.conf.Report(), nil
	}
	if d := s.daemons[who]; d != nil && d.config != nil {
		return d.config, nil
	}
	r := refuse(ceph.ENOENT, "no config state for daemon %s", who)
	return nil, &r
}

func configShow(s *state, c *commands.Command) result {
	config, bad := s.configOf(c)
	if bad != nil {
		return *bad
	}
	if key := c.Str("key"); key != "" {
		v := config.WithDefaults()[strings.ReplaceAll(key, " ", "_")]
		if len(v) == 0 {
			return refuse(ceph.ENOENT, "")
		}
		return text(v[0].Value + "\n")
	}
	return printed(c, func() any { return config.Rows() }, config.Text)
}

func configShowAll(s *state, c *commands.Command) result {
	config, bad := s.configOf(c)
	if bad != nil {
		return *bad
	}
	all := config.WithDefaults()
	return printed(c, func() any { return all.Rows() }, all.Text)
}

// mgrStatus is what "mgr_status" prints.
func (s *state) mgrStatus() any {
	epoch := ceph.Epoch(0)
	if s.mgrmap != nil {
		epoch = s.mgrmap.Epoch
	}
	return struct {
		Epoch       ceph.Epoch `json:"mgrmap_epoch"`
		Initialized bool       `json:"initialized"`
	}{epoch, s.active && s.osdmap != nil}
}
