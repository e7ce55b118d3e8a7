package conformance

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestWatcherDoesNotFillAnOSD: a stock client pings the OSD of each of its watches, without an
// answer. More pings than osd_client_message_cap do not keep other clients out.
func TestWatcherDoesNotFillAnOSD(t *testing.T) {
	c := startFor(t, "--set", "osd_client_message_cap=4")
	c.must(t, "ceph", "osd", "pool", "create", "held", "1")
	c.must(t, "rados", "-p", "held", "create", "watched")
	ctx, cancel := context.WithCancel(t.Context())
	watch := c.command(ctx, "rados", "-p", "held", "--objecter-tick-interval", "0.2", "watch",
		"watched")
	stdin, err := watch.StdinPipe() // it watches until this ends
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		cancel()
		watch.Wait()
	}()
	waitFor(t, "the watch", func() bool {
		out := c.must(t, "rados", "-p", "held", "listwatchers", "watched")
		return strings.Contains(out, "watcher=")
	})
	time.Sleep(5 * time.Second) // 25 pings
	c.must(t, "rados", "-p", "held", "create", "other")
}

// TestClientFarBehind: a stock client that was idle for longer than the monitors' history of maps.
func TestClientFarBehind(t *testing.T) {
	c := startFor(t)
	c.python(t, "behind.py", "behind")
}
