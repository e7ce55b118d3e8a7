package mon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/cluster/osdmap"
	"glue/mon/quorum"
	"glue/wire/message"
)

// dump is the whole applied state.
func dump(t *testing.T, v quorum.View) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, v.Scan("", func(key string, value []byte) bool {
		out[key] = string(value)
		return true
	}))
	return out
}

// busy makes state of every kind.
func busy(w *world) {
	s, l := w.session("client.admin", "allow *")
	for id := range int32(3) {
		w.boot(id, 1)
	}
	for _, c := range []string{
		`{"prefix":"osd pool create","pool":"p","pg_num":8}`,
		`{"prefix":"osd pool application enable","pool":"p","app":"rbd"}`,
		`{"prefix":"auth get-or-create","entity":"client.x","caps":["mon","allow r"]}`,
		`{"prefix":"config set","who":"osd","name":"osd_max_backfills","value":"3"}`,
		`{"prefix":"config-key set","key":"k","val":"a secret value"}`,
		`{"prefix":"osd out","ids":["1"]}`,
		`{"prefix":"osd pool rm","pool":"p","pool2":"p","yes_i_really_really_mean_it":true}`,
		`{"prefix":"osd set","key":"noout"}`,
		`{"prefix":"health mute","code":"OSDMAP_FLAGS"}`,
		`{"prefix":"log","logtext":["a","line"]}`,
		`{"prefix":"osd erasure-code-profile set","name":"e","profile":["k=4","m=2"]}`,
		`{"prefix":"osd crush rule create-erasure","name":"e","profile":"e"}`,
		`{"prefix":"osd crush class create","class":"c"}`,
		`{"prefix":"osd set-group","flags":"noin","who":["default","ssd","0"]}`,
		`{"prefix":"osd pool create","pool":"q","pg_num":4}`,
		`{"prefix":"osd pool set","pool":"q","var":"csum_type","val":"crc32c"}`,
		`{"prefix":"pg repeer","pgid":"2.0"}`,
		`{"prefix":"osd down","ids":["2"]}`,
		`{"prefix":"osd destroy-actual","id":2,"yes_i_really_mean_it":true}`,
	} {
		if r, text, _ := w.command(s, l, c, nil); r != 0 {
			w.t.Fatalf("%s: %d %s", c, r, text)
		}
	}
	secret := []byte(`{"cephx_secret":"AQAO8MNkAAAAABAA4k2m1xX8zTzGNNzVrOQ8Ww==",` +
		`"crush_device_class":"hdd"}`)
	if r, text, _ := w.command(s, l, `{"prefix":"osd new","id":2,`+
		`"uuid":"00000000-0000-0000-0000-0000000000b2"}`, secret); r != 0 {
		w.t.Fatal(text)
	}
	w.full(0, 1, osdmap.OSDFull)
	w.command(s, l, `{"prefix":"osd down","ids":["1"]}`, nil)
	w.pass(time.Minute)
	w.bootOn("vm", 1, 2, 1)
	w.pass(time.Second)
}

// TestApplyIsDeterministic replays one monitor's proposals on another's first state: all bytes must
// come out the same.
func TestApplyIsDeterministic(t *testing.T) {
	w := newWorld(t)
	first := t.TempDir()
	start := w.c.node.Applied()
	must(t, w.c.node.Close())
	must(t, os.CopyFS(filepath.Join(first, "mon"), os.DirFS(w.dir)))
	must(t, os.Chmod(filepath.Join(first, "mon", sealFile), 0o600))
	w.open()
	busy(w)
	want := dump(t, w.c.node.View())
	// The copy has none of the log, so its member must get it as a follower would: entry by entry.
	other := &world{t: t, dir: filepath.Join(first, "mon"), time: w.time}
	var log [][]byte
	must(t, w.c.node.Entries(start, func(data []byte) { log = append(log, data) }))
	c, err := newCore(Options{Dir: other.dir, Name: "a", Log: discard()})
	must(t, err)
	defer c.node.Close()
	c.flow.timer = time.NewTimer(time.Hour)
	c.now = func() time.Time { return w.time.Add(time.Hour) } // another clock
	must(t, c.node.Work())
	for _, data := range log {
		must(t, c.node.Propose(data))
		must(t, c.node.Work())
	}
	got := dump(t, c.node.View())
	for k := range want {
		if got[k] != want[k] {
			t.Errorf("%s differs", k)
		}
	}
	if len(got) != len(want) || len(log) < 10 {
		t.Errorf("%d keys, want %d; %d entries", len(got), len(want), len(log))
	}
}

