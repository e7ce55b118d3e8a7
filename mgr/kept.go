package mgr

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"glue/ceph"
	"glue/client/monc"
	"glue/cluster/commands"
	"glue/cluster/health"
	"glue/internal/cephjson"
	"glue/mgr/crash"
	"glue/mgr/progress"
)

// kept is what modules keep in the monitors' config-key store, under the stock modules' names.
type kept struct {
	loaded, loading bool
	crashes         crash.Reports
	lookedAt        time.Time // for reports on this machine
	looking         bool
	prunedAt        time.Time
	progress        progress.Tracker
	steppedAt       time.Time
}

const (
	keptPrefix   = "mgr/"
	crashPrefix  = keptPrefix + "crash/crash/"
	progressKey  = keptPrefix + "progress/completed"
	pruneEvery   = 10 * time.Minute
	lookEvery    = 5 * time.Second
	progressForm = 2 // the version of what is kept of progress
)

// keptTick loads what is kept when this manager becomes active, and does what is due.
func (m *Manager) keptTick(now time.Time) {
	k := &m.state.kept
	if !k.loaded {
		m.loadKept()
		return
	}
	if now.Sub(k.prunedAt) >= pruneEvery {
		k.prunedAt = now
		m.change(m.state.pruneCrashes(now, m.state.set.Duration("mgr/crash/retain_interval")))
	}
	m.progressTick(now)
	if m.opt.Crashes != nil && !k.looking && now.Sub(k.lookedAt) >= lookEvery {
		k.looking, k.lookedAt = true, now
		m.wg.Go(func() {
			if err := m.opt.Crashes(m.takeCrash); err != nil {
				m.log.Warn("crashes could not be reported", "err", err)
			}
			m.post(func(m *Manager) { m.state.kept.looking = false })
		})
	}
}

// takeCrash posts a report that was found on this machine; it returns when the monitors keep it.
func (m *Manager) takeCrash(meta []byte) error {
	v, err := m.inLoop(func(m *Manager) any {
		if !m.state.kept.loaded {
			return ceph.EAGAIN
		}
		r, err := m.state.kept.crashes.Post(meta)
		if err != nil {
			m.log.Warn("a report of a crash is not valid", "err", err)
		}
		if r == nil {
			return nil
		}
		m.state.dirty = true
		m.log.Warn("a daemon has crashed", "id", r.ID())
		return stored(r)[0]
	})
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case error:
		return v
	case keptChange:
		ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
		defer cancel()
		if _, err := m.client.Command(ctx, v.command(), nil); err != nil {
			m.post(func(m *Manager) { m.state.kept.loaded = false })
			return err
		}
	}
	return nil
}

// loadKept asks the monitors for what is kept.
func (m *Manager) loadKept() {
	k := &m.state.kept
	if k.loading {
		return
	}
	k.loading = true
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
		defer cancel()
		values := map[string]string{}
		var err error
		for _, prefix := range []string{crashPrefix, progressKey} {
			var r monc.Reply
			if r, err = m.client.Command(ctx, map[string]any{"prefix": "config-key dump",
				"key": prefix, "format": "json"}, nil); err == nil {
				err = json.Unmarshal(r.Output, &values)
			}
			if err != nil {
				m.log.Warn("what modules keep could not be read", "err", err)
				break
			}
		}
		m.post(func(m *Manager) {
			m.state.kept.loading = false
			if err == nil {
				m.state.kept.take(values)
				m.state.dirty = true
			}
		})
	})
}

// take makes stored values the present ones. What can't be read is passed over.
func (k *kept) take(values map[string]string) {
	k.loaded, k.crashes = true, crash.Reports{}
	k.progress.NewID = newUUID
	for key, v := range values {
		if id, ok := strings.CutPrefix(key, crashPrefix); ok {
			if r, err := crash.Read([]byte(v)); err == nil && r.ID() == id {
				k.crashes[id] = r
			}
		}
	}
	var past struct{ Events []progress.Past }
	if json.Unmarshal([]byte(values[progressKey]), &past) == nil {
		k.progress.Load(past.Events)
	}
}

