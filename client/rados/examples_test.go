package rados_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"glue/client/clienttest"
)

// TestExamples runs the examples one after the other on one pool.
func TestExamples(t *testing.T) {
	cluster = connect(t)
	t.Setenv("CEPH_CONF", os.Getenv("GLUE_TEST_CONF"))
	data = poolOf(t, cluster, "data")
	for _, e := range []struct {
		name string
		run  func()
		want string // part of what it prints
	}{
		{"connect", Example, "hello\n"},
		{"write", ExampleIOCtx_Operate, ""},
		{"write again", ExampleIOCtx_Operate, "the object is there already; nothing was changed\n"},
		{"read", ExampleIOCtx_OperateRead, "7 1\n"},
		{"list", ExampleIOCtx_List, "greeting\n"},
		{"watch", ExampleIOCtx_Watch, "told \"news\"\n"},
		{"command", ExampleCluster_MonCommand, "\"data\""},
		{"snapshot", ExampleIOCtx_WithSnapContext, "it was \"content\"\n"},
		{"append", ExampleIOCtx_Start, ""},
		{"any copy", ExampleIOCtx_WithBalancedReads, "one\ntwo\n"},
		{"started", ExampleIOCtx_StartRead, "\"one\\n\" of 8 bytes\n"},
		{"file", ExampleIOCtx_File, "a stream"},
		{"filter", ExampleIOCtx_WithFilter, "object\n"},
		{"service", ExampleCluster_RegisterService, ""},
		{"inconsistent", ExampleCluster_InconsistentObjects, ""},
	} {
		got := clienttest.Said(t, e.run)
		if !strings.Contains(got, e.want) || e.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", e.name, got, e.want)
		}
	}
	if b, err := data.Read(within(t, time.Minute), "log", 0, 0); string(b) != "one\ntwo\n" {
		t.Errorf("appended %q, %v", b, err)
	}
}
