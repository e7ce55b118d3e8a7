package mon

import (
	"slices"
	"time"

	"glue/wire/message"
)

// Who was heard of a moment ago may have gone since, with its disk. Where a majority that is not
// there would be the end of the quorum, a leader asks all others anew, and what counts is who
// answers that: with the id of its store, and with the time of the question.

// A rollcall is what the others have answered.
type rollcall struct {
	asked time.Duration            // when the newest question was asked
	have  map[uint64]time.Duration // by member: when the newest question was asked that it answered
}

const (
	callEvery = 100 * time.Millisecond
	answerFor = 2 * time.Second // how long a command waits for the others to answer
)

// uptime is a time of this process alone.
func (c *core) uptime() time.Duration { return c.now().Sub(c.born) }

// callRoll asks the other monitors whether they are there.
func (c *core) callRoll() {
	now := c.uptime()
	if c.roll.asked != 0 && now-c.roll.asked < callEvery {
		return
	}
	c.roll.asked = now
	c.toOthers(&message.MMonProbe{FSID: c.fsid, Kind: message.ProbeCall, Name: c.opt.Name,
		Since: uint64(now)})
}

// called takes an answer.
func (c *core) called(b *message.MMonProbe) {
	if c.roll.have == nil || len(c.roll.have) > 4*maxMons {
		c.roll.have = map[uint64]time.Duration{}
	}
	at := min(time.Duration(b.Since), c.roll.asked)
	c.roll.have[b.Member] = max(c.roll.have[b.Member], at)
}

// present are the voters that have answered a question that was asked no longer ago than d.
func (c *core) present(d time.Duration) []uint64 {
	since := c.uptime() - d
	return slices.DeleteFunc(slices.Clone(c.node.Voters()), func(id uint64) bool {
		at, ok := c.roll.have[id]
		return id != c.node.ID() && (!ok || at < since)
	})
}
