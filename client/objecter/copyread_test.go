package objecter

import (
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/crush"
	"glue/cluster/osdmap"
	"glue/wire/message"
)

// read submits a read with flags and gives the channel of its end.
func (w *world) read(object string, flags uint32) chan error {
	end := make(chan error, 2)
	w.o.Submit(&Op{Pool: 1, Object: object, Flags: flags,
		Ops: []message.OSDOp{{Code: message.OpStat}},
		Done: func(r *message.MOSDOpReply, err error) {
			if err == nil {
				err = ceph.ErrorOf(r.Result)
			}
			end <- err
		}})
	return end
}

// replicated is a world whose objects have a copy on each of three hosts, hosd.0 to hosd.2.
func replicated(t *testing.T) *world {
	w := newWorld(t, 3)
	w.change(func(inc *osdmap.Incremental) {
		p := w.m.Pools[1].Clone()
		p.Size, p.MinSize = 3, 2
		inc.NewPools = map[int64]*osdmap.Pool{1: p}
	})
	if _, err := w.o.WaitMap(within(t, 10e9), 2); err != nil {
		t.Fatal(err)
	}
	return w
}

const balanced, localized = message.FlagBalanceReads, message.FlagLocalizeReads

// A balanced read goes to any copy. One that says EAGAIN sends it to the primary, as a read of no
// copy in particular; so does a change of the PG's OSDs that takes its copy away.
func TestBalancedReads(t *testing.T) {
	w := replicated(t)
	primary, seen := w.home("o"), map[int32]int{}
	for range 60 {
		end := w.read("o", message.FlagRead|balanced)
		var r request
		var d *fakeOSD
		select {
		case r = <-w.osds[0].got:
			d = w.osds[0]
		case r = <-w.osds[1].got:
			d = w.osds[1]
		case r = <-w.osds[2].got:
			d = w.osds[2]
		case <-time.After(10 * time.Second):
			t.Fatal("no OSD gets the read")
		}
		if seen[d.id]++; r.op.Flags&balanced == 0 {
			t.Errorf("flags %x", r.op.Flags)
		}
		if d != primary {
			r.reply(ceph.EAGAIN.Result())
			if r = primary.next(); r.op.Flags&balanced != 0 {
				t.Errorf("flags at the primary %x", r.op.Flags)
			}
		}
		r.reply(0)
		finished(t, end, nil)
	}
	for _, d := range w.osds {
		if seen[d.id] < 3 { // by chance: less than once in a million runs
			t.Errorf("osd.%d got %d of 60 reads", d.id, seen[d.id])
		}
	}
}

func TestLocalizedReads(t *testing.T) {
	w := replicated(t)
	primary := w.home("o")
	near := w.osds[(primary.id+1)%3]
	goesTo := func(what string, d *fakeOSD, flags uint32, place ...crush.Coordinate) {
		t.Helper()
		w.change(func(*osdmap.Incremental) { w.place = place }) // a new map forgets who is near
		if _, err := w.o.WaitMap(within(t, 10e9), w.m.Epoch); err != nil {
			t.Fatal(err)
		}
		end := w.read("o", flags)
		t.Log(what)
		d.next().reply(0)
		finished(t, end, nil)
	}
	host := crush.Coordinate{Type: "host", Name: "hosd." + string('0'+rune(near.id))}
	root := crush.Coordinate{Type: "root", Name: "default"}
	goesTo("on its host", near, message.FlagRead|localized, host, root)
	goesTo("nowhere", primary, message.FlagRead|localized)
	goesTo("all are as far", primary, message.FlagRead|localized, root)
	goesTo("on no host", primary, message.FlagRead|localized, crush.Coordinate{Type: "host",
		Name: "elsewhere"})
	goesTo("not asked for", primary, message.FlagRead, host)
	goesTo("a write", primary, message.FlagWrite|localized, host)
	goesTo("a write, balanced", primary, message.FlagWrite|balanced, host)

	// Its OSD goes down while it waits.
	w.change(func(*osdmap.Incremental) { w.place = []crush.Coordinate{host} })
	if _, err := w.o.WaitMap(within(t, 10e9), w.m.Epoch); err != nil {
		t.Fatal(err)
	}
	end := w.read("o", message.FlagRead|localized)
	near.next()
	w.change(func(inc *osdmap.Incremental) {
		inc.NewState = map[int32]osdmap.State{near.id: osdmap.OSDUp}
	})
	w.home("o").next().reply(0)
	finished(t, end, nil)
}
