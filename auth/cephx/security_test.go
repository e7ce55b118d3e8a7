package cephx

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
)

// flips calls f with every version of b that differs in one bit, and with every prefix of b.
func flips(b []byte, f func(at int, changed []byte)) {
	for i := range len(b) * 8 {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		f(i, c)
	}
	for n := range b {
		f(-n, b[:n])
	}
}

// challenged gives a service that has challenged an authorizer, and the right answer.
func challenged(t *testing.T, w *world, c *Client, now time.Time) (*ServiceServer, []byte) {
	t.Helper()
	a, err := c.NewAuthorizer(ceph.TypeOSD, now)
	if err != nil {
		t.Fatal(err)
	}
	s := w.service(ceph.TypeOSD)
	out, err := s.Step(now, MethodCephx, a.Request(), 64)
	if err != nil || out.Done {
		t.Fatalf("done %v, %v", out.Done, err)
	}
	more, err := a.More(out.Reply)
	if err != nil {
		t.Fatal(err)
	}
	return s, more
}

// CVE-2018-1128, and again in msgr2 CVE-2020-25660: an authorizer that was recorded opened another
// connection. Here it is worth nothing there, neither before nor after the challenge.
func TestCVE2018_1128_Replay(t *testing.T) {
	w := newWorld(t)
	c := w.client(admin)
	w.mustLogin(c, epoch)
	s, recorded := challenged(t, w, c, epoch)
	if out, err := s.Step(epoch, MethodCephx, recorded, 64); err != nil || !out.Done {
		t.Fatalf("the right answer is refused: %v", err)
	}
	if _, err := s.Step(epoch, MethodCephx, recorded, 64); err == nil {
		t.Fatal("accepted twice on one connection")
	}
	fresh := w.service(ceph.TypeOSD)
	out, err := fresh.Step(epoch, MethodCephx, recorded, 64)
	if err != nil || out.Done {
		t.Fatalf("an answer to an old challenge is not challenged: done %v, %v", out.Done, err)
	}
	if _, err := fresh.Step(epoch, MethodCephx, recorded, 64); !errors.Is(err, ceph.EACCES) {
		t.Fatalf("an answer to an old challenge: %v", err)
	}
	// The proof of a key is bound to the monitor's challenge in the same way.
	ms, srv := c.NewMonSession(), NewMonServer(w.opt)
	first, err := srv.Step(epoch, MethodCephx, ms.Request(), 64)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := ms.More(epoch, first.Reply)
	if err != nil {
		t.Fatal(err)
	}
	other := NewMonServer(w.opt)
	if _, err := other.Step(epoch, MethodCephx, ms.Request(), 64); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Step(epoch, MethodCephx, proof, 64); !errors.Is(err, ceph.EACCES) {
		t.Fatalf("a replayed proof: %v", err)
	}
}

// CVE-2025-30156: tickets were encrypted with a fixed IV and not authenticated, so that flipped
// bits could make their holder an administrator. Here no bit of a service's ticket or authorizer
// can be changed, nor (TestAuthTicketBitFlips) of the auth ticket that others are got with.
func TestCVE2025_30156_BitFlips(t *testing.T) {
	w := newWorld(t)
	c := w.client(guest)
	w.mustLogin(c, epoch)
	a, err := c.NewAuthorizer(ceph.TypeOSD, epoch)
	if err != nil {
		t.Fatal(err)
	}
	good := c.tickets[ceph.TypeOSD].Blob.Blob
	flips(good, func(at int, b []byte) {
		forged := *a
		forged.head.Blob.Blob = b
		if _, err := authorizeTo(w.service(ceph.TypeOSD), &forged, epoch); err == nil {
			t.Fatalf("ticket changed at %d is accepted", at)
		}
	})
	s, answer := challenged(t, w, c, epoch)
	flips(answer, func(at int, b []byte) {
		again := *s
		if _, err := again.Step(epoch, MethodCephx, b, 64); err == nil {
			t.Fatalf("authorizer changed at %d is accepted", at)
		}
	})
	if _, err := s.Step(epoch, MethodCephx, answer, 64); err != nil {
		t.Fatalf("the unchanged authorizer: %v", err)
	}
}

