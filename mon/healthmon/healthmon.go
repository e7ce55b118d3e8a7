// Package healthmon puts the health of the cluster together: the checks of the monitors' services
// and those that the manager reports, and what operators have muted.
//
// A Service belongs to the monitor's loop; what is stored are only the mutes, the checks are made
// anew each time. The behaviour is that of Ceph 16.2's mon/HealthMonitor.cc.
package healthmon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/mon/service"
)

const name = "health"

// The severities.
const (
	OK   = "HEALTH_OK"
	Warn = "HEALTH_WARN"
	Err  = "HEALTH_ERR"
)

// A Check is one thing that is not as it should be (health_check_t).
type Check struct {
	Severity string
	Summary  string
	Count    int64
	Detail   []string
}

// Checks are the checks by code.
type Checks map[string]Check

// Add records a check.
func (c Checks) Add(code, severity string, count int64, summary string, detail ...string) {
	c[code] = Check{severity, summary, count, detail}
}

// A mute hides a check until it is over, changes for the worse (unless sticky) or time is up.
type mute struct {
	Code    string
	TTL     int64 // unix seconds, 0 for none
	Sticky  bool
	Summary string
	Count   int64
}

// A Service is the health service.
type Service struct {
	collect func(now time.Time) Checks
	log     func(text string) // to the cluster log
	mutes   map[string]mute
	last    Checks // what Changes saw
	edit    service.Edit
}

// New makes a service; collect makes the checks of the moment, log writes to the cluster log.
func New(collect func(now time.Time) Checks, log func(text string)) *Service {
	return &Service{collect: collect, log: log, mutes: map[string]mute{}}
}

// Name is "health".
func (s *Service) Name() string { return name }

