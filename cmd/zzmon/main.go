// Command zzmon is a scratch monitor.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"glue/auth/keyring"
	"glue/ceph"
	"glue/mon"
)

func main() {
	dir := os.Args[1]
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if _, err := os.Stat(dir + "/mon"); err != nil {
		var fsid ceph.UUID
		rand.Read(fsid[:])
		var ring string
		for _, n := range []string{"mon.", "client.admin", "osd.0", "osd.1", "osd.2", "mgr.x"} {
			name, _ := ceph.ParseAuthName(n)
			k, _ := keyring.Generate(rand.Reader, time.Now())
			caps := map[string]string{"mon": "allow *", "osd": "allow *", "mgr": "allow *"}
			e := keyring.Entry{Name: name, Key: k, Caps: caps}
			text := e.Format()
			ring += text
			if n == "client.admin" {
				os.MkdirAll(dir, 0o755)
				os.WriteFile(dir+"/admin.keyring", []byte(text), 0o600)
			}
		}
		a := ceph.Addr{Type: ceph.AddrMsgr2, AddrPort: netip.MustParseAddrPort("127.0.0.1:23500")}
		err := mon.Mkfs(dir+"/mon", mon.Bootstrap{FSID: fsid, Name: "a", Members: map[string]ceph.AddrVec{"a": {a}},
			Keyring: []byte(ring), Now: time.Now(), Config: map[string]string{"mon_allow_pool_delete": "true"}})
		if err != nil {
			panic(err)
		}
		os.WriteFile(dir+"/ceph.conf", []byte(fmt.Sprintf("[global]\nfsid=%v\nmon_host=[v2:127.0.0.1:23500]\nkeyring=%s/admin.keyring\n", fsid, dir)), 0o644)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m, err := mon.Start(ctx, mon.Options{Dir: dir + "/mon", Name: "a", Log: log, Hostname: "vm", Metadata: map[string]string{"arch": "x86_64"}})
	if err != nil {
		panic(err)
	}
	select {
	case <-ctx.Done():
	case <-m.Failed():
		fmt.Println("FAILED", m.Err())
	}
	fmt.Println(m.Close())
}
