package plant

import (
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/pginfo"
	"glue/osd/peering"
	"glue/wire/message"
)

// Tampers change a message between OSDs on its way, as if its sender had a bug. The result says
// whether it is to be lost. n counts the messages of a run.
var Tampers = map[Bug]func(b message.Body, n int) bool{
	ReplicaSkips: func(b message.Body, n int) bool {
		if m, ok := b.(*message.MOSDRepOp); ok && n%50 == 0 {
			m.Txn = nil
		}
		return false
	},
	ReplicaNoEntry: func(b message.Body, n int) bool {
		_, ok := b.(*message.MOSDRepOp)
		return ok && n%200 == 0
	},
	WrongLog: func(b message.Body, _ int) bool {
		if m, ok := b.(*message.MOSDPGNotify2); ok {
			m.Info = changed(m.Info, func(i *pginfo.Info) {
				if i.LastUpdate.Version > 5 {
					i.LastUpdate.Version -= 5
					i.LastComplete = i.LastUpdate
				}
			})
		}
		return false
	},
	LogCut: func(b message.Body, _ int) bool {
		if m, ok := b.(*message.MOSDPGLog); ok {
			m.Log = changed(m.Log, func(s *peering.Segment) {
				if k := len(s.Entries); k > 1 {
					s.Entries = s.Entries[:k-1]
				}
			})
		}
		return false
	},
	MissingCut: func(b message.Body, _ int) bool {
		if m, ok := b.(*message.MOSDPGLog); ok {
			m.Missing = denc.Marshal(noMissing{}, ceph.FeaturesAll)
		}
		return false
	},
	PushNoAttrs: func(b message.Body, _ int) bool {
		return eachPush(b, func(p *message.Push) { delete(p.Attrs, "_a") })
	},
	PushNoOmap: func(b message.Body, _ int) bool {
		return eachPush(b, func(p *message.Push) { p.Omap = nil })
	},
	PushStale: func(b message.Body, _ int) bool {
		return eachPush(b, func(p *message.Push) {
			if len(p.Content) > 0 {
				p.Content[0] ^= 1
			}
		})
	},
	SaysUnreadable: func(b message.Body, _ int) bool {
		return eachPush(b, func(p *message.Push) {
			if p.Object.Hash%2 == 0 { // for good, whoever asks
				*p = message.Push{Object: p.Object, Version: p.Version,
					After: message.Progress{Error: true}}
			}
		})
	},
	AckFar: func(b message.Body, _ int) bool {
		if m, ok := b.(*message.MOSDRepOpReply); ok {
			m.Version.Version += 3
			m.LastComplete = m.Version
		}
		return false
	},
	SlotLeak: func(b message.Body, _ int) bool {
		switch m := b.(type) {
		case *message.MBackfillReserve:
			return m.Kind == message.ReserveRelease
		case *message.MRecoveryReserve:
			return m.Kind == message.ReserveRelease
		}
		return false
	},
	LongestLog: func(b message.Body, _ int) bool {
		if m, ok := b.(*message.MOSDPGNotify2); ok {
			m.Info = changed(m.Info, func(i *pginfo.Info) {
				i.LastEpochStarted, i.History.LastEpochStarted = 1, 1
			})
		}
		return false
	},
	CompleteFar: func(b message.Body, _ int) bool {
		if m, ok := b.(*message.MOSDPGNotify2); ok {
			m.Info = changed(m.Info, func(i *pginfo.Info) { i.LastComplete = i.LastUpdate })
		}
		return false
	},
	CleanTooSoon: func(b message.Body, _ int) bool {
		if m, ok := b.(*message.MOSDPGNotify2); ok {
			m.Info = changed(m.Info, func(i *pginfo.Info) {
				i.History.LastEpochClean = m.Epoch
				i.History.LastIntervalClean = m.Epoch
			})
		}
		return false
	},
	LostMessage: func(_ message.Body, n int) bool { return n%300 == 0 },
}

// changed is a record with something else in it; what can't be read stays as it is.
func changed[T any, P interface {
	*T
	denc.Value
}](raw []byte, f func(P)) []byte {
	v := P(new(T))
	if denc.Unmarshal(raw, v, ceph.FeaturesAll) != nil {
		return raw
	}
	f(v)
	return denc.Marshal(v, ceph.FeaturesAll)
}

func eachPush(b message.Body, f func(p *message.Push)) bool {
	if m, ok := b.(*message.MOSDPGPush); ok {
		for i := range m.Pushes {
			f(&m.Pushes[i])
		}
	}
	return false
}

// noMissing is an empty missing set.
type noMissing struct{}

// Denc is a section of an empty list.
func (noMissing) Denc(c *denc.Coder) {
	s := c.Begin(1, 1)
	none := uint32(0)
	c.U32(&none)
	s.End()
}
