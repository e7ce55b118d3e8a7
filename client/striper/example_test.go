package striper_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"testing"

	"glue/ceph"
	"glue/client/clienttest"
	"glue/client/rados"
	"glue/client/striper"
)

// What the example begins with: a pool that Cluster.OpenPool has opened.
var data *rados.IOCtx

// Keep a file of any size, over eight objects at a time.
func Example() {
	ctx := context.Background()
	s, err := striper.New(data, striper.Layout{StripeUnit: 64 << 10, StripeCount: 8})
	if err != nil {
		log.Fatal(err)
	}
	// A stream: whatever writes to an io.Writer at places that follow each other.
	to := io.NewOffsetWriter(s.File(ctx, "film"), 0)
	if _, err := io.Copy(to, strings.NewReader("a stream")); err != nil {
		log.Fatal(err)
	}
	if err := s.Append(ctx, "film", []byte(", and its end")); err != nil {
		log.Fatal(err)
	}
	st, err := s.Stat(ctx, "film")
	if err != nil {
		log.Fatal(err)
	}
	all, err := io.ReadAll(io.NewSectionReader(s.File(ctx, "film"), 0, int64(st.Size)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes: %s\n", st.Size, all)
	err = s.Remove(ctx, "film")
	if errors.Is(err, ceph.EBUSY) {
		log.Fatal("somebody reads or writes it: try again later")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func TestExample(t *testing.T) {
	data = pool(t)
	if got := clienttest.Said(t, Example); got != "21 bytes: a stream, and its end\n" {
		t.Errorf("%q", got)
	}
}
