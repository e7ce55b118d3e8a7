package osd

import (
	"fmt"
	"os"
	"slices"

	"github.com/anishathalye/porcupine"

	"glue/auth/caps"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/osdmap"
	"glue/cluster/pginfo"
	"glue/osd/snaps"
	"glue/wire/message"
	"glue/wire/msgr"
)

// A simClient does one operation after the other.
type simClient struct {
	s      *sim
	id     int
	m      *osdmap.Map
	tid    uint64
	seq    int
	op     *simOp
	old    snaps.Context // what it knew of the last time
	acting []int32
	target int32 // of them
	upFrom ceph.Epoch
	sentTo ceph.PGID
	inbox  []*message.MOSDOpReply
	events []porcupineOp
}

type simOp struct {
	object int
	read   bool
	remove bool
	value  string
	call   int64
	sent   bool
	tid    uint64
	retry  int32
	at     ceph.SnapID     // the snapshot that is read, or rolled back to; 0 for none
	snaps  snaps.Context   // that a write knows of
	write  []message.OSDOp // instead of a value's
	fails  bool            // its answer has to be EIO or ENOSPC
	any    bool            // a read of any copy
	// primary: a copy had it go there
	primary bool
	to      *int32 // the one copy of all that is asked, again and again
	asked   int    // ops in the request; a reply has as many, also a refusal
}

type porcupineOp struct {
	object int
	op     porcupine.Operation
}

// simLink is the connection of a client to one incarnation of an OSD.
type simLink struct {
	c   *simClient
	gen uint16
	n   *simNode
}

func (l *simLink) Send(m *message.Message) {
	if l.n.d == nil || l.n.addrs[0].AddrPort.Port() != l.gen {
		return
	}
	switch b := m.Body.(type) {
	case *message.MOSDOpReply:
		r2 := *b
		r2.Retry = int32(m.TID) // not used otherwise here
		l.c.inbox = append(l.c.inbox, &r2)
	case *message.MOSDBackoff:
		if c := l.c; b.Action == message.BackoffUnblock && c.op != nil && c.sentTo == b.PG.PGID {
			c.op.sent = false
		}
	}
}

const simObjects = 6

func (c *simClient) name(o int) string { return fmt.Sprintf("obj%d", o) }

func (c *simClient) actions(add func(int, func())) {
	if c.m == nil || c.m.Epoch < c.s.m.Epoch && !c.s.nodes[c.id].isApart() {
		add(4, c.newMap)
	}
	if c.m == nil {
		return
	}
	if len(c.inbox) > 0 {
		add(10, c.answer)
	}
	if c.op == nil && !c.s.quiet {
		add(4, c.invoke)
	}
	if c.op != nil && !c.op.sent {
		add(10, c.send)
	}
}

func (c *simClient) pg() ceph.PGID {
	raw, err := c.m.ObjectPG(simPool, c.name(c.op.object), "", "")
	if err != nil {
		c.s.t.Fatal(err)
	}
	return c.m.RawToPG(raw)
}

// newMap looks at every epoch up to the newest: a change that was undone again counts too.
func (c *simClient) newMap() {
	from := ceph.Epoch(1)
	if c.m != nil {
		from = c.m.Epoch + 1
	}
	for e := from; e <= c.s.m.Epoch; e++ {
		m, err := osdmap.Decode(c.s.full[e])
		if err != nil {
			c.s.t.Fatal(err)
		}
		was := c.m
		c.m = m
		if c.op == nil || !c.op.sent {
			continue
		}
		if pginfo.Resized(c.sentTo, was.Pools[simPool], m.Pools[simPool]) {
			c.op.sent = false
			continue
		}
		_, _, acting, _ := m.PGToUpActing(c.pg())
		if !slices.Equal(acting, c.acting) || m.Info[c.target].UpFrom != c.upFrom {
			c.op.sent = false
		}
	}
}

// lost is the end of the connection to an OSD.
func (c *simClient) lost(osd int32) {
	if c.op != nil && len(c.acting) > 0 && c.target == osd {
		c.op.sent = false
	}
}

