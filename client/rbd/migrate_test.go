package rbd

import (
	"fmt"
	"testing"

	"glue/client/rbd/layout"
	"glue/cluster/rbdspec"
)

// TestMoments: each write is as old as the snapshot that shows it, of those that are left.
func TestMoments(t *testing.T) {
	c := &migrator{m: &Migration{spec: rbdspec.Migration{Overlap: 50}},
		past: []moment{{to: 11, limit: 10}, {to: 12, limit: 20}, {to: 14, limit: 30}}}
	h := &header{Header: layout.Header{Size: 40,
		Snapshots: []Snapshot{{ID: 11}, {ID: 14}, {ID: 20}}}}
	var got string
	for _, at := range c.moments(h) {
		got += fmt.Sprintf("%v limit %d after %d %v; ", at.to, at.limit, at.seq, at.snaps)
	}
	const want = "b limit 10 after 0 []; e limit 30 after 12 [b]; head limit 40 after 14 [e b]; "
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	c.past = nil
	h = &header{Header: layout.Header{Size: 80}}
	if list := c.moments(h); len(list) != 1 || list[0].seq != 0 || list[0].limit != 50 {
		t.Errorf("without snapshots: %+v", list)
	}
}