// Load reads the mutes.
func (s *Service) Load(r service.Reader) error {
	s.mutes = map[string]mute{}
	var failed error
	err := r.Scan(name+"/", func(_ string, value []byte) bool {
		failed = s.take(value)
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("load health mutes: %w", err)
	}
	return nil
}

func (s *Service) take(value []byte) error {
	var m mute
	err := json.Unmarshal(value, &m)
	s.mutes[m.Code] = m
	return err
}

// Dirty says whether something is prepared.
func (s *Service) Dirty() bool { return !s.edit.Empty() }

// Discard forgets what is prepared.
func (s *Service) Discard() { s.edit = service.Edit{} }

// Change encodes what is prepared.
func (s *Service) Change() ([]byte, error) {
	b := s.edit.Encode()
	s.edit = service.Edit{}
	return b, nil
}

// Apply carries out a change.
func (s *Service) Apply(change []byte, w service.Writer) error {
	e, err := service.DecodeEdit(change)
	if err != nil {
		return fmt.Errorf("change of health mutes: %w", err)
	}
	for _, code := range e.Keys() {
		if e.Set[code] == nil {
			delete(s.mutes, code)
		} else if err := s.take(e.Set[code]); err != nil {
			return fmt.Errorf("change of health mutes: %w", err)
		}
	}
	e.Write(w, name+"/")
	return nil
}

func (s *Service) put(m mute) {
	if b, err := json.Marshal(m); err == nil {
		s.edit.Put(m.Code, b)
	}
}

// Tick ends mutes whose time is up or, unless they are sticky, whose check is gone or has become
// worse. A count that falls is the new bound: what has got better may not get worse again unseen.
func (s *Service) Tick(now time.Time) {
	if len(s.mutes) == 0 {
		return
	}
	checks := s.collect(now)
	for _, code := range slices.Sorted(maps.Keys(s.mutes)) {
		m := s.mutes[code]
		c, raised := checks[code]
		if why := m.over(c, raised, now); why != "" {
			s.edit.Remove(code)
			s.log(fmt.Sprintf("Health alert mute %s cleared (%s)", code, why))
		} else if !m.Sticky && c.Count < m.Count {
			m.Count = c.Count
			s.put(m)
		}
	}
}

// over says why a mute ends, or nothing.
func (m *mute) over(c Check, raised bool, now time.Time) string {
	switch {
	case m.TTL != 0 && now.Unix() >= m.TTL:
		return fmt.Sprintf("passed TTL %v", ceph.Time{Sec: uint32(m.TTL)})
	case m.Sticky:
	case !raised:
		return "health alert cleared"
	case m.Count > 0 && c.Count > m.Count:
		return fmt.Sprintf("count increased from %d to %d", m.Count, c.Count)
	case m.Count == 0 && m.Summary != c.Summary:
		return "summary changed"
	}
	return ""
}

// A Report is the health of the moment.
type Report struct {
	Status string
	Checks Checks
	now    time.Time
	muted  map[string]bool
	mutes  []mute
}

// Report makes the health.
func (s *Service) Report(now time.Time) Report {
	r := Report{Status: OK, Checks: s.collect(now), now: now, muted: map[string]bool{}}
	for code, c := range r.Checks {
		if _, ok := s.mutes[code]; ok {
			r.muted[code] = true
		} else if c.Severity == Err || r.Status == OK {
			r.Status = c.Severity
		}
	}
	for _, code := range slices.Sorted(maps.Keys(s.mutes)) {
		r.mutes = append(r.mutes, s.mutes[code])
	}
	return r
}

type jsonCheck struct {
	Severity string      `json:"severity"`
	Summary  jsonSummary `json:"summary"`
	Detail   []jsonLine  `json:"detail,omitempty"`
	Muted    bool        `json:"muted"`
}

type jsonSummary struct {
	Message string `json:"message"`
	Count   int64  `json:"count"`
}

type jsonLine struct {
	Message string `json:"message"`
}

type jsonMute struct {
	Code    string `json:"code"`
	TTL     string `json:"ttl,omitempty"`
	Sticky  bool   `json:"sticky"`
	Summary string `json:"summary"`
	Count   int64  `json:"count"`
}

// JSON is the report as "ceph -s" and "ceph health" print it.
func (r Report) JSON(detail bool) any {
	checks := map[string]jsonCheck{}
	for code, c := range r.Checks {
		j := jsonCheck{Severity: c.Severity, Summary: jsonSummary{c.Summary, c.Count},
			Muted: r.muted[code]}
		if detail {
			j.Detail = []jsonLine{}
			for _, d := range c.Detail {
				j.Detail = append(j.Detail, jsonLine{d})
			}
		}
		checks[code] = j
	}
	mutes := []jsonMute{}
	for _, m := range r.mutes {
		j := jsonMute{Code: m.Code, Sticky: m.Sticky, Summary: m.Summary, Count: m.Count}
		if m.TTL != 0 {
			j.TTL = ceph.Time{Sec: uint32(m.TTL)}.String()
		}
		mutes = append(mutes, j)
	}
	return struct {
		Status string               `json:"status"`
		Checks map[string]jsonCheck `json:"checks"`
		Mutes  []jsonMute           `json:"mutes"`
	}{r.Status, checks, mutes}
}

// summaries are those of the checks that are not muted, by code.
func (r Report) summaries() []string {
	var out []string
	for _, code := range slices.Sorted(maps.Keys(r.Checks)) {
		if !r.muted[code] {
			out = append(out, r.Checks[code].Summary)
		}
	}
	return out
}

// left is how long a mute holds: nothing for one without an end.
func (m *mute) left(now time.Time) string {
	if m.TTL == 0 {
		return ""
	}
	return span(time.Unix(m.TTL, 0).Sub(now))
}

// mutedNote is the part in parentheses behind the status: all mutes, and how long they hold.
func (r Report) mutedNote() string {
	if len(r.mutes) == 0 {
		return ""
	}
	out := "(muted:"
	for _, m := range r.mutes {
		out += " " + m.Code
		if left := m.left(r.now); left != "" {
			out += "(" + left + ")"
		}
	}
	return out + ")"
}

// Lines is the block under "health:" in "ceph -s": the status, then the summaries.
func (r Report) Lines() []string {
	out := append([]string{r.Status}, r.summaries()...)
	if note := r.mutedNote(); note != "" {
		out = append(out, note)
	}
	return out
}

// Text is the output of "ceph health" and, with detail, "ceph health detail".
func (r Report) Text(detail bool) string {
	parts := r.summaries()
	if note := r.mutedNote(); note != "" {
		parts = append(parts, note)
	}
	line := r.Status
	if len(parts) > 0 {
		line += " " + strings.Join(parts, "; ")
	}
	if !detail {
		return line + "\n"
	}
	var b strings.Builder
	b.WriteString(line + "\n")
	for _, code := range slices.Sorted(maps.Keys(r.Checks)) {
		c := r.Checks[code]
		fmt.Fprintf(&b, "%s[%s] %s: %s\n", r.mutedHead(code), short(c.Severity), code, c.Summary)
		for _, d := range c.Detail {
			fmt.Fprintf(&b, "    %s\n", d)
		}
	}
	return b.String()
}

// mutedHead is what stands before a check in the detailed form.
func (r Report) mutedHead(code string) string {
	for _, m := range r.mutes {
		if m.Code != code {
			continue
		}
		out := "(MUTED"
		if left := m.left(r.now); left != "" {
			out += " ttl " + left
		}
		if m.Sticky {
			out += ", STICKY"
		}
		return out + ") "
	}
	return ""
}

func short(severity string) string {
	return map[string]string{OK: "OK", Warn: "WRN", Err: "ERR"}[severity]
}

// Commands are the health commands.
func (s *Service) Commands() []service.Row {
	return []service.Row{
		{Prefix: "health", Run: s.cmdHealth},
		{Prefix: "health mute", Run: s.cmdMute},
		{Prefix: "health unmute", Run: s.cmdUnmute},
	}
}

func (s *Service) cmdHealth(r *service.Request) service.Answer {
	rep := s.Report(r.Now)
	detail := r.Str("detail") == "detail"
	return r.Either(rep.JSON(detail), rep.Text(detail))
}

func (s *Service) cmdMute(r *service.Request) service.Answer {
	code := r.Need("code")
	m := mute{Code: code, Sticky: r.Bool("sticky")}
	if text := r.Str("ttl"); text != "" {
		d, err := parseSpan(text)
		if err != nil {
			return service.Fail(ceph.EINVAL, "invalid duration: %v", err)
		}
		m.TTL = r.Now.Add(d).Unix()
	}
	c, ok := s.collect(r.Now)[code]
	if !ok && !m.Sticky {
		return service.Fail(ceph.ENOENT, "health alert %s is not currently raised", code)
	}
	m.Summary, m.Count = c.Summary, c.Count
	s.put(m)
	return service.OK("")
}

func (s *Service) cmdUnmute(r *service.Request) service.Answer {
	if !r.Has("code") {
		for code := range s.mutes {
			s.edit.Remove(code)
		}
		return service.OK("")
	}
	if _, ok := s.mutes[r.Str("code")]; ok {
		s.edit.Remove(r.Str("code"))
	}
	return service.OK("")
}

// A Change is a line for the cluster log.
type Change struct {
	Text   string
	Better bool
}

// Changes tells what is new since it was last called.
func (s *Service) Changes(now time.Time) []Change {
	var out []Change
	checks := s.collect(now)
	for _, code := range slices.Sorted(maps.Keys(checks)) {
		c := checks[code]
		switch old, ok := s.last[code]; {
		case !ok:
			out = append(out, Change{fmt.Sprintf("Health check failed: %s (%s)", c.Summary, code),
				false})
		case old.Summary != c.Summary:
			out = append(out, Change{fmt.Sprintf("Health check update: %s (%s)", c.Summary, code),
				false})
		}
	}
	for _, code := range slices.Sorted(maps.Keys(s.last)) {
		if _, ok := checks[code]; !ok {
			out = append(out, Change{fmt.Sprintf("Health check cleared: %s (was: %s)", code,
				s.last[code].Summary), true})
		}
	}
	if len(s.last) > 0 && len(checks) == 0 {
		out = append(out, Change{"Cluster is now healthy", true})
	}
	s.last = checks
	return out
}