// TestRestart: what was answered is there after the store was closed and opened.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	busy(w)
	before := dump(t, w.c.node.View())
	epoch := w.c.osd.Map().Epoch
	must(t, w.c.node.Close())
	c, err := newCore(Options{Dir: w.dir, Name: "a", Log: discard()})
	must(t, err)
	w.c = c
	if got := dump(t, c.node.View()); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Error("the state differs after a restart")
	}
	if c.osd.Map().Epoch != epoch || !c.osd.Map().Flags.Has(osdmap.FlagNoOut) {
		t.Errorf("OSD map epoch %d, want %d", c.osd.Map().Epoch, epoch)
	}
	x := ceph.AuthName{Type: ceph.TypeClient, ID: "x"}
	if e, ok := c.auth.Keys().Entity(x); !ok || e.Key.IsZero() || e.Caps["mon"] != "allow r" {
		t.Errorf("client.x is %v", e)
	}
}

// TestSecretsAreSealed looks for keys in all files of the store.
func TestSecretsAreSealed(t *testing.T) {
	w := newWorld(t)
	busy(w)
	var secrets [][]byte
	for _, n := range []string{"client.x", "client.admin", "mon."} {
		name, err := ceph.ParseAuthName(n)
		must(t, err)
		e, ok := w.c.auth.Keys().Entity(name)
		if !ok {
			t.Fatalf("no key of %s", n)
		}
		secrets = append(secrets, e.Key.Secret[:], []byte(e.Key.Base64()))
	}
	must(t, w.c.node.Close())
	files := 0
	must(t, filepath.Walk(w.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, s := range secrets {
			if bytes.Contains(b, s) {
				t.Errorf("%s has a key in the clear", path)
			}
		}
		return err
	}))
	if files < 3 {
		t.Errorf("only %d files looked at", files)
	}
	must(t, os.Chmod(filepath.Join(w.dir, sealFile), 0o644))
	if _, err := newCore(Options{Dir: w.dir, Name: "a", Log: discard()}); err == nil ||
		!strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key file that others can read: %v", err)
	}
	must(t, os.Chmod(filepath.Join(w.dir, sealFile), 0o600))
	w.open()
}

// TestTrim makes more epochs than are kept.
func TestTrim(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	for i := range 560 {
		word := []string{"set", "unset"}[i%2]
		if r, text, _ := w.command(s, l, fmt.Sprintf(`{"prefix":"osd %s","key":"noout"}`, word),
			nil); r != 0 {
			t.Fatal(text)
		}
	}
	first, last := w.c.osd.Range()
	if last != 561 || first != 50 {
		t.Fatalf("epochs %d to %d are kept, want at least 500", first, last)
	}
	for e := first; e <= last; e++ {
		if _, err := w.c.osd.Incremental(e); err != nil {
			t.Fatalf("incremental %d: %v", e, err)
		}
		if _, err := w.c.osd.Full(e); err != nil {
			t.Fatalf("full %d: %v", e, err)
		}
	}
	if _, err := w.c.osd.Full(first - 1); err == nil {
		t.Error("a trimmed epoch is still there")
	}
	o, ol := w.session("osd.0", "allow profile osd")
	w.send(o, &message.MMonSubscribe{What: map[string]message.SubscribeItem{
		"osdmap": {Start: 1}}})
	checkRun(t, take[*message.MOSDMap](ol), first, last)
	for _, have := range []ceph.Epoch{0, 1, 20, first - 1, first, first + 1, last} {
		idle, il := w.session("client.idle", "allow r")
		w.send(idle, &message.MMonSubscribe{What: map[string]message.SubscribeItem{
			"osdmap": {Start: uint64(have + 1)}}})
		if got := followed(have, take[*message.MOSDMap](il)); got != last {
			t.Errorf("a client with epoch %d gets to %d, want %d", have, got, last)
		}
	}
	w.reopen()
	if f, e := w.c.osd.Range(); f != first || e != last {
		t.Errorf("after a restart epochs %d to %d, want %d to %d", f, e, first, last)
	}
}

