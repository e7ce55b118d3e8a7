package clienttest

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// Said is what a function prints.
func Said(t *testing.T, f func()) string {
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
