package osd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/internal/admin"
	"glue/internal/cephjson"
	"glue/wire/message"
)

// text is the request in one line, as Ceph prints it (MOSDOp::print).
func (op *clientOp) text() string {
	m := op.m
	o := op.object
	if o == (ceph.HObject{}) {
		o = m.HObject()
	}
	var ops []string
	for i := range m.Ops {
		ops = append(ops, opText(&m.Ops[i]))
	}
	snaps := make([]string, len(m.Snaps))
	for i, s := range m.Snaps {
		snaps[i] = fmt.Sprintf("%x", uint64(s))
	}
	return fmt.Sprintf("osd_op(%v:%d %v %v [%s] snapc %x=[%s] %s e%d)", op.reqid.Name,
		op.reqid.TID, m.PG.PGID, o, strings.Join(ops, ","), uint64(m.SnapSeq),
		strings.Join(snaps, ","), message.FlagNames(m.Flags), m.Epoch)
}

// opText is one operation with what tells it from others of its kind.
func opText(o *message.OSDOp) string {
	switch {
	case o.Code == message.OpCall:
		if class, method, in, ok := o.Call(); ok {
			return fmt.Sprintf("call %s.%s in=%db", class, method, len(in))
		}
	case o.Code&message.KindMask == message.KindData && o.Code&message.ModeWrite != 0,
		o.Code == message.OpRead, o.Code == message.OpSparseRead, o.Code == message.OpSyncRead:
		off, n := o.Extent()
		return fmt.Sprintf("%v %d~%d", o.Code, off, n)
	case o.Code&message.KindMask == message.KindAttr:
		if name, value, ok := o.Xattr(); ok {
			return fmt.Sprintf("%v %s (%d)", o.Code, name, len(value))
		}
	}
	if len(o.In) > 0 {
		return fmt.Sprintf("%v in=%db", o.Code, len(o.In))
	}
	return o.Code.String()
}

type clientDump struct {
	Client string `json:"client"`
	Addr   string `json:"client_addr"`
	TID    uint64 `json:"tid"`
}

type eventDump struct {
	Event    string         `json:"event"`
	Time     string         `json:"time"`
	Duration cephjson.Float `json:"duration"`
}

type opDump struct {
	Description string         `json:"description"`
	Initiated   string         `json:"initiated_at"`
	Age         cephjson.Float `json:"age"`
	Duration    cephjson.Float `json:"duration"`
	Data        struct {
		Stage  string      `json:"flag_point"`
		Client clientDump  `json:"client_info"`
		Events []eventDump `json:"events"`
	} `json:"type_data"`
}

// stamp is a moment in the form of the stock dumps.
func stamp(t time.Time) string { return ceph.TimeOf(t).String() }

// dump is the request in JSON. An event's duration is the time until the next one.
func (p *pastOp) dump(now time.Time) opDump {
	out := opDump{Description: p.text, Initiated: stamp(p.start),
		Age: cephjson.Float(now.Sub(p.start).Seconds()), Duration: cephjson.Float(p.took.Seconds())}
	d := &out.Data
	d.Client = clientDump{p.reqid.Name.String(), p.addr, p.reqid.TID}
	d.Events = []eventDump{{"initiated", stamp(p.start), 0}}
	for i, m := range p.marks {
		next := p.took
		if i+1 < len(p.marks) {
			next = p.marks[i+1].at
		}
		name := m.stage.String()
		d.Stage = name
		d.Events = append(d.Events, eventDump{name, stamp(p.start.Add(m.at)),
			cephjson.Float(max(0, next-m.at).Seconds())})
	}
	if len(p.behind) > 0 {
		d.Stage = fmt.Sprintf("%v from %s", stSubops,
			strings.Trim(strings.ReplaceAll(fmt.Sprint(p.behind), " ", ","), "[]"))
	}
	return out
}

// inFlight are the requests under way that are at least so old, oldest first.
func (d *Daemon) inFlight(least time.Duration) []pastOp {
	var out []pastOp
	for _, s := range d.shards {
		out = append(out, s.inFlight(least)...)
	}
	slices.SortStableFunc(out, func(a, b pastOp) int { return a.start.Compare(b.start) })
	return out
}

// shardPatience is how long a shard may take to describe its requests before that is done without
// it.
const shardPatience = 2 * time.Second

