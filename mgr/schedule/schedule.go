// Package schedule does things to images at set times, as the stock manager's module rbd_support
// does: it empties the trash of pools (Purge), and makes snapshots of mirrored images
// (MirrorSnapshots). Schedules are kept in an object of their pool, and the one for all pools in a
// configuration option, in the stock's form.
//
// A Scheduler belongs to the manager's process; its methods may be called from any goroutine.
package schedule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"glue/internal/cephjson"
)

// A Level is what a schedule is for: all pools, a pool, a namespace of a pool, or an image.
type Level struct {
	Pool      int64 // 0: all
	Spaced    bool  // a namespace, which may be the empty one, or an image in it
	Namespace string
	Image     string // id; empty: all
	Name      string // as commands name it: "", "POOL/", "POOL/NAMESPACE/", "POOL/IMAGE", …
}

// ID is the key of a level's schedule.
func (l Level) ID() string {
	switch {
	case l.Pool == 0:
		return ""
	case l.Image != "":
		return fmt.Sprintf("%d/%s/%s", l.Pool, l.Namespace, l.Image)
	case l.Spaced:
		return fmt.Sprintf("%d/%s", l.Pool, l.Namespace)
	}
	return fmt.Sprint(l.Pool)
}

// within says whether a level is a part of another.
func (l Level) within(outer Level) bool {
	switch {
	case outer.Pool == 0:
		return l.Pool != 0
	case l.Pool != outer.Pool:
		return false
	case !outer.Spaced:
		return l.Spaced
	}
	return l.Spaced && l.Namespace == outer.Namespace && outer.Image == "" && l.Image != ""
}

// admits says whether a target belongs to the level.
func (l Level) admits(t target) bool {
	return (l.Pool == 0 || l.Pool == t.pool) &&
		(l.Namespace == "" || l.Namespace == t.namespace) &&
		(l.Image == "" || l.Image == t.image)
}

var (
	levelForm = regexp.MustCompile(`^(?:([^/]+)/(?:(?:([^/]*)/|)(?:([^/@]+))?)?)?$`)
	keyForm   = regexp.MustCompile(`^(\d+)(?:(/)([^/]*)(?:/([^/@]+))?)?$`)
)

// splitLevel reads the name of a level, as far as that goes without looking; ok is whether it is
// one.
func splitLevel(name string) (pool, image string, l Level, ok bool) {
	at := levelForm.FindStringSubmatchIndex(name)
	if at == nil {
		return "", "", l, false
	}
	l.Name = name
	if at[2] >= 0 {
		pool = name[at[2]:at[3]]
	}
	if at[4] >= 0 {
		l.Spaced, l.Namespace = true, name[at[4]:at[5]]
	}
	if at[6] >= 0 {
		image, l.Spaced = name[at[6]:at[7]], true
		if l.Namespace == "" {
			l.Name = pool + "/" + image // for "POOL//IMAGE" too
		}
	}
	return pool, image, l, true
}

// Scope is the pool and namespace that a level's name is about; both are empty for all pools.
func Scope(name string) (pool, namespace string) {
	pool, _, l, _ := splitLevel(name)
	return pool, l.Namespace
}

// An item is one rule: every so often, counted from a time of the day if there is one.
type item struct {
	minutes int64
	start   string // as printed; empty: midnight, local time
	offset  int64  // minutes of start
}

var intervalForm = regexp.MustCompile(`^(\d+)(d|h|m)?$`)

const maxMinutes = 1000 * 366 * 24 * 60

