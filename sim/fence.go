package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"glue/ceph"
	"glue/cluster/osdmap"
)

// fence has a user blocklisted while it writes, which does not hear of it for a while. Who has an
// answer and knows the map that says so must not see that user change anything any more.
func (f *faults) fence() {
	c := f.w.cluster
	u := c.users[f.w.rng.IntN(len(c.users))]
	addr := u.addr
	if c.roll != nil {
		c.roll.fenced = append(c.roll.fenced, addr)
	}
	u.deaf = true
	f.during(f.while(time.Second, 40), func() {
		u.deaf = false
		u.drop() // and subscribes from the map on that it has
	})
	c.operator.do(cmd(`{"prefix":"osd blocklist","blocklistop":"add","addr":%q}`,
		fmt.Sprintf("%v/%d", addr.AddrPort, addr.Nonce)), func(int32) {})
}

// fenced notes that a user hears that it is blocklisted, of which epoch on, and begins anew under
// another address.
func (u *user) fenced(m *osdmap.Map) bool {
	if !m.Blocklisted(u.addr) {
		return false
	}
	u.w.trace("blocklisted", "user", u.n, "epoch", m.Epoch)
	u.w.result.Fenced++
	u.fence = m.Epoch
	u.restart()
	u.fence = 0
	return true
}

// A lostOp is one that was given up. Of a user that was blocklisted it is done before anybody who
// knows of that has an answer about the object, or never; else at any time or never.
type lostOp struct {
	op    porcupine.Operation
	fence ceph.Epoch
}

// bounds are how late the lost operations of an object may be done; 0: at any time.
func (h *objects) bounds(name string) []int64 {
	out := make([]int64, len(h.lost[name]))
	for i, l := range h.lost[name] {
		if l.fence == 0 {
			continue
		}
		for _, o := range h.ops[name] {
			if o.Output.(objOutput).epoch >= l.fence && (out[i] == 0 || o.Return < out[i]) {
				out[i] = o.Return
			}
		}
	}
	return out
}

// orders are the histories of an object of which one has to make sense: each lost operation that
// has a bound is in it or not.
func (h *objects) orders(name string, ops []porcupine.Operation, end int64,
) [][]porcupine.Operation {
	out := [][]porcupine.Operation{ops}
	for i, bound := range h.bounds(name) {
		o := h.lost[name][i].op
		o.ClientId = 2000 + i
		o.Return = end
		if bound > 0 {
			o.Return = bound
		}
		more := [][]porcupine.Operation{}
		for _, ops := range out {
			if bound > 0 {
				more = append(more, ops)
			}
			more = append(more, append(slices.Clone(ops), o))
		}
		out = more
	}
	return out
}
