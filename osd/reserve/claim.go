package reserve

import "slices"

// A Kind is what a claim is for.
type Kind uint8

// The kinds.
const (
	None Kind = iota
	Recovery
	Backfill
)

// A State is how far a claim is.
type State uint8

// The states.
const (
	Idle       State = iota
	WaitLocal        // for the slot of the own OSD
	WaitRemote       // for the slot of another
	Held             // has all: may go on
	TooFull          // refused by a full OSD: to be tried again later
)

var stateNames = [...]string{Idle: "none", WaitLocal: "WaitLocalReserved",
	WaitRemote: "WaitRemoteReserved", Held: "reserved", TooFull: "too full"}

// String is the state of Ceph's machine that it stands for.
func (s State) String() string { return stateNames[s] }

// A Plan is what a PG wants to do: a kind, its priority, and the other OSDs that take part.
type Plan struct {
	Kind     Kind
	Priority uint32
	Targets  []int32
}

// An Effect is what the owner has to do for a claim: ask an OSD for a slot, or give one back. OSD
// is Self for the own.
type Effect struct {
	OSD      int32
	Kind     Kind
	Priority uint32
	Release  bool
	// Seq numbers the attempts of a claim: answers bring it back, and those to an earlier attempt
	// are dropped.
	Seq uint64
}

// Self stands for the own OSD in an Effect.
const Self int32 = -1

// A Claim is the way of a primary to all slots that its plan needs. The zero value wants nothing.
type Claim struct {
	plan  Plan
	state State
	// asked is how many of the targets have been asked: all but the last have granted.
	asked int
	full  int32 // who was too full
	seq   uint64
}

// State is how far the claim is.
func (c *Claim) State() State { return c.state }

// Kind is what the claim is for.
func (c *Claim) Kind() Kind { return c.plan.Kind }

// Priority is the plan's.
func (c *Claim) Priority() uint32 { return c.plan.Priority }

// Full is the OSD that refused for lack of space, in state TooFull.
func (c *Claim) Full() int32 { return c.full }

// Want makes a plan the claim's. Another kind or other targets begin anew; another priority is
// told to whom has been asked. A claim that is too full stays so until Retry.
func (c *Claim) Want(p Plan) []Effect {
	p.Targets = slices.Sorted(slices.Values(p.Targets))
	if p.Kind == None {
		return c.Drop()
	}
	if c.state == Idle {
		c.plan = p
		return c.begin()
	}
	if p.Kind != c.plan.Kind || !slices.Equal(p.Targets, c.plan.Targets) {
		out := c.Drop()
		c.plan = p
		return append(out, c.begin()...)
	}
	if p.Priority == c.plan.Priority || c.state == TooFull {
		return nil
	}
	c.plan.Priority = p.Priority
	out := []Effect{c.ask(Self)}
	for _, o := range c.plan.Targets[:c.asked] {
		out = append(out, c.ask(o))
	}
	return out
}

func (c *Claim) ask(osd int32) Effect {
	return Effect{OSD: osd, Kind: c.plan.Kind, Priority: c.plan.Priority, Seq: c.seq}
}

func (c *Claim) begin() []Effect {
	c.state, c.asked = WaitLocal, 0
	c.seq++
	return []Effect{c.ask(Self)}
}

// Granted takes an OSD's grant. One that is not waited for changes nothing.
func (c *Claim) Granted(osd int32, seq uint64) []Effect {
	switch {
	case seq != c.seq:
		return nil
	case c.state == WaitLocal && osd == Self:
	case c.state == WaitRemote && c.plan.Targets[c.asked-1] == osd:
	default:
		return nil
	}
	if c.asked == len(c.plan.Targets) {
		c.state = Held
		return nil
	}
	c.state = WaitRemote
	c.asked++
	return []Effect{c.ask(c.plan.Targets[c.asked-1])}
}

// Lost takes the news that an OSD has given the slot to another PG: everything is given back and
// asked for again.
func (c *Claim) Lost(osd int32, seq uint64) []Effect {
	if seq != c.seq || c.state == Idle || c.state == TooFull {
		return nil
	}
	if osd != Self && !slices.Contains(c.plan.Targets[:c.asked], osd) {
		return nil // it was not asked in this attempt
	}
	plan := c.plan
	out := c.Drop()
	c.plan = plan
	return append(out, c.begin()...)
}

// Refused takes an OSD's word that it is too full.
func (c *Claim) Refused(osd int32, seq uint64) []Effect {
	if seq != c.seq || c.state == Idle || c.state == TooFull {
		return nil
	}
	plan := c.plan
	out := c.Drop()
	c.plan, c.state, c.full = plan, TooFull, osd
	return out
}

// Retry tries again what was refused.
func (c *Claim) Retry() []Effect {
	if c.state != TooFull {
		return nil
	}
	return c.begin()
}

// Drop gives everything back.
func (c *Claim) Drop() []Effect {
	var out []Effect
	if c.state != Idle && c.state != TooFull {
		for _, o := range c.plan.Targets[:c.asked] {
			out = append(out, Effect{OSD: o, Kind: c.plan.Kind, Release: true, Seq: c.seq})
		}
		out = append(out, Effect{OSD: Self, Kind: c.plan.Kind, Release: true, Seq: c.seq})
	}
	c.Forget()
	return out
}

// Forget ends the claim without giving anything back: the interval is over, and everyone forgets
// by himself.
func (c *Claim) Forget() { *c = Claim{seq: c.seq} }
