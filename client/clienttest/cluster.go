package clienttest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"glue/client/rados"
)

// Conf is the ceph.conf of the cluster to test against, which GLUE_TEST_CONF names: Glue's or a
// real one. Without it the test is skipped.
func Conf(t testing.TB) string {
	t.Helper()
	conf := os.Getenv("GLUE_TEST_CONF")
	if conf == "" {
		t.Skip("GLUE_TEST_CONF names no ceph.conf of a running cluster to test against")
	}
	return conf
}

// Within is a context that ends after d, or with the test.
func Within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Connect connects to the cluster of Conf until the test ends. With GLUE_TEST_LOG set it logs.
func Connect(t testing.TB) *rados.Cluster {
	t.Helper()
	o := rados.Options{ConfFile: Conf(t)}
	if os.Getenv("GLUE_TEST_LOG") != "" {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr,
			&slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c, err := rados.Connect(Within(t, 20*time.Second), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Pool makes a pool of a name for one test and removes it at the end.
func Pool(t testing.TB, c *rados.Cluster, name string) *rados.IOCtx {
	t.Helper()
	ctx := Within(t, time.Minute)
	_, _, err := c.MonCommand(ctx, map[string]any{"prefix": "osd pool create", "pool": name,
		"pg_num": 8}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _, err := c.MonCommand(ctx, map[string]any{"prefix": "osd pool delete", "pool": name,
			"pool2": name, "yes_i_really_really_mean_it": true}, nil)
		if err != nil {
			t.Logf("remove pool %s: %v", name, err)
		}
	})
	x, err := c.OpenPool(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Want checks an error: nil, or one that is wanted by errors.Is.
func Want(t testing.TB, what string, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) || (wanted == nil) != (err == nil) {
		t.Errorf("%s: got error %v, want %v", what, err, wanted)
	}
}
