package mon

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"glue/ceph"
)

// TestStartAndClose runs a monitor with its sockets and goroutines.
func TestStartAndClose(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := uint16(free.Addr().(*net.TCPAddr).Port)
	must(t, free.Close())
	w := newWorldAt(t, port)
	must(t, w.c.node.Close())
	defer w.open()
	o := Options{Dir: w.dir, Name: "a", Log: discard()}
	m, err := Start(context.Background(), o)
	must(t, err)
	if m.FSID() != testFSID || m.Err() != nil {
		t.Errorf("fsid %v, err %v", m.FSID(), m.Err())
	}
	at := m.Addrs().Of(ceph.AddrMsgr2).AddrPort
	if at.Port() != port {
		t.Fatalf("listens at %v", m.Addrs())
	}
	for _, c := range []string{"mon_status", "quorum_status", "sessions", "ops", "config show"} {
		b, _, err := m.Commands().Run(fmt.Sprintf(`{"prefix":%q}`, c))
		must(t, err)
		if !json.Valid(b) {
			t.Errorf("%s: %s", c, b)
		}
	}
	other := newWorldAt(t, port)
	must(t, other.c.node.Close())
	defer other.open()
	_, err = Start(context.Background(), Options{Dir: other.dir, Name: "a", Log: discard()})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port in use: %v", err)
	}
	if _, err := Start(context.Background(), o); err == nil {
		t.Error("two monitors opened one store")
	}
	must(t, m.Close())
	must(t, m.Close())
	if _, _, err := m.Commands().Run("mon_status"); err == nil {
		t.Error("a closed monitor answers")
	}
	if _, err := Start(context.Background(), Options{Dir: w.dir, Name: "zz",
		Log: discard()}); err == nil {
		t.Error("a monitor that is not in the map started")
	}
}
