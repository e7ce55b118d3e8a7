package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// confWith is a copy of the cluster's ceph.conf with lines replaced or added in [global].
func confWith(t *testing.T, replace, by string) string {
	t.Helper()
	text := string(read(t, shared.conf))
	if replace != "" {
		text = regexp.MustCompile(replace).ReplaceAllString(text, by)
	} else {
		text += by
	}
	return file(t, "ceph.conf", []byte(text))
}

// refused runs a command that has to fail within a few seconds of wall time: a client that keeps
// trying would stay for minutes.
func refused(t *testing.T, code int, says string, name string, args ...string) {
	t.Helper()
	begin := time.Now()
	fails(t, code, says, name, args...)
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("%s %s: refused only after %v", name, strings.Join(args, " "), d)
	}
}

// keyOf is a keyring with a key that no cluster gave anybody.
func keyOf(entity string) []byte {
	return []byte("[" + entity + "]\n\tkey = AQAAAAAAAAAAABAAAQIDBAUGBwgJCgsMDQ4PEA==\n")
}

const notPermitted = "(1) Operation not permitted"

const denied = "[errno 13] RADOS permission denied"

func TestWrongKey(t *testing.T) {
	k := file(t, "keyring", keyOf("client.admin"))
	refused(t, 13, denied, "ceph", "-k", k, "-s")
	refused(t, 1, "failed to fetch mon config", "rados", "-k", k, "lspools")
}

func TestUnknownEntity(t *testing.T) {
	k := file(t, "keyring", keyOf("client.ghost"))
	refused(t, 13, denied, "ceph", "-n", "client.ghost", "-k", k, "-s")
}

// user makes an entity and returns the arguments that make a client it.
func user(t *testing.T, name string, caps ...string) []string {
	t.Helper()
	text := must(t, "ceph", append([]string{"auth", "get-or-create", name}, caps...)...)
	t.Cleanup(func() { must(t, "ceph", "auth", "rm", name) })
	return []string{"-n", name, "-k", file(t, "keyring", []byte(text))}
}

func TestCapsAreEnforced(t *testing.T) {
	in := file(t, "in", []byte("x"))
	rados(t, "put", "seen", in)
	defer remove(t, "seen")
	reader := user(t, "client.reader", "mon", "allow r", "osd", "allow r pool="+pool)
	as := func(who []string, args ...string) []string {
		return append(append([]string{}, who...), args...)
	}
	must(t, "rados", as(reader, "-p", pool, "get", "seen", "/dev/null")...)
	refused(t, 1, notPermitted, "rados", as(reader, "-p", pool, "put", "new", in)...)
	refused(t, 1, notPermitted, "rados", as(reader, "-p", pool, "rm", "seen")...)
	must(t, "ceph", as(reader, "osd", "dump")...)
	refused(t, 13, "access denied", "ceph", as(reader, "osd", "pool", "create", "stolen")...)
	refused(t, 13, "access denied", "ceph", as(reader, "auth", "ls")...)

	nocaps := user(t, "client.nocaps")
	refused(t, 13, "", "ceph", as(nocaps, "-s")...)

	elsewhere := user(t, "client.elsewhere", "mon", "allow r", "osd", "allow rwx pool=notthere")
	refused(t, 1, notPermitted, "rados", as(elsewhere, "-p", pool, "get", "seen",
		"/dev/null")...)

	spaced := user(t, "client.spaced", "mon", "allow r", "osd",
		"allow rw pool="+pool+" namespace=mine")
	must(t, "rados", as(spaced, "-p", pool, "-N", "mine", "put", "o", in)...)
	refused(t, 1, notPermitted, "rados", as(spaced, "-p", pool, "put", "o", in)...)
	must(t, "rados", "-p", pool, "-N", "mine", "rm", "o")
}

func TestProfileRBD(t *testing.T) {
	who := user(t, "client.vm", "mon", "profile rbd", "osd", "profile rbd pool="+pool)
	as := func(args ...string) []string { return append(append([]string{}, who...), args...) }
	must(t, "rbd", as("-p", pool, "create", "--size", "8M", "profiled")...)
	must(t, "rbd", as("-p", pool, "bench", "--io-type", "write", "--io-total", "1M", "profiled")...)
	must(t, "rbd", as("-p", pool, "rm", "--no-progress", "profiled")...)
	readOnly := user(t, "client.ro", "mon", "profile rbd", "osd",
		"profile rbd-read-only pool="+pool)
	rbd(t, "create", "--size", "8M", "ro")
	must(t, "rbd", append(readOnly, "-p", pool, "info", "ro")...)
	r, err := shared.exec("", "rbd", append(readOnly, "-p", pool, "create", "--size", "8M",
		"ro2")...)
	if err != nil || r.code == 0 {
		t.Errorf("a read-only profile created an image: %+v %v", r, err)
	}
	rbd(t, "rm", "--no-progress", "ro")
}

// TestForeignFSID: a configuration that names another cluster's fsid.
func TestForeignFSID(t *testing.T) {
	conf := confWith(t, `(?m)^(\s*fsid = ).*$`, "${1}00000000-1111-2222-3333-444444444444")
	r, err := shared.exec("", "ceph", "-c", conf, "-k", keyringOf(t), "fsid")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(r.stdout, "00000000-1111") {
		t.Errorf("the monitor took the client's fsid for its own: %+v", r)
	}
}

// keyringOf is the administrator's keyring, wherever the configuration has it.
func keyringOf(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(shared.conf), "ceph.client.admin.keyring")
	if _, err := os.Stat(path); err != nil {
		path = filepath.Join(filepath.Dir(shared.conf), "keyring")
	}
	return path
}

// TestRemovedEntity: a key that is gone opens no door.
func TestRemovedEntity(t *testing.T) {
	text := must(t, "ceph", "auth", "get-or-create", "client.gone", "mon", "allow r")
	k := file(t, "keyring", []byte(text))
	must(t, "ceph", "-n", "client.gone", "-k", k, "fsid")
	must(t, "ceph", "auth", "rm", "client.gone")
	refused(t, 13, denied, "ceph", "-n", "client.gone", "-k", k, "fsid")
}

// TestTicketsExpireAndAreRenewed: service tickets that live ten seconds.
func TestTicketsExpireAndAreRenewed(t *testing.T) {
	t.Parallel()
	c := startFor(t, "--set", "auth_service_ticket_ttl=10", "--set", "auth_mon_ticket_ttl=20")
	c.python(t, "idle.py", "rbd", "10")
}

// TestExpiredTicketIsRefused: a client that can't renew its ticket is shut out when that is over,
// and let in again when it can. Ceph drops the keys of a ticket of ten seconds after thirty: with
// such a cluster in GLUE_TEST_CONF the wait has to be longer.
func TestExpiredTicketIsRefused(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs a network namespace")
	}
	c := startFor(t, "--set", "auth_service_ticket_ttl=10")
	c.python(t, "expired.py", "rbd", "15")
}
