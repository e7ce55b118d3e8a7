package mgr

import (
	"testing"

	"glue/auth/caps"
	"glue/cluster/commands"
)

// TestMayRun: what a key may ask of the manager, and that looking at the arguments spoils none.
func TestMayRun(t *testing.T) {
	for _, c := range []struct {
		caps, command string
		want          bool
	}{
		{"", `{"prefix":"pg stat"}`, false},
		{"allow *", `{"prefix":"pg dump","dumpcontents":["pools","osds"]}`, true},
		{"allow r", `{"prefix":"pg dump","dumpcontents":["pools","osds"]}`, true},
		{"allow r", `{"prefix":"osd purge","id":1}`, false},
		{"allow rw", `{"prefix":"osd purge","id":1}`, true},
		{"allow service osd rw", `{"prefix":"osd purge","id":1}`, true},
		{"allow service osd rw", `{"prefix":"pg stat"}`, false},
		{"allow module balancer rw", `{"prefix":"pg stat"}`, false},
		{`allow command "pg dump" with dumpcontents=pools`,
			`{"prefix":"pg dump","dumpcontents":["pools"]}`, true},
		{`allow command "pg dump" with dumpcontents=pools`,
			`{"prefix":"pg dump","dumpcontents":["pools","osds"]}`, false},
		{`allow command "pg dump"`, `{"prefix":"pg ls"}`, false},
		{"profile rbd", `{"prefix":"pg stat"}`, false},
		{"profile osd", `{"prefix":"pg stat"}`, false},
		{"profile rbd", `{"prefix":"rbd task list"}`, true},
		{"profile rbd pool=p", `{"prefix":"rbd task add remove","image_spec":"q/i"}`, true},
		{"profile rbd-read-only", `{"prefix":"rbd task list"}`, true},
		{"profile rbd-read-only", `{"prefix":"rbd task add remove","image_spec":"p/i"}`, false},
		{"profile crash", `{"prefix":"crash post"}`, true},
		{"profile crash", `{"prefix":"crash ls"}`, false},
		{"allow module crash rw", `{"prefix":"crash ls"}`, true},
		{"allow module status r", `{"prefix":"osd status"}`, true},
		{"allow service mgr rw", `{"prefix":"crash ls"}`, false},
	} {
		parsed, err := caps.ParseMgr(c.caps)
		if err != nil {
			t.Fatal(err)
		}
		cmd, err := commands.Parse([]string{c.command})
		if err != nil {
			t.Fatal(err)
		}
		s := &session{caps: parsed}
		if got := s.mayRun(index[cmd.Prefix], cmd); got != c.want || cmd.Err() != nil {
			t.Errorf("%q, %s: %v, want %v; %v", c.caps, c.command, got, c.want, cmd.Err())
		}
	}
}

// TestMayTouch: a key for one pool's images is for no other's.
func TestMayTouch(t *testing.T) {
	parsed, err := caps.ParseMgr("profile rbd pool=p namespace=n")
	if err != nil {
		t.Fatal(err)
	}
	s := &session{caps: parsed}
	for at, want := range map[[2]string]bool{{"p", "n"}: true, {"q", "n"}: false,
		{"p", ""}: false} {
		args := map[string]string{"pool": at[0], "namespace": at[1]}
		if got := s.mayTouch(index["rbd task add remove"], args); got != want {
			t.Errorf("%v: %v", at, got)
		}
		if s.mayTouch(index["crash ls"], args) {
			t.Errorf("crash ls with %v", at)
		}
	}
}
