package rados_test

import (
	"context"
	"errors"
	"fmt"
	"log"
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
