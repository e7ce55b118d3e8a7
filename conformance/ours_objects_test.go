package conformance

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"glue/ceph"
)

// A step is one change of an object: the name of an operation, and its arguments: whole numbers,
// strings, []byte, map[string][]byte. objectclients_test.go has the operations.
type step []any

// A view is a part of a pool: the zero value is the default namespace, now.
type view struct {
	ns, key string
	snap    uint64   // to read at; 0: the head
	snaps   []uint64 // that writes preserve, newest first
}

// A content is all of an object at one moment.
type content struct {
	Data []byte
	X, K map[string][]byte // attributes, omap
	H    []byte            // the omap's header
}

// objects is a pool as a client's library has it: ours, or the stock one. Refusals are a
// ceph.Errno.
type objects interface {
	who() string // as lockers and watchers are listed: client.4711
	in(v view) objects
	change(oid string, steps ...step) error
	look(oid string) (content, error)
	read(oid string, off, n uint64) ([]byte, error)
	list() ([]string, error) // sorted: namespace/name/locator key
	lock(oid, name, cookie string, shared bool) error
	unlock(oid, name, cookie string) error
	lockers(oid, name string) ([]string, error) // sorted: client.4711/cookie
	takeSnap() (uint64, error)
	dropSnap(id uint64) error
	watch(oid, reply string) (heard func() []string, stop func() error, err error)
	notify(oid, text string) (replies []string, err error) // sorted
}

// TestOurObjects: what one client makes the other reads, changes, refuses and hears of, ours and
// the stock one in both places, on the cluster under test, whichever it is.
func TestOurObjects(t *testing.T) {
	ours, stock := ourObjects(t), stockObjects(t)
	for name, pair := range map[string][2]objects{"ours-stock": {ours, stock},
		"stock-ours": {stock, ours}} {
		for _, body := range []struct {
			what string
			run  func(t *testing.T, one, other objects)
		}{
			{"data", sharedData}, {"attributes", sharedAttributes}, {"omap", sharedOmap},
			{"listing", sharedListing}, {"locks", sharedLocks}, {"snapshots", sharedSnapshots},
			{"watches", sharedWatches},
		} {
			t.Run(body.what+"/"+name, func(t *testing.T) {
				v := view{ns: strings.ReplaceAll(t.Name(), "/", "-")}
				body.run(t, pair[0].in(v), pair[1].in(v))
			})
		}
	}
}

