package conformance

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/client/monc"
	"glue/wire/message"
	"glue/wire/msgr"
)

// subscriber is a client that subscribes to everything and notes what comes.
type subscriber struct {
	mon  *monc.Client
	mu   sync.Mutex
	came map[message.Type]bool
}

func (s *subscriber) Accepted(conn *msgr.Conn)  { conn.Close() }
func (s *subscriber) Connected(conn *msgr.Conn) { s.mon.Connected(conn) }
func (s *subscriber) Reset(conn *msgr.Conn)     { s.mon.Reset(conn) }

// RemoteReset is like Reset.
func (s *subscriber) RemoteReset(conn *msgr.Conn) { s.mon.Reset(conn) }

func (s *subscriber) Dispatch(conn *msgr.Conn, m *message.Message) {
	s.mu.Lock()
	s.came[m.Body.Type()] = true
	s.mu.Unlock()
	s.mon.Dispatch(conn, m)
}

// topics is what can be subscribed to, the version to start from, and the message that comes then.
// No "mdsmap" comes to clients while there are no file systems, and "osd_pg_creates" comes to OSDs
// that have PGs to make.
var topics = []struct {
	what  string
	start uint64
	kind  message.Type
}{
	{"monmap", 0, (*message.MMonMap)(nil).Type()},
	{"config", 0, (*message.MConfig)(nil).Type()},
	{"osdmap", 0, (*message.MOSDMap)(nil).Type()},
	{"mgrmap", 0, (*message.MMgrMap)(nil).Type()},
	{"fsmap", 0, (*message.MFSMap)(nil).Type()},
	{"fsmap.user", 0, (*message.MFSMapUser)(nil).Type()},
	{"mdsmap", 0, (*message.MMDSMap)(nil).Type()},
	{"osd_pg_creates", 0, (*message.MOSDPGCreate2)(nil).Type()},
	{"servicemap", 0, (*message.MServiceMap)(nil).Type()},
	{"mgrdigest", 0, (*message.MMgrDigest)(nil).Type()},
	{"log-info", 1, (*message.MLog)(nil).Type()},
	{"kv:", 0, (*message.MKVData)(nil).Type()},
}

// monitors reads the addresses of "mon host".
func monitors(t *testing.T) []ceph.AddrVec {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\s*mon[_ ]host\s*=\s*(.*)$`).FindStringSubmatch(
		string(read(t, shared.conf)))
	if m == nil {
		t.Fatalf("%s has no mon host", shared.conf)
	}
	var out []ceph.AddrVec
	for _, a := range regexp.MustCompile(`(\d+\.\d+\.\d+\.\d+:\d+)`).FindAllString(m[1], -1) {
		out = append(out, ceph.AddrVec{{Type: ceph.AddrMsgr2,
			AddrPort: netip.MustParseAddrPort(a)}})
	}
	return out
}

// subscribe connects as an entity, subscribes to everything, and gives a mark for each topic.
func subscribe(t *testing.T, seeds []ceph.AddrVec, entity, key string) string {
	t.Helper()
	name, err := ceph.ParseAuthName(entity)
	if err != nil {
		t.Fatal(err)
	}
	k, err := keyring.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &subscriber{came: map[message.Type]bool{}}
	s.mon = monc.New(monc.Options{Name: name, Key: k, Seeds: seeds})
	net := msgr.New(msgr.Options{
		Entity: ceph.EntityName{Type: name.Type, Num: -1}, Client: s.mon,
		ClientModes: msgr.ConfiguredModes(ceph.TypeClient, func(string) string { return "" }),
	})
	net.Start(s)
	defer net.Close()
	s.mon.Start(net)
	defer s.mon.Close()
	for _, topic := range topics {
		s.mon.Subscribe(topic.what, topic.start, false)
	}
	time.Sleep(8 * time.Second) // a digest for managers comes every five
	s.mu.Lock()
	defer s.mu.Unlock()
	marks := ""
	for _, topic := range topics {
		if s.came[topic.kind] {
			marks += "+"
		} else {
			marks += "-"
		}
	}
	return marks
}

// subscribers are the users of TestSubscriptionMatrix with their caps for monitors.
var subscribers = [][2]string{
	{"none", ""}, {"r", "allow r"}, {"rw", "allow rw"}, {"rwx", "allow rwx"}, {"x", "allow x"},
	{"all", "allow *"}, {"rbd", "profile rbd"}, {"osd", "profile osd"}, {"mgr", "profile mgr"},
	{"mds", "profile mds"}, {"crash", "profile crash"}, {"role", "profile role-definer"},
	{"bootosd", "profile bootstrap-osd"}, {"simple", "profile simple-rados-client"},
	{"command", `allow command "auth ls"`},
	{"kvcommand", `allow r, allow command "config-key get"`},
	{"osdr", "allow service osd r"}, {"monr", "allow service mon r"},
	{"kvr", "allow service mon r, allow service config-key r"},
	{"logr", "allow service log r"}, {"mgrr", "allow service mgr r"},
	{"network", "allow * network 192.0.2.0/24"}, {"fsname", "allow r fsname=cmp"},
}

// TestSubscriptionMatrix subscribes to everything as users with different caps, and compares what
// comes with what comes from a real cluster: nothing may come here that stock does not give.
func TestSubscriptionMatrix(t *testing.T) {
	seeds := monitors(t)
	must(t, "ceph", "config-key", "set", "cmp/secret", "x")
	defer must(t, "ceph", "config-key", "rm", "cmp/secret")
	rows := make([]string, len(subscribers))
	var wg sync.WaitGroup
	for i, u := range subscribers {
		entity := "client.sub." + u[0]
		args := []string{"auth", "get-or-create-key", entity}
		if u[1] != "" {
			args = append(args, "mon", u[1])
		}
		key := strings.TrimSpace(must(t, "ceph", args...))
		defer must(t, "ceph", "auth", "rm", entity)
		wg.Go(func() {
			rows[i] = fmt.Sprintf("%s %s: %s", subscribe(t, seeds, entity, key), u[0], u[1])
		})
	}
	wg.Wait()
	what := []string{"topics"}
	for _, topic := range topics {
		what = append(what, topic.what)
	}
	got := strings.Join(slices.Concat([]string{strings.Join(what, " ")}, rows, []string{""}), "\n")
	testdata := filepath.Join(root(), "conformance", "testdata")
	stock := record(t, filepath.Join(testdata, "subscriptions_stock.txt"), []byte(got))
	known := readKnown(t, filepath.Join(testdata, "subscriptions_known.txt"))
	compareMatrix(t, got, string(stock), known)
	known.unused(t)
}
