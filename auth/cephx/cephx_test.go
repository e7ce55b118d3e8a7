package cephx

import (
	"bytes"
	"crypto/rand"
	"errors"
	"reflect"
	"testing"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
)

var epoch = time.Unix(1_700_000_000, 0).UTC()

const hour = time.Hour

// A world is a monitor's keys database with a few entities.
type world struct {
	t        *testing.T
	entities map[ceph.AuthName]keyring.Entry
	rotating map[ceph.EntityType]Rotating
	nextID   uint64
	opt      MonOptions
}

var (
	admin = ceph.AuthName{Type: ceph.TypeClient, ID: "admin"}
	guest = ceph.AuthName{Type: ceph.TypeClient, ID: "guest"}
	osd0  = ceph.AuthName{Type: ceph.TypeOSD, ID: "0"}
)

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, entities: make(map[ceph.AuthName]keyring.Entry),
		rotating: make(map[ceph.EntityType]Rotating), nextID: 4100,
	}
	w.add(admin, map[string]string{"mon": "allow *", "osd": "allow *", "mgr": "allow *"})
	w.add(guest, map[string]string{"mon": "allow r", "osd": "allow r"})
	w.add(osd0, map[string]string{"mon": "allow profile osd", "osd": "allow *"})
	w.add(ceph.AuthName{Type: ceph.TypeClient, ID: "nomon"}, map[string]string{"osd": "allow *"})
	w.rotate(epoch)
	monKey := w.key()
	w.opt = MonOptions{
		Keys: w, Rand: rand.Reader, AuthTTL: 72 * hour, ServiceTTL: hour, MonKey: monKey,
		NewGlobalID: func() (uint64, bool) { w.nextID++; return w.nextID, true },
	}
	return w
}

func (w *world) key() keyring.Key {
	k, err := keyring.Generate(rand.Reader, epoch)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) add(name ceph.AuthName, caps map[string]string) {
	w.entities[name] = keyring.Entry{Name: name, Key: w.key(), Caps: caps}
}

func (w *world) rotate(now time.Time) {
	for _, s := range Services {
		ttl := hour
		if s == ceph.TypeAuth {
			ttl = 72 * hour
		}
		r, _, err := w.rotating[s].Rotate(now, ttl, RememberedOf(s), rand.Reader)
		if err != nil {
			w.t.Fatal(err)
		}
		w.rotating[s] = r
	}
}

func (w *world) Entity(name ceph.AuthName) (keyring.Entry, bool) {
	e, ok := w.entities[name]
	return e, ok
}

func (w *world) Rotating(s ceph.EntityType) Rotating { return w.rotating[s] }

func (w *world) client(name ceph.AuthName) *Client {
	return NewClient(ClientOptions{
		Name: name, Key: w.entities[name].Key, Rand: rand.Reader,
		Want: ceph.TypeMon | ceph.TypeOSD | ceph.TypeMgr,
	})
}

// login runs a whole handshake with a monitor.
func (w *world) login(c *Client, now time.Time) (*MonSession, *MonServer, Outcome, error) {
	ms, srv := c.NewMonSession(), NewMonServer(w.opt)
	out, err := srv.Step(now, c.Method(), ms.Request(), 64)
	if err != nil {
		return ms, srv, out, err
	}
	for !out.Done {
		more, err := ms.More(now, out.Reply)
		if err != nil {
			return ms, srv, out, err
		}
		if out, err = srv.Step(now, c.Method(), more, 64); err != nil {
			return ms, srv, out, err
		}
	}
	key, secret, err := ms.Done(now, out.Ticket.GlobalID, out.Reply)
	if err == nil && (!bytes.Equal(key, out.SessionKey) || !bytes.Equal(secret, out.Secret)) {
		w.t.Fatal("the two sides have different keys")
	}
	return ms, srv, out, err
}

func (w *world) mustLogin(c *Client, now time.Time) (*MonSession, *MonServer) {
	w.t.Helper()
	ms, srv, _, err := w.login(c, now)
	if err != nil {
		w.t.Fatal(err)
	}
	return ms, srv
}

func (w *world) service(s ceph.EntityType) *ServiceServer {
	return NewServiceServer(ServiceOptions{
		Service: s, Rand: rand.Reader, Rotating: func() Rotating { return w.rotating[s] },
	})
}

