package mon

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"
	"time"

	"glue/auth/cephx"
	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/wire/message"
)

func helloOf(name ceph.AuthName, methods ...uint32) *message.MAuth {
	h := hello{Methods: methods, Name: name}
	return &message.MAuth{Payload: denc.Marshal(&h, 0)}
}

// answered gives a message to a login.
func answered(t *testing.T, l *login, m *message.MAuth,
) (*message.MAuthReply, []message.Body, bool) {
	t.Helper()
	s, err := l.Auth(m)
	must(t, err)
	r := s.Replies[len(s.Replies)-1].(*message.MAuthReply)
	if (r.Result != 0) != (s.Refused != nil) || s.Done && s.Refused != nil {
		t.Fatalf("result %d, refused: %v, done: %v", r.Result, s.Refused, s.Done)
	}
	return r, s.Replies, s.Done
}

// proven goes through a login with a key.
func proven(t *testing.T, l *login, name ceph.AuthName, key keyring.Key,
) (*message.MAuthReply, []message.Body, bool) {
	t.Helper()
	c := cephx.NewClient(cephx.ClientOptions{Name: name, Key: key, Rand: rand.Reader})
	s := c.NewMonSession()
	s.Request()
	r, _, _ := answered(t, l, helloOf(name, cephx.MethodCephx))
	proof, err := s.More(time.Now(), r.Payload)
	must(t, err)
	out, all, done := answered(t, l, &message.MAuth{Protocol: cephx.MethodCephx, Payload: proof})
	if done {
		if out.GlobalID == 0 || out.GlobalID != r.GlobalID {
			t.Errorf("global ids %d and %d", r.GlobalID, out.GlobalID)
		}
		_, _, err = s.Done(time.Now(), out.GlobalID, out.Payload)
		must(t, err)
	}
	return out, all, done
}

// TestLogin: a client of msgr v1 authenticates by messages, as a client of msgr2 does in the
// handshake.
func TestLogin(t *testing.T) {
	w := newWorld(t)
	w.time = time.Now()
	w.pass(time.Second)
	entry, ok := w.c.gate.keys.Load().Entity(adminName)
	if !ok {
		t.Fatal("no key of client.admin")
	}
	start := func() *login { return w.c.gate.Login(netip.AddrPort{}).(*login) }

	l := start()
	wrong, err := keyring.Generate(rand.Reader, time.Now())
	must(t, err)
	if r, _, done := proven(t, l, adminName, wrong); done || r.Result != ceph.EACCES.Result() {
		t.Errorf("a wrong key: %+v", r)
	}
	if _, all, done := proven(t, l, adminName, entry.Key); !done || len(all) != 2 {
		t.Errorf("the right key afterwards: %v", all)
	} else if _, ok := all[0].(*message.MMonMap); !ok {
		t.Errorf("the monitor map does not come first: %T", all[0])
	}
	bad := keyring.Entry{Name: ceph.AuthName{Type: ceph.TypeClient, ID: "bad"}, Key: entry.Key,
		Caps: map[string]string{"mon": "this is wrong"}}
	must(t, w.c.auth.Adopt(bad))
	w.pass(time.Second)
	r, _, done := proven(t, start(), bad.Name, bad.Key)
	if done || r.Result != ceph.EACCES.Result() {
		t.Errorf("caps that mean nothing: %+v, done %v", r, done)
	}
	for name, c := range map[string]struct {
		m    *message.MAuth
		want ceph.Errno
	}{
		"noise":           {&message.MAuth{Payload: []byte{1, 255, 255, 255, 255}}, ceph.EINVAL},
		"nothing":         {&message.MAuth{}, ceph.EINVAL},
		"another version": {&message.MAuth{Payload: []byte{9}}, ceph.EINVAL},
		"method none":     {helloOf(adminName, cephx.MethodNone), ceph.EOPNOTSUPP},
		"no name":         {&message.MAuth{Protocol: cephx.MethodCephx}, ceph.EACCES},
		"an odd protocol": {&message.MAuth{Protocol: 77}, ceph.EACCES},
	} {
		r, all, done := answered(t, start(), c.m)
		if done || r.Result != c.want.Result() || len(all) != 1 || len(r.Payload) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	w.c.gate.serve(false)
	if _, err := start().Auth(helloOf(adminName, cephx.MethodCephx)); !errors.Is(err, ceph.EBUSY) {
		t.Errorf("without a quorum: %v", err)
	}
}

var adminName = ceph.AuthName{Type: ceph.TypeClient, ID: "admin"}
