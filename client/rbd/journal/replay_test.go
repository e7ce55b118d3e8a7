package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"glue/ceph"
	"glue/cluster/journalspec"
)

// A paper journal is a few objects in memory.
type paper map[uint64][]entry

// put adds entries first to last of a tag to the set's objects, without those in missing.
func (p paper) put(width, set, tag, first, last uint64, missing ...uint64) {
next:
	for tid := first; tid <= last; tid++ {
		for _, m := range missing {
			if m == tid {
				continue next
			}
		}
		n := set*width + tid%width
		p[n] = append(p[n], entry{tag: tag, tid: tid})
	}
}

// read is what a reader gives, as "tag.entry".
func (p paper) read(t *testing.T, s shape, committed journalspec.Positions) string {
	t.Helper()
	r := &reader{shape: s, committed: committed, next: map[uint64]uint64{},
		fetch: func(_ context.Context, object uint64) ([]byte, error) {
			list, ok := p[object]
			if !ok {
				return nil, ceph.ENOENT
			}
			var b []byte
			for _, e := range list {
				b = e.append(b)
				for len(b)%16 != 0 { // as an OSD pads
					b = append(b, 0)
				}
			}
			return b, nil
		}}
	ctx := t.Context()
	if err := r.begin(ctx); err != nil {
		return err.Error()
	}
	var out []string
	for {
		e, object, err := r.pop(ctx)
		switch {
		case errors.Is(err, ceph.EBADMSG):
			return strings.Join(append(out, "bad"), " ")
		case err != nil:
			t.Fatal(err)
		case e == nil:
			return strings.Join(out, " ")
		case object%uint64(s.width) != e.tid%uint64(s.width):
			t.Errorf("entry %d is said to be in object %d", e.tid, object)
		}
		if out = append(out, fmt.Sprintf("%d.%d", e.tag, e.tid)); len(out) > 100 {
			t.Fatal("it does not end")
		}
	}
}

// at are positions of an object, a tag and an entry each.
func at(list ...[3]uint64) (out journalspec.Positions) {
	for _, p := range list {
		out = append(out, journalspec.Position{Object: p[0], Tag: p[1], Entry: p[2]})
	}
	return out
}