// A keptChange is a key to be set, or removed if there is no value.
type keptChange struct {
	key   string
	value []byte
}

func (c keptChange) command() any {
	if c.value == nil {
		return map[string]any{"prefix": "config-key rm", "key": c.key}
	}
	return map[string]any{"prefix": "config-key set", "key": c.key, "val": string(c.value)}
}

// change has the monitors keep changes that nobody waits for. If they refuse, everything is
// loaded again.
func (m *Manager) change(changes []keptChange) {
	if len(changes) == 0 {
		return
	}
	m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), relayTimeout)
		defer cancel()
		for _, c := range changes {
			if _, err := m.client.Command(ctx, c.command(), nil); err != nil {
				m.log.Warn("what modules keep could not be written", "key", c.key, "err", err)
				m.post(func(m *Manager) { m.state.kept.loaded = false })
				return
			}
		}
	})
}

var keptHandlers = map[string]handler{
	"crash ls":          when(crashList),
	"crash ls-new":      when(crashList),
	"crash stat":        when(crashStat),
	"crash info":        when(crashInfo),
	"crash post":        when(crashPost),
	"crash rm":          when(crashRemove),
	"crash prune":       when(crashPrune),
	"crash archive":     when(crashArchive),
	"crash archive-all": when(crashArchive),
	"crash json_report": when(crashCounts),
	"progress":          when(progressText),
	"progress json":     when(progressJSON),
	"progress clear":    when(progressClear),
	"progress on":       progressSwitch,
	"progress off":      progressSwitch,
}

// mustWait says that a command needs what has not been loaded yet.
func (s *state) mustWait(prefix string) bool {
	return s.active && !s.kept.loaded && keptHandlers[prefix] != nil
}

// when refuses until what is kept has been loaded.
func when(h handler) handler {
	return func(s *state, c *commands.Command) result {
		if !s.kept.loaded {
			return refuse(ceph.EAGAIN, "the monitors have not answered yet; try again in a moment")
		}
		return h(s, c)
	}
}

// changed answers when the monitors have carried changes out.
func (s *state) changed(changes []keptChange) result {
	s.dirty = true // the health may be another one
	if len(changes) == 0 {
		return result{}
	}
	var cmds []any
	for _, c := range changes {
		cmds = append(cmds, c.command())
	}
	return result{relay: cmds, quiet: true, undo: func(s *state) { s.kept.loaded = false }}
}

func stored(reports ...crash.Report) (out []keptChange) {
	for _, r := range reports {
		out = append(out, keptChange{crashPrefix + r.ID(), r.Encode()})
	}
	return out
}

func removed(ids ...string) (out []keptChange) {
	for _, id := range ids {
		out = append(out, keptChange{key: crashPrefix + id})
	}
	return out
}

func (s *state) pruneCrashes(now time.Time, age time.Duration) []keptChange {
	gone := s.kept.crashes.Prune(now, age)
	s.dirty = s.dirty || len(gone) > 0
	return removed(gone...)
}

func (s *state) crashChecks(now time.Time) []health.Check {
	return s.kept.crashes.Checks(now, s.set.Duration("mgr/crash/warn_recent_interval"))
}

func crashList(s *state, c *commands.Command) result {
	list := s.kept.crashes.List(c.Prefix == "crash ls-new")
	if c.WantsJSON() {
		return result{out: cephjson.Marshal(list, true)}
	}
	return text(crash.Table(list))
}

func crashStat(s *state, _ *commands.Command) result {
	return text(s.kept.crashes.Stat(time.Now()))
}

func crashInfo(s *state, c *commands.Command) result {
	id := c.Need("id")
	r := s.kept.crashes[id]
	if r == nil {
		return refuse(ceph.EINVAL, "crash info: %s not found", id)
	}
	return result{out: cephjson.Marshal(r, true)}
}

