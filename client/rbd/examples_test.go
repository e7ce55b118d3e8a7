package rbd_test

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"
)

// said is what a function prints.
func said(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, read := bytes.Buffer{}, make(chan error)
	go func() {
		_, err := io.Copy(&out, r)
		read <- err
	}()
	before := os.Stdout
	os.Stdout = w
	f()
	os.Stdout = before
	w.Close()
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestExamples runs the examples one after the other on one pool.
func TestExamples(t *testing.T) {
	c := connect(t)
	t.Setenv("CEPH_CONF", conf(t))
	images = storeOf(t, c, "disks")
	if got := said(t, Example); got != "10737418240 4194304\n" {
		t.Errorf("made: %q", got)
	}
	if got := said(t, ExampleStore_Clone); got != "4194304 7 true\n" {
		t.Errorf("changed: %q", got)
	}
	copied := open(t, images, "copy")
	defer copied.Close(within(t, time.Minute))
	b := make([]byte, 11)
	if _, err := copied.ReadAt(b, 0); string(b) != "boot sector" {
		t.Errorf("the copy begins with %q, %v", b, err)
	}
}
