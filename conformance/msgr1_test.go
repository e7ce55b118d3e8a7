package conformance

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Stock clients take the first of a daemon's addresses, so a cluster that announces those of msgr
// v1 first has them speak nothing else.

var (
	ownAddr   = regexp.MustCompile(`(?m)^(\tpublic addr = )([\d.]+|\[[\da-f:]+\]):(\d+)$`)
	announced = regexp.MustCompile(`(?m)^osd\..*v1:`)
	monHost   = regexp.MustCompile(`(?m)^\tmon host = .*$`)
	monAddrs  = regexp.MustCompile(`\[(v2:[^,\s]+),(v1:[^,\s]+)\]`)
)

// startLegacy starts a cluster with addresses of msgr v1 first, and returns it as clients of that
// protocol know it.
func startLegacy(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c := startFor(t, flags...)
	text, legacy := string(read(t, c.conf)), []string{}
	for i, addrs := range monAddrs.FindAllStringSubmatch(monHost.FindString(text), -1) {
		c.must(t, "ceph", "mon", "set-addrs", string(rune('a'+i)),
			fmt.Sprintf("[%s,%s]", addrs[2], addrs[1]))
		legacy = append(legacy, addrs[2])
	}
	if len(legacy) == 0 {
		t.Fatalf("mon host is not [v2:…,v1:…]:\n%s", text)
	}
	c.mustGlue(t, "down", "--data", c.dir)
	port := portsFor(t)
	text = ownAddr.ReplaceAllStringFunc(text, func(line string) string {
		m := ownAddr.FindStringSubmatch(line)
		port++
		return fmt.Sprintf("%s[v1:%s:%d,v2:%s:%s]", m[1], m[2], port, m[2], m[3])
	})
	if err := os.WriteFile(c.conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c.mustGlue(t, "up", "--data", c.dir, "--detach")
	v1 := *c
	v1.conf = file(t, "v1.conf", []byte(monHost.ReplaceAllLiteralString(text,
		"\tmon host = "+strings.Join(legacy, " "))))
	return &v1
}

// speaksLegacy writes with rados and sees that it spoke msgr v1 alone.
func (c *cluster) speaksLegacy(t *testing.T, seconds string) {
	t.Helper()
	r, err := c.exec("", "rados", "--debug_ms", "1", "-p", "rbd", "bench", seconds, "write",
		"--no-cleanup", "-b", "65536")
	if err != nil || r.code != 0 {
		t.Fatalf("rados bench: %+v, %v", r, err)
	}
	if n := strings.Count(r.stderr, "--1- "); n == 0 || strings.Contains(r.stderr, "--2- ") {
		t.Fatalf("%d lines about msgr v1, or some about msgr2", n)
	}
	c.must(t, "rados", "-p", "rbd", "bench", seconds, "seq")
	c.must(t, "rados", "-p", "rbd", "cleanup")
}

// TestMsgr1IPv6: msgr v1 where all addresses are of IPv6.
func TestMsgr1IPv6(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	ln.Close()
	c := startLegacy(t, "--set", "public_addr=::1")
	if conf := string(read(t, c.conf)); !strings.Contains(conf, "mon host = v1:[::1]:") {
		t.Fatalf("not an address of IPv6:\n%s", conf)
	}
	c.speaksLegacy(t, "1")
	for _, name := range []string{"mon.a", "mgr", "osd.1"} {
		c.must(t, "ceph", "tell", name, "version")
	}
}

// TestMsgr1Monitors: clients of msgr v1 find another of three monitors when theirs dies. Each is
// killed once, so theirs is among them.
func TestMsgr1Monitors(t *testing.T) {
	c := startLegacy(t, "--mons", "3", "--split")
	c.speaksLegacy(t, "1")
	l := c.loop(t)
	time.Sleep(time.Second) // the loop has to be under way
	for _, id := range []string{"a", "b", "c"} {
		c.kill9(t, "mon."+id)
		waitFor(t, "the others go on", func() bool {
			return len(c.quorum(t).Names) == 2
		})
		c.up(t)
		c.waitQuorum(t, "a", "b", "c")
	}
	if r := l.end(t); r.Gap > 6 {
		t.Errorf("no command was answered for %.2f s", r.Gap)
	}
}

// TestMsgr1: stock clients that speak msgr v1 only.
func TestMsgr1(t *testing.T) {
	t.Parallel()
	c := startLegacy(t, "--set", "mon_allow_pool_delete=true")
	c.speaksLegacy(t, "2")
	c.must(t, "ceph", "-s")
	c.must(t, "ceph", "pg", "dump")
	for _, name := range []string{"mon.a", "mgr", "mgr.x", "osd.0", "osd.1", "osd.2"} {
		c.must(t, "ceph", "tell", name, "version")
	}
	c.must(t, "rbd", "create", "--size", "64M", "disk")
	c.must(t, "rbd", "bench", "--io-type", "write", "--io-total", "8M", "disk")
	c.must(t, "rbd", "bench", "--io-type", "read", "--io-total", "8M", "disk")
	c.must(t, "rbd", "rm", "--no-progress", "disk")
	c.python(t, "rados_api.py", "rbd")
	c.python(t, "rbd_api.py", "rbd")
	c.python(t, "fenced.py", "rbd")
}

// TestMsgr1Expired: clients that were cut off for longer than their tickets and the keys of these
// live come back by themselves; a real cluster refuses them for good.
func TestMsgr1Expired(t *testing.T) {
	t.Parallel()
	c := startLegacy(t, "--set", "auth_service_ticket_ttl=10", "--set", "auth_mon_ticket_ttl=10")
	c.python(t, "away.py", "rbd", "32", "10")
}

// TestMsgr1Refused: who has not the right key gets nowhere, and who does not sign gets no answer.
func TestMsgr1Refused(t *testing.T) {
	t.Parallel()
	c := startLegacy(t, "--osds", "1")
	for _, who := range []string{"client.admin", "client.ghost"} {
		k := file(t, "keyring", keyOf(who))
		r, err := c.exec("", "ceph", "-n", who, "-k", k, "-s")
		if err != nil || r.code != 13 || !strings.Contains(r.stderr, denied) {
			t.Errorf("%s: %+v, %v", who, r, err)
		}
	}
	in := file(t, "in", []byte("x"))
	c.must(t, "rados", "-p", "rbd", "put", "seen", in)
	k := file(t, "keyring", []byte(c.must(t, "ceph", "auth", "get-or-create", "client.r", "mon",
		"allow r", "osd", "allow r")))
	c.must(t, "rados", "-n", "client.r", "-k", k, "-p", "rbd", "get", "seen", "/dev/null")
	r, err := c.exec("", "rados", "-n", "client.r", "-k", k, "-p", "rbd", "put", "new", in)
	if err != nil || r.code != 1 || !strings.Contains(r.stderr, notPermitted) {
		t.Errorf("a write of a reader: %+v, %v", r, err)
	}
	unsigned := []string{"--cephx_sign_messages=false", "--rados_osd_op_timeout=3", "-p", "rbd",
		"get", "seen", "/dev/null"}
	if r, err = c.exec("", "rados", unsigned...); err != nil || r.code == 0 {
		t.Errorf("a client that does not sign is served: %+v, %v", r, err)
	}
	// Options count from the next connection on.
	c.must(t, "ceph", "config", "set", "osd", "cephx_sign_messages", "false")
	c.must(t, "rados", unsigned...)
	c.must(t, "ceph", "config", "set", "osd", "cephx_require_signatures", "true")
	if r, err = c.exec("", "rados", unsigned...); err != nil || r.code == 0 {
		t.Errorf("signatures are required, and were not: %+v, %v", r, err)
	}
	c.must(t, "rados", "-p", "rbd", "get", "seen", "/dev/null")
}

// TestMsgr1Off: ms_bind_msgr1 turns it off; a monitor has it where the monitor map says so, also
// one that was made without.
func TestMsgr1Off(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--osds", "1")
	c.mustGlue(t, "down", "--data", c.dir)
	text := strings.Replace(string(read(t, c.conf)), "[global]\n",
		"[global]\n\tms bind msgr1 = false\n", 1)
	if err := os.WriteFile(c.conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c.mustGlue(t, "up", "--data", c.dir, "--detach")
	if out := c.must(t, "ceph", "osd", "dump"); announced.MatchString(out) {
		t.Errorf("an address of msgr v1 is announced:\n%s", out)
	}
	addrs := monAddrs.FindStringSubmatch(text)
	v1 := cluster{dir: c.dir, tmp: c.tmp, conf: file(t, "v1.conf",
		[]byte(monHost.ReplaceAllLiteralString(text, "\tmon host = "+addrs[2])))}
	begin := time.Now()
	r, err := v1.exec("", "ceph", "--connect-timeout", "3", "-s")
	if err != nil || r.code == 0 {
		t.Errorf("served by msgr v1 after %v: %+v, %v", time.Since(begin), r, err)
	}

	c = startFor(t, "--osds", "1")
	text = string(read(t, c.conf))
	addrs = monAddrs.FindStringSubmatch(text)
	set := func(v string) {
		t.Helper()
		c.must(t, "ceph", "mon", "set-addrs", "a", v)
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			out := c.must(t, "ceph", "mon", "dump")
			if strings.Contains(strings.ReplaceAll(out, "/0", ""), v+" mon.a") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not at %s:\n%s", v, out)
			}
		}
	}
	port, err := strconv.Atoi(addrs[2][strings.LastIndex(addrs[2], ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	listens := func() bool {
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			nc.Close()
		}
		return err == nil
	}
	set(addrs[1])
	if listens() {
		t.Error("a monitor without an address of msgr v1 listens there")
	}
	set(fmt.Sprintf("[%s,%s]", addrs[1], addrs[2]))
	if !listens() {
		t.Error("a monitor that was given an address of msgr v1 does not listen there")
	}
	r, err = c.exec("", "ceph", "mon", "set-addrs", "a", addrs[2])
	if err != nil || r.code != 22 || !strings.Contains(r.stderr, "has no msgr2 address") {
		t.Errorf("msgr v1 alone: %+v, %v", r, err)
	}
}
