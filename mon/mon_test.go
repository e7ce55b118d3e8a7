package mon

import (
	"crypto/rand"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/wire/message"
	"glue/wire/msgr"
)

var update = flag.Bool("update", false, "write what the scripts print as what they should")

// A fakeLink is a connection that keeps what is sent.
type fakeLink struct {
	peer   msgr.Peer
	sent   []*message.Message
	closed bool
}

func (l *fakeLink) Send(m *message.Message) {
	w := message.Wrap(m, ceph.FeaturesAll)
	if m.Version != 0 { // its body is encoded already: another monitor has passed it on
		w.Version, w.Compat = m.Version, m.Compat
		if d, err := w.Unwrap(ceph.FeaturesAll); err == nil {
			m = d
		}
	}
	l.sent = append(l.sent, m)
}

func (l *fakeLink) Close()          { l.closed = true }
func (l *fakeLink) Peer() msgr.Peer { return l.peer }

// take is the bodies that were sent since the last time, of one type.
func take[T message.Body](l *fakeLink) []T {
	var out []T
	for _, m := range l.sent {
		if b, ok := m.Body.(T); ok {
			out = append(out, b)
		}
	}
	l.sent = nil
	return out
}

// A world is one monitor without sockets, under a clock of its own.
type world struct {
	t    *testing.T
	dir  string
	c    *core
	time time.Time
	gid  uint64
	// close closes the store, of a council's monitor.
	close func() error
}

var testFSID = ceph.UUID{1, 2, 3, 4}

func testAddr(port uint16, nonce uint32) ceph.AddrVec {
	ap := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	return ceph.AddrVec{{Type: ceph.AddrMsgr2, Nonce: nonce, AddrPort: ap}}
}

// testRing is the keys of a small cluster.
func testRing(t *testing.T, now time.Time) string {
	t.Helper()
	var ring string
	for _, n := range []string{"mon.", "client.admin", "mgr.x", "osd.0", "osd.1", "osd.2"} {
		name, err := ceph.ParseAuthName(n)
		must(t, err)
		k, err := keyring.Generate(rand.Reader, now)
		must(t, err)
		e := keyring.Entry{Name: name, Key: k, Caps: map[string]string{"mon": "allow *"}}
		ring += e.Format()
	}
	return ring
}

func contains(text, part string) bool { return strings.Contains(text, part) }

func newWorld(t *testing.T) *world { return newWorldAt(t, 3300) }

func newWorldAt(t *testing.T, port uint16) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "mon"), gid: 5000,
		time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	ring := testRing(t, w.time)
	must(t, Mkfs(w.dir, Bootstrap{
		FSID: testFSID, Name: "a", Members: map[string]ceph.AddrVec{"a": testAddr(port, 0)},
		Keyring: []byte(ring), Now: w.time,
		Config: map[string]string{"mon_allow_pool_delete": "true"},
	}))
	w.open()
	t.Cleanup(func() { w.c.node.Close() })
	return w
}

func (w *world) open() {
	w.t.Helper()
	c, err := newCore(Options{Dir: w.dir, Name: "a", Log: discard(), Hostname: "vm"})
	must(w.t, err)
	w.c = c
	c.now = func() time.Time { return w.time }
	c.flow.timer = time.NewTimer(time.Hour)
	w.settle()
	w.pass(time.Second)
}

func (w *world) reopen() {
	w.t.Helper()
	must(w.t, w.c.node.Close())
	w.open()
}

