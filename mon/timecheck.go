package mon

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/internal/cephjson"
	"glue/mon/healthmon"
	"glue/mon/service"
	"glue/wire/message"
)

// The leader compares the clocks of the quorum with its own: tickets and map times are made by
// whoever leads, so monitors that differ confuse everybody. Nothing in the log depends on it.

// Kinds of MTimeCheck2.
const (
	timePing = 1
	timePong = 2
)

// answerTimeout is after how long a round of questions is over, whoever has not answered.
const answerTimeout = 5 * time.Second

// A timecheck is the leader's comparison of clocks.
type timecheck struct {
	at     time.Time // when the last round began
	round  uint64    // odd while it is under way
	term   uint64
	wait   map[string]bool // who has not answered
	clocks map[string]clock
}

// A clock is how a monitor's clock differs from the leader's.
type clock struct {
	skew    float64 // seconds that it certainly differs by at least, with its sign
	latency float64 // seconds of the round trip
}

// checkClocks begins a round of questions when it is time to.
func (c *core) checkClocks(now time.Time) {
	t := &c.clocks
	if term := c.node.Term(); t.term != term {
		*t = timecheck{term: term}
	}
	every := c.set.Duration("mon_timecheck_interval")
	if len(c.skewed()) > 0 {
		every = c.set.Duration("mon_timecheck_skew_interval")
	}
	if t.round%2 == 1 && now.Sub(t.at) >= answerTimeout {
		t.round++
	}
	missing := slices.ContainsFunc(c.quorumNames(), func(n string) bool {
		_, ok := t.clocks[n]
		return !ok
	})
	since := now.Sub(t.at)
	if t.round%2 == 1 || !t.at.IsZero() && since >= 0 && since < every &&
		!(missing && since >= answerTimeout) {
		return
	}
	t.at, t.wait = now, map[string]bool{}
	old := t.clocks
	t.clocks = map[string]clock{c.opt.Name: {}}
	for _, rank := range c.Members() {
		name := c.mon.Map().Ranks[rank]
		if name == c.opt.Name {
			continue
		}
		if k, ok := old[name]; ok {
			t.clocks[name] = k
		}
		t.wait[name] = true
		c.carry(c.mon.Map().Addrs(rank), &message.MTimeCheck2{Kind: timePing,
			Epoch: ceph.Epoch(t.term), Round: t.round + 1, Stamp: ceph.TimeOf(now)})
	}
	if len(t.wait) > 0 {
		t.round++
	}
}

// timeCheck answers the leader's question, or takes an answer.
func (c *core) timeCheck(e event, b *message.MTimeCheck2) {
	t := &c.clocks
	switch {
	case !e.s.isMon():
	case b.Kind == timePing:
		e.s.reply(e.m, &message.MTimeCheck2{Kind: timePong, Epoch: b.Epoch, Round: b.Round,
			Stamp: ceph.TimeOf(c.now()), Asked: b.Stamp, Name: c.opt.Name})
	case b.Kind == timePong && c.node.Leads() && uint64(b.Epoch) == t.term && b.Round == t.round &&
		t.wait[b.Name]:
		t.clocks[b.Name] = measure(b.Asked.Go(), b.Stamp.Go(), c.now())
		if delete(t.wait, b.Name); len(t.wait) == 0 {
			t.round++
		}
	}
}

// measure compares a clock that said theirs between two moments of ours. What the answer may have
// been on its way is not held against it.
func measure(asked, theirs, answered time.Time) clock {
	latency := max(answered.Sub(asked), 0).Seconds()
	delta := theirs.Sub(asked.Add(answered.Sub(asked) / 2)).Seconds()
	bound := max(math.Abs(delta)-latency/2, 0)
	return clock{skew: math.Copysign(bound, delta), latency: latency}
}

// skewed are the monitors whose clocks differ by more than is allowed.
func (c *core) skewed() []string {
	var out []string
	allowed := c.set.Float("mon_clock_drift_allowed")
	for _, name := range c.quorumNames() {
		if math.Abs(c.clocks.clocks[name].skew) > allowed {
			out = append(out, name)
		}
	}
	return out
}

// skewText says how far a clock is off.
func (c *core) skewText(name string) string {
	return fmt.Sprintf("clock skew %gs > max %gs", math.Abs(c.clocks.clocks[name].skew),
		c.set.Float("mon_clock_drift_allowed"))
}

func (c *core) clockChecks(out healthmon.Checks) {
	var who, lines []string
	for _, name := range c.skewed() {
		who = append(who, "mon."+name)
		lines = append(lines, fmt.Sprintf("mon.%s %s (latency %gs)", name, c.skewText(name),
			c.clocks.clocks[name].latency))
	}
	if len(who) > 0 {
		out.Add("MON_CLOCK_SKEW", healthmon.Warn, int64(len(who)),
			"clock skew detected on "+strings.Join(who, ", "), lines...)
	}
}

func (c *core) cmdTimeSync(r *service.Request) service.Answer {
	t := &c.clocks
	status := "finished"
	if t.round%2 == 1 {
		status = "on-going"
	}
	checks := cephjson.Member{Key: "timechecks", Value: cephjson.Object{
		{Key: "epoch", Value: c.Term()}, {Key: "round", Value: t.round},
		{Key: "round_status", Value: status},
	}}
	if len(c.mon.Map().Ranks) == 1 || len(t.clocks) == 0 {
		return r.JSON(cephjson.Object{checks})
	}
	skews, off := cephjson.Object{}, c.skewed()
	for _, name := range c.quorumNames() {
		k, ok := t.clocks[name]
		if !ok {
			continue
		}
		one := cephjson.Object{{Key: "skew", Value: k.skew}, {Key: "latency", Value: k.latency},
			{Key: "health", Value: "HEALTH_OK"}}
		if slices.Contains(off, name) {
			one[2].Value = "HEALTH_WARN"
			one = append(one, cephjson.Member{Key: "details", Value: c.skewText(name)})
		}
		skews = append(skews, cephjson.Member{Key: name, Value: one})
	}
	return r.JSON(cephjson.Object{{Key: "time_skew_status", Value: skews}, checks})
}
