package rbd_test

import (
	"testing"
	"time"

	"glue/client/clienttest"
)

// TestExamples runs the examples one after the other on one pool.
func TestExamples(t *testing.T) {
	c := connect(t)
	t.Setenv("CEPH_CONF", conf(t))
	images = storeOf(t, c, "disks")
	if got := clienttest.Said(t, Example); got != "10737418240 4194304\n" {
		t.Errorf("made: %q", got)
	}
	if got := clienttest.Said(t, ExampleStore_Clone); got != "4194304 7 true\n" {
		t.Errorf("changed: %q", got)
	}
	copied := open(t, images, "copy")
	defer copied.Close(within(t, time.Minute))
	b := make([]byte, 11)
	if _, err := copied.ReadAt(b, 0); string(b) != "boot sector" {
		t.Errorf("the copy begins with %q, %v", b, err)
	}
}
