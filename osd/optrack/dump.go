package optrack

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"glue/ceph"
	"glue/internal/cephjson"
	"glue/wire/message"
)

// Text is a request for an object in one line, as Ceph prints it (MOSDOp::print).
func Text(m *message.MOSDOp, o ceph.HObject, id ceph.ReqID) string {
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
	return fmt.Sprintf("osd_op(%v:%d %v %v [%s] snapc %x=[%s] %s e%d)", id.Name,
		id.TID, m.PG.PGID, o, strings.Join(ops, ","), uint64(m.SnapSeq),
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

// A Dump is a request in JSON.
type Dump struct {
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

// Dump is the request in JSON. An event's duration is the time until the next one.
func (p *Op) Dump(now time.Time) Dump {
	out := Dump{Description: p.Text, Initiated: stamp(p.Start),
		Age: cephjson.Float(now.Sub(p.Start).Seconds()), Duration: cephjson.Float(p.Took.Seconds())}
	d := &out.Data
	d.Client = clientDump{p.ReqID.Name.String(), p.Addr, p.ReqID.TID}
	d.Events = []eventDump{{"initiated", stamp(p.Start), 0}}
	for i, m := range p.Marks {
		next := p.Took
		if i+1 < len(p.Marks) {
			next = p.Marks[i+1].At
		}
		name := m.Stage.String()
		d.Stage = name
		d.Events = append(d.Events, eventDump{name, stamp(p.Start.Add(m.At)),
			cephjson.Float(max(0, next-m.At).Seconds())})
	}
	if len(p.Behind) > 0 {
		d.Stage = fmt.Sprintf("%v from %s", ForCopies,
			strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Behind), " ", ","), "[]"))
	}
	return out
}

// DumpAll prints those whose description has one of the words, if there are any.
func DumpAll(ops []Op, words string, now time.Time) []Dump {
	out := []Dump{}
	for i := range ops {
		has := func(w string) bool { return strings.Contains(ops[i].Text, w) }
		if words == "" || slices.ContainsFunc(strings.Fields(words), has) {
			out = append(out, ops[i].Dump(now))
		}
	}
	return out
}
