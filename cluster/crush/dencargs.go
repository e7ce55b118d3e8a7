package crush

import (
	"cmp"
	"maps"
	"slices"

	"glue/ceph/denc"
)

// dencChooseArgs is the weight sets. The keys are pool ids or DefaultArgs, in ascending order.
func (m *Map) dencChooseArgs(c *denc.Coder) {
	denc.MapFunc(c, &m.ChooseArgs, (*denc.Coder).I64,
		func(c *denc.Coder, args *map[int32]*ChooseArg) { m.dencArgs(c, args) })
}

// dencArgs is one set: the buckets that have a replacement, by slot.
func (m *Map) dencArgs(c *denc.Coder, args *map[int32]*ChooseArg) {
	if c.Encoding() {
		ids := argIDs(*args)
		c.Count(len(ids), 12)
		for _, id := range ids {
			c.U32Const(uint32(-1 - id))
			(*args)[id].denc(c)
		}
		return
	}
	n := c.Count(0, 12)
	out := map[int32]*ChooseArg{}
	for range n {
		slot := c.U32Const(0)
		a := &ChooseArg{}
		if a.denc(c); c.Err() != nil {
			return
		}
		if int64(slot) >= int64(len(m.Buckets)) {
			c.Invalid("choose_args for slot %d of %d", slot, len(m.Buckets))
			return
		}
		if len(a.IDs) > 0 && (m.Buckets[slot] == nil || len(m.Buckets[slot].Items) != len(a.IDs)) {
			c.Invalid("choose_args with %d ids for bucket %d", len(a.IDs), -1-int32(slot))
			return
		}
		if !a.empty() {
			out[int32(-1-int64(slot))] = a
		}
	}
	*args = out
}

func (a *ChooseArg) denc(c *denc.Coder) {
	denc.ListFunc(c, &a.WeightSets, func(c *denc.Coder, w *[]uint32) {
		denc.ListFunc(c, w, (*denc.Coder).U32)
	})
	denc.ListFunc(c, &a.IDs, (*denc.Coder).I32)
}

// empty says that nothing is replaced; such entries are not written.
func (a *ChooseArg) empty() bool { return len(a.WeightSets) == 0 && len(a.IDs) == 0 }

// argIDs are the buckets of a set in the order of their slots, the empty ones left out.
func argIDs(args map[int32]*ChooseArg) []int32 {
	ids := slices.SortedFunc(maps.Keys(args), func(a, b int32) int { return cmp.Compare(b, a) })
	return slices.DeleteFunc(ids, func(id int32) bool { return args[id].empty() })
}