func (c *simClient) invoke() {
	c.tid++
	c.seq++
	op := &simOp{object: c.s.rng.IntN(simObjects), tid: c.tid, call: int64(c.s.steps)}
	switch r := c.s.rng.IntN(10); {
	case r < 4 || c.s.nodes[c.id].isApart(): // a write would wait until the node is back
		op.read = true
	case r == 9:
		op.remove = true
	case r == 8 && len(c.s.snaps.Snaps) > 0 && c.s.rng.IntN(2) == 0:
		op.at = c.s.anySnap()
	default:
		op.value = simValue(c.id, c.seq)
	}
	if op.read && len(c.s.snaps.Snaps) > 0 && c.s.rng.IntN(2) == 0 {
		op.at = c.s.anySnap()
	}
	if c.s.readers && c.id > 0 {
		op.read, op.remove, op.value, op.at = true, false, "", 0
	}
	if c.s.readers {
		op.object %= 2
	}
	op.any = op.read && c.s.rng.IntN(3) > 0
	op.snaps = c.s.snaps
	if c.s.rng.IntN(8) == 0 { // of a writer that has not heard of the newest
		op.snaps = c.old
	}
	c.old = c.s.snaps
	c.op = op
}

func (c *simClient) send() {
	pg := c.pg()
	_, _, acting, target := c.m.PGToUpActing(pg)
	if target >= 0 && c.op.any && !c.op.primary {
		target = acting[c.s.rng.IntN(len(acting))]
	}
	if c.op.to != nil {
		target = *c.op.to
	}
	if target < 0 {
		return
	}
	n := c.s.nodes[target]
	if n.d == nil || !c.m.ClientAddrs[target].Equal(n.addrs) {
		return
	}
	c.acting, c.target, c.upFrom, c.sentTo = acting, target, c.m.Info[target].UpFrom, pg
	raw, _ := c.m.ObjectPG(simPool, c.name(c.op.object), "", "")
	m := &message.MOSDOp{PG: ceph.SPG{PGID: pg, Shard: ceph.NoShard}, Hash: raw.Seed,
		Epoch: c.m.Epoch, Flags: message.FlagRead, Object: c.name(c.op.object), Snap: ceph.NoSnap,
		Locator: ceph.Locator{Pool: simPool, Hash: -1}, MTime: ceph.TimeOf(c.s.clock),
		Retry: c.op.retry}
	m.Ops = []message.OSDOp{{Code: message.OpRead}}
	m.Ops[0].SetExtent(0, simValueLen)
	if c.op.any && !c.op.primary {
		m.Flags |= message.FlagBalanceReads
	}
	if c.op.read && c.op.at > 0 {
		m.Snap = c.op.at
	}
	if !c.op.read {
		m.SnapSeq, m.Snaps = c.op.snaps.Seq, c.op.snaps.Snaps
		m.Flags = message.FlagWrite
		m.Ops = c.op.ops()
		if c.op.write != nil {
			m.Ops = c.op.write
		}
		if c.op.remove {
			m.Ops = []message.OSDOp{{Code: message.OpDelete}}
		}
		if c.op.at > 0 {
			m.Ops = []message.OSDOp{{Code: message.OpRollback}}
			m.Ops[0].SetSnapID(c.op.at)
		}
	}
	c.op.retry++
	c.op.sent, c.op.asked = true, len(m.Ops)
	who := ceph.EntityName{Type: ceph.TypeClient, Num: int64(c.id + 1)}
	all, _ := caps.ParseOSD("allow *")
	sess := &session{conn: &simLink{c, n.addrs[0].AddrPort.Port(), n}, caps: all, all: true,
		peer: msgr.Peer{Name: who, Features: ceph.FeaturesAll}}
	msg := message.New(m)
	msg.TID = c.op.tid
	c.s.hold(n.d, msg)
	if *simTrace {
		fmt.Fprintf(os.Stderr, "%d: client %d to osd.%d: %+v epoch %d acting %v\n", c.s.steps,
			c.id, target, *c.op, c.m.Epoch, acting)
	}
	n.d.route(m.PG, event{kind: evOp, sess: sess, msg: msg})
}

func (c *simClient) answer() {
	r := c.inbox[0]
	c.inbox = c.inbox[1:]
	op := c.op
	if op == nil || uint64(r.Retry) != op.tid {
		return // of a request that was sent twice
	}
	if len(r.Ops) != op.asked {
		c.s.t.Fatalf("step %d: client %d: %+v: result %d with %d ops of %d", c.s.steps, c.id, *op,
			r.Result, len(r.Ops), op.asked)
	}
	if op.any && c.target != c.acting[0] {
		if c.s.copyReads++; r.Result != ceph.EAGAIN.Result() {
			c.s.served++
		}
	}
	out := ""
	switch {
	case op.any && r.Result == ceph.EAGAIN.Result():
		op.sent = false
		// Else a copy is tried again, which stock clients do not do.
		op.primary = op.to == nil && c.s.rng.IntN(8) == 0
		return
	case op.fails && (r.Result == ceph.EIO.Result() || r.Result == ceph.ENOSPC.Result()):
		c.op = nil
		return
	case op.read && r.Result == ceph.ENOENT.Result():
	case op.remove && r.Result == ceph.ENOENT.Result():
		// The delete found nothing, or it happened and the answer was lost with its log entry's
		// interval: both are a delete.
	case r.Result < 0 || op.fails:
		c.s.t.Fatalf("step %d: client %d: %+v: result %d", c.s.steps, c.id, *op, r.Result)
	case op.read:
		out = string(r.Ops[0].Out)
	}
	if !op.read || !c.s.gone[op.at] { // what is being removed may be there or not
		c.record(op, out, int64(c.s.steps))
	}
	c.op = nil
}

