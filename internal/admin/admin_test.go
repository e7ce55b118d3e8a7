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
	s, err := Listen(path, []Command{
		{Prefix: "echo", Signature: "name=word,type=CephString", Help: "say it",
			Run: func(args map[string]any) (any, error) { return args["word"], nil }},
		{Prefix: "fail", Help: "fails",
			Run: func(map[string]any) (any, error) { return nil, errors.New("no luck") }},
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := ask(t, path, `{"prefix":"echo","word":"hi"}`); got != "hi" {
		t.Errorf("echo: %q", got)
	}
	if got := ask(t, path, `{"prefix":"fail"}`); got != "ERROR: no luck\n" {
		t.Errorf("fail: %q", got)
	}
	if got := ask(t, path, `{"prefix":"what"}`); !strings.Contains(got, "not a command") {
		t.Errorf("unknown: %q", got)
	}
	var d map[string]Description
	if err := json.Unmarshal([]byte(ask(t, path, "get_command_descriptions")), &d); err != nil ||
		len(d) != 4 || d["cmd000"].Help != "say it" {
		t.Errorf("descriptions: %v %v", d, err)
	}
	if _, err := Listen(path, nil, log); err == nil || !strings.Contains(err.Error(), "another") {
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
	s, err := Listen(path, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