// authorize runs a whole handshake with a service.
func authorizeTo(srv *ServiceServer, a *Authorizer, now time.Time) (Outcome, error) {
	out, err := srv.Step(now, a.Method(), a.Request(), 64)
	for err == nil && !out.Done {
		var more []byte
		if more, err = a.More(out.Reply); err != nil {
			return out, err
		}
		out, err = srv.Step(now, a.Method(), more, 64)
	}
	if err != nil {
		return out, err
	}
	key, secret, err := a.Done(out.Reply)
	if err == nil && (!bytes.Equal(key, out.SessionKey) || !bytes.Equal(secret, out.Secret)) {
		return out, errors.New("the two sides have different keys")
	}
	return out, err
}

func TestLogin(t *testing.T) {
	w := newWorld(t)
	c := w.client(admin)
	_, _, out, err := w.login(c, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if out.Ticket.Name != admin || out.Ticket.Caps != "allow *" || c.GlobalID() != 4101 ||
		len(out.Secret) != 64 {
		t.Fatalf("got %+v", out.Ticket)
	}
	a, err := c.NewAuthorizer(ceph.TypeOSD, epoch)
	if err != nil {
		t.Fatal(err)
	}
	got, err := authorizeTo(w.service(ceph.TypeOSD), a, epoch)
	if err != nil || got.Ticket.Name != admin || got.Ticket.GlobalID != 4101 ||
		got.Ticket.Caps != "allow *" || len(got.Secret) != 64 {
		t.Fatalf("got %+v, %v", got.Ticket, err)
	}
}

func TestLoginRefused(t *testing.T) {
	w := newWorld(t)
	wrong := w.client(guest)
	wrong.opt.Key = w.key()
	unknown := w.client(guest)
	unknown.opt.Name.ID = "unknown"
	nomon := w.client(ceph.AuthName{Type: ceph.TypeClient, ID: "nomon"})
	none := w.client(guest)
	none.opt.Key = keyring.Key{}
	for name, c := range map[string]struct {
		client *Client
		want   ceph.Errno
	}{
		"wrong key": {wrong, ceph.EACCES}, "unknown": {unknown, ceph.EACCES},
		"no mon caps": {nomon, ceph.EACCES}, "method none": {none, ceph.EOPNOTSUPP},
	} {
		if _, _, _, err := w.login(c.client, epoch); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	w.opt.NewGlobalID = func() (uint64, bool) { return 0, false }
	if _, _, _, err := w.login(w.client(admin), epoch); !errors.Is(err, ceph.EBUSY) {
		t.Errorf("no global id: got %v", err)
	}
}

func TestMethodNone(t *testing.T) {
	w := newWorld(t)
	w.opt.Allowed = func(ceph.AuthName, uint32) bool { return true }
	c := w.client(guest)
	c.opt.Key = keyring.Key{}
	_, _, out, err := w.login(c, epoch)
	if err != nil || !out.Ticket.AllowAll || c.GlobalID() == 0 || out.SessionKey != nil {
		t.Fatalf("got %+v, %v", out, err)
	}
	a, err := c.NewAuthorizer(ceph.TypeOSD, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authorizeTo(w.service(ceph.TypeOSD), a, epoch); !errors.Is(err, ceph.EOPNOTSUPP) {
		t.Fatalf("a service that requires cephx: %v", err)
	}
	s := w.service(ceph.TypeOSD)
	s.opt.AllowNone = true
	if out, err := authorizeTo(s, a, epoch); err != nil || out.Ticket.Name != guest {
		t.Fatalf("got %+v, %v", out, err)
	}
}

func TestRenewal(t *testing.T) {
	w := newWorld(t)
	c := w.client(admin)
	ms, srv := w.mustLogin(c, epoch)
	now := epoch
	renewed := 0
	for now.Sub(epoch) < 200*hour {
		now = now.Add(5 * time.Minute)
		w.rotate(now)
		for step := 0; ; step++ {
			req, err := ms.Renewal(now)
			if err != nil || step > 2 {
				t.Fatalf("at %v: %v after %d steps", now.Sub(epoch), err, step)
			}
			if req == nil {
				break
			}
			reply, err := srv.Renew(now, req)
			if err != nil {
				t.Fatalf("at %v: %v", now.Sub(epoch), err)
			}
			if err := ms.Renewed(now, reply); err != nil {
				t.Fatalf("at %v: %v", now.Sub(epoch), err)
			}
			renewed++
		}
		a, err := c.NewAuthorizer(ceph.TypeOSD, now)
		if err != nil {
			t.Fatalf("at %v: %v", now.Sub(epoch), err)
		}
		if _, err := authorizeTo(w.service(ceph.TypeOSD), a, now); err != nil {
			t.Fatalf("at %v: %v", now.Sub(epoch), err)
		}
	}
	if renewed < 200 || renewed > 400 {
		t.Fatalf("%d renewals in 200 hours", renewed)
	}
}

func TestRotatingKeys(t *testing.T) {
	w := newWorld(t)
	d := w.client(osd0)
	ms, srv := w.mustLogin(d, epoch)
	reply, err := srv.Renew(epoch, ms.RotatingRequest())
	if err != nil || !IsRotatingReply(reply) {
		t.Fatal(err)
	}
	r, err := ms.RotatingReply(reply)
	if err != nil || len(r.Keys) != Generations || r.Keys[1] != w.rotating[ceph.TypeOSD].Keys[1] {
		t.Fatalf("got %d keys, %v", len(r.Keys), err)
	}
	for i := range len(reply) * 8 {
		b := bytes.Clone(reply)
		b[i/8] ^= 1 << (i % 8)
		if _, err := ms.RotatingReply(b); err == nil {
			t.Fatalf("bit %d flipped and accepted", i)
		}
	}
	gs, gsrv := w.mustLogin(w.client(guest), epoch)
	if _, err := gsrv.Renew(epoch, gs.RotatingRequest()); !errors.Is(err, ceph.EACCES) {
		t.Fatalf("a client got rotating keys: %v", err)
	}
	if _, err := NewMonServer(w.opt).Renew(epoch, ms.RotatingRequest()); err == nil {
		t.Fatal("rotating keys without authentication")
	}
}

func TestRotate(t *testing.T) {
	var r Rotating
	now := epoch
	var issued []uint64
	for range 600 {
		next, changed, err := r.Rotate(now, hour, 2, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if changed && len(next.Keys) != Generations {
			t.Fatalf("%d keys", len(next.Keys))
		}
		r = next
		for id := max(1, int(r.MaxID)-Generations-1); id <= int(r.MaxID); id++ {
			_, good := r.Find(uint64(id))
			if _, known := r.Known(uint64(id)); !known || good != (id > int(r.MaxID)-Generations) {
				t.Fatalf("key %d of %d: known %v, good %v", id, r.MaxID, known, good)
			}
		}
		if n := len(r.Retired); n > 2 {
			t.Fatalf("%d retired keys", n)
		}
		var again Rotating
		if err := denc.Unmarshal(denc.Marshal(&r, 0), &again, 0); err != nil ||
			!reflect.DeepEqual(again, r) {
			t.Fatalf("%+v, %v came of %+v", again, err, r)
		}
		k, ok := r.Issue(now)
		if !ok || !k.Expires.Go().After(now) {
			t.Fatalf("issues an expired key at %v", now.Sub(epoch))
		}
		if n := len(issued); n == 0 || issued[n-1] != k.ID {
			issued = append(issued, k.ID)
		}
		now = now.Add(time.Minute)
	}
	if len(issued) < 8 || len(issued) > 11 {
		t.Fatalf("issued with keys %v in 10 hours", issued)
	}
	if _, ok := (Rotating{}).Issue(now); ok {
		t.Fatal("issued without keys")
	}
	if _, _, err := (Rotating{}).Rotate(now, hour, 0, bytes.NewReader(nil)); err == nil {
		t.Fatal("rotated without randomness")
	}
}

func TestMonToMon(t *testing.T) {
	w := newWorld(t)
	mon := ceph.AuthName{Type: ceph.TypeMon, ID: "b"}
	a, err := NewMonAuthorizer(mon, w.opt.MonKey, epoch, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	srv := NewMonServer(w.opt)
	out, err := srv.Step(epoch, MethodCephx, a.Request(), 64)
	if err != nil || out.Done {
		t.Fatal(out.Done, err)
	}
	more, err := a.More(out.Reply)
	if err != nil {
		t.Fatal(err)
	}
	out, err = srv.Step(epoch, MethodCephx, more, 64)
	if err != nil || !out.Done || out.Ticket.Name != mon || !out.Ticket.AllowAll {
		t.Fatalf("got %+v, %v", out, err)
	}
	if _, _, err := a.Done(out.Reply); err != nil {
		t.Fatal(err)
	}
	// Neither another key nor a ticket that a client got for the service "mon" makes a monitor.
	b, err := NewMonAuthorizer(mon, w.key(), epoch, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMonServer(w.opt).Step(epoch, MethodCephx, b.Request(), 64); err == nil {
		t.Fatal("a monitor with the wrong key was accepted")
	}
	c := w.client(admin)
	w.mustLogin(c, epoch)
	d, err := c.NewAuthorizer(ceph.TypeMon, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMonServer(w.opt).Step(epoch, MethodCephx, d.Request(), 64); err == nil {
		t.Fatal("a client's ticket was accepted as a monitor's")
	}
}
