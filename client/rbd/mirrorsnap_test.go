package rbd

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"glue/ceph"
	"glue/client/rbd/class"
	"glue/client/rbd/layout"
	"glue/cluster/rbdspec"
)

// What a client of Ceph 16.2 has written: the state of an image, without anything and with a
// protected snapshot and metadata, and the namespace of a mirror snapshot of a primary image.
const (
	stockPlain = "010104000000010000000101" + "1d0000000100000069" + "2d00000000000000" +
		"ffffffffffffffff" + "0000000000000000"
	stockFull = "010104000000010000000101" + "600000000100000069" + "2d00000000000000" +
		"ffffffffffffffff" + "01000000" + "0700000000000000" + "010110000000" + "010104000000" +
		"00000000" + "0100000075" + "02" + "02000000" +
		"0e000000636f6e665f7262645f63616368650500000066616c7365" + "010000006b" + "0100000076"
	stockSpace = "01014a000000" + "03000000" + "00" + "01" + "01000000" + "24000000" +
		"34616334656436302d376235302d346336382d616264362d353235633937313938663964" + "00000000" +
		"feffffffffffffff" + "0000000000000000" + "00000000"
)

func TestMirrorStateAsStock(t *testing.T) {
	const none = ^uint64(0)
	h := &header{Header: layout.Header{Features: DefaultFeatures}}
	if got := hex.EncodeToString(encodeMirrorState("i", h, none, nil)); got != stockPlain {
		t.Errorf("plain:\n%s\n%s", got, stockPlain)
	}
	h.Snapshots = []Snapshot{
		{ID: 5, Name: "m", Kind: SnapMirror}, {ID: 7, Name: "u", Protection: layout.Protected},
		{ID: 8, Name: "t", Kind: SnapTrash}}
	got := hex.EncodeToString(encodeMirrorState("i", h, none, map[string][]byte{
		"k": []byte("v"), "conf_rbd_cache": []byte("false")}))
	if got != stockFull {
		t.Errorf("full:\n%s\n%s", got, stockFull)
	}
	h.Features |= StripingV2 | DataPool | Operations
	if got := hex.EncodeToString(encodeMirrorState("i", h, none, nil)); !strings.Contains(got,
		"2d00000000000000") {
		t.Errorf("features: %s", got)
	}
}

func TestMirrorSpaceAsStock(t *testing.T) {
	s := rbdspec.SnapSpace{Kind: SnapMirror, Mirror: rbdspec.MirrorSpace{Complete: true,
		Peers: []string{"4ac4ed60-7b50-4c68-abd6-525c97198f9d"}, PrimarySnap: ceph.NoSnap}}
	got := hex.EncodeToString(class.Encode(s.Denc))
	if got != stockSpace {
		t.Errorf("\n%s\n%s", got, stockSpace)
	}
}

func TestMirrorStateObjects(t *testing.T) {
	i := &Image{id: "7"}
	for size, want := range map[int]int{0: 1, 100: 1, 1<<layout.DefaultOrder - 1: 1,
		1 << layout.DefaultOrder: 2, 3<<layout.DefaultOrder + 1: 4} {
		got := i.mirrorStateObjects(9, size)
		if len(got) != want || got[0] != "rbd_mirror_snapshot.7.9.0" {
			t.Errorf("%d bytes: %v", size, got)
		}
	}
}

// TestSurplus: snapshots are m (complete, for peers a and b), a (for a only), o (for nobody),
// i (incomplete), n (of a copy, before it was promoted), u (the user's).
func TestSurplus(t *testing.T) {
	for _, c := range []struct{ snaps, want string }{
		{"", "none"}, {"m", "none"}, {"mmmmm", "none"}, {"mmmmmm", "5 a"}, {"mmmmmmm", "5 a"},
		{"ammmmm", "5 a"}, {"ummumummm", "8 a"}, {"mmmnmmm", "none"}, {"mmmmnmmmmmm", "10 a"},
		{"om", "1 a"}, {"o", "none"}, {"mim", "2 a"}, {"mmi", "none"}, {"onm", "1 a"},
		{"aaaaaam", "5 a"}, {"uuuuuuuum", "none"},
	} {
		var list []Snapshot
		for n, kind := range c.snaps {
			s := Snapshot{ID: ceph.SnapID(n + 1), Kind: SnapMirror}
			s.Space.Mirror = rbdspec.MirrorSpace{Complete: true, Peers: []string{"a", "b"}}
			switch kind {
			case 'a':
				s.Space.Mirror.Peers = []string{"a"}
			case 'o':
				s.Space.Mirror.Peers = nil
			case 'i':
				s.Space.Mirror.Complete = false
			case 'n':
				s.Space.Mirror.State = 2
			case 'u':
				s.Kind = SnapUser
			}
			list = append(list, s)
		}
		got := "none"
		if s, peer := surplus(list, ceph.SnapID(len(list)), []string{"a", "b"}); s != nil {
			got = fmt.Sprintf("%d %s", s.ID, peer)
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.snaps, got, c.want)
		}
	}
}