func parseItem(interval, start string) (item, error) {
	m := intervalForm.FindStringSubmatch(interval)
	if m == nil {
		return item{}, fmt.Errorf("Invalid interval (%s)", interval)
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	n *= map[string]int64{"d": 24 * 60, "h": 60}[m[2]] + map[bool]int64{true: 1}[m[2] == "m" ||
		m[2] == ""]
	if err != nil || n < 1 || n > maxMinutes {
		return item{}, fmt.Errorf("Invalid interval (%s): at least 1m, at most 1000 years",
			interval)
	}
	i := item{minutes: n}
	return i, i.parseStart(start)
}

var startForm = regexp.MustCompile(
	`^(?:\d{4}-\d{2}-\d{2}[T ])?(\d{1,2}):(\d{2})(?::\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$`)

func (i *item) parseStart(text string) error {
	if text == "" {
		return nil
	}
	m := startForm.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("Invalid start time %s: use HH:MM or HH:MM+HH:MM", text)
	}
	hour, _ := strconv.Atoi(m[1]) // digits
	minute, _ := strconv.Atoi(m[2])
	if hour > 23 || minute > 59 {
		return fmt.Errorf("Invalid start time %s: there is no such time of the day", text)
	}
	i.start = fmt.Sprintf("%02d:%02d:00", hour, minute)
	i.offset = int64(hour*60 + minute)
	if zone := strings.ReplaceAll(m[3], ":", ""); zone != "" {
		if zone == "Z" {
			zone = "+0000"
		}
		h, _ := strconv.Atoi(zone[1:3])
		mm, _ := strconv.Atoi(zone[3:5])
		east := int64(h*60 + mm)
		if zone[0] == '-' {
			east = -east
		}
		i.start += zone[:3] + ":" + zone[3:]
		i.offset += (east%1440 + 1440) % 1440 // as the stock module does
	}
	return nil
}

func (i item) interval() string {
	switch {
	case i.minutes%(24*60) == 0:
		return fmt.Sprintf("%dd", i.minutes/(24*60))
	case i.minutes%60 == 0:
		return fmt.Sprintf("%dh", i.minutes/60)
	}
	return fmt.Sprintf("%dm", i.minutes)
}

// A schedule is the rules of one level.
type schedule struct {
	level Level
	items []item // by interval and start
}

func (s *schedule) add(i item) {
	for _, old := range s.items {
		if old.minutes == i.minutes && old.offset == i.offset && (old.start == "") ==
			(i.start == "") {
			return
		}
	}
	s.items = append(s.items, i)
	slices.SortFunc(s.items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.minutes, b.minutes), cmp.Compare(a.start, b.start))
	})
}

func (s *schedule) remove(i item) {
	s.items = slices.DeleteFunc(s.items, func(old item) bool {
		return old.minutes == i.minutes && old.offset == i.offset &&
			(old.start == "") == (i.start == "")
	})
}

// next is the first time after now at which one of the rules is due: intervals count from the
// beginning of 1970 in local time.
func (s *schedule) next(now time.Time) time.Time {
	_, east := now.Zone()
	local := now.Unix() + int64(east)
	var first int64
	for n, i := range s.items {
		start, period := i.offset*60, i.minutes*60
		at := start + ((local-start)/period+1)*period
		if n == 0 || at < first {
			first = at
		}
	}
	return time.Unix(first-int64(east), 0).In(now.Location())
}

func (s *schedule) dump() []any {
	out := []any{}
	for _, i := range s.items {
		var start any
		if i.start != "" {
			start = i.start
		}
		out = append(out, cephjson.Object{{Key: "interval", Value: i.interval()},
			{Key: "start_time", Value: start}})
	}
	return out
}

// encode is the rules as they are kept.
func (s *schedule) encode() []byte {
	out, _ := json.MarshalIndent(s.dump(), "", "    ") // strings
	return out
}

// decode reads rules as they are kept.
func decode(l Level, text []byte) (*schedule, error) {
	var rows []struct {
		Interval string  `json:"interval"`
		Start    *string `json:"start_time"`
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, err
	}
	s := &schedule{level: l}
	for _, r := range rows {
		start := ""
		if r.Start != nil {
			start = *r.Start
		}
		i, err := parseItem(r.Interval, start)
		if err != nil {
			return nil, err
		}
		s.add(i)
	}
	return s, nil
}
