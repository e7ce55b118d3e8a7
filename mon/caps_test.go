package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"glue/ceph"
	"glue/cluster/commands"
	"glue/wire/message"
)

// TestCommandCaps is the matrix of all commands and some caps: a command runs only if its
// description's permissions are granted on its module.
func TestCommandCaps(t *testing.T) {
	w := newWorld(t)
	allows := func(text string, d *commands.Descriptor) bool {
		switch text {
		case "allow *":
			return true
		case "":
			return false
		case "allow r", "allow rw", "allow rwx":
			if d.Module == "auth" || d.Module == "config-key" {
				return strings.Contains("", d.Perm) // never by a grant on everything but "*"
			}
			return subset(d.Perm, strings.TrimPrefix(text, "allow "))
		}
		return false
	}
	for _, text := range []string{"", "allow r", "allow rw", "allow *"} {
		s, l := w.session("client.t", text)
		for _, table := range [][]commands.Descriptor{commands.Monitor, commands.OSDMap} {
			for i := range table {
				d := &table[i]
				_, said, _ := w.command(s, l, fmt.Sprintf(`{"prefix":%q}`, d.Prefix()), nil)
				denied := said == "access denied"
				first := w.c.index[d.Prefix()] // of rows with one prefix the first decides
				if want := !allows(text, first); first.Module != "auth" &&
					first.Module != "config-key" && denied != want {
					t.Errorf("caps %q, %q (%s %s): denied %v, want %v", text, d.Prefix(), d.Module,
						d.Perm, denied, want)
				}
				if text != "allow *" && first.Module == "config-key" && !denied {
					t.Errorf("caps %q allow %q", text, d.Prefix())
				}
			}
		}
	}
}

func subset(need, have string) bool {
	for _, c := range need {
		if !strings.ContainsRune(have, c) {
			return false
		}
	}
	return true
}

// CVE-2026-50152: every key with "mon allow r" could read the config-key store by subscribing to
// it. What a session may not hear of it does not get, and nobody but the administrator that store.
func TestCVE2026_50152_SubscriptionCaps(t *testing.T) {
	w := newWorld(t)
	busy(w)
	want := map[string][]string{
		"":            {"MConfig", "MMonMap"},
		"allow r":     {"MConfig", "MLog", "MMgrMap", "MMonMap", "MOSDMap"},
		"allow *":     {"MConfig", "MKVData", "MLog", "MMgrMap", "MMonMap", "MOSDMap"},
		"profile rbd": {"MConfig", "MMgrMap", "MMonMap", "MOSDMap"},
		// Without reading the monitors nothing is heard of but what every client has.
		"allow service osd r, allow service log r": {"MConfig", "MMonMap"},
	}
	for text, types := range want {
		s, l := w.session("client.t", text)
		for _, what := range []string{"monmap", "config", "osdmap", "mgrmap", "kv:", "kv:k",
			"osd_pg_creates", "mgrdigest", "servicemap", "nonsense", "log-info"} {
			start := uint64(0)
			if what == "log-info" {
				start = 1
			}
			w.send(s, &message.MMonSubscribe{What: map[string]message.SubscribeItem{
				what: {Start: start}}})
		}
		got := map[string]bool{}
		for _, m := range l.sent {
			got[m.Body.Type().String()] = true
		}
		if list := slices.Sorted(maps.Keys(got)); !slices.Equal(list, types) {
			t.Errorf("caps %q: got %v, want %v", text, list, types)
		}
	}
}

// TestDaemonsSpeakForThemselves: an OSD can't boot, fail or mark down as another.
func TestDaemonsSpeakForThemselves(t *testing.T) {
	w := newWorld(t)
	for id := range int32(3) {
		w.boot(id, 1)
	}
	before := w.c.osd.Map().Epoch
	for _, who := range []struct{ name, caps string }{
		{"osd.1", "allow profile osd"}, {"client.admin", "allow *"}, {"osd.0", "allow r"},
	} {
		s, _ := w.session(who.name, who.caps)
		for _, b := range []message.Body{
			&message.MOSDBoot{FSID: testFSID, OSD: 0, Public: testAddr(1, 9)},
			&message.MOSDMarkMeDown{FSID: testFSID, OSD: 0, Addrs: testAddr(6800, 1)},
			&message.MOSDFailure{FSID: testFSID, Reporter: 0, Target: 2, Addrs: testAddr(6802, 1),
				Flags: message.FailureFailed | message.FailureImmediate},
			&message.MOSDPGTemp{OSD: 0, Temp: map[ceph.PGID][]int32{{Pool: 1}: {0}}},
			&message.MOSDAlive{OSD: 0, Want: before},
			&message.MMgrBeacon{FSID: testFSID, Name: "x", GID: 1, Addrs: testAddr(7, 7)},
			&message.MMonMgrReport{GID: 0, Digest: []byte("garbage")},
			&message.MOSDPGCreated{}, // not for us
		} {
			w.send(s, b)
		}
		w.pass(time.Second)
	}
	if e := w.c.osd.Map().Epoch; e != before {
		t.Errorf("the map went from %d to %d", before, e)
	}
	if w.c.mgr.Map().ActiveGID != 0 {
		t.Error("a manager became active under another's name")
	}
}

// TestWrongCluster: commands for another cluster are refused.
func TestWrongCluster(t *testing.T) {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	m := message.New(&message.MMonCommand{FSID: ceph.UUID{8}, Cmd: []string{`{"prefix":"fsid"}`}})
	w.c.handle(event{s: s, m: m})
	w.settle()
	acks := take[*message.MMonCommandAck](l)
	if len(acks) != 1 || acks[0].Result != ceph.EPERM.Result() {
		t.Errorf("answers %v", acks)
	}
}