// gives checks an error: an errno, or 0 for none.
func gives(t *testing.T, what string, err error, want ceph.Errno) {
	t.Helper()
	if want == 0 && err != nil || want != 0 && err != error(want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// holds checks all of an object as every client sees it; nil: there is none.
func holds(t *testing.T, what, oid string, want *content, clients ...objects) {
	t.Helper()
	for i, c := range clients {
		got, err := c.look(oid)
		if want == nil {
			gives(t, fmt.Sprintf("%s: client %d", what, i), err, ceph.ENOENT)
			continue
		}
		if err != nil || !bytes.Equal(got.Data, want.Data) || !sameMap(got.X, want.X) ||
			!sameMap(got.K, want.K) || !bytes.Equal(got.H, want.H) {
			t.Errorf("%s: client %d: %v: %.200q, want %.200q", what, i, err, got, *want)
		}
	}
}

func sameMap(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

func same[T any](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v, %v, want %v", what, got, err, want)
	}
}

func sharedData(t *testing.T, one, other objects) {
	const oid = "o"
	is := func(what, want string) {
		t.Helper()
		holds(t, what, oid, &content{Data: []byte(want)}, one, other)
	}
	gives(t, "write", one.change(oid, step{"write", 3, []byte("hello")}), 0)
	is("written", "\x00\x00\x00hello")
	gives(t, "append", other.change(oid, step{"append", []byte("!")},
		step{"write", 0, []byte("abc")}), 0)
	is("changed", "abchello!")
	gives(t, "zero, truncate", one.change(oid, step{"zero", 1, 3}, step{"truncate", 7}), 0)
	is("zeroed", "a\x00\x00\x00ell")
	gives(t, "repeat", other.change(oid, step{"writesame", 2, 6, []byte("xy")}), 0)
	is("repeated", "a\x00xyxyxy")
	gives(t, "what is there", other.change(oid, step{"write_full", []byte("lost")},
		step{"create", 1}), ceph.EEXIST)
	is("refused", "a\x00xyxyxy")
	b, err := one.read(oid, 2, 3)
	same(t, "a part", b, err, []byte("xyx"))
	b, err = other.read(oid, 7, 100)
	same(t, "the end", b, err, []byte("y"))
	gives(t, "remove", other.change(oid, step{"remove"}), 0)
	gives(t, "remove again", one.change(oid, step{"remove"}), ceph.ENOENT)
	holds(t, "removed", oid, nil, one, other)

	large := pattern(9<<20+17, 11)
	gives(t, "large", one.change(oid, step{"write_full", large[:5<<20]}), 0)
	gives(t, "larger", other.change(oid, step{"write", 5 << 20, large[5<<20:]}), 0)
	for _, c := range []objects{one, other} {
		if b, err := c.read(oid, 0, 16<<20); err != nil || !bytes.Equal(b, large) {
			t.Errorf("a large object: %d bytes, %v", len(b), err)
		}
	}
}

func sharedAttributes(t *testing.T, one, other objects) {
	const oid = "o"
	odd := []byte("\x00\xff\n")
	gives(t, "set", one.change(oid, step{"setxattr", "a", []byte("1")},
		step{"setxattr", "b", odd}, step{"setxattr", "empty", []byte{}}), 0)
	want := &content{X: map[string][]byte{"a": []byte("1"), "b": odd, "empty": nil}}
	holds(t, "set", oid, want, one, other)
	gives(t, "compare", other.change(oid, step{"cmpxattr", "a", 1, []byte("2")},
		step{"remove"}), ceph.ECANCELED)
	gives(t, "too long a name", other.change(oid,
		step{"setxattr", strings.Repeat("n", 101), []byte("1")}), ceph.ENAMETOOLONG)
	holds(t, "refused", oid, want, one, other)
	gives(t, "change", other.change(oid, step{"cmpxattr", "a", 1, []byte("1")},
		step{"setxattr", "a", []byte("22")}, step{"rmxattr", "b"}), 0)
	holds(t, "changed", oid, &content{X: map[string][]byte{"a": []byte("22"), "empty": nil}},
		one, other)
}

func sharedOmap(t *testing.T, one, other objects) {
	const oid = "o"
	want := &content{K: map[string][]byte{}, H: []byte("head")}
	for i := range 600 {
		want.K[fmt.Sprintf("k%03d", i)] = pattern(i%50, uint64(i))
	}
	gives(t, "set", one.change(oid, step{"omap_set", want.K}, step{"set_header", want.H}), 0)
	holds(t, "set", oid, want, one, other)
	gives(t, "remove", other.change(oid, step{"omap_rm", []byte("k001"), []byte("none")},
		step{"omap_rm_range", []byte("k100"), []byte("k300")},
		step{"omap_set", map[string][]byte{"k002": []byte("other"), "\xc3\xa9": {}}}), 0)
	maps.DeleteFunc(want.K, func(k string, _ []byte) bool {
		return k == "k001" || k >= "k100" && k < "k300"
	})
	want.K["k002"], want.K["\xc3\xa9"] = []byte("other"), nil
	holds(t, "removed", oid, want, one, other)
	gives(t, "clear", one.change(oid, step{"omap_clear"}), 0)
	holds(t, "cleared", oid, &content{}, one, other)
}

func sharedListing(t *testing.T, one, other objects) {
	ns := strings.ReplaceAll(t.Name(), "/", "-")
	var want []string
	for i := range 120 {
		c, v := one, view{ns: ns}
		if i%2 == 1 {
			c = other
		}
		if i%3 == 0 {
			v.key = "key"
		}
		name := fmt.Sprintf("o%03d", i)
		gives(t, "create", c.in(v).change(name, step{"create", 1}), 0)
		want = append(want, ns+"/"+name+"/"+v.key)
	}
	gives(t, "elsewhere", one.in(view{ns: ns + "-2"}).change("o", step{"create", 1}), 0)
	slices.Sort(want)
	for _, c := range []objects{one, other} {
		got, err := c.list()
		same(t, "listed", got, err, want)
		all, err := c.in(view{ns: "\x01"}).list()
		all = slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, ns) })
		same(t, "of all namespaces", all, err, append([]string{ns + "-2/o/"}, want...))
		got, err = c.in(view{ns: ns + "-3"}).list()
		same(t, "of none", len(got), err, 0)
	}
	gives(t, "by its key", other.in(view{ns: ns, key: "key"}).change("o000", step{"remove"}), 0)
	gives(t, "without its key", other.change("o003", step{"remove"}), ceph.ENOENT)
	got, err := one.list()
	same(t, "listed then", got, err, want[1:])
}