func (s *shard) inFlight(least time.Duration) []pastOp {
	answer := make(chan []pastOp, 1)
	s.post(event{kind: evCall, call: func(s *shard) {
		answer <- s.list(least, func(op *clientOp, age time.Duration) (pastOp, bool) {
			if op.ended {
				return pastOp{}, false
			}
			p := op.describe(age)
			if pg := s.pgs[op.pg]; pg != nil {
				p.behind = pg.behind(op)
			}
			return p, true
		})
	}})
	select {
	case list := <-answer:
		return list
	case <-s.d.stop:
	case <-time.After(shardPatience):
	}
	return s.list(least, (*clientOp).brief)
}

// list goes through the requests in flight; f may pass over one.
func (s *shard) list(
	least time.Duration, f func(*clientOp, time.Duration) (pastOp, bool),
) []pastOp {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []pastOp
	now := s.d.now()
	for op := s.flying.head; op != nil; op = op.next {
		age := now.Sub(op.start)
		if age < least {
			break // the others are younger
		}
		if p, ok := f(op, age); ok {
			out = append(out, p)
		}
	}
	return out
}

// behind are the copies that a write still waits for, ourselves included.
func (p *pg) behind(op *clientOp) []int32 {
	for _, w := range p.window.All() {
		if w.op == op {
			return p.window.Behind(w.version)
		}
	}
	return nil
}

// past is the requests that the shards remember.
func (d *Daemon) past(pick func(*opHistory) []pastOp) []pastOp {
	var out []pastOp
	c := d.config.Load()
	for _, s := range d.shards {
		s.sync(func(s *shard) {
			s.past.trim(c, s.now)
			out = append(out, pick(&s.past)...)
		})
	}
	return out
}

func byAge(a, b pastOp) int { return a.start.Compare(b.start) }

func byDuration(a, b pastOp) int { return cmp.Compare(b.took, a.took) }

// opCommands are the rows about requests.
func (d *Daemon) opCommands() []admin.Command {
	const filter = "name=filterstr,type=CephString,n=N,req=false"
	row := func(prefix, help string, run func(words string) any) admin.Command {
		return admin.Command{Prefix: prefix, Signature: filter, Help: help,
			Run: func(a admin.Args) (any, error) { return run(a.Str("filterstr")), nil }}
	}
	flying := func(words string) any {
		ops := dumpOps(d.inFlight(0), words)
		return cephjson.Object{{Key: "ops", Value: ops}, {Key: "num_ops", Value: len(ops)}}
	}
	return []admin.Command{
		row("dump_ops_in_flight", "show the ops currently in flight", flying),
		row("ops", "show the ops currently in flight", flying),
		row("dump_blocked_ops", "show the blocked ops currently in flight", func(w string) any {
			complaint := d.config.Load().complaint
			ops := dumpOps(d.inFlight(complaint), w)
			return cephjson.Object{{Key: "ops", Value: ops},
				{Key: "complaint_time", Value: cephjson.Float(complaint.Seconds())},
				{Key: "num_blocked_ops", Value: len(ops)}}
		}),
		row("dump_historic_ops", "show recent ops", func(w string) any {
			return d.historic(byAge, w)
		}),
		row("dump_historic_ops_by_duration", "show slowest recent ops, sorted by duration",
			func(w string) any { return d.historic(byDuration, w) }),
		row("dump_historic_slow_ops", "show slowest recent ops", func(w string) any {
			c := d.config.Load()
			ops := d.past(func(h *opHistory) []pastOp { return h.slow })
			slices.SortStableFunc(ops, byAge)
			ops = ops[max(0, len(ops)-c.slowOps):]
			return cephjson.Object{{Key: "num to keep", Value: c.slowOps},
				{Key: "threshold to keep", Value: cephjson.Float(c.slowOp.Seconds())},
				{Key: "Ops", Value: dumpOps(ops, w)}}
		}),
	}
}

// historic is the slowest requests of the last while.
func (d *Daemon) historic(order func(a, b pastOp) int, words string) any {
	c := d.config.Load()
	ops := d.past(func(h *opHistory) []pastOp { return h.slowest })
	slices.SortStableFunc(ops, byDuration)
	ops = ops[:min(len(ops), c.historyOps)]
	slices.SortStableFunc(ops, order)
	return cephjson.Object{{Key: "size", Value: c.historyOps},
		{Key: "duration", Value: int64(c.historyFor.Seconds())},
		{Key: "ops", Value: dumpOps(ops, words)}}
}

// dumpOps prints those whose description has one of the words, if there are any.
func dumpOps(ops []pastOp, words string) []opDump {
	out, now := []opDump{}, time.Now()
	for i := range ops {
		has := func(w string) bool { return strings.Contains(ops[i].text, w) }
		if words == "" || slices.ContainsFunc(strings.Fields(words), has) {
			out = append(out, ops[i].dump(now))
		}
	}
	return out
}
