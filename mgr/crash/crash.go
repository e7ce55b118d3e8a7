// Package crash keeps the reports of daemons that have crashed, as the managers' module of that
// name does. It is pure: who calls it stores what has changed.
package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"glue/cluster/health"
	"glue/internal/cephjson"
	"glue/internal/texttable"
)

// Bounds of what is kept: the monitors store each report as one value.
const (
	MaxReport  = 60 << 10 // bytes
	MaxReports = 1000
)

// A Report is what a daemon, or who posts for it, says of a crash; the fields are Ceph's.
type Report map[string]any

func (r Report) str(key, otherwise string) string {
	if s, ok := r[key].(string); ok && s != "" {
		return s
	}
	return otherwise
}

// ID names the report.
func (r Report) ID() string { return r.str("crash_id", "") }

func (r Report) archived() bool { return r["archived"] != nil }

// at is when the daemon crashed.
func (r Report) at() time.Time {
	t, _ := parseTime(r.str("timestamp", ""))
	return t
}

func parseTime(s string) (time.Time, error) {
	s = strings.TrimSuffix(s, "Z")
	t, err := time.Parse("2006-01-02T15:04:05.999999", s)
	if err != nil {
		t, err = time.Parse("2006-01-02 15:04:05.999999", s)
	}
	return t, err
}

// Reports are all that are kept, by their ids.
type Reports map[string]Report

// Read decodes a stored report.
func Read(text []byte) (Report, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var r Report
	if err := d.Decode(&r); err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errors.New("no object")
	}
	return r, nil
}

// Encode is the form in which a report is stored.
func (r Report) Encode() []byte { return cephjson.Marshal(r, false) }

// Post adds a report; nil without an error if it is there already.
func (s Reports) Post(text []byte) (Report, error) {
	if len(text) > MaxReport {
		return nil, fmt.Errorf("it has %d bytes, at most %d are kept", len(text), MaxReport)
	}
	r, err := Read(text)
	if err != nil {
		return nil, err
	}
	for _, f := range []string{"crash_id", "timestamp"} {
		if r.str(f, "") == "" {
			return nil, fmt.Errorf("missing '%s' field", f)
		}
	}
	id := r.ID()
	if strings.ContainsAny(id, "/\n\x00") || len(id) > 200 {
		return nil, fmt.Errorf("crash_id %q is not valid", id)
	}
	if _, err := parseTime(r.str("timestamp", "")); err != nil {
		return nil, fmt.Errorf("time data '%s' does not match format '%%Y-%%m-%%dT%%H:%%M:%%S.%%f'",
			r.str("timestamp", ""))
	}
	if s[id] != nil {
		return nil, nil
	}
	if len(s) >= MaxReports {
		return nil, fmt.Errorf("%d reports are kept already; remove some with 'ceph crash prune'",
			len(s))
	}
	if frames, ok := r["backtrace"].([]any); ok {
		r["stack_sig"] = signature(frames, r.str("assert_msg", ""))
	}
	s[id] = r
	return r, nil
}

// signature is the same for crashes at the same place: a hash of the functions' names and of an
// assertion without what differs from run to run.
func signature(frames []any, assert string) string {
	h := sha256.New()
	for _, f := range frames {
		s, _ := f.(string)
		if i := strings.LastIndexByte(s, ' '); i >= 0 {
			s = s[:i]
		}
		if len(s) >= 2 {
			s = s[1 : len(s)-1]
		}
		s, _, _ = strings.Cut(s, "+")
		h.Write([]byte(s))
	}
	if before, rest, ok := strings.Cut(assert, " thread "); ok {
		if i := strings.LastIndex(rest, ": "); i >= 0 {
			assert = before + strings.TrimSuffix(rest[i:], "\n")
		}
	}
	h.Write([]byte(assert))
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Archive takes note of reports, of all if id is empty. It returns those that were new.
func (s Reports) Archive(now time.Time, id string) (changed []Report) {
	for _, r := range s.List(true) {
		if id == "" || r.ID() == id {
			r["archived"] = now.UTC().Format("2006-01-02 15:04:05.000000")
			changed = append(changed, r)
		}
	}
	return changed
}

// Prune forgets what is at least so old, and returns the ids.
func (s Reports) Prune(now time.Time, age time.Duration) (gone []string) {
	for _, id := range slices.Sorted(maps.Keys(s)) {
		if !s[id].at().After(now.Add(-age)) {
			gone = append(gone, id)
			delete(s, id)
		}
	}
	return gone
}

// List is the reports by id, or only those that nobody has taken note of.
func (s Reports) List(fresh bool) []Report {
	out := []Report{}
	for _, id := range slices.Sorted(maps.Keys(s)) {
		if !fresh || !s[id].archived() {
			out = append(out, s[id])
		}
	}
	return out
}

// Table is a list as text; empty if there are none, as of the stock module.
func Table(list []Report) string {
	if len(list) == 0 {
		return ""
	}
	t := texttable.New(texttable.Column{Heading: "ID"}, texttable.Column{Heading: "ENTITY"},
		texttable.Column{Heading: "NEW  "})
	for _, r := range list {
		mark := " *   "
		if r.archived() {
			mark = "     "
		}
		t.Row(r.ID(), r.str("entity_name", "unknown"), mark)
	}
	return t.String()
}

// Stat says how many there are and how old they are.
func (s Reports) Stat(now time.Time) string {
	out := fmt.Sprintf("%d crashes recorded\n", len(s))
	for _, days := range []int{1, 3, 7} {
		var ids []string
		for _, r := range s.List(false) {
			if !r.at().After(now.AddDate(0, 0, -days)) {
				ids = append(ids, r.ID())
			}
		}
		if len(ids) > 0 {
			out += fmt.Sprintf("%d older than %d days old:\n%s", len(ids), days,
				strings.Join(ids, "\n"))
		}
		if days < 7 {
			out += "\n"
		}
	}
	return out
}

// Processes counts the reports by the names of the processes.
func (s Reports) Processes() map[string]int {
	out := map[string]int{}
	for _, r := range s {
		out[r.str("process_name", "unknown")]++
	}
	return out
}

// Checks warns of crashes of the last time that nobody has taken note of.
func (s Reports) Checks(now time.Time, recent time.Duration) []health.Check {
	var detail []string
	for _, r := range s.List(true) {
		if r.at().After(now.Add(-recent)) {
			detail = append(detail, fmt.Sprintf("%s crashed on host %s at %s",
				r.str("entity_name", "unidentified daemon"),
				r.str("utsname_hostname", "(unknown)"), r.str("timestamp", "unknown time")))
		}
	}
	n := len(detail)
	if n == 0 {
		return nil
	}
	const most = 30
	if n > most {
		detail = append(detail[:most], fmt.Sprintf("and %d more", n-most))
	}
	return []health.Check{{Code: "RECENT_CRASH", Severity: health.Warn, Count: int64(n),
		Summary: fmt.Sprintf("%d daemons have recently crashed", n), Detail: detail}}
}
