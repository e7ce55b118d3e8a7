package rbd_test

import (
	"context"
	"fmt"
	"log"

	"glue/client/rados"
	"glue/client/rbd"
)

// What examples begin with: the images of a pool, from NewStore. TestExamples runs them.
var images *rbd.Store

// Make an image of 10 GiB in pool disks and write to it.
func Example() {
	ctx := context.Background()
	c, err := rados.Connect(ctx, rados.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	pool, err := c.OpenPool(ctx, "disks")
	if err != nil {
		log.Fatal(err)
	}
	images := rbd.NewStore(pool)
	if err := images.Create(ctx, "disk", rbd.CreateOptions{Size: 10 << 30}); err != nil {
		log.Fatal(err)
	}
	disk, err := images.Open(ctx, "disk", false)
	if err != nil {
		log.Fatal(err)
	}
	defer disk.Close(ctx)
	if _, err := disk.WriteAt([]byte("boot sector"), 0); err != nil {
		log.Fatal(err)
	}
	size, used, err := disk.Usage(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(size, used)
}

// Keep an image as it is, make a second one that begins the same, and list what changes.
func ExampleStore_Clone() {
	ctx := context.Background()
	disk, err := images.Open(ctx, "disk", false)
	if err != nil {
		log.Fatal(err)
	}
	defer disk.Close(ctx)
	if err := disk.CreateSnapshot(ctx, "golden"); err != nil {
		log.Fatal(err)
	}
	o := rbd.CreateOptions{CloneFormat: 2}
	if err := images.Clone(ctx, disk, "golden", "copy", o); err != nil {
		log.Fatal(err)
	}
	if _, err := disk.WriteAt([]byte("changed"), 4<<20); err != nil {
		log.Fatal(err)
	}
	for e, err := range disk.DiffIterate(ctx, rbd.DiffOptions{From: "golden"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Off, e.Len, e.Exists)
	}
}