func crashPost(s *state, c *commands.Command) result {
	r, err := s.kept.crashes.Post(c.Input)
	if err != nil {
		return refuse(ceph.EINVAL, "malformed crash metadata: %v", err)
	}
	if r == nil {
		return result{}
	}
	return s.changed(stored(r))
}

func crashRemove(s *state, c *commands.Command) result {
	id := c.Need("id")
	if s.kept.crashes[id] == nil {
		return result{}
	}
	delete(s.kept.crashes, id)
	return s.changed(removed(id))
}

func crashPrune(s *state, c *commands.Command) result {
	days, err := strconv.Atoi(c.Need("keep"))
	if err != nil || days < 0 || days > 100000 {
		return refuse(ceph.EINVAL, "keep argument must be integer")
	}
	return s.changed(s.pruneCrashes(time.Now(), time.Duration(days)*24*time.Hour))
}

func crashArchive(s *state, c *commands.Command) result {
	id := ""
	if c.Prefix == "crash archive" {
		id = c.Need("id")
		if s.kept.crashes[id] == nil {
			return refuse(ceph.EINVAL, "crash info: %s not found", id)
		}
	}
	return s.changed(stored(s.kept.crashes.Archive(time.Now(), id)...))
}

func crashCounts(s *state, c *commands.Command) result {
	if _, err := strconv.Atoi(c.Need("hours")); err != nil {
		return refuse(ceph.EINVAL, "<hours> argument must be integer")
	}
	return result{out: cephjson.Marshal(s.kept.crashes.Processes(), true)}
}

// progressTick looks at what is under way, as often as mgr/progress/sleep_interval says.
func (m *Manager) progressTick(now time.Time) {
	s := &m.state
	k := &s.kept
	if !s.set.Bool("mgr/progress/enabled") || !s.complete(now) ||
		now.Sub(k.steppedAt) < s.set.Duration("mgr/progress/sleep_interval") {
		return
	}
	k.steppedAt = now
	before := len(k.progress.Events)
	k.progress.Step(now, s.osdmap, s.pgs.PGs, int(s.set.Int("mgr/progress/max_completed_events")))
	s.dirty = s.dirty || before+len(k.progress.Events) > 0
	if k.progress.Changed {
		k.progress.Changed = false
		m.change([]keptChange{s.kept.savedProgress()})
	}
}

func (k *kept) savedProgress() keptChange {
	past := k.progress.Completed
	if past == nil {
		past = []progress.Past{}
	}
	return keptChange{progressKey, cephjson.Marshal(cephjson.Object{
		{Key: "events", Value: past}, {Key: "version", Value: progressForm},
		{Key: "compat_version", Value: progressForm}}, false)}
}

func progressText(s *state, _ *commands.Command) result {
	out := s.kept.progress.Text(time.Now())
	if out == "" {
		return result{status: "Nothing in progress"}
	}
	return text(out)
}

func progressJSON(s *state, _ *commands.Command) result {
	return result{out: cephjson.Marshal(s.kept.progress.JSON(time.Now()), true)}
}

func progressClear(s *state, _ *commands.Command) result {
	s.kept.progress.Clear()
	s.kept.progress.Changed = false
	return s.changed([]keptChange{s.kept.savedProgress()})
}

func progressSwitch(s *state, c *commands.Command) result {
	on, is := c.Prefix == "progress on", s.set.Bool("mgr/progress/enabled")
	word := map[bool]string{true: "enabled", false: "disabled"}[on]
	if on == is {
		return result{status: "progress already " + word + "!"}
	}
	cmds := []any{setModule("progress/enabled", map[bool]string{true: "true", false: "false"}[on])}
	if !on {
		s.kept.progress.Clear()
		s.kept.progress.Changed = false
		s.dirty = true
		cmds = append(cmds, s.kept.savedProgress().command())
	}
	return result{relay: cmds, quiet: true, status: "progress " + word}
}

// newUUID is a random one.
func newUUID() string {
	var u ceph.UUID
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u.String()
}