// What is read back, as librbd reads it: the order of the entries, what a tag that ended abruptly
// leaves, more than one set, and where the committed entries end.
func TestReader(t *testing.T) {
	for _, c := range readerCases {
		p := paper{}
		c.fill(p)
		if got := p.read(t, c.s, c.committed); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

var two = shape{order: 12, width: 2}

var readerCases = []struct {
	name      string
	s         shape
	committed journalspec.Positions
	fill      func(p paper)
	want      string
}{
	{"nothing", two, nil, func(paper) {}, ""},
	{"all", two, nil, func(p paper) { p.put(2, 0, 1, 0, 4) }, "1.0 1.1 1.2 1.3 1.4"},
	{"after the committed", two, at([3]uint64{1, 1, 1}, [3]uint64{0, 1, 0}),
		func(p paper) { p.put(2, 0, 1, 0, 4) }, "1.2 1.3 1.4"},
	{"after one lane's", two, at([3]uint64{0, 1, 0}),
		func(p paper) { p.put(2, 0, 1, 0, 2) }, "1.1 1.2"},
	{"all committed", two, at([3]uint64{0, 1, 4}, [3]uint64{1, 1, 3}),
		func(p paper) { p.put(2, 0, 1, 0, 4) }, ""},
	{"a gap ends the tag", two, nil, func(p paper) { p.put(2, 0, 1, 0, 5, 3, 5) },
		"1.0 1.1 1.2"},
	{"a gap, and another tag", two, nil, func(p paper) {
		p.put(2, 0, 1, 0, 5, 2, 4)
		p.put(2, 0, 2, 0, 1)
	}, "1.0 1.1 2.0 2.1"},
	{"a tag without an entry 0", two, nil, func(p paper) {
		p.put(2, 0, 1, 0, 1)
		p.put(2, 0, 2, 1, 3, 2)
		p.put(2, 0, 3, 0, 1)
	}, "1.0 1.1 3.0 3.1"},
	{"a tag of an entry 1", two, nil, func(p paper) {
		p.put(2, 0, 1, 0, 0)
		p.put(2, 0, 2, 1, 1)
	}, "1.0"},
	{"a tag after the committed one", two, at([3]uint64{1, 1, 1}, [3]uint64{0, 1, 0}),
		func(p paper) {
			p.put(2, 0, 1, 0, 1)
			p.put(2, 0, 2, 0, 2)
		}, "2.0 2.1 2.2"},
	{"what came late of an older tag", two, at([3]uint64{0, 2, 0}), func(p paper) {
		p.put(2, 0, 1, 0, 0)
		p.put(2, 0, 2, 0, 0)
		p.put(2, 0, 1, 1, 2)
		p.put(2, 0, 2, 1, 2)
	}, "2.1 2.2"},
	{"two sets", shape{order: 12, width: 2, active: 1}, nil, func(p paper) {
		p.put(2, 0, 1, 0, 2)
		p.put(2, 1, 1, 3, 5)
	}, "1.0 1.1 1.2 1.3 1.4 1.5"},
	{"a set that is not active", two, nil, func(p paper) {
		p.put(2, 0, 1, 0, 2)
		p.put(2, 1, 1, 3, 5)
	}, "1.0 1.1 1.2"},
	{"sets that are gone", shape{order: 12, width: 2, first: 3, active: 4},
		at([3]uint64{6, 1, 8}, [3]uint64{7, 1, 7}), func(p paper) {
			p.put(2, 3, 1, 6, 9)
			p.put(2, 4, 1, 10, 11)
		}, "1.9 1.10 1.11"},
	{"an empty set between", shape{order: 12, width: 2, active: 2}, nil, func(p paper) {
		p.put(2, 0, 1, 0, 1)
		p.put(2, 2, 1, 2, 3)
	}, "1.0 1.1 1.2 1.3"},
	{"a number twice gone", two, nil, func(p paper) {
		p[0] = []entry{{tag: 1}, {tag: 1, tid: 4}}
		p[1] = []entry{{tag: 1, tid: 1}}
	}, "1.0 1.1 bad"},
}

func TestNeeded(t *testing.T) {
	in := func(objects ...uint64) (out journalspec.Positions) {
		for _, n := range objects {
			out = append(out, journalspec.Position{Object: n})
		}
		return out
	}
	for _, c := range []struct {
		list []journalspec.Client
		want uint64
	}{
		{nil, 9},
		{[]journalspec.Client{{Committed: in(17, 16)}}, 8},
		{[]journalspec.Client{{Committed: in(18, 15)}}, 7},
		{[]journalspec.Client{{Committed: in(18, 19)}, {ID: "peer", Committed: in(12)}}, 6},
		{[]journalspec.Client{{Committed: in(18, 19)}, {ID: "peer"}}, 3},
		{[]journalspec.Client{{Committed: in(18)},
			{ID: "peer", State: journalspec.Disconnected}}, 9},
		{[]journalspec.Client{{Committed: in(0)}}, 3},
	} {
		if got := needed(c.list, 2, 3, 9); got != c.want {
			t.Errorf("%v: %d, want %d", c.list, got, c.want)
		}
	}
}

// A position never passes what was not committed, and has one object for each lane.
func TestCommitOrder(t *testing.T) {
	j := &Journal{shape: shape{width: 2}, closed: true}
	var r []*Record
	for n := range uint64(5) {
		r = append(r, &Record{entry: entry{tag: 1, tid: n}, object: n % 2})
	}
	j.pending = append(j.pending, r...)
	j.Commit(r[1], r[4])
	if j.committed != nil {
		t.Fatal(j.committed)
	}
	j.Commit(r[0])
	want := journalspec.Positions{{Object: 1, Tag: 1, Entry: 1}, {Object: 0, Tag: 1, Entry: 0}}
	if fmt.Sprint(j.committed) != fmt.Sprint(want) {
		t.Fatal(j.committed)
	}
	j.Commit(r[2], r[3])
	want = journalspec.Positions{{Object: 0, Tag: 1, Entry: 4}, {Object: 1, Tag: 1, Entry: 3}}
	if fmt.Sprint(j.committed) != fmt.Sprint(want) || len(j.pending) > 0 {
		t.Fatal(j.committed)
	}
}

func FuzzEntries(f *testing.F) {
	e := entry{tag: 3, tid: 7, data: []byte("data")}
	f.Add(e.append(nil))
	f.Add(append(e.append(make([]byte, 8)), make([]byte, 24)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := entries(b)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range list {
			again = e.append(again)
			for len(again)%padUnit != 0 {
				again = append(again, 0)
			}
		}
		same, err := entries(again)
		if err != nil || len(same) != len(list) {
			t.Fatalf("%d entries, read again %d: %v", len(list), len(same), err)
		}
		for n := range same {
			if same[n].tag != list[n].tag || !bytes.Equal(same[n].data, list[n].data) {
				t.Fatalf("entry %d: %v, was %v", n, same[n], list[n])
			}
		}
	})
}
