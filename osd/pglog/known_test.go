package pglog

import (
	"math/rand/v2"
	"testing"

	"glue/ceph"
)

// tracker 53729: requests below the log's tail were not trimmed any more once one of them was out
// of order, as after a split, and filled the memory. Whatever happens to a log, its entries and the
// requests that it remembers ascend, on their sides of the tail; one trim leaves as many as asked
// for; and the indexes hold no more than these.
func TestKnownDupsAreBounded(t *testing.T) {
	const keep = 10
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 9))
		l, v := New(ceph.Eversion{}), uint64(0)
		for range 60 {
			for range rng.IntN(8) {
				v++
				name := string(rune('a' + rng.IntN(9)))
				l.Append(entry(ev(1, v), name, ceph.Eversion{}))
			}
			switch rng.IntN(6) {
			case 0, 1:
				if l.Len() > 0 {
					l.Trim(l.Entries()[rng.IntN(l.Len())].Version)
				}
			case 2:
				at := byte('a' + rng.IntN(9))
				child := l.Split(func(o ceph.HObject) bool { return o.Name[0] < at })
				boundedLog(t, seed, child)
				if rng.IntN(2) == 0 {
					l = child
				}
			case 3:
				o := New(l.Tail())
				o.Reset(l.Tail(), l.Head(), l.Entries(), l.Dups())
				l = o
			case 4:
				c := Copy{Log: New(l.Tail()), Missing: NewMissing(),
					LastBackfill: ceph.MaxHObject()}
				c.Merge(l.Tail(), l.Head(), l.Entries(), l.Dups())
				l = c.Log
			case 5:
				if l.Len() > 0 {
					c := Copy{Log: l, Missing: NewMissing(), LastBackfill: ceph.MaxHObject()}
					c.Rewind(l.Entries()[rng.IntN(l.Len())].Version)
					v = l.Head().Version
				}
			}
			boundedLog(t, seed, l)
			if upTo, ok := l.TrimDups(keep); ok && len(l.Dups()) != keep ||
				len(l.Dups()) > keep || ok && l.Dups()[0].Version.Compare(upTo) <= 0 {
				t.Fatalf("seed %d: trimmed up to %v, %d are left", seed, upTo, len(l.Dups()))
			}
			boundedLog(t, seed, l)
		}
	}
}

func boundedLog(t *testing.T, seed uint64, l *Log) {
	t.Helper()
	last := ceph.Eversion{}
	for _, d := range l.Dups() {
		if d.Version.Compare(last) <= 0 || l.Tail().Less(d.Version) {
			t.Fatalf("seed %d: request %v after %v, tail %v", seed, d.Version, last, l.Tail())
		}
		last = d.Version
	}
	last = l.Tail()
	for _, e := range l.Entries() {
		if e.Version.Compare(last) <= 0 || l.Head().Less(e.Version) {
			t.Fatalf("seed %d: entry %v after %v, head %v", seed, e.Version, last, l.Head())
		}
		last = e.Version
	}
	if n := len(l.Dups()) + l.Len(); len(l.byReq) > n || len(l.byObject) > l.Len() {
		t.Fatalf("seed %d: %d requests and %d objects are indexed of %d dups, %d entries", seed,
			len(l.byReq), len(l.byObject), len(l.Dups()), l.Len())
	}
}
