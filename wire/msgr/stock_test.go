package msgr

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"glue/auth/cephx"
	"glue/auth/keyring"
	"glue/ceph"
	"glue/ceph/denc"
	"glue/cluster/monmap"
	"glue/wire/message"
)

// A stubMon is as much of a monitor as "ceph fsid" needs.
type stubMon struct {
	*endpoint
	keys     map[ceph.AuthName]keyring.Entry
	rotating map[ceph.EntityType]cephx.Rotating
	fsid     ceph.UUID
	opt      cephx.MonOptions
	methods  []uint32
}

func (s *stubMon) Entity(n ceph.AuthName) (keyring.Entry, bool) { e, ok := s.keys[n]; return e, ok }

func (s *stubMon) Rotating(t ceph.EntityType) cephx.Rotating { return s.rotating[t] }

func (s *stubMon) Methods(ceph.EntityType) []uint32 { return s.methods }

func (s *stubMon) Accept(ceph.EntityType, netip.AddrPort) ServerHandshake {
	return monShake{cephx.NewMonServer(s.opt)}
}

func newStubMon(t *testing.T, admin keyring.Key, at string) *stubMon {
	name := ceph.AuthName{Type: ceph.TypeClient, ID: "admin"}
	s := &stubMon{
		fsid: ceph.UUID{1, 2, 3},
		keys: map[ceph.AuthName]keyring.Entry{
			name: {Name: name, Key: admin, Caps: map[string]string{"mon": "allow *"}},
		},
		rotating: make(map[ceph.EntityType]cephx.Rotating),
		methods:  []uint32{cephx.MethodCephx},
	}
	for _, svc := range cephx.Services {
		r, _, err := cephx.Rotating{}.Rotate(time.Now(), time.Hour, 0, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s.rotating[svc] = r
	}
	id := uint64(4100)
	s.opt = cephx.MonOptions{
		Keys: s, Rand: rand.Reader, AuthTTL: time.Hour, ServiceTTL: time.Hour,
		NewGlobalID: func() (uint64, bool) { id++; return id, true },
	}
	s.endpoint = newEndpoint(t, 0, func(o *Options) {
		o.Entity.Type = ceph.TypeMon
		o.Server, o.Client = s, nil
		o.Listen = func(netip.AddrPort) (net.Listener, error) { return net.Listen("tcp", at) }
	})
	s.self.AddrPort = s.listener.Addr().(*net.TCPAddr).AddrPort()
	s.on = s.serve
	return s
}

func (s *stubMon) serve(c *Conn, m *message.Message) {
	switch b := m.Body.(type) {
	case *message.MMonSubscribe:
		if _, ok := b.What["monmap"]; ok {
			mm := monmap.New(s.fsid, ceph.TimeOf(time.Now()))
			mm.Epoch = 1
			mm.Add(monmap.Mon{Name: "a", Addrs: s.Addrs()})
			c.Send(message.New(&message.MMonMap{Map: denc.Marshal(mm, ceph.FeaturesAll)}))
		}
		if _, ok := b.What["config"]; ok {
			c.Send(message.New(&message.MConfig{}))
		}
	case *message.MMonCommand:
		ack := m.Reply(&message.MMonCommandAck{Cmd: b.Cmd})
		if strings.Contains(b.Cmd[0], "get_command_descriptions") {
			ack.Data, _ = json.Marshal(map[string]any{"cmd000": map[string]any{
				"sig": []string{"fsid"}, "help": "x", "module": "mon", "perm": "r", "flags": 0,
			}})
		} else {
			ack.Data = []byte(s.fsid.String() + "\n")
		}
		c.Send(ack)
	}
}

// stockCeph runs the stock command line tool against a monitor.
func stockCeph(t *testing.T, s *stubMon, key keyring.Key, args ...string) (string, error) {
	if _, err := exec.LookPath("ceph"); err != nil {
		t.Skip("needs the stock ceph command")
	}
	dir := t.TempDir()
	ring := &keyring.Keyring{}
	ring.Set(keyring.Entry{Name: ceph.AuthName{Type: ceph.TypeClient, ID: "admin"}, Key: key})
	file := filepath.Join(dir, "keyring")
	if err := os.WriteFile(file, []byte(ring.Format()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	all := append([]string{
		"-c", "/dev/null", "-m", "v2:" + s.Addrs()[0].HostPort(), "--keyring", file,
		"--connect-timeout", "15",
	}, args...)
	cmd := exec.CommandContext(ctx, "ceph", all...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestStockClient(t *testing.T) {
	if testing.Short() {
		t.Skip("starts stock tools")
	}
	key, err := keyring.Generate(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := newStubMon(t, key, "127.0.0.1:0")
	for mode, want := range map[string]Mode{"crc": ModeCRC, "secure": ModeSecure} {
		got := make(chan Mode, 100)
		s.on = func(c *Conn, m *message.Message) {
			got <- c.Peer().Mode
			s.serve(c, m)
		}
		out, err := stockCeph(t, s, key, "--ms_mon_client_mode", mode, "fsid")
		if err != nil || strings.TrimSpace(out) != s.fsid.String() {
			t.Fatalf("%s: %v: %s", mode, err, out)
		}
		if m := <-got; m != want {
			t.Fatalf("%s: the connection is of mode %d", mode, m)
		}
	}
	wrong, _ := keyring.Generate(rand.Reader, time.Now())
	start := time.Now()
	out, err := stockCeph(t, s, wrong, "fsid")
	if err == nil || !strings.Contains(out, "[errno 13] RADOS permission denied") ||
		time.Since(start) > 5*time.Second {
		t.Fatalf("wrong key: after %v: %v: %s", time.Since(start), err, out)
	}
}

func TestStockClientIPv6(t *testing.T) {
	if c, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here:", err)
	} else {
		c.Close()
	}
	key, _ := keyring.Generate(rand.Reader, time.Now())
	s := newStubMon(t, key, "[::1]:0")
	out, err := stockCeph(t, s, key, "--ms_bind_ipv6", "true", "--ms_bind_ipv4", "false", "fsid")
	if err != nil || strings.TrimSpace(out) != s.fsid.String() {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestStockClientNone(t *testing.T) {
	key, _ := keyring.Generate(rand.Reader, time.Now())
	s := newStubMon(t, key, "127.0.0.1:0")
	s.opt.Allowed = func(ceph.AuthName, uint32) bool { return true }
	s.methods = []uint32{cephx.MethodNone}
	out, err := stockCeph(t, s, key, "--auth_client_required", "none", "fsid")
	if err != nil || strings.TrimSpace(out) != s.fsid.String() {
		t.Fatalf("%v: %s", err, out)
	}
	// A client that insists on cephx is told at once that there is none.
	start := time.Now()
	out, err = stockCeph(t, s, key, "--auth_client_required", "cephx", "fsid")
	if err == nil || time.Since(start) > 10*time.Second {
		t.Fatalf("after %v: %v: %s", time.Since(start), err, out)
	}
}

// TestStockRenewal keeps a stock client waiting until it has renewed its tickets.
func TestStockRenewal(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for tickets to age")
	}
	key, _ := keyring.Generate(rand.Reader, time.Now())
	s := newStubMon(t, key, "127.0.0.1:0")
	s.opt.AuthTTL, s.opt.ServiceTTL = 10*time.Second, 10*time.Second
	var mu sync.Mutex
	var held func()
	requests := make(map[byte]int)
	s.on = func(c *Conn, m *message.Message) {
		mu.Lock()
		defer mu.Unlock()
		switch b := m.Body.(type) {
		case *message.MAuth:
			reply, err := c.Peer().Auth.(*cephx.MonServer).Renew(time.Now(), b.Payload)
			if err != nil {
				t.Errorf("renewal: %v", err)
			}
			requests[b.Payload[1]]++
			c.Send(m.Reply(&message.MAuthReply{
				Protocol: b.Protocol, GlobalID: c.Peer().GlobalID, Payload: reply,
				Result: ceph.ResultOf(err),
			}))
		case *message.MMonCommand:
			if !strings.Contains(b.Cmd[0], "get_command_descriptions") {
				held = func() { s.serve(c, m) }
				break
			}
			s.serve(c, m)
		default:
			s.serve(c, m)
		}
		if requests[1] >= 2 && requests[2] >= 2 && held != nil {
			held()
			held = nil
		}
	}
	out, err := stockCeph(t, s, key, "fsid")
	if err != nil || strings.TrimSpace(out) != s.fsid.String() {
		t.Fatalf("%v: %s; requests %v", err, out, requests)
	}
	t.Logf("requests %v", requests)
}

// A soloClient is one cephx.Client as a messenger's client side.
type soloClient struct{ c *cephx.Client }

func (s soloClient) Connect(peer ceph.EntityType, _ ceph.AddrVec) (ClientHandshake, error) {
	if peer == ceph.TypeMon {
		return &monLogin{s.c, s.c.NewMonSession()}, nil
	}
	a, err := s.c.NewAuthorizer(peer, time.Now())
	return &authorizerShake{a}, err
}

type monLogin struct {
	c *cephx.Client
	s *cephx.MonSession
}

func (l *monLogin) Request() (uint32, []byte, error) { return l.c.Method(), l.s.Request(), nil }

func (l *monLogin) BadMethod(_ uint32, result int32, _ []uint32, _ []Mode) error {
	return ceph.ErrorOf(result)
}

func (l *monLogin) More(p []byte) ([]byte, error) { return l.s.More(time.Now(), p) }

func (l *monLogin) Done(id uint64, _ Mode, p []byte) ([]byte, []byte, error) {
	return l.s.Done(time.Now(), id, p)
}

// oracle is a cluster of stock daemons: GLUE_ORACLE names its directory, where
// shared/oracle/ceph-oracle has set it up and it runs.
type oracle struct {
	t     *testing.T
	dir   string
	name  ceph.AuthName
	admin keyring.Entry
}

func newOracle(t *testing.T) *oracle {
	o := &oracle{t: t, dir: os.Getenv("GLUE_ORACLE")}
	if o.dir == "" {
		t.Skip("needs GLUE_ORACLE")
	}
	text, err := os.ReadFile(filepath.Join(o.dir, "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	o.name = ceph.AuthName{Type: ceph.TypeClient, ID: "admin"}
	o.admin, _ = ring.Get(o.name)
	return o
}

// An oracleEntity is what the dumps of monitors and OSDs say about one of them.
type oracleEntity struct {
	PublicAddrs struct {
		Addrvec []struct {
			Addr  string
			Nonce uint32
		}
	} `json:"public_addrs"`
}

// addr is where the first daemon of a dump listens.
func (o *oracle) addr(daemons string, args ...string) ceph.AddrVec {
	args = append([]string{"-c", filepath.Join(o.dir, "ceph.conf"), "-f", "json"}, args...)
	out, err := exec.Command("ceph", args...).Output()
	if err != nil {
		o.t.Fatal(err)
	}
	var dump map[string]json.RawMessage
	var list []oracleEntity
	if err := json.Unmarshal(out, &dump); err != nil {
		o.t.Fatal(err)
	}
	if err := json.Unmarshal(dump[daemons], &list); err != nil {
		o.t.Fatal(err)
	}
	v := list[0].PublicAddrs.Addrvec[0]
	a, err := ceph.ParseAddr(fmt.Sprintf("v2:%s/%d", v.Addr, v.Nonce), ceph.AddrMsgr2)
	if err != nil {
		o.t.Fatal(err)
	}
	return ceph.AddrVec{a}
}

// client is a messenger that authenticates as client.admin in one mode.
func (o *oracle) client(mode Mode) (*endpoint, *cephx.Client) {
	c := cephx.NewClient(cephx.ClientOptions{
		Name: o.name, Key: o.admin.Key, Rand: rand.Reader, Want: ceph.TypeMon | ceph.TypeOSD,
	})
	e := &endpoint{t: o.t, changed: make(chan struct{}, 1)}
	e.Messenger = New(Options{
		Entity: ceph.EntityName{Type: ceph.TypeClient, Num: -1}, Client: soloClient{c},
		ClientModes: func(ceph.EntityType) []Mode { return []Mode{mode} },
	})
	return e, c
}

// TestStockCluster logs in to a stock monitor and to one of its OSDs.
func TestStockCluster(t *testing.T) {
	o := newOracle(t)
	monAddr, osdAddr := o.addr("mons", "mon", "dump"), o.addr("osds", "osd", "dump")
	for _, mode := range []Mode{ModeCRC, ModeSecure} {
		e, c := o.client(mode)
		version := make(chan *message.MMonGetVersionReply, 1)
		e.on = func(_ *Conn, m *message.Message) {
			if b, ok := m.Body.(*message.MMonGetVersionReply); ok {
				version <- b
			}
		}
		e.Start(e)
		mon := e.Connect(ceph.TypeMon, monAddr)
		mon.Send(msg(77))
		select {
		case b := <-version:
			if b.Handle != 77 || b.Version == 0 {
				t.Fatalf("got %+v", b)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("mode %d: no answer: %v", mode, mon.Err())
		}
		e.SetName(ceph.EntityName{Type: ceph.TypeClient, Num: int64(c.GlobalID())})
		conn := e.Connect(ceph.TypeOSD, osdAddr)
		e.until("connected to the OSD", func() bool { return e.count("connected osd.0") == 1 })
		conn.Keepalive()
		for end := time.Now().Add(5 * time.Second); conn.LastKeepaliveAck().IsZero(); {
			if time.Now().After(end) {
				t.Fatal("a keepalive was not answered")
			}
			time.Sleep(time.Millisecond)
		}
		if p := conn.Peer(); p.Mode != mode || p.Features&ceph.FeatureServerJewel == 0 {
			t.Fatalf("peer %+v", p)
		}
		e.Close()
	}
}