func TestAuthTicketBitFlips(t *testing.T) {
	w := newWorld(t)
	c := w.client(guest)
	ms, srv := w.mustLogin(c, epoch)
	good := c.tickets[ceph.TypeAuth]
	now := epoch.Add(50 * time.Minute) // service tickets need renewing, the auth ticket does not
	flips(good.Blob.Blob, func(at int, b []byte) {
		forged := good
		forged.Blob.Blob = b
		c.tickets[ceph.TypeAuth] = forged
		req, err := ms.Renewal(now)
		if err != nil || req == nil {
			t.Fatal(err)
		}
		if _, err := srv.Renew(now, req); err == nil {
			t.Fatalf("auth ticket changed at %d is accepted", at)
		}
	})
	c.tickets[ceph.TypeAuth] = good
	req, _ := ms.Renewal(now)
	if _, err := srv.Renew(now, req); err != nil {
		t.Fatal(err)
	}
}

// CVE-2021-20288: whoever had a key could claim the global id of another client. Here an id can be
// had back only with the ticket that was issued for it.
func TestCVE2021_20288_GlobalID(t *testing.T) {
	w := newWorld(t)
	victim, thief := w.client(admin), w.client(guest)
	w.mustLogin(victim, epoch)
	w.mustLogin(thief, epoch)
	stolen := victim.GlobalID()
	login := func(c *Client) error {
		_, _, out, err := w.login(c, epoch.Add(time.Minute))
		if err == nil && out.Ticket.GlobalID != c.GlobalID() {
			t.Fatal("another id")
		}
		return err
	}
	for name, prepare := range map[string]func(c *Client){
		"no ticket":        func(c *Client) { clear(c.tickets) },
		"ticket of own id": func(*Client) {},
		"victim's ticket": func(c *Client) {
			c.tickets[ceph.TypeAuth] = victim.tickets[ceph.TypeAuth]
		},
		"garbage": func(c *Client) {
			c.tickets[ceph.TypeAuth] = heldTicket{Blob: ticketBlob{SecretID: 2, Blob: []byte("x")}}
		},
		"service ticket": func(c *Client) {
			c.tickets[ceph.TypeAuth] = victim.tickets[ceph.TypeOSD]
		},
	} {
		c := w.client(guest)
		w.mustLogin(c, epoch)
		c.globalID = stolen
		if prepare(c); !errors.Is(login(c), ceph.EACCES) {
			t.Errorf("%s: the id was given away", name)
		}
	}
	if err := login(victim); err != nil {
		t.Fatalf("the owner can't come back: %v", err)
	}
	if victim.GlobalID() != stolen {
		t.Fatal("the owner got another id")
	}
}

// TestLongAway: a client may have its id back after its ticket and the key of it are past their
// life, as long as the key is remembered; the ticket is good for nothing else.
func TestLongAway(t *testing.T) {
	for _, days := range []int{0, 4, 8, 40, 54, 60} {
		w, away := newWorld(t), time.Duration(days)*24*hour
		c := w.client(guest)
		w.mustLogin(c, epoch)
		id, now := c.GlobalID(), epoch
		for end := epoch.Add(away); now.Before(end); now = now.Add(hour) {
			w.rotate(now)
		}
		old := c.tickets[ceph.TypeAuth]
		_, srv, _, err := w.login(c, now)
		if known := days < 57; known != (err == nil) || known && c.GlobalID() != id {
			t.Fatalf("after %v: client.%d for client.%d, %v", away, c.GlobalID(), id, err)
		}
		if err != nil || days < 4 {
			continue
		}
		w.rotate(now)
		a := authorizer{GlobalID: id, Service: uint32(ceph.TypeAuth), Blob: old.Blob}
		request := requestServices
		e := denc.NewEncoder(nil, 0)
		e.U16(&request)
		a.Denc(e)
		msg := authorize{Nonce: 7}
		encrypted(e, old.Session, msg.Denc)
		e.U8Const(1)
		e.U32Const(uint32(ceph.TypeOSD))
		if _, err := srv.Renew(now, e.Bytes()); !errors.Is(err, ceph.EACCES) {
			t.Fatalf("after %v: service tickets for an old one: %v", away, err)
		}
	}
}

