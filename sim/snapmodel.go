package sim

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"glue/ceph"
)

// A snapState is an object with what it was at snapshots.
type snapState struct {
	objState
	seq ceph.SnapID // the newest snapshot that a writer of the object knew of
	at  []keptState // in the order of snapshots
}

// A keptState is what an object was when a snapshot was taken.
type keptState struct {
	snap  ceph.SnapID
	state objState
}

func (s snapState) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%+v", s.objState)
	if s.seq > 0 {
		fmt.Fprintf(&out, " seq %d", s.seq)
	}
	for _, k := range s.at {
		fmt.Fprintf(&out, " at %d %+v", k.snap, k.state)
	}
	return out.String()
}

func sameSnapState(a, b any) bool {
	x, y := a.(snapState), b.(snapState)
	return x.objState == y.objState && x.seq == y.seq && slices.Equal(x.at, y.at)
}

var snapStateSeed = maphash.MakeSeed()

// hashSnapState is the same for the same states: the search for an order compares those alone.
func hashSnapState(a any) uint64 {
	s := a.(snapState)
	sum := maphash.Comparable(snapStateSeed, s.objState) + uint64(s.seq)
	for _, k := range s.at {
		sum = sum*31 + maphash.Comparable(snapStateSeed, k)
	}
	return sum
}

// find is what a reader at a snapshot sees: 0 is now.
func (s *snapState) find(snap ceph.SnapID) objState {
	if snap == 0 || snap > s.seq {
		return s.objState
	}
	for _, k := range s.at {
		if k.snap == snap {
			return k.state
		}
	}
	return objState{}
}

// keep is what a change under a context does before it changes anything: snapshots that no writer
// knew of are of what is there.
func (s snapState) keep(i objInput) snapState {
	list := i.snaps.Snaps
	if s.exists && len(list) > 0 && list[0] > s.seq {
		s.at = slices.Clip(s.at)
		for _, id := range slices.Backward(list) {
			if id > s.seq {
				s.at = append(s.at, keptState{id, s.objState})
			}
		}
	}
	s.seq = max(s.seq, i.snaps.Seq)
	return s
}

// step is what an operation makes of an object, and what it gives.
func (i objInput) step(s snapState) (snapState, int32) {
	if i.kind == readAll {
		if now := s.find(i.at); !now.exists {
			return s, ceph.ENOENT.Result()
		}
		return s, 0
	}
	next, result := s.objState, int32(0)
	changed := s.exists
	if i.kind == rollBack {
		next = s.find(i.at)
		changed = changed || next.exists
	} else {
		next, result = i.apply(s.objState)
		changed = result == 0 && (changed || next.exists)
	}
	if changed {
		s = s.keep(i)
		s.objState = next
	}
	return s, result
}

// variants are the operation under each context that it may have been done under.
func (i objInput) variants() []objInput {
	if len(i.among) == 0 {
		return []objInput{i}
	}
	out := make([]objInput, len(i.among))
	for k, x := range i.among {
		out[k] = i
		out[k].snaps, out[k].among = x, nil
	}
	return out
}

// fill gives changes the contexts that they may have been done under.
func (s *snapshots) fill(ops []porcupine.Operation) {
	if s == nil || !s.ofPool {
		return
	}
	for k := range ops {
		i := ops[k].Input.(objInput)
		if i.kind == readAll || i.kind == asBefore {
			continue
		}
		if ops[k].Output.(objOutput).anyway {
			i.to = s.newest
		}
		i.among = s.among(i.from, i.to)
		ops[k].Input = i
	}
}

// forgotten is the object as it is when the last of its clones has been trimmed while it was not
// there: its snapshots are not remembered. live says which of them were never removed.
func (s snapState) forgotten(live func(ceph.SnapID) bool) (snapState, bool) {
	for _, k := range s.at {
		if live(k.snap) {
			return s, false
		}
	}
	return snapState{}, !s.exists && s.seq > 0
}

// objModel is the model of an object while some snapshots are there.
func objModel(live func(ceph.SnapID) bool) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init:  func() []any { return []any{snapState{}} },
		Equal: sameSnapState,
		Hash:  hashSnapState,
		Step: func(state, in, out any) []any {
			i, o := in.(objInput), out.(objOutput)
			if i.kind == asBefore {
				return []any{o.was}
			}
			var list []any
			s := state.(snapState)
			for again := true; again; {
				for _, i := range i.variants() {
					next, result := i.step(s)
					if o.anyway || result == o.result &&
						(i.kind != readAll || s.find(i.at) == o.state) {
						list = append(list, next)
					}
				}
				s, again = s.forgotten(live)
			}
			return list
		},
	}
	return m.ToModel()
}
