package rados_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"glue/ceph"
	"glue/client/rados"
)

// What examples begin with: a connection, and a pool that Cluster.OpenPool has opened. TestExamples
// runs them.
var (
	cluster *rados.Cluster
	data    *rados.IOCtx
)

// Connect as client.admin with the configuration that CEPH_CONF names, and keep an object.
func Example() {
	ctx := context.Background()
	c, err := rados.Connect(ctx, rados.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	pool, err := c.OpenPool(ctx, "data")
	if err != nil {
		log.Fatal(err)
	}
	if err := pool.WriteFull(ctx, "greeting", []byte("hello")); err != nil {
		log.Fatal(err)
	}
	b, err := pool.Read(ctx, "greeting", 0, 0)
	if errors.Is(err, ceph.ENOENT) {
		log.Fatal("somebody has removed it")
	}
	fmt.Printf("%s\n", b)
}

// A vector of operations takes effect as a whole or not at all.
func ExampleIOCtx_Operate() {
	op := new(rados.WriteOp).
		Create(true).
		Write([]byte("content"), 0).
		SetXattr("owner", []byte("me")).
		OmapSet(map[string][]byte{"key": []byte("value")})
	err := data.Operate(context.Background(), "object", op)
	if errors.Is(err, ceph.EEXIST) {
		fmt.Println("the object is there already; nothing was changed")
	}
}

// Several results of one moment in a single round trip.
func ExampleIOCtx_OperateRead() {
	var op rados.ReadOp
	stat, attrs := op.Stat(), op.Xattrs()
	if err := data.OperateRead(context.Background(), "object", &op); err != nil {
		log.Fatal(err)
	}
	fmt.Println(stat.Size, len(*attrs))
}

func ExampleIOCtx_List() {
	for o, err := range data.List(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(o.Name)
	}
}

func ExampleIOCtx_Watch() {
	ctx := context.Background()
	w, err := data.Watch(ctx, "object", func(n *rados.Notification) {
		fmt.Printf("told %q\n", n.Payload)
		if err := n.Ack(ctx, []byte("thanks")); err != nil {
			log.Print(err)
		}
	}, func(err error) { log.Print("the watch is lost: ", err) })
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close(ctx)
	if _, err := data.Notify(ctx, "object", []byte("news"), 5*time.Second); err != nil {
		log.Print(err)
	}
}

func ExampleCluster_MonCommand() {
	out, status, err := cluster.MonCommand(context.Background(),
		map[string]any{"prefix": "osd pool ls", "format": "json"}, nil)
	if err != nil {
		log.Fatal(err, status)
	}
	fmt.Printf("%s\n", out)
}

// Keep an object as it is with a self-managed snapshot, and read it back.
func ExampleIOCtx_WithSnapContext() {
	ctx := context.Background()
	snap, err := data.CreateSnapID(ctx)
	if err != nil {
		log.Fatal(err)
	}
	kept := data.WithSnapContext(snap, []ceph.SnapID{snap}) // newest first
	if err := kept.WriteFull(ctx, "object", []byte("new")); err != nil {
		log.Fatal(err)
	}
	old, err := data.WithSnap(snap).Read(ctx, "object", 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("it was %q\n", old)
}

// Many writes at a time, in order for each object.
func ExampleIOCtx_Start() {
	ctx := context.Background()
	var started []*rados.Pending
	for _, line := range []string{"one\n", "two\n"} {
		p, err := data.Start(ctx, "log", new(rados.WriteOp).Append([]byte(line)))
		if err != nil {
			log.Fatal(err)
		}
		started = append(started, p)
	}
	for _, p := range started {
		if err := p.Wait(ctx); err != nil {
			log.Fatal(err)
		}
	}
}

// Reads that any copy of the object answers, each as new as one of the primary.
func ExampleIOCtx_WithBalancedReads() {
	b, err := data.WithBalancedReads().Read(context.Background(), "log", 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", b)
}

// Reads in flight together; the results are in what the methods of ReadOp have returned.
func ExampleIOCtx_StartRead() {
	ctx := context.Background()
	var op rados.ReadOp
	b, stat := op.Read(0, 4), op.Stat()
	p, err := data.StartRead(ctx, "log", &op)
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q of %d bytes\n", *b, stat.Size)
}

// An object as an io.ReaderAt and io.WriterAt.
func ExampleIOCtx_File() {
	f := data.File(context.Background(), "file")
	if _, err := io.Copy(io.NewOffsetWriter(f, 0), strings.NewReader("from a stream")); err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(os.Stdout, io.NewSectionReader(f, 5, 1<<20)); err != nil {
		log.Fatal(err)
	}
}

// The OSDs send only the objects that a filter keeps.
func ExampleIOCtx_WithFilter() {
	mine := data.WithFilter(rados.AttrFilter("owner", "me"))
	for o, err := range mine.List(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(o.Name)
	}
}

// A gateway that the operator finds in "ceph -s" and "ceph service status".
func ExampleCluster_RegisterService() {
	err := cluster.RegisterService("gateway", "one", map[string]string{"port": "80"})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.UnregisterService(context.Background())
	if err := cluster.SetServiceStatus(map[string]string{"clients": "3"}); err != nil {
		log.Fatal(err)
	}
}

// What scrubs have found in a pool.
func ExampleCluster_InconsistentObjects() {
	ctx := context.Background()
	pgs, err := cluster.InconsistentPGs(ctx, data.PoolID())
	if err != nil {
		log.Fatal(err)
	}
	for _, pg := range pgs {
		for o, err := range cluster.InconsistentObjects(ctx, pg) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(pg, o.Object.Name)
		}
	}
}
