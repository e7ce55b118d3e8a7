package healthmon

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// units are what a duration may be counted in; none is seconds.
var units = map[string]time.Duration{
	"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second,
	"seconds": time.Second,
	"m":       time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": day, "day": day, "days": day,
	"w": 7 * day, "wk": 7 * day, "week": 7 * day, "weeks": 7 * day,
	"mo": 30 * day, "month": 30 * day, "months": 30 * day,
	"y": 365 * day, "yr": 365 * day, "year": 365 * day, "years": 365 * day,
}

const (
	day     = 24 * time.Hour
	maxSpan = 100 * 365 * day
)

// parseSpan reads a duration such as 30, 10m, 1h30m or 2 weeks (parse_timespan).
func parseSpan(text string) (time.Duration, error) {
	var total time.Duration
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, fmt.Errorf("%s (expected digit)", text)
	}
	for rest != "" {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		count, err := strconv.ParseInt(rest[:n], 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%s (expected digit)", text)
		}
		rest = strings.TrimLeft(rest[n:], " ")
		n = strings.IndexAny(rest, " 0123456789")
		if n < 0 {
			n = len(rest)
		}
		unit, ok := units[rest[:n]]
		if !ok {
			return 0, fmt.Errorf("%s (unrecognized unit '%s')", text, rest[:n])
		}
		if time.Duration(count) > (maxSpan-total)/unit {
			return 0, fmt.Errorf("%s (more than a hundred years)", text)
		}
		total += time.Duration(count) * unit
		rest = strings.TrimLeft(rest[n:], " ")
	}
	return total, nil
}

// span is a duration in its largest unit of which there are some (timespan_str).
func span(d time.Duration) string {
	for _, s := range []struct {
		below time.Duration
		unit  time.Duration
		name  string
	}{
		{2 * time.Minute, time.Second, "s"}, {2 * time.Hour, time.Minute, "m"},
		{2 * day, time.Hour, "h"}, {14 * day, day, "d"}, {84 * day, 7 * day, "w"},
		{720 * day, 30 * day, "M"},
	} {
		if d < s.below {
			return fmt.Sprintf("%d%s", max(0, d/s.unit), s.name)
		}
	}
	return fmt.Sprintf("%dy", d/(365*day))
}