func (w *world) settle() {
	w.t.Helper()
	must(w.t, w.c.settle())
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.time = w.time.Add(d)
	w.c.lastTick = time.Time{}
	must(w.t, w.c.housekeeping(w.time))
	w.settle()
	w.time = w.time.Add(2 * gatherLogs)
	w.settle()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// session opens a session with the given caps.
func (w *world) session(name, monCaps string) (*session, *fakeLink) {
	w.t.Helper()
	n, err := ceph.ParseAuthName(name)
	must(w.t, err)
	w.gid++
	num := int64(w.gid)
	if n.Type == ceph.TypeOSD {
		fmt.Sscan(n.ID, &num)
	}
	l := &fakeLink{peer: msgr.Peer{
		Name: ceph.EntityName{Type: n.Type, Num: num}, AuthName: n, GlobalID: w.gid, Caps: monCaps,
		Features: ceph.FeaturesAll, Socket: netip.MustParseAddrPort("127.0.0.1:4444"),
	}}
	s, err := newSession(l)
	must(w.t, err)
	w.c.begin(s)
	return s, l
}

// send gives a message to the monitor and lets it work.
func (w *world) send(s *session, b message.Body) {
	w.t.Helper()
	w.c.handle(event{s: s, m: message.New(b)})
	w.settle()
}

// command runs one command; with "tell " before it, it asks this monitor.
func (w *world) command(s *session, l *fakeLink, json string, input []byte) (int32, string,
	string) {
	w.t.Helper()
	var b message.Body = &message.MMonCommand{FSID: testFSID, Cmd: []string{json}}
	if told, ok := strings.CutPrefix(json, "tell "); ok {
		b = &message.MCommand{FSID: testFSID, Cmd: []string{told}}
	}
	m := message.New(b)
	m.TID, m.Data = 77, input
	l.sent = nil
	w.c.handle(event{s: s, m: m})
	w.settle()
	for _, r := range l.sent {
		switch a := r.Body.(type) {
		case *message.MMonCommandAck:
			return a.Result, a.Status, string(r.Data)
		case *message.MCommandReply:
			return a.Result, a.Status, string(r.Data)
		}
	}
	w.t.Fatalf("no answer to %s", json)
	return 0, "", ""
}

// boot brings an OSD up that was started.
func (w *world) boot(id int32, nonce uint32) {
	w.t.Helper()
	w.bootOn("vm", id, nonce, 0)
}

// bootOn brings an OSD of a host up, whose process was first up in an epoch, 0 for not yet.
func (w *world) bootOn(host string, id int32, nonce uint32, first ceph.Epoch) {
	w.t.Helper()
	s, _ := w.session(fmt.Sprintf("osd.%d", id), "allow profile osd")
	w.send(s, &message.MOSDBoot{
		FSID: testFSID, OSD: id, UUID: ceph.UUID{9, byte(id)}, Public: testAddr(6800+uint16(id),
			nonce),
		Cluster: testAddr(6900+uint16(id), nonce), HBBack: testAddr(7000+uint16(id), nonce),
		HBFront: testAddr(7100+uint16(id), nonce), Features: ceph.FeaturesAll, Bytes: 1 << 40,
		Metadata: map[string]string{"hostname": host, "ceph_version": "v"}, Class: "ssd",
		BootEpoch: first,
	})
	w.pass(gatherFor)
}

// Values that differ from run to run.
var masks = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`AQ[A-Za-z0-9+/]{36}==`), "KEY"},
	{regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]*(\+0000|Z)`), "TIME"},
}

func mask(s string) string {
	for _, m := range masks {
		s = m.re.ReplaceAllString(s, m.with)
	}
	return s
}

// TestScripts runs testdata/*.txt: a line that begins with { or "tell {" is a command; below it are
// the result, the text for the user, and the output with "| " before each line. Other directives:
// "boot ID", "pass DURATION", "restart", "input TEXT".
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(f)
			must(t, err)
			got := runScript(t, string(want))
			if *update {
				must(t, os.WriteFile(f, []byte(got), 0o644))
			} else if got != string(want) {
				t.Errorf("%s: %s", f, firstDiff(got, string(want)))
			}
		})
	}
}

func firstDiff(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			expected := "nothing"
			if i < len(w) {
				expected = w[i]
			}
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], expected)
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func runScript(t *testing.T, script string) string {
	w := newWorld(t)
	s, l := w.session("client.admin", "allow *")
	var out strings.Builder
	var input []byte
	for _, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(line, "{") || strings.HasPrefix(line, "tell {"):
			r, text, data := w.command(s, l, line, input)
			input = nil
			fmt.Fprintf(&out, "%s\n%d %q\n", line, r, mask(text))
			if data != "" {
				data = "| " + strings.ReplaceAll(mask(data), "\n", "\n| ")
				fmt.Fprintf(&out, "%s\n", strings.TrimSuffix(data, "\n| "))
			}
			continue
		case word == "boot":
			var id int32
			fmt.Sscan(rest, &id)
			w.boot(id, 1)
		case word == "pass":
			d, err := time.ParseDuration(rest)
			must(t, err)
			w.pass(d)
		case word == "restart":
			w.reopen()
			s, l = w.session("client.admin", "allow *")
		case word == "input":
			input = []byte(strings.ReplaceAll(rest, `\n`, "\n"))
		case !strings.HasPrefix(line, "#"):
			continue // what an earlier run printed
		}
		fmt.Fprintln(&out, line)
	}
	return out.String()
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