// A registerInput is an operation on one object for the checker.
type registerInput struct {
	read  bool
	value string
	at    ceph.SnapID
	snaps snaps.Context
}

func (c *simClient) record(op *simOp, out string, ret int64) {
	c.events = append(c.events, porcupineOp{op.object, porcupine.Operation{
		ClientId: c.id, Input: registerInput{op.read, op.value, op.at, op.snaps}, Call: op.call,
		Output: out, Return: ret}})
}

// A registerState is an object as a fool would keep it: a whole copy for every snapshot.
type registerState struct {
	head string
	seq  ceph.SnapID
	at   [simSnaps + 1]string
}

// registers is the model of an object with snapshots, of which some were removed during the run. An
// object that is gone, at every snapshot that there is too, may have been forgotten: then it takes
// a writer who does not know of its last snapshot for one of before it.
func registers(gone map[ceph.SnapID]bool) porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{registerState{}} },
		Step: func(state, in, out any) (next []any) {
			s, r := state.(registerState), in.(registerInput)
			next = s.step(r, out, nil)
			if s.forgettable(gone) {
				next = registerState{}.step(r, out, next)
			}
			return next
		},
	}).ToModel()
}

func (s registerState) forgettable(gone map[ceph.SnapID]bool) bool {
	for id, v := range s.at {
		if v != "" && !gone[ceph.SnapID(id)] {
			return false
		}
	}
	return s.head == "" && s != registerState{}
}

// step adds the states that an operation may lead to.
func (s registerState) step(r registerInput, out any, next []any) []any {
	sees, was := s.head, s
	if r.at > 0 && r.at <= s.seq {
		sees = s.at[r.at]
	}
	if r.read {
		if sees != out {
			return next
		}
		return append(next, s)
	}
	for _, id := range r.snaps.Snaps {
		if id > s.seq {
			s.at[id] = s.head
		}
	}
	s.seq = max(s.seq, r.snaps.Seq)
	if s.head = r.value; r.at > 0 {
		s.head = sees
	}
	if next = append(next, s); was.head == "" && s.head == "" && was != s {
		next = append(next, was) // there was nothing to do
	}
	return next
}

const simValueLen = 9

// simValue is what a client writes: always of one length, so that it can be a part of an object.
func simValue(client, seq int) string { return fmt.Sprintf("c%d-%06d", client, seq) }

// ops are a write of the value, either as the whole object or at its beginning, and then of a
// change elsewhere in it, which copies have to agree on.
func (op *simOp) ops() []message.OSDOp {
	full := message.OSDOp{Code: message.OpWriteFull, In: []byte(op.value)}
	full.SetExtent(0, uint64(len(op.value)))
	n := int(op.tid)
	if n%4 == 0 || len(op.value) != simValueLen {
		return []message.OSDOp{full}
	}
	first := message.OSDOp{Code: message.OpWrite, In: []byte(op.value)}
	first.SetExtent(0, simValueLen)
	at := uint64(simValueLen + n*37%200*50)
	var more message.OSDOp
	switch n % 5 {
	case 0, 1:
		more = message.OSDOp{Code: message.OpWrite, In: []byte(op.value)}
		more.SetExtent(at, simValueLen)
	case 2:
		more = message.OSDOp{Code: message.OpZero}
		more.SetExtent(at, 100)
	case 3:
		more = message.OSDOp{Code: message.OpTruncate}
		more.SetExtent(at, 0)
	case 4:
		var pairs []byte
		e := denc.NewEncoder(nil, 0)
		set := map[string][]byte{fmt.Sprint(n % 7): []byte(op.value)}
		denc.MapFunc(e, &set, (*denc.Coder).Str, (*denc.Coder).Blob)
		pairs = e.Bytes()
		more = message.OSDOp{Code: message.OpOmapSetVals, In: pairs}
	}
	return []message.OSDOp{first, more}
}