// TestInsecureReclaim: only writers of old versions, and only if the option says so, may come back
// without a ticket.
func TestInsecureReclaim(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		version uint8
		allow   bool
		want    bool
	}{{1, true, true}, {2, true, true}, {3, true, false}, {2, false, false}} {
		w.opt.AllowInsecureReclaim = c.allow
		ms, srv := w.client(guest).NewMonSession(), NewMonServer(w.opt)
		ms.c.globalID = 77
		out, err := srv.Step(epoch, MethodCephx, ms.Request(), 0)
		if err != nil {
			t.Fatal(err)
		}
		ms.globalID = 0 // do not send a ticket
		more, err := ms.More(epoch, out.Reply)
		if err != nil {
			t.Fatal(err)
		}
		more[2] = c.version
		if c.version == 1 {
			more = more[:len(more)-4] // no other keys
		}
		_, err = srv.Step(epoch, MethodCephx, more, 0)
		if (err == nil) != c.want || srv.Insecure() != c.want {
			t.Errorf("version %d, allowed %v: %v, told of %v", c.version, c.allow, err,
				srv.Insecure())
		}
	}
}

// TestOldClient: a version 1 writer (kernels before 5.11) gets just its auth ticket.
func TestOldClient(t *testing.T) {
	w := newWorld(t)
	c := w.client(guest)
	ms, srv := c.NewMonSession(), NewMonServer(w.opt)
	out, err := srv.Step(epoch, MethodCephx, ms.Request(), 0)
	if err != nil {
		t.Fatal(err)
	}
	more, err := ms.More(epoch, out.Reply)
	if err != nil {
		t.Fatal(err)
	}
	more[2] = 1
	if out, err = srv.Step(epoch, MethodCephx, more[:len(more)-4], 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ms.Done(epoch, out.Ticket.GlobalID, out.Reply); err != nil {
		t.Fatal(err)
	}
	if len(c.tickets) != 1 {
		t.Fatalf("%d tickets", len(c.tickets))
	}
	req, err := ms.Renewal(epoch)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := srv.Renew(epoch, req)
	if err != nil {
		t.Fatal(err)
	}
	if err := ms.Renewed(epoch, reply); err != nil || !c.HasTicket(ceph.TypeOSD, epoch) {
		t.Fatalf("no ticket: %v", err)
	}
}

// CVE-2020-10736: monitors and managers let in whom they should not. Here a ticket opens its own
// service only; what its holder may do there is held by the tests of caps.
func TestCVE2020_10736_OtherService(t *testing.T) {
	w := newWorld(t)
	c := w.client(admin)
	w.mustLogin(c, epoch)
	held := []ceph.EntityType{ceph.TypeMon, ceph.TypeOSD, ceph.TypeMgr, ceph.TypeAuth}
	served := []ceph.EntityType{ceph.TypeMon, ceph.TypeMDS, ceph.TypeOSD, ceph.TypeMgr}
	for _, from := range held {
		for _, to := range served {
			for _, claim := range []ceph.EntityType{from, to} {
				a, err := c.NewAuthorizer(from, epoch)
				if err != nil {
					t.Fatal(err)
				}
				a.head.Service = uint32(claim)
				_, err = authorizeTo(w.service(to), a, epoch)
				if (err == nil) != (from == to) {
					t.Errorf("ticket for %v, claimed for %v, at %v: %v", from, claim, to, err)
				}
			}
		}
	}
}

func TestTicketEnds(t *testing.T) {
	w := newWorld(t)
	c := w.client(admin)
	w.mustLogin(c, epoch)
	a, err := c.NewAuthorizer(ceph.TypeOSD, epoch)
	if err != nil {
		t.Fatal(err)
	}
	try := func(after time.Duration) error {
		_, err := authorizeTo(w.service(ceph.TypeOSD), a, epoch.Add(after))
		return err
	}
	if err := try(hour); err != nil {
		t.Fatalf("at its end, within the tolerance of clocks: %v", err)
	}
	if err := try(hour + 16*time.Minute); !errors.Is(err, ceph.EACCES) {
		t.Fatalf("long after its end: %v", err)
	}
	r := w.rotating[ceph.TypeOSD]
	for range Generations {
		r.Keys = append(slices.Clone(r.Keys[1:]), RotatingKey{ID: r.MaxID + 1})
		r.MaxID++
	}
	w.rotating[ceph.TypeOSD] = r
	if err := try(0); !errors.Is(err, ceph.EACCES) {
		t.Fatalf("with a key that is gone: %v", err)
	}
	if _, err := c.NewAuthorizer(ceph.TypeOSD, epoch.Add(2*hour)); !errors.Is(err, ErrNoTicket) {
		t.Fatalf("the client uses an old ticket: %v", err)
	}
}

// TestRenewIsBound: a session can renew its own tickets only.
func TestRenewIsBound(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(admin), w.client(guest)
	as, _ := w.mustLogin(a, epoch)
	_, bsrv := w.mustLogin(b, epoch)
	now := epoch.Add(50 * time.Minute)
	req, err := as.Renewal(now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bsrv.Renew(now, req); !errors.Is(err, ceph.EACCES) {
		t.Fatalf("admin's renewal in guest's session: %v", err)
	}
	if _, err := NewMonServer(w.opt).Renew(now, req); err == nil {
		t.Fatal("renewal without a session")
	}
}

// TestRemovedEntity: who is removed from the database gets no new tickets in an old session.
func TestRemovedEntity(t *testing.T) {
	w := newWorld(t)
	c := w.client(admin)
	ms, srv := w.mustLogin(c, epoch)
	delete(w.entities, admin)
	for _, after := range []time.Duration{50 * time.Minute, 60 * hour} {
		req, err := ms.Renewal(epoch.Add(after))
		if err != nil || req == nil {
			t.Fatal(err)
		}
		if _, err := srv.Renew(epoch.Add(after), req); !errors.Is(err, ceph.EACCES) {
			t.Fatalf("after %v: %v", after, err)
		}
	}
}

// wantProof was computed with "openssl enc -aes-128-cbc".
const wantProof = 0x8fcf259dac68ed2c

// TestCipher holds the primitives against an independent computation (openssl enc -aes-128-cbc
// over the envelope).
func TestCipher(t *testing.T) {
	var raw [16]byte
	for i := range raw {
		raw[i] = byte(i)
	}
	key := keyring.NewKey(raw, ceph.Time{})
	if got := proof(key, 1, 2); got != wantProof {
		t.Fatalf("proof %#x", got)
	}
	other := keyring.NewKey([16]byte{1}, ceph.Time{})
	b := encrypt(key, (&authorize{Nonce: 5}).Denc)
	var m authorize
	if decrypt(key, b, m.Denc) != nil || m.Nonce != 5 || decrypt(other, b, m.Denc) == nil {
		t.Fatal("does not come back, or comes back under another key")
	}
	if decrypt(keyring.Key{}, b, m.Denc) == nil {
		t.Fatal("opens without a key")
	}
	if a, b := encrypt(key, m.Denc), encrypt(key, m.Denc); !bytes.Equal(a, b) {
		t.Fatal("the protocol's encryption has no randomness")
	}
}

// TestSealNonces: tickets of equal content differ, since no nonce is used twice.
func TestSealNonces(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		b, err := seal(make([]byte, SealBytes), nil, []byte("x"), rand.Reader)
		if err != nil || seen[string(b[1:13])] {
			t.Fatalf("nonce used twice, %v", err)
		}
		seen[string(b[1:13])] = true
	}
}

func FuzzMonServer(f *testing.F) {
	w := newWorld(&testing.T{})
	ms := w.client(admin).NewMonSession()
	srv := NewMonServer(w.opt)
	req := ms.Request()
	out, _ := srv.Step(epoch, MethodCephx, req, 64)
	more, _ := ms.More(epoch, out.Reply)
	f.Add(req, more)
	f.Add([]byte{ModeAuthorizer}, []byte{1})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := NewMonServer(w.opt)
		if out, err := s.Step(epoch, MethodCephx, first, 64); err == nil && !out.Done {
			if out, err = s.Step(epoch, MethodCephx, second, 64); err == nil && out.Done {
				t.Fatal("authenticated without the key")
			}
		}
		s.Renew(epoch, second)
	})
}

func FuzzServiceServer(f *testing.F) {
	w := newWorld(&testing.T{})
	c := w.client(admin)
	w.login(c, epoch)
	a, _ := c.NewAuthorizer(ceph.TypeOSD, epoch)
	f.Add(a.Request(), a.Request())
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := w.service(ceph.TypeOSD)
		if out, err := s.Step(epoch, MethodCephx, first, 64); err == nil && !out.Done {
			if out, err = s.Step(epoch, MethodCephx, second, 64); err == nil && out.Done {
				t.Fatal("authorized without the session key")
			}
		}
	})
}

func FuzzClient(f *testing.F) {
	w := newWorld(&testing.T{})
	f.Add([]byte{1, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, challenge, done []byte) {
		c := w.client(admin)
		s := c.NewMonSession()
		if _, err := s.More(epoch, challenge); err != nil {
			return
		}
		if _, _, err := s.Done(epoch, 5, done); err == nil {
			t.Fatal("a server without the key was believed")
		}
		s.Renewed(epoch, done)
		s.RotatingReply(done)
	})
}