// followed is the epoch that a client with the map of an epoch has after some messages, by the
// rules of librados: it takes each next epoch, as a step or whole; without it, it goes on at the
// message's oldest epoch if that is later; else it stops, since it has asked for the next already.
func followed(have ceph.Epoch, list []*message.MOSDMap) ceph.Epoch {
	for _, b := range list {
		if have == 0 {
			if b.Maps[b.Last()] != nil {
				have = b.Last()
			}
			continue
		}
		for e := have + 1; e <= b.Last(); e++ {
			if b.Incrementals[e] == nil && b.Maps[e] == nil {
				if e >= b.Oldest {
					return have
				}
				e = b.Oldest - 1
				continue
			}
			have = e
		}
	}
	return have
}

// checkRun wants a full map of the first epoch and every step to the last, in messages of bounded
// size.
func checkRun(t *testing.T, list []*message.MOSDMap, first, last ceph.Epoch) {
	t.Helper()
	var m *osdmap.Map
	for _, b := range list {
		if n := len(b.Maps) + len(b.Incrementals); n > maxMapsPerMessage || n == 0 {
			t.Errorf("%d maps in one message", n)
		}
		var err error
		for e := b.First(); e <= b.Last(); e++ {
			if full := b.Maps[e]; full != nil {
				m, err = osdmap.Decode(full)
			} else {
				inc, e2 := osdmap.DecodeIncremental(b.Incrementals[e])
				must(t, e2)
				m, err = m.Apply(inc)
			}
			must(t, err)
			if e == b.First() && m.Epoch != e {
				t.Fatalf("epoch %d, want %d", m.Epoch, e)
			}
		}
	}
	if m == nil || m.Epoch != last || len(list) == 0 || list[0].First() != first {
		t.Fatalf("the maps do not lead from %d to %d", first, last)
	}
}

// TestOldStoreIsRefused damages the store in ways that must not go unnoticed.
func TestDamagedStore(t *testing.T) {
	w := newWorld(t)
	busy(w)
	must(t, w.c.node.Close())
	defer w.open()
	copyTo := func() string {
		dir := filepath.Join(t.TempDir(), "mon")
		must(t, os.CopyFS(dir, os.DirFS(w.dir)))
		must(t, os.Chmod(filepath.Join(dir, sealFile), 0o600))
		return dir
	}
	other := copyTo()
	must(t, os.WriteFile(filepath.Join(other, sealFile), bytes.Repeat([]byte{1}, 32), 0o600))
	if c, err := newCore(Options{Dir: other, Name: "a", Log: discard()}); err == nil {
		c.node.Close()
		t.Error("a foreign seal key opens the store")
	}
	torn := copyTo()
	logs, _ := filepath.Glob(filepath.Join(torn, storeDir, "*.log"))
	for _, f := range logs {
		info, err := os.Stat(f)
		must(t, err)
		must(t, os.Truncate(f, info.Size()*2/3))
	}
	if c, err := newCore(Options{Dir: torn, Name: "a", Log: discard()}); err == nil {
		must(t, c.node.Close()) // a torn end is dropped as a whole: the state is an earlier one
	}
	empty := t.TempDir()
	if _, err := newCore(Options{Dir: empty, Name: "a", Log: discard()}); err == nil {
		t.Error("an empty folder opens as a store")
	}
	if err := Mkfs(w.dir, Bootstrap{}); err == nil {
		t.Error("Mkfs over a store succeeded")
	}
}

// TestEveryCommandAnswers runs every described command without arguments: none may panic, hang or
// be unknown.
func TestEveryCommandAnswers(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	w.boot(0, 1)
	for _, table := range [][]commands.Descriptor{commands.Monitor, commands.OSDMap} {
		for i := range table {
			if table[i].Flags&commands.FlagMgr != 0 {
				continue // they wait for a manager
			}
			r, text, _ := w.command(s, l, fmt.Sprintf(`{"prefix":%q}`, table[i].Prefix()), nil)
			if strings.Contains(text, "internal error") || r == ceph.EINVAL.Result() &&
				text == "command not known" {
				t.Errorf("%s: %d %s", table[i].Prefix(), r, text)
			}
		}
	}
	for prefix := range w.c.handler {
		if w.c.index[prefix] == nil {
			t.Errorf("%q has a handler and no description", prefix)
		}
		if commands.Unavailable[prefix] != "" {
			t.Errorf("%q has a handler and is listed as unavailable", prefix)
		}
	}
}