func sharedLocks(t *testing.T, one, other objects) {
	const oid = "o"
	held := func(what, name string, want ...string) {
		t.Helper()
		slices.Sort(want)
		for _, c := range []objects{one, other} {
			got, err := c.lockers(oid, name)
			same(t, what, strings.Join(got, " "), err, strings.Join(want, " "))
		}
	}
	gives(t, "lock", one.lock(oid, "l", "c", false), 0)
	gives(t, "lock again", one.lock(oid, "l", "c", false), ceph.EEXIST)
	gives(t, "lock of the other", other.lock(oid, "l", "c", false), ceph.EBUSY)
	gives(t, "shared", other.lock(oid, "l", "c", true), ceph.EBUSY)
	held("locked", "l", one.who()+"/c")
	gives(t, "unlock of the other", other.unlock(oid, "l", "c"), ceph.ENOENT)
	gives(t, "unlock", one.unlock(oid, "l", "c"), 0)
	held("unlocked", "l")
	gives(t, "shared", other.lock(oid, "l", "c", true), 0)
	gives(t, "shared", one.lock(oid, "l", "d", true), 0)
	held("shared", "l", one.who()+"/d", other.who()+"/c")
	gives(t, "another name", one.lock(oid, "m", "c", false), 0)
	held("another name", "m", one.who()+"/c")
}

func sharedSnapshots(t *testing.T, one, other objects) {
	const oid = "o"
	ns := strings.ReplaceAll(t.Name(), "/", "-")
	gives(t, "write", one.change(oid, step{"write_full", []byte("first")},
		step{"setxattr", "a", []byte("1")}), 0)
	var snaps []uint64 // newest first
	take := func(c objects) {
		t.Helper()
		id, err := c.takeSnap()
		gives(t, "snapshot", err, 0)
		snaps = append([]uint64{id}, snaps...)
	}
	at := func(snap uint64, want *content) {
		t.Helper()
		v := view{ns: ns, snap: snap}
		holds(t, fmt.Sprint("at ", snap), oid, want, one.in(v), other.in(v))
	}
	first := &content{Data: []byte("first"), X: map[string][]byte{"a": []byte("1")}}
	take(other)
	gives(t, "write", one.in(view{ns: ns, snaps: snaps}).change(oid,
		step{"write", 0, []byte("F")}, step{"rmxattr", "a"}), 0)
	take(one)
	gives(t, "remove", other.in(view{ns: ns, snaps: snaps}).change(oid, step{"remove"}), 0)
	second := &content{Data: []byte("First")}
	at(snaps[1], first)
	at(snaps[0], second)
	at(0, nil)
	gives(t, "rollback", one.in(view{ns: ns, snaps: snaps}).change(oid,
		step{"snap_rollback", snaps[1]}), 0)
	at(0, first)
	at(snaps[0], second)
	gives(t, "drop", other.dropSnap(snaps[1]), 0)
	gives(t, "drop", one.dropSnap(snaps[0]), 0)
}

func sharedWatches(t *testing.T, one, other objects) {
	const oid = "o"
	gives(t, "notify nobody", func() error { _, err := one.notify(oid, "x"); return err }(),
		ceph.ENOENT)
	gives(t, "create", one.change(oid, step{"create", 1}), 0)
	heardOne, stopOne, err := one.watch(oid, "reply of one")
	gives(t, "watch", err, 0)
	heardOther, stopOther, err := other.watch(oid, "reply of the other")
	gives(t, "watch", err, 0)
	if t.Failed() {
		return
	}
	both := []string{"reply of one", "reply of the other"}
	for _, c := range []objects{one, other} {
		got, err := c.notify(oid, "by "+c.who())
		same(t, "replies", got, err, both)
	}
	gives(t, "unwatch", stopOne(), 0)
	got, err := one.notify(oid, "last")
	same(t, "replies then", got, err, both[1:])
	gives(t, "unwatch", stopOther(), 0)
	told := []string{"by " + one.who(), "by " + other.who()}
	same(t, "heard", heardOne(), nil, told)
	same(t, "heard", heardOther(), nil, append(told, "last"))
}
