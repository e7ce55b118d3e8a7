// Package health is what a health check is: one thing about the cluster that is not as it should
// be, with the code, severity, summary and detail lines that operators see.
//
// Checks are plain values; any goroutine may use them. The codes and wordings that other packages
// put into them are those of Ceph 16.2.
package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph/denc"
)

// The severities.
const (
	OK    = "HEALTH_OK" // worth mentioning, not a problem
	Warn  = "HEALTH_WARN"
	Error = "HEALTH_ERR"
)

// A Check is one thing that is not as it should be (health_check_t).
type Check struct {
	Code     string // PG_AVAILABILITY
	Severity string
	Summary  string
	Count    int64
	Detail   []string
}

// SlowOps is the check about requests that take too long: how many, for how long the oldest has,
// and at which daemons.
func SlowOps(n int, oldest time.Duration, daemons []string) Check {
	who := fmt.Sprintf("%s has slow ops", strings.Join(daemons, ","))
	if len(daemons) > 1 {
		shown := strings.Join(daemons[:min(len(daemons), 10)], ",")
		if len(daemons) > 10 {
			shown += "..."
		}
		who = fmt.Sprintf("daemons [%s] have slow ops.", shown)
	}
	return Check{Code: "SLOW_OPS", Severity: Warn, Count: int64(n), Summary: fmt.Sprintf(
		"%d slow ops, oldest one blocked for %d sec, %s", n, int(oldest.Seconds()), who)}
}

// Checks are checks, sorted by code when Sort says so.
type Checks []Check

// Add appends a check.
func (c *Checks) Add(code, severity string, count int64, detail []string, format string,
	args ...any,
) {
	*c = append(*c, Check{code, severity, fmt.Sprintf(format, args...), count, detail})
}

// Sort orders the checks by code.
func (c Checks) Sort() {
	slices.SortStableFunc(c, func(a, b Check) int { return strings.Compare(a.Code, b.Code) })
}

// Denc is a list of our own.
func (c *Checks) Denc(d *denc.Coder) { denc.List(d, (*[]Check)(c)) }

// Denc is a section of our own.
func (k *Check) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	c.Str(&k.Code)
	c.Str(&k.Severity)
	c.Str(&k.Summary)
	c.I64(&k.Count)
	denc.ListFunc(c, &k.Detail, (*denc.Coder).Str)
	s.End()
}
