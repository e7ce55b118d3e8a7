package admin

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func ask(t *testing.T, path, request string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(append([]byte(request), 0)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || len(answer) < 4 {
		t.Fatalf("%q: %v", answer, err)
	}
	if n := binary.BigEndian.Uint32(answer); int(n) != len(answer)-4 {
		t.Fatalf("length %d before %d bytes", n, len(answer)-4)
	}
	return string(answer[4:])
}

func TestServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.asok")
	log := slog.New(slog.DiscardHandler)
	s, err := Listen(path, NewTable([]Command{
		{Prefix: "echo", Signature: "name=word,type=CephString", Help: "say it",
			Run: func(args Args) (any, error) { return args["word"], nil }},
		{Prefix: "fail", Help: "fails",
			Run: func(Args) (any, error) { return nil, errors.New("no luck") }},
		{Prefix: "absent", Help: "fails",
			Run: func(Args) (any, error) { return nil, Refuse(syscall.ENOENT, "not 'here'") }},
		{Prefix: "pg", Signature: "name=cmd,type=CephChoices,strings=a|b", Help: "one",
			Run: func(Args) (any, error) { return "one", nil }},
		{Prefix: "pg", Signature: "name=cmd,type=CephChoices,strings=c", Help: "two",
			Run: func(Args) (any, error) { return Noted{"two", "unseen here"}, nil }},
	}), log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := ask(t, path, `{"prefix":"echo","word":"hi"}`); got != "hi" {
		t.Errorf("echo: %q", got)
	}
	if got := ask(t, path, `{"prefix":"fail"}`); got !=
		"ERROR: (5) Input/output error\nno luck\n" {
		t.Errorf("fail: %q", got)
	}
	if got := ask(t, path, `{"prefix":"absent"}`); got !=
		"ERROR: (2) No such file or directory\nnot 'here'\n" {
		t.Errorf("absent: %q", got)
	}
	if got := ask(t, path, `{"prefix":"pg","cmd":"b"}`); got != "one" {
		t.Errorf("pg b: %q", got)
	}
	if got := ask(t, path, `{"prefix":"pg","cmd":"c"}`); got != "two" {
		t.Errorf("pg c: %q", got)
	}
	if got := ask(t, path, `{"prefix":"what"}`); !strings.Contains(got, "unrecognized command") {
		t.Errorf("unknown: %q", got)
	}
	var d map[string]description
	if err := json.Unmarshal([]byte(ask(t, path, "get_command_descriptions")), &d); err != nil ||
		len(d) != 7 || d["cmd000"].Help != "say it" {
		t.Errorf("descriptions: %v %v", d, err)
	}
	if _, err := Listen(path, NewTable(), log); err == nil ||
		!strings.Contains(err.Error(), "another") {
		t.Errorf("second listener: %v", err)
	}
}

func TestLeftoverSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.asok")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	s, err := Listen(path, NewTable(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
